"""redis.py: Redis with the draw as a function, every call's effect synced before its answer."""
import csv
import io
import pathlib

from measuring.processes import Failed, Server, answers, free_port, run
from peers.side import POOL, STOCK, WEIGHTS, Side

FUNCTION = pathlib.Path(__file__).parent / "redis_draw.lua"


class Redis(Side):
    name = "Redis"
    packages = ("redis-server", "redis-tools")

    def __init__(self, bench, folder):
        super().__init__(bench, folder)
        self.port = free_port()
        self.rates = {}  # by kind of load: what redis-benchmark, which counts calls, needs to run for so long
        self.server = Server(["redis-server", "--bind", "127.0.0.1", "--port", self.port, "--dir", folder,
                              "--save", "", "--appendonly", "yes", "--appendfsync", "always",
                              "--auto-aof-rewrite-percentage", 0], folder / "log", lambda: answers(self.port))
        self.cli("FUNCTION", "LOAD", FUNCTION.read_text(encoding="utf-8"))
        stock = [word for item in range(1, len(WEIGHTS) + 1) for word in (item, STOCK)]
        self.cli("HSET", POOL, "id", 1, *stock)

    def cli(self, *words):
        output = run("redis-cli", "-p", self.port, *words)
        if output.startswith("ERR"):
            raise Failed(f"redis-cli {words[0]}: {output}")
        return output.splitlines()

    def call(self, connections, pipeline, seconds, *words):
        """redis-benchmark with one command."""
        kind = (connections, pipeline, *words)
        if kind not in self.rates:
            rough = self.benchmark(connections, pipeline, 40 * connections * pipeline, *words)["rps"]
            calls = max(int(rough * 0.3), connections * pipeline)
            self.rates[kind] = self.benchmark(connections, pipeline, calls, *words)["rps"]
        calls = max(int(self.rates[kind] * seconds), connections * pipeline)
        row = self.benchmark(connections, pipeline, calls, *words)
        self.rates[kind] = row["rps"]
        return {"calls_per_s": row["rps"], "p50_us": row["p50_latency_ms"] * 1e3,
                "p99_us": row["p99_latency_ms"] * 1e3, "max_us": row["max_latency_ms"] * 1e3}

    def benchmark(self, connections, pipeline, calls, *words):
        output = run("redis-benchmark", "-h", "127.0.0.1", "-p", self.port, "-c", connections, "-P", pipeline,
                     "-n", calls, "--csv", *words)
        rows = list(csv.DictReader(io.StringIO(output[output.index('"test"'):])))
        return {key: float(value) for key, value in rows[0].items() if key != "test"}

    def load(self, connections, pipeline, draws, seconds):
        found = self.call(connections, pipeline, seconds, "FCALL", "draw", 1, POOL, draws)
        return {**found, "draws_per_s": found["calls_per_s"] * draws}

    def ping(self, connections, pipeline, seconds):
        found = self.call(connections, pipeline, seconds, "PING")
        return {**found, "draws_per_s": found["calls_per_s"]}

    def given(self):
        values = list(map(int, self.cli("HMGET", POOL, "id", *range(1, len(WEIGHTS) + 1))))
        return len(WEIGHTS) * STOCK - sum(values[1:]), values[0] - 1


class RedisPing(Side):
    """The same Redis answering PING: what it takes to answer at all."""

    name = "Redis PING"

    def __init__(self, bench, redis):
        super().__init__(bench, redis.folder / "ping")
        self.redis = redis

    def load(self, connections, pipeline, draws, seconds):
        return self.redis.ping(connections, pipeline, seconds)

    def check(self):
        """Nothing was drawn."""
