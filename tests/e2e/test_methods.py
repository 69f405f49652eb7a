"""Every method, every option, and every error that a healthy server gives."""
import msgpack

from harness import MAIN_CATALOG, RpcError, SharedServerTestCase, TestCase, make_config

IDS = [item["item_id"] for item in MAIN_CATALOG]


class Methods(SharedServerTestCase):
    config = make_config(pools=[
        {"name": "main", "catalog": MAIN_CATALOG},
        {"name": "dry", "catalog": [{"item_id": "last", "quantity": 3, "probability": 1}]},
        {"name": "never", "catalog": [{"item_id": "none", "quantity": 0, "probability": 1}]},
        {"name": "pair", "catalog": [{"item_id": "one", "quantity": 5, "probability": 1}]},
        {"name": "gone", "catalog": [{"item_id": "one", "quantity": 5, "probability": 1}]},
        {"name": "été", "catalog": [{"item_id": "soleil ☀", "quantity": -1, "probability": 1}]},
    ])

    def test_ping(self):
        self.assertEqual(self.call("ping"), "pong")

    def test_draw_names(self):
        first, outcomes, failed, odds_version, replayed = self.call("draw", "main", 10)
        self.assertGreaterEqual(first, 1)
        self.assertEqual(len(outcomes), 10)
        self.assertLessEqual(set(outcomes), set(IDS))
        self.assertEqual((failed, odds_version, replayed), (0, 1, False))
        second = self.call("draw", "main", 1)[0]
        self.assertEqual(second, first + 10)

    def test_draw_says_names_when_asked(self):
        outcomes = self.call("draw", "main", 3, {"as": "names"})[1]
        self.assertLessEqual(set(outcomes), set(IDS))

    def test_draw_indexes(self):
        outcomes = self.call("draw", "main", 50, {"as": "indexes"})[1]
        self.assertEqual(len(outcomes), 50)
        self.assertLessEqual(set(outcomes), set(range(len(IDS))))

    def test_draw_tally(self):
        _, tally, failed, _, _ = self.call("draw", "main", 1000, {"as": "tally"})
        self.assertIsInstance(tally, dict)
        self.assertEqual(sum(tally.values()) + failed, 1000)
        self.assertLessEqual(set(tally), set(IDS))
        self.assertGreater(tally["mud"], 0)

    def test_draw_all(self):
        self.assertEqual(self.call("draw", "main", 2, {"all": True})[2], 0)
        self.assertEqual(self.call("draw", "main", 2, {"all": False, "as": "names"})[2], 0)

    def test_a_pool_that_runs_dry(self):
        first, outcomes, failed, _, _ = self.call("draw", "dry", 5)
        self.assertEqual(outcomes, ["last"] * 3 + [None] * 2)
        self.assertEqual(failed, 2)
        # Failed draws have ids of their own.
        again, outcomes, failed, _, _ = self.call("draw", "dry", 2, {"as": "indexes"})
        self.assertEqual((again, outcomes, failed), (first + 5, [None, None], 2))
        self.assertEqual(self.call("draw", "dry", 2, {"as": "tally"})[1:3], [{}, 2])
        self.assertEqual(self.call("state", "dry")["items"][0]["quantity"], 0)

    def test_nothing_in_stock(self):
        self.assertEqual(self.call("draw", "never", 1)[1:3], [[None], 1])
        self.assert_error("NOSTOCK", self.call, "draw", "never", 1, {"all": True})

    def test_all_or_nothing(self):
        before = self.call("state", "pair")
        self.assert_error("NOSTOCK", self.call, "draw", "pair", 6, {"all": True})
        after = self.call("state", "pair")
        self.assertEqual(after["items"], before["items"])
        first, outcomes, failed, _, _ = self.call("draw", "pair", 5, {"all": True})
        self.assertEqual((outcomes, failed), (["one"] * 5, 0))
        self.assertGreater(first, before["last_request_id"])

    def test_state(self):
        self.call("draw", "main", 20)
        state = self.call("state", "main")
        self.assertEqual(set(state), {"pool", "open", "odds_version", "last_request_id", "lsn",
                                      "total", "items"})
        self.assertEqual((state["pool"], state["open"], state["odds_version"], state["total"]),
                         ("main", True, 1, len(IDS)))
        self.assertGreater(state["lsn"], 0)
        for index, (item, spec) in enumerate(zip(state["items"], MAIN_CATALOG)):
            self.assertEqual(set(item), {"item_id", "index", "quantity", "probability", "drawn"})
            self.assertEqual((item["item_id"], item["index"], item["probability"]),
                             (spec["item_id"], index, spec["probability"]))
            if spec["quantity"] == -1:
                self.assertEqual(item["quantity"], -1)
            else:
                self.assertEqual(item["quantity"] + item["drawn"], spec["quantity"])

    def test_state_in_pages(self):
        pages = [self.call("state", "main", {"offset": offset, "limit": 2})["items"]
                 for offset in (0, 2, 4)]
        self.assertEqual([[item["index"] for item in page] for page in pages], [[0, 1], [2, 3], []])
        whole = self.call("state", "main", {"limit": 1000})
        self.assertEqual([item["item_id"] for item in whole["items"]], IDS)
        self.assertEqual(self.call("state", "main", {"limit": 0})["items"], [])
        self.assertEqual(self.call("state", "main", {"offset": 4294967295})["items"], [])

    def test_catalog(self):
        self.assertEqual(self.call("catalog", "main"), [1, len(IDS), IDS])
        self.assertEqual(self.call("catalog", "main", {"offset": 1, "limit": 2}),
                         [1, len(IDS), IDS[1:3]])
        self.assertEqual(self.call("catalog", "main", {"offset": 99}), [1, len(IDS), []])

    def test_names_are_utf8(self):
        self.assertEqual(self.call("draw", "été", 1)[1], ["soleil ☀"])
        self.assertEqual(self.call("catalog", "été")[2], ["soleil ☀"])

    def test_pools(self):
        self.assertEqual(self.call("pools"), ["main", "dry", "never", "pair", "gone", "été"])

    def test_info(self):
        info = self.call("info")
        self.assertEqual(info["version"], "0.1.0")
        self.assertEqual(info["mode"], "commit")
        self.assertGreaterEqual(info["uptime_s"], 0)
        before = info["durable_lsn"]
        self.call("draw", "main", 1)
        self.assertGreater(self.call("info")["durable_lsn"], before)

    def test_a_method_may_come_as_bytes(self):
        msgid = next(self.client.ids)
        self.client.send_bytes(msgpack.packb([0, msgid, b"ping", []], use_bin_type=True))
        self.assertEqual(self.client.reply(msgid), "pong")

    def test_a_pool_may_come_as_bytes(self):
        msgid = next(self.client.ids)
        self.client.send_bytes(msgpack.packb([0, msgid, "draw", [b"main", 1]], use_bin_type=True))
        self.assertEqual(len(self.client.reply(msgid)[1]), 1)

    # ---- errors -----------------------------------------------------------------------------

    def test_nopool(self):
        for method, rest in (("draw", [1]), ("state", []), ("catalog", [])):
            for name in ("nobody", "", "x" * 65, "x" * 5000, "main\0"):
                self.assert_error("NOPOOL", self.call, method, name, *rest)

    def test_nomethod(self):
        for method in ("drawn", "", "DRAW", "nvim_get_api_info", "x" * 1000):
            text = self.assert_error("NOMETHOD", self.call, method)
            self.assertIn("draw", text)

    def test_badarg(self):
        cases = [
            ("ping", 1), ("ping", {}), ("pools", "main"), ("info", None),
            ("draw",), ("draw", "main"), ("draw", "main", 1, {}, 1), ("draw", "main", 1, 1),
            ("draw", 5, 1), ("draw", None, 1), ("draw", ["main"], 1), ("draw", {}, 1),
            ("draw", "main", 0), ("draw", "main", -1), ("draw", "main", -(2 ** 63)),
            ("draw", "main", "1"), ("draw", "main", 1.0), ("draw", "main", None),
            ("draw", "main", True), ("draw", "main", [1]),
            ("draw", "main", 1, {"as": "numbers"}), ("draw", "main", 1, {"as": 1}),
            ("draw", "main", 1, {"all": 1}), ("draw", "main", 1, {"all": "true"}),
            ("draw", "main", 1, {"al": True}), ("draw", "main", 1, {1: True}),
            ("draw", "main", 1, {"key": "x"}), ("draw", "main", 1, {"": ""}),
            ("state",), ("state", 1), ("state", "main", 1), ("state", "main", {}, {}),
            ("state", "main", {"offset": -1}), ("state", "main", {"limit": "5"}),
            ("state", "main", {"limit": 2 ** 32}), ("state", "main", {"limits": 1}),
            ("catalog",), ("catalog", None), ("catalog", "main", {"offset": 1.5}),
            ("catalog", "main", {"as": "names"}),
        ]
        before = self.call("state", "main")
        for method, *params in cases:
            with self.subTest(method=method, params=params):
                self.assert_error("BADARG", self.call, method, *params)
        self.assertEqual(self.call("state", "main")["last_request_id"], before["last_request_id"])

    def test_the_same_option_twice(self):
        msgid = next(self.client.ids)
        options = b"\x82" + msgpack.packb("all") + b"\xc2" + msgpack.packb("all") + b"\xc2"
        self.client.send_bytes(b"\x94\x00" + msgpack.packb(msgid) + msgpack.packb("draw") + b"\x93" +
                               msgpack.packb("main") + b"\x01" + options)
        self.assert_error("BADARG", self.client.reply, msgid)

    def test_more_draws_than_max_batch(self):
        self.assertEqual(len(self.call("draw", "main", 10000, {"as": "indexes"})[1]), 10000)
        for count in (10001, 2 ** 32, 2 ** 53, 2 ** 64 - 1):
            self.assertIn(self.code_of("draw", "main", count), ("BADARG", "TOOBIG"))

    def code_of(self, method, *params):
        try:
            self.call(method, *params)
        except RpcError as error:
            return error.code
        return None

    def test_an_error_names_what_is_wrong(self):
        text = self.assert_error("BADARG", self.call, "draw", "main", 1, {"al": True})
        self.assertIn("al", text)
        text = self.assert_error("NOPOOL", self.call, "draw", "nobody", 1)
        self.assertIn("nobody", text)


