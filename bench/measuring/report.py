"""report.py: the results as a table, as JSON, and as pictures, in one folder."""
import json

from measuring.figures import figure_text
from measuring.plot import bars, curves


def side_table(result):
    """What each side of a row measured: lines of Markdown."""
    columns = [(key, label) for key, label in result.columns
               if any(series.median(key) is not None for series in result.sides.values())]
    yield "| | " + " | ".join(label for _, label in columns) + " |"
    yield "| --- |" + " --- |" * len(columns)
    for name, series in result.sides.items():
        yield f"| {name} | " + " | ".join(figure_text(series.median(key)) for key, _ in columns) + " |"


def ratio_cells(ratio):
    spread = f"{figure_text(min(ratio.rounds))} to {figure_text(max(ratio.rounds))}"
    reached = {None: "", True: "yes", False: "NO"}[ratio.reached]
    return f"{ratio.text} | {figure_text(ratio.median)} | {spread} | {ratio.target} | {reached}"


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
    yield "| work | figure | median | least to most | target | reached |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for result in results:
        for ratio in result.ratios:
            if ratio.target:
                yield f"| {result.name} | {ratio_cells(ratio)} |"


def head_text(facts):
    made = "; ".join(f"{key} {value}" for key, value in facts["versions"].items())
    here = facts["machine"]
    return (f"{here['cores']} cores of {here['processor']}, Linux {here['kernel']}, {here['file_system']}; {made}\n"
            f"medians of {facts['rounds']} rounds of {facts['seconds']:g} s; load of the machine before: "
            f"{here['load']:.1f}\n")


def pictures(result):
    """(file name, SVG) of a row."""
    for number, (title, x, y, lines) in enumerate(result.curves):
        yield f"{result.name}-{number + 1}.svg", curves(title, x, y, lines)
    key, label = result.columns[0]
    sides = [(name, series.values(key)) for name, series in result.sides.items() if series.values(key)]
    if len(sides) > 1 and not result.curves:
        yield f"{result.name}.svg", bars(result.title, label, sides)


def write(folder, facts, results):
    """All that a run leaves: results.json, table.md, and a picture or two of each row."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    document = {**facts, "rows": {result.name: result.as_json() for result in results}}
    (folder / "results.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    text = "\n".join([head_text(facts), *summary(results), "", *map(row_text, results)])
    (folder / "table.md").write_text(text, encoding="utf-8")
    for result in results:
        for name, picture in pictures(result):
            (folder / name).write_text(picture, encoding="utf-8")
