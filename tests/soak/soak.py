#!/usr/bin/python3
"""soak.py: urnd at full load on a small ring, killed every few seconds, and every acknowledged outcome
accounted for.

    tests/soak/soak.py [--build DIR] [--seconds 600] [--laps 100] [--mode commit] [--seed N]
                       [--segments 8] [--segment-kib 512]

Goes on until both so many seconds have passed and the log has gone round so many times. One life of a
server follows the other: most end by kill -9 under load, some while they start, some by SIGTERM, some after
the load has been drained, so that not one draw is in doubt. Beside the load (load.c) pools are changed all
the time, and `urn-wal verify` runs on the live directory without a pause (beside.py). After each start,
before anything is drawn, the state must be what was acknowledged and what is left open by answers that
nobody heard (accounts.py). The last life is a long one: memory and descriptors must not grow in it.

Nothing here depends on how fast the machine is. Ends with what was done and PASS or FAIL; exit status 0
or 1. After a failure the folder is kept.
"""
import argparse
import collections
import json
import math
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
import harness  # noqa: E402
from accounts import Accounts, Violation, expect  # noqa: E402
from beside import Changer, Verifier, Watcher, item_id  # noqa: E402

FAIR_WEIGHTS = [1, 9, 40, 150, 300, 500]
# The load draws so many at once at most from each pool.
LOADED = {"fair": 1000, "stock": 300, "coupons": 3, "door": 20, "file": 50}

# How lives end, and how often.
ENDS = {"kill": 16, "kill at the start": 2, "stop": 2, "drain": 2}
LIFE_S = (1, 6)
LAST_LIFE_SHARE = 0.3

# All that a server may say: it has nothing to complain of.
GOOD_LINES = re.compile(r" urnd: (urn \S+ serves |stopping: \d+ requests |stopped; everything |"
                        r"reload( \(dry run\))? of )")

# What the allocator may keep beyond a leak of nothing, in the long life.
GROWTH_KIB_MAX = 512

# A request waits 2 s for room before it gets BUSY. A sync or a thread of ours that took so long shows a
# disk or a machine that did not keep up, and then BUSY is the right answer.
STALL_S = 0.5


def catalogs():
    def catalog(pool, items):
        return [{"item_id": item_id(pool, i), "quantity": quantity, "probability": weight}
                for i, (quantity, weight) in enumerate(items)]

    return {
        "file": catalog("file", [(-1, 10 * (i + 1)) for i in range(5)]),
        "fair": catalog("fair", [(-1, weight) for weight in FAIR_WEIGHTS]),
        "stock": catalog("stock", [(-1, 1000)] + [(5000, i + 1) for i in range(200)]),
        "coupons": catalog("coupons", [(3, i % 7 + 1) for i in range(20000)]),
        "door": catalog("door", [(-1, 10)] + [(1000 * i, i) for i in range(1, 20)]),
    }


def make_config(options, names):
    pools = [{"name": name, "catalog": catalog} for name, catalog in catalogs().items()
             if name in names]
    return harness.make_config(
        pools=pools,
        wal={"segment_size": f"{options.segment_kib}KiB", "segments": options.segments,
             "mode": options.mode},
        limits={"max_batch": 1000, "max_items": 40000, "max_pools": 100, "max_connections": 64,
                "request_buffers": "8MiB", "reply_buffers": "64MiB"})


def is_sanitized(build):
    """Sanitizers keep what was freed for a while: memory then says nothing."""
    cache = (build / "CMakeCache.txt").read_text(encoding="utf-8")
    return re.search(r"^URN_SANITIZE:STRING=.", cache, re.MULTILINE) is not None


