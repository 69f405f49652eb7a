"""machine.py: what a measurement was made on."""
import os
import pathlib
import platform
import subprocess

MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs", "overlay")


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def file_system(folder):
    done = subprocess.run(["df", "--output=fstype", str(folder)], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()[-1]


def describe(folder):
    return {"processor": processor(), "cores": os.cpu_count(), "kernel": platform.release().split("-")[0],
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "file_system": file_system(folder), "load": os.getloadavg()[0]}


def busy():
    """How many other processes were running in the last minute, on average."""
    return os.getloadavg()[0]


def processor_s(pid):
    """Processor time that a process has taken so far, its own and the kernel's for it."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def threads_s(pid):
    """Processor time that each thread of a process has taken so far, by name; those of one name together."""
    taken = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text(encoding="utf-8").strip()
        nanoseconds = int((task / "schedstat").read_text(encoding="utf-8").split()[0])
        taken[name] = taken.get(name, 0) + nanoseconds / 1e9
    return taken


def anonymous_bytes(pid):
    """Memory of a process that is resident and no file's: what a mapped log is not."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no RssAnon of process {pid}")
