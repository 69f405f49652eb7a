"""reading.py: the rows of reading logs: urn-wal, and what the peers have for theirs.

The logs are written once a row: the peers' by the peers themselves, urn's by bench-make_log. They hold as many calls
each, of as many draws. Then the readers take turns, from the page cache.
"""
import json
import os
import random
import shutil

from measuring.figures import Ratio, median
from measuring.processes import Failed, count_lines, run, timed
from measuring.row import MIB, Result, take_turns
from peers.postgresql import PostgreSQL
from peers.tarantool import Tarantool

TURN_S = 1  # a side runs its program again until so much time has passed


def make_log(bench, folder, draws, size, *archive):
    """A data directory made for it: log_bytes, groups, draws."""
    return json.loads(run(bench.program("bench-make_log"), folder, draws, size, *archive))


class Reader:
    """A program on a log; what one run of it reads. A record is what it shows as one."""

    def __init__(self, command, log_bytes, calls, draws, records):
        self.command = command
        self.log_bytes, self.calls, self.draws, self.records = log_bytes, calls, draws, records

    def turn(self, bench):
        runs, passed_s = [], 0
        while passed_s < min(TURN_S, bench.seconds):
            runs.append(timed(*self.command))
            passed_s += runs[-1][0]
        clock_s = median([clock_s for clock_s, _ in runs])
        processor_s = median([processor_s for _, processor_s in runs])
        return {"records_per_s": self.records / clock_s, "calls_per_s": self.calls / clock_s,
                "draws_per_s": self.draws / clock_s, "gb_per_s": self.log_bytes / clock_s / 1e9,
                "processor_s_per_gb": processor_s / self.log_bytes * 1e9, "ms": clock_s * 1e3}


