"""rows.py: the rows of the table: what is measured, beside what, and what is to be reached.

A row is a class with a name (for --only), a title and run(bench), which returns a Result. Sides that are
compared take turns, round by round, each time beginning with another one, so that whatever the machine does
meanwhile meets all of them.
"""
import contextlib
import threading

from measuring import machine
from measuring.figures import Ratio, Series
from measuring.processes import run
from measuring.reading import Archive, ArchiveLone, Reading, ReadingLone
from measuring.row import DRAWS, MIB, P50, P99, P999, Result, json_lines, take_turns, turned
from peers.postgresql import PostgreSQL
from peers.redis import Redis, RedisPing
from peers.tarantool import Tarantool
from peers.urn import Echo, Urn, many_items

# ---- floors ------------------------------------------------------------------------------------------------


class Syncs:
    name = "syncs"
    title = "floor: one sync of so many bytes, nothing else"
    columns = [("msync_p50_us", "msync p50 us"), ("msync_p99_us", "msync p99"),
               ("fdatasync_p50_us", "pwrite + fdatasync p50"), ("fdatasync_p99_us", "p99"),
               ("large_folios_p50_us", "msync in large folios p50")]

    def run(self, bench):
        result = Result(self)
        for _ in range(bench.rounds):
            for row in json_lines(run(bench.program("bench-commit"), "--json", bench.folder)):
                side = f"{row.pop('bytes')} bytes"
                result.sides.setdefault(side, Series(side)).add(row)
        return result


class Selection:
    name = "selection"
    title = "floor: random numbers and selection alone, ns a draw"
    columns = [("urn avx512", "urn avx512"), ("urn avx2", "urn avx2"), ("urn scalar", "urn scalar"),
               ("urn by one", "urn, one a request"), ("Fenwick", "Fenwick tree"), ("linear", "linear scan")]

    def run(self, bench):
        result = Result(self)
        for row in json_lines(run(bench.program("bench-selection"), "--json", 3 if bench.quick else 9)):
            if "items" in row:
                result.sides[row["items"]] = Series(row["items"])
                result.sides[row["items"]].add(row)
            else:
                result.notes += [f"8 random bytes: {row['source_ns']} ns",
                                 f"a number below a bound: {row['below_ns']} ns"]
        return result


# ---- the engine --------------------------------------------------------------------------------------------


class Engine:
    name = "engine"
    title = "engine without a network, 6 items, by log and by draws a request x requests under way"
    columns = [DRAWS, P50, P99, ("bytes_per_draw", "log bytes/draw"), ("syncs_per_s", "syncs/s"),
               ("sync_us", "a sync us")]
    loads = ["1:1", "1:64", "1:1024", "10:256", "100:64", "1000:64", "10000:16"]
    items = 6
    logs = ["mmap", "pwrite", "none"]

    def measure(self, bench, log):
        rows = [word for load in self.loads for word in ("--row", load)]
        return json_lines(run(bench.program("bench-engine"), "--json", "--items", self.items, "--log", log,
                              "--ms", int(bench.seconds * 1000), *rows, bench.folder))

    def run(self, bench):
        result = Result(self)
        for number in range(bench.rounds):
            for log in turned(self.logs, number):
                for row in self.measure(bench, log):
                    side = f"{log} {row['batch']}x{row['in_flight']}"
                    result.sides.setdefault(side, Series(side)).add(row)
            bench.say(f"  round {number + 1} of {bench.rounds}")
        self.judge(result)
        return result

    def judge(self, result):
        best = result.sides["mmap 1000x64"]
        result.figure("million draws/s, mmap, 1000 a request",
                      [value / 1e6 for value in best.values("draws_per_s")], at_least=50)
        result.figure("log bytes a draw, 1000 a request", best.values("bytes_per_draw"), at_most=1.1)
        for load in ("1x1024", "10x256", "100x64", "1000x64", "10000x16"):  # with fewer, the sync is the floor
            self.ratio(result, f"mmap {load}", f"none {load}")
        # The trap: were the ring's files in large folios, an msync of one group would write a whole folio, at
        # ten times the price; pwrite into the same files does not mind. The sync alone: what a lone request
        # waits for besides are wake-ups of idle processors, which take longer than a sync on some hosts.
        pairs = zip(result.sides["mmap 1x64"].values("sync_us"), result.sides["pwrite 1x64"].values("sync_us"))
        result.ratios.append(Ratio("a sync of a small group, mmap / pwrite: no large folios",
                                   [mmap / pwrite for mmap, pwrite in pairs], at_most=1.5))
        for key, label in (("draws_per_s", "draws/s"), ("p99_us", "p99 us")):
            result.curves.append((f"engine: {label} by draws a request", "draws a request", label,
                                  {log: self.line(result, log, key) for log in self.logs}))

    @staticmethod
    def ratio(result, above, below):
        result.ratios.append(Ratio.of(result.sides[above], result.sides[below], "draws_per_s", floor=True))

    def line(self, result, log, key):
        """Of each number of draws a request, with the most requests under way that were measured."""
        points = {}
        for load in self.loads:  # from few requests under way to many
            batch, in_flight = load.split(":")
            points[int(batch)] = result.sides[f"{log} {batch}x{in_flight}"].median(key)
        return sorted(points.items())


