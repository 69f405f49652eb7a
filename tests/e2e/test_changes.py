"""Changes of items and pools over the wire: each method, each error, and that they survive."""
import signal

from harness import MAIN_CATALOG, SharedServerTestCase, TestCase, make_config, wait_until, write_config

COIN_STOCK = {"quantity": 5, "probability": 2}
COIN = {"item_id": "coin", "quantity": 5, "probability": 2}


class Changes(SharedServerTestCase):
    config = make_config(pools=[{"name": "main", "catalog": MAIN_CATALOG}])

    def make(self, name, *items):
        self.call("create", name, list(items))
        return name

    def items(self, pool):
        return {item["item_id"]: item for item in self.call("state", pool)["items"]}

    def test_update_sets_stock_and_weight(self):
        pool = self.make("update", COIN)
        self.assertEqual(self.call("update", pool, "coin", {"quantity": 9}), 1)
        self.assertEqual(self.call("update", pool, "coin", {"probability": 3}), 2)
        self.assertEqual(self.call("update", pool, "coin", {"quantity": -1, "probability": 3}), 2)
        self.assertEqual(self.items(pool)["coin"],
                         {"item_id": "coin", "index": 0, "quantity": -1, "probability": 3,
                          "drawn": 0})

    def test_update_under_a_condition(self):
        pool = self.make("condition", COIN)
        self.call("draw", pool, 2)
        error = self.assert_error("CONFLICT", self.call, "update", pool, "coin",
                                  {"quantity": 50, "if_quantity": 5})
        self.assertIn("3 of item \"coin\" are left, not 5", str(error))
        self.call("update", pool, "coin", {"quantity": 50, "if_quantity": 3})
        self.assertEqual(self.items(pool)["coin"]["drawn"], 2)

    def test_add(self):
        pool = self.make("add", COIN)
        self.assertEqual(self.call("add", pool, "été", {"quantity": 1, "probability": 1}), 2)
        self.assertEqual(self.call("catalog", pool), [2, 2, ["coin", "été"]])
        self.assert_error("EXISTS", self.call, "add", pool, "coin",
                          {"quantity": 1, "probability": 1})

    def test_create_close_open(self):
        self.assertEqual(self.call("create", "life", [COIN]), 1)
        self.assertIn("life", self.call("pools"))
        self.assertEqual(self.call("close", "life"), 1)
        self.assertEqual(self.call("close", "life"), 1)
        self.assertFalse(self.call("state", "life")["open"])
        self.assert_error("CLOSED", self.call, "draw", "life", 1)
        self.assertEqual(self.call("open", "life"), 1)
        self.assertEqual(self.call("draw", "life", 6)[1:3], [["coin"] * 5 + [None], 1])
        self.assert_error("EXISTS", self.call, "create", "life", [COIN])

    def test_an_empty_pool(self):
        self.assertEqual(self.call("create", "empty"), 1)
        self.assertEqual(self.call("create", "empty too", None), 1)
        self.assertEqual(self.call("draw", "empty", 1)[1:3], [[None], 1])

    def test_a_large_catalog(self):
        catalog = [{"item_id": f"code-{n}", "quantity": 1, "probability": 1}
                   for n in range(20000)]
        with self.server.client() as other:
            self.client.send("create", "large", catalog)
            while "large" not in other.call("pools"):
                other.call("draw", "main", 1)
            self.assertEqual(self.client.receive()[3], 1)
        drawn = [self.call("draw", "large", 10000)[1] for _ in range(2)]
        self.assertEqual(len(set(drawn[0] + drawn[1])), 20000)
        self.assertEqual(self.call("draw", "large", 1)[1], [None])

    def test_requests_of_a_connection_keep_their_order(self):
        self.client.send("create", "order", [COIN])
        self.client.send("draw", "order", 5)
        self.client.send("update", "order", "coin", {"quantity": 2})
        self.client.send("draw", "order", 3)
        self.client.send("close", "order")
        self.client.send("draw", "order", 1)
        answers = sorted(self.client.receive() for _ in range(6))
        self.assertEqual([answer[2] for answer in answers[:5]], [None] * 5)
        self.assertEqual(answers[3][3][1], ["coin", "coin", None])
        self.assertTrue(answers[5][2].startswith("CLOSED "))

    def test_errors(self):
        stock = {"quantity": 1, "probability": 1}
        for code, method, *params in [
                ("NOPOOL", "update", "none", "coin", stock),
                ("NOPOOL", "add", "none", "coin", stock),
                ("NOPOOL", "close", "none"),
                ("NOPOOL", "open", "none"),
                ("NOITEM", "update", "main", "none", stock),
                ("BADARG", "update", "main", "mud", {}),
                ("BADARG", "update", "main", "mud"),
                ("BADARG", "update", "main", "mud", {"if_quantity": 3}),
                ("BADARG", "update", "main", "mud", {"quantity": -2}),
                ("BADARG", "update", "main", "mud", {"probability": -1}),
                ("BADARG", "update", "main", "mud", {"probability": 2**53}),
                ("BADARG", "update", "main", "mud", {"probability": 2**53 - 1}),
                ("BADARG", "update", "main", "mud", {"weight": 3}),
                ("BADARG", "update", "main", "", stock),
                ("BADARG", "add", "main", "x", {"quantity": 3}),
                ("BADARG", "add", "main", "x", {"probability": 3}),
                ("BADARG", "add", "main", "x", {**stock, "if_quantity": 3}),
                ("BADARG", "add", "main", "x" * 65, stock),
                ("BADARG", "add", "main", "x\n", stock),
                ("BADARG", "add", "main", b"\xff", stock),
                ("BADARG", "create", "bad", {}),
                ("BADARG", "create", "bad", [3]),
                ("BADARG", "create", "bad", [{}]),
                ("BADARG", "create", "bad", [{**COIN, "weight": 1}]),
                ("BADARG", "create", "bad", [COIN, COIN]),
                ("BADARG", "create", "bad", [{**COIN, "item_id": ""}]),
                ("BADARG", "create", "bad\n", [COIN]),
                ("BADARG", "create", "", [COIN]),
                ("BADARG", "create", "x" * 65, [COIN]),
                ("BADARG", "create", b"\xff", [COIN]),
                ("NOPOOL", "close", ""),
                ("NOPOOL", "open", "x" * 65),
                ("BADARG", "create", "bad", [{**COIN, "probability": 2**53 - 1},
                                             {**COIN, "item_id": "two"}]),
                ("BADARG", "open", "main", {}),
        ]:
            with self.subTest(method=method, params=params):
                self.assert_error(code, self.call, method, *params)
        self.assertNotIn("bad", self.call("pools"))
        self.assertEqual(self.call("state", "main")["odds_version"], 1)


