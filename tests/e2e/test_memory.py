"""The memory bound, attacked from all sides at once: everything that clients and the operator can make the
server hold is there at the same time, and it stays below what the start-up line says."""
import re
import threading

import msgpack

from harness import TestCase, make_config, wait_until, writable, write_config

POOLS, ITEMS = 40, 1000  # all of max_items, but for the one of "main"
CONNECTIONS = 48
LIMITS = {"max_connections": CONNECTIONS, "max_pools": POOLS + 1, "max_items": POOLS * ITEMS + 1,
          "max_request_bytes": "1MiB", "request_buffers": "8MiB",
          "max_reply_bytes": "4MiB", "reply_buffers": "32MiB", "max_batch": 10000,
          "max_inflight": 64, "queue_draws": 1000000}
MAIN = {"name": "main", "catalog": [{"item_id": "mud" * 21, "quantity": -1, "probability": 1}]}


def item_id(pool, item):
    """As long as ids may be."""
    return f"{pool:04}-{item:059}"


def catalog(pool, weight):
    return [{"item_id": item_id(pool, item), "quantity": 5, "probability": weight}
            for item in range(ITEMS)]


class Watch(threading.Thread):
    """The most that a process ever has in memory that no file backs; the mapped ring is file."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.status, self.most, self.done = f"/proc/{pid}/status", 0, threading.Event()
        self.start()

    def run(self):
        while not self.done.wait(0.002):
            try:
                with open(self.status, encoding="ascii") as file:
                    found = re.search(r"RssAnon:\s+(\d+)", file.read())
                self.most = max(self.most, 1024 * int(found[1]) if found else 0)
            except FileNotFoundError:
                return  # the test failed, and its server is gone

    def end(self):
        self.done.set()
        self.join()
        return self.most


class Memory(TestCase):
    def setUp(self):
        super().setUp()
        self.config = make_config(pools=[MAIN], limits=LIMITS,
                                  wal={"segment_size": "4MiB", "segments": 4})
        self.server = self.serve(self.config)
        self.watch = Watch(self.server.process.pid)

    def client(self):
        client = self.server.client("unix")
        self.addCleanup(client.close)
        return client

    def pipeline(self, client, requests):
        """Many requests, and no error among their answers."""
        wanted = len(requests)
        for at in range(0, wanted, 1000):
            part = requests[at:at + 1000]
            client.send_bytes(b"".join(msgpack.packb([0, n, *request]) for n, request in enumerate(part)))
            for _ in part:
                self.assertIsNone(client.receive()[2])

    def fill_pools(self, client):
        """Every item there can be, its id as long as it can be; and of each chunk of them (powers of two)
        one with another weight than the file's, which is kept for all then."""
        for pool in range(POOLS):
            client.call("create", f"{pool:064}", catalog(pool, 3))
        self.pipeline(client, [["update", [f"{pool:064}", item_id(pool, item), {"probability": 7}]]
                               for pool in range(POOLS) for item in (0, 16, 32, 64, 128, 256, 512)])
        self.assert_error("TOOBIG", client.call, "add", "main", "one more",
                          {"quantity": 1, "probability": 1})

    def hold_request_buffers(self):
        """Requests that never end, in their connections' own memory and in buffers."""
        begun = msgpack.packb([0, 1, "draw", [b"x" * 1000000, 1]])[:-1]
        for _ in range(12):
            client = self.client()
            client.socket.setblocking(False)
            left = begun
            while left and writable(client.socket, 0.5):
                left = left[client.socket.send(left):]

    def hold_reply_buffers(self):
        """Replies that nobody reads: an eighth of the buffers for each, and some are left for others."""
        many = b"".join(msgpack.packb([0, n, "draw", ["main", 3500]]) for n in range(1000))
        for _ in range(6):
            client = self.client()
            client.socket.setblocking(False)
            left = many
            while left and writable(client.socket, 0.5):
                left = left[client.socket.send(left):]

    def reload_and_snapshot(self, client):
        """A file as large as can be, read and compared while a snapshot keeps the state of its begin."""
        for _ in range(2):
            with self.server.client() as other:
                other.send("snapshot")
                reload = client.send("reload", {"dry_run": True})
                with self.server.client() as third:
                    self.pipeline(third, [
                        ["update", [f"{pool:064}", item_id(pool, item), {"quantity": 4, "probability": 8}]]
                        for pool in reversed(range(POOLS)) for item in range(ITEMS - 1, 0, -60)])
                planned = client.reply(reload)
                self.assertEqual(planned["conflicts"] + planned["probabilities"], ITEMS // 2 * POOLS)
                self.assertIsNone(other.receive()[2])

    def test_everything_at_once_stays_below_the_bound(self):
        with self.server.client() as client:
            self.fill_pools(client)
            pools = [{"name": f"{pool:064}",
                      "catalog": catalog(pool, 3)[:ITEMS // 2] + catalog(pool, 5)[ITEMS // 2:]}
                     for pool in range(POOLS)]
            write_config(self.folder, {**self.config, "pools": [MAIN, *pools]})
            self.hold_request_buffers()
            self.hold_reply_buffers()
            wait_until(lambda: client.call("info")["memory"]["reply_buffers_lent_bytes"] > 23 << 20,
                       "replies that are not read")
            self.reload_and_snapshot(client)
            memory = client.call("info")["memory"]
        self.assertGreater(memory["request_buffers_lent_bytes"], 7 << 20)
        self.assertGreater(memory["reply_buffers_lent_bytes"], 20 << 20)
        most = self.watch.end()
        bound = memory["bound_bytes"]
        self.assertIn(f"memory at most {bound / 2**20:.1f} MiB", self.server.start_line)
        print(f"{most / 2**20:.1f} MiB of at most {bound / 2**20:.1f}")
        self.assertLess(most, bound)
        # The rest is for a start, for roundings, and for what an honest client has to find free.
        self.assertGreater(most, 0.45 * bound, "the attack is none")

    def test_a_file_larger_than_the_limits_is_not_kept(self):
        """A reload of it is refused as soon as it goes beyond what was set aside for it."""
        pools = [{"name": f"{pool:064}", "catalog": catalog(pool, 3)} for pool in range(2 * POOLS)]
        limits = {**LIMITS, "max_items": 10 * POOLS * ITEMS, "max_pools": 10 * POOLS}
        write_config(self.folder, {**self.config, "pools": [MAIN, *pools], "limits": limits})
        error = self.assert_error("TOOBIG", self.server.call, "reload")
        self.assertIn("limits.max_", str(error))
        self.assertLess(self.watch.end(), self.server.call("info")["memory"]["bound_bytes"])
