"""load.py: a client that draws as fast as it can, in a thread of its own."""
import threading

from harness import RpcError


class Load(threading.Thread):
    """Draws as fast as it can, and keeps what it was told. A disk that others keep busy may let the ring fill:
    who is told so comes again."""

    def __init__(self, server, batch):
        super().__init__(daemon=True)
        self.server = server
        self.batch = batch
        self.told = {}  # first request id -> indexes
        self.stopping = threading.Event()
        self.failure = None

    def run(self):
        try:
            with self.server.client() as client:
                while not self.stopping.is_set():
                    ids = [client.send("draw", "main", self.batch, {"as": "indexes"})
                           for _ in range(4)]
                    for msgid in ids:
                        self.take(client, msgid)
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def take(self, client, msgid):
        try:
            first, indexes, *_ = client.reply(msgid)
            self.told[first] = indexes
        except RpcError as error:
            if error.code != "BUSY":
                raise

    def stop(self):
        self.stopping.set()
        self.join()
        assert self.failure is None, self.failure
