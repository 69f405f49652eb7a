"""Many clients at once: ids and stock stay right while engine and network threads are busy."""
from harness import MAIN_CATALOG, TestCase, make_config
from oracle import Drawer, Oracle, finish

CATALOGS = {
    "main": MAIN_CATALOG,
    "scarce": [{"item_id": f"coupon-{i}", "quantity": 40, "probability": i + 1} for i in range(50)],
}


class Load(TestCase):
    def test_many_clients(self):
        self.load("commit")

    def test_many_clients_in_mode_interval(self):
        self.load("interval")

    def test_many_clients_in_mode_os(self):
        self.load("os")

    def load(self, mode):
        config = make_config(pools=[{"name": name, "catalog": catalog}
                                    for name, catalog in CATALOGS.items()],
                             wal={"mode": mode, "interval": "1ms"})
        server = self.serve(config)
        oracle = Oracle(CATALOGS)
        drawers = [Drawer(server.address if seed % 2 else server.unix_address, oracle, seed,
                          requests=200) for seed in range(8)]
        for drawer in drawers:
            drawer.start()
        with server.client() as client:
            while any(drawer.is_alive() for drawer in drawers):
                client.call("info")
                client.call("state", "scarce")
        finish(drawers)
        self.assertEqual(sum(d.codes["OK"] for d in drawers), 1600)
        self.assertEqual(oracle.unknown, 0)
        with server.client() as client:
            last = oracle.check_state(client)
        self.assertEqual(server.stop(), 0, server.output())

        # What was told is what a second start finds; relaxed, it skips ids.
        oracle.skips += mode != "commit"
        server = self.serve(config, create=False)
        with server.client() as client:
            self.assertEqual(oracle.check_state(client) > last, mode != "commit")
        self.assertEqual(server.stop(), 0, server.output())
