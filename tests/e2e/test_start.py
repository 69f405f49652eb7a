"""Starts and stops: options, exit statuses, every refusal, signals, a second start."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import unittest

from harness import (DEADLINE_S, TOP, MAIN_CATALOG, Server, TestCase, make_config, program,
                     rewrite_identity, run, run_urnd, write_config)
from oracle import Drawer, Oracle, finish


def as_nobody():
    """A prefix that runs a program without root's powers, or a reason to skip."""
    if os.geteuid() != 0:
        return [], None
    if shutil.which("setpriv") is None:
        return None, "setpriv is missing"
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], None


def bytes_written(server):
    """As the kernel counts them: a whole piece of its cache once a page of it is changed."""
    counts = pathlib.Path(f"/proc/{server.process.pid}/io").read_text().split()
    return int(counts[counts.index("write_bytes:") + 1])


class Options(TestCase):
    def test_version(self):
        done = run("urnd", "--version")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "urnd 0.1.0\n", ""))

    def test_help(self):
        done = run("urnd", "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for word in ("--config", "--create", "--check-config", "usage", "exit status"):
            self.assertIn(word, done.stdout)

    def test_usage_errors(self):
        for arguments in ([], ["--config"], ["--confg", "x"], ["x"], ["--config", ""],
                          ["--create=yes", "--config", "x"]):
            done = run("urnd", *arguments)
            self.assertEqual((done.returncode, done.stdout), (64, ""), arguments)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_check_config(self):
        path = write_config(self.folder, make_config())
        done = run("urnd", "--config", path, "--check-config")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["urn.yaml"])

    def test_keys_without_an_effect_are_told(self):
        path = write_config(self.folder, make_config(wal={"mode": "commit", "interval": "20ms"}))
        done = run("urnd", "--config", path, "--check-config")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"{path}: wal.interval has no effect", done.stderr)
        path = write_config(self.folder, make_config(wal={"mode": "interval", "interval": "20ms"}))
        done = run("urnd", "--config", path, "--check-config")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_the_sample_is_right(self):
        done = run("urnd", "--config", TOP / "samples" / "config.yaml", "--check-config")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_defaults_need_at_most_a_gibibyte(self):
        path = self.folder / "urn.yaml"
        path.write_text("{}\n", encoding="ascii")
        done = run("urnd", "--config", path, "--check-config")
        self.assertEqual(done.returncode, 0, done.stderr)
        bound = float(done.stdout.split("memory at most ")[1].split(" MiB")[0])
        self.assertLessEqual(bound, 1024)


