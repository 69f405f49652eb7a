#!/usr/bin/python3
"""count_ctest.py JUNIT_FILE: prints "PASSED FAILED SKIPPED" of a ctest run.

A ctest case that is a cmocka program counts as the tests inside it; any other case as one.
"""
import re
import sys
import xml.etree.ElementTree as ElementTree


def count(junit_file):
    passed = failed = skipped = 0
    for case in ElementTree.parse(junit_file).getroot().iter("testcase"):
        output = "".join(part.text or "" for part in case.iter("system-out"))
        status = case.get("status")
        inner_passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", output)))
        inner_failed = sum(map(int, re.findall(r"\[  FAILED  \] (\d+) test\(s\)", output)))
        inner_skipped = sum(map(int, re.findall(r"\[  SKIPPED \] (\d+) test", output)))
        if status in ("disabled", "notrun"):
            skipped += 1
        elif status == "run" and inner_failed == 0:
            passed += inner_passed if inner_passed > 0 else 1
            skipped += inner_skipped
        else:
            passed += inner_passed
            failed += max(inner_failed, 1)
            skipped += inner_skipped
    return passed, failed, skipped


if __name__ == "__main__":
    print(*count(sys.argv[1]))