class EngineMillion(Engine):
    name = "engine-million"
    title = "engine without a network, 1,000,000 items"
    loads = ["1000:64"]
    items = 1000000
    logs = ["mmap", "none"]

    def judge(self, result):
        result.figure("million draws/s, mmap, 1000 a request",
                      [value / 1e6 for value in result.sides["mmap 1000x64"].values("draws_per_s")], at_least=10)
        self.ratio(result, "mmap 1000x64", "none 1000x64")


class Lookups(Engine):
    name = "lookups"
    title = "engine without a network, draws with and without lookups beside them, in the ring and in the archive"
    columns = [DRAWS, P50, P99, ("lookups_per_s", "lookups/s"), ("lookup_p50_us", "lookup p50 us"),
               ("lookup_p99_us", "lookup p99 us")]
    loads = ["1:64", "1000:64"]
    places = {"ring": (), "archive": ("--archive",)}

    def measure_one(self, bench, place, beside):
        rows = [word for load in self.loads for word in ("--row", load)]
        return json_lines(run(bench.program("bench-engine"), "--json", *self.places[place], *beside, "--ms",
                              int(bench.seconds * 1000), *rows, bench.folder))

    def run(self, bench):
        result = Result(self)
        for number in range(bench.rounds):
            for place in self.places:
                for lookups in turned((0, 1), number):
                    for row in self.measure_one(bench, place, ("--lookups", lookups) if lookups else ()):
                        side = self.side(f"{row['batch']}x{row['in_flight']}", place, lookups)
                        result.sides.setdefault(side, Series(side)).add(row)
            bench.say(f"  round {number + 1} of {bench.rounds}")
        self.judge(result)
        return result

    def side(self, load, place, lookups):
        archive = ", archiving" if place == "archive" else ""
        return f"{load}{archive}" + (f", a lookup in the {place} beside" if lookups else "")

    def judge(self, result):
        for place in self.places:
            for load in ("1x64", "1000x64"):
                alone = result.sides[self.side(load, place, 0)]
                beside = result.sides[self.side(load, place, 1)]
                targets = {"at_most": 1000} if place == "ring" else {}
                result.figure(f"lookup p99 us, in the {place}, draws {load}", beside.values("lookup_p99_us"), **targets)
                pairs = zip(beside.values("draws_per_s"), alone.values("draws_per_s"))
                # No target: a lookup is under way all the time, which takes a core from the draws where there are two.
                result.figure(f"draws/s {load}, beside a lookup in the {place} / alone",
                              [with_it / without for with_it, without in pairs])


# ---- the server beside its peers ---------------------------------------------------------------------------


class Comparison:
    """Servers that take turns under one kind of load."""

    columns = [DRAWS, P50, P99]
    sides = (Urn, Redis, Tarantool, PostgreSQL, Echo)
    draws = 1
    connections = 50
    pipeline = 1

    def open(self, bench, stack):
        """Starts all sides; by name."""
        opened = {}
        for kind in self.sides:
            if kind is RedisPing:
                side = RedisPing(bench, opened["Redis"])
            else:
                side = kind(bench, bench.new_folder(kind.name))
            opened[side.name] = stack.enter_context(side)
        return opened

    def settings(self, bench, side):
        """Connections and calls under way on each."""
        return self.connections, self.pipeline

    def run(self, bench):
        result = Result(self)
        with contextlib.ExitStack() as stack:
            sides = self.open(bench, stack)
            settings = {name: self.settings(bench, side) for name, side in sides.items()}
            result.sides = take_turns(bench, self, sides,
                                      lambda name: sides[name].load(*settings[name], self.draws, bench.seconds))
            for name, side in sides.items():
                side.check()
        self.judge(result)
        return result

    def ratio(self, result, below, key="draws_per_s", **more):
        result.ratios.append(Ratio.of(result.sides["urn"], result.sides[below], key, **more))

    def judge(self, result):
        raise NotImplementedError


