"""postgresql.py: PostgreSQL with the draw as a function, each transaction committed synchronously."""
import glob
import os
import pathlib
import re
import shutil
import signal

from measuring.figures import median
from measuring.processes import Server, free_port, run
from peers.side import POOL, STOCK, WEIGHTS, Side

SCHEMA = pathlib.Path(__file__).parent / "postgresql_draw.sql"
PROGRAMS = "/usr/lib/postgresql/15/bin"
USER = "postgres"  # it refuses to run as root


class PostgreSQL(Side):
    name = "PostgreSQL"
    packages = ("postgresql-15", "postgresql-client-15")

    def __init__(self, bench, folder, *settings):
        super().__init__(bench, folder)
        self.port = free_port()
        self.env = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "bench", "PGDATABASE": "postgres"}
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)
        data = folder / "data"
        run(f"{PROGRAMS}/initdb", "-D", data, "-A", "trust", "-U", "bench", "--no-instructions", user=USER)
        settings = ["listen_addresses=127.0.0.1", "synchronous_commit=on", "max_connections=300", *settings]
        options = [word for setting in settings for word in ("-c", setting)]
        self.server = Server([f"{PROGRAMS}/postgres", "-D", data, "-k", folder, "-p", self.port, *options],
                             folder / "log", self.is_ready, user=USER, stop_signal=signal.SIGINT)
        run(f"{PROGRAMS}/psql", "-q", "-v", "ON_ERROR_STOP=1", "-v", f"stock={STOCK}", "-f", SCHEMA, env=self.env)

    def is_ready(self):
        try:
            return "1" in run(f"{PROGRAMS}/psql", "-Atc", "SELECT 1", env=self.env)
        except Exception:  # not yet
            return False

    def load(self, connections, pipeline, draws, seconds):
        """pipeline: calls in one PostgreSQL pipeline, which it makes one transaction of."""
        call = f"SELECT * FROM draw('{POOL}', {draws});\n"
        script = self.folder / "script.sql"
        script.write_text(call if pipeline == 1 else f"\\startpipeline\n{call * pipeline}\\endpipeline\n",
                          encoding="utf-8")
        for old in glob.glob(f"{self.folder}/transactions.*"):
            os.remove(old)
        output = run(f"{PROGRAMS}/pgbench", "-n", "-M", "prepared", "-c", connections, "-j", 1,
                     "-T", max(1, round(seconds)), "-f", script,
                     "--log", f"--log-prefix={self.folder}/transactions", env=self.env)
        rate = float(re.search(r"tps = ([\d.]+)", output).group(1)) * pipeline
        times_us = []
        for path in glob.glob(f"{self.folder}/transactions.*"):
            with open(path, encoding="utf-8") as lines:
                times_us.extend(int(line.split()[2]) for line in lines)
        times_us.sort()
        return {"calls_per_s": rate, "draws_per_s": rate * draws, "p50_us": median(times_us),
                "p99_us": times_us[len(times_us) * 99 // 100], "max_us": times_us[-1]}

    def log_of(self, calls, draws):
        """Makes so many calls, each a transaction, and as fast as they go: nobody waits for the syncs. Returns the
        command that shows the log of just these, and how many bytes that is."""
        psql = [f"{PROGRAMS}/psql", "-qAt", "-v", "ON_ERROR_STOP=1"]
        where = [*psql, "-c", "SELECT pg_current_wal_insert_lsn()"]
        begin = run(*where, env=self.env).strip()
        run(*psql, "-c", f"DO $$ BEGIN FOR i IN 1 .. {calls} LOOP PERFORM draw('{POOL}', {draws}); COMMIT; "
            "END LOOP; END $$", env={**self.env, "PGOPTIONS": "-c synchronous_commit=off"})
        end = run(*where, env=self.env).strip()
        log_bytes = int(run(*psql, "-c", f"SELECT pg_wal_lsn_diff('{end}', '{begin}')::bigint", env=self.env))
        return (f"{PROGRAMS}/pg_waldump", f"--path={self.folder}/data/pg_wal", f"--start={begin}",
                f"--end={end}"), log_bytes

    def given(self):
        left, next_id = run(f"{PROGRAMS}/psql", "-Atc", "SELECT sum(s), max(next_id) FROM pools, unnest(stock) AS s",
                            env=self.env).strip().split("|")
        return len(WEIGHTS) * STOCK - int(left), int(next_id) - 1
