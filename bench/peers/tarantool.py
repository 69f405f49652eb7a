"""tarantool.py: Tarantool with the draw as a stored procedure, each call's row of the log synced."""
import json
import pathlib

from measuring.processes import Server, free_port, run
from peers.side import STOCK, Side, figures

PROCEDURE = pathlib.Path(__file__).parent / "tarantool_draw.lua"
ASK = "print(require('net.box').connect('127.0.0.1:%d'):call('given')) os.exit(0)"


class Tarantool(Side):
    name = "Tarantool"
    packages = ("tarantool",)

    def __init__(self, bench, folder):
        super().__init__(bench, folder)
        self.port = free_port()
        log = folder / "output"
        self.server = Server(["tarantool", PROCEDURE, self.port, folder, STOCK], log,
                             lambda: "ready" in log.read_text(encoding="utf-8"))

    def load(self, connections, pipeline, draws, seconds):
        output = run(self.bench.program("bench-tarantool_load"), self.port, connections, pipeline, draws, seconds)
        return figures(json.loads(output), draws)

    def log_files(self):
        return sorted(self.folder.glob("*.xlog"))

    def given(self):
        items, next_id = run("tarantool", "-e", ASK % self.port).split()
        return int(float(items)), int(next_id) - 1
