"""side.py: what a server under measurement is to the rows: started, loaded, checked, stopped."""

WEIGHTS = (10, 50, 240, 1000, 3000, 5700)
ITEMS = ("diamond", "ruby", "gold", "silver", "clay", "mud")
STOCK = 10 ** 11  # of each item: limited, and far from running out
POOL = "main"


class Side:
    """A server with the pool of six items. Subclasses start it in a folder of its own."""

    name = ""

    def __init__(self, bench, folder):
        self.bench = bench
        self.folder = folder
        self.server = None
        folder.mkdir(parents=True)

    def load(self, connections, pipeline, draws, seconds):
        """Draws at full speed for so long. Returns calls_per_s, draws_per_s, p50_us, p99_us; more if known."""
        raise NotImplementedError

    def given(self):
        """How many items the server says are gone, and how many request ids: they must agree."""
        raise NotImplementedError

    def check(self):
        items, ids = self.given()
        if items != ids or items == 0:
            raise AssertionError(f"{self.name}: {items} items are gone and {ids} ids were given")

    def stop(self):
        if self.server is not None:
            self.server.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def figures(report, draws):
    """Those of urn-bench's report, and of others in its form."""
    latency = report["latency_us"]
    return {"calls_per_s": report["calls_per_s"], "draws_per_s": report["calls_per_s"] * draws,
            "p50_us": latency["p50"], "p99_us": latency["p99"], "p999_us": latency.get("p999"),
            "max_us": latency.get("max")}
