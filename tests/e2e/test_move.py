"""urn-wal backup, restore and resize with the real programs: under full load on a tiny ring, killed midway, on a full disk."""
import collections
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time

from harness import MAIN_CATALOG, TestCase, make_config, program, run, run_urnd, wait_until
from test_urn_wal import Load

SEGMENT_BYTES = 64 * 1024
BATCH = 1000
MARGIN = 10 ** 9
CATALOG = [{**item, "quantity": -1 if item["item_id"] == "mud" else 10 ** 12} for item in MAIN_CATALOG]


def tiny(**sections):
    return make_config(pools=[{"name": "main", "catalog": CATALOG}],
                       wal={"segment_size": f"{SEGMENT_BYTES // 1024}KiB", "segments": 6},
                       limits={"max_batch": 2000, "max_items": 100, "max_pools": 4}, **sections)


def last_id(backup_says):
    return int(re.search(r"last request id: (\d+)", backup_says).group(1))


class Move(TestCase):
    def path(self, name):
        return self.folder / name

    def must(self, *arguments, status=0):
        done = run("urn-wal", *arguments)
        self.assertEqual(done.returncode, status, (arguments, done.stdout[-500:], done.stderr))
        return done.stdout + done.stderr

    def loaded_server(self):
        server = self.serve(tiny())
        load = Load(server, BATCH)
        load.start()
        self.addCleanup(load.stopping.set)
        begin = server.call("info")["durable_lsn"]
        wait_until(lambda: server.call("info")["durable_lsn"] > begin + 8 * SEGMENT_BYTES, "a lap")
        return server, load

    def state(self, folder_name):
        """Starts a server on the restored directory and returns (server, its state of main)."""
        server = self.serve(tiny(data_dir=folder_name), create=False)
        return server, server.call("state", "main")


