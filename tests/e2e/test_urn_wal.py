"""urn-wal on logs of the real server: beside it at full load while it laps, and after it has ended."""
import json
import re
import shutil

from harness import MAIN_CATALOG, Server, TestCase, make_config, run, wait_until
from load import Load

BATCH = 1000
SEGMENT_BYTES = 64 * 1024
RUNS_MIN = 8
LAPS = 3


class BesideAServer(TestCase):
    def setUp(self):
        super().setUp()
        self.items = [item["item_id"] for item in MAIN_CATALOG]
        config = make_config(pools=[{"name": "main", "catalog": [
            {**item, "quantity": -1} for item in MAIN_CATALOG]}],
            wal={"segment_size": f"{SEGMENT_BYTES // 1024}KiB", "segments": 3})
        self.server = self.serve(config)
        self.load = Load(self.server, BATCH)
        self.load.start()

    def tearDown(self):
        self.load.stop()
        super().tearDown()

    def looks(self, *arguments, statuses=(0,)):
        """Runs the command again and again until the log has lapped a few times, and until it has run often."""
        begin = self.server.call("info")["durable_lsn"]
        runs = 0
        while runs < RUNS_MIN or self.server.call("info")["durable_lsn"] < begin + LAPS * 3 * SEGMENT_BYTES:
            runs += 1
            self.assertTrue(self.load.is_alive(), self.load.failure)
            done = run("urn-wal", *arguments)
            self.assertIn(done.returncode, statuses, done.stdout[-2000:] + done.stderr)
            yield done

    def outcome(self, request_id):
        """What the server told of this draw, or None."""
        for back in range(BATCH):
            indexes = self.load.told.get(request_id - back)
            if indexes is not None:
                return self.items[indexes[back]] if back < len(indexes) else None
        return None

    def check_lines(self, lines):
        """Draws as they were told, and in order."""
        before = 0
        compared = 0
        for line in lines:
            word, request_id, pool, item = line.split(" ")
            self.assertEqual((word, pool), ("DRAW", "main"))
            self.assertGreater(int(request_id), before)
            before = int(request_id)
            if before % 97 == 0 and (told := self.outcome(before)) is not None:
                self.assertEqual(item, told, line)
                compared += 1
        return compared

    def test_verify(self):
        for done in self.looks("verify", "--json", self.server.data_dir):
            report = json.loads(done.stdout)
            self.assertEqual((report["verdict"], report["findings"]), ("sound", []))

    def test_cat(self):
        compared = 0
        for done in self.looks("cat", self.server.data_dir, statuses=(0, 3)):
            compared += self.check_lines(done.stdout.splitlines())
        self.assertGreater(compared, 1000)

    def test_cat_in_reverse(self):
        compared = 0
        for done in self.looks("cat", "--reverse", "-n", "20000", self.server.data_dir,
                               statuses=(0, 3)):
            compared += self.check_lines(reversed(done.stdout.splitlines()))
        self.assertGreater(compared, 1000)

    def test_cat_follows(self):
        for done in self.looks("cat", "--follow", "-n", "300000", self.server.data_dir,
                               statuses=(0, 3)):
            lines = done.stdout.splitlines()
            self.assertEqual(len(lines), 300000)
            self.check_lines(lines)

    def test_ls(self):
        for done in self.looks("ls", "--json", self.server.data_dir):
            listing = json.loads(done.stdout)
            self.assertEqual(listing["gaps"], [])
            self.assertTrue(all(snapshot["valid"] for snapshot in listing["snapshots"]))

    def replayed(self, done):
        """The state, checked against what the server told of the draw before it."""
        state = json.loads(done.stdout)
        last = state["next_request_id"] - 1
        drawn = sum(item["drawn"] for item in state["pools"][0]["items"])
        self.assertEqual(drawn, last)
        return last

    def test_replay(self):
        before = 0
        for done in self.looks("replay", "--json", self.server.data_dir):
            last = self.replayed(done)
            self.assertGreaterEqual(last, before)
            before = last
        self.assertGreater(before, 10 * BATCH)

    def test_replay_behind_a_draw(self):
        compared = 0
        for _ in self.looks("ls", self.server.data_dir):
            wanted = max(self.load.told, default=1) + BATCH // 2  # in the midst of a request
            done = run("urn-wal", "replay", "--json", "--until", f"id:{wanted}", self.server.data_dir)
            self.assertIn(done.returncode, (0, 1), done.stderr)  # not durable yet, or gone already
            if done.returncode == 0:
                self.assertEqual(self.replayed(done), wanted)
                compared += 1
        self.assertGreater(compared, 0)

    def test_replay_against_the_server(self):
        address = f"unix:{self.server.unix_address}"
        for done in self.looks("replay", "--json", "--against", address, self.server.data_dir):
            report = json.loads(done.stdout)
            self.assertEqual((report["alike"], report["pools"], report["items"]),
                             (True, 1, len(self.items)))

    def test_find(self):
        found = 0
        for _ in self.looks("ls", self.server.data_dir):
            wanted = max(self.load.told, default=1)
            done = run("urn-wal", "find", "--json", self.server.data_dir, wanted)
            self.assertIn(done.returncode, (0, 1), done.stderr)  # not durable yet, or gone already
            if done.returncode == 0:
                answer = json.loads(done.stdout)
                self.assertEqual(answer["item_id"], self.outcome(wanted), answer)
                found += 1
        self.assertGreater(found, 0)

    def test_export(self):
        compared = 0
        for done in self.looks("export", "--json", self.server.data_dir, statuses=(0, 3)):
            for line in done.stdout.splitlines():
                draw = json.loads(line)
                if draw["request_id"] % 97 == 0:
                    told = self.outcome(draw["request_id"])
                    self.assertIn(draw["item_id"], (told, *(() if told else self.items)), line)
                    compared += told is not None
        self.assertGreater(compared, 1000)

    def test_reconcile(self):
        """What was told is in the log, to the last draw, while the server goes on; older ones are not
        judged."""
        for _ in self.looks("ls", self.server.data_dir):
            last = max(self.load.told, default=0)
            told = {first: indexes for first, indexes in list(self.load.told.items())
                    if last - 20 * BATCH < first <= last}
            delivered = "".join(f"{first + i},{self.items[index]}\n"
                                for first, indexes in told.items() for i, index in enumerate(indexes))
            path = self.folder / "delivered.csv"
            path.write_text(delivered, encoding="utf-8")
            done = run("urn-wal", "export", self.server.data_dir, "--json", "-n", "1", "--request-id",
                       f"{min(told)}-{last}", "--reconcile", path)
            self.assertIn(done.returncode, (0, 1, 3), done.stderr)
            counts = json.loads(done.stdout.splitlines()[-1])
            self.assertEqual((counts["mismatched"], counts["duplicate"], counts["unknown"]), (0, 0, 0),
                             done.stdout)


