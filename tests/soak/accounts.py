"""accounts.py: what the pools must hold, from what clients were told, and what is in doubt.

Between two looks at a server at rest, each item's `drawn` may grow by what was acknowledged, and a pool's
by no more besides than the draws whose fate nobody heard. What is left and what was drawn make up exactly
what was stocked: so nothing is ever issued beyond the stock. A change whose answer was lost was made whole
or not at all, and the next look shows which.
"""
import dataclasses

PAGE = 5000


class Violation(Exception):
    """What a server says cannot be right."""


def expect(condition, words):
    if not condition:
        raise Violation(words)


@dataclasses.dataclass
class Item:
    stocked: int  # left and drawn together; -1: unlimited
    weight: int
    drawn: int = 0  # at the last look


@dataclasses.dataclass
class Pool:
    items: list
    odds_version: int = 1
    open: bool = True

    @classmethod
    def of_catalog(cls, catalog):
        return cls([Item(item["quantity"], item["probability"]) for item in catalog])


@dataclasses.dataclass
class Change:
    """A change of a pool: made whole or not at all."""

    pool: str
    stocked: dict = dataclasses.field(default_factory=dict)  # index -> new value
    weights: dict = dataclasses.field(default_factory=dict)
    open: bool | None = None
    added: Item | None = None
    created: list | None = None  # of items
    odds: int = 0  # by how much the odds version rises

    def was_made(self, pool, state):
        """Whether this state of the pool (None: there is none) comes behind the change."""
        if self.created is not None:
            return state is not None
        if self.added is not None:
            return len(state["items"]) > len(pool.items)
        if self.open is not None:
            return state["open"] == self.open
        for index, stocked in self.stocked.items():
            item = state["items"][index]
            return item["quantity"] + item["drawn"] == stocked
        for index, weight in self.weights.items():
            return state["items"][index]["probability"] == weight
        return False

    def make(self, pools):
        if self.created is not None:
            pools[self.pool] = Pool(self.created)
            return
        pool = pools[self.pool]
        for index, stocked in self.stocked.items():
            pool.items[index].stocked = stocked
        for index, weight in self.weights.items():
            pool.items[index].weight = weight
        if self.added is not None:
            pool.items.append(self.added)
        if self.open is not None:
            pool.open = self.open
        pool.odds_version += self.odds


class Accounts:
    """All pools. Not for several threads at a time: a look is taken when nobody draws or changes."""

    def __init__(self, catalogs, ids_have_no_gaps):
        self.pools = {name: Pool.of_catalog(catalog) for name, catalog in catalogs.items()}
        self.ids_have_no_gaps = ids_have_no_gaps
        self.in_doubt = []
        self.last_id = 0
        # Of the whole run.
        self.told = self.draws_in_doubt = self.draws_in_doubt_made = 0
        self.changes = self.changes_in_doubt = self.changes_in_doubt_made = 0

    def made(self, change):
        change.make(self.pools)
        self.changes += 1

    def doubt(self, change):
        self.in_doubt.append(change)
        self.changes_in_doubt += 1

    def look(self, client, report=None, exact=False):
        """Compares with a server at rest. report: of the load since the last look. exact: no draw but
        those that were acknowledged can have been made."""
        states = {name: read_pool(client, name) for name in client.call("pools")}
        self._settle_doubts(states)
        expect(states.keys() == self.pools.keys(),
               f"there are the pools {sorted(states)} and not {sorted(self.pools)}")
        more_in_all = doubt_in_all = 0
        for name, state in states.items():
            told = report["pools"].get(name) if report else None
            more = self._look_at_pool(name, state, told["drawn"] if told else [])
            doubt = told["draws_in_doubt"] if told else 0
            allowed = 0 if exact else doubt
            expect(more <= allowed, f"{name}: {more} draws were made that nobody was told of, and "
                                    f"{allowed} were in doubt")
            more_in_all += more
            doubt_in_all += doubt
        self._look_at_ids(max(state["last_request_id"] for state in states.values()),
                          report["draws"] if report else 0, more_in_all,
                          0 if exact else doubt_in_all)
        if report:
            self.told += report["draws"]
        self.draws_in_doubt += doubt_in_all
        self.draws_in_doubt_made += more_in_all

    def _settle_doubts(self, states):
        for change in self.in_doubt:
            if change.was_made(self.pools.get(change.pool), states.get(change.pool)):
                change.make(self.pools)
                self.changes_in_doubt_made += 1
        self.in_doubt.clear()

    def _look_at_pool(self, name, state, told):
        """How many draws were made of which nobody was told."""
        pool = self.pools[name]
        items = state["items"]
        expect(len(items) == len(pool.items),
               f"{name} has {len(items)} items and not {len(pool.items)}")
        expect(len(told) <= len(items), f"{name}: told of item {len(told) - 1}, which is not there")
        expect((state["open"], state["odds_version"]) == (pool.open, pool.odds_version),
               f"{name}: open {state['open']}, odds version {state['odds_version']}; should be "
               f"{pool.open}, {pool.odds_version}")
        more = 0
        for index, (item, mine) in enumerate(zip(items, pool.items)):
            where = f"{name}, {item['item_id']}"
            acknowledged = told[index] if index < len(told) else 0
            drawn = item["drawn"] - mine.drawn
            expect(drawn >= acknowledged,
                   f"{where}: {acknowledged} draws were acknowledged, {drawn} are there")
            expect(item["probability"] == mine.weight,
                   f"{where}: weight {item['probability']} and not {mine.weight}")
            expect(item["quantity"] == -1 if mine.stocked == -1 else
                   item["quantity"] >= 0 and item["quantity"] + item["drawn"] == mine.stocked,
                   f"{where}: {item['quantity']} left and {item['drawn']} drawn of {mine.stocked}")
            mine.drawn = item["drawn"]
            more += drawn - acknowledged
        return more

    def _look_at_ids(self, last_id, told, more, doubt):
        given = last_id - self.last_id
        expect(given >= told + more,
               f"{told + more} draws were made, {given} ids given: up to {last_id}")
        expect(not self.ids_have_no_gaps or given <= told + doubt,
               f"{given} ids were given, {told} draws acknowledged, {doubt} in doubt")
        self.last_id = last_id


def read_pool(client, name):
    """All pages of a pool at rest, as one state."""
    state = client.call("state", name, {"limit": PAGE})
    while len(state["items"]) < state["total"]:
        page = client.call("state", name, {"offset": len(state["items"]), "limit": PAGE})
        expect(page["items"], f"{name}: an empty page at {len(state['items'])}")
        state["items"] += page["items"]
    for index, item in enumerate(state["items"]):
        expect(item["index"] == index, f"{name}: item {item['index']} at {index}")
    return state
