"""The samples run as they stand, in a small size; each checks its own result."""
import os
import subprocess
import sys

from harness import DEADLINE_S, TOP, TestCase, program, run


class Samples(TestCase):
    def sample(self, name, *arguments):
        done = subprocess.run([sys.executable, TOP / "samples" / name, *arguments], cwd=self.folder,
                              text=True, check=False, capture_output=True, timeout=DEADLINE_S,
                              env={**os.environ, "URND": program("urnd"), "TMPDIR": str(self.folder)})
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual(list(self.folder.iterdir()), [], "nothing is left behind")
        return done.stdout

    def test_banner(self):
        self.assertIn("2005 draws, every one accounted for", self.sample("banner.py", "2005"))

    def test_lucky_draw(self):
        self.assertIn("1000 visitors, one crash", self.sample("lucky_draw.py", "1000"))

    def test_coupons(self):
        self.assertIn("5500 codes, each drawn exactly once", self.sample("coupons.py", "5500"))

    def test_configurations_are_taken(self):
        generated = self.sample("coupons.py", "--config", "50")
        (self.folder / "coupons.yaml").write_text(generated, encoding="utf-8")
        for config in [self.folder / "coupons.yaml", *(TOP / "samples").glob("*.yaml"),
                       TOP / "packaging" / "urn.yaml"]:
            done = run("urnd", "--config", config, "--check-config")
            self.assertEqual((done.returncode, done.stderr), (0, ""), config)
