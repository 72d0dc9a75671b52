"""beanstalkd, with workers and clients in C; results come by a second tube, for it knows none."""

import contextlib
import os
import shutil

from harness import that
from kit.runner import figure

from .measures import idle, memory_kib, tree
from .python import latencies, rate
from .sockets import hold_connections

NAME, MEMORY, EACH = "beanstalkd", "memory", "fsync on each write"
NEEDS = ("beanstalkd",)
STORED_BYTES = 120
MODES = (("memory", "", MEMORY), ("f0", "-b -f0, ", EACH))


@contextlib.contextmanager
def serving(bench, mode="memory", workers=0, depth=1, kind="noop"):
    """(port, the daemon), with so many workers."""
    port = bench.t.free_port()
    folder = os.path.join(bench.t.folder, "beanstalkd")
    os.mkdir(folder)
    log = ["-b", folder, "-f0"] if mode == "f0" else []
    daemon = bench.children.start([bench.where("beanstalkd"), "-l", "127.0.0.1", "-p", str(port), *log], port=port)
    try:
        for _ in range(workers):
            bench.children.start(bench.children.program("beanstalk") + ["worker", str(port), str(depth), kind])
        yield port, daemon
    finally:
        bench.children.end_all()
        shutil.rmtree(folder)


def tool(bench, *arguments):
    return bench.children.tool("beanstalk", *arguments)


def noops(mode):
    def run(bench):
        with serving(bench, mode, workers=2, depth=64) as (port, _):
            return rate(tool(bench, "flow", port, 256, bench.size(10000 if mode == "f0" else 50000, 2000)))
    return run


def submits(mode):
    def run(bench):
        with serving(bench, mode) as (port, _):
            return rate(tool(bench, "store", port, 512, bench.size(5000 if mode == "f0" else 200000, 1000),
                             STORED_BYTES))
    return run


def trips(mode):
    def run(bench):
        with serving(bench, mode, workers=2) as (port, _):
            return latencies(tool(bench, "trips", port, bench.size(2000, 300)))
    return run


for name, options, guarantee in MODES:
    figure("noops", "beanstalkd." + name, NAME, options + "result tube, up to 64 jobs a round trip", guarantee,
           NEEDS)(noops(name))
    figure("submits", "beanstalkd." + name, NAME, options + "put, 512 unanswered", guarantee, NEEDS)(submits(name))
    figure("trip", "beanstalkd." + name, NAME, options + "put, until the result is reserved", guarantee,
           NEEDS)(trips(name))


@figure("commands", "beanstalkd.memory", NAME, "2 workers with posix_spawn; nothing captured", MEMORY, NEEDS)
def commands(bench):
    with serving(bench, workers=2, kind="true") as (port, _):
        return rate(tool(bench, "flow", port, 64, bench.size(1000, 100)))


@figure("fetches", "beanstalkd.memory", NAME, "64 worker processes", MEMORY, NEEDS)
def fetches(bench):
    slow = bench.slow_server().rstrip("/").rsplit(":", 1)[1]
    with serving(bench, workers=64, kind=slow) as (port, _):
        return {"took": tool(bench, "flow", port, 512, bench.size(1000, 200))["seconds"]}


@figure("queue", "beanstalkd.memory", NAME, "jobs of %d bytes" % STORED_BYTES, MEMORY, NEEDS)
def queue(bench):
    count = bench.size(300000, 5000)
    with serving(bench) as (port, daemon):
        before = memory_kib(daemon.pid)
        tool(bench, "store", port, 512, count, STORED_BYTES)
        return {"job": (memory_kib(daemon.pid) - before) * 1024 / count}


@figure("waiters", "beanstalkd.memory", NAME, "in reserve", MEMORY, NEEDS)
def waiters(bench):
    def ask(wire, _):
        wire.sendall(b"list-tube-used\r\nreserve\r\n")

    def asked(wire):
        that(wire.recv(256) == b"USING default\r\n", "beanstalkd answers list-tube-used")
    with serving(bench) as (port, daemon):
        return hold_connections(daemon.pid, port, bench.size(10000, 500), ask, asked)


@figure("idle", "beanstalkd.memory", NAME, "and 2 workers in C", MEMORY, NEEDS)
def at_rest(bench):
    with serving(bench, workers=2) as (port, _):
        tool(bench, "trips", port, 20)
        return idle(tree(*[one.pid for one in bench.children.started]))
