#!/usr/bin/python3
"""function_length.py: functions fit a screen: 70 lines.

Those that do not stand in function_length.txt with their length. The list may only shrink: a function
that is new on it, or longer than it says, fails; so does a line whose function has become shorter,
until the list says so too. Run with --write to bring the list down (it never adds).
"""
import pathlib
import re
import sys

LINES_MAX = 70
TOP = pathlib.Path(__file__).resolve().parents[2]
LIST = pathlib.Path(__file__).with_suffix(".txt")
FOLDERS = ("engine", "proto", "server", "tools", "tests", "bench")


def functions(path):
    """Yields (name, lines) of each function: its body stands between a '{' and a '}' in column 0."""
    lines = path.read_text(encoding="utf-8").split("\n")
    start = None
    for number, line in enumerate(lines):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            head = ""
            for above in range(start - 1, -1, -1):
                if lines[above].startswith(("}", "/*", " *", "#")) or not lines[above].strip():
                    break
                head = lines[above] + " " + head
            match = re.search(r"(\w+)\s*\(", head)
            yield (match.group(1) if match else "?"), number - start + 1
            start = None


def long_functions():
    found = {}
    for folder in FOLDERS:
        for path in sorted((TOP / folder).rglob("*.[ch]")):
            for name, lines in functions(path):
                if lines > LINES_MAX:
                    found[f"{path.relative_to(TOP)} {name}"] = lines
    return found


def main():
    found = long_functions()
    kept = {}
    if LIST.exists():
        for line in LIST.read_text(encoding="utf-8").splitlines():
            key, lines = line.rsplit(" ", 1)
            kept[key] = int(lines)
    if "--write" in sys.argv[1:]:
        kept = {key: min(kept[key], found[key]) for key in kept if key in found}
        LIST.write_text("".join(f"{key} {kept[key]}\n" for key in sorted(kept)), encoding="utf-8")
    problems = []
    for key, lines in found.items():
        if lines > kept.get(key, LINES_MAX):
            problems.append(f"{key}: {lines} lines; at most {kept.get(key, LINES_MAX)}")
    for key, lines in kept.items():
        if found.get(key, 0) < lines:
            problems.append(f"{key}: got shorter; run {pathlib.Path(__file__).name} --write")
    print("\n".join(problems) if problems else f"no function beyond {LINES_MAX} lines but {len(kept)}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