class BadInput(TestCase):
    """Everything that keeps a server from starting: a clear error, its exit status, nothing lost."""

    def refused(self, status, *words, config=None, create=False, prefix=()):
        done = run_urnd(self.folder, config or make_config(), *(["--create"] if create else []),
                        prefix=prefix)
        self.assertEqual(done.returncode, status, done.stderr)
        for word in words:
            self.assertIn(str(word), done.stderr)
        self.assertNotIn("listening on", done.stderr)
        return done.stderr

    def create(self, config=None):
        """A data directory with some draws in it; returns its state."""
        server = self.serve(config or make_config())
        server.call("draw", "main", 100)
        state = server.call("state", "main")
        self.assertEqual(server.stop(), 0, server.output())
        return state

    def nothing_lost(self, state, config=None):
        server = self.serve(config or make_config(), create=False)
        self.assertEqual(server.call("state", "main")["items"], state["items"])
        self.assertEqual(server.stop(), 0)

    def test_a_mistake_in_the_yaml(self):
        path = self.folder / "urn.yaml"
        path.write_text("data_dir: data\nwal:\n  segmnets: 4\n", encoding="ascii")
        for more in ([], ["--check-config"]):
            done = run("urnd", "--config", path, *more)
            self.assertEqual(done.returncode, 78)
            self.assertIn(f"{path}:3:3: ", done.stderr)
            self.assertIn("did you mean `segments`?", done.stderr)
        self.assertFalse((self.folder / "data").exists())

    def test_no_configuration_file(self):
        done = run("urnd", "--config", self.folder / "none.yaml")
        self.assertEqual(done.returncode, 78)
        self.assertIn("No such file", done.stderr)

    def test_no_data_directory(self):
        self.refused(78, self.folder / "data", "--create")
        (self.folder / "data").mkdir()  # as an unmounted volume looks
        self.refused(78, self.folder / "data", "--create")
        self.assertEqual(list((self.folder / "data").iterdir()), [])

    def test_a_data_directory_where_there_is_no_folder(self):
        self.refused(73, "nowhere", config=make_config(data_dir="nowhere/data"), create=True)

    def test_a_file_where_the_data_directory_should_be(self):
        (self.folder / "data").write_text("precious")
        done = run_urnd(self.folder, make_config(), "--create")
        self.assertIn(done.returncode, (73, 74))
        self.assertEqual((self.folder / "data").read_text(), "precious")

    def test_in_use(self):
        server = self.serve()
        self.refused(75, self.folder / "data", config=make_config(listen=["127.0.0.1:0"]))
        self.refused(75, self.folder / "data", config=make_config(listen=["127.0.0.1:0"]),
                     create=True)
        self.assertEqual(len(server.call("draw", "main", 1)[1]), 1)

    def test_another_version(self):
        state = self.create()
        rewrite_identity(self.folder / "data", lambda line: line.replace("format: 1", "format: 2"))
        self.refused(65, "version")
        rewrite_identity(self.folder / "data", lambda line: line.replace("format: 2", "format: 1"))
        self.nothing_lost(state)

    def test_another_geometry(self):
        state = self.create()
        text = self.refused(78, "segments", config=make_config(wal={"segments": 4}))
        self.assertIn("3", text)
        self.assertIn("4", text)
        self.refused(78, config=make_config(wal={"segment_size": "2MiB"}))
        self.nothing_lost(state)

    def test_a_damaged_identity(self):
        self.create()
        path = self.folder / "data" / "IDENTITY"
        right = path.read_text()
        path.write_text(right.replace("segments: 3", "segments: 4"))
        self.refused(65, "IDENTITY")
        path.write_text("")
        self.refused(65, "IDENTITY")

    def test_a_missing_segment(self):
        state = self.create()
        segment = self.folder / "data" / "segment-0001"
        away = self.folder / "away"
        segment.rename(away)
        self.refused(65, "segment-0001")
        self.refused(65, "segment-0001", create=True)
        away.rename(segment)
        os.truncate(segment, 4096)
        self.refused(65, "segment-0001")
        os.truncate(segment, 1 << 20)
        self.nothing_lost(state)

    def test_damage_below_the_end(self):
        server = self.serve()
        for _ in range(3):
            server.call("draw", "main", 3)
        server.kill()  # a stop would leave a snapshot that needs none of this
        segment = self.folder / "data" / "segment-0000"
        data = bytearray(segment.read_bytes())
        data[4096 + 60] ^= 1  # in the first group, which later ones prove to have been durable
        segment.write_bytes(data)
        self.refused(65, "segment-0000", "urn-wal")

    def test_a_lost_identity(self):
        """Segments of worth without IDENTITY are never overwritten."""
        self.create()
        (self.folder / "data" / "IDENTITY").unlink()
        before = (self.folder / "data" / "segment-0000").read_bytes()
        for create in (False, True):
            done = run_urnd(self.folder, make_config(), *(["--create"] if create else []))
            self.assertIn(done.returncode, (65, 73, 78), done.stderr)
        self.assertEqual((self.folder / "data" / "segment-0000").read_bytes(), before)

    def test_somebody_elses_folder(self):
        (self.folder / "data").mkdir()
        (self.folder / "data" / "thesis.txt").write_text("precious")
        done = run_urnd(self.folder, make_config(), "--create")
        self.assertIn(done.returncode, (65, 73), done.stderr)
        self.assertEqual((self.folder / "data" / "thesis.txt").read_text(), "precious")

    def test_not_writable(self):
        prefix, reason = as_nobody()
        if prefix is None:
            raise unittest.SkipTest(reason)
        os.chmod(self.folder, 0o555)
        write_config_as_is(self.folder)
        try:
            self.refused(73, self.folder / "data", create=True, prefix=prefix)
        finally:
            os.chmod(self.folder, 0o755)
        state = self.create()
        os.chmod(self.folder / "data", 0o555)
        for path in (self.folder / "data").iterdir():
            os.chmod(path, 0o444)
        try:
            done = run_urnd(self.folder, make_config(listen=["127.0.0.1:0"]), prefix=prefix)
        finally:
            os.chmod(self.folder / "data", 0o755)
            for path in (self.folder / "data").iterdir():
                os.chmod(path, 0o644)
        self.assertIn(done.returncode, (73, 74), done.stderr)
        self.assertIn("Permission denied", done.stderr)
        self.nothing_lost(state)

    def test_a_full_disk(self):
        if os.geteuid() != 0:
            raise unittest.SkipTest("mounting a small file system needs root")
        disk = self.folder / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "urn-e2e", disk],
                                 stderr=subprocess.PIPE, text=True, check=False)
        if mounted.returncode != 0:
            raise unittest.SkipTest(f"no file system can be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        config = make_config(data_dir="disk/data")
        done = run_urnd(self.folder, config, "--create")
        self.assertIn(done.returncode, (73, 74), done.stderr)
        self.assertIn("No space left", done.stderr)
        # With room, the same directory is begun afresh.
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        server = self.serve(config)
        self.assertEqual(len(server.call("draw", "main", 1)[1]), 1)
        self.assertEqual(server.stop(), 0)

    def test_an_address_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            done = run_urnd(self.folder, make_config(listen=[address]), "--create")
            self.assertEqual(done.returncode, 74, done.stderr)
            self.assertIn(address, done.stderr)

    def test_a_stale_unix_socket_is_replaced(self):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(self.folder / "urn.sock"))
        server = self.serve()
        with server.client("unix") as client:
            self.assertEqual(client.call("ping"), "pong")
        self.assertEqual(server.stop(), 0)
        self.assertFalse((self.folder / "urn.sock").exists())

    def test_a_file_where_the_unix_socket_should_be(self):
        (self.folder / "urn.sock").write_text("precious")
        done = run_urnd(self.folder, make_config(), "--create")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("urn.sock", done.stderr)
        self.assertEqual((self.folder / "urn.sock").read_text(), "precious")


