"""A disk that is really full: a small file system of its own on a loop device.

The ring is allocated when it is made, so that the log never lacks space; snapshots do. Then the ring fills
up, draws wait and get BUSY, and once there is space again all goes on by itself.
"""
import errno
import os
import re
import tempfile

from harness import RpcError, TestCase, make_config, run, run_urnd, wait_until
from oracle import Drawer, Oracle, finish

ITEMS = 20000
# Every second item is unlimited, so that draws never fail.
CATALOG = [{"item_id": f"item-{i:05}", "quantity": -1 if i % 2 else 50, "probability": 10}
           for i in range(ITEMS)]
DISK_BYTES = 16 << 20
SEGMENTS = 3
SEGMENT_BYTES = 128 << 10
CONFIG = make_config(data_dir="disk/data", pools=[{"name": "main", "catalog": CATALOG}],
                     wal={"segment_size": "128KiB", "segments": SEGMENTS},
                     limits={"max_batch": 2000, "max_items": ITEMS, "max_pools": 4})


class FullDisk(TestCase):
    def setUp(self):
        super().setUp()
        self.require_loop_devices()
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        image = self.folder / "image"
        with open(image, "wb") as file:
            file.truncate(DISK_BYTES)
        self.mount_image(image, self.disk, "loop", "-m", "0", "-N", "128")

    # ---- the disk ------------------------------------------------------------------------------

    def fill(self, leave=0):
        """Takes all space but so many bytes; may be repeated when more has become free."""
        with open(self.disk / "ballast", "ab") as ballast:
            while True:
                free = os.statvfs(self.disk)
                free = free.f_bavail * free.f_frsize - leave
                if free <= 0:
                    return
                size = ballast.seek(0, os.SEEK_END)
                try:
                    os.posix_fallocate(ballast.fileno(), size, min(free, 1 << 20))
                except OSError:  # what is left of a piece is not enough for its own description
                    os.posix_fallocate(ballast.fileno(), size, 1024)

    def free(self):
        (self.disk / "ballast").unlink()

    def take_all_names(self):
        """Leaves no inode for another file."""
        taken = self.disk / "taken"
        taken.mkdir(exist_ok=True)
        try:
            while True:
                os.close(tempfile.mkstemp(dir=taken)[0])
        except OSError as error:
            self.assertEqual(error.errno, errno.ENOSPC)

    def free_names(self):
        for path in (self.disk / "taken").iterdir():
            path.unlink()
        (self.disk / "taken").rmdir()

    def snapshot_bytes(self):
        return max(path.stat().st_size for path in (self.disk / "data").glob("snapshot-*-????"))

    def check_ring_is_allocated(self):
        for slot in range(SEGMENTS):
            found = os.stat(self.disk / f"data/segment-{slot:04}")
            self.assertEqual(found.st_size, SEGMENT_BYTES)
            self.assertGreaterEqual(found.st_blocks * 512, SEGMENT_BYTES)

    # ---- the server ----------------------------------------------------------------------------

    def reweigh(self, client):
        """Makes snapshots longer than the least that they could be: each remembers two weights an item."""
        for i in range(ITEMS):
            client.send("update", "main", CATALOG[i]["item_id"], {"probability": 11})
        for _ in range(ITEMS):
            self.assertIsNone(client.receive()[2])

    def start_drawing(self, server, oracle):
        drawers = [Drawer(server.address, oracle, seed, in_flight=8, count_max=2000)
                   for seed in range(3)]
        for drawer in drawers:
            drawer.start()
        return drawers

    def codes(self, drawers):
        return sum((drawer.codes for drawer in drawers), start=type(drawers[0].codes)())

    def draw_until_busy(self, client, oracle):
        """How many requests succeeded before."""
        floor = 0
        for number in range(100000):
            try:
                floor = oracle.acknowledge("main", client.call("draw", "main", 2000), floor)
            except RpcError as error:
                self.assertEqual(error.code, "BUSY", error)
                return number
        self.fail("the ring never filled up")

    def draw_as_it_goes(self, client):
        """Draws; the snapshots that a ring as small as this needs may be too slow on a busy machine."""
        try:
            client.call("draw", "main", 2000, {"as": "tally"})
        except RpcError as error:
            self.assertEqual(error.code, "BUSY", error)
        return client.call("info")["durable_lsn"]

    # ---- tests ---------------------------------------------------------------------------------

    def test_snapshots_meet_a_full_disk_and_go_on_by_themselves(self):
        server = self.serve(CONFIG)
        least = self.snapshot_bytes()
        with server.client() as client:
            self.reweigh(client)
            client.call("snapshot")
        most = self.snapshot_bytes()
        self.assertGreater(most, least + 65536)
        between = (least + most) // 2
        self.check_ring_is_allocated()

        oracle = Oracle({"main": CATALOG})
        drawers = self.start_drawing(server, oracle)
        with server.client() as client:
            for what, full, free in [
                    ("cannot create", self.fill, self.free),
                    ("cannot write", lambda: self.fill(leave=between), self.free),
                    ("cannot create", self.take_all_names, self.free_names)]:
                with self.subTest(what=what, full=full):
                    self.check_one_fullness(server, client, drawers, what, full, free)
            self.assertIsNone(client.call("info")["failure"])
        server.kill()
        finish(drawers)
        self.assertLessEqual(set(self.codes(drawers)), {"OK", "BUSY"})
        self.check_ring_is_allocated()

        server = self.serve(CONFIG, create=False)
        with server.client() as client:
            oracle.check_state(client)
        self.assertEqual(server.stop(), 0)
        left = sorted(path.name for path in server.data_dir.iterdir())
        self.assertEqual(sum(name.startswith("snapshot-") for name in left), 2, left)
        self.assertEqual(run("urn-wal", "verify", server.data_dir).returncode, 0)

    def check_one_fullness(self, server, client, drawers, what, full, free):
        lines_before = len(server.lines)

        def fails_so():
            full()  # again: what an attempt under way has taken is free when that has failed
            return f"{what} " in (client.call("info")["snapshot_failure"] or "")

        wait_until(fails_so, f"a snapshot that {what}")
        self.assertIn("No space left on device", client.call("info")["snapshot_failure"])
        busy = self.codes(drawers)["BUSY"]
        wait_until(lambda: self.codes(drawers)["BUSY"] > busy, "a full ring")

        info = client.call("info")
        self.assertIsNone(info["failure"])
        self.assertLess(info["ring"]["room_bytes"], SEGMENT_BYTES // 2)
        self.assertEqual(client.call("ping"), "pong")
        self.assertEqual(client.call("state", "main", {"limit": 1})["total"], ITEMS)
        self.assert_error("IO", client.call, "snapshot")
        shown = run("urn", "--address", f"unix:{server.unix_address}", "info").stdout
        self.assertRegex(shown, f"snapshot_failure +{what}.*No space left on device")
        self.assert_logged(server, lines_before,
                           "trouble with snapshots: cannot .*No space left on device. It is tried again")
        self.assert_logged(server, lines_before,
                           "the log is full, and requests get BUSY .*; cannot .*No space left on device")

        done = self.codes(drawers)["OK"]
        free()
        wait_until(lambda: self.codes(drawers)["OK"] > done + 100, "draws to go on")
        self.assertIsNone(client.call("info")["snapshot_failure"])
        self.assert_logged(server, lines_before, "snapshots are written again as they should be")
        self.assert_logged(server, lines_before, r"the log has room again: 0\.\d MiB")
        # However many attempts failed, it is said once.
        said = [line for line in server.lines[lines_before:] if "trouble with snapshots" in line]
        self.assertEqual(len(said), 1, server.output())

    def assert_logged(self, server, since, pattern):
        wait_until(lambda: re.search(pattern, "\n".join(server.lines[since:])),
                   f"a log line {pattern}, in\n{server.output()}")

    def test_draws_go_on_until_the_ring_is_used_up(self):
        server = self.serve(CONFIG)
        oracle = Oracle({"main": CATALOG})
        self.fill()
        with server.client() as client:
            done = self.draw_until_busy(client, oracle)
            # The whole ring but what is kept for starts: two bytes a draw, and no snapshot to help.
            self.assertGreater(done * 2000 * 2, (SEGMENTS - 1) * SEGMENT_BYTES)
            self.assertEqual(client.call("info")["counters"]["snapshots"], 0)
            self.free()
            room = client.call("info")["ring"]["room_bytes"]
            wait_until(lambda: client.call("info")["ring"]["room_bytes"] > room, "room in the log")
            self.assertEqual(client.call("draw", "main", 2000)[2], 0)
        self.assertEqual(server.stop(), 0, server.output())

    def test_kills_and_starts_on_a_full_disk_with_a_full_ring(self):
        server = self.serve(CONFIG)
        oracle = Oracle({"main": CATALOG})
        self.fill()
        with server.client() as client:
            self.draw_until_busy(client, oracle)
        # Each start takes a little of what is kept for starts; then there is nothing left, and the start
        # is refused. It changes nothing, and may be repeated.
        for starts in range(100):
            server.kill()
            self.assertIn(run("urn-wal", "verify", server.data_dir).returncode, (0, 1))
            server = self.serve(CONFIG, create=False, wait=False)
            server.ready.wait()
            if server.process.poll() is not None or "serves" not in server.output():
                break
            server.wait_ready()
            self.assert_logged(server, 0, "trouble with snapshots at the start: .*No space left on device")
            with server.client() as client:
                oracle.check_state(client)
                self.assert_error("BUSY", client.call, "draw", "main", 2000)
        self.assertGreaterEqual(starts, 2)
        self.assertEqual(server.wait(), 74, server.output())
        for _ in range(3):
            done = run_urnd(self.folder, CONFIG)
            self.assertEqual(done.returncode, 74, done.stderr)
            self.assertRegex(done.stderr, "the log is full and no snapshot can be written to free it: "
                                          ".*No space left on device")
        self.assertEqual(run("urn-wal", "verify", server.data_dir).returncode, 0)

        self.free()
        server = self.serve(CONFIG, create=False)
        with server.client() as client:
            oracle.check_state(client)
            end_lsn = client.call("info")["durable_lsn"] + 4 * SEGMENTS * SEGMENT_BYTES
            wait_until(lambda: self.draw_as_it_goes(client) > end_lsn, "four more laps")
            self.assertIsNone(client.call("info")["snapshot_failure"])
        self.assertEqual(server.stop(), 0, server.output())

    def test_a_stop_on_a_full_disk_is_a_good_one(self):
        """The last snapshot cannot be written; the log has everything."""
        server = self.serve(CONFIG)
        oracle = Oracle({"main": CATALOG})
        with server.client() as client:
            oracle.acknowledge("main", client.call("draw", "main", 2000), 0)
            self.fill()
        self.assertEqual(server.stop(), 0, server.output())
        server = self.serve(CONFIG, create=False)
        with server.client() as client:
            self.assertEqual(oracle.check_state(client), 2000)
        self.assertEqual(server.stop(), 0, server.output())

    def test_creation_on_a_full_disk_is_refused_and_begun_afresh(self):
        for leave in (0, 4096, SEGMENT_BYTES * 2, SEGMENT_BYTES * SEGMENTS + 65536):
            with self.subTest(leave=leave):
                self.fill(leave)
                done = run_urnd(self.folder, CONFIG, "--create")
                self.assertEqual(done.returncode, 73, done.stderr)
                self.assertIn("No space left on device", done.stderr)
                self.free()
        server = self.serve(CONFIG)
        self.assertEqual(server.call("draw", "main", 1)[0], 1)
        self.assertEqual(server.stop(), 0, server.output())