class Histogram:
    """Sums up what load.c prints, in the buckets of engine/histogram.h."""

    PARTS = 128

    def __init__(self):
        self.buckets = collections.Counter()
        self.max_ns = 0

    def add(self, told):
        self.max_ns = max(self.max_ns, told["max_ns"])
        for bucket, count in told["buckets"]:
            self.buckets[bucket] += count

    def end_ns(self, bucket):
        if bucket < self.PARTS:
            return bucket
        shift = bucket // self.PARTS - 1
        return ((self.PARTS + bucket % self.PARTS + 1) << shift) - 1

    def permille_us(self, permille):
        rank = math.ceil(sum(self.buckets.values()) * permille / 1000)
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                return min(self.end_ns(bucket), self.max_ns) / 1000
        return 0.0

    def words(self):
        return ", ".join(f"p{permille / 10:g} {self.permille_us(permille):.0f}"
                         for permille in (500, 990, 999)) + f", max {self.max_ns / 1000:.0f}"


class Load:
    """One run of load.c."""

    def __init__(self, server, seed, floor_id):
        pools = ",".join(f"{name}:{count}" for name, count in LOADED.items())
        addresses = f"unix:{server.unix_address},127.0.0.1:{server.address[1]}"
        self.report = None
        self.process = subprocess.Popen(
            [harness.build / "tests/soak/soak_load", str(seed), str(floor_id), pools, addresses],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        self.told, self.complaints = self.process.communicate()

    def ended(self):
        return not self.reader.is_alive()

    def drain(self):
        self.process.send_signal(signal.SIGTERM)

    def finish(self):
        self.reader.join(harness.DEADLINE_S)
        expect(self.process.returncode == 0, f"soak_load: {self.process.returncode}: "
                                             f"{self.complaints}{self.told[:2000]}")
        self.report = json.loads(self.told)
        expect(self.report["indoubt"] == 0, "INDOUBT from a log that did not fail")
        return self.report


class Soak:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.random = random.Random(options.seed)
        self.began = time.monotonic()
        self.config = make_config(options, catalogs())
        self.accounts = Accounts(catalogs(), ids_have_no_gaps=options.mode == "commit")
        self.verifier = None
        self.server = None  # the present one, and
        self.load = None  # what draws from it
        self.report = None  # of the load since the last look
        self.exact = True  # and no draw can be in doubt
        self.durable_lsn = 0  # that any server told of
        self.snapshot_lsn = 0
        self.counts = collections.Counter()
        self.changes = collections.Counter()
        self.recoveries_ms = []
        self.lone, self.all = Histogram(), Histogram()
        self.peak = collections.Counter()  # the most of each that was seen
        self.bound_kib = 0
        self.growth = None
        self.snapshot_io = ""

    # ---- lives ---------------------------------------------------------------------------------

    def run(self):
        last_line = self.began
        while not self.done(1 - LAST_LIFE_SHARE):
            ends = self.random.choices(list(ENDS), list(ENDS.values()))[0]
            if self.counts["starts"] == 0:
                ends = "kill"
            if ends == "kill at the start":
                self.kill_at_the_start()
            else:
                self.live(ends, self.random.uniform(*LIFE_S))
            if time.monotonic() - last_line >= self.options.progress:
                last_line = time.monotonic()
                self.progress()
        self.live("drain", self.options.seconds * LAST_LIFE_SHARE, last=True)
        server = self.start()
        server.stop()
        self.verifier.finish()

    def end_processes(self):
        if self.verifier is not None:
            self.verifier.stopping.set()
            self.verifier.join()
        for process in (self.server and self.server.process, self.load and self.load.process):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    def done(self, share):
        """Whether this share of what was asked for is done."""
        return (time.monotonic() - self.began >= self.options.seconds * share and
                self.laps() >= self.options.laps * share)

    def laps(self):
        return self.durable_lsn / (self.options.segments * self.options.segment_kib * 1024)

    def kill_at_the_start(self):
        server = harness.Server(self.folder, self.config, create=False, wait=False)
        threading.Event().wait(self.random.uniform(0, 0.03))
        self.verifier.note_kill()
        server.kill()
        self.counts["kills at the start"] += 1
        expect(server.process.returncode == -signal.SIGKILL,
               f"urnd ended with {server.process.returncode}: {server.output()}")

    def start(self):
        """A server that has started and holds what it must."""
        first = self.counts["starts"] == 0
        server = self.server = harness.Server(self.folder, self.config, create=first)
        self.counts["starts"] += 1
        if first:  # from now on the file is only looked at by `reload`
            self.config = make_config(self.options, ["file"])
            harness.write_config(self.folder, self.config)
            self.verifier = Verifier(server.data_dir)
            self.verifier.start()
        self.verifier.note_start()
        with server.client("unix") as client:
            info = client.call("info")
            self.check_recovery(info["recovery"], first)
            self.accounts.look(client, self.report, self.exact)
        self.report, self.exact = None, True
        self.bound_kib = info["memory"]["bound_bytes"] / 1024
        self.snapshot_io = info["snapshot_io"]
        return server

    def check_recovery(self, recovery, first):
        expect(recovery["created"] == first, f"created: {recovery['created']}")
        expect(recovery["snapshots_refused"] == 0, f"a snapshot did not verify: {recovery}")
        expect(recovery["end_lsn"] >= self.durable_lsn,
               f"the log ended at {recovery['end_lsn']}, and was durable to {self.durable_lsn}")
        expect(recovery["snapshot_lsn"] >= self.snapshot_lsn,
               f"a snapshot of {recovery['snapshot_lsn']} after one of {self.snapshot_lsn}")
        expect(recovery["next_request_id"] > self.accounts.last_id,
               f"ids go on at {recovery['next_request_id']} behind {self.accounts.last_id}")
        if not first:
            self.recoveries_ms.append(recovery["duration_us"] / 1000)
            self.counts["replayed draws"] += recovery["replayed_draws"]
            self.counts["torn tails dropped"] += recovery["torn_tail"]

    def live(self, ends, seconds, last=False):
        server = self.start()
        watcher = Watcher(server)
        changer = Changer(server, self.accounts, self.config, self.random.getrandbits(32),
                          self.changes)
        load = self.load = Load(server, self.random.getrandbits(32), self.accounts.last_id)
        for thread in (watcher, changer):
            thread.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end or (last and not self.done(1)):
            if load.ended():
                load.finish()
                expect(False, f"the load ended before the server: {server.output()}")
            self.verifier.stopping.wait(min(0.1, max(end - time.monotonic(), 0)))
            for thread in (watcher, changer, self.verifier):
                thread.raise_failure()
            self.note(watcher.info)
        watcher.finish()  # what it has seen was all seen under load
        getattr(self, ends)(server, load, changer)
        self.counts[ends] += 1
        self.sum_up(load.report, watcher)
        strange = [line for line in server.lines if not GOOD_LINES.search(line)]
        expect(not strange, "urnd complains: " + "; ".join(strange[:5]))
        self.snapshot_lsn = max(self.snapshot_lsn, changer.snapshot_lsn)

    def kill(self, server, load, changer):
        self.verifier.note_kill()
        server.kill()
        self.report, self.exact = load.finish(), False
        changer.finish()

    def stop(self, server, load, changer):
        """What was not answered was not carried out, for nothing is answered later."""
        changer.server_stops = True
        status = server.stop()
        expect(status == 0, f"urnd ended with {status}: {server.output()}")
        self.report, self.exact = load.finish(), True
        changer.finish()

    def drain(self, server, load, changer):
        """With nothing under way the server at rest must show exactly what was told; then it is killed."""
        load.drain()
        report = load.finish()
        expect(report["lost"] == 0, f"{report['lost']} connections ended under a server that did not")
        changer.finish()
        with server.client() as client:
            self.accounts.look(client, report, exact=True)
            self.note(client.call("info"))
        self.verifier.note_kill()
        server.kill()

    # ---- figures -------------------------------------------------------------------------------

    def note(self, info):
        if info is not None:
            self.durable_lsn = max(self.durable_lsn, info["durable_lsn"])

    def sum_up(self, report, watcher):
        for name in ("requests", "draws", "busy", "closed", "nostock", "readonly"):
            self.counts[name] += report[name]
        self.peak["id ranges"] = max(self.peak["id ranges"], report["ranges_max"])
        self.lone.add(report["lone"])
        self.all.add(report["all"])
        for anonymous_kib, files in watcher.samples:
            self.peak["anonymous_kib"] = max(self.peak["anonymous_kib"], anonymous_kib)
            self.peak["files"] = max(self.peak["files"], files)
        self.growth = watcher.growth()
        info = watcher.info
        if info is None:
            return
        self.counts["snapshots"] += info["counters"]["snapshots"]
        self.counts["snapshots failed"] += info["counters"]["snapshots_failed"]
        self.counts["syncs"] += info["counters"]["syncs"]
        self.peak["sync_us"] = max(self.peak["sync_us"], info["latencies"]["sync"]["max_us"])
        self.peak["pause_us"] = max(self.peak["pause_us"],
                                    info["latencies"]["snapshot"]["pause_max_us"])
        self.peak["late_us"] = max(self.peak["late_us"], int(watcher.late_s * 1e6))

    def progress(self):
        print(f"soak: {time.monotonic() - self.began:.0f} s, {self.laps():.1f} laps, "
              f"{self.counts['starts']} starts, {self.counts['draws']:,} draws, "
              f"{self.verifier.verdicts.total()} runs of verify, {self.counts['busy']} BUSY",
              flush=True)

    # ---- the end -------------------------------------------------------------------------------

    def unfairness(self):
        """Chi-squared of the fair pool: 5 degrees of freedom."""
        drawn = [item.drawn for item in self.accounts.pools["fair"].items]
        if sum(drawn) == 0:
            return 0.0
        expected = [sum(drawn) * weight / sum(FAIR_WEIGHTS) for weight in FAIR_WEIGHTS]
        return sum((d - e) ** 2 / e for d, e in zip(drawn, expected))

    def check_whole(self):
        """What can only be said of the run as a whole."""
        kept_up = max(self.peak["sync_us"], self.peak["late_us"]) < STALL_S * 1e6
        busy = self.counts["busy"] + self.changes["BUSY"]
        expect(busy == 0 or not kept_up, f"{busy} requests got BUSY although the disk kept up")
        expect(self.counts["snapshots failed"] == 0, "snapshots failed on a sound disk")
        expect(self.counts["readonly"] == 0 or self.counts["stop"] > 0, "READONLY without a stop")
        expect(self.peak["anonymous_kib"] <= self.bound_kib, "more memory is resident than the bound")
        expect(self.growth is None or self.growth[0] <= GROWTH_KIB_MAX or is_sanitized(harness.build),
               f"resident memory grew by {self.growth and self.growth[0]} KiB in the last life")
        expect(self.growth is None or self.growth[1] <= 0,
               f"{self.growth and self.growth[1]} more files are open than before")
        # One run in ten million goes beyond it by chance.
        expect(self.unfairness() < 45, f"the fair pool is not: chi-squared {self.unfairness():.1f}")
        expect(not self.verifier.wrong, "urn-wal verify was wrong: " + "; ".join(
            f"{times} times {verdict}, first {first}"
            for verdict, (times, first) in self.verifier.wrong.items()))
        expect(self.verifier.verdicts["sound"] > 0, "verify never ran")
        expect(self.laps() >= self.options.laps, f"only {self.laps():.1f} laps")

    def closing_lines(self):
        counts, accounts, peak = self.counts, self.accounts, self.peak
        seconds = time.monotonic() - self.began
        recoveries = sorted(self.recoveries_ms) or [0]
        at = [recoveries[min(len(recoveries) - 1, int(len(recoveries) * p))]
              for p in (0.5, 0.9, 0.99)]
        verifier = self.verifier
        growth = ("too short to tell" if self.growth is None else
                  f"grew by {self.growth[0]} KiB and {self.growth[1]} files in the last life")
        yield (f"soak: {seconds:.0f} s in mode {self.options.mode}, seed {self.options.seed}, "
               f"snapshots by {self.snapshot_io}")
        yield (f"log: {self.laps():.1f} laps of {self.options.segments} x {self.options.segment_kib} KiB, "
               f"{counts['syncs']:,} syncs (slowest {peak['sync_us'] / 1000:.1f} ms), "
               f"{counts['snapshots']:,} snapshots (kept the writer at most "
               f"{peak['pause_us'] / 1000:.2f} ms)")
        yield (f"lives: {counts['starts']} starts, {counts['kill'] + counts['drain']} kill -9 "
               f"({counts['drain']} of them at rest), {counts['kills at the start']} while starting, "
               f"{counts['stop']} stops; {counts['torn tails dropped']} torn tails dropped")
        yield (f"recovery: p50 {at[0]:.1f} ms, p90 {at[1]:.1f}, p99 {at[2]:.1f}, max "
               f"{recoveries[-1]:.1f}; {counts['replayed draws']:,} draws replayed")
        yield (f"draws: {accounts.told:,} acknowledged in {counts['requests']:,} requests "
               f"({accounts.told / seconds:,.0f}/s over all), {accounts.draws_in_doubt:,} in doubt, of "
               f"which {accounts.draws_in_doubt_made:,} were made; last id {accounts.last_id:,}")
        yield (f"changes: {accounts.changes:,} acknowledged, {accounts.changes_in_doubt} in doubt, of "
               f"which {accounts.changes_in_doubt_made} were made; "
               + ", ".join(f"{name} {n:,}" for name, n in sorted(self.changes.items())))
        yield (f"refused: BUSY {counts['busy']}, CLOSED {counts['closed']:,}, NOSTOCK "
               f"{counts['nostock']:,}, READONLY {counts['readonly']:,}")
        yield f"latency of lone draws, us: {self.lone.words()}; of all: {self.all.words()}"
        yield (f"verify: {verifier.verdicts.total():,} runs over {verifier.log_bytes / 1048576:,.0f} "
               f"MiB of log in {verifier.seconds:.0f} s: "
               + ", ".join(f"{n:,} {verdict}" for verdict, n in verifier.verdicts.items()))
        yield (f"memory: at most {peak['anonymous_kib'] / 1024:.1f} MiB resident besides the ring "
               f"(bound {self.bound_kib / 1024:.0f}), {peak['files']} files; {growth}; "
               f"this check {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB, its "
               f"load {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB, "
               f"{peak['id ranges']} id ranges")
        yield f"fairness: chi-squared {self.unfairness():.1f} with 5 degrees of freedom"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, default=harness.build)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--laps", type=float, default=100)
    parser.add_argument("--mode", default="commit")
    parser.add_argument("--segments", type=int, default=8)
    parser.add_argument("--segment-kib", type=int, default=512)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2 ** 32)
    parser.add_argument("--progress", type=float, default=15, help="seconds between lines")
    options = parser.parse_args()
    harness.build = options.build.resolve()

    print(f"seed {options.seed}", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="urn-soak-"))
    soak = Soak(options, folder)
    try:
        soak.run()
        failure = None
        soak.check_whole()
    except (Violation, AssertionError) as violation:
        failure = violation
    finally:
        soak.end_processes()
    if soak.verifier is not None:
        for line in soak.closing_lines():
            print(line)
    if failure is not None:
        print(f"FAIL: {failure}\nwhat is left of it: {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    print("PASS")
    return 0


if __name__ == "__main__":
    sys.exit(main())
