"""A log that fails under a running server: nothing more is acknowledged, and nothing is made up."""
import contextlib
import os
import pathlib
import re
import signal
import subprocess

from harness import MAIN_CATALOG, RpcError, TestCase, make_config, run, run_urnd, wait_until
from oracle import Drawer, Oracle, finish


class FailStop(TestCase):
    def check_fail_stop(self, server, client):
        """The first draw after the fault is in doubt, all later ones are refused; ping and info go on."""
        self.assert_error("INDOUBT", client.call, "draw", "main", 1)
        for _ in range(3):
            text = self.assert_error("READONLY", client.call, "draw", "main", 1)
            self.assertTrue(text)
        self.assert_error("READONLY", client.call, "state", "main")
        self.assert_error("READONLY", client.call, "draw", "main", 1, {"all": True})
        self.assertEqual(client.call("ping"), "pong")
        self.assertIsInstance(client.call("info")["failure"], str)
        with server.client() as other:
            self.assertEqual(other.call("ping"), "pong")
            self.assert_error("READONLY", other.call, "draw", "main", 1)

    def test_a_failing_msync(self):
        shim = self.folder / "fail_msync.so"
        trigger = self.folder / "fail"
        source = pathlib.Path(__file__).with_name("fail_msync.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", shim, source, "-ldl"],
                       check=True)
        config = make_config()
        server = self.serve(config, env={"LD_PRELOAD": str(shim), "URN_FAIL_MSYNC": str(trigger)})
        with server.client() as client:
            client.call("draw", "main", 500)
            self.assertIsNone(client.call("info")["failure"])
            trigger.touch()
            self.check_fail_stop(server, client)
            # The disk that works again does not make the log whole: a failed sync is final.
            trigger.unlink()
            self.assert_error("READONLY", client.call, "draw", "main", 1)
        self.assertEqual(server.stop(), 74, server.output())
        self.assertRegex(server.output(), r"segment-0000.*Input/output error")

        # A new start goes on from what is there: all that was acknowledged, and perhaps the draw in doubt.
        server = self.serve(config, create=False)
        state = server.call("state", "main")
        self.assertIn(state["last_request_id"], (500, 501))
        self.assertEqual(sum(item["drawn"] for item in state["items"]), state["last_request_id"])
        self.assertEqual(server.call("draw", "main", 1)[0], state["last_request_id"] + 1)

    def test_a_failing_msync_in_mode_interval(self):
        """No reply waits for that sync, so that draws may still succeed until it fails; then none does,
        and what was acknowledged is found in the cache."""
        shim = self.folder / "fail_msync.so"
        trigger = self.folder / "fail"
        source = pathlib.Path(__file__).with_name("fail_msync.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", shim, source, "-ldl"],
                       check=True)
        config = make_config(wal={"mode": "interval", "interval": "20ms"})
        server = self.serve(config, env={"LD_PRELOAD": str(shim), "URN_FAIL_MSYNC": str(trigger)})
        with server.client() as client:
            client.call("draw", "main", 500)
            wait_until(lambda: client.call("info")["unsynced_bytes"] == 0, "the first syncs")
            trigger.touch()
            drawn = 500
            code = None
            while code is None:
                try:
                    drawn += len(client.call("draw", "main", 1)[1])
                except RpcError as error:
                    code = error.code
            self.assertIn(code, ("INDOUBT", "READONLY"))
            self.assert_error("READONLY", client.call, "draw", "main", 1)
            self.assertEqual(client.call("ping"), "pong")
            info = client.call("info")
            self.assertIsInstance(info["failure"], str)
            self.assertGreater(info["unsynced_bytes"], 0)
            self.assertGreater(info["unsynced_us"], 0)
            trigger.unlink()
            self.assert_error("READONLY", client.call, "draw", "main", 1)
        self.assertEqual(server.stop(), 74, server.output())
        self.assertRegex(server.output(), r"fail stop: .*segment-0000.*page cache.*do not restart the machine")

        server = self.serve(config, create=False)
        state = server.call("state", "main")
        self.assertIn(sum(item["drawn"] for item in state["items"]), (drawn, drawn + 1))
        self.assertGreater(server.call("draw", "main", 1)[0], drawn)

    def test_a_failing_msync_under_load(self):
        """Whatever was in flight is either acknowledged and there, or in doubt, or refused."""
        shim = self.folder / "fail_msync.so"
        trigger = self.folder / "fail"
        source = pathlib.Path(__file__).with_name("fail_msync.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", shim, source, "-ldl"],
                       check=True)
        config = make_config()
        server = self.serve(config, env={"LD_PRELOAD": str(shim), "URN_FAIL_MSYNC": str(trigger)})
        oracle = Oracle({"main": MAIN_CATALOG})
        drawers = [Drawer(server.address, oracle, i, requests=300,
                          on_reply=lambda _: trigger.touch() if len(oracle.acknowledged) > 2000 else None)
                   for i in range(4)]
        for drawer in drawers:
            drawer.start()
        finish(drawers)
        codes = sum((drawer.codes for drawer in drawers), start=type(drawers[0].codes)())
        self.assertEqual(sum(codes.values()), 4 * 300)
        self.assertLessEqual(set(codes), {"OK", "INDOUBT", "READONLY"})
        self.assertGreater(codes["INDOUBT"], 0)
        self.assertGreater(codes["READONLY"], 0)
        server.kill()
        server = self.serve(config, create=False)
        with server.client() as client:
            oracle.check_state(client)

    def test_a_segment_cut_short(self):
        config = make_config()
        server = self.serve(config)
        with server.client() as client:
            client.call("draw", "main", 100)
            os.truncate(server.data_dir / "segment-0000", 4096)
            self.check_fail_stop(server, client)
        self.assertEqual(server.stop(), 74, server.output())
        self.assertIn("segment-0000", server.output())

        done = run_urnd(self.folder, config)
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("segment-0000", done.stderr)
        verify = run("urn-wal", "verify", server.data_dir)
        self.assertNotEqual(verify.returncode, 0)
        self.assertIn("segment-0000", verify.stdout + verify.stderr)

    def test_a_disk_that_dies(self):
        """A real file system on a loop device whose backing store gives up under it."""
        self.require_loop_devices()
        store = self.folder / "store"
        disk = self.folder / "disk"
        store.mkdir()
        disk.mkdir()

        self.attempt("mount", "-t", "tmpfs", "-o", "size=40m", "urn-e2e", store)
        self.addCleanup(subprocess.run, ["umount", "-l", store], check=True)
        image = store / "image"
        with open(image, "wb") as file:
            file.truncate(32 << 20)
        self.mount_image(image, disk, "loop,errors=continue", "-O", "^has_journal")

        server = self.serve(make_config(data_dir="disk/data"))
        with server.client() as client:
            client.call("draw", "main", 100)
            os.sync()
            # The image loses its blocks, and what it stands on has none left to give.
            subprocess.run(["fallocate", "--punch-hole", "--offset", "0", "--length", str(32 << 20),
                            image], check=True)
            with open(store / "filler", "wb") as file:
                with self.assertRaises(OSError):
                    while True:
                        file.write(b"x" * 65536)
                        file.flush()
            failed = None
            for _ in range(1000):
                try:
                    client.call("draw", "main", 1000)
                except RpcError as error:
                    failed = error.code
                    break
            self.assertEqual(failed, "INDOUBT")
            self.assert_error("READONLY", client.call, "draw", "main", 1)
            self.assertEqual(client.call("ping"), "pong")
            self.assertIsInstance(client.call("info")["failure"], str)
        self.assertEqual(server.stop(), 74, server.output())
        self.assertTrue(re.search(r"segment-\d{4}", server.output()), server.output())

    def test_a_signal_during_a_sync(self):
        """It does not interrupt the sync, which would be a failed one, whichever thread that is in."""
        shim = self.folder / "slow_msync.so"
        trigger = self.folder / "slow"
        source = pathlib.Path(__file__).with_name("slow_msync.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", shim, source, "-ldl"],
                       check=True)
        server = self.serve(make_config(), env={"LD_PRELOAD": str(shim), "URN_SLOW_MSYNC": str(trigger)})
        with server.client() as lone:
            for number in (signal.SIGHUP, signal.SIGTERM):
                for _ in range(20):
                    lone.call("draw", "main", 1)
                trigger.touch()
                drawn = lone.send("draw", "main", 1)
                wait_until(lambda: not trigger.exists(), "the sync")
                server.signal(number)
                self.assertEqual(lone.reply(drawn)[2], 0)
        self.assertEqual(server.wait(), 0, server.output())


