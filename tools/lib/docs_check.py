#!/usr/bin/python3
"""docs_check.py: the documentation says what the tables in the source say.

    docs_check.py            fails on any difference
    docs_check.py --print    prints the tables as the documentation must have them

Checked: the configuration's keys and the exit statuses in docs/operations.md, the former in
docs/man/urn.yaml.5 too, the methods and error codes in docs/protocol.md, and that links between the
pages lead somewhere.
"""
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
STRING = r'"((?:[^"\\]|\\.)*)"'


def rows(path, macro, fields):
    """The rows of a .def table: tuples of fields. Adjacent strings are put together."""
    text = (TOP / path).read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for body in re.findall(macro + r"\((.*?)\)\n(?=\n|" + macro + r"|$|/)", text, flags=re.S):
        body = re.sub(r'"\s*\n\s*"', "", body)
        parts = re.findall(STRING + r"|([^\s,\"][^,\"]*)", body)
        values = [string.replace('\\"', '"') if not bare else bare.strip() for string, bare in parts]
        assert len(values) == fields, (path, values)
        yield values


def config_table():
    yield "| key | default | least | most | meaning |"
    yield "| --- | --- | --- | --- | --- |"
    for section, key, _, _, preset, least, most, meaning in rows("server/config_keys.def",
                                                                "CONFIG_KEY", 8):
        name = key if section == "ROOT" else f"{section.lower()}.{key}"
        yield f"| `{name}` | {preset} | {least or '-'} | {most or '-'} | {meaning} |"


def codes():
    return list(rows("engine/codes.def", "URN_CODE", 6))


def exit_status_table():
    yield "| status | code | what ended it |"
    yield "| --- | --- | --- |"
    for symbol, _, _, _, status, meaning in codes():
        if int(status) > 1 and symbol != "INTERNAL":  # which only a client sees
            yield f"| {status} | {symbol} | {meaning} |"


def code_table():
    retry = {"0": "no", "1": "yes", "2": "after a look at the state"}
    yield "| code | meaning | may have taken effect | retry |"
    yield "| --- | --- | --- | --- |"
    for _, text, effect, again, status, meaning in codes():
        if int(status) in (1, 70) or text in ("IO", "DAMAGED"):  # which a client sees too
            yield f"| `{text}` | {meaning} | {'yes' if effect == '1' else 'no'} | {retry[again]} |"


def method_names():
    return [row[1] for row in rows("proto/methods.def", "RPC_METHOD", 7)]


def tables_of(page):
    """Each Markdown table of a page, as a list of rows of stripped cells."""
    table = []
    for line in (TOP / page).read_text(encoding="utf-8").split("\n") + [""]:
        if line.startswith("|"):
            # An escaped bar belongs to its cell.
            table.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif table:
            yield table
            table = []


def parsed(lines):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def check_table(problems, page, wanted):
    wanted = parsed(wanted)
    found = [table for table in tables_of(page) if table[0] == wanted[0]]
    if len(found) != 1:
        problems.append(f"{page}: {len(found)} tables with the head {wanted[0]}, expected one")
        return
    for row in wanted[2:]:
        if row not in found[0]:
            problems.append(f"{page}: this row is missing or different: {' | '.join(row)}")
    for row in found[0][2:]:
        if row not in wanted:
            problems.append(f"{page}: this row is none of the source's: {' | '.join(row)}")


def check_first_cells(problems, page, head, wanted):
    found = [table for table in tables_of(page) if table[0][0] == head]
    names = [row[0].strip("`") for table in found for row in table[2:]]
    names = [name for cell in names for name in re.split(r"`, `", cell)]
    if sorted(names) != sorted(wanted):
        problems.append(f"{page}: the table of each {head} names {sorted(names)}, "
                        f"the source {sorted(wanted)}")


def check_codes(problems, page):
    """The protocol's own table may say more; code, effect and retry must be the source's."""
    wanted = {row[0].strip("`"): row for row in parsed(code_table())[2:]}
    found = [table for table in tables_of(page) if table[0][0] == "code"]
    if len(found) != 1:
        problems.append(f"{page}: {len(found)} tables whose first column is `code`, expected one")
        return
    head = found[0][0]
    columns = [(head.index(name), at) for at, name in enumerate(parsed(code_table())[0])
               if name in head]
    if len(columns) < 3:
        problems.append(f"{page}: the table of codes has the columns {head}")
    rows_found = {row[0].strip("`"): row for row in found[0][2:]}
    if sorted(rows_found) != sorted(wanted):
        problems.append(f"{page}: codes {sorted(set(rows_found) ^ set(wanted))} stand only on one side")
    for code in set(rows_found) & set(wanted):
        for here, there in columns:
            if rows_found[code][here].strip("`") != wanted[code][there].strip("`"):
                problems.append(f"{page}: {code}: `{rows_found[code][here]}`, the source says "
                                f"`{wanted[code][there]}`")


def manual_items():
    """What urn.yaml(5) must say of each key, whatever its line breaks."""
    for section, key, _, _, preset, least, most, meaning in rows("server/config_keys.def",
                                                                "CONFIG_KEY", 8):
        name = key if section == "ROOT" else f"{section.lower()}.{key}"
        bounds = f"; from {least} to {most}" if least else ""
        meaning = meaning[0].upper() + meaning[1:].replace("`", "")
        yield f".It Cm {name} {meaning}. Default: {preset}{bounds}."


def check_manual(problems, page):
    text = " ".join((TOP / page).read_text(encoding="utf-8").split())
    text = text.partition(".Ss Keys with one value")[2].partition(".El")[0]
    found = [f".It Cm {item.strip()}" for item in text.split(".It Cm ")[1:]]
    wanted = list(manual_items())
    for item in wanted:
        if item not in found:
            problems.append(f"{page}: this is missing or different: {item}")
    for item in found:
        if item not in wanted:
            problems.append(f"{page}: this is none of the source's: {item}")


def anchors(page):
    for line in page.read_text(encoding="utf-8").split("\n"):
        if line.startswith("#"):
            title = line.lstrip("#").strip().lower()
            yield re.sub(r"[^\w\- ]", "", title).replace(" ", "-")


def check_links(problems):
    for page in [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            other = (page.parent / path).resolve() if path else page
            if not other.exists():
                problems.append(f"{page.relative_to(TOP)}: {target} leads nowhere")
            elif anchor and other.suffix == ".md" and anchor not in anchors(other):
                problems.append(f"{page.relative_to(TOP)}: {target}: no such heading")


def main():
    if "--print" in sys.argv[1:]:
        for table in (config_table(), exit_status_table(), code_table()):
            print("\n".join(table), end="\n\n")
        print("\n".join(manual_items()))
        return 0
    pages = ("README.md", "docs/operations.md", "docs/protocol.md")
    problems = [f"{page} is missing" for page in pages if not (TOP / page).exists()]
    if not problems:
        check_table(problems, "docs/operations.md", config_table())
        check_table(problems, "docs/operations.md", exit_status_table())
        check_manual(problems, "docs/man/urn.yaml.5")
        check_first_cells(problems, "docs/protocol.md", "method", method_names())
        check_codes(problems, "docs/protocol.md")
        check_links(problems)
    print("\n".join(problems) if problems else "the pages agree with the tables")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
