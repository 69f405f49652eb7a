"""harness.py: temporary folders, running servers and a plain client, for the end-to-end tests.

Nothing here sleeps to wait: a server is ready when its start-up line stands, a process has ended when
it was waited for, and whatever is polled has a deadline.
"""
import itertools
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import msgpack

TOP = pathlib.Path(__file__).resolve().parents[2]

# Set by run.py.
build = TOP / "build" / "gcc"

# Generous: the machine may be slow, and sanitizers are. Only a test that fails waits so long.
DEADLINE_S = 120

MAIN_CATALOG = [
    {"item_id": "diamond", "quantity": 100, "probability": 10},
    {"item_id": "ruby", "quantity": 500, "probability": 50},
    {"item_id": "gold", "quantity": 5000, "probability": 240},
    {"item_id": "mud", "quantity": -1, "probability": 700},
]

# A ring that is made quickly. Tests that need more say so.
SMALL_WAL = {"segment_size": "1MiB", "segments": 3}
SMALL_LIMITS = {"max_batch": 10000}


def program(name):
    folder = {"urnd": "server", "urn": "tools/urn", "urn-wal": "tools/urn_wal",
              "urn-bench": "tools/urn_bench"}[name]
    return str(build / folder / name)


def wait_until(condition, what):
    """Polls condition until it is true; fails the test after the deadline."""
    end = time.monotonic() + DEADLINE_S
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {DEADLINE_S} s in vain for {what}")
        time.sleep(0.005)


class RpcError(Exception):
    """An error reply: code and text."""

    def __init__(self, words):
        super().__init__(words)
        self.code, _, self.text = words.partition(" ")


class Client:
    """A plain MessagePack-RPC client over a blocking socket."""

    def __init__(self, address):
        if isinstance(address, tuple):
            self.socket = socket.create_connection(address)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(address)
        self.socket.settimeout(DEADLINE_S)
        self.unpacker = msgpack.Unpacker(raw=False, strict_map_key=False,
                                         max_buffer_size=256 * 1024 * 1024)
        self.ids = itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send_bytes(self, data):
        self.socket.sendall(data)

    def send(self, method, *params):
        """Sends a request and returns its msgid."""
        msgid = next(self.ids)
        self.send_request(msgid, method, *params)
        return msgid

    def send_request(self, msgid, method, *params):
        self.send_bytes(msgpack.packb([0, msgid, method, list(params)]))

    def receive(self):
        """The next message, or None at the end of the connection."""
        while True:
            for message in self.unpacker:
                return message
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.unpacker.feed(data)

    def reply(self, msgid):
        """The result of the next reply, which must be msgid's."""
        message = self.receive()
        if message is None:
            raise ConnectionError("the server closed the connection")
        kind, got, error, result = message
        assert kind == 1 and got == msgid, message
        if error is not None:
            assert result is None, message
            raise RpcError(error)
        return result

    def call(self, method, *params):
        return self.reply(self.send(method, *params))

    def call_until_room(self, method, *params):
        """As call, and once more for as long as the answer is BUSY: on a disk that others keep busy the log
        may be full for longer than a request waits."""
        replies = []

        def has_room():
            try:
                replies.append(self.call(method, *params))
            except RpcError as error:
                if error.code != "BUSY":
                    raise
            return replies

        return wait_until(has_room, "room in the log")[0]

    def read_to_end(self):
        """Every message up to the end of the connection."""
        messages = []
        while (message := self.receive()) is not None:
            messages.append(message)
        return messages


class Server:
    """A running urnd on a configuration in its own folder."""

    def __init__(self, folder, config, create=True, env=None, prefix=(), wait=True):
        self.folder = pathlib.Path(folder)
        self.data_dir = self.folder / config["data_dir"]
        self.lines = []
        command = [*prefix, program("urnd"), "--config", str(write_config(folder, config))]
        if create:
            command.append("--create")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env={**os.environ, **(env or {})}, text=True,
                                        errors="replace")
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.address = None
        self.unix_address = str(self.folder / "urn.sock")
        if wait:
            self.wait_ready()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if START_LINE.search(line):
                self.ready.set()
        self.ready.set()  # at the end of its output, too: nobody waits for the dead

    def wait_ready(self):
        if not self.ready.wait(DEADLINE_S):
            self.kill()
            raise AssertionError("no start-up line from urnd")
        for line in self.lines:
            match = START_LINE.search(line)
            if match:
                self.start_line = line
                self.address = ("127.0.0.1", int(match.group(1)))
                return
        self.process.wait()
        raise AssertionError(f"urnd ended with {self.process.returncode}:\n{self.output()}")

    def output(self):
        return "\n".join(self.lines)

    def client(self, over="tcp"):
        return Client(self.address if over == "tcp" else self.unix_address)

    def call(self, method, *params):
        with self.client() as client:
            return client.call(method, *params)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        """Waits for the process; returns its exit status (negative: the signal that ended it)."""
        status = self.process.wait(DEADLINE_S)
        self.reader.join(DEADLINE_S)
        self.process.stdout.close()
        return status

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait()

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.wait()