class Survival(TestCase):
    def test_a_create_that_was_killed_goes_on(self):
        """The same catalog finishes the pool, another one does not; or what it has is kept."""
        catalog = [{"item_id": f"code-{n}", "quantity": 1, "probability": 1} for n in range(60000)]
        config = make_config(limits={"max_request_bytes": "8MiB", "max_items": 500000})
        server = self.serve(config)
        for keep in (False, True):
            pool = f"large {keep}"
            with server.client() as client, server.client() as other:
                client.send("create", pool, catalog)
                wait_until(lambda: pool in other.call("pools"), "the pool")  # pylint: disable=W0640
                for method, *params in [("open",), ("close",), ("add", "x", COIN_STOCK),
                                        ("update", "code-0", COIN_STOCK)]:
                    self.assert_error("CONFLICT", other.call, method, pool, *params)
                self.assert_error("CLOSED", other.call, "draw", pool, 1)
                self.assert_error("BUSY", other.call, "create", "another", [COIN])
                self.assert_error("BUSY", other.call, "reload", {"dry_run": True})
                server.kill()
            server = self.serve(config, create=False)
            state = server.call("state", pool, {"limit": 1})
            self.assertEqual((state["open"], 0 <= state["total"] < len(catalog)), (False, True))
            self.assert_error("CONFLICT", server.call, "open", pool)
            error = self.assert_error("EXISTS", server.call, "create", pool, [{**COIN, "quantity": 7}])
            self.assertIn("unfinished", error)
            if keep:
                server.call("close", pool)
                server.call("add", pool, "x", COIN_STOCK)
                server.call("open", pool)
                self.assertEqual(server.call("state", pool, {"limit": 1})["total"], state["total"] + 1)
            else:
                self.assertEqual(server.call("create", pool, catalog), 1)
                self.assertEqual(server.call("state", pool, {"limit": 1})["total"], len(catalog))
            self.assertTrue(server.call("state", pool, {"limit": 1})["open"])

    def test_changes_survive_a_kill(self):
        server = self.serve(make_config(pools=[{"name": "main", "catalog": MAIN_CATALOG}]))
        server.call("create", "new", [COIN])
        server.call("update", "new", "coin", {"quantity": 7, "probability": 8})
        server.call("add", "new", "two", {"quantity": -1, "probability": 1})
        server.call("close", "main")
        before = [{**server.call("state", pool), "lsn": 0} for pool in ("main", "new")]
        server.kill()
        server = self.serve()
        after = [{**server.call("state", pool), "lsn": 0} for pool in ("main", "new")]
        self.assertEqual(after, before)
        self.assertFalse(after[0]["open"])
        self.assertEqual(after[1]["odds_version"], 3)


