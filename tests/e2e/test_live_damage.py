"""Damage in the files of a server that runs: what verify says of it, what the server does, and the next start."""
import json
import re
import struct

from harness import (MAIN_CATALOG, RpcError, TestCase, flip_bit, make_config, run, run_urnd, wait_until)
from load import Load

KIB = 1024
BATCH = 1000
ENDLESS = [{"name": "main", "catalog": [{**item, "quantity": -1} for item in MAIN_CATALOG]}]


def sequence_of(segment):
    """The lap and place that the segment's header page says (docs/wal-format.md)."""
    with open(segment, "rb") as file:
        return struct.unpack_from("<Q", file.read(40), 32)[0]


class LiveDamage(TestCase):
    def verify(self, data):
        """The report as JSON, and the exit status."""
        done = run("urn-wal", "verify", "--json", data)
        self.assertEqual(done.stderr, "")
        return json.loads(done.stdout), done.returncode

    def assert_damage(self, data, lsn, segment):
        """Verify names damage, in this group alone, and where it lies."""
        report, status = self.verify(data)
        found = [(finding["kind"], finding.get("lsn")) for finding in report["findings"]]
        self.assertEqual((status, report["verdict"], found), (2, "damaged", [("damage", lsn)]), report)
        done = run("urn-wal", "verify", data)
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"damage: LSN {lsn} ({segment.name}, offset ", done.stdout)

    def groups(self, data):
        """What cat tells of each group of draws that is kept."""
        done = run("urn-wal", "cat", data, "--groups", "--type", "group", "--format", "json")
        self.assertIn(done.returncode, (0, 3), done.stderr)
        groups = [json.loads(line) for line in done.stdout.splitlines()]
        return [group for group in groups if group.get("draws", 0) > 0]