def write_config_as_is(folder):
    """run_urnd writes the file; root may, whatever the mode of the folder."""
    return write_config(folder, make_config())


class Life(TestCase):
    def test_a_second_start_goes_on(self):
        server = self.serve()
        self.assertIn("created", server.start_line)
        for word in ("0.1.0", str(self.folder / "data"), "commit", "memory at most", "urn.sock"):
            self.assertIn(word, server.start_line)
        last = server.call("draw", "main", 500)[0] + 499
        state = server.call("state", "main")
        self.assertEqual(server.stop(), 0)
        self.assertFalse((self.folder / "urn.sock").exists())

        server = self.serve(create=True)  # --create opens one that exists as ever
        again = server.call("state", "main")
        self.assertEqual(again["items"], state["items"])
        self.assertEqual(again["last_request_id"], last)
        self.assertEqual(server.call("draw", "main", 1)[0], last + 1)
        self.assertEqual(server.stop(), 0)

    def test_a_ring_that_somebody_has_read_costs_no_more(self):
        """A backup reads ahead, and one that is put back is written at a stretch: either leaves large
        pieces in the system's cache, each of which a sync of one page would write whole."""
        config = make_config(wal={"segment_size": "4MiB"})
        server = self.serve(config)
        server.call("draw", "main", 1000)
        self.assertEqual(server.stop(), 0)
        for segment in server.data_dir.glob("segment-*"):
            with open(segment, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                while file.read(131072):
                    pass
        shutil.copytree(server.data_dir, self.folder / "copy")
        for data_dir in ("data", "copy"):
            server = self.serve({**config, "data_dir": data_dir}, create=False)
            with server.client() as client:
                before = client.call("info")["counters"]["syncs"], bytes_written(server)
                for _ in range(50):
                    client.call("draw", "main", 1)
                after = client.call("info")["counters"]["syncs"], bytes_written(server)
            self.assertLessEqual((after[1] - before[1]) / (after[0] - before[0]), 16384, data_dir)
            self.assertEqual(server.stop(), 0)

    def test_lookups_behind_a_start_cost_no_more(self):
        """They read the ring, from a cold cache, right where the log goes on."""
        config = make_config(wal={"segment_size": "4MiB"})
        server = self.serve(config)
        drawn = {}
        with server.client() as client:
            for _ in range(600):
                first, outcomes = client.call("draw", "main", 10000, {"as": "indexes"})[:2]
                drawn[first] = outcomes[0]
                drawn[first + 9999] = outcomes[9999]
        self.assertEqual(server.stop(), 0)
        server = self.serve(config, create=False)
        with server.client() as client:
            for request_id in reversed(drawn):
                self.assertEqual(client.call("lookup", request_id)["index"], drawn[request_id])
            before = client.call("info")["counters"]["syncs"], bytes_written(server)
            for _ in range(50):
                client.call("draw", "main", 1)
            after = client.call("info")["counters"]["syncs"], bytes_written(server)
        self.assertLessEqual((after[1] - before[1]) / (after[0] - before[0]), 16384)
        self.assertEqual(server.stop(), 0)

    def test_pools_of_the_file_seed_only_a_new_directory(self):
        server = self.serve()
        server.call("draw", "main", 50)
        state = server.call("state", "main")
        self.assertEqual(server.stop(), 0)
        other = make_config(pools=[{"name": "main", "catalog": [
            {"item_id": "x", "quantity": 1, "probability": 1}]}])
        server = self.serve(other, create=False)
        self.assertEqual(server.call("state", "main")["items"], state["items"])

    def stop_under_load(self, number):
        """After a stop in good order, what was told is exactly what happened: nothing in doubt."""
        catalogs = {"main": MAIN_CATALOG}
        oracle = Oracle(catalogs)
        config = make_config()
        server = self.serve(config)
        stopped = []

        def on_reply(_):
            if not stopped:
                stopped.append(True)
                server.signal(number)

        drawers = [Drawer(server.address if i % 2 else server.unix_address, oracle, i,
                          on_reply=on_reply) for i in range(4)]
        for drawer in drawers:
            drawer.start()
        finish(drawers)
        self.assertEqual(server.wait(), 0, server.output())
        for drawer in drawers:
            self.assertLessEqual(set(drawer.codes), {"OK", "READONLY"})
        server = self.serve(config, create=False)
        state = server.call("state", "main")
        self.assertEqual(state["last_request_id"], len(oracle.acknowledged))
        self.assertEqual(sorted(oracle.acknowledged),
                         list(range(1, state["last_request_id"] + 1)))
        for item in state["items"]:
            self.assertEqual(item["drawn"], oracle.drawn["main", item["item_id"]])

    def test_sigterm(self):
        self.stop_under_load(signal.SIGTERM)

    def test_sigint(self):
        self.stop_under_load(signal.SIGINT)

    def test_sigpipe_and_idle_stop(self):
        server = self.serve()
        with server.client() as client:
            client.call("ping")
            self.assertEqual(server.stop(), 0)
            self.assertEqual(client.read_to_end(), [])

    def test_systemd_is_told(self):
        path = self.folder / "notify.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(path))
            manager.settimeout(DEADLINE_S)
            server = self.serve(env={"NOTIFY_SOCKET": str(path)})
            said = ""
            while "READY=1" not in said:
                said += manager.recv(4096).decode() + "\n"
            server.signal(signal.SIGTERM)
            while "STOPPING=1" not in said:
                said += manager.recv(4096).decode() + "\n"
            self.assertEqual(server.wait(), 0)

    def test_a_start_that_is_interrupted_can_be_repeated(self):
        """Killed while it creates its directory; whatever stands there then, --create goes on."""
        config = make_config(wal={"segment_size": "16MiB", "segments": 8})
        for files in range(1, 8):
            server = Server(self.folder, config, wait=False)
            data_dir = self.folder / "data"
            while server.process.poll() is None and not server.ready.is_set() and \
                    len(list(data_dir.iterdir()) if data_dir.exists() else []) < files:
                pass
            server.kill()
        server = self.serve(config)
        self.assertEqual(server.call("state", "main")["last_request_id"], 0)
        self.assertEqual(server.stop(), 0)


