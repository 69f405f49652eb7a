"""What the documentation prints: its sessions and programs run as they stand, on the sample.

With URN_DOCS_UPDATE=1 in the environment, what the commands of docs/urn-wal.md print is written into it anew.
"""
import os
import re
import shutil
import socket
import subprocess
import sys

import harness
from harness import DEADLINE_S, TOP, TestCase, wait_until

PORT = 7707
ITEMS = ("diamond", "ruby", "gold", "silver", "clay", "mud")


LATER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (real == 0)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (clock == CLOCK_REALTIME)
        now->tv_sec += 120 * 86400;
    return failed;
}
"""


def port_is_free():
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return False
    return True


def fenced(page, language):
    text = (TOP / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.S)


def session(page):
    """The commands that a page prints behind "$ ", each with the lines that follow it."""
    commands = []
    for line in (TOP / page).read_text(encoding="utf-8").split("\n"):
        if line.startswith("    $ "):
            commands.append((line[6:], []))
        elif commands and line.startswith("    "):
            commands[-1][1].append(line[4:])
        elif commands and line.strip():
            commands.append((None, []))
    return [(command, lines) for command, lines in commands if command is not None]


def shape(lines):
    """Output without what chance decides: which item, how many, how long a bar."""
    text = "\n".join(line.replace("<- drawn", "").rstrip() for line in lines).strip("\n")
    text = re.sub(r"\b(" + "|".join(ITEMS) + r")\b", "item", text)
    text = re.sub(r"[█▉▊▋▌▍▎▏]+", "#", text)
    text = re.sub(r"\b[0-9a-f]{8}[0-9a-f-]{8,}\b", "hash", text)
    text = re.sub(r"[>+-]?\d+(\.\d+)?", "9", text)
    return re.sub(r" +", " ", text)


def with_output(text, printed):
    """A page, with what was printed behind each of its commands."""
    lines = []
    printed = iter(printed)
    in_session = False
    for line in text.split("\n"):
        if line.startswith("    $ "):
            command, output = next(printed)
            assert line == f"    $ {command}", (line, command)
            lines.append(line)
            lines += [f"    {row}".rstrip() for row in output.rstrip("\n").split("\n") if output]
            in_session = True
        elif not in_session or (line.strip() and not line.startswith("    ")):
            if in_session:
                lines.append("")
            in_session = False
            lines.append(line)
    return "\n".join(lines)


class Documentation(TestCase):
    """On the port that the pages print; should it be taken here, on another one, which then is put
    into what they print."""

    def setUp(self):
        super().setUp()
        self.samples = self.folder / "samples"
        self.samples.mkdir()
        shutil.copy(TOP / "samples" / "config.yaml", self.samples)
        self.port = PORT
        if not port_is_free():
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        config = self.samples / "config.yaml"
        config.write_text(self.as_here(config.read_text(encoding="utf-8")), encoding="utf-8")
        folders = [os.path.dirname(harness.program(name)) for name in ("urnd", "urn", "urn-wal")]
        self.env = {**os.environ, "PATH": os.pathsep.join([*folders, os.environ["PATH"]]),
                    "URN_ADDRESS": f"127.0.0.1:{self.port}"}
        self.process = None
        self.addCleanup(self.kill)
        self.start()

    def as_here(self, text):
        return text.replace(str(PORT), str(self.port))

    def start(self):
        self.process = subprocess.Popen(
            [harness.program("urnd"), "--config", "samples/config.yaml", "--create"],
            cwd=self.folder, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def listens():
            self.assertIsNone(self.process.poll(), "urnd ended")
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return True
            except ConnectionRefusedError:
                return False

        wait_until(listens, "urnd to listen")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def command(self, *arguments, **options):
        done = subprocess.run(arguments, cwd=self.folder, env=self.env, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE_S,
                              **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), (arguments, done.stdout))
        return done.stdout

    def shell(self, command):
        return self.command("bash", "-o", "pipefail", "-c", command)

    def test_the_readme_session(self):
        commands = session("README.md")
        self.assertGreaterEqual(len(commands), 4)
        for command, lines in commands:
            if command.startswith("urn-wal"):
                # Beside a running server it shows what the log itself says is durable: up to the
                # last draw once the mark behind it is written, 100 ms after.
                wait_until(lambda: self.shell("urn-wal cat samples/data").count("DRAW") == 10,
                           "the mark")
            self.assertEqual(shape(self.shell(command).split("\n")), shape(lines), command)

        # ... then "kill the server the hard way, start it again, and look".
        before = self.command("urn", "--json", "state", "main")
        self.kill()
        self.start()
        after = self.command("urn", "--json", "state", "main")
        without_lsn = re.compile(r'"lsn": ?\d+')
        self.assertEqual(without_lsn.sub("", after), without_lsn.sub("", before))

        text = (TOP / "README.md").read_text(encoding="utf-8")
        program = re.search(r"((?:    .*\n)*    .*tcp_session.*\n(?:    .*\n)*)", text).group(1)
        program = self.as_here(re.sub(r"^    ", "", program, flags=re.M))
        promised = re.search(r"# (\[.*\])$", program, flags=re.M).group(1)
        printed = self.command(sys.executable, "-c", program)
        self.assertEqual(shape([printed]), shape([promised]))
        self.assertTrue(printed.startswith("[11, "), printed)

    def test_the_python_programs_of_the_protocol(self):
        pynvim, plain = fenced("docs/protocol.md", "python")
        lines = self.command(sys.executable, "-c", self.as_here(pynvim)).splitlines()
        self.assertEqual(lines[0], "pong")
        self.assertEqual([line.split(" ")[0] for line in lines[1:4]], ["1", "2", "3"])
        self.assertRegex(lines[4], r"^1000 draws of ")
        self.assertEqual(len(lines[5:-1]), len(ITEMS))
        text = (TOP / "docs/protocol.md").read_text(encoding="utf-8")
        self.assertIn(f"`{lines[-1]}`", text)

        lines = self.command(sys.executable, "-c", self.as_here(plain)).splitlines()
        self.assertEqual(lines[0], "1 pong")
        self.assertRegex(lines[1], r"^2 \[\d+, \[('\w+'(, )?){5}\], 0, 1, False\]$")
        self.assertRegex(lines[2], r"^3 \[\d+, \[(\d(, )?){100}\], 0, 1, False\]$")
        self.assertRegex(lines[3], r"^4 NOPOOL ")

    def test_the_c_program_of_the_protocol(self):
        program, = fenced("docs/protocol.md", "c")
        include = self.folder / "include" / "urn"
        include.mkdir(parents=True)
        (include / "client.h").symlink_to(TOP / "proto" / "client.h")
        source = self.folder / "program.c"
        source.write_text(self.as_here(program), encoding="utf-8")
        flags = self.command("pkg-config", "--cflags", "--libs", "msgpack").split()
        self.command("cc", "-Wall", "-Wextra", "-Werror", "-o", self.folder / "program", source,
                     f"-I{include.parent}", harness.build / "proto" / "liburnclient.a", *flags)
        lines = self.command(self.folder / "program").splitlines()
        self.assertEqual([line.split(" ")[0] for line in lines], ["1", "2", "3"])
        for line in lines:
            self.assertIn(line.split(" ")[1], ITEMS)

    def serve_small(self, command):
        """A server beside the sample's, as a page starts it."""
        words = command.removesuffix(" &").split()
        words[0] = harness.program(words[0])
        small = subprocess.Popen(words, cwd=self.folder, stdin=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        self.addCleanup(small.wait)
        self.addCleanup(small.kill)
        wait_until((self.folder / "small.sock").exists, "urnd to listen")

    def months_later(self):
        """An environment in which the clock is 120 days ahead."""
        source = self.folder / "later.c"
        if not source.exists():
            source.write_text(LATER, encoding="ascii")
            self.command("cc", "-shared", "-fPIC", "-o", "later.so", source)
        return {**self.env, "LD_PRELOAD": str(self.folder / "later.so")}

    def run_in_page(self, command, later=False):
        """What a command prints to both streams; urnd in the background is a server of the test."""
        if command == "urnd --config samples/config.yaml &":
            self.process.wait()
            self.start()
            return ""
        if command.endswith(" &"):
            self.serve_small(command)
            return ""
        env = self.months_later() if later else self.env
        done = subprocess.run(["bash", "-c", self.as_here(command)], cwd=self.folder, env=env, text=True,
                              check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=DEADLINE_S)
        if command.startswith("kill "):
            self.process.wait()
        return done.stdout

    def test_the_sessions_of_urn_wal(self):
        page = TOP / "docs" / "urn-wal.md"
        commands = session("docs/urn-wal.md")
        self.assertGreaterEqual(len(commands), 30)
        shown = {command.split()[1] for command, _ in commands if command.startswith("urn-wal ")}
        overview = self.command("urn-wal", "--help")
        listed = re.search(r"^Commands\n(.*?)\n\n", overview, flags=re.M | re.S).group(1)
        self.assertEqual(shown, set(re.findall(r"^  (\S+)", listed, flags=re.M)), "each command is shown")
        printed = []
        for command, lines in commands:
            if command == commands[4][0]:  # the mark that says of the last draw that it is durable
                wait_until(lambda: "DRAW 5510 " in self.shell("urn-wal cat samples/data | tail -n 1"),
                           "the mark")
            # The page says "four months later" between the first prune of the archive and the second.
            later = command.startswith("urn-wal prune archive") and "|" in command
            output = self.run_in_page(command, later)
            printed.append((command, output))
            if "URN_DOCS_UPDATE" not in os.environ:
                rows = [row for row in output.split("\n") if row.strip()]
                self.assertEqual(shape(rows), shape(lines), command)
        if "URN_DOCS_UPDATE" in os.environ:
            page.write_text(with_output(page.read_text(encoding="utf-8"), printed), encoding="utf-8")
