"""oracle.py: what clients were told, and whether a server's state and log agree with it.

Knows nothing of the engine: it keeps every acknowledged draw and compares.
"""
import collections
import random
import threading
import time

from harness import Client, RpcError

# A start behind a life in mode interval or os lets ids go on above what was reserved.
SKIPPED_IDS_MAX = 1 << 22


def read_pool(client, pool):
    """The pages of a pool, as one state."""
    state = client.call("state", pool)
    while len(state["items"]) < state["total"]:
        state["items"] += client.call("state", pool, {"offset": len(state["items"])})["items"]
    return state


class Oracle:
    """Every acknowledged draw of every client, over all restarts."""

    def __init__(self, catalogs):
        self.stock = {pool: {item["item_id"]: item["quantity"] for item in catalog}
                      for pool, catalog in catalogs.items()}
        self.lock = threading.Lock()
        self.acknowledged = {}  # request id -> (pool, item or None)
        self.drawn = collections.Counter()  # (pool, item or None) -> acknowledged draws
        self.unknown = 0  # draws asked for whose fate nobody heard
        self.skips = 0  # starts that may have skipped ids

    def acknowledge(self, pool, result, floor):
        """result of a draw; floor: the highest id its client had heard of when it asked."""
        first, outcomes, failed, _, replayed = result
        assert replayed is False
        assert first > floor, f"id {first} was given after {floor} had been acknowledged"
        assert outcomes.count(None) == failed
        with self.lock:
            for request_id, item in enumerate(outcomes, first):
                assert request_id not in self.acknowledged, f"id {request_id} was given twice"
                self.acknowledged[request_id] = (pool, item)
                self.drawn[pool, item] += 1
                if item is not None and self.stock[pool][item] != -1:
                    assert self.drawn[pool, item] <= self.stock[pool][item], f"{item}: over-issued"
        return first + len(outcomes) - 1

    def forget(self, draws):
        with self.lock:
            self.unknown += draws

    def check_state(self, client):
        """The server's state must hold everything that was acknowledged, and not more than was asked."""
        last_request_id = 0
        drawn = 0
        for pool, stock in self.stock.items():
            state = read_pool(client, pool)
            last_request_id = state["last_request_id"]
            for item in state["items"]:
                name, left, taken = item["item_id"], item["quantity"], item["drawn"]
                drawn += taken
                assert taken >= self.drawn[pool, name], f"{name}: acknowledged draws are missing"
                if stock[name] == -1:
                    assert left == -1
                else:
                    assert left >= 0 and left + taken == stock[name], f"{name}: {left} + {taken}"
        heard = len(self.acknowledged)
        highest = max(self.acknowledged, default=0)
        assert last_request_id >= highest, f"{last_request_id} < {highest}"
        loose = self.unknown + self.skips * SKIPPED_IDS_MAX
        assert heard <= last_request_id <= heard + loose, \
            f"{heard} heard of, {self.unknown} in doubt, {self.skips} skips, {last_request_id} ids"
        failed_heard = sum(n for (_, item), n in self.drawn.items() if item is None)
        assert drawn + failed_heard <= last_request_id <= drawn + failed_heard + loose
        assert drawn + failed_heard <= heard + self.unknown
        return last_request_id

    def check_log(self, outcomes):
        """outcomes: request id -> (pool, item or None), as the log has them: each acknowledged draw is
        there as it was told, and no id is missing but where a start may have skipped some."""
        ids = sorted(outcomes)
        gaps = [after - before - 1 for before, after in zip([0] + ids, ids) if after != before + 1]
        assert len(gaps) <= self.skips, f"the log's ids have gaps: {gaps}"
        assert all(gap <= SKIPPED_IDS_MAX for gap in gaps), gaps
        for request_id, told in self.acknowledged.items():
            assert outcomes.get(request_id) == told, \
                f"id {request_id}: told {told}, logged {outcomes.get(request_id)}"
        for pool, stock in self.stock.items():
            taken = collections.Counter(item for where, item in outcomes.values() if where == pool)
            for item, quantity in stock.items():
                assert quantity == -1 or taken[item] <= quantity, f"{item}: over-issued in the log"


BUSY_REST_S = 0.02  # who is told BUSY comes back a little later, as clients should


class Drawer(threading.Thread):
    """A client that keeps requests in flight until its connection ends or it has had enough."""

    def __init__(self, address, oracle, seed, requests=None, in_flight=16, count_max=60,
                 on_reply=None):
        super().__init__(daemon=True)
        self.oracle = oracle
        self.random = random.Random(seed)
        self.requests = requests
        self.in_flight = in_flight
        self.count_max = count_max
        self.on_reply = on_reply or (lambda draws: None)
        self.client = Client(address)
        self.waiting = {}  # msgid -> (pool, count, floor)
        self.heard_up_to = 0
        self.codes = collections.Counter()
        self.failure = None

    def run(self):
        try:
            while self._more_to_do():
                self._fill()
                if not self._take_one():
                    break
        except (ConnectionError, BrokenPipeError):
            pass
        except BaseException as failure:  # noqa: BLE001: handed to the test, which raises it
            self.failure = failure
        finally:
            self.oracle.forget(sum(count for _, count, _ in self.waiting.values()))
            self.client.close()

    def _more_to_do(self):
        return self.waiting or self.requests is None or self.requests > 0

    def _fill(self):
        while len(self.waiting) < self.in_flight and (self.requests is None or self.requests > 0):
            pool = self.random.choice(sorted(self.oracle.stock))
            count = self.random.randint(1, self.count_max)
            # Counted before it is sent: a kill may come in between.
            msgid = next(self.client.ids)
            self.waiting[msgid] = (pool, count, self.heard_up_to)
            self.client.send_request(msgid, "draw", pool, count)
            if self.requests is not None:
                self.requests -= 1

    def _take_one(self):
        message = self.client.receive()
        if message is None:
            return False
        _, msgid, error, result = message
        pool, count, floor = self.waiting.pop(msgid)
        if error is not None:
            code = RpcError(error).code
            self.codes[code] += 1
            if code == "INDOUBT":
                self.oracle.forget(count)
            if code == "BUSY":
                time.sleep(BUSY_REST_S)
            return True
        last = self.oracle.acknowledge(pool, result, floor)
        self.heard_up_to = max(self.heard_up_to, last)
        self.codes["OK"] += 1
        self.on_reply(count)
        return True


def finish(drawers):
    """Waits for drawers and raises the first failure of any."""
    for drawer in drawers:
        drawer.join()
    for drawer in drawers:
        if drawer.failure is not None:
            raise drawer.failure
