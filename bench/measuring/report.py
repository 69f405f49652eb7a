"""report.py: the results as JSON, as a table, and as pictures, in one folder; the table in the documentation."""
import json

from measuring.figures import figure_text
from measuring.plot import curves, medians
from measuring.row import Result

BEGIN = "<!-- bench/run --docs writes what stands from here"
END = "<!-- to here -->"


def side_table(result):
    """What each side of a row measured: lines of Markdown."""
    columns = [(key, label) for key, label in result.columns
               if any(series.median(key) is not None for series in result.sides.values())]
    yield "| | " + " | ".join(label for _, label in columns) + " |"
    yield "| --- |" + " --- |" * len(columns)
    for name, series in result.sides.items():
        yield f"| {name} | " + " | ".join(figure_text(series.median(key)) for key, _ in columns) + " |"


def spread_text(ratio):
    return f"{figure_text(min(ratio.rounds))} to {figure_text(max(ratio.rounds))}"


def ratio_cells(ratio):
    reached = {None: "", True: "yes", False: "NO"}[ratio.reached]
    return f"{ratio.text} | {figure_text(ratio.median)} | {spread_text(ratio)} | {ratio.target} | {reached}"


def ratio_table(result):
    yield "| | median | least to most | target | reached |"
    yield "| --- | --- | --- | --- | --- |"
    for ratio in result.ratios:
        yield f"| {ratio_cells(ratio)} |"


def row_text(result):
    lines = [f"### {result.name}: {result.title}", "", *side_table(result), ""]
    if result.ratios:
        lines += [*ratio_table(result), ""]
    if result.notes:
        lines += ["; ".join(result.notes), ""]
    return "\n".join(lines)


def summary(results):
    """All that has a target, in one table."""
    aims = [(result.name, ratio) for result in results for ratio in result.ratios if ratio.target]
    if not aims:
        return
    yield "| work | figure | median | least to most | target | reached |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, ratio in aims:
        yield f"| {name} | {ratio_cells(ratio)} |"


def floors(results):
    """How near what is measured comes to what the machine allows."""
    near = [(result.name, ratio) for result in results for ratio in result.ratios if ratio.floor]
    if not near:
        return
    yield from ("", "| beside its floor | ratio | median | least to most |", "| --- | --- | --- | --- |")
    for name, ratio in near:
        yield f"| {name} | {ratio.text} | {figure_text(ratio.median)} | {spread_text(ratio)} |"


def machine_text(facts):
    made = "; ".join(f"{key} {value}" for key, value in facts["versions"].items())
    here = facts["machine"]
    return (f"{here['cores']} cores of {here['processor']}, {here['memory_bytes'] / 2 ** 30:.0f} GiB, "
            f"Linux {here['kernel']}, {here['file_system']}; {made}")


def how_text(facts):
    return (f"medians of {facts['rounds']} rounds of {facts['seconds']:g} s; load of the machine before: "
            f"{facts['machine']['load']:.1f}")


def head_text(results):
    """What they were measured on, and how: once, unless it was not the same for all."""
    ways = {}
    for result in results:
        ways.setdefault((machine_text(result.facts), how_text(result.facts)), []).append(result.name)
    lines = []
    for (here, how), names in ways.items():
        lines += [*([f"{', '.join(names)}:"] if len(ways) > 1 else []), here + ";", how + ".", ""]
    return "\n".join(lines)


def table(results):
    return "\n".join([head_text(results), *summary(results), *floors(results), "", *map(row_text, results)])


def pictures(result):
    """(file name, SVG) of a row."""
    for number, (title, x, y, lines) in enumerate(result.curves):
        yield f"{result.name}-{number + 1}.svg", curves(title, x, y, lines)
    key, label = result.columns[0]
    sides = [(name, series.values(key)) for name, series in result.sides.items() if series.values(key)]
    if len(sides) > 1 and not result.curves:
        yield f"{result.name}.svg", medians(result.title, label, sides)


def read(folder):
    """What earlier runs have left there."""
    try:
        document = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return [Result.from_json(row) for row in document["rows"]]


def write(folder, results):
    """All that runs leave: results.json, table.md, and a picture or two of each row."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    document = {"rows": [result.as_json() for result in results]}
    (folder / "results.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (folder / "table.md").write_text(table(results), encoding="utf-8")
    for result in results:
        for name, picture in pictures(result):
            (folder / name).write_text(picture, encoding="utf-8")


def write_into(page, results):
    """Puts the table into a page of the documentation, in place of what stands between two marks; and behind it the
    curves, whose pictures get a folder of the page's name."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    mark_end, end, behind = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no marks to write between")
    mark_end = mark_end.partition("\n")[0]
    folder = page.with_suffix("")
    for old in folder.glob("*.svg"):
        old.unlink()
    shown = []
    for result in results:
        for (title, *_), (name, picture) in zip(result.curves, pictures(result)):
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(picture, encoding="utf-8")
            shown += [f"![{title}]({folder.name}/{name})", ""]
    text = "\n".join([table(results), *shown])
    page.write_text(f"{before}{begin}{mark_end}\n\n{text}\n{end}{behind}", encoding="utf-8")
