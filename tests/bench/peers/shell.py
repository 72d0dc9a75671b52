"""What people use from the shell: task-spooler and GNU parallel. A job there is a process of the client's as well."""

import contextlib
import os
import time

from harness import eq
from kit.runner import figure

from .python import latencies

MEMORY = "memory"


@contextlib.contextmanager
def spooler(bench, slots):
    """(the program, its environment). Its server leaves our session: `tsp -K` ends it."""
    tsp = bench.where("tsp")
    env = {"TS_SOCKET": bench.t.path("tsp.socket"), "TS_MAXFINISHED": "2000", "TS_ONFINISH": None}
    bench.children.timed([tsp, "-S", str(slots)], env)
    try:
        yield tsp, env
    finally:
        bench.children.timed([tsp, "-K"], env)


@figure("commands", "tsp.slots", "task-spooler", "tsp -n each from sh, -S 2, then wait for all", MEMORY, ("tsp",))
def commands(bench):
    # Each job in line keeps a client process, and near a thousand of them the server takes no more.
    count = bench.size(300, 50)
    submit = 'i=0; while [ $i -lt %d ]; do ids="$ids $("$0" -n /bin/true)" || exit 1; i=$((i+1)); done; ' % count
    wait = 'for id in $ids; do "$0" -w "$id" || exit 1; done'
    with spooler(bench, 2) as (tsp, env):
        return {"rate": count / bench.children.timed(["/bin/sh", "-c", submit + wait, tsp], env)}


@figure("submits", "tsp.slots", "task-spooler", "tsp -n each from sh, behind one that runs", MEMORY, ("tsp",))
def submits(bench):
    count = bench.size(300, 50)
    script = 'i=0; while [ $i -lt %d ]; do "$0" -n /bin/true || exit 1; i=$((i+1)); done' % count
    gate = bench.t.path("tsp.gate")
    os.mkfifo(gate)
    held = os.open(gate, os.O_RDWR)
    with spooler(bench, 1) as (tsp, env):
        try:
            bench.children.timed([tsp, "-n", "cat", gate], env)
            return {"rate": count / bench.children.timed(["/bin/sh", "-c", script, tsp], env)}
        finally:
            # It ends with the last writer; what is behind it is run, so that nothing lives on when the server is ended.
            os.close(held)
            os.unlink(gate)
            bench.children.timed([tsp, "-w"], env)


@figure("trip", "tsp.wait", "task-spooler", "tsp -n -f /bin/true, with its processes", MEMORY, ("tsp",))
def trips(bench):
    count, took = bench.size(300, 50), []
    with spooler(bench, 2) as (tsp, env):
        for _ in range(count):
            began = time.perf_counter()
            eq(bench.spawn_and_wait([tsp, "-n", "-f", "/bin/true"], env), 0)
            took.append((time.perf_counter() - began) * 1e6)
    took.sort()
    return latencies({"p50_us": took[count // 2], "p99_us": took[count * 99 // 100]})


@figure("commands", "parallel.slots", "GNU parallel", "seq | parallel -j2 /bin/true", MEMORY, ("parallel",))
def parallel(bench):
    count = bench.size(300, 50)
    log = bench.t.path("parallel.log")
    script = 'seq %d | "$0" --joblog "$1" -j2 /bin/true' % count
    took = bench.children.timed(["/bin/sh", "-c", script, bench.where("parallel"), log])
    with open(log, encoding="utf-8") as file:
        eq(sum(1 for line in file if "/bin/true" in line and line.split("\t")[6] == "0"), count)
    os.unlink(log)
    return {"rate": count / took}
