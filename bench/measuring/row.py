"""row.py: what every row is made of: its result, and sides that take turns."""
import json
import types

from measuring.figures import Ratio, Series, figure_text

MIB = 1 << 20


class Result:
    """What a row has measured."""

    def __init__(self, row):
        """row: its name, title and columns."""
        self.name, self.title = row.name, row.title
        self.sides = {}   # by name: Series
        self.ratios = []  # Ratio, also of figures against a target of their own
        self.curves = []  # (title, x label, y label, {side: [(x, y), ...]}) for plots
        self.columns = row.columns
        self.notes = []
        self.facts = {}   # what it was measured on, and how

    def as_json(self):
        return {"name": self.name, "title": self.title, "columns": self.columns,
                "sides": {name: series.as_json() for name, series in self.sides.items()},
                "ratios": [ratio.as_json() for ratio in self.ratios], "notes": self.notes,
                "curves": [{"title": title, "x": x, "y": y, "lines": lines} for title, x, y, lines in self.curves],
                "facts": self.facts}

    @classmethod
    def from_json(cls, document):
        result = cls(types.SimpleNamespace(**document))
        result.sides = {name: Series.from_json(name, side) for name, side in document["sides"].items()}
        result.ratios = [Ratio.from_json(ratio) for ratio in document["ratios"]]
        result.curves = [(curve["title"], curve["x"], curve["y"], curve["lines"]) for curve in document["curves"]]
        result.notes, result.facts = document["notes"], document["facts"]
        return result

    def figure(self, text, values, **targets):
        """A figure with a target of its own, as a ratio to nothing."""
        self.ratios.append(Ratio(text, list(values), **targets))


def turned(sides, number):
    """The sides in their order, but beginning with another one in each round."""
    sides = list(sides)
    return sides[number % len(sides):] + sides[:number % len(sides)]


def take_turns(bench, row, sides, measure):
    """measure(name) of every side in every round, each round beginning with the next one."""
    series = {name: Series(name) for name in sides}
    for number in range(bench.rounds):
        for name in turned(sides, number):
            figures = measure(name)
            series[name].add(figures)
            main = row.columns[0][0]
            bench.say(f"  round {number + 1}: {name}: {row.columns[0][1]} {figure_text(figures.get(main))}")
    return series


def json_lines(output):
    return [json.loads(line) for line in output.splitlines()]


DRAWS = ("draws_per_s", "draws/s")
P50, P99, P999 = ("p50_us", "p50 us"), ("p99_us", "p99 us"), ("p999_us", "p99.9 us")
