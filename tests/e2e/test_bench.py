"""urn-bench against a real server: what it counts is what the server counted, and what goes wrong is said."""
import json
import os
import signal
import socket
import subprocess
import threading
import time

import msgpack

from harness import DEADLINE_S, SharedServerTestCase, TestCase, make_config, program, run, wait_until

POOLS = [
    {"name": "main", "catalog": [{"item_id": "gold", "quantity": 10, "probability": 1},
                                 {"item_id": "mud", "quantity": -1, "probability": 9}]},
    {"name": "few", "catalog": [{"item_id": "last", "quantity": 40, "probability": 1}]},
    {"name": "other", "catalog": [{"item_id": "mud", "quantity": -1, "probability": 1}]},
]


class Bench(SharedServerTestCase):
    config = make_config(POOLS)

    def bench(self, *arguments, address=None):
        host, port = self.server.address
        return run("urn-bench", "--address", address or f"{host}:{port}", *arguments)

    def report(self, *arguments, **options):
        """The report of a run of which everything is measured."""
        done = self.bench("--json", "--warm-up", "0", *arguments, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return json.loads(done.stdout)

    def counters(self):
        return self.call("info")["counters"]

    def test_every_call_is_counted_once(self):
        unix = f"unix:{self.server.unix_address}"
        for arguments, draws, address in [
                (["--connections", "1"], 1, None),
                (["--connections", "7", "--pipeline", "16", "--as", "indexes"], 1, None),
                (["--connections", "5", "--pipeline", "3", "--threads", "3", "--draws", "100"], 100, None),
                (["--draws", "1000", "--as", "tally", "--connections", "2"], 1000, unix),
                (["--draws", "500", "--as", "indexes", "--pipeline", "4"], 500, unix),
                (["--rate", "100000", "--pipeline", "8", "--threads", "2"], 1, None)]:
            with self.subTest(arguments):
                before = self.counters()
                report = self.report("--calls", "500", "--check", *arguments, address=address)
                after = self.counters()
                self.assertEqual(after["draws"] - before["draws"], 500 * draws)
                self.assertEqual(report["calls"], 500)
                self.assertEqual(report["draws"], 500 * draws)
                self.assertEqual((report["errors"], report["busy"], report["unanswered"]), ({}, 0, 0))
                self.assertEqual(report["server"]["draws"], 500 * draws)
                ids = report["ids"]
                self.assertEqual((ids["given"], ids["doubled"], ids["disordered"], ids["gaps"]),
                                 (500 * draws, 0, 0, 0))
                self.assertEqual(self.call("state", "main")["last_request_id"], ids["last"])
                latency = report["latency_us"]
                self.assertTrue(0 < latency["p50"] <= latency["p99"] <= latency["p999"] <= latency["max"])

    def test_failed_draws_are_counted(self):
        report = self.report("--pool", "few", "--calls", "10", "--draws", "7")
        self.assertEqual((report["draws"], report["failed_draws"]), (70, 30))
        report = self.report("--pool", "few", "--calls", "3", "--draws", "7", "--as", "tally")
        self.assertEqual((report["draws"], report["failed_draws"]), (21, 21))

    def test_pools_take_turns(self):
        def drawn(pool):
            return sum(item["drawn"] for item in self.call("state", pool)["items"])

        before = drawn("main"), drawn("other")
        self.report("--pool", "main", "--pool", "other", "--calls", "100")
        self.assertEqual((drawn("main"), drawn("other")), (before[0] + 50, before[1] + 50))
        self.report("--pool", "main", "--pool", "other", "--calls", "1000", "--pick", "random")
        shares = drawn("main") - before[0] - 50, drawn("other") - before[1] - 50
        self.assertEqual(sum(shares), 1000)
        self.assertGreater(min(shares), 300)
        self.assertEqual(self.report("--all-pools", "--calls", "30")["pools"], 3)

    def test_warm_up_is_not_measured(self):
        before = self.counters()
        done = self.bench("--json", "--calls", "50", "--warm-up", "20ms", "--connections", "2")
        report = json.loads(done.stdout)
        self.assertEqual(report["calls"], 50)
        self.assertGreater(report["warm_up_calls"], 0)
        self.assertEqual(self.counters()["draws"] - before["draws"], 50 + report["warm_up_calls"])

    def test_an_open_loop_keeps_its_rate(self):
        report = self.report("--rate", "1000", "--duration", "300ms", "--pipeline", "100")
        self.assertEqual((report["loop"], report["calls"]), ("open", 300))
        self.assertGreaterEqual(report["seconds"], 0.3)

    def test_text(self):
        done = self.bench("--calls", "100", "--warm-up", "0", "--check")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for words in ("50 connections x 1 call, 1 draw a call as names, pool main", "mode commit", "p99.9",
                      "unique, increasing", "bytes a draw"):
            self.assertIn(words, done.stdout)
        self.assertLessEqual(max(len(line) for line in done.stdout.splitlines()), 80)

    def test_ping(self):
        before = self.counters()["requests"]
        report = self.report("--ping", "--calls", "1000", "--pipeline", "16")
        self.assertEqual((report["calls"], report["method"]), (1000, "ping"))
        self.assertEqual(self.counters()["requests"] - before, 1001)

    def test_refusals(self):
        done = self.bench("--pool", "none", "--calls", "5")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("NOPOOL", done.stderr)
        done = self.bench("--draws", "20000", "--calls", "5", "--warm-up", "0", "--json")
        self.assertEqual(done.returncode, 1, done.stderr)
        errors = json.loads(done.stdout)["errors"]
        self.assertEqual({code: error["count"] for code, error in errors.items()}, {"BADARG": 5})
        self.assertIn("count", errors["BADARG"]["first"])
        for arguments, status in ((["--nonsense"], 64), (["--address", "nowhere"], 64),
                                  (["--address", f"unix:{self.shared_folder}/none"], 69)):
            done = run("urn-bench", *arguments)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertTrue(done.stderr.startswith("urn-bench: "), done.stderr)


class BenchAlone(TestCase):
    def start(self, address, *arguments):
        process = subprocess.Popen([program("urn-bench"), "--address", address, "--warm-up", "0", "--json",
                                    *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def test_an_interrupt_ends_the_load_and_reports(self):
        server = self.serve(make_config(POOLS))
        process = self.start(f"unix:{server.unix_address}", "--duration", "1h", "--check")
        wait_until(lambda: server.call("info")["counters"]["draws"] > 100, "some draws")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE_S)
        self.assertEqual((process.returncode, err), (0, ""), out)
        report = json.loads(out)
        self.assertTrue(report["interrupted"])
        self.assertEqual(report["draws"], server.call("info")["counters"]["draws"])
        self.assertEqual(report["ids"]["given"], report["draws"])

    def test_a_server_that_dies_is_reported(self):
        server = self.serve(make_config(POOLS))
        process = self.start(f"unix:{server.unix_address}", "--duration", "1h", "--pipeline", "4")
        # More than are under way at a time: some have been answered.
        wait_until(lambda: server.call("info")["counters"]["draws"] > 1000, "some draws")
        server.kill()
        out, err = process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 74, err)
        report = json.loads(out)
        self.assertIn("connection", report["failure"])
        self.assertGreater(report["calls"], 0)
        self.assertGreater(report["unanswered"], 0)


class Pretender(TestCase):
    """Servers that answer what no server of urn answers: the load generator must see it."""

    def pretend(self, answer, *arguments):
        """Runs urn-bench against a server that answers requests with answer(message, number)."""
        path = os.path.join(self.folder, "pretender.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self.addCleanup(listener.close)

        def serve(connection):
            unpacker = msgpack.Unpacker(raw=False)
            number = 0
            try:
                while data := connection.recv(1 << 16):
                    unpacker.feed(data)
                    for message in unpacker:
                        number += 1
                        for reply in answer(message, number):
                            connection.sendall(msgpack.packb(reply))
            except OSError:
                pass

        def accept():
            try:
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
            except OSError:
                pass

        threading.Thread(target=accept, daemon=True).start()
        return run("urn-bench", "--address", f"unix:{path}", "--connections", "1", "--warm-up", "0", "--json",
                   *arguments)

    def draws(self, result, *arguments):
        """A server that knows draws only; result(number, count) is what it answers to them."""
        def answer(message, number):
            _, msgid, method, params = message
            if method != "draw":
                return [[1, msgid, "NOMETHOD only draw", None]]
            return [[1, msgid, None, result(number, params[1])]]

        return self.pretend(answer, "--calls", "20", "--check", *arguments)

    def test_honest(self):
        done = self.draws(lambda number, count: [number, ["x"] * count, 0, 1, False])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        report = json.loads(done.stdout)
        self.assertEqual((report["calls"], report["server"]), (20, None))

    def test_ids_twice(self):
        done = self.draws(lambda number, count: [number // 2 + 1, ["x"] * count, 0, 1, False])
        self.assertEqual(done.returncode, 65, done.stderr)
        ids = json.loads(done.stdout)["ids"]
        self.assertGreater(ids["doubled"], 0)
        self.assertGreater(ids["disordered"], 0)

    def test_ids_overlapping(self):
        done = self.draws(lambda number, count: [number, ["x"] * count, 0, 1, False], "--draws", "2")
        self.assertEqual(done.returncode, 65, done.stderr)

    def test_ids_falling(self):
        done = self.draws(lambda number, count: [1000 - number, ["x"] * count, 0, 1, False])
        self.assertEqual(done.returncode, 65, done.stderr)
        ids = json.loads(done.stdout)["ids"]
        self.assertEqual((ids["doubled"], ids["disordered"]), (0, 19))

    def test_too_few_outcomes(self):
        done = self.draws(lambda number, count: [number, ["x"] * (count - 1), 0, 1, False], "--draws", "2")
        self.assertEqual(done.returncode, 74, done.stdout)
        self.assertIn("outcomes", done.stderr)

    def test_a_msgid_of_nobody(self):
        done = self.pretend(lambda message, _: [[1, message[1] ^ 1, None, "pong"]], "--ping", "--calls", "5")
        self.assertEqual(done.returncode, 74, done.stdout)
        self.assertIn("msgid", done.stderr)

    def test_a_reply_twice(self):
        done = self.pretend(lambda message, _: [[1, message[1], None, "pong"]] * 2, "--ping", "--calls", "50",
                            "--pipeline", "2")
        self.assertEqual(done.returncode, 74, done.stdout)

    def test_no_reply(self):
        done = self.pretend(lambda message, number: [[1, message[1], None, 0]] if number < 10 else [],
                            "--ping", "--calls", "50", "--timeout", "100ms")
        self.assertEqual(done.returncode, 74, done.stdout)
        self.assertIn("no reply came for 100 ms", done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual((report["calls"], report["unanswered"]), (9, 1))

    def test_an_open_loop_counts_from_when_calls_were_due(self):
        def answer(message, number):
            if number == 1:
                time.sleep(0.3)  # a pause in which all 100 calls become due
            return [[1, message[1], None, "pong"]]

        done = self.pretend(answer, "--ping", "--rate", "1000", "--calls", "100")
        report = json.loads(done.stdout)
        self.assertEqual(report["calls"], 100)
        self.assertGreaterEqual(report["held_back"], 98)
        # The last one was due 99 ms behind the first, and waited for the rest of the pause at least.
        self.assertGreaterEqual(report["latency_us"]["p50"], 200000)

    def test_busy_is_counted_apart(self):
        def answer(message, number):
            return [[1, message[1], "BUSY later" if number % 2 else None, None if number % 2 else "pong"]]

        done = self.pretend(answer, "--ping", "--calls", "50")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        report = json.loads(done.stdout)
        self.assertEqual((report["calls"], report["busy"], report["errors"]), (25, 25, {}))

    def test_any_echo_will_do(self):
        done = self.pretend(lambda message, _: [[1, message[1], None, {"a": [1, 2.5, None]}]], "--ping",
                            "--calls", "50", "--pipeline", "8")
        self.assertEqual((done.returncode, json.loads(done.stdout)["calls"]), (0, 50))
