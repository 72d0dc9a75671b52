"""Measures of a process from outside: memory, and how often it runs while nobody asks for anything."""

import os
import time

from harness import process
from kit.runner import own_s

SETTLE_S, WATCH_S = 1.5, 2.0


def memory_kib(*roots):
    """The proportional share of memory of the processes and all below them."""
    return sum(process.memory_kib(pid) for pid in tree(*roots))


def tree(*roots):
    return sorted({pid for root in roots for pid in process.tree(root, itself=True)})


def switches(pids):
    """How often their threads have been given a processor: each such begins with a switch."""
    total = 0
    for pid in pids:
        tasks = "/proc/%d/task" % pid
        for task in os.listdir(tasks) if os.path.isdir(tasks) else ():
            for line in process.read(pid, "task/%s/status" % task).split(b"\n"):
                if b"ctxt_switches" in line:
                    total += int(line.split()[1])
    return total


def waiting_cpu(pid):
    """The CPU time of the process and all below it while its clients wait, in hundredths of a core."""
    time.sleep(SETTLE_S)
    spent, began = own_s(pid), time.monotonic()
    time.sleep(WATCH_S)
    return 100 * (own_s(pid) - spent) / (time.monotonic() - began)


def idle(pids):
    """What it takes while nothing is asked of it: the time is what is measured."""
    time.sleep(SETTLE_S)
    before, began = switches(pids), time.monotonic()
    time.sleep(WATCH_S)
    per_s = (switches(pids) - before) / (time.monotonic() - began)
    return {"wakeups": per_s, "memory": sum(process.memory_kib(pid) for pid in pids) / 1024}
