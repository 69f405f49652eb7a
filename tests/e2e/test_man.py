"""The manual pages say what the programs say of themselves with --help."""
import re
import shutil
import subprocess
import unittest

from harness import TOP, TestCase, run

MAN = TOP / "docs" / "man"


def section(page, title):
    return re.search(rf"^\.Sh {title}\n(.*?)(?=^\.Sh |\Z)", page, flags=re.M | re.S).group(1)


class Manual(TestCase):
    def help(self, *arguments):
        done = run(*arguments, "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return done.stdout

    def assert_agree(self, page, text):
        """Options and exit statuses."""
        page = (MAN / page).read_text(encoding="utf-8")
        options = {option for line in page.splitlines() if re.search(r"\bFl -", line)
                   for option in re.findall(r"(?<=\s)-([a-z][a-z-]+)", line)}
        self.assertEqual(options, set(re.findall(r"--([a-z][a-z-]+)", text)))
        statuses = re.search(r"^exit status(.*?)(?=\n\n|\Z)", text, flags=re.M | re.S | re.I).group(1)
        self.assertEqual(set(re.findall(r"^\.It (\d+)$", section(page, "EXIT STATUS"), flags=re.M)),
                         set(re.findall(r"\b(\d+)\b", statuses)))

    def assert_commands_agree(self, page, program):
        """The commands that the overview lists, and the options of each."""
        overview = self.help(program)
        listed = re.search(r"^Commands\n(.*?)\n\n", overview, flags=re.M | re.S).group(1)
        commands = re.findall(r"^  (\S+)", listed, flags=re.M)
        self.assertGreater(len(commands), 3)
        text = (MAN / page).read_text(encoding="utf-8")
        self.assertEqual(re.findall(r"^\.It Cm (\S+)", section(text, "COMMANDS"), flags=re.M), commands)
        self.assert_agree(page, overview + "".join(self.help(program, command)
                                                   for command in commands))

    def test_urnd(self):
        self.assert_agree("urnd.8", self.help("urnd"))

    def test_urn_wal(self):
        self.assert_commands_agree("urn-wal.1", "urn-wal")

    def test_urn_bench(self):
        self.assert_agree("urn-bench.1", self.help("urn-bench"))

    def test_urn(self):
        self.assert_commands_agree("urn.1", "urn")

    def test_they_are_well_formed(self):
        if shutil.which("mandoc") is None:
            raise unittest.SkipTest("mandoc is not installed")
        for page in sorted(MAN.glob("*.[1-8]")):
            done = subprocess.run(["mandoc", "-T", "lint", "-W", "style,stop", page], text=True,
                                  stdout=subprocess.PIPE, check=False)
            found = [line for line in done.stdout.splitlines()
                     if "referenced manual not found" not in line and "outdated mandoc.db" not in line]
            self.assertEqual(found, [])