class Bulk(Comparison):
    name = "bulk"
    title = "server, 1000 draws a call, as indexes; connections and pipeline as suits each side best"
    draws = 1000
    candidates = [(1, 1), (1, 4), (4, 4), (16, 1), (16, 16)]

    def __init__(self):
        self.found = {}

    def settings(self, bench, side):
        """The best of a few, tried for a moment each."""
        tried = []
        for connections, pipeline in self.candidates:
            if isinstance(side, PostgreSQL) and pipeline > 1:
                continue  # there, a pipeline is one transaction
            found = side.load(connections, pipeline, self.draws, min(1, bench.seconds))
            tried.append((found["draws_per_s"], connections, pipeline))
        self.found[side.name] = max(tried)[1:]
        bench.say("  {}: best with {} x {} calls under way".format(side.name, *self.found[side.name]))
        return self.found[side.name]

    def judge(self, result):
        result.notes += ["connections x calls under way on each: " +
                         ", ".join("{} {} x {}".format(name, *found) for name, found in self.found.items())]
        self.ratio(result, "Tarantool", at_least=10)
        self.ratio(result, "Redis", at_least=40)
        self.ratio(result, "PostgreSQL")
        self.ratio(result, "echo", floor=True)
        result.figure("million draws/s",
                      [value / 1e6 for value in result.sides["urn"].values("draws_per_s")], at_least=20)


def best_of(result, one, other):
    """The better of two peers in each round."""
    best = Series(f"the better of {one} and {other}")
    for a, b in zip(result.sides[one].rounds, result.sides[other].rounds):
        best.add(max(a, b, key=lambda figures: figures["draws_per_s"]))
    return best


class Pipelined(Comparison):
    name = "pipelined"
    title = "server, one draw a call, 50 connections x 16 pipelined"
    sides = (Urn, Redis, RedisPing, Tarantool, PostgreSQL, Echo)
    pipeline = 16

    def judge(self, result):
        peers = best_of(result, "Redis", "Tarantool")
        result.ratios.append(Ratio.of(result.sides["urn"], peers, "draws_per_s", at_least=15))
        self.ratio(result, "Redis PING", at_least=1)
        self.ratio(result, "echo", at_least=0.5, floor=True)


class Single(Comparison):
    name = "single"
    title = "server, one draw a call, 50 connections, not pipelined"
    sides = (Urn, Redis, RedisPing, Tarantool, PostgreSQL, Echo)

    def judge(self, result):
        self.ratio(result, "Redis", at_least=3)
        self.ratio(result, "Tarantool")
        self.ratio(result, "Redis PING", at_least=1)
        self.ratio(result, "echo", at_least=0.8, floor=True)


class Lone(Comparison):
    name = "lone"
    title = "one connection, one draw at a time"
    columns = [P50, P99, DRAWS]
    connections = 1

    def run(self, bench):
        """The bare sync takes its turn among the servers."""
        result = Result(self)
        with contextlib.ExitStack() as stack:
            sides = self.open(bench, stack)

            def measure(name):
                if name != "msync of 4 KiB":
                    return sides[name].load(1, 1, 1, bench.seconds)
                page, = json_lines(run(bench.program("bench-commit"), "--json", "--msync", 4096, bench.folder))
                return {"p50_us": page["msync_p50_us"], "p99_us": page["msync_p99_us"]}

            result.sides = take_turns(bench, self, [*sides, "msync of 4 KiB"], measure)
            for side in sides.values():
                side.check()
        self.judge(result)
        return result

    def judge(self, result):
        values = {name: series.values("p50_us") for name, series in result.sides.items()}
        rounds = [urn / (sync + echo)
                  for urn, sync, echo in zip(values["urn"], values["msync of 4 KiB"], values["echo"])]
        result.ratios.append(Ratio("p50: urn / (msync of 4 KiB + echo)", rounds, at_most=1.25,
                                   floor=True))
        self.ratio(result, "Redis", "p50_us")
        self.ratio(result, "Tarantool", "p50_us")


# ---- what else takes place -----------------------------------------------------------------------------------


