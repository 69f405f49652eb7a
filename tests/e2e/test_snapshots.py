"""Snapshots of a running server: how they are written, and what is told of those that cannot be."""
import os
import pathlib
import resource
import subprocess

from harness import TestCase, make_config, run, wait_until


class Snapshots(TestCase):
    def shim(self, name):
        """A small library, to be preloaded."""
        library = self.folder / f"{name}.so"
        source = pathlib.Path(__file__).with_name(f"{name}.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", library, source, "-ldl"],
                       check=True)
        return str(library)

    def take_and_load(self, config, server):
        """A snapshot that was taken is what the next start begins with."""
        with server.client() as client:
            client.call("draw", "main", 500)
            lsn = client.call("snapshot")
            self.assertEqual(client.call("info")["snapshot_lsn"], lsn)
        server.kill()
        server = self.serve(config, create=False)
        recovery = server.call("info")["recovery"]
        self.assertEqual((recovery["snapshot_lsn"], recovery["replayed_draws"]), (lsn, 0))
        self.assertEqual(server.call("state", "main")["last_request_id"], 500)

    def test_without_io_uring(self):
        config = make_config()
        server = self.serve(config, env={"LD_PRELOAD": self.shim("refuse_io_uring")})
        self.assertEqual(server.call("info")["snapshot_io"], "plain")
        self.take_and_load(config, server)

    def test_with_io_uring(self):
        """Where the system gives one, it is used; what it says of itself is what the kernel says."""
        config = make_config()
        server = self.serve(config)
        descriptors = pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir()
        has_ring = any(os.readlink(descriptor) == "anon_inode:[io_uring]" for descriptor in descriptors)
        self.assertEqual(server.call("info")["snapshot_io"], "io_uring" if has_ring else "plain")
        if os.path.exists("/proc/sys/kernel/io_uring_disabled"):
            allowed = pathlib.Path("/proc/sys/kernel/io_uring_disabled").read_text().strip() == "0"
            self.assertEqual(has_ring, allowed)
        self.take_and_load(config, server)

    def test_trouble_is_told_once(self):
        server = self.serve(make_config())
        with server.client() as client:
            before = client.call("info")["counters"]["snapshots"]
            limit = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, limit[1]))
            for _ in range(3):
                client.call("draw", "main", 1)
                text = self.assert_error("IO", client.call, "snapshot")
                self.assertRegex(text, r"cannot create .*/snapshot-.*: File too large")
            info = client.call("info")
            self.assertRegex(info["snapshot_failure"], r"cannot create .*: File too large")
            self.assertGreaterEqual(info["counters"]["snapshots_failed"], 3)
            self.assertEqual(info["counters"]["snapshots"], before)
            failing = run("urn", "--address", f"unix:{server.unix_address}", "info", "--format", "prometheus")
            self.assertIn("\nurn_snapshots_failing 1\n", failing.stdout)
            self.assertEqual(server.output().count("trouble with snapshots"), 1, server.output())
            self.assertEqual([name for name in os.listdir(server.data_dir) if name.endswith(".tmp")], [])

            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limit)
            self.assertGreater(client.call("snapshot"), 0)
            info = client.call("info")
            self.assertIsNone(info["snapshot_failure"])
            self.assertEqual(info["counters"]["snapshots"], before + 1)
            wait_until(lambda: "snapshots are written again" in server.output(), "the line of the end")
        self.assertEqual(server.stop(), 0, server.output())
