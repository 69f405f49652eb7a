"""urn-wal repair on a real data directory: damage, refusal, what is said of it, repair, and a start behind it."""
import re
import shutil
import subprocess
import unittest

from harness import MAIN_CATALOG, TestCase, flip_bit, make_config, program, run, run_urnd

ROUNDS = 12
LOST_ROUNDS = 4  # the last of them, of 10 draws each


class Repair(TestCase):
    def setUp(self):
        super().setUp()
        self.config = make_config(wal={"segment_size": "64KiB", "segments": 3})
        self.told = {}  # request id -> item

    def draw(self, server, count):
        first, items, *_ = server.call("draw", "main", count)
        for request_id, item in enumerate(items, first):
            self.assertNotIn(request_id, self.told, "an id is given twice")
            self.told[request_id] = item
        return first

    def wal(self, status, *arguments):
        done = run("urn-wal", *arguments)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def damaged(self):
        """A server that has drawn and was killed, and a bit flipped in what it had acknowledged. Returns the
        folder, and where the damaged group begins."""
        server = self.serve(self.config)
        for _ in range(ROUNDS):
            self.draw(server, 10)
        server.kill()
        data = server.data_dir
        lsns = [int(lsn) for lsn in re.findall(
            r"^GROUP (\d+) ", self.wal(0, "cat", data, "--groups", "--type", "group"), flags=re.M)]
        self.assertEqual(len(lsns), ROUNDS)
        lsn = lsns[ROUNDS - LOST_ROUNDS]
        flip_bit(data / "segment-0000", lsn + 120)
        return data, lsn

    def files(self, data):
        return {path.name: path.read_bytes() for path in data.iterdir()
                if path.is_file() and path.name != "LOCK"}

    def test_from_damage_to_a_server_that_goes_on(self):
        data, lsn = self.damaged()
        before = self.files(data)

        refused = run_urnd(self.folder, self.config)
        self.assertEqual(refused.returncode, 65, refused.stdout + refused.stderr)
        self.assertIn(f"urn-wal verify {data}", refused.stdout + refused.stderr)
        verified = self.wal(2, "verify", data)
        self.assertIn(f"damage: LSN {lsn} (segment-0000, offset {lsn})", verified)
        self.assertIn("10 request ids lie there, 81 to 90", verified)
        self.assertIn("urn-wal repair", verified)

        said = self.wal(2, "repair", data)
        self.assertIn("case D5", said)
        lost = 10 * LOST_ROUNDS
        self.assertIn(f"Lost would be {lost} acknowledged draws", said)
        salvaged = self.wal(0, "repair", data, "--salvage")
        for request_id in range(91, 121):
            self.assertIn(f'"request_id":{request_id},"pool":"main","item_id":"{self.told[request_id]}"',
                          salvaged)
        plan = self.wal(0, "repair", data, "--truncate-at", lsn)
        listed = dict(re.findall(r"^DRAW (\d+) main (\S+)$", plan, flags=re.M))
        self.assertEqual(listed, {str(request_id): self.told[request_id]
                                  for request_id in range(91, 121)})
        self.assertIn("10 request ids lie there, 81 to 90", plan)
        self.wal(64, "repair", data, "--truncate-at", lsn, "--accept-loss", lost - 1, "--write")
        self.wal(2, "repair", data, "--truncate-tail", "--write")
        self.assertEqual(self.files(data), before, "nothing is changed by plans and refusals")

        done = self.wal(0, "repair", data, "--truncate-at", lsn, "--accept-loss", lost, "--write")
        folder = data / re.search(r"copies of what was changed are in \S*/(\S+)", done).group(1)
        self.assertEqual((folder / "segment-0000").read_bytes(), before["segment-0000"])
        self.assertIn("segment-0000: 65536 bytes", (folder / "MANIFEST").read_text("ascii"))
        self.assertIn("verdict: sound", self.wal(0, "verify", data))

        for request_id in range(81, 121):
            item = self.told[request_id]
            self.told[request_id] = f"lost {item}"
        server = self.serve(self.config, create=False)
        first = self.draw(server, 500)
        self.assertGreater(first, 120 + 10**12)
        kept = [item for item in self.told.values() if not item.startswith("lost ")]
        drawn = {item["item_id"]: item["drawn"]
                 for item in server.call("state", "main")["items"]}
        self.assertEqual(drawn, {item["item_id"]: kept.count(item["item_id"])
                                 for item in MAIN_CATALOG})
        self.assertEqual(server.stop(), 0)
        for command in (["verify"], ["ls"], ["cat"], ["stats"], ["repair"]):
            self.wal(0, *command, data)
        self.assertIn(self.told[first], self.wal(0, "find", data, first))
        server = self.serve(self.config)  # with --create, too, beside the folder with copies
        self.draw(server, 1)

    def test_killed_amid_a_repair(self):
        """What a repair has begun, no start passes, and the same command finishes. strace kills it at a call."""
        if shutil.which("strace") is None:
            raise unittest.SkipTest("strace is not installed")
        data, lsn = self.damaged()
        arguments = ["repair", data, "--truncate-at", lsn, "--accept-loss", 10 * LOST_ROUNDS, "--write"]
        met = set()
        before = self.files(data)
        for nth in range(1, 200):
            for name, content in before.items():
                (data / name).write_bytes(content)
            for name in set(self.files(data)) - set(before):
                (data / name).unlink()
            self.attempt("strace", "-qq", "-o", "/dev/null", "true")
            done = subprocess.run(
                ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
                 f"inject=fsync,pwrite64,msync,rename,renameat,unlinkat:signal=KILL:when={nth}",
                 program("urn-wal"), *map(str, arguments)], stdout=subprocess.PIPE, check=False)
            if done.returncode == 0:
                break
            begun = (data / "REPAIR").exists()
            found = self.files(data)
            if not begun and any(found.get(name) != content for name, content in before.items()):
                met.add("done")
            else:
                met.add("begun" if begun else "old")
                refused = run_urnd(self.folder, self.config)
                self.assertEqual(refused.returncode, 65)
                self.assertIn("has begun and has not ended" if begun else "case D5",
                              refused.stdout + refused.stderr)
                self.wal(0, *arguments)
            self.assertIn("verdict: sound", self.wal(0, "verify", data))
        self.assertEqual((done.returncode, met), (0, {"old", "begun", "done"}))
        self.serve(self.config, create=False)

    def test_not_beside_a_server(self):
        server = self.serve(self.config)
        self.draw(server, 10)
        for arguments in ([], ["--truncate-tail", "--write"], ["--truncate-at", "0"], ["--salvage"]):
            self.assertIn("stop it first" if "--write" not in arguments else "another process",
                          self.wal(75, "repair", server.data_dir, *arguments))
        self.draw(server, 10)

    def test_what_is_mistyped(self):
        data, lsn = self.damaged()
        self.assertIn("did you mean --truncate-at?",
                      self.wal(64, "repair", data, "--truncat-at", lsn))
        self.assertIn("amid a group", self.wal(64, "repair", data, "--truncate-at", lsn - 8))
        self.assertIn("did you mean repair?", self.wal(64, "repar", data))
        self.wal(66, "repair", data / "nowhere")
