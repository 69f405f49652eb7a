"""The table of errors in docs/protocol.md: each is provoked over the wire, and what is said to have no effect
has none."""
import pathlib
import re
import resource
import subprocess

from harness import MAIN_CATALOG, TOP, RpcError, TestCase, make_config, write_config

COIN = {"item_id": "coin", "quantity": 5, "probability": 2}
STOCK = {"quantity": 5, "probability": 2}

# What no request is answered with: UNAUTH comes with access tokens, INTERNAL would be a bug.
NOT_YET = {"UNAUTH", "INTERNAL"}


def table():
    """code -> (may have taken effect, retry)"""
    page = (TOP / "docs" / "protocol.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z]+)` \| .* \| (yes|no) \| ([a-z ]+) \|$", page, re.M)
    return {code: (effect, retry) for code, effect, retry in rows}


class Errors(TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve(make_config(
            pools=[{"name": "main", "catalog": MAIN_CATALOG}, {"name": "few", "catalog": [COIN]}],
            limits={"max_reply_bytes": "64KiB", "max_pools": 8, "max_items": 50},
            wal={"segment_size": "128KiB", "segments": 3}))
        self.client = self.server.client()
        self.addCleanup(self.client.close)
        self.failing = 0  # servers whose log fails, so far

    def picture(self):
        """All that a request could change, as one who comes later sees it."""
        with self.server.client() as client:
            return [{**client.call("state", pool), "lsn": 0} for pool in client.call("pools")]

    def code_of(self, method, *params):
        try:
            self.client.call(method, *params)
        except RpcError as error:
            self.assertNotEqual(error.text, "")
            return error.code
        return None

    def refused(self, code, *requests):
        """Each is answered with this code; and nothing has changed, as the table says."""
        self.assertEqual(table()[code][0], "no")
        before = self.picture()
        for request in requests:
            self.assertEqual(self.code_of(*request), code, request)
        self.assertEqual(self.picture(), before)

    def test_every_code_of_the_table_has_its_test(self):
        rows = table()
        self.assertGreater(len(rows), 10)
        for code in set(rows) - NOT_YET:
            self.assertTrue(callable(getattr(self, f"test_{code.lower()}", None)), code)

    # ---- one by one -----------------------------------------------------------------------------

    def test_nopool(self):
        self.refused("NOPOOL", ("draw", "none", 1), ("state", "none"), ("catalog", "none"),
                     ("update", "none", "coin", STOCK), ("add", "none", "coin", STOCK),
                     ("close", "none"), ("open", "none"))

    def test_noitem(self):
        self.refused("NOITEM", ("update", "main", "none", STOCK))

    def test_notfound(self):
        self.refused("NOTFOUND", ("lookup", 1), ("lookup", 2**53 - 1))
        first = self.client.call("draw", "main", 3)[0]
        self.refused("NOTFOUND", ("lookup", first + 3))
        self.assertIsNone(self.code_of("lookup", first + 2))

    def test_exists(self):
        self.refused("EXISTS", ("add", "main", "mud", STOCK), ("create", "main", [COIN]))

    def test_closed(self):
        self.client.call("close", "few")
        self.refused("CLOSED", ("draw", "few", 1), ("draw", "few", 1, {"all": True}))
        self.client.call("open", "few")
        self.assertIsNone(self.code_of("draw", "few", 1))  # the retry

    def test_nostock(self):
        self.refused("NOSTOCK", ("draw", "few", 6, {"all": True}))

    def test_conflict(self):
        self.refused("CONFLICT", ("update", "main", "mud", {"quantity": 3, "if_quantity": 4}))

    def test_badarg(self):
        (self.server.folder / "urn.yaml").write_text("no: thing\n", encoding="utf-8")
        self.refused("BADARG", ("draw", "main", 0), ("update", "main", "mud", {}), ("reload",),
                     ("add", "main", "x", {"quantity": -2, "probability": 1}),
                     ("create", "x", [COIN, COIN]), ("close",), ("snapshot", 1), ("info", {}))

    def test_nomethod(self):
        self.refused("NOMETHOD", ("nothing",))

    def test_toobig(self):
        write_config(self.folder, make_config(pools=[{"name": f"p{n}", "catalog": [COIN]} for n in range(9)]))
        self.refused("TOOBIG", ("draw", "main", 10000), ("reload",),
                     ("create", "many", [{**COIN, "item_id": f"coin {n}"} for n in range(46)]))

    def test_badreq(self):
        before = self.picture()
        with self.server.client() as client:
            client.send_bytes(b"\x94\x00\x2a\xa4draw\x80")  # params that are a map
            replies = client.read_to_end()  # and the connection is closed
        self.assertEqual([(reply[1], reply[2].split(" ")[0]) for reply in replies], [(42, "BADREQ")])
        self.assertEqual(self.picture(), before)

    def without_files(self):
        """No file can grow from here on; returns what takes that back."""
        pid = self.server.process.pid
        limit = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, limit[1]))
        return lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)

    def test_io(self):
        self.client.call("draw", "main", 1)
        take_back = self.without_files()
        self.refused("IO", ("snapshot",))
        take_back()
        self.assertIsNone(self.code_of("snapshot"))  # the retry

    def test_damaged(self):
        first = [self.client.call("draw", "main", 5)[0] for _ in range(3)]
        lsn = self.client.call("lookup", first[1])["lsn"]
        self.client.call("lookup", first[0])  # else it still has that group in its memory
        with open(self.server.data_dir / "segment-0000", "r+b") as segment:
            def flip():
                segment.seek(lsn + 110)
                byte = segment.read(1)[0]
                segment.seek(lsn + 110)
                segment.write(bytes([byte ^ 1]))
                segment.flush()
            flip()
            self.refused("DAMAGED", ("lookup", first[1]), ("lookup", first[1] + 4))
            self.assertIsNone(self.code_of("lookup", first[2]))
            flip()
        self.assertIsNone(self.code_of("lookup", first[1]))

    def test_busy(self):
        """No snapshot can be written, so that the ring fills up and stays full."""
        take_back = self.without_files()
        while self.code_of("draw", "main", 10000, {"as": "tally"}) is None:
            pass
        full = ("draw", "main", 10000, {"as": "tally"})
        self.refused("BUSY", full, full)
        take_back()
        while self.code_of(*full) == "BUSY":  # the retry, until it goes on by itself
            pass
        self.assertIsNone(self.code_of(*full))

    # ---- a log that fails -----------------------------------------------------------------------

    def serve_failing(self):
        """A server whose syncs fail once the file that is returned is there."""
        self.client.close()
        self.server.stop()
        shim, trigger = self.folder / "fail_msync.so", self.folder / "fail"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", shim,
                        pathlib.Path(__file__).with_name("fail_msync.c"), "-ldl"], check=True)
        self.failing += 1
        self.server = self.serve(make_config(data_dir=f"failing-{self.failing}"), env={
            "LD_PRELOAD": str(shim), "URN_FAIL_MSYNC": str(trigger)})
        self.client = self.server.client()
        self.addCleanup(self.client.close)
        return trigger

    CHANGES = [("draw", "main", 1), ("update", "main", "mud", STOCK), ("add", "main", "x", STOCK),
               ("create", "new", [COIN]), ("close", "main"), ("open", "main"), ("reload",)]

    def test_readonly(self):
        trigger = self.serve_failing()
        trigger.touch()
        self.code_of("draw", "main", 1)
        trigger.unlink()
        for request in [*self.CHANGES, ("snapshot",), ("state", "main"), ("catalog", "main"), ("pools",),
                        ("lookup", 1)]:
            self.assertEqual(self.code_of(*request), "READONLY", request)

    def test_indoubt(self):
        for request in self.CHANGES:
            if request[0] in ("open", "reload"):  # which change nothing here
                continue
            trigger = self.serve_failing()
            trigger.touch()
            self.assertEqual(self.code_of(*request), "INDOUBT", request)
            trigger.unlink()