class UnderLoad(LiveDamage):
    """A small ring that laps at full load, one segment after the other damaged once it is full."""

    SEGMENT = 128 * KIB
    SEGMENTS = 8
    ROUNDS = 4

    def test_damage_is_named_until_it_is_overwritten(self):
        server = self.serve(make_config(pools=ENDLESS, wal={
            "segment_size": f"{self.SEGMENT // KIB}KiB", "segments": self.SEGMENTS}))
        data = server.data_dir
        load = Load(server, BATCH)
        load.start()
        self.addCleanup(load.stop)
        named = 0
        for _ in range(self.ROUNDS):
            self.lap(server, load)
            report, status = self.verify(data)
            self.assertEqual((status, report["findings"]), (0, []), "before the damage")
            named += self.damage_one(server)
        self.lap(server, load)
        report, status = self.verify(data)
        self.assertEqual((status, report["findings"]), (0, []), "what was overwritten is no damage")
        self.assertGreater(named, 0, "the server laps faster than damage can be looked at")
        load.stop()
        self.assertEqual(server.stop(), 0, server.output())
        self.assertEqual(self.verify(data)[1], 0)

    def lap(self, server, load):
        """Lets the log go around once, so that every segment is written anew."""
        end = server.call("info")["durable_lsn"] + (self.SEGMENTS + 1) * self.SEGMENT

        def has_lapped():
            self.assertIsNone(load.failure)
            return server.call("info")["durable_lsn"] > end

        wait_until(has_lapped, "a lap")

    def damage_one(self, server):
        """Flips a bit in the segment before the open one, which the server reuses last. True: it was still
        there when verify had looked, which beside a server begins at the older of two snapshots, and was named.
        Of three that come and go while it lists them it may see one."""
        full = server.call("info")["durable_lsn"] // self.SEGMENT - 1
        segment = server.data_dir / f"segment-{full % self.SEGMENTS:04d}"
        flip_bit(segment, self.SEGMENT // 2)
        self.assertEqual(sequence_of(segment), full, "the damage was to be to what was full")
        report, status = self.verify(server.data_dir)
        if sequence_of(segment) != full:  # reused meanwhile, and verify may have come before or behind it
            self.assertIn(status, (0, 2), report)
            return False
        begin, end = full * self.SEGMENT, (full + 1) * self.SEGMENT
        if sorted(snapshot["lsn"] for snapshot in report["snapshots"])[-2:][0] >= end:
            self.assertEqual((status, report["findings"]), (0, []))
            return False
        self.assertEqual((status, report["verdict"]), (2, "damaged"), report)
        for finding in report["findings"]:
            self.assertEqual(finding["kind"], "damage", report)
            self.assertTrue(begin <= finding["lsn"] < end, report)
        return True


class AtRest(LiveDamage):
    """The same where nothing is overwritten: place, loss, the server, and the start behind it."""

    SEGMENT = 64 * KIB

    def setUp(self):
        super().setUp()
        self.config = make_config(pools=ENDLESS,
                                  wal={"segment_size": "64KiB", "segments": 16})
        self.server = self.serve(self.config)
        self.data = self.server.data_dir
        self.drawn = {}

    def draw(self, log_bytes):
        end = self.server.call("info")["durable_lsn"] + log_bytes
        with self.server.client() as client:
            while client.call("info")["durable_lsn"] < end:
                first, indexes, *_ = client.call("draw", "main", BATCH, {"as": "indexes"})
                self.assertNotIn(first, self.drawn)
                self.drawn[first] = indexes

    def two_snapshots(self):
        """A log with a snapshot in it that is not the newest, the newest, and log behind each."""
        for _ in range(2):
            self.draw(2 * self.SEGMENT)
            self.newest = self.server.call("snapshot")
        self.draw(2 * self.SEGMENT)
        self.assertEqual(self.verify(self.data)[1], 0)

    def damage_at(self, lsn):
        """Flips a bit in the group of draws next to lsn, in a segment that is full. Returns what it was."""
        group = next(group for group in self.groups(self.data) if group["lsn"] >= lsn)
        end = self.server.call("info")["durable_lsn"]
        self.assertLess(group["lsn"] // self.SEGMENT, end // self.SEGMENT, "not in the open segment")
        segment = self.data / f"segment-{group['lsn'] // self.SEGMENT % 16:04d}"
        flip_bit(segment, group["lsn"] % self.SEGMENT + 200)
        self.assert_damage(self.data, group["lsn"], segment)
        return group, segment

    def assert_lookup(self, group, segment):
        """The draw of the damaged group is told to be damaged, with the place; its neighbours are found."""
        text = self.assert_error("DAMAGED", self.server.call, "lookup", group["first_request_id"])
        self.assertIn(segment.name, text)
        for first in (group["first_request_id"] - BATCH, group["first_request_id"] + BATCH):
            found = self.server.call("lookup", first)
            self.assertEqual(found["item_id"], MAIN_CATALOG[self.drawn[first][0]]["item_id"])

    def assert_state(self):
        """What the server has is what was drawn."""
        counts = [0] * len(MAIN_CATALOG)
        for indexes in self.drawn.values():
            for index in indexes:
                counts[index] += 1
        items = self.server.call("state", "main")["items"]
        self.assertEqual([item["drawn"] for item in items], counts)

    def test_a_group_that_the_newest_snapshot_covers(self):
        self.two_snapshots()
        group, segment = self.damage_at(self.newest - self.SEGMENT)
        self.assert_lookup(group, segment)
        self.draw(self.SEGMENT)
        self.assert_state()
        self.server.kill()
        self.assert_damage(self.data, group["lsn"], segment)
        self.server = self.serve(self.config, create=False)  # needs nothing from before the newest snapshot
        self.assert_state()
        self.draw(self.SEGMENT)
        self.assert_state()
        self.assert_damage(self.data, group["lsn"], segment)

    def test_a_group_that_the_next_start_needs(self):
        self.two_snapshots()
        group, segment = self.damage_at(self.newest)
        self.assert_lookup(group, segment)
        self.draw(self.SEGMENT // 2)
        self.assert_state()  # the server has it in memory
        self.server.kill()
        self.assert_damage(self.data, group["lsn"], segment)
        refused = run_urnd(self.folder, self.config)
        said = refused.stdout + refused.stderr
        self.assertEqual(refused.returncode, 65, said)
        self.assertIn(f"case D5: the log is damaged at LSN {group['lsn']} ({segment.name}", said)
        self.assertIn(f"`urn-wal verify {self.data}`", said)

    def test_a_snapshot_in_time_makes_it_harmless(self):
        """A server that runs has the state that the damaged group led to, and can write it down."""
        self.two_snapshots()
        group, _ = self.damage_at(self.newest)
        self.assertGreater(self.server.call("snapshot"), group["lsn"])
        self.draw(self.SEGMENT)
        self.server.kill()
        self.server = self.serve(self.config, create=False)
        self.assert_state()

    def test_a_snapshot(self):
        self.two_snapshots()
        newest = sorted(self.data.glob("snapshot-*"))[-1]
        flip_bit(newest, 100)
        report, status = self.verify(self.data)
        self.assertEqual((status, [finding["kind"] for finding in report["findings"]]), (2, ["damage"]))
        self.assertIn(newest.name, report["findings"][0]["text"])
        self.draw(self.SEGMENT)
        self.assert_state()
        self.server.kill()
        self.server = self.serve(self.config, create=False)
        self.assertRegex(self.server.output(), r"1 newer snapshots? did not verify")
        self.assert_state()

    def test_what_no_start_and_no_verify_needs_beside_a_server(self):
        """Older than both snapshots: whole only for who asks for it; verify says so once the server has ended."""
        self.two_snapshots()
        group = next(group for group in self.groups(self.data) if group["lsn"] > self.SEGMENT // 2)
        flip_bit(self.data / "segment-0000", group["lsn"] + 200)
        self.assertEqual(self.verify(self.data)[1], 0)
        with self.assertRaises(RpcError) as refused:
            self.server.call("lookup", group["first_request_id"])
        self.assertEqual(refused.exception.code, "DAMAGED")
        self.assertEqual(self.server.stop(), 0)
        self.assert_damage(self.data, group["lsn"], self.data / "segment-0000")
