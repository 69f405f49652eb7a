"""figures.py: samples of a measurement that was repeated, and ratios of two that took turns. Pure."""
import statistics


def median(samples):
    return statistics.median(samples)


class Series:
    """What one side of a row measured, a sample a round; each a dictionary of figures."""

    def __init__(self, name):
        self.name = name
        self.rounds = []

    def add(self, figures):
        self.rounds.append(figures)

    def values(self, key):
        return [figures[key] for figures in self.rounds if figures.get(key) is not None]

    def median(self, key):
        values = self.values(key)
        return median(values) if values else None

    def as_json(self):
        keys = sorted({key for figures in self.rounds for key in figures})
        return {"rounds": self.rounds,
                "median": {key: self.median(key) for key in keys
                           if all(isinstance(value, (int, float)) for value in self.values(key))}}

    @classmethod
    def from_json(cls, name, document):
        series = cls(name)
        series.rounds = document["rounds"]
        return series


class Ratio:
    """One side against another: each round's own ratio, since what disturbed one disturbed the other. floor: the other
    is what the machine itself allows."""

    def __init__(self, text, rounds, at_least=None, at_most=None, floor=False):
        assert rounds and (at_least is None or at_most is None)
        self.text = text
        self.rounds = rounds
        self.at_least = at_least
        self.at_most = at_most
        self.floor = floor

    @classmethod
    def of(cls, above, below, key, **more):
        """above / below by one of their figures."""
        pairs = zip(above.values(key), below.values(key))
        return cls(f"{above.name} / {below.name}", [a / b for a, b in pairs], **more)

    @property
    def median(self):
        return median(self.rounds)

    @property
    def reached(self):
        """None: there is no target."""
        if self.at_least is not None:
            return self.median >= self.at_least
        return None if self.at_most is None else self.median <= self.at_most

    @property
    def target(self):
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return "" if self.at_most is None else f"<= {self.at_most:g}"

    def as_json(self):
        return {"what": self.text, "median": self.median, "low": min(self.rounds), "high": max(self.rounds),
                "rounds": self.rounds, "at_least": self.at_least, "at_most": self.at_most, "floor": self.floor,
                "reached": self.reached}

    @classmethod
    def from_json(cls, document):
        return cls(document["what"], document["rounds"], document["at_least"], document["at_most"],
                   document["floor"])


def figure_text(value):
    """1234567.8 as 1,234,568; small ones with what matters of their decimals."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"
