"""Completion for bash offers every command and every option that the manual pages tell of (test_man.py
holds those to --help), and what options and operands take. Run in a bash, without the key."""
import os
import pathlib
import re
import socket
import subprocess

import harness
from harness import DEADLINE_S, TOP, TestCase

SCRIPT = TOP / "packaging" / "bash-completion" / "urn"
MAN = TOP / "docs" / "man"
PROGRAMS = ("urn", "urn-bench", "urn-wal", "urnd")


def commands_of(page):
    """{command: options} from a manual page; "" stands for the program itself."""
    text = (MAN / page).read_text(encoding="utf-8")
    found = {"": set()}
    command = ""
    text = re.sub(r"(?ms)^\.Sh (EXAMPLES|SYNOPSIS|ENVIRONMENT).*?(?=^\.Sh |\Z)", "", text)
    for line in text.splitlines():
        if match := re.match(r"\.It Cm (\S+)", line):
            command = match[1]
            found[command] = {f"-{option}" for option in re.findall(r"Fl (-[a-z-]+)", line)}
        elif line.startswith(".Sh "):
            command = ""
        elif match := re.match(r"\.It Fl (-?[a-z-]+)", line):
            found[command].add(f"-{match[1]}")
    return found


class Completion(TestCase):
    def setUp(self):
        super().setUp()
        folders = {os.path.dirname(harness.program(name)) for name in PROGRAMS}
        self.env = {**os.environ, "LC_ALL": "C.UTF-8",
                    "PATH": os.pathsep.join([*folders, os.environ["PATH"]])}
        self.env.pop("URN_ADDRESS", None)

    def complete(self, *words, line=None):
        """What is offered for the last of the words, as bash splits the line."""
        script = ('. "$1" && COMP_LINE=$2 && shift 2 && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) && '
                  '_urn && printf "%s\\n" "${COMPREPLY[@]}"')
        words = [str(word) for word in words]
        line = " ".join(words) if line is None else line
        done = subprocess.run(["bash", "-c", script, "-", SCRIPT, line, *words], cwd=self.folder,
                              env=self.env, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=DEADLINE_S, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return [line for line in done.stdout.split("\n") if line]

    def assert_complete(self, program, page):
        commands = commands_of(page)
        self.assertEqual(set(self.complete(program, "")), set(commands) - {""})
        for command, options in commands.items():
            words = [program, command] if command else [program]
            self.assertLessEqual(options, set(self.complete(*words, "-")), command)
            for option in options:
                self.assertIn(option, self.complete(*words, option), command)

    def test_urn(self):
        self.assert_complete("urn", "urn.1")

    def test_urn_wal(self):
        self.assert_complete("urn-wal", "urn-wal.1")

    def test_urnd(self):
        self.assert_complete("urnd", "urnd.8")

    def test_urn_bench(self):
        self.assert_complete("urn-bench", "urn-bench.1")

    def test_nothing_is_offered_that_a_command_does_not_take(self):
        self.assertNotIn("--follow", self.complete("urn-wal", "ls", "-"))
        self.assertNotIn("--as", self.complete("urn", "ping", "-"))
        self.assertIn("--quantity", self.complete("urn", "add", "main", "ruby", "-"))
        self.assertEqual(self.complete("urn-wal", "wish", ""), [])

    def test_beginnings(self):
        self.assertEqual(self.complete("urn-wal", "ver"), ["verify"])
        self.assertEqual(self.complete("urn", "--json", "dr"), ["draw"])
        self.assertEqual(self.complete("urn", "--timeout", "5s", "cat"), ["catalog"])
        self.assertEqual(self.complete("urn-wal", "cat", "data", "--rev"), ["--reverse"])

    def test_two_dashes_alone(self):
        for program in PROGRAMS:
            offered = self.complete(program, "--")
            self.assertIn("--help", offered, program)
            self.assertIn("--version", offered, program)
        self.assertIn("--draws", self.complete("urn-bench", "--"))
        self.assertIn("--json", self.complete("urn-wal", "backup", "--"))

    def complete_line(self, line):
        """As bash splits it: at blanks, and before and behind = and :."""
        words = re.findall(r"[=:]|[^ =:]+", line)
        return self.complete(*words, *([""] if line.endswith(" ") else []), line=line)

    def test_addresses(self):
        (self.folder / "sockets").mkdir()
        (self.folder / "sources.txt").touch()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.folder / "sock.et"))
            for start in ("urn --address ", "urn --address=", "urn-bench --address ",
                          "urn-wal replay data --against "):
                self.assertEqual(self.complete_line(start + "u"), ["unix:"], start)
                offered = self.complete_line(start + "unix:")
                self.assertEqual(set(offered), {"sock.et", "sockets"}, start)
                self.assertEqual(self.complete_line(start + "unix:sock."), ["sock.et"], start)
                self.assertEqual(self.complete_line(start + "unix:none"), [], start)
                self.assertEqual(self.complete_line(start + "127.0.0.1:"), [], start)
        self.assertEqual(self.complete("urn", "--address", "unix:socke"), ["unix:sockets"],
                         "in a shell that does not split at colons")

    def test_colons_of_other_words(self):
        (self.folder / "data").mkdir()
        since = "urn-wal cat --since 2026-11-22T05:14:29Z "
        self.assertEqual(self.complete_line(since + "da"), ["data"])
        self.assertEqual(self.complete_line("urn-wal diff data : da"), ["data"])

    def test_values(self):
        self.assertEqual(self.complete("urn-wal", "cat", "--format", ""), ["text", "json", "csv"])
        self.assertEqual(self.complete("urn-wal", "cat", "--format", "=", "j"), ["json"])
        self.assertEqual(self.complete("urn-wal", "export", "--format", ""), ["csv", "json"])
        self.assertEqual(self.complete("urn", "draw", "main", "--as", ""), ["names", "indexes", "tally"])
        self.assertEqual(self.complete("urn", "info", "--format", "="), ["text", "json", "prometheus"])
        self.assertEqual(self.complete("urn-bench", "--as", "t"), ["tally"])
        self.assertEqual(self.complete("urn-bench", "--pick", ""), ["round-robin", "random"])
        self.assertEqual(self.complete("urn-wal", "cat", "--since", ""), [])
        self.assertEqual(set(self.complete("urn", "help", "")), set(commands_of("urn.1")) - {""})

    def test_files(self):
        for name in ("data", "delivered file.csv"):
            (self.folder / name).mkdir()
        self.assertEqual(self.complete("urn-wal", "ls", "da"), ["data"])
        self.assertEqual(self.complete("urn-wal", "find", "data", "x", "da"), [], "a request id")
        self.assertEqual(self.complete("urn-wal", "export", "data", "--reconcile", "de"),
                         ["delivered file.csv"])
        self.assertEqual(self.complete("urnd", "--config", "da"), ["data"])
        self.assertEqual(self.complete("urn", "create", "autumn", "da"), ["data"])

    def test_pools_of_the_server(self):
        server = self.serve()
        address = f"unix:{server.unix_address}"
        self.assertEqual(self.complete("urn", "--address", address, "draw", ""), ["main"])
        self.assertEqual(self.complete("urn", "--address", address, "state", "x"), [])
        self.assertEqual(self.complete("urn-bench", "--address", address, "--pool", "m"), ["main"])
        self.assertEqual(self.complete_line(f"urn --address {address} draw "), ["main"])
        self.assertEqual(self.complete_line(f"urn --address={address} draw "), ["main"])
        server.stop()
        self.assertEqual(self.complete("urn", "--address", address, "draw", ""), [])

    def test_it_is_installed_for_every_program(self):
        text = pathlib.Path(TOP / "packaging" / "CMakeLists.txt").read_text(encoding="utf-8")
        links = re.search(r"foreach\(program ([^)]*)\)", text)[1].split()
        script = SCRIPT.read_text(encoding="utf-8")
        completed = re.search(r"^complete -F _urn (.*)$", script, flags=re.M)[1].split()
        self.assertEqual(sorted([*links, "urn"]), sorted(PROGRAMS))
        self.assertEqual(sorted(completed), sorted(PROGRAMS))
