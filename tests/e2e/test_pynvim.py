"""A client that we did not write: python3-pynvim's MessagePack-RPC sessions."""
from pynvim.msgpack_rpc import socket_session, tcp_session

from harness import MAIN_CATALOG, TestCase

IDS = {item["item_id"] for item in MAIN_CATALOG}


class Pynvim(TestCase):
    def session(self, over):
        server = self.serve()
        session = tcp_session(*server.address) if over == "tcp" else \
            socket_session(server.unix_address)
        self.addCleanup(session.close)
        session.error_wrapper = Exception  # what its Nvim class sets, for Neovim's own kind of error
        return session

    def check(self, session):
        self.assertEqual(session.request("ping"), "pong")
        first, outcomes, failed, odds_version, replayed = session.request("draw", "main", 10)
        self.assertEqual((first, len(outcomes), failed, odds_version, replayed),
                         (1, 10, 0, 1, False))
        self.assertLessEqual(set(outcomes), IDS)
        tally = session.request("draw", "main", 90, {"as": "tally"})[1]
        self.assertEqual(sum(tally.values()), 90)
        state = session.request("state", "main")
        self.assertEqual(state["last_request_id"], 100)
        self.assertEqual(sum(item["drawn"] for item in state["items"]), 100)
        self.assertEqual(session.request("catalog", "main")[1], 4)
        self.assertEqual(session.request("pools"), ["main"])
        for request_id, item in enumerate(outcomes, first):
            draw = session.request("lookup", request_id)
            self.assertEqual((draw["request_id"], draw["pool"], draw["item_id"], draw["odds_version"]),
                             (request_id, "main", item, 1))
        self.assertEqual(session.request("info")["mode"], "commit")

    def test_over_tcp(self):
        self.check(self.session("tcp"))

    def test_over_a_unix_socket(self):
        self.check(self.session("unix"))

    def test_errors_reach_the_caller(self):
        session = self.session("tcp")
        with self.assertRaises(Exception) as caught:
            session.request("draw", "nobody", 1)
        self.assertTrue(str(caught.exception).startswith("NOPOOL "), caught.exception)
        self.assertEqual(session.request("ping"), "pong")

    def test_its_notifications_are_ignored(self):
        session = self.session("tcp")
        session.request("draw", "main", 5, async_=True)
        self.assertEqual(session.request("state", "main")["last_request_id"], 0)
