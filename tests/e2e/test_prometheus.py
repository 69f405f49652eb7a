"""What Prometheus gets of a real server, and the sample for node_exporter's textfile collector."""
import os
import subprocess

import exposition
from harness import TOP, TestCase, make_config, program, run

# Said by another metric already.
LEFT_OUT = {"latencies.sync.count", "latencies.sync.mean_us"}
SCRIPT = TOP / "samples" / "prometheus" / "urn-textfile"


def figures(value, path=""):
    """The numbers and truth values of info, with their paths."""
    for key, below in value.items():
        if isinstance(below, dict):
            yield from figures(below, f"{path}{key}.")
        elif isinstance(below, (bool, int, float)):
            yield f"{path}{key}", below


def scaled(path, value):
    for ending, unit in (("_ns", 1e9), ("_us", 1e6), ("_ms", 1e3)):
        if path.endswith(ending):
            return value / unit
    return float(value)


class Exposition(TestCase):
    def urn(self, server, *arguments):
        done = run("urn", "--address", f"unix:{server.unix_address}", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_every_figure_is_there(self):
        server = self.serve()
        for _ in range(20):
            server.call("draw", "main", 50)
        types, helps, samples = exposition.parse(self.urn(server, "info", "--format", "prometheus"))
        self.assertEqual(samples["urn_up", ()], 1)
        self.assertEqual(samples["urn_failed", ()], 0)
        self.assertEqual(samples["urn_draws_total", ()], 1000)
        self.assertEqual(samples["urn_next_request_id", ()], 1001)
        self.assertEqual(samples["urn_draw_latency_seconds_count", ()], 20)
        self.assertEqual(types["urn_draw_latency_seconds"], "summary")
        info = server.call("info")
        labels, = (labels for name, labels in samples if name == "urn_build_info")
        self.assertEqual(dict(labels), {key: info[key] for key in ("version", "mode", "snapshot_io")})
        self.assertEqual(set(types), set(helps))
        for name, kind in types.items():
            self.assertEqual(name.endswith("_total"), kind == "counter", name)
            self.assertNotRegex(name, r"_([mun]?s|ms)$", "a unit that is not Prometheus'")
            self.assertNotEqual(helps[name], "", name)
        # All of info's figures, and no more: what it says with its own names, units shifted.
        told = sorted(path for path, _ in figures(info) if path not in LEFT_OUT)
        own = ["urn_up", "urn_build_info", "urn_failed", "urn_snapshots_failing",
               "urn_archive_failing"]
        self.assertEqual(len(samples) - len(own), len(told), told)

    def test_figures_that_stand_still_have_their_values(self):
        server = self.serve()
        samples = exposition.parse(self.urn(server, "info", "--format", "prometheus"))[2]
        values = [value for (name, _), value in samples.items() if name != "urn_build_info"]
        for path, value in figures(server.call("info")):
            if path.startswith(("ring.s", "memory.bound", "recovery.")) or path.endswith("max"):
                self.assertIn(scaled(path, value), values, path)


class Textfile(TestCase):
    def collect(self, server, **options):
        file = self.folder / "textfile" / "urn.prom"
        file.parent.mkdir(exist_ok=True)
        done = subprocess.run([SCRIPT, file], text=True, check=False, capture_output=True, env={
            **os.environ, "URN": program("urn"), "URN_ADDRESS": f"unix:{server.unix_address}"},
            **options)
        self.assertEqual([path.name for path in file.parent.iterdir()], ["urn.prom"])
        self.assertEqual(file.stat().st_mode & 0o777, 0o644)
        return done.returncode, exposition.parse(file.read_text(encoding="utf-8"))[2]

    def test_a_server_that_lives_and_one_that_is_gone(self):
        server = self.serve(make_config())
        server.call("draw", "main", 7)
        status, samples = self.collect(server)
        self.assertEqual(status, 0)
        self.assertEqual(samples["urn_draws_total", ()], 7)
        self.assertEqual(server.stop(), 0)
        status, samples = self.collect(server)
        self.assertEqual(status, 69)
        self.assertEqual(samples, {("urn_up", ()): 0})
