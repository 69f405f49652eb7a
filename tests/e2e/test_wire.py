"""Bytes: pipelining, fragments, what is no request, bounds, back-pressure, Unix sockets."""
import os
import socket

import msgpack

from harness import DEADLINE_S, SharedServerTestCase, TestCase, make_config, writable


def request(msgid, method, *params):
    return msgpack.packb([0, msgid, method, list(params)])


class Wire(SharedServerTestCase):
    def test_pipelining(self):
        """Many requests at once; every msgid answered once, ids without a gap."""
        self.client.send_bytes(b"".join(request(i, "draw", "main", 3) for i in range(5000)))
        replies = [self.client.receive() for _ in range(5000)]
        self.assertEqual(sorted(reply[1] for reply in replies), list(range(5000)))
        firsts = sorted(reply[3][0] for reply in replies)
        self.assertEqual(firsts, list(range(firsts[0], firsts[0] + 15000, 3)))

    def test_byte_by_byte(self):
        with self.server.client() as client:
            for byte in request(7, "draw", "main", 2, {"as": "names", "all": True}):
                client.send_bytes(bytes([byte]))
            self.assertEqual(len(client.reply(7)[1]), 2)

    def test_every_cut_in_two(self):
        data = request(1, "draw", "main", 2, {"as": "tally"}) + request(2, "ping")
        for cut in range(1, len(data)):
            self.client.send_bytes(data[:cut])
            self.client.send_bytes(data[cut:])
            replies = {self.client.receive()[1], self.client.receive()[1]}
            self.assertEqual(replies, {1, 2})

    def test_every_spelling_of_numbers_and_lengths(self):
        """MessagePack lets a sender use longer forms than it must."""
        method = b"\xdb\x00\x00\x00\x04draw"
        pool = b"\xda\x00\x04main"
        for array in (b"\x94", b"\xdc\x00\x04", b"\xdd\x00\x00\x00\x04"):
            for one in (b"\x01", b"\xcc\x01", b"\xcd\x00\x01", b"\xce\x00\x00\x00\x01",
                        b"\xcf" + b"\x00" * 7 + b"\x01", b"\xd0\x01", b"\xd1\x00\x01",
                        b"\xd2\x00\x00\x00\x01", b"\xd3" + b"\x00" * 7 + b"\x01"):
                msgid = b"\xce\x00\x00\x00\x09"
                self.client.send_bytes(array + b"\x00" + msgid + method + b"\x92" + pool + one)
                self.assertEqual(len(self.client.reply(9)[1]), 1)

    def test_msgids_of_any_size(self):
        for msgid in (0, 1, 2 ** 31, 2 ** 32 - 1):
            self.client.send_bytes(request(msgid, "ping"))
            self.assertEqual(self.client.reply(msgid), "pong")

    def test_the_same_msgid_on_two_connections(self):
        with self.server.client() as other:
            self.client.send_bytes(request(5, "ping"))
            other.send_bytes(request(5, "pools"))
            self.assertEqual(other.reply(5), ["main"])
            self.assertEqual(self.client.reply(5), "pong")

    def test_notifications_change_nothing(self):
        before = self.call("state", "main")["last_request_id"]
        for method, params in (("draw", ["main", 5]), ("nonsense", [1, 2]), ("draw", [])):
            self.client.send_bytes(msgpack.packb([2, method, params]))
        self.assertEqual(self.call("ping"), "pong")  # and nothing answered them before
        self.assertEqual(self.call("state", "main")["last_request_id"], before)

    def test_unix_socket(self):
        with self.server.client("unix") as client:
            self.assertEqual(client.call("ping"), "pong")
            first = client.call("draw", "main", 1)[0]
        self.assertEqual(self.call("draw", "main", 1)[0], first + 1)

    def test_half_closed(self):
        """A client that has said all it wants may still hear all the answers."""
        with self.server.client() as client:
            client.send_bytes(b"".join(request(i, "draw", "main", 1) for i in range(100)))
            client.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(sorted(m[1] for m in client.read_to_end()), list(range(100)))

    def test_a_client_that_leaves_in_the_middle(self):
        for data in (b"", b"\x94", request(1, "draw", "main", 10)[:-1],
                     request(1, "draw", "main", 10000)):
            with self.server.client() as client:
                client.send_bytes(data)
        self.assertEqual(self.call("ping"), "pong")

    # ---- what is not a request ----------------------------------------------------------------

    def refused(self, data):
        """Sends bytes that end their connection, and no other; returns the error replies."""
        with self.server.client() as client:
            try:
                client.send_bytes(data)
            except (BrokenPipeError, ConnectionResetError):
                pass
            replies = client.read_to_end()
        self.assertEqual(self.call("ping"), "pong")
        for reply in replies:
            self.assertEqual(reply[0], 1)
            self.assertIn(reply[2].split(" ")[0], ("BADREQ", "TOOBIG"))
        return replies

    def test_malformed(self):
        ping = msgpack.packb("ping")
        cases = {
            "an integer": b"\x05",
            "nil": b"\xc0",
            "the byte that MessagePack never uses": b"\xc1",
            "text": b"GET / HTTP/1.1\r\n\r\n",
            "an empty array": b"\x90",
            "a map": b"\x81\x00\x00",
            "three fields": b"\x93\x00\x01" + ping,
            "five fields": b"\x95\x00\x01" + ping + b"\x90\xc0",
            "an unknown type": b"\x94\x03\x01" + ping + b"\x90",
            "a type that is text": b"\x94\xa1\x30\x01" + ping + b"\x90",
            "a response": b"\x94\x01\x01\xc0\xc0",
            "a negative msgid": b"\x94\x00\xff" + ping + b"\x90",
            "a msgid beyond 32 bits": b"\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00" + ping + b"\x90",
            "a msgid that is text": b"\x94\x00\xa11" + ping + b"\x90",
            "a method that is a number": b"\x94\x00\x01\x05\x90",
            "params that are a map": b"\x94\x00\x01" + ping + b"\x80",
            "params that are nil": b"\x94\x00\x01" + ping + b"\xc0",
            "0xc1 in the params": b"\x94\x00\x01" + ping + b"\x91\xc1",
        }
        for what, data in cases.items():
            with self.subTest(what):
                self.refused(data)

    def test_a_refusal_says_why_when_it_can(self):
        replies = self.refused(b"\x94\x00\x2a" + msgpack.packb("ping") + b"\x80")
        self.assertEqual([(reply[1], reply[2].split(" ")[0]) for reply in replies],
                         [(42, "BADREQ")])

    def test_what_was_asked_before_a_refusal_is_answered(self):
        with self.server.client() as client:
            client.send_bytes(request(1, "draw", "main", 1) + request(2, "ping") + b"\xc1")
            replies = client.read_to_end()
        self.assertEqual(sorted(reply[1] for reply in replies), [1, 2])
        self.assertTrue(all(reply[2] is None for reply in replies))

    def test_deep_nesting(self):
        for depth in (100, 100000):
            self.refused(b"\x94\x00\x01" + msgpack.packb("ping") + b"\x91" * depth)

    def test_huge_announcements(self):
        """Headers that promise gigabytes are refused when they are seen."""
        head = b"\x94\x00\x01" + msgpack.packb("ping")
        for announced in (b"\xdd\xff\xff\xff\xff", b"\x91\xdd\xff\xff\xff\xff",
                          b"\x91\xdf\xff\xff\xff\xff", b"\x91\xdb\xff\xff\xff\xff",
                          b"\x91\xc6\xff\xff\xff\xff", b"\xdd\x00\x20\x00\x00"):
            self.refused(head + announced)
        self.refused(b"\xdd\xff\xff\xff\xff")

    def test_oversize(self):
        """One byte beyond limits.max_request_bytes (1 MiB) is too many; up to it is fine."""
        frame = len(msgpack.packb([0, 1, "draw", [b"x" * (1 << 17), 1]])) - (1 << 17)
        at_limit = msgpack.packb([0, 1, "draw", [b"x" * ((1 << 20) - frame), 1]])
        self.assertEqual(len(at_limit), 1 << 20)
        with self.server.client() as client:
            client.send_bytes(at_limit)
            self.assert_error("NOPOOL", client.reply, 1)
        self.refused(msgpack.packb([0, 1, "draw", [b"x" * ((1 << 20) - frame + 1), 1]]))


