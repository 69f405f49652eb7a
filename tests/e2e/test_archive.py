"""The archive: history that outlives the ring, under load, across kills and resizes, and on a disk that is full."""
import errno
import os
import re
import shutil

from harness import MAIN_CATALOG, RpcError, TestCase, make_config, run, run_urnd, wait_until

SEGMENT_BYTES = 128 << 10
SEGMENTS = 4
RING_BYTES = SEGMENTS * SEGMENT_BYTES
BATCH = 2000
CATALOG = [{**item, "quantity": -1} for item in MAIN_CATALOG]


def config(archive="archive", policy="block"):
    return make_config(pools=[{"name": "main", "catalog": CATALOG}],
                       wal={"segment_size": "128KiB", "segments": SEGMENTS, "archive": archive,
                            "archive_policy": policy},
                       limits={"max_batch": BATCH, "max_items": 1000, "max_pools": 4})


class Archive(TestCase):
    def segments(self, archive=None):
        archive = archive or self.folder / "archive"
        return sorted(int(path.name[8:], 16) for path in archive.glob("segment-????????????????"))

    def draw_to(self, server, lsn):
        """Draws until the log is durable up to there; BUSY is answered by another attempt."""
        drawn = 0
        with server.client() as client:
            while client.call("info")["durable_lsn"] < lsn:
                ids = [client.send("draw", "main", BATCH, {"as": "tally"}) for _ in range(16)]
                for msgid in ids:
                    try:
                        client.reply(msgid)
                        drawn += BATCH
                    except RpcError as error:
                        self.assertEqual(error.code, "BUSY")
        return drawn

    def verify(self, *words, status=0):
        done = run("urn-wal", "verify", *words)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def archived(self, server):
        return server.call("info")["archive"]

    def test_laps_under_load_and_kills(self):
        """Everything that was ever drawn is found again, though the ring has forgotten it."""
        drawn = 0
        for life in range(1, 4):
            server = self.serve(config())
            drawn += self.draw_to(server, life * 3 * RING_BYTES)
            beside = run("urn-wal", "verify", self.folder / "data")
            self.assertEqual(beside.returncode, 0, beside.stdout + beside.stderr)
            server.kill()
        server = self.serve(config())
        wait_until(lambda: self.archived(server)["waiting_bytes"] < SEGMENT_BYTES, "all is archived")
        info = server.call("info")
        self.assertEqual(info["archive"]["on"], 1)
        self.assertEqual(info["archive"]["gaps"], 0)
        self.assertIsNone(info["archive_failure"])
        self.assertGreater(info["durable_lsn"], 9 * RING_BYTES)
        server.stop()
        begins = self.segments()
        self.assertEqual(begins, list(range(0, begins[-1] + 1, SEGMENT_BYTES)))
        self.assertIn("verdict: sound", self.verify(self.folder / "data"))
        lines = run("urn-wal", "cat", self.folder / "data", "--type", "draw").stdout.splitlines()
        self.assertGreaterEqual(len(lines), drawn)
        self.assertEqual([int(line.split(" ")[1]) for line in lines], list(range(1, len(lines) + 1)))
        found = run("urn-wal", "find", self.folder / "data", "1234")
        self.assertEqual(found.returncode, 0, found.stderr)
        self.assertIn(f"\nitem          {lines[1233].split(' ')[3]}\n", found.stdout)
        listed = run("urn-wal", "ls", self.folder / "data")
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertIn(f"archive: {self.folder / 'archive'}\n", listed.stdout)

    def test_lookup_goes_on_into_the_archive(self):
        """Pool, item and time of the first draws, long after the ring has forgotten them."""
        server = self.serve(config())
        with server.client() as client:
            told = {}
            for _ in range(20):
                first_id, indexes = client.call("draw", "main", 10, {"as": "indexes"})[:2]
                told.update(enumerate(indexes, first_id))
        self.draw_to(server, 5 * RING_BYTES)
        wait_until(lambda: self.archived(server)["waiting_bytes"] < SEGMENT_BYTES, "all is archived")
        with server.client() as client:
            for request_id, index in told.items():
                found = client.call("lookup", request_id)
                self.assertEqual((found["pool"], found["index"]), ("main", index))
                self.assertLess(found["lsn"], RING_BYTES)
            newest = client.call("state", "main")["last_request_id"]
            for request_id in range(1, newest, newest // 200):
                client.call("lookup", request_id)
            with self.assertRaisesRegex(RpcError, f"has not been given yet; ids 1 to {newest} are known"):
                client.call("lookup", newest + 1)
        address = f"unix:{server.unix_address}"
        found = run("urn", "--address", address, "lookup", "3")
        self.assertEqual(found.returncode, 0, found.stderr)
        said = run("urn-wal", "find", self.folder / "data", "3").stdout
        item = re.search(r"^item +(\S+)", found.stdout, re.MULTILINE).group(1)
        self.assertRegex(said, rf"(?m)^item +{re.escape(item)}\b")
        # An archive that is away is told, holds nothing else up, and is found again.
        away = self.folder / "away"
        (self.folder / "archive").rename(away)
        server.stop()
        server = self.serve(config())
        failed = run("urn", "--address", f"unix:{server.unix_address}", "lookup", "3")
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("is its volume mounted?", failed.stderr)
        server.call("lookup", newest)
        server.call("draw", "main", 1)
        away.rename(self.folder / "archive")
        self.assertEqual(server.call("lookup", 3)["index"], told[3])
        # What was pruned is older than what is kept.
        (self.folder / "archive" / "segment-0000000000000000").unlink()
        with self.assertRaisesRegex(RpcError, "request id 3 is older than what is kept; ids "):
            server.call("lookup", 3)
        server.stop()

    def test_history_goes_on_behind_a_resize(self):
        """Ring after ring of other sizes, and one history of all that was drawn."""
        server = self.serve(config())
        drawn = self.draw_to(server, 2 * RING_BYTES + SEGMENT_BYTES // 3)
        server.kill()
        sizes = (("192KiB", 3), ("128KiB", SEGMENTS))
        for size, segments in sizes:
            done = run("urn-wal", "resize", self.folder / "data", "--segment-size", size, "--segments", segments,
                       "--max-batch", BATCH)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn(f": in the archive {self.folder / 'archive'}\n", done.stdout)
            resized = config()
            resized["wal"].update(segment_size=size, segments=segments)
            server = self.serve(resized)
            drawn += self.draw_to(server, server.call("info")["durable_lsn"] + 2 * RING_BYTES)
            self.assertEqual(server.call("info")["archive"]["gaps"], 0)
            self.assertEqual(server.call("lookup", 3)["request_id"], 3)
            server.kill()
            self.assertIn("verdict: sound", self.verify(self.folder / "data"))
            lines = run("urn-wal", "cat", self.folder / "data", "--type", "draw").stdout.splitlines()
            self.assertGreaterEqual(len(lines), drawn)
            self.assertEqual([int(line.split(" ")[1]) for line in lines], list(range(1, len(lines) + 1)))

    def test_a_copy_of_the_data_directory_does_not_archive_to_the_same_place(self):
        server = self.serve(config())
        self.draw_to(server, RING_BYTES)
        server.stop()
        shutil.copytree(self.folder / "data", self.folder / "copy")
        server = self.serve(config())
        refused = run_urnd(self.folder, {**config(), "data_dir": "copy"})
        self.assertEqual(refused.returncode, 75, refused.stderr)
        self.assertIn("another process archives to", refused.stderr)
        server.call("draw", "main", 1)
        server.stop()

    def test_prune_keeps_what_is_needed(self):
        server = self.serve(config())
        self.draw_to(server, 3 * RING_BYTES)
        wait_until(lambda: self.archived(server)["waiting_bytes"] < SEGMENT_BYTES, "all is archived")
        archive = self.folder / "archive"
        before = self.segments()
        planned = run("urn-wal", "prune", archive, "--keep-days", "1")
        self.assertEqual(planned.returncode, 0, planned.stderr)
        self.assertIn("nothing to delete", planned.stdout)
        self.assertEqual(self.segments(), before)
        wrong = run("urn-wal", "prune", self.folder / "data", "--keep-days", "1")
        self.assertEqual(wrong.returncode, 66)
        self.assertIn("is no archive", wrong.stderr)

    def test_another_ring_and_a_missing_archive(self):
        server = self.serve(config())
        self.draw_to(server, RING_BYTES)
        server.stop()
        other = {**config(), "data_dir": "other"}
        refused = run_urnd(self.folder, other, "--create")
        self.assertEqual(refused.returncode, 78, refused.stderr)
        self.assertIn("belongs to ring", refused.stderr)
        away = self.folder / "away"
        (self.folder / "archive").rename(away)
        server = self.serve(config())
        wait_until(lambda: server.call("info")["archive_failure"] is not None, "it is told")
        self.assertIn("is its volume mounted?", server.call("info")["archive_failure"])
        self.assertFalse((self.folder / "archive").exists())
        away.rename(self.folder / "archive")
        wait_until(lambda: server.call("info")["archive_failure"] is None, "it is found again")
        server.stop()
        self.assertEqual(len(re.findall("trouble with the archive", server.output())), 1)
        self.assertIn("the log is archived again", server.output())


class FullArchive(TestCase):
    def setUp(self):
        super().setUp()
        self.require_loop_devices()
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        image = self.folder / "image"
        with open(image, "wb") as file:
            file.truncate(16 << 20)
        self.mount_image(image, self.disk, "loop", "-m", "0", "-N", "512")

    def fill(self):
        with open(self.disk / "ballast", "ab") as ballast:
            try:
                while True:
                    ballast.write(bytes(1 << 16))
                    ballast.flush()
            except OSError as error:
                self.assertEqual(error.errno, errno.ENOSPC)

    def draw(self, client):
        try:
            client.call("draw", "main", BATCH, {"as": "tally"})
            return "OK"
        except RpcError as error:
            return error.code

    def test_block_waits_and_goes_on(self):
        server = self.serve(config(archive="disk/archive"))
        with server.client() as client:
            self.assertEqual(self.draw(client), "OK")
            wait_until(lambda: client.call("info")["archive"]["snapshots"] > 0, "it has begun")
            self.fill()
            answers = [self.draw(client) for _ in range(RING_BYTES // BATCH * 2)]
            self.assertIn("BUSY", answers)
            info = client.call("info")
            self.assertIn("No space left", info["archive_failure"])
            self.assertLessEqual(info["durable_lsn"], info["archive"]["archived_lsn"] + RING_BYTES)
            metrics = run("urn", "--address", f"unix:{server.unix_address}", "info", "--format",
                          "prometheus").stdout
            self.assertIn("urn_archive_failing 1\n", metrics)
            os.unlink(self.disk / "ballast")
            wait_until(lambda: self.draw(client) == "OK", "draws go on by themselves")
            wait_until(lambda: client.call("info")["archive_failure"] is None, "it is well again")
            self.assertEqual(client.call("info")["archive"]["gaps"], 0)
        server.stop()
        self.assertIn("until the archive has made room", server.output())
        done = run("urn-wal", "verify", self.folder / "data")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_gap_goes_on_and_says_so(self):
        server = self.serve(config(archive="disk/archive", policy="gap"))
        with server.client() as client:
            self.assertEqual(self.draw(client), "OK")
            wait_until(lambda: client.call("info")["archive"]["snapshots"] > 0, "it has begun")
            self.fill()
            for _ in range(3 * RING_BYTES // BATCH):
                self.assertEqual(self.draw(client), "OK")
            os.unlink(self.disk / "ballast")
            wait_until(lambda: client.call("info")["archive"]["gaps"] > 0, "the gap is recorded")
            self.assertGreaterEqual(client.call("info")["archive"]["gap_bytes"], SEGMENT_BYTES)
        server.stop()
        done = run("urn-wal", "verify", self.folder / "data")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("wal.archive_policy: gap", done.stdout)
        self.assertIn("verdict: sound", done.stdout)
