"""beside.py: what goes on beside the load: changes of the pools, urn-wal verify, and a look at the process."""
import collections
import json
import os
import random
import subprocess
import threading
import time

from accounts import Change, Item, expect
from harness import RpcError, program, write_config

POOLS_MAX = 60
ITEMS_ADDED_MAX = 2000
RESTOCK_AT_ONCE = 200
CHANGE_PAUSE_S = 0.005


class Worker(threading.Thread):
    """A thread that keeps what went wrong for whoever joins it."""

    def __init__(self):
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.failure = None

    def run(self):
        try:
            self.work()
        except BaseException as failure:  # noqa: BLE001: raised again by finish()
            self.failure = failure

    def finish(self):
        self.stopping.set()
        self.join()
        self.raise_failure()

    def raise_failure(self):
        if self.failure is not None:
            raise self.failure


class Changer(Worker):
    """Changes pools until its server ends or it is told to stop. All it is told goes into the accounts,
    and what it was not told, as a doubt."""

    def __init__(self, server, accounts, config, seed, counts):
        super().__init__()
        self.server = server
        self.accounts = accounts
        self.config = config
        self.random = random.Random(seed)
        self.counts = counts
        self.snapshot_lsn = 0
        self.under_way = []
        self.server_stops = False  # in good order: what comes too late is refused

    def work(self):
        kinds = [self.restock] * 8 + [self.restock_many] * 6 + [self.weigh] * 6 + [self.add] * 3 + \
                [self.shut] * 3 + [self.snapshot] * 2 + [self.create, self.reload]
        try:
            with self.server.client("unix") as client:
                while not self.stopping.is_set():
                    self.do(self.random.choice(kinds), client)
                    self.stopping.wait(CHANGE_PAUSE_S)
        except (ConnectionError, FileNotFoundError):
            for change in self.under_way:
                self.accounts.doubt(change)
        except RpcError as error:
            expect(error.code == "READONLY" and self.server_stops, f"a change was answered {error}")

    def do(self, kind, client):
        self.counts[kind.__name__] += 1
        try:
            kind(client)
        except RpcError as error:
            if error.code != "BUSY":
                raise
            self.counts["BUSY"] += 1

    # What follows makes one change each and knows what must come of it.

    def item_of(self, pool, *, limited):
        """The index of some item, and its state now."""
        items = self.accounts.pools[pool].items
        index = self.random.choice([i for i, item in enumerate(items)
                                    if (item.stocked != -1) or not limited])
        return index

    def make(self, client, change, method, *params):
        """A call that makes the change or is refused; returns the code it was refused with."""
        self.under_way = [change]
        code = None
        try:
            odds_version = client.call(method, *params)
        except RpcError as error:
            code = error.code
            expect(code != "INDOUBT", f"{method} {params}: {error}")
        self.under_way = []
        if code is None:
            self.accounts.made(change)
            pool = self.accounts.pools[change.pool]
            expect(odds_version == pool.odds_version,
                   f"{method} {params}: odds version {odds_version} and not {pool.odds_version}")
        else:
            self.counts[code] += 1
            if code == "READONLY":
                raise RpcError(code)
        return code

    def restock(self, client):
        """More of an item that others draw meanwhile: no piece is lost or made."""
        index = self.item_of("stock", limited=True)
        now = client.call("state", "stock", {"offset": index, "limit": 1})["items"][0]
        more = self.random.randrange(1, 2000)
        change = Change("stock", stocked={index: self.accounts.pools["stock"].items[index].stocked +
                                          more})
        code = self.make(client, change, "update", "stock", now["item_id"],
                         {"quantity": now["quantity"] + more, "if_quantity": now["quantity"]})
        expect(code in (None, "CONFLICT", "BUSY"), f"update if_quantity: {code}")

    def restock_many(self, client):
        """Coupons that ran out, many under way at once."""
        mine = self.accounts.pools["coupons"].items
        offset = self.random.randrange(len(mine) - RESTOCK_AT_ONCE)
        page = client.call("state", "coupons", {"offset": offset, "limit": RESTOCK_AT_ONCE})
        asked = {}
        for item in page["items"]:
            if item["quantity"] > 0:
                continue
            index, more = item["index"], self.random.randrange(1, 5)
            change = Change("coupons", stocked={index: mine[index].stocked + more})
            self.under_way.append(change)
            msgid = client.send("update", "coupons", item["item_id"],
                                {"quantity": more, "if_quantity": 0})
            asked[msgid] = change
        while asked:
            message = client.receive()
            if message is None:
                raise ConnectionError
            _, msgid, error, _ = message
            change = asked.pop(msgid)
            self.under_way.remove(change)
            if error is None:
                self.accounts.made(change)
            else:
                code = RpcError(error).code
                expect(code == "BUSY" or code == "READONLY" and self.server_stops,
                       f"update of what has run out: {error}")
                self.counts[code] += 1

    def weigh(self, client):
        """Another weight, which raises the odds version; or the same again, which does not."""
        index = self.item_of("stock", limited=False)
        item = self.accounts.pools["stock"].items[index]
        weight = self.random.choice([item.weight, self.random.randrange(1, 1000)])
        change = Change("stock", weights={index: weight}, odds=int(weight != item.weight))
        code = self.make(client, change, "update", "stock", item_id("stock", index),
                         {"probability": weight})
        expect(code in (None, "BUSY"), f"update of a weight: {code}")

    def add(self, client):
        items = self.accounts.pools["stock"].items
        if len(items) >= ITEMS_ADDED_MAX:
            return
        item = Item(self.random.randrange(5000), self.random.randrange(1, 1000))
        code = self.make(client, Change("stock", added=item, odds=1), "add", "stock",
                         item_id("stock", len(items)),
                         {"quantity": item.stocked, "probability": item.weight})
        expect(code in (None, "BUSY"), f"add: {code}")

    def shut(self, client):
        """Nothing moves in a closed pool but by updates; then it opens again."""
        if self.make(client, Change("door", open=False), "close", "door") is not None:
            return
        before = client.call("state", "door")
        index = self.item_of("door", limited=True)
        item = before["items"][index]
        left = self.random.randrange(3000)
        try:
            client.call("draw", "door", 1)
            expect(False, "a closed pool was drawn from")
        except RpcError as error:
            expect(error.code == "CLOSED", f"a draw from a closed pool: {error}")
        self.make(client, Change("door", stocked={index: item["drawn"] + left}), "update", "door",
                  item["item_id"], {"quantity": left})
        behind = client.call("state", "door")
        drawn = [[item["drawn"] for item in state["items"]] for state in (before, behind)]
        expect(drawn[0] == drawn[1], "a closed pool was drawn from")
        while self.make(client, Change("door", open=True), "open", "door") is not None:
            self.stopping.wait(CHANGE_PAUSE_S)

    def snapshot(self, client):
        lsn = client.call("snapshot")
        expect(lsn >= self.snapshot_lsn, f"snapshot at {lsn} after {self.snapshot_lsn}")
        self.snapshot_lsn = lsn

    def create(self, client):
        number = len(self.accounts.pools)
        if number >= POOLS_MAX:
            return
        name = f"made{number}"
        catalog = [{"item_id": item_id(name, i), "quantity": i * 10, "probability": i + 1}
                   for i in range(self.random.randrange(1, 100))]
        items = [Item(item["quantity"], item["probability"]) for item in catalog]
        code = self.make(client, Change(name, created=items), "create", name, catalog)
        expect(code in (None, "BUSY"), f"create: {code}")

    def reload(self, client):
        """The file's weights change: as one change, with one odds version."""
        catalog = self.config["pools"][0]["catalog"]
        for index in self.random.sample(range(len(catalog)), 2):
            catalog[index]["probability"] += self.random.randrange(1, 100)
        write_config(self.server.folder, self.config)
        mine = self.accounts.pools["file"].items
        change = Change("file", odds=1, weights={
            i: item["probability"] for i, item in enumerate(catalog)
            if item["probability"] != mine[i].weight})  # more, if the last server did not live to see it
        told = client.call("reload", {"dry_run": True})
        expect((told["probabilities"], told["conflicts"]) == (len(change.weights), 0),
               f"a dry run of {change} says {told['probabilities']} and {told['conflicts']} conflicts")
        self.under_way = [change]
        again = client.call("reload")
        self.under_way = []
        self.accounts.made(change)
        expect(again == {**told, "dry_run": False}, "a reload says something else than its dry run")


