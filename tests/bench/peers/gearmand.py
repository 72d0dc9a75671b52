"""gearmand, with workers and clients in C: by libgearman, and by the protocol with many requests under way."""

import contextlib
import os
import shutil

from harness import that
from kit.runner import figure

from .measures import idle, memory_kib, tree
from .python import latencies, rate
from .sockets import hold_connections

NAME, MEMORY, SQLITE = "gearmand", "memory", "SQLite, synced for each job"
NEEDS = ("gearmand", "header:libgearman/gearman.h")
STORED_BYTES = 120  # about what one of our submissions takes


@contextlib.contextmanager
def serving(bench, *options, workers=(), count=0):
    """(port, the daemon), with `count` workers; `workers` is the rest of their command line."""
    port = bench.t.free_port()
    folder = os.path.join(bench.t.folder, "gearmand")
    os.mkdir(folder)
    daemon = bench.children.start(
        [bench.where("gearmand"), "-L", "127.0.0.1", "-p", str(port), "-l", "none", "-P", folder + "/pid",
         *[one.replace("FOLDER", folder) for one in options]], port=port)
    try:
        for _ in range(count):
            bench.children.start(bench.children.program("gearman") + [workers[0], str(port), *workers[1:]])
        yield port, daemon
    finally:
        bench.children.end_all()
        shutil.rmtree(folder)


def tool(bench, *arguments):
    return bench.children.tool("gearman", *arguments)


@figure("noops", "gearmand.raw", NAME, "-t 1, raw protocol, 512 under way", MEMORY, NEEDS)
def noops_raw(bench):
    with serving(bench, "-t", "1", workers=("raw-worker",), count=2) as (port, _):
        tool(bench, "raw", port, 64, 200)
        return rate(tool(bench, "raw", port, 512, bench.size(50000, 5000)))


@figure("noops", "gearmand.lib", NAME, "-t 1, libgearman, 32 tasks at once", MEMORY, NEEDS)
def noops_lib(bench):
    with serving(bench, "-t", "1", workers=("worker", "noop"), count=2) as (port, _):
        return rate(tool(bench, "tasks", port, "noop", 32, bench.size(20000, 2000)))


@figure("submits", "gearmand.sqlite", NAME, "-q libsqlite3, background jobs, 512 not acknowledged", SQLITE, NEEDS)
def submits_sqlite(bench):
    with serving(bench, "-t", "4", "-q", "libsqlite3", "--libsqlite3-db", "FOLDER/db") as (port, _):
        return rate(tool(bench, "store", port, 512, bench.size(3000, 300), STORED_BYTES))


@figure("submits", "gearmand.memory", NAME, "-t 1 and a large hash table, background jobs, 512 not acknowledged",
        MEMORY, NEEDS)
def submits_memory(bench):
    with serving(bench, "-t", "1", "--hashtable-buckets", "200003") as (port, _):
        return rate(tool(bench, "store", port, 512, bench.size(200000, 5000), STORED_BYTES))


@figure("trip", "gearmand.lib", NAME, "-t 1, gearman_client_do()", MEMORY, NEEDS)
def trip(bench):
    with serving(bench, "-t", "1", workers=("worker", "noop"), count=2) as (port, _):
        return latencies(tool(bench, "trips", port, bench.size(3000, 500)))


@figure("commands", "gearmand.lib", NAME, "2 workers with posix_spawn; nothing captured", MEMORY, NEEDS)
def commands(bench):
    with serving(bench, "-t", "1", workers=("worker", "true"), count=2) as (port, _):
        return rate(tool(bench, "tasks", port, "true", 100, bench.size(1000, 100)))


@figure("fetches", "gearmand.lib", NAME, "64 worker processes", MEMORY, NEEDS)
def fetches(bench):
    slow, count = bench.slow_server().rstrip("/").rsplit(":", 1)[1], bench.size(1000, 200)
    with serving(bench, "-t", "4", workers=("worker", slow), count=64) as (port, _):
        return {"took": tool(bench, "tasks", port, slow, count, count)["seconds"]}


@figure("queue", "gearmand.memory", NAME, "background jobs of %d bytes" % STORED_BYTES, MEMORY, NEEDS)
def queue(bench):
    count = bench.size(200000, 5000)
    with serving(bench, "-t", "1", "--hashtable-buckets", "200003") as (port, daemon):
        before = memory_kib(daemon.pid)
        tool(bench, "store", port, 512, count, STORED_BYTES)
        return {"job": (memory_kib(daemon.pid) - before) * 1024 / count}


@figure("waiters", "gearmand.memory", NAME, "a foreground job each that no worker takes", MEMORY, NEEDS)
def waiters(bench):
    count = bench.size(10000, 500)

    def ask(wire, number):
        data = b"noworker\0%d\0" % number
        wire.sendall(b"\0REQ" + (7).to_bytes(4, "big") + len(data).to_bytes(4, "big") + data)

    def asked(wire):
        that(wire.recv(256)[4:8] == (8).to_bytes(4, "big"), "gearmand answers JOB_CREATED")
    with serving(bench, "-t", "1", "-f", str(count + 100)) as (port, daemon):
        return hold_connections(daemon.pid, port, count, ask, asked)


@figure("idle", "gearmand.memory", NAME, "and 2 workers in C", MEMORY, NEEDS)
def at_rest(bench):
    with serving(bench, "-t", "4", workers=("worker", "noop"), count=2) as (port, _):
        tool(bench, "tasks", port, "noop", 1, 10)
        return idle(tree(*[one.pid for one in bench.children.started]))
