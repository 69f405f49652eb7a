"""What bench/run makes of its samples: medians, ratios, targets, the table, the pictures, the documentation's
page. Nothing is measured here, and no peer is needed."""
import importlib.machinery
import importlib.util
import json
import sys
import xml.etree.ElementTree as xml

from harness import TOP, TestCase

sys.path.append(str(TOP / "bench"))
from measuring import figures, plot, report, row  # noqa: E402
from measuring.processes import Failed, count_lines, timed  # noqa: E402


class Row:
    name, title = "row", "a row <&> its title"
    columns = [("draws_per_s", "draws/s"), ("p50_us", "p50 us")]


class Other(Row):
    name = "other"


FACTS = {"machine": {"cores": 2, "processor": "X", "kernel": "6", "file_system": "ext4", "memory_bytes": 2 ** 34,
                     "load": 0.1},
         "versions": {"urn": "1"}, "rounds": 3, "seconds": 5}


def bench_run():
    """The script, which has no name that could be imported."""
    path = str(TOP / "bench" / "run")
    loader = importlib.machinery.SourceFileLoader("bench_run", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", loader))
    loader.exec_module(module)
    return module


def series(name, *samples):
    made = figures.Series(name)
    for sample in samples:
        made.add({"draws_per_s": sample, "p50_us": None})
    return made


def measured(kind=Row, rate=1e6):
    """A row's result, with a target that is reached from a rate of 1e6 on, and a floor."""
    result = row.Result(kind)
    result.facts = FACTS
    result.sides = {"urn": series("urn", rate, 2 * rate, 3 * rate), "a < b": series("a < b", 1e3, 2e3, 1e3)}
    result.ratios = [figures.Ratio.of(result.sides["urn"], result.sides["a < b"], "draws_per_s", at_least=1000),
                     figures.Ratio("near", [0.5, 0.75, 0.25], floor=True)]
    result.notes = ["a note"]
    return result


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
        curved = measured(Other)
        curved.curves = [("growth", "items", "draws/s", {"urn": [(1, 10), (1000, 20)], "other": [(1, 5)]})]
        report.write(self.folder, [measured(), curved])
        first, _ = json.loads((self.folder / "results.json").read_text(encoding="utf-8"))["rows"]
        self.assertEqual(first["sides"]["urn"]["median"]["draws_per_s"], 2e6)
        self.assertEqual(first["ratios"][0]["rounds"], [1000, 1000, 3000])
        table = (self.folder / "table.md").read_text(encoding="utf-8")
        self.assertIn("| row | urn / a < b | 1,000 | 1,000 to 3,000 | >= 1000 | yes |", table)
        self.assertIn("| row | near | 0.5 | 0.25 to 0.75 |\n", table)
        self.assertIn("| urn | 2,000,000 |", table)
        self.assertIn("a note", table)
        for name in ("row.svg", "other-1.svg"):
            picture = xml.parse(self.folder / name).getroot()
            self.assertTrue(picture.tag.endswith("svg"))
            self.assertGreater(len(picture), 10)

    def test_what_was_left_is_read_as_it_was(self):
        result = measured()
        result.curves = [("growth", "items", "draws/s", {"urn": [(1, 10), (1000, 20)]})]
        report.write(self.folder, [result])
        left = {path.name: path.read_text(encoding="utf-8") for path in self.folder.iterdir()}
        self.assertEqual(sorted(left), ["results.json", "row-1.svg", "table.md"])
        report.write(self.folder, report.read(self.folder))
        self.assertEqual({path.name: path.read_text(encoding="utf-8") for path in self.folder.iterdir()}, left)
        self.assertEqual(report.read(self.folder / "nowhere"), [])

    def test_a_part_takes_its_place_beside_earlier_ones(self):
        script = bench_run()
        script.ROWS[:] = [Row, Other]
        results = script.Results(self.folder, [])
        results.keep(measured(Other))
        results.keep(measured(rate=10))
        self.assertEqual([left.name for left in report.read(self.folder)], ["row", "other"])
        script.Results(self.folder, report.read(self.folder)).keep(measured())
        table = (self.folder / "table.md").read_text(encoding="utf-8")
        self.assertIn("| row | urn / a < b | 1,000 |", table)
        self.assertIn("| other | urn / a < b | 1,000 |", table)

    def test_rows_measured_elsewhere_are_told_apart(self):
        elsewhere = measured(Other)
        elsewhere.facts = {**FACTS, "rounds": 1}
        head = report.head_text([measured(), elsewhere])
        self.assertIn("row:\n2 cores of X", head)
        self.assertIn("other:\n2 cores of X", head)
        self.assertNotIn("row", report.head_text([measured()]).partition("medians")[0])

    def test_the_page_of_the_documentation_gets_the_table(self):
        page = self.folder / "page.md"
        page.write_text(f"before\n{report.BEGIN} -->\nold\n{report.END}\nbehind\n", encoding="utf-8")
        curved = measured()
        curved.curves = [("growth", "items", "draws/s", {"urn": [(1, 10), (1000, 20)]})]
        (self.folder / "page").mkdir()
        (self.folder / "page" / "old.svg").touch()
        for _ in range(2):  # again and again
            report.write_into(page, [curved])
            self.assertEqual([path.name for path in (self.folder / "page").iterdir()], ["row-1.svg"])
            text = page.read_text(encoding="utf-8")
            self.assertTrue(text.startswith(f"before\n{report.BEGIN} -->\n"))
            self.assertTrue(text.endswith(f"{report.END}\nbehind\n"))
            self.assertEqual(text.count("| urn | 2,000,000 |"), 1)
            self.assertEqual(text.count("![growth](page/row-1.svg)"), 1)
            self.assertNotIn("old", text)
        page.write_text("no marks\n", encoding="utf-8")
        with self.assertRaises(ValueError):
            report.write_into(page, [measured()])
        self.assertEqual(page.read_text(encoding="utf-8"), "no marks\n")
        marked = (TOP / "docs" / "performance.md").read_text(encoding="utf-8")
        self.assertEqual((marked.count(report.BEGIN), marked.count(report.END)), (1, 1))

    def test_programs_that_fail_are_not_measured(self):
        took_s, processor_s = timed("sh", "-c", "echo to nowhere; sleep 0.01")
        self.assertGreaterEqual(took_s, 0.01)
        self.assertGreaterEqual(processor_s, 0)
        with self.assertRaisesRegex(Failed, "ended with 3: why"):
            timed("sh", "-c", "echo why >&2; exit 3")
        self.assertEqual(count_lines("a", "printf", "a1\nb\na2\n"), 2)
        with self.assertRaisesRegex(Failed, "ended with 4: why"):
            count_lines("a", "sh", "-c", "echo a; echo why >&2; exit 4")

    def test_every_round_begins_with_another_side(self):
        orders = [row.turned("abc", number) for number in range(4)]
        self.assertEqual(["".join(order) for order in orders], ["abc", "bca", "cab", "abc"])
