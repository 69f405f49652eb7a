"""plot.py: two kinds of picture, as SVG: medians with their spread, and curves; all axes are logarithmic. Pure."""
import math
from html import escape

from measuring.figures import figure_text, median

WIDTH = 820
FONT = 'font-family="sans-serif" font-size="13"'
COLOURS = ("#1f6f8b", "#c8553d", "#588157", "#8d6a9f", "#d4a017", "#555555")


def svg(height, title, parts):
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" {FONT}>',
                      f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
                      f'<text x="12" y="22" font-weight="bold">{escape(title)}</text>', *parts, "</svg>", ""])


def text(x, y, words, anchor="start", colour="#222"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'


def line(x1, y1, x2, y2, colour="#bbb", width=1):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"/>')


def tick_text(value):
    """A power of ten in few letters: 0.1, 10, 1 k, 100 k, 1 M, 1 G."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:g} {letter}"
    return f"{value:g}"


def decades(low, high):
    """Powers of ten from at or below low to at or above high."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0 ** power for power in range(first, max(last, first + 1) + 1)]


class LogScale:
    """From values to places on a line, evenly for each power of ten."""

    def __init__(self, values, begin, end):
        positive = [value for value in values if value > 0] or [1]
        self.ticks = decades(min(positive), max(positive))
        self.begin, self.end = begin, end

    def at(self, value):
        low, high = math.log10(self.ticks[0]), math.log10(self.ticks[-1])
        share = (math.log10(max(value, self.ticks[0])) - low) / (high - low)
        return self.begin + share * (self.end - self.begin)


def medians(title, label, sides):
    """sides: (name, samples): a dot at the median, a line over the spread. No bars: a logarithmic axis has no zero for
    them to begin at."""
    left, top, step = 30 + 7.5 * max(len(name) for name, _ in sides), 58, 30
    height = top + step * len(sides) + 16
    scale = LogScale([sample for _, samples in sides for sample in samples], left, WIDTH - 110)
    parts = [text(left, 44, f"{label} (logarithmic)")]
    for tick in scale.ticks:
        parts.append(line(scale.at(tick), top - 6, scale.at(tick), height - 24))
        parts.append(text(scale.at(tick), height - 8, tick_text(tick), "middle", "#777"))
    for number, (name, samples) in enumerate(sides):
        y = top + step * number + 8
        colour = COLOURS[0] if "urn" in name else COLOURS[-1]
        parts.append(text(left - 12, y + 5, name, "end"))
        parts.append(line(left, y, scale.at(median(samples)), y, "#ddd"))
        parts.append(line(scale.at(min(samples)), y, scale.at(max(samples)), y, colour, 3))
        parts.append(f'<circle cx="{scale.at(median(samples)):.1f}" cy="{y}" r="6" fill="{colour}"/>')
        parts.append(text(scale.at(max(samples)) + 12, y + 5, figure_text(median(samples))))
    return svg(height, title, parts)


def curves(title, x_label, y_label, lines):
    """lines: {name: [(x, y), ...]}; both axes logarithmic."""
    left, right, top, bottom = 90, WIDTH - 120, 50, 400
    points = [point for series in lines.values() for point in series]
    xs, ys = LogScale([x for x, _ in points], left, right), LogScale([y for _, y in points], bottom, top)
    parts = [text(left, 42, y_label), text((left + right) / 2, bottom + 40, x_label, "middle")]
    for tick in xs.ticks:
        parts += [line(xs.at(tick), top, xs.at(tick), bottom),
                  text(xs.at(tick), bottom + 18, tick_text(tick), "middle", "#777")]
    for tick in ys.ticks:
        parts += [line(left, ys.at(tick), right, ys.at(tick)),
                  text(left - 6, ys.at(tick) + 4, tick_text(tick), "end", "#777")]
    for number, (name, series) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{xs.at(x):.1f},{ys.at(y):.1f}" for x, y in series)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{xs.at(x):.1f}" cy="{ys.at(y):.1f}" r="3" fill="{colour}"/>' for x, y in series]
        parts.append(text(xs.at(series[-1][0]) + 8, ys.at(series[-1][1]) + 4, name, colour=colour))
    return svg(bottom + 56, title, parts)