def item_id(pool, index):
    return f"{pool}-{index}"


class Verifier(Worker):
    """urn-wal verify on the live directory, one run after the other: always sound. Only behind a kill -9,
    until the next server has started, a torn tail may stand there: what was being written at that moment
    and was never acknowledged."""

    def __init__(self, data_dir):
        super().__init__()
        self.data_dir = str(data_dir)
        self.lock = threading.Lock()
        self.kills = 0
        self.killed = False  # and nothing has started since
        self.verdicts = collections.Counter()
        self.wrong = {}  # by verdict: how often, and the first of them
        self.log_bytes = 0
        self.seconds = 0.0

    def note_kill(self):
        with self.lock:
            self.kills += 1
            self.killed = True

    def note_start(self):
        with self.lock:
            self.killed = False

    def work(self):
        while not self.stopping.is_set():
            with self.lock:
                kills, killed = self.kills, self.killed
            began = time.monotonic()
            done = subprocess.run(["nice", program("urn-wal"), "verify", self.data_dir, "--json"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, errors="replace", check=False)
            self.seconds += time.monotonic() - began
            with self.lock:
                killed = killed or kills != self.kills
            self.judge(done, killed)

    def judge(self, done, killed):
        told = json.loads(done.stdout) if done.stdout else {"verdict": "no verdict", "log_bytes": 0}
        self.verdicts[told["verdict"]] += 1
        self.log_bytes += told["log_bytes"]
        if done.returncode == 0 or (done.returncode == 1 and killed):
            return
        times, first = self.wrong.get(told["verdict"], (0, None))
        if first is None:
            first = (f"exit status {done.returncode}, {'behind' if killed else 'without'} a kill -9: "
                     f"{done.stderr}{done.stdout}")
        self.wrong[told["verdict"]] = (times + 1, first)


class Watcher(Worker):
    """Memory and descriptors of a server's process, and its own figures, as long as it lives."""

    PAUSE_S = 0.25

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.samples = []  # (anonymous KiB, descriptors)
        self.info = None  # the last
        self.late_s = 0.0  # at most, for a look that was due: the machine had no time

    def work(self):
        try:
            with self.server.client("unix") as client:
                due = time.monotonic()
                while not self.stopping.is_set():
                    self.samples.append(self.sample())
                    self.info = client.call("info")
                    due = max(due + self.PAUSE_S, time.monotonic())
                    self.stopping.wait(self.PAUSE_S)
                    self.late_s = max(self.late_s, time.monotonic() - due)
        except (ConnectionError, FileNotFoundError, ProcessLookupError, StopIteration):
            pass  # a process that has ended has no memory

    def sample(self):
        pid = self.server.process.pid
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            anonymous = next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))
        return anonymous, len(os.listdir(f"/proc/{pid}/fd"))

    def growth(self):
        """From the second quarter of this life to its last: the least of each that was resident (KiB) and
        open. What leaks raises the least. None: too short to tell."""
        quarter = len(self.samples) // 4
        if quarter < 10:
            return None
        early, late = self.samples[quarter:2 * quarter], self.samples[-quarter:]
        return tuple(min(s[i] for s in late) - min(s[i] for s in early) for i in (0, 1))
