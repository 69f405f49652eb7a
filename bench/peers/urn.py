"""urn.py: urnd, and the echo that is its floor, both loaded by urn-bench."""
import json
import re
import signal

from measuring.processes import Failed, Server, answers, free_port, run
from peers.side import ITEMS, POOL, STOCK, WEIGHTS, Side, figures

SIX_ITEMS = [{"item_id": item, "quantity": STOCK, "probability": weight} for item, weight in zip(ITEMS, WEIGHTS)]


def many_items(count):
    """A catalog of so many, with weights from 1 to 100."""
    return [{"item_id": f"item-{i:07d}", "quantity": STOCK, "probability": 1 + i * 7919 % 100}
            for i in range(count)]


def urn_bench(bench, address, connections, pipeline, draws, seconds, *more):
    """A run of urn-bench; its report. BUSY is no failure, but here it would be a wrong measurement."""
    output = run(bench.program("urn-bench"), "--address", address, "--connections", connections,
                 "--pipeline", pipeline, "--draws", draws, "--as", "indexes",
                 "--duration", f"{int(seconds * 1000)}ms", "--warm-up", f"{int(bench.warm_up_s * 1000)}ms",
                 "--json", *more)
    report = json.loads(output)
    if report["busy"] > 0 or report["calls"] == 0:
        raise Failed(f"urn-bench: {report['busy']} of {report['calls']} calls got BUSY")
    return report


class Urn(Side):
    name = "urn"

    def __init__(self, bench, folder, pools=None, **sections):
        """pools: catalogs by name; sections: more of the configuration."""
        super().__init__(bench, folder)
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        pools = pools or {POOL: SIX_ITEMS}
        config = {"data_dir": "data", "listen": [self.address],
                  "pools": [{"name": name, "catalog": catalog} for name, catalog in pools.items()], **sections}
        # JSON is YAML, but for sizes, which must stand unquoted.
        text = re.sub(r'"(\d+(?:B|KiB|MiB|GiB|ms|s))"', r"\1", json.dumps(config))
        (folder / "urn.yaml").write_text(text, encoding="utf-8")
        log = folder / "log"
        self.server = Server([bench.program("urnd"), "--config", folder / "urn.yaml", "--create"], log,
                             lambda: "listening on" in log.read_text(encoding="utf-8"), ready_s=600)

    def bench_report(self, connections, pipeline, draws, seconds, *more):
        return urn_bench(self.bench, self.address, connections, pipeline, draws, seconds, *more)

    def load(self, connections, pipeline, draws, seconds):
        report = self.bench_report(connections, pipeline, draws, seconds)
        return {**figures(report, draws), "log_bytes_per_draw": report["server"].get("log_bytes_per_draw")}

    def ask(self, *arguments):
        """The answer to a command of urn."""
        return json.loads(run(self.bench.program("urn"), "--address", self.address, "--json", *arguments))

    def given(self):
        state = self.ask("state", POOL)
        return sum(item["drawn"] for item in state["items"]), state["last_request_id"]


class Echo(Side):
    """Answers draws without drawing: what sockets and urn-bench take (bench/loop_common.h)."""

    name = "echo"

    def __init__(self, bench, folder):
        super().__init__(bench, folder)
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.server = Server([bench.program("bench-loop_epoll"), port], folder / "log", lambda: answers(port),
                             stop_signal=signal.SIGKILL)

    def load(self, connections, pipeline, draws, seconds):
        return figures(urn_bench(self.bench, self.address, connections, pipeline, draws, seconds), draws)

    def check(self):
        """There is nothing to be checked: it draws nothing."""
