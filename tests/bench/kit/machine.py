"""The machine and the programs as far as they decide the figures: read here, never written by hand."""

import os
import platform
import re
import subprocess

PACKAGES = ("beanstalkd", "gearman-job-server", "libgearman8", "redis-server", "python3-rq", "python3-celery",
            "task-spooler",
            "parallel", "python3", "libsqlite3-0", "libevent-2.1-7")


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def processor():
    match = re.search(r"^model name\s*:\s*(.+)$", read("/proc/cpuinfo"), re.MULTILINE)
    return match.group(1) if match else platform.machine()


def memory_gib():
    match = re.search(r"^MemTotal:\s*(\d+)", read("/proc/meminfo"), re.MULTILINE)
    return round(int(match.group(1)) / 1048576, 1) if match else None


def system():
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)', read("/etc/os-release"), re.MULTILINE)
    return match.group(1) if match else platform.system()


def filesystem(folder):
    """The kind of the file system that holds the folder: the longest mount point that is above it."""
    best = ("", "unknown")
    for line in read("/proc/self/mounts").split("\n"):
        words = line.split()
        if len(words) < 3:
            continue
        point = words[1].rstrip("/") + "/"
        if (folder.rstrip("/") + "/").startswith(point) and len(point) > len(best[0]):
            best = (point, words[2])
    return best[1]


def versions():
    """{package: version} of those that are installed."""
    try:
        said = subprocess.run(["dpkg-query", "-W", "-f=${Package} ${Version} ${db:Status-Status}\n"] + list(PACKAGES),
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode()
    except OSError:
        return {}
    rows = [line.split() for line in said.split("\n")]
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[2] == "installed"}


def hypervisor():
    return "hypervisor" in read("/proc/cpuinfo")


def describe(folder, sync):
    """`sync` is what `limit sync` said of that folder's disk."""
    return {"processor": processor(), "cores": len(os.sched_getaffinity(0)), "virtual": hypervisor(),
            "memory_gib": memory_gib(), "system": system(), "kernel": platform.release(),
            "python": platform.python_version(),
            "filesystem": filesystem(folder), "sync_us": round(sync["p50_us"], 1),
            "sync_p99_us": round(sync["p99_us"], 1),
            "load": os.getloadavg()[0], "versions": versions()}