class Snapshots:
    name = "snapshots"
    title = "open loop at half of the maximum, 1,000,000 items, with and without snapshots under way"
    columns = [P999, P99, P50, ("calls_per_s", "calls/s"), ("held_back", "calls sent late"),
               ("snapshots", "snapshots taken")]
    connections, pipeline = 50, 16

    def run(self, bench):
        result = Result(self)
        with Urn(bench, bench.new_folder("urn"), {"main": many_items(1000000)}) as side:
            maximum = side.load(self.connections, self.pipeline, 1, bench.seconds)["calls_per_s"]
            rate = int(maximum / 2)
            result.notes.append(f"maximum {maximum:,.0f} calls/s, open loop at {rate:,}")
            result.sides = take_turns(bench, self, ["without", "with snapshots"],
                                      lambda name: self.measure(bench, side, rate, name != "without"))
        result.ratios.append(Ratio.of(result.sides["with snapshots"], result.sides["without"], "p999_us",
                                      at_most=3))
        return result

    def measure(self, bench, side, rate, snapshots):
        stop = threading.Event()
        taken = []

        def take_snapshots():
            while not stop.is_set():
                taken.append(side.ask("--timeout", "10m", "snapshot"))

        thread = threading.Thread(target=take_snapshots)
        if snapshots:
            thread.start()
        try:
            # Room for what is due while the server answers nothing: no call is held back by the client.
            report = side.bench_report(self.connections, 1024, 1, max(bench.seconds * 2, 3), "--rate", rate)
        finally:
            stop.set()
            if snapshots:
                thread.join()
        latency = report["latency_us"]
        return {"p50_us": latency["p50"], "p99_us": latency["p99"], "p999_us": latency["p999"],
                "calls_per_s": report["calls_per_s"], "held_back": report["held_back"], "snapshots": len(taken)}


class Recovery:
    name = "recovery"
    title = "start-up, warm cache: the default ring with 1,000,000 items; 1 GiB of log behind a snapshot"
    columns = [("median_ms", "ms"), ("min_ms", "least"), ("max_ms", "most"), ("million_draws_per_s", "M draws/s")]

    def run(self, bench):
        result = Result(self)
        log_mib = 128 if bench.quick else 1024
        for row in ("1 pool x 1,000,000", "1 pool x 6, 1000 a request"):
            found, = json_lines(run(bench.program("bench-recovery"), "--json", "--only", row, bench.folder,
                                    log_mib, bench.rounds))
            name = f"{row}, {log_mib} MiB of log" if "request" in row else f"{row}, no log"
            result.sides[name] = Series(name)
            result.sides[name].add(found)
        start, replay = result.sides.values()
        result.figure("ms, 1,000,000 items, no log", start.values("median_ms"), at_most=200)
        if log_mib == 1024:
            result.figure("seconds for 1 GiB of log",
                          [value / 1e3 for value in replay.values("median_ms")], at_most=2.5)
        return result


class Memory:
    name = "memory"
    title = "resident memory of urnd that is no file's, by items"
    columns = [("mib", "MiB"), ("bytes_per_item", "bytes an item")]

    def run(self, bench):
        result = Result(self)
        empty = None
        for items in (6, 100000, 1000000):
            with Urn(bench, bench.new_folder("urn"), {"main": many_items(items)}) as side:
                side.bench_report(4, 4, 1000, 1)
                resident = machine.anonymous_bytes(side.server.pid)
            empty = resident if empty is None else empty
            name = f"{items:,} items"
            result.sides[name] = Series(name)
            result.sides[name].add({"mib": resident / MIB,
                                    "bytes_per_item": (resident - empty) / items if items > 6 else None})
        result.figure("MiB, 1,000,000 items", result.sides["1,000,000 items"].values("mib"), at_most=100)
        return result