class Reload(TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve(self.config(10))

    def config(self, weight, *more, **sections):
        return make_config(pools=[{"name": "main", "catalog": [
            {"item_id": "diamond", "quantity": 99, "probability": weight},
            {"item_id": "mud", "quantity": -1, "probability": 70}]}, *more], **sections)

    def weight(self):
        return self.server.call("state", "main")["items"][0]["probability"]

    def test_reload_applies_the_pools_of_the_file(self):
        self.server.call("draw", "main", 5)
        write_config(self.folder, self.config(12, {"name": "new", "catalog": [COIN]},
                                              limits={"max_inflight": 77}))
        planned = self.server.call("reload", {"dry_run": True})
        self.assertEqual(self.weight(), 10)
        done = self.server.call("reload")
        self.assertEqual({**planned, "dry_run": False}, done)
        self.assertEqual(done["restart"], ["limits.max_inflight"])
        self.assertEqual((done["probabilities"], done["new_pools"], done["conflicts"]), (1, 1, 0))
        self.assertEqual(done["changes"][0],
                         {"kind": "probability", "pool": "main", "item_id": "diamond",
                          "quantity": done["changes"][0]["quantity"], "probability": 12,
                          "before": 10})
        self.assertEqual(self.weight(), 12)
        diamond = self.server.call("state", "main")["items"][0]
        self.assertEqual(diamond["quantity"] + diamond["drawn"], 99)
        self.assertEqual(self.server.call("draw", "new", 1)[1], ["coin"])

    def test_an_update_in_between_is_a_conflict_unless_forced(self):
        self.server.call("update", "main", "diamond", {"probability": 30})
        self.assertEqual(self.server.call("reload")["conflicts"], 0)
        write_config(self.folder, self.config(12))
        self.assertEqual(self.server.call("reload")["conflicts"], 1)
        self.assertEqual(self.weight(), 30)
        self.server.kill()
        self.server = self.serve(self.config(12))
        self.assertEqual(self.server.call("reload")["conflicts"], 1)
        self.assertEqual(self.server.call("reload", {"force": True})["probabilities"], 1)
        self.assertEqual(self.weight(), 12)

    def test_a_signal_reloads(self):
        write_config(self.folder, self.config(13))
        self.server.signal(signal.SIGHUP)
        wait_until(lambda: self.weight() == 13, "the weight of the file")
        wait_until(lambda: "1 changed weights" in self.server.output(), "the log line")
        write_config(self.folder, self.config(12)).write_text("pools: 3\n", encoding="utf-8")
        self.server.signal(signal.SIGHUP)
        wait_until(lambda: "nothing was changed" in self.server.output(), "the log line")
        self.assertEqual(self.server.stop(), 0)

    def picture(self):
        """Everything that a reload could change."""
        states = [{**self.server.call("state", pool), "lsn": 0} for pool in self.server.call("pools")]
        info = self.server.call("info")
        return states, info["next_request_id"]

    def test_what_only_the_server_has_stays(self):
        """Renamed, removed, in another order: nothing is ever taken away."""
        before, _ = self.picture()
        write_config(self.folder, make_config(pools=[{"name": "renamed", "catalog": [COIN]}]))
        done = self.server.call("reload")
        self.assertEqual((done["new_pools"], done["pools_not_in_file"]), (1, 1))
        self.assertEqual([(c["kind"], c["pool"]) for c in done["changes"]],
                         [("new pool", "renamed"), ("pool not in file", "main")])
        self.assertEqual(self.picture()[0][0], before[0])

        mud, diamond = before[0]["items"][1], before[0]["items"][0]
        write_config(self.folder, make_config(pools=[{"name": "main", "catalog": [
            {"item_id": "new", "quantity": 1, "probability": 1},
            {"item_id": "mud", "quantity": 5, "probability": 70}]}]))
        done = self.server.call("reload")
        self.assertEqual((done["new_items"], done["items_not_in_file"], done["probabilities"]), (1, 1, 0))
        self.assertEqual(done["changes"][1], {
            "kind": "item not in file", "pool": "main", "item_id": "diamond",
            "quantity": diamond["quantity"], "probability": 0, "before": diamond["probability"]})
        items = self.server.call("state", "main")["items"]
        self.assertEqual(items[:2], [diamond, mud])
        self.assertEqual(items[2]["item_id"], "new")
        self.assertEqual(self.server.call("reload")["new_items"], 0)

    def test_what_needs_a_restart(self):
        before = self.picture()
        changed = self.config(10, limits={"max_batch": 9999, "max_items": 777},
                              wal={"segment_size": "2MiB", "segments": 4}, snapshot={"every": "8KiB"})
        changed["listen"] = ["127.0.0.1:0"]
        changed["data_dir"] = "elsewhere"
        write_config(self.folder, changed)
        done = self.server.call("reload")
        keys = {"listen", "data_dir", "limits.max_batch", "limits.max_items", "wal.segment_size",
                "wal.segments", "snapshot.every"}
        self.assertEqual(set(done["restart"]), keys)
        self.assertEqual(done["changes"], [])
        self.assertEqual(self.picture(), before)
        for key in keys:
            line = f"reload: {key} has changed and needs a restart"
            wait_until(lambda line=line: line in self.server.output(), line)
        self.assertEqual(len(self.server.call("draw", "main", 10000)[1]), 10000)

    def test_a_dry_run_has_no_effect_and_says_what_the_real_one_would(self):
        items = [{"item_id": f"item-{n}", "quantity": 3, "probability": 5} for n in range(30000)]
        self.server.call("create", "large", items[:15000])
        self.server.call("create", "large too", items[15000:])
        before = self.picture()
        for change in ({"probability": 6}, {"probability": 6, "item_id": "x"}):
            pools = [{"name": name, "catalog": [{**item, **change, "item_id": change.get("item_id", "") +
                                                 item["item_id"]} for item in part]}
                     for name, part in (("large", items[:15000]), ("large too", items[15000:]))]
            write_config(self.folder, self.config(12, *pools))
            for options in ({"dry_run": True}, {"dry_run": True, "force": True}, {}, {"force": True}):
                error = self.assert_error("TOOBIG", self.server.call, "reload", options)
                self.assertIn("bytes of log at once", str(error))
                self.assertEqual(self.picture(), before)
        pools[0]["catalog"] = items[:15000]
        write_config(self.folder, self.config(12, {**pools[1], "name": "new"}))
        planned = self.server.call("reload", {"dry_run": True})
        self.assertEqual(self.picture(), before)
        self.assertEqual({**planned, "dry_run": False}, self.server.call("reload"))
        self.assertEqual(self.server.call("state", "new")["total"], 15000)

    def test_two_at_a_time(self):
        items = [{"item_id": f"item-{n}", "quantity": 3, "probability": 5} for n in range(20000)]
        write_config(self.folder, self.config(12, {"name": "large", "catalog": items}))
        with self.server.client() as client, self.server.client() as other:
            client.send("reload")
            wait_until(lambda: other.call("ping"), "the first to be there")
            self.assert_error("BUSY", other.call, "reload")
            self.server.signal(signal.SIGHUP)  # which waits for its turn
            self.assertEqual(client.receive()[3]["new_pools"], 1)
        wait_until(lambda: self.server.output().count("urnd: reload of") == 2, "the second reload's line")
        self.assertIn("nothing to change", self.server.output())

    def test_a_file_that_is_not_there(self):
        path = write_config(self.folder, self.config(12))
        path.unlink()
        self.assertIn("urn.yaml", self.assert_error("BADARG", self.server.call, "reload"))
        path.mkdir()
        self.assertIn("urn.yaml", self.assert_error("BADARG", self.server.call, "reload"))
        path.rmdir()
        self.assertEqual(self.weight(), 10)

    def test_a_file_with_a_mistake(self):
        path = write_config(self.folder, self.config(12))
        path.write_text("pools: 3\n", encoding="utf-8")
        error = self.assert_error("BADARG", self.server.call, "reload")
        self.assertIn("pools", error)
        self.assert_error("BADARG", self.server.call, "reload", {"dry": True})
        self.assertEqual(self.weight(), 10)