class BesideARestingServer(TestCase):
    def test_replay_against_it_in_every_mode(self):
        """At once, when nothing in the log says yet that its end is durable, or it never will be."""
        for mode in ("commit", "interval", "os"):
            with self.subTest(mode=mode):
                folder = self.folder / mode
                folder.mkdir()
                server = Server(folder, make_config(wal={"mode": mode}))
                self.addCleanup(server.kill)
                for _ in range(20):
                    server.call("draw", "main", 100)
                    done = run("urn-wal", "replay", "--against", f"unix:{server.unix_address}",
                               server.data_dir)
                    self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
                    self.assertIn("log and server say the same: 1 pool, 4 items", done.stdout)


class IdsThatAStartLeftOut(TestCase):
    def test_server_and_tool_name_the_same_group(self):
        """With nothing behind the epoch group, and with draws behind it."""
        config = make_config(wal={"mode": "interval"})
        server = self.serve(config)
        last = server.call("draw", "main", 100)[0] + 99
        server.kill()
        server = self.serve(config, create=False)
        for _ in range(2):
            done = run("urn", "--address", f"unix:{server.unix_address}", "lookup", str(last + 1))
            told = re.search(r"a start or a repair left out \d+ to (\d+) \(LSN \d+\)", done.stderr)
            self.assertTrue(told, done.stderr)
            for request_id in (last + 1, int(told[1])):
                wait_until(lambda: told[0] in run("urn-wal", "find", server.data_dir, str(request_id)).stderr,
                           "urn-wal find to say the same")
            server.call("draw", "main", 10)


