"""processes.py: programs and servers that a measurement starts, and that do not outlive it."""
import atexit
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

READY_S = 60

_running = []


class Failed(Exception):
    """A program did not do what it was started for; the text says which and why."""


def run(*command, env=None, timeout_s=3600, user=None):
    """Runs a program to its end and returns what it printed."""
    command = [*as_user(user), *map(str, command)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="replace", env={**os.environ, **(env or {})},
                          timeout=timeout_s, check=False)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()
        raise Failed(f"{' '.join(command)} ended with {done.returncode}: {words[-1000:]}")
    return done.stdout


def timed(*command):
    """Runs a program whose output goes nowhere, as a shell would: seconds by the clock, and of processor time of all
    its threads."""
    command = list(map(str, command))
    program = shutil.which(command[0]) or command[0]
    with tempfile.TemporaryFile() as errors:
        actions = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, errors.fileno(), 2)]
        began = time.monotonic()
        pid = os.posix_spawn(program, command, os.environ, file_actions=actions)
        _, status, usage = os.wait4(pid, 0)
        took_s = time.monotonic() - began
        require_success(command, os.waitstatus_to_exitcode(status), errors)
    return took_s, usage.ru_utime + usage.ru_stime


def count_lines(beginning, *command):
    """How many lines of a program's output begin so."""
    command = list(map(str, command))
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as process:
            count = sum(line.startswith(beginning.encode()) for line in process.stdout)
        require_success(command, process.returncode, errors)
    return count


def require_success(command, status, errors):
    """errors: the file with what the program wrote to standard error."""
    if status != 0:
        errors.seek(0)
        words = errors.read().decode(errors="replace").strip()
        raise Failed(f"{' '.join(command)} ended with {status}: {words[-1000:]}")


def as_user(user):
    """The words before a command that make it run as another user; none when that is nobody else."""
    if user is None or os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    """Whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Server:
    """A server process; ready once condition() is true."""

    def __init__(self, command, log, condition, user=None, stop_signal=signal.SIGTERM, ready_s=READY_S):
        self.command = [*as_user(user), *map(str, command)]
        self.log = pathlib.Path(log)
        self.stop_signal = stop_signal
        with self.log.open("w", encoding="utf-8") as out:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT)
        _running.append(self)
        end = time.monotonic() + ready_s
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                text = self.log.read_text(encoding="utf-8", errors="replace")
                raise Failed(f"{self.command[0]} did not become ready: {text[-1000:]}")
            time.sleep(0.02)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        if self in _running:
            _running.remove(self)
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


@atexit.register
def _stop_all():
    for server in list(_running):
        server.stop()
