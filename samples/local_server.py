"""local_server.py: what the samples share: a server of their own in a temporary folder, and a client.

    with local_server.start("lucky-draw.yaml") as server:
        server.call("draw", "daily", 10)

The programs are those of the checkout (build/run, as tools/run leaves it), else those of the PATH; the
environment variable URND names another urnd.
"""
import contextlib
import itertools
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import msgpack

FOLDER = pathlib.Path(__file__).resolve().parent


class Refused(Exception):
    """The server answered with an error: `CODE text`."""

    def __init__(self, words):
        super().__init__(words)
        self.code = words.split(" ")[0]


class Server:
    """A running urnd, and one connection to it."""

    def __init__(self, folder):
        self.folder = folder
        self.ids = itertools.count()
        self.start()

    def start(self):
        built = FOLDER.parent / "build" / "run" / "server" / "urnd"
        urnd = os.environ.get("URND") or (built if built.exists() else
                                            shutil.which("urnd") or "/usr/sbin/urnd")
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = self.folder / "notify.sock"
        path.unlink(missing_ok=True)
        ready.bind(str(path))
        ready.settimeout(120)
        self.process = subprocess.Popen([urnd, "--config", self.folder / "urn.yaml", "--create"],
                                        stderr=subprocess.DEVNULL,
                                        env={**os.environ, "NOTIFY_SOCKET": str(path)})
        self.socket = socket.socket(socket.AF_UNIX)
        with ready:
            while b"READY=1" not in ready.recv(4096):
                pass
        self.socket.connect(str(self.folder / "urn.sock"))
        self.unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=1 << 28)

    def call(self, method, *params):
        self.socket.sendall(msgpack.packb([0, next(self.ids) & 0xFFFFFFFF, method, params]))
        while True:
            for _, _, error, result in self.unpacker:
                if error is not None:
                    raise Refused(error)
                return result
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("the server closed the connection")
            self.unpacker.feed(data)

    def stop(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()
        return self.process.returncode

    def crash(self):
        """kill -9: what was acknowledged is on the disk all the same."""
        self.socket.close()
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def start(config):
    """config: the name of a file beside this one, or the text of a configuration. Data goes to a temporary
    folder, and so does the only socket, whatever it says."""
    text = config if "\n" in config else (FOLDER / config).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith(("data_dir:", "listen:"))]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="urn-sample-"))
    (folder / "urn.yaml").write_text("\n".join(["data_dir: data", 'listen: ["unix:urn.sock"]', *lines, ""]),
                                     encoding="utf-8")
    server = None
    try:
        server = Server(folder)
        yield server
        if server.stop() != 0:
            raise SystemExit("urnd did not stop as asked")
    finally:
        if server is not None and server.process.poll() is None:
            server.crash()
        shutil.rmtree(folder)
