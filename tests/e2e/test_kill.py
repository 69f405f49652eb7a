"""kill -9 under load, many times, in every mode: everything acknowledged is accounted for."""
import random
import threading

from harness import MAIN_CATALOG, TestCase, make_config, run
from oracle import Drawer, Oracle, finish
from wal_log import logged_outcomes, printed_outcomes

ROUNDS = 20
ROUNDS_RELAXED = 6
SEED = 20240607

CATALOGS = {
    "main": MAIN_CATALOG,
    "scarce": [{"item_id": f"coupon-{i:03}", "quantity": 40, "probability": i + 1}
               for i in range(300)],
}


class Kill(TestCase):
    def test_kill_nine_under_load(self):
        self.kill_again_and_again(["commit"] * ROUNDS)

    def test_kill_nine_in_mode_interval(self):
        self.kill_again_and_again(["interval"] * ROUNDS_RELAXED)

    def test_kill_nine_in_mode_os(self):
        self.kill_again_and_again(["os"] * ROUNDS_RELAXED)

    def test_kill_nine_in_changing_modes(self):
        self.kill_again_and_again(["os", "commit", "interval", "os", "interval", "commit", "commit", "os"])

    def kill_again_and_again(self, modes):
        """A life in each of these modes, each of them killed; then what is left is read."""
        config = make_config(pools=[{"name": name, "catalog": catalog}
                                    for name, catalog in CATALOGS.items()],
                             wal={"segment_size": "16MiB"})
        oracle = Oracle(CATALOGS)
        chance = random.Random(SEED)
        for number, mode in enumerate(modes):
            config["wal"]["mode"] = mode
            server = self.serve(config, create=number == 0)
            self.assertIn(f"in mode {mode}:", server.start_line)
            with server.client() as client:
                oracle.check_state(client)
                self.assertEqual(client.call("info")["mode"], mode)
            self.draw_and_kill(server, oracle, chance, number)
            oracle.skips += mode != "commit"
        self.assertGreater(len(oracle.acknowledged), len(modes) * 100)
        self.assertGreater(oracle.unknown, 0, "no kill hit a request in flight")

        server = self.serve(config, create=False)
        with server.client() as client:
            oracle.check_state(client)
        self.assertEqual(server.stop(), 0)
        # The log itself tells the same story, read by the tool and by a reader of our own.
        verify = run("urn-wal", "verify", server.data_dir)
        self.assertEqual(verify.returncode, 0, verify.stdout + verify.stderr)
        logged = logged_outcomes(server.data_dir, CATALOGS)
        oracle.check_log(logged)
        cat = run("urn-wal", "cat", server.data_dir)
        self.assertEqual(cat.returncode, 0, cat.stderr)
        self.assertEqual(printed_outcomes(cat.stdout), logged)

    def draw_and_kill(self, server, oracle, chance, number):
        """Kills the server after a random number of acknowledged draws of this round."""
        enough = chance.randint(1, 3000)
        heard = 0
        lock = threading.Lock()
        reached = threading.Event()

        def on_reply(draws):
            nonlocal heard
            with lock:
                heard += draws
                if heard >= enough:
                    reached.set()

        drawers = [Drawer(server.address if i % 2 else server.unix_address, oracle,
                          SEED + number * 100 + i, on_reply=on_reply) for i in range(6)]
        for drawer in drawers:
            drawer.start()
        self.assertTrue(reached.wait(120), "the load never got going")
        server.kill()
        finish(drawers)
        for drawer in drawers:
            self.assertLessEqual(set(drawer.codes), {"OK"})