class HangingDisk(TestCase):
    """A file system of its own that is frozen under the server, which lone draws have had until then."""

    def setUp(self):
        super().setUp()
        self.require_loop_devices()
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        image = self.folder / "image"
        with open(image, "wb") as file:
            file.truncate(32 << 20)
        self.mount_image(image, self.disk, "loop")
        self.server = self.serve(make_config(data_dir="disk/data"))

    @contextlib.contextmanager
    def frozen(self, lone):
        for _ in range(20):
            lone.call("draw", "main", 1)
        self.attempt("fsfreeze", "--freeze", self.disk)
        try:
            yield
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", self.disk], check=True)

    def test_draws_wait_and_questions_are_answered(self):
        with self.server.client() as lone, self.server.client() as other:
            with self.frozen(lone):
                drawn = lone.send("draw", "main", 1)
                for _ in range(20):
                    self.assertEqual(other.call("ping"), "pong")
                before = self.server.call("info")["acknowledged_lsn"]  # by a connection that comes meanwhile
                late = other.send("draw", "main", 1)
                self.assertEqual(self.server.call("ping"), "pong")
            ids = [lone.reply(drawn)[0], other.reply(late)[0]]
            self.assertEqual(ids[1], ids[0] + 1)
            self.assertGreater(self.server.call("info")["acknowledged_lsn"], before)
        self.assertEqual(self.server.stop(), 0, self.server.output())

    def test_a_stop_begins_at_once(self):
        """As the signal says; and ends when the disk lets it."""
        with self.server.client() as lone, self.server.client() as other:
            with self.frozen(lone):
                drawn = lone.send("draw", "main", 1)
                self.assertEqual(other.call("ping"), "pong")
                self.server.signal(signal.SIGTERM)
                self.assertEqual(self.assert_closed(other), [])
            self.assertEqual(lone.reply(drawn)[2], 0)
        self.assertEqual(self.server.wait(), 0, self.server.output())
