"""urn and urn-wal as a person uses them: output, exit statuses, a server that is not there."""
import json

from harness import MAIN_CATALOG, SharedServerTestCase, TestCase, make_config, run


class Urn(SharedServerTestCase):
    def urn(self, *arguments):
        host, port = self.server.address
        return run("urn", "--address", f"{host}:{port}", *arguments)

    def answered(self, *arguments):
        done = self.urn(*arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def test_help_and_version(self):
        for arguments in (["--help"], ["--version"]):
            done = run("urn", *arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("draw", run("urn", "--help").stdout)

    def test_ping(self):
        self.assertIn("pong", self.answered("ping"))

    def test_draw(self):
        before = self.call("state", "main")["last_request_id"]
        lines = self.answered("draw", "main", "10").splitlines()
        found = [word for line in lines for word in line.split()
                 if word in {item["item_id"] for item in MAIN_CATALOG}]
        self.assertEqual(len(found), 10, lines)
        self.assertEqual(self.call("state", "main")["last_request_id"], before + 10)

    def test_state_catalog_pools_info(self):
        state = self.answered("state", "main")
        for item in MAIN_CATALOG:
            self.assertIn(item["item_id"], state)
            self.assertIn(item["item_id"], self.answered("catalog", "main"))
        self.assertIn("main", self.answered("pools"))
        self.assertIn("commit", self.answered("info"))

    def test_lookup(self):
        first, outcomes = self.call("draw", "main", 3)[:2]
        self.call("draw", "main", 1)  # whose group says that the one before is durable: for urn-wal
        for request_id, item in enumerate(outcomes, first):
            text = self.answered("lookup", str(request_id))
            self.assertIn(f"request id    {request_id}\n", text)
            self.assertIn(f"item          {item} (index ", text)
            told = json.loads(self.answered("--json", "lookup", str(request_id)))
            self.assertEqual(told, self.call("lookup", request_id))
            found = run("urn-wal", "find", "--json", str(self.server.data_dir), str(request_id))
            self.assertEqual((json.loads(found.stdout)["item_id"], json.loads(found.stdout)["lsn"]),
                             (item, told["lsn"]))
        done = self.urn("lookup", "9007199254740991")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"^urn: NOTFOUND request id \d+ has not been given yet; ids 1 to \d+ are known\n")

    def test_json(self):
        self.assertIn("main", json.loads(self.answered("--json", "pools")))
        state = json.loads(self.answered("--json", "state", "main"))
        self.assertEqual(state["total"], len(MAIN_CATALOG))
        first, outcomes, failed, _, _ = json.loads(self.answered("--json", "draw", "main", "3"))
        self.assertEqual((len(outcomes), failed), (3, 0))
        self.assertEqual(self.call("state", "main")["last_request_id"], first + 2)

    def test_changes(self):
        path = self.shared_folder / "autumn.tsv"
        path.write_text("leaf\t100\t1\n\nnothing at all\t-1\t9\n", encoding="utf-8")
        self.assertIn("autumn: created", self.answered("create", "autumn", str(path)))
        self.answered("update", "autumn", "leaf", "--quantity", "7", "--if-quantity", "100")
        self.answered("update", "autumn", "leaf", "--quantity=-1", "--probability", "2")
        self.answered("add", "autumn", "ruby", "--quantity", "5", "--probability", "1")
        self.assertEqual([(item["item_id"], item["quantity"], item["probability"])
                          for item in self.call("state", "autumn")["items"]],
                         [("leaf", -1, 2), ("nothing at all", -1, 9), ("ruby", 5, 1)])
        self.assertEqual(self.answered("--json", "close", "autumn"), "3\n")
        self.assertFalse(self.call("state", "autumn")["open"])
        self.answered("open", "autumn")
        dry = self.answered("reload", "--dry-run")
        self.assertIn("pool not in file", dry)
        self.assertIn("0 conflicts", dry)
        self.assertEqual(json.loads(self.answered("--json", "reload"))["pools_not_in_file"], 1)
        for code, status, *arguments in [
                ("CONFLICT", 1, "update", "autumn", "ruby", "--quantity", "7", "--if-quantity", "1"),
                ("NOITEM", 1, "update", "autumn", "none", "--quantity", "7"),
                ("EXISTS", 1, "create", "autumn"),
                ("neither", 64, "update", "autumn", "ruby"),
                ("item is missing", 64, "update", "autumn"),
                ("--quantity needs", 64, "update", "autumn", "ruby", "--quantity", "many"),
                ("needs --quantity and", 64, "add", "autumn", "x", "--quantity", "1"),
                ("cannot read", 64, "create", "spring", "/nowhere"),
                ("takes no --force", 64, "close", "autumn", "--force")]:
            done = self.urn(*arguments)
            self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
            self.assertIn(code, done.stderr)

    def test_snapshot(self):
        self.call("draw", "main", 5)
        covered = json.loads(self.answered("--json", "snapshot"))
        self.assertEqual(self.call("info")["snapshot_lsn"], covered)
        self.assertRegex(self.answered("snapshot"), r"^snapshot up to log position \d+\n$")

    def test_a_catalog_file_with_a_mistake(self):
        path = self.shared_folder / "wrong.tsv"
        for content, words in [(b"leaf\t1\t1\nmud\t1\n", "wrong.tsv:2: expected item id"),
                               (b"leaf\t1\t1\t1\n", "wrong.tsv:1: expected item id"),
                               (b"leaf\t-2\t1\n", "wrong.tsv:1: expected item id"),
                               (b"leaf\t1\t9007199254740992\n", "wrong.tsv:1: expected item id"),
                               (b"leaf\t1\t1\n\0\nmud\t1\t1\n", "wrong.tsv: a zero byte in line 2")]:
            path.write_bytes(content)
            done = self.urn("create", "wrong", str(path))
            self.assertEqual((done.returncode, done.stdout), (64, ""), done.stderr)
            self.assertIn(words, done.stderr)
        self.assertNotIn("wrong", self.call("pools"))

    def test_a_catalog_larger_than_a_request(self):
        path = self.shared_folder / "large.tsv"
        path.write_text("".join(f"{n:064}\t1\t1\n" for n in range(20000)), encoding="utf-8")
        done = self.urn("create", "large", str(path))
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn("limits.max_request_bytes", done.stderr)

    def test_over_a_unix_socket(self):
        done = run("urn", "--address", f"unix:{self.server.unix_address}", "ping")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_errors(self):
        done = self.urn("draw", "nobody", "1")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("NOPOOL", done.stderr)
        for arguments in ([], ["nonsense"], ["draw"], ["draw", "main", "x"], ["--nonsense", "ping"]):
            done = self.urn(*arguments)
            self.assertEqual((done.returncode, done.stdout), (64, ""), arguments)
            self.assertNotEqual(done.stderr, "")


class Elsewhere(TestCase):
    def test_no_server(self):
        done = run("urn", "--address", f"unix:{self.folder}/urn.sock", "ping")
        self.assertNotIn(done.returncode, (0, 1, 64))
        self.assertIn("urn.sock", done.stderr)

    def test_urn_wal_on_a_whole_log(self):
        server = self.serve()
        server.call("draw", "main", 20)
        self.assertEqual(server.stop(), 0)
        before = {path.name: path.read_bytes() for path in server.data_dir.iterdir()}
        verify = run("urn-wal", "verify", server.data_dir)
        self.assertEqual(verify.returncode, 0, verify.stdout + verify.stderr)
        cat = run("urn-wal", "cat", server.data_dir)
        self.assertEqual(cat.returncode, 0, cat.stderr)
        self.assertIn("mud", cat.stdout)
        self.assertEqual({path.name: path.read_bytes() for path in server.data_dir.iterdir()}, before,
                         "the tool only looks")

    def test_urn_wal_beside_a_running_server(self):
        server = self.serve()
        server.call("draw", "main", 20)
        verify = run("urn-wal", "verify", server.data_dir)
        self.assertEqual(verify.returncode, 0, verify.stdout + verify.stderr)
        self.assertEqual(len(server.call("draw", "main", 1)[1]), 1)

    def test_urn_wal_refusals(self):
        for arguments, status in (([], 64), (["nonsense"], 64), (["verify"], 64),
                                  (["verify", self.folder / "none"], 66)):
            done = run("urn-wal", *arguments)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertNotEqual(done.stderr, "")

    def test_urn_wal_finds_damage(self):
        server = self.serve(make_config())
        for _ in range(5):
            server.call("draw", "main", 20)
        self.assertEqual(server.stop(), 0)
        segment = server.data_dir / "segment-0000"
        data = bytearray(segment.read_bytes())
        data[4096 + 136 + 64] ^= 0x10  # in the first group of draws
        segment.write_bytes(data)
        verify = run("urn-wal", "verify", server.data_dir)
        self.assertEqual(verify.returncode, 2, verify.stdout + verify.stderr)
        self.assertIn("segment-0000", verify.stdout + verify.stderr)