class Bounds(TestCase):
    def test_more_in_flight_than_allowed_waits(self):
        server = self.serve(make_config(limits={"max_inflight": 4}))
        with server.client() as client:
            client.send_bytes(b"".join(request(i, "draw", "main", 1) for i in range(3000)))
            self.assertEqual(sorted(client.receive()[1] for _ in range(3000)), list(range(3000)))

    def test_a_client_that_does_not_read(self):
        """It is not read from any more, costs bounded memory, and nobody else waits for it; once it
        reads, it gets every reply."""
        server = self.serve(make_config(
            wal={"segment_size": "16MiB"},
            limits={"reply_buffers": "16MiB", "max_reply_bytes": "1MiB", "max_inflight": 64}))
        with server.client() as greedy, server.client() as other:
            greedy.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            greedy.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            one = request(0, "draw", "main", 500)
            unsent = b""
            sent = 0
            greedy.socket.setblocking(False)
            while writable(greedy.socket, 1.0):
                if not unsent:
                    unsent = one * 1000
                    sent += 1000
                    self.assertLess(sent, 2000000, "the server goes on reading for ever")
                unsent = unsent[greedy.socket.send(unsent):]
            self.assertEqual(other.call("ping"), "pong")
            self.assertEqual(len(other.call("draw", "main", 1)[1]), 1)
            bound = other.call("info")["memory"]["bound_bytes"]
            self.assertLess(resident_bytes(server.process.pid), bound)

            first_ids = set()
            while len(first_ids) < sent:
                greedy.socket.setblocking(False)
                if unsent and writable(greedy.socket, 0):
                    unsent = unsent[greedy.socket.send(unsent):]
                greedy.socket.settimeout(DEADLINE_S)
                _, _, error, result = greedy.receive()
                self.assertIsNone(error)
                first_ids.add(result[0])

    def test_many_connections_at_once(self):
        server = self.serve()
        clients = [server.client("unix" if i % 2 else "tcp") for i in range(200)]
        for client in clients:
            self.addCleanup(client.close)
        msgids = [client.send("draw", "main", 2) for client in clients]
        firsts = sorted(client.reply(msgid)[0] for client, msgid in zip(clients, msgids))
        self.assertEqual(firsts, list(range(1, 401, 2)))


def resident_bytes(pid):
    """What the process has in memory that no file backs; the mapped ring is file."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        _, resident, shared = map(int, file.read().split()[:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
