"""exposition.py: a reader of Prometheus' text format, version 0.0.4, as strict as the format's page."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL},)*(?:{LABEL})?)\}})? (\S+)")
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}


def family_of(name, types):
    """The family that a sample belongs to: a summary's has _sum and _count, too."""
    for suffix in ("_sum", "_count"):
        if name.endswith(suffix) and types.get(name[:-len(suffix)]) in ("summary", "histogram"):
            return name[:-len(suffix)]
    return name


def parse(text):
    """Returns (types, helps, samples); samples maps (name, labels) to a float, labels being a tuple of
    pairs. Raises ValueError at whatever the format does not allow."""
    types, helps, samples, ended = {}, {}, {}, set()
    current = None

    def enter(family):
        nonlocal current
        if family != current:
            if family in ended:
                raise ValueError(f"the lines of {family} do not stand together")
            ended.add(current)
            current = family

    if not text.endswith("\n"):
        raise ValueError("the last line does not end")
    for line in text[:-1].split("\n"):
        if match := re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.*)", line):
            kind, family, rest = match.groups()
            enter(family)
            table = helps if kind == "HELP" else types
            if family in table or (kind == "TYPE" and rest not in TYPES):
                raise ValueError(line)
            table[family] = rest
        elif match := SAMPLE.fullmatch(line):
            name = match.group(1)
            enter(family_of(name, types))
            labels = tuple((label, re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), value))
                           for label, value in re.findall(LABEL, match.group(2) or ""))
            if (name, labels) in samples or len(dict(labels)) != len(labels):
                raise ValueError(f"twice: {line}")
            samples[name, labels] = float(match.groups()[-1])
        elif line and not line.startswith("#"):
            raise ValueError(line)
    return types, helps, samples