class AfterAServer(TestCase):
    def test_export_and_reconcile(self):
        server = self.serve()
        server.call("draw", "main", 5000)
        server.call("draw", "main", 100)
        self.assertEqual(server.stop(), 0)
        exported = run("urn-wal", "export", server.data_dir)
        self.assertEqual((exported.returncode, exported.stderr), (0, ""))
        printed = run("urn-wal", "cat", server.data_dir).stdout
        rows = [row.split(",") for row in exported.stdout.splitlines()[1:]]
        self.assertEqual([f"DRAW {row[0]} {row[1]} {row[2]}" for row in rows], printed.splitlines())

        def reconcile(text):
            path = self.folder / "delivered.csv"
            path.write_text(text, encoding="utf-8", newline="")
            with path.open("rb") as delivered:
                return run("urn-wal", "export", server.data_dir, "--reconcile", "-", stdin=delivered)

        done = reconcile(exported.stdout)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertIn("matched 5100, missing 0,", done.stdout)
        done = reconcile("".join(f"{row[0]},{row[2]}\r\n" for row in reversed(rows[:-1])))
        self.assertEqual((done.returncode, done.stdout.splitlines()[0]),
                         (1, f"MISSING 5100 main {rows[-1][2]}"))
        done = reconcile("1,\"mud\n")
        self.assertEqual((done.returncode, done.stdout), (65, ""))
        self.assertIn("urn-wal: standard input, line 1: a quote is opened here", done.stderr)
        done = run("urn-wal", "export", server.data_dir, "--reconcile", self.folder)
        self.assertEqual((done.returncode, done.stdout), (74, ""))

    def test_the_commands_agree_and_change_nothing(self):
        server = self.serve()
        for _ in range(30):
            server.call("draw", "main", 50)
        server.call("update", "main", "mud", {"probability": 3})
        server.call("draw", "main", 7)
        self.assertEqual(server.stop(), 0)
        before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns)
                  for path in server.data_dir.iterdir()}

        def answer(*arguments):
            done = run("urn-wal", *arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
            return done.stdout

        text = answer("cat", server.data_dir)
        draws = re.findall(r"^DRAW (\d+) main (\S+)$", text, flags=re.M)
        self.assertEqual([int(request_id) for request_id, _ in draws], list(range(1, 1508)))
        objects = [json.loads(line) for line in
                   answer("cat", server.data_dir, "--format", "json").splitlines()]
        told = [(str(o["request_id"]), o["item_id"] or "FAILED") for o in objects
                if o["type"] == "draw"]
        self.assertEqual(told, draws)
        rows = answer("cat", server.data_dir, "--format", "csv", "--type", "draw").splitlines()
        self.assertEqual([row.split(",")[1] for row in rows[1:]], [str(i) for i in range(1, 1508)])
        for request_id in (1, 700, 1507):
            found = json.loads(answer("find", server.data_dir, request_id, "--json", "--odds"))
            self.assertEqual(found["item_id"] or "FAILED", draws[request_id - 1][1])
            self.assertEqual(found["odds_version"], 1 if request_id <= 1500 else 2)
        listing = json.loads(answer("ls", server.data_dir, "--json"))
        self.assertEqual(sum(s.get("draws", 0) for s in listing["segments"]), 1507)
        report = json.loads(answer("verify", server.data_dir, "--json"))
        self.assertEqual((report["draws"], report["end"], report["start_case"]),
                         (1507, "clean end", "D7"))
        newest = sorted(server.data_dir.glob("snapshot-*"))[-1]
        snapshot = json.loads(answer("cat", newest, "--format", "json"))
        self.assertEqual(snapshot["next_request_id"], 1508)
        self.assertEqual(sum(item["drawn"] for item in snapshot["pools"][0]["items"]),
                         sum(item != "FAILED" for _, item in draws))
        self.assertEqual({path.name: (path.read_bytes(), path.stat().st_mtime_ns)
                          for path in server.data_dir.iterdir()}, before, "the tool only looks")

    def test_replay_comes_to_what_the_server_wrote(self):
        """From the first snapshot and all the log, the last one, to the byte."""
        server = self.serve()
        for _ in range(30):
            server.call("draw", "main", 50)
        server.call("update", "main", "mud", {"probability": 3})
        server.call("create", "autumn", [{"item_id": "leaf", "quantity": 3, "probability": 1}])
        server.call("draw", "autumn", 5)
        self.assertEqual(server.stop(), 0)
        snapshots = sorted(server.data_dir.glob("snapshot-*"))
        before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns)
                  for path in server.data_dir.iterdir()}
        lsn = int(snapshots[-1].name.split("-")[1], 16)
        written = self.folder / "written"
        done = run("urn-wal", "replay", server.data_dir, "--from", snapshots[0].name,
                   "--until", f"lsn:{lsn}", "--output", written)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(written.read_bytes(), snapshots[-1].read_bytes())
        done = run("urn-wal", "replay", server.data_dir, "--from", snapshots[0].name, "--output",
                   written)
        self.assertEqual(done.returncode, 73, done.stderr)
        traced = run("urn-wal", "replay", server.data_dir, "--from", snapshots[0].name, "--trace",
                     "--item", "mud")
        taken = sum(int(number) for number in re.findall(r" taken=(\d+)$", traced.stdout, flags=re.M))
        state = json.loads(run("urn-wal", "replay", server.data_dir, "--json").stdout)
        self.assertEqual(taken, state["pools"][0]["items"][3]["drawn"])
        self.assertEqual([item["quantity"] for item in state["pools"][1]["items"]], [0])
        self.assertEqual({path.name: (path.read_bytes(), path.stat().st_mtime_ns)
                          for path in server.data_dir.iterdir()}, before, "the tool only looks")

    def test_diff_of_a_copy_that_went_on(self):
        """The server goes on, and so does a server on a copy: they part where the copy was started."""
        server = self.serve()
        for _ in range(10):
            server.call("draw", "main", 50)
        self.assertEqual(server.stop(), 0)
        copy = self.folder / "copy"
        shutil.copytree(server.data_dir, copy / "data")
        done = run("urn-wal", "diff", "--json", server.data_dir, copy / "data")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        end = json.loads(done.stdout)["lsn"]
        server = self.serve()
        server.call("draw", "main", 3)
        done = run("urn-wal", "diff", "--json", server.data_dir, copy / "data")
        self.assertEqual(done.returncode, 1, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual((report["verdict"], report["shorter"], report["lsn"]), ("prefix", "b", end))
        self.assertTrue(report["a"]["in_use"])
        other = Server(copy, make_config())
        self.addCleanup(other.kill)
        other.call("draw", "main", 4)
        done = run("urn-wal", "diff", server.data_dir, copy / "data")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"they part at LSN {end}", done.stdout)
        self.assertIn("EPOCH", done.stdout)

    def test_a_pipe_that_nobody_reads_any_more(self):
        server = self.serve()
        server.call("draw", "main", 5000)
        self.assertEqual(server.stop(), 0)
        done = run("urn-wal", "cat", server.data_dir, "-n", "3")
        self.assertEqual(len(done.stdout.splitlines()), 3)