class Limits(TestCase):
    def test_a_reply_that_could_be_too_big_draws_nothing(self):
        server = self.serve(make_config(limits={"max_reply_bytes": "64KiB", "max_pools": 8}))
        with server.client() as client:
            text = self.assert_error("TOOBIG", client.call, "draw", "main", 10000)
            self.assertIn("limits.max_reply_bytes", text)
            self.assertEqual(client.call("state", "main", {"limit": 4})["last_request_id"], 0)
            self.assertEqual(len(client.call("draw", "main", 500)[1]), 500)
            # Indexes need less room than names.
            self.assertEqual(len(client.call("draw", "main", 10000, {"as": "indexes"})[1]), 10000)

    def test_a_full_queue_answers_busy(self):
        server = self.serve(make_config(limits={"max_batch": 10000, "queue_draws": 10000,
                                                "max_inflight": 65536}))
        with server.client() as client:
            wanted = [client.send("draw", "main", 6000, {"as": "tally"}) for _ in range(200)]
            replies = [client.receive() for _ in wanted]
            self.assertEqual(sorted(reply[1] for reply in replies), wanted)
            errors = {reply[2].split(" ")[0] for reply in replies if reply[2] is not None}
            done = sum(reply[2] is None for reply in replies)
            self.assertLessEqual(errors, {"BUSY"})
            self.assertGreater(done, 0)
            self.assertEqual(client.call("state", "main")["last_request_id"], done * 6000)

    def test_the_log_goes_round_and_still_starts(self):
        config = make_config(wal={"segment_size": "128KiB", "segments": 3})
        server = self.serve(config)
        with server.client() as client:
            for _ in range(200):  # some 5 laps
                client.call_until_room("draw", "main", 10000, {"as": "tally"})
            info = client.call("info")
            self.assertGreater(info["durable_lsn"], 4 * info["ring"]["size_bytes"])
            self.assertGreater(info["counters"]["snapshots"], 8)
            self.assertIn(info["snapshot_io"], ("io_uring", "plain"))
            covered = {client.call("snapshot") for _ in range(3)}
            self.assertLessEqual(len(covered), 2)  # nothing changes but the mark, which comes once
            state = client.call("state", "main")
            self.assertEqual(client.call("ping"), "pong")
        for _ in range(5):
            server.kill()
            server = self.serve(config, create=False)
            again = server.call("state", "main")
            self.assertEqual(again["items"], state["items"])
            self.assertEqual(again["last_request_id"], state["last_request_id"])
