#!/usr/bin/python3
"""run.py: the end-to-end tests, against the real programs.

    tests/e2e/run.py [--build DIR] [--suite all|wire|threads] [--counts FILE] [PATTERN ...]

PATTERN selects tests whose name contains it. Tests that this machine cannot run (no root, no loop
device) are counted as skipped and named, with the reason.
"""
import argparse
import importlib
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402

SUITES = {
    "wire": ["test_methods", "test_changes", "test_errors", "test_bounds", "test_wire", "test_pynvim",
             "test_bench"],
    "threads": ["test_load", "test_changes", "test_bench"],
    "all": ["test_methods", "test_changes", "test_errors", "test_bounds", "test_wire", "test_pynvim",
            "test_load", "test_start", "test_faults", "test_snapshots", "test_full_disk", "test_archive",
            "test_kill", "test_tools", "test_urn_wal", "test_live_damage", "test_repair",
            "test_move", "test_bench",
            "test_bench_run",
            "test_prometheus", "test_man", "test_completion", "test_samples", "test_docs", "test_memory"],
}


class Result(unittest.TextTestResult):
    """Prints each test with its time."""

    def startTest(self, test):
        self.began = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        self.stream.write(f"      {time.monotonic() - self.began:.1f} s\n")
        self.stream.flush()

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.stream.write(f"SKIPPED: {test.id()}: {reason}\n")


def flatten(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, default=harness.build)
    parser.add_argument("--suite", choices=sorted(SUITES), default="all")
    parser.add_argument("--counts", type=pathlib.Path)
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    harness.build = options.build.resolve()

    loader = unittest.TestLoader()
    selected = unittest.TestSuite()
    for module in SUITES[options.suite]:
        for test in flatten(loader.loadTestsFromModule(importlib.import_module(module))):
            if not options.patterns or any(p in test.id() for p in options.patterns):
                selected.addTest(test)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result).run(selected)

    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    skipped = len(result.skipped)
    passed = max(result.testsRun - failed - skipped, 0)
    if options.counts:
        options.counts.write_text(f"{passed} {failed} {skipped}\n", encoding="ascii")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