class Reading:
    name = "reading"
    draws = 1000
    title = "reading the log, of calls of 1000 draws, from the page cache"
    columns = [("records_per_s", "records/s"), ("calls_per_s", "calls/s"), ("draws_per_s", "draws/s"),
               ("gb_per_s", "GB/s"), ("processor_s_per_gb", "processor s/GB"), ("ms", "ms")]
    peers_load_s = 1  # as long as Tarantool is loaded: the calls of all logs but the large one

    def run(self, bench):
        result = Result(self)
        readers = self.tarantool(bench)
        calls = readers["tarantoolctl cat"].calls
        readers.update(self.postgresql(bench, calls))
        mib = 128 if bench.quick else 1024
        large, large_bytes = self.urn(bench, f"{mib} MiB: ", mib)
        same, same_bytes = self.urn(bench, "", f"{calls}x")
        readers = {**large, **same, **readers}
        each = f"{self.draws:,} draws" if self.draws > 1 else "a draw"
        result.notes += [f"{calls:,} calls of {each} in each log: {same_bytes / 1e6:,.1f} MB (urn), "
                         f"{readers['pg_waldump'].log_bytes / 1e6:,.1f} MB (PostgreSQL), "
                         f"{readers['tarantoolctl cat'].log_bytes / 1e6:,.1f} MB (Tarantool, compressed); urn alone: "
                         f"{large_bytes / 1e9:.2f} GB",
                         "a record is a draw (urn), a record of the log (PostgreSQL), a row (Tarantool); the peers' "
                         "logs hold what was left, and not what was drawn"]
        result.sides = take_turns(bench, self, readers, lambda name: readers[name].turn(bench))
        self.judge(result, f"{mib} MiB: ")
        return result

    def urn(self, bench, prefix, size):
        folder = bench.new_folder("log")
        made = make_log(bench, folder, self.draws, size)
        tool = bench.program("urn-wal")
        commands = {"urn-wal verify": (tool, "verify", "--quiet", folder),
                    "urn-wal cat": (tool, "cat", "--format", "text", folder)}
        run(*commands["urn-wal verify"])  # or there is nothing to be measured
        return {prefix + name: Reader(command, made["log_bytes"], made["groups"], made["draws"], made["draws"])
                for name, command in commands.items()}, made["log_bytes"]

    def tarantool(self, bench):
        with Tarantool(bench, bench.new_folder("Tarantool")) as side:
            side.load(16, 16, self.draws, min(bench.seconds, self.peers_load_s))
            side.check()
            _, ids = side.given()
        command = ("tarantoolctl", "cat", *side.log_files())
        log_bytes = sum(path.stat().st_size for path in side.log_files())
        return {"tarantoolctl cat": Reader(command, log_bytes, ids // self.draws, ids, count_lines("---", *command))}

    def postgresql(self, bench, calls):
        with PostgreSQL(bench, bench.new_folder("PostgreSQL"), "wal_keep_size=100GB") as side:  # nothing is reused
            command, log_bytes = side.log_of(calls, self.draws)
            side.check()
        draws = calls * self.draws
        records = count_lines("rmgr:", *command)
        return {"pg_waldump": Reader(command, log_bytes, calls, draws, records),
                "pg_waldump --quiet": Reader((*command, "--quiet"), log_bytes, calls, draws, records)}

    def judge(self, result, prefix):
        verify, cat = result.sides[prefix + "urn-wal verify"], result.sides[prefix + "urn-wal cat"]
        result.figure("GB/s, urn-wal verify", verify.values("gb_per_s"), at_least=1)
        result.figure("million draws/s, urn-wal cat",
                      [value / 1e6 for value in cat.values("draws_per_s")], at_least=10)
        for above, below in (("urn-wal cat", "pg_waldump"), ("urn-wal cat", "tarantoolctl cat"),
                             ("urn-wal verify", "pg_waldump --quiet")):
            ratio = Ratio.of(result.sides[above], result.sides[below], "records_per_s")
            ratio.text += ", records/s"
            result.ratios.append(ratio)


class ReadingLone(Reading):
    name = "reading-lone"
    draws = 1
    title = "reading the log, of calls of one draw each synced alone, from the page cache"
    peers_load_s = 4


class Archive:
    name = "archive"
    draws = 4096
    title = "urn-wal find, of draws anywhere in an archive, groups of 4096 draws"
    columns = [("find_ms", "median ms"), ("most_ms", "most ms")]
    mib = 10000
    finds = 40

    def run(self, bench):
        result = Result(self)
        folder, archive = bench.new_folder("data"), bench.new_folder("archive")
        made = make_log(bench, folder, self.draws, self.size_mib(bench), archive)
        size = f"{made['log_bytes'] / 1e9:.1f} GB"
        result.notes.append(f"{size} of log, {made['draws']:,} draws in {made['groups']:,} groups; "
                            f"{self.finds} draws a round; the programs' start and end included")
        ids = random.Random(1)

        def measure(name):
            times_ms = []
            for _ in range(self.finds):
                if name != "in the cache":
                    drop_from_cache(archive)
                times_ms.append(self.find_ms(bench, folder, ids.randint(1, made["draws"])))
            return {"find_ms": median(times_ms), "most_ms": max(times_ms)}

        self.check(bench, folder, made["draws"])
        result.sides = take_turns(bench, self, ["in the cache", "archive not in the cache"], measure)
        for name, series in result.sides.items():
            result.figure(f"ms, find in {size}, {name}", series.values("find_ms"), at_most=50)
        return result

    def size_mib(self, bench):
        free_mib = shutil.disk_usage(bench.folder).free // MIB
        return min(512 if bench.quick else self.mib, free_mib * 6 // 10)

    @staticmethod
    def find_ms(bench, folder, number):
        clock_s, _ = timed(bench.program("urn-wal"), "find", folder, number)
        return clock_s * 1e3

    @staticmethod
    def check(bench, folder, draws):
        """That it finds what it is asked for: the first draw, which only the archive has, and the last."""
        for number in (1, draws):
            found = json.loads(run(bench.program("urn-wal"), "find", "--json", folder, number))
            if found["request_id"] != number:
                raise Failed(f"urn-wal find {number}: {found}")


class ArchiveLone(Archive):
    name = "archive-lone"
    draws = 1
    title = "urn-wal find, of draws anywhere in an archive, groups of a single draw"


def drop_from_cache(folder):
    for path in folder.iterdir():
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)