# The line that says that the server listens; its first port is the TCP one.
START_LINE = re.compile(r"listening on .*?127\.0\.0\.1:(\d+)")


def make_config(pools=None, **sections):
    """A configuration with a small ring, on a port that the system chooses and on urn.sock."""
    if pools is None:
        pools = [{"name": "main", "catalog": MAIN_CATALOG}]
    config = {
        "data_dir": "data",
        "listen": ["127.0.0.1:0", "unix:urn.sock"],
        "pools": pools,
        "wal": {**SMALL_WAL, **sections.pop("wal", {})},
        "limits": {**SMALL_LIMITS, **sections.pop("limits", {})},
    }
    config.update(sections)
    return config


def write_config(folder, config):
    """JSON is YAML, but for sizes and durations, which must stand unquoted."""
    text = re.sub(r'"(\d+(?:B|KiB|MiB|GiB|ms|s|m|h|d))"', r"\1", json.dumps(config, indent=1))
    path = pathlib.Path(folder) / "urn.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def run(name, *arguments, **options):
    """Runs one of our programs to its end."""
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([program(name), *map(str, arguments)], text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE_S,
                          check=False, **options)


def run_urnd(folder, config, *arguments, prefix=(), **options):
    """Runs an urnd that is expected to end by itself."""
    return subprocess.run([*prefix, program("urnd"), "--config", str(write_config(folder, config)),
                           *arguments], text=True, errors="replace", stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE_S,
                          check=False, **options)


class TestCase(unittest.TestCase):
    """A test with a folder of its own and servers that do not outlive it."""

    longMessage = True
    maxDiff = 4000

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="urn-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def serve(self, config=None, **options):
        server = Server(self.folder, config or make_config(), **options)

        def end():
            if server.process.poll() is None:
                server.kill()

        self.addCleanup(end)
        return server

    def assert_error(self, code, function, *arguments):
        with self.assertRaises(RpcError) as caught:
            function(*arguments)
        self.assertEqual(caught.exception.code, code, caught.exception)
        self.assertTrue(caught.exception.text, "an error says more than its code")
        return caught.exception.text

    def assert_closed(self, client):
        """The server closes this connection; returns what it still said."""
        return client.read_to_end()


    def attempt(self, *command):
        """Runs what only some machines allow; skips the test where it is refused."""
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        if done.returncode != 0:
            raise unittest.SkipTest(f"{command[0]} is refused here: {done.stderr.strip()}")

    def require_loop_devices(self):
        if os.geteuid() != 0:
            raise unittest.SkipTest("a loop device needs root")
        if shutil.which("mkfs.ext4") is None or not os.path.exists("/dev/loop-control"):
            raise unittest.SkipTest("no mkfs.ext4 or no loop devices here")

    def mount_image(self, image, disk, options, *mkfs_options):
        """Makes an ext4 in the file image and mounts it at disk, until the test ends."""
        subprocess.run(["mkfs.ext4", "-q", *mkfs_options, image], check=True)
        self.attempt("mount", "-o", options, image, disk)
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=False)


class SharedServerTestCase(TestCase):
    """Tests that share one server, since none of them harms it."""

    config = None

    @classmethod
    def setUpClass(cls):
        cls.shared_folder = pathlib.Path(tempfile.mkdtemp(prefix="urn-e2e-"))
        cls.server = Server(cls.shared_folder, cls.config or make_config())

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        shutil.rmtree(cls.shared_folder, ignore_errors=True)
        assert status == 0, f"urnd ended with {status}:\n{cls.server.output()}"

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(self.client.close)
        self.call = self.client.call


def writable(sock, timeout_s):
    return bool(select.select([], [sock], [], timeout_s)[1])


# ---- what the data directory says ---------------------------------------------------------------


def flip_bit(path, offset):
    """Damages one byte of a file, beside whoever has it open or mapped."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 4]))

def crc32c(data):
    """CRC-32C (Castagnoli), bit by bit: a few hundred bytes only."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def rewrite_identity(data_dir, change):
    """Passes IDENTITY's lines but the last through change, and gives it a right checksum again."""
    path = pathlib.Path(data_dir) / "IDENTITY"
    *lines, last = path.read_text(encoding="ascii").splitlines(keepends=True)
    assert last == f"crc32c: {crc32c(''.join(lines).encode()):08x}\n", last
    text = "".join(change(line) for line in lines)
    path.write_text(f"{text}crc32c: {crc32c(text.encode()):08x}\n", encoding="ascii")
