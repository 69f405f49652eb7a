"""Every key of `limits`, at its bound and one beyond, as clients meet it."""
import re
import resource

import msgpack

from harness import TOP, TestCase, make_config, wait_until

COIN = {"item_id": "coin", "quantity": 5, "probability": 2}
ENDLESS = {"item_id": "mud", "quantity": -1, "probability": 1}


def request(msgid, method, *params):
    return msgpack.packb([0, msgid, method, list(params)])


class Bounds(TestCase):
    def serve_with(self, **limits):
        server = self.serve(make_config(pools=[{"name": "main", "catalog": [ENDLESS]}], limits=limits,
                                        wal={"segment_size": "128KiB", "segments": 3}))
        client = server.client()
        self.addCleanup(client.close)
        return server, client

    def fits(self, client, method, *params):
        client.call(method, *params)
        return True

    def largest(self, client, ask, code, most):
        """The largest number that ask() takes, by halving; the next one gets code."""
        fits, beyond = 0, most
        while beyond - fits > 1:
            middle = (fits + beyond) // 2
            client.send(*ask(middle))
            error = client.receive()[2]
            if error is None:
                fits = middle
            else:
                self.assertTrue(error.startswith(code + " "), error)
                beyond = middle
        return fits

    def test_every_key_has_its_test(self):
        page = (TOP / "docs" / "operations.md").read_text(encoding="utf-8")
        keys = re.findall(r"^\| `limits\.([a-z_]+)` \|", page, re.M)
        self.assertGreater(len(keys), 8)
        for key in keys:
            self.assertTrue(callable(getattr(self, f"test_{key}", None)), key)

    def test_max_connections(self):
        server, client = self.serve_with(max_connections=3)
        others = [server.client() for _ in range(2)]
        self.assertEqual([c.call("ping") for c in [client, *others]], ["pong"] * 3)
        with server.client() as beyond:
            self.assertEqual(beyond.read_to_end(), [])
        self.assertEqual(client.call("info")["connections"]["refused"], 1)
        others[0].close()
        wait_until(lambda: client.call("info")["connections"]["open"] == 2, "the end of one")
        with server.client() as again:
            self.assertEqual(again.call("ping"), "pong")
        others[1].close()

    def test_max_request_bytes(self):
        server, client = self.serve_with(max_request_bytes="1KiB")
        frame = len(request(1, "draw", b"x" * 900, 1)) - 900
        at_bound = request(1, "draw", b"x" * (1024 - frame), 1)
        self.assertEqual(len(at_bound), 1024)
        client.send_bytes(at_bound)
        self.assert_error("NOPOOL", client.reply, 1)
        client.send_bytes(request(1, "draw", b"x" * (1025 - frame), 1))
        self.assert_error("TOOBIG", client.reply, 1)
        self.assertIsNone(client.receive())  # and the connection is closed
        self.assertEqual(server.call("ping"), "pong")

    def test_max_batch(self):
        _, client = self.serve_with(max_batch=777)
        self.assertEqual(len(client.call("draw", "main", 777)[1]), 777)
        self.assert_error("BADARG", client.call, "draw", "main", 778)

    def while_draws_wait(self, server, look, what):
        """No file can grow, so that no snapshot is written and the ring fills up; from then on draws wait for
        room, for two seconds, and look() has that long to see what it looks for. It returns that, or nothing
        once it gets BUSY: then the ring is emptied, and filled again."""
        pid = server.process.pid
        limit = resource.prlimit(pid, resource.RLIMIT_FSIZE)

        def try_once():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, limit[1]))
            try:
                return look()
            finally:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)

        return wait_until(try_once, what)

    def test_max_inflight(self):
        """What is beyond is not read before something is answered; nothing of it is lost."""
        server, client = self.serve_with(max_inflight=5)
        burst = b"".join(request(n, "draw", "main", 10000, {"as": "tally"}) for n in range(20))

        def most_in_flight():
            seen, answers = 0, []
            while seen < 5 and not any(answer[2] for answer in answers):
                client.send_bytes(burst)
                before = other.call("info")["counters"]["requests"]
                while seen < 5 and other.call("info")["counters"]["requests"] - before < 30:
                    seen = max(seen, other.call("info")["queue"]["requests"])
                answers = [client.receive() for _ in range(20)]
                self.assertEqual({answer[1] for answer in answers}, set(range(20)))
            return seen if seen >= 5 else None

        with server.client() as other:
            self.assertEqual(self.while_draws_wait(server, most_in_flight, "five in flight"), 5)

    def test_max_reply_bytes(self):
        _, client = self.serve_with(max_reply_bytes="16KiB", max_pools=8)
        fits = self.largest(client, lambda n: ("draw", "main", n), "TOOBIG", 10000)
        error = self.assert_error("TOOBIG", client.call, "draw", "main", fits + 1)
        self.assertIn(f"ask for at most {fits} at a time", error)
        # Names take at most 66 bytes, and each answer some tens more.
        self.assertTrue(16384 - 100 <= 66 * fits + 50 <= 16384, fits)

    def test_request_buffers(self):
        """As many large requests may arrive at a time as there are buffers for; others wait for one."""
        server, client = self.serve_with(max_request_bytes="64KiB", request_buffers="128KiB")
        large = request(9, "draw", b"x" * 60000, 1)
        halves = [server.client() for _ in range(3)]
        for half in halves:
            self.addCleanup(half.close)
            half.send_bytes(large[:-1])
        wait_until(lambda: client.call("info")["memory"]["request_buffers_lent_bytes"] == 131072,
                   "two large requests")
        wait_until(lambda: client.call("info")["counters"]["waits"] == 1, "the third to wait")
        for half in halves:  # those that have one give it on
            half.send_bytes(large[-1:])
        for half in halves:
            self.assert_error("NOPOOL", half.reply, 9)
        self.assertEqual(client.call("info")["memory"]["request_buffers_lent_bytes"], 0)

    def test_reply_buffers(self):
        """What can never be lent is refused; its half can."""
        _, client = self.serve_with(max_reply_bytes="1MiB", reply_buffers="1MiB", max_batch=20000)
        fits = self.largest(client, lambda n: ("draw", "main", n), "TOOBIG", 15000)
        error = self.assert_error("TOOBIG", client.call, "draw", "main", fits + 1)
        self.assertIn("limits.reply_buffers", error)
        # 66 bytes for a name and 4 for its index, in one block of a power of two.
        self.assertTrue(1 << 20 >= 70 * fits > (1 << 20) - 2000, fits)

    def test_queue_draws(self):
        """All of it may wait; one draw more gets BUSY at once, before those that wait."""
        server, client = self.serve_with(max_batch=10000, queue_draws=10000)

        def answer_before_those_that_wait():
            answers = []
            while not any(answer[2] for answer in answers):
                client.send_request(1, "draw", "main", 9999, {"as": "tally"})
                client.send_request(2, "draw", "main", 1, {"as": "tally"})
                wanted = 2
                if other.call("info")["queue"]["draws"] == 10000:  # the first still waits, and the second
                    client.send_request(3, "draw", "main", 1)
                    wanted = 3
                answers = [client.receive() for _ in range(wanted)]
            return answers[0] if answers[0][1] == 3 else None

        with server.client() as other:
            answer = self.while_draws_wait(server, answer_before_those_that_wait, "a full queue")
        self.assertTrue(answer[2].startswith("BUSY "), answer)

    def test_max_pools(self):
        _, client = self.serve_with(max_pools=3)
        client.call("create", "two", [COIN])
        client.call("create", "three")
        self.assert_error("TOOBIG", client.call, "create", "four", [COIN])
        self.assertEqual(client.call("pools"), ["main", "two", "three"])

    def test_max_items(self):
        _, client = self.serve_with(max_items=4)
        stock = {"quantity": 5, "probability": 2}
        three = [{**COIN, "item_id": f"coin {n}"} for n in range(3)]
        self.assert_error("TOOBIG", client.call, "create", "two", [*three, COIN])
        client.call("create", "two", three[:2])
        client.call("add", "main", "coin", stock)
        self.assert_error("TOOBIG", client.call, "add", "main", "one more", stock)
        self.assert_error("TOOBIG", client.call, "create", "three", [COIN])
        client.call("create", "three")  # which needs no room

    def test_names(self):
        """Of pools and items: 64 bytes, not characters."""
        _, client = self.serve_with()
        for name in ("x" * 64, "é" * 32):
            client.call("create", name, [{**COIN, "item_id": name}])
            self.assertEqual(client.call("draw", name, 1)[1], [name])
        for name in ("x" * 65, "é" * 32 + "x", ""):
            self.assert_error("BADARG", client.call, "create", name, [COIN])
            self.assert_error("BADARG", client.call, "create", "new", [{**COIN, "item_id": name}])
            self.assert_error("BADARG", client.call, "add", "main", name, {"quantity": 1, "probability": 1})

    def test_nesting(self):
        server, client = self.serve_with()
        params = []
        for _ in range(14):  # with the message and this one, 16
            params = [params]
        client.send_bytes(request(1, "ping", *params))
        self.assert_error("BADARG", client.reply, 1)
        client.send_bytes(request(2, "ping", params))
        self.assert_error("BADREQ", client.reply, 2)
        self.assertIsNone(client.receive())
        self.assertEqual(server.call("ping"), "pong")