class Threads:
    name = "threads"
    title = "processor time of urnd's threads a draw, by load: which of them fills its core first"
    threads = {"urnd": "network", "urn-writer": "writer", "urn-commit": "commit"}
    columns = [DRAWS, *((f"{name}_ns", f"{name} ns/draw") for name in threads.values()), ("other_ns", "others")]
    full = {"1000 draws a call, 16 connections x 16": (16, 16, 1000),
            "one draw a call, 50 connections x 16": (50, 16, 1)}
    loads = {**full, "one draw a call, 50 connections": (50, 1, 1), "one draw a call, one connection": (1, 1, 1)}

    def run(self, bench):
        result = Result(self)
        with Urn(bench, bench.new_folder("urn")) as side:
            side.bench_report(4, 4, 1000, bench.seconds)  # beside which the ring is read
            result.sides = take_turns(bench, self, self.loads, lambda name: self.measure(bench, side, self.loads[name]))
            side.check()
        for name in self.full:
            for thread in ("network", "writer"):
                result.figure(f"million draws/s that fill the {thread} thread's core, {name}",
                              [1e3 / value for value in result.sides[name].values(f"{thread}_ns")])
        return result

    def measure(self, bench, side, load):
        before_s = machine.threads_s(side.server.pid)
        report = side.bench_report(*load, bench.seconds)
        draws = load[-1] * (report["calls"] + report["warm_up_calls"])
        figures = {"draws_per_s": report["draws_per_s"], "other_ns": 0}
        for thread, after_s in machine.threads_s(side.server.pid).items():
            key = f"{self.threads.get(thread, 'other')}_ns"
            took_s = after_s - before_s.get(thread, 0)
            figures[key] = figures.get(key, 0) + took_s * 1e9 / draws
        return figures


class Growth:
    name = "growth"
    title = "server, draws/s as pools, items, connections and draws a call grow"
    columns = [DRAWS, ("processor_ns", "processor ns/draw"), P50, P99]
    total_items = 100000  # of all pools together
    full = (16, 16)  # connections and calls under way on each: with few, a draw costs what the disk's sync leaves it

    def point(self, bench, result, line, x, side, connections, pipeline, draws, *more):
        name = f"{line} {x}"
        before_s = machine.processor_s(side.server.pid)
        report = side.bench_report(connections, pipeline, draws, bench.seconds, *more)
        took_s = machine.processor_s(side.server.pid) - before_s
        all_draws = draws * (report["calls"] + report["warm_up_calls"])
        result.sides.setdefault(name, Series(name)).add(
            {"draws_per_s": report["draws_per_s"], "processor_ns": took_s * 1e9 / all_draws,
             "p50_us": report["latency_us"]["p50"], "p99_us": report["latency_us"]["p99"], "x": x})

    def run(self, bench):
        result = Result(self)
        for number in range(bench.rounds):
            self.one_round(bench, result, number)
            bench.say(f"  round {number + 1} of {bench.rounds}")
        for line, label in (("pools", f"pools of {self.total_items:,} items together"), ("items", "items of one pool"),
                            ("connections", "connections"), ("draws a call", "draws a call")):
            points = sorted((series.rounds[0]["x"], series.median("draws_per_s"))
                            for name, series in result.sides.items() if name.startswith(line))
            result.curves.append((f"server: draws/s by {line}", label, "draws/s", {"urn": points}))
        self.judge(result)
        return result

    def one_round(self, bench, result, number):
        for pools in turned((1, 10, 100, 1000), number):
            catalog = many_items(self.total_items // pools)
            with Urn(bench, bench.new_folder("urn"), {f"pool-{i:04d}": catalog for i in range(pools)}) as urn:
                self.point(bench, result, "pools", pools, urn, *self.full, 100, "--all-pools", "--pick", "random")
        for items in (10, 1000, 100000, 1000000):
            with Urn(bench, bench.new_folder("urn"), {"main": many_items(items)}) as urn:
                self.point(bench, result, "items", items, urn, *self.full, 1000)
        with Urn(bench, bench.new_folder("urn")) as urn:
            for connections in (1, 10, 100, 1000):
                self.point(bench, result, "connections", connections, urn, connections, 1, 1)
            for draws in (1, 10, 100, 1000, 10000):
                self.point(bench, result, "draws a call", draws, urn, *self.full, draws)

    def judge(self, result):
        pools = [series for name, series in result.sides.items() if name.startswith("pools")]
        for key, what, targets in (("processor_ns", "processor time a draw", {"at_most": 1.15}),
                                   ("draws_per_s", "draws/s", {})):
            rounds = [max(values) / min(values) for values in zip(*(series.values(key) for series in pools))]
            result.ratios.append(Ratio(f"{what}, most / least from 1 to 1000 pools", rounds, **targets))


ROWS = [Syncs, Selection, Engine, EngineMillion, Lookups, Bulk, Pipelined, Single, Lone, Snapshots, Recovery, Memory,
        Threads, Growth, Reading, ReadingLone, Archive, ArchiveLone]
PACKAGES = sorted({package for side in (Redis, Tarantool, PostgreSQL) for package in side.packages})
