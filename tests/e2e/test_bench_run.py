"""What bench/run makes of its samples: medians, ratios, targets, the table, the pictures. Nothing is measured
here, and no peer is needed."""
import json
import sys
import xml.etree.ElementTree as xml

from harness import TOP, TestCase

sys.path.append(str(TOP / "bench"))
from measuring import figures, plot, report  # noqa: E402


class Row:
    name, title = "row", "a row <&> its title"
    columns = [("draws_per_s", "draws/s"), ("p50_us", "p50 us")]


class Result:
    def __init__(self):
        self.name, self.title, self.columns = Row.name, Row.title, Row.columns
        self.sides, self.ratios, self.curves, self.notes = {}, [], [], ["a note"]

    def as_json(self):
        return {"sides": {name: series.as_json() for name, series in self.sides.items()},
                "ratios": [ratio.as_json() for ratio in self.ratios]}


def series(name, *samples):
    made = figures.Series(name)
    for sample in samples:
        made.add({"draws_per_s": sample, "p50_us": None})
    return made


class BenchRun(TestCase):
    def test_ratios_are_those_of_the_rounds(self):
        urn, peer = series("urn", 100, 10, 60), series("peer", 10, 2, 3)
        ratio = figures.Ratio.of(urn, peer, "draws_per_s", at_least=10)
        self.assertEqual((ratio.rounds, ratio.median, ratio.reached), ([10, 5, 20], 10, True))
        self.assertFalse(figures.Ratio.of(urn, peer, "draws_per_s", at_least=11).reached)
        self.assertFalse(figures.Ratio.of(urn, peer, "draws_per_s", at_most=9).reached)
        self.assertIsNone(figures.Ratio.of(urn, peer, "draws_per_s").reached)

    def test_figures_are_short_and_true(self):
        self.assertEqual([figures.figure_text(value) for value in (None, 0.12345, 1.23456, 123.456, 1234567.8)],
                         ["-", "0.123", "1.235", "123.5", "1,234,568"])
        self.assertEqual([plot.tick_text(value) for value in (0.1, 10, 1e3, 1e5, 1e6, 1e9)],
                         ["0.1", "10", "1 k", "100 k", "1 M", "1 G"])

    def test_a_scale_covers_its_values(self):
        scale = plot.LogScale([3, 4000], 0, 400)
        self.assertEqual((scale.at(1), scale.at(100), scale.at(10000)), (0, 200, 400))
        self.assertEqual(plot.LogScale([5], 0, 10).ticks, [1, 10])

    def test_what_a_run_leaves(self):
        result = Result()
        result.sides = {"urn": series("urn", 1e6, 2e6, 3e6), "a < b": series("a < b", 1e3, 2e3, 1e3)}
        result.ratios = [figures.Ratio.of(result.sides["urn"], result.sides["a < b"], "draws_per_s",
                                          at_least=1000)]
        curved = Result()
        curved.name = "curved"
        curved.sides = result.sides
        curved.curves = [("growth", "items", "draws/s", {"urn": [(1, 10), (1000, 20)], "other": [(1, 5)]})]
        facts = {"machine": {"cores": 2, "processor": "X", "kernel": "6", "file_system": "ext4", "load": 0.1},
                 "versions": {"urn": "1"}, "rounds": 3, "seconds": 5}
        report.write(self.folder, facts, [result, curved])
        rows = json.loads((self.folder / "results.json").read_text(encoding="utf-8"))["rows"]
        self.assertEqual(rows["row"]["sides"]["urn"]["median"]["draws_per_s"], 2e6)
        self.assertEqual(rows["row"]["ratios"][0]["rounds"], [1000, 1000, 3000])
        table = (self.folder / "table.md").read_text(encoding="utf-8")
        self.assertIn("| row | urn / a < b | 1,000 | 1,000 to 3,000 | >= 1000 | yes |", table)
        self.assertIn("| urn | 2,000,000 |", table)
        self.assertIn("a note", table)
        for name in ("row.svg", "curved-1.svg"):
            picture = xml.parse(self.folder / name).getroot()
            self.assertTrue(picture.tag.endswith("svg"))
            self.assertGreater(len(picture), 10)