class Backup(Move):
    def test_copies_under_load_are_whole(self):
        """Every draw in a copy is what its client was told; the sum of the copy is that of its draws."""
        server, load = self.loaded_server()
        copies = []
        for number in range(6):
            before = server.call("info")["durable_lsn"]
            # The next group, which is durable now, or the mark, carries how far the log had been.
            wait_until(lambda: server.call("info")["durable_lsn"] > before, "the load goes on")
            says = self.must("backup", server.data_dir, self.path(f"copy-{number}"))
            copies.append((self.path(f"copy-{number}"), last_id(says), before))
        load.stop()
        self.assertEqual(server.stop(), 0)
        told = {first + i: index for first, indexes in load.told.items()
                for i, index in enumerate(indexes)}
        names = [item["item_id"] for item in CATALOG]
        for copy, last, before in copies:
            self.must("verify", copy)
            end = int(re.search(r"LSN \d+ to (\d+)", (copy / "BACKUP").read_text()).group(1))
            self.assertGreaterEqual(end, before, "what was durable before is in the copy")
            draws = 0
            for line in self.must("cat", copy, "--type", "draw").splitlines():
                _, request_id, _, item = line.split()
                self.assertEqual(item, names[told[int(request_id)]], line)
                draws += 1
            self.assertGreater(draws, 0)
            drawn = collections.Counter(names[told[i]] for i in range(1, last + 1))
            pool, = json.loads(self.must("replay", copy, "--json"))["pools"]
            self.assertEqual({item["item_id"]: item["drawn"] for item in pool["items"]},
                             {name: drawn[name] for name in names})

    def test_killed_midway(self):
        """Whatever is left is either whole or nothing, and repeating the command makes it whole."""
        server, load = self.loaded_server()
        luck = random.Random(1)
        unfinished = 0
        for number in range(30):
            copy = self.path("copy")
            process = subprocess.Popen([program("urn-wal"), "backup", str(server.data_dir), str(copy)],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(luck.uniform(0, 0.03))
            process.send_signal(signal.SIGKILL)
            process.wait()
            if not (copy / "IDENTITY").exists():
                unfinished += (copy / "UNFINISHED").exists()
                self.must("verify", copy, status=66 if not any(copy.glob("s*-*")) else 3)
                refused = run_urnd(self.folder, tiny(data_dir="copy"), *(["--create"] * (number % 2))) \
                    if (copy / "UNFINISHED").exists() else None
                self.assertTrue(refused is None or refused.returncode == 78, refused)
                self.must("backup", server.data_dir, copy)
            self.must("verify", copy)
            shutil.rmtree(copy)
        self.assertGreater(unfinished, 0)
        load.stop()

    def test_mistakes(self):
        server = self.serve()
        (self.path("there")).mkdir()
        (self.path("there") / "notes").write_text("mine")
        self.assertIn("is not empty (there is notes)",
                      self.must("backup", server.data_dir, self.path("there"), status=73))
        self.assertEqual(os.listdir(self.path("there")), ["notes"])
        self.assertIn("cannot make the directory",
                      self.must("backup", server.data_dir, self.path("no/parent"), status=73))
        self.assertIn("did you mean --quiet?",
                      self.must("backup", server.data_dir, self.path("copy"), "--quite", status=64))
        self.must("backup", self.path("nowhere"), self.path("copy"), status=66)
        self.assertEqual(self.must("backup", "--quiet", server.data_dir, self.path("copy")), "")
        refused = run_urnd(self.folder, make_config(data_dir="copy"))
        self.assertEqual(refused.returncode, 78)
        self.assertIn("urn-wal restore", refused.stderr)


class Restore(Move):
    def test_a_backup_serves_again(self):
        """Nothing that the backup knows is issued twice, and no id repeats."""
        server, load = self.loaded_server()
        says = self.must("backup", server.data_dir, self.path("copy"))
        load.stop()
        last = last_id(says)
        later = max(load.told) + BATCH - 1
        self.assertEqual(server.kill(), -9)
        says = self.must("restore", self.path("copy"), self.path("restored"))
        self.assertIn(f"ids:     go on at {last + 1 + MARGIN}", says)
        self.assertIn("WARNING: prizes that were given after that moment are in stock again", says)
        self.must("verify", self.path("restored"))
        told = {first + i: index for first, indexes in load.told.items()
                for i, index in enumerate(indexes)}
        drawn = collections.Counter(told[i] for i in range(1, last + 1))
        restored, state = self.state("restored")
        for item in state["items"]:
            self.assertEqual(item["drawn"], drawn[item["index"]])
            if item["quantity"] >= 0:
                self.assertEqual(item["quantity"], 10 ** 12 - drawn[item["index"]])
        first, *_ = restored.call("draw", "main", 5)
        self.assertGreater(first, later)
        self.assertEqual(first, last + 1 + MARGIN)
        for _ in range(300):  # around the new ring
            restored.call("draw", "main", 2000, {"as": "tally"})
        self.assertEqual(restored.stop(), 0)
        self.must("verify", self.path("restored"))

    def test_a_moment_is_restored(self):
        server = self.serve(tiny())
        told = [item for _ in range(10) for item in server.call("draw", "main", 100)[1]]
        self.assertEqual(server.stop(), 0)
        says = self.must("restore", server.data_dir, self.path("restored"), "--until", "id:437",
                         "--segments", "4", "--segment-size", "128KiB", "--id-margin", "1000")
        self.assertIn("the source itself holds 563 later draws, request ids 438 to 1000", says)
        config = tiny(data_dir="restored")
        self.assertEqual(run_urnd(self.folder, config).returncode, 78, "other sizes")
        config["wal"] = {"segment_size": "128KiB", "segments": 4}
        restored = self.serve(config, create=False)
        drawn = collections.Counter(told[:437])
        for item in restored.call("state", "main")["items"]:
            self.assertEqual(item["drawn"], drawn[item["item_id"]])
        self.assertEqual(restored.call("draw", "main", 1)[0], 2001)

    def test_a_replayed_snapshot_file_is_restored(self):
        server = self.serve(tiny())
        server.call("draw", "main", 100)
        self.assertEqual(server.stop(), 0)
        self.must("replay", server.data_dir, "--output", self.path("then.snapshot"))
        self.must("restore", self.path("then.snapshot"), self.path("restored"))
        restored, state = self.state("restored")
        self.assertEqual(sum(item["drawn"] for item in state["items"]), 100)
        self.assertEqual(restored.call("draw", "main", 1)[0], 101 + MARGIN)


class Resize(Move):
    def served(self):
        """A data directory whose ring has come around, and the state of main in it."""
        server, load = self.loaded_server()
        load.stop()
        state = server.call("state", "main")
        self.assertEqual(server.stop(), 0)
        return server.data_dir, state

    def other(self, segments, segment_size):
        config = tiny()
        config["wal"] = {"segment_size": segment_size, "segments": segments}
        return config

    def resize(self, data_dir, *arguments, status=0):
        return self.must("resize", data_dir, "--max-batch", "2000", *arguments, status=status)

    def test_the_server_goes_on(self):
        data_dir, state = self.served()
        log = run("urn-wal", "cat", data_dir).stdout
        says = self.resize(data_dir, "--segments", "9", status=64)
        self.assertIn("--discard-history gives it up; nothing was changed", says)
        self.resize(data_dir, "--segments", "9", "--segment-size", "128KiB", "--backup",
                    self.path("before"))
        refused = run_urnd(self.folder, tiny())
        self.assertEqual(refused.returncode, 78)
        self.assertIn("configure these, or give the ring other sizes with `urn-wal resize", refused.stderr)
        self.must("verify", data_dir)
        self.assertEqual(run("urn-wal", "cat", self.path("before")).stdout, log)
        server = self.serve(self.other(9, "128KiB"), create=False)
        now = server.call("state", "main")
        self.assertEqual(now["items"], state["items"])
        self.assertEqual(server.call("draw", "main", 3)[0], state["last_request_id"] + 1)
        for _ in range(1000):  # around the new ring
            server.call("draw", "main", 2000, {"as": "tally"})
        self.must("verify", data_dir)
        self.resize(data_dir, "--segments", "3", "--discard-history", status=75)
        self.assertEqual(server.kill(), -9)
        self.resize(data_dir, "--segments", "3", "--segment-size", "64KiB", "--discard-history")
        server = self.serve(self.other(3, "64KiB"), create=False)
        self.assertEqual(server.call("draw", "main", 1)[0], state["last_request_id"] + 2000004)
        self.assertEqual(server.stop(), 0)
        self.must("verify", data_dir)

    def test_killed_midway(self):
        """The old ring, the new one, or one that the command repeated finishes."""
        data_dir, state = self.served()
        luck = random.Random(2)
        found = collections.Counter()
        old, new = "6", "48"
        took_s = 0.1  # a whole one
        for _ in range(40):
            command = [program("urn-wal"), "resize", str(data_dir), "--max-batch", "2000", "--segments",
                       new, "--discard-history"]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(luck.uniform(0, took_s))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
            identity = (data_dir / "IDENTITY").read_text()
            kind = "begun" if "format: 2" in identity else \
                "new" if f"segments: {new}\n" in identity else "old"
            found[kind] += 1
            if kind == "begun":
                refused = run_urnd(self.folder, self.other(int(old), "64KiB"), "--create")
                self.assertEqual(refused.returncode, 65)
                self.assertIn(f"`urn-wal resize {data_dir}` finishes it", refused.stderr)
                self.must("verify", data_dir, status=2)
            began_s = time.monotonic()
            self.must("resize", data_dir, "--max-batch", "2000", "--segments", new, "--discard-history")
            if kind == "old":
                took_s = time.monotonic() - began_s
            self.must("verify", data_dir)
            old, new = new, old
        self.assertGreater(found["old"], 0, found)
        self.assertGreater(found["new"] + found["begun"], 0, found)
        server = self.serve(self.other(int(old), "64KiB"), create=False)
        self.assertEqual(server.call("state", "main")["items"], state["items"])
        self.assertEqual(server.call("draw", "main", 1)[0], state["last_request_id"] + 1)


class WithAnArchive(Move):
    """Ring and archive are one history; a backup and a resize concern the ring alone."""

    def config(self, **wal):
        config = tiny(snapshot={"every": "64KiB"})
        config["wal"].update({"archive": "archive", **wal})
        return config

    def test_a_moment_that_only_the_archive_has(self):
        server = self.serve(self.config())
        told = []
        while server.call("info")["durable_lsn"] < 20 * SEGMENT_BYTES:
            told += server.call("draw", "main", 2000)[1]
        self.assertEqual(server.stop(), 0)
        self.must("restore", self.path("data"), self.path("restored"), "--until", "id:4321")
        restored = self.serve(tiny(data_dir="restored"), create=False)
        drawn = collections.Counter(told[:4321])
        for item in restored.call("state", "main")["items"]:
            self.assertEqual(item["drawn"], drawn[item["item_id"]])
        self.assertEqual(restored.call("draw", "main", 1)[0], len(told) + 1 + MARGIN)

    def test_a_resized_ring_goes_on_with_its_archive(self):
        server = self.serve(self.config())
        drawn = 0
        while server.call("info")["durable_lsn"] < 20 * SEGMENT_BYTES:
            server.call("draw", "main", 2000, {"as": "tally"})
            drawn += 2000
        self.assertEqual(server.stop(), 0)
        self.must("backup", "--all", server.data_dir, self.path("copy"))
        self.assertLess(sum(path.stat().st_blocks * 512 for path in self.path("copy").iterdir()),
                        8 * SEGMENT_BYTES + (1 << 20), "the ring, not the archive")
        self.must("verify", self.path("copy"))
        self.must("resize", server.data_dir, "--max-batch", "2000", "--segments", "8", "--segment-size",
                  "128KiB", "--backup", self.path("before"))
        server = self.serve(self.config(segments=8, segment_size="128KiB"), create=False)
        self.assertEqual(server.call("draw", "main", 1)[0], drawn + 1)
        begin = server.call("info")["durable_lsn"]
        while server.call("info")["durable_lsn"] < begin + 20 * 2 * SEGMENT_BYTES:
            server.call("draw", "main", 2000, {"as": "tally"})
        self.assertEqual(server.stop(), 0)
        self.must("find", server.data_dir, str(drawn + 1))
        self.must("find", self.path("before"), str(drawn))


class FullDisk(Move):
    def test_no_room(self):
        """Nothing is left of the attempt that takes room, and with room it works."""
        self.require_loop_devices()
        disk = self.path("disk")
        disk.mkdir()
        with open(self.path("image"), "wb") as file:
            file.truncate(8 << 20)
        self.mount_image(self.path("image"), disk, "loop", "-m", "0")
        server = self.serve(tiny())
        server.call("draw", "main", 1000)
        free = os.statvfs(disk)
        with open(disk / "ballast", "wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, free.f_bavail * free.f_frsize - (96 << 10))
        for command, source, name in (("backup", server.data_dir, "copy"),
                                      ("restore", server.data_dir, "restored")):
            says = self.must(command, source, disk / name, status=74)
            self.assertIn("No space left on device", says)
            self.assertEqual({path.name for path in (disk / name).iterdir()}, {"LOCK", "UNFINISHED"})
            refused = run_urnd(self.folder, tiny(data_dir=f"disk/{name}"), "--create")
            self.assertEqual(refused.returncode, 78)
            self.assertIn("unfinished", refused.stderr)
        (disk / "ballast").unlink()
        self.must("backup", server.data_dir, disk / "copy")
        self.must("restore", disk / "copy", disk / "restored")
        self.must("verify", disk / "copy")
        self.must("verify", disk / "restored")

    def test_no_room_for_another_ring(self):
        """Nothing has changed, and the server starts as before."""
        self.require_loop_devices()
        disk = self.path("disk")
        disk.mkdir()
        with open(self.path("image"), "wb") as file:
            file.truncate(8 << 20)
        self.mount_image(self.path("image"), disk, "loop", "-m", "0")
        config = tiny(data_dir="disk/data")
        server = self.serve(config)
        server.call("draw", "main", 1000)
        self.assertEqual(server.stop(), 0)
        before = {path.name: path.read_bytes() for path in server.data_dir.iterdir()}
        says = self.must("resize", server.data_dir, "--max-batch", "2000", "--segments", "150",
                         "--discard-history", status=73)
        self.assertIn("the new ring takes 9969664 bytes beside the old one", says)
        self.assertIn("nothing was changed", says)
        del before["LOCK"]  # which says whose it was last
        self.assertEqual({path.name: path.read_bytes() for path in server.data_dir.iterdir()
                          if path.name != "LOCK"}, before)
        server = self.serve(config, create=False)
        self.assertEqual(server.call("draw", "main", 1)[0], 1001)
        self.assertEqual(server.stop(), 0)
