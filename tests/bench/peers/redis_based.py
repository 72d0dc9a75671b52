"""Redis as a list that is pushed to, and what Python's users put on it: rq and celery, with two worker processes."""

import contextlib
import os
import shutil
import socket

from harness import that
from kit.runner import figure

from .measures import idle, memory_kib, tree
from .python import latencies, rate
from .sockets import hold_connections

MEMORY, EACH = "memory", "fsync before the reply (appendfsync always)"
REDIS, RQ = ("redis-server", "redis-benchmark"), ("redis-server", "rq")
CELERY = ("redis-server", "py:celery", "py:redis")
STORED_BYTES = 120


@contextlib.contextmanager
def serving(bench, always=False):
    """(port, the server)."""
    port = bench.t.free_port()
    folder = os.path.join(bench.t.folder, "redis")
    os.mkdir(folder)
    durable = ["--appendonly", "yes", "--appendfsync", "always"] if always else ["--appendonly", "no"]
    server = bench.children.start([bench.where("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir",
                                   folder, "--save", "", "--maxclients", "12000", *durable], port=port)
    try:
        yield port, server
    finally:
        bench.children.end_all()
        shutil.rmtree(folder)


@contextlib.contextmanager
def rq(bench, always=False, forks=False):
    """(port, the server), with two workers: by default each job has a process of its own, SimpleWorker spares that."""
    with serving(bench, always) as (port, server):
        kind = [] if forks else ["-w", "rq.SimpleWorker"]
        for _ in range(2):
            bench.children.start([bench.where("rq"), "worker", "-q", "-u", "redis://127.0.0.1:%d/0" % port, *kind,
                                  "work"])
        bench.children.tool("rq_client.py", port, "workers", 2)
        bench.children.tool("rq_client.py", port, "flow", "same", 10)
        yield port, server


@contextlib.contextmanager
def celery(bench, always=False, pool=("-P", "prefork", "-c", "2")):
    """(a function that runs the client, the server), with one worker of two processes."""
    with serving(bench, always) as (port, server):
        env = {"BENCH_REDIS_PORT": str(port)}
        bench.children.start(
            ["/usr/bin/python3", "-m", "celery", "-A", "celery_jobs", "worker", *pool, "--without-gossip",
             "--without-mingle", "--without-heartbeat", "-l", "ERROR", "-n", "bench@localhost"], env=env)

        def client(*arguments):
            return bench.children.tool("celery_client.py", *arguments, env=env)
        client("ready")
        yield client, server


def rq_noops(always, forks):
    def run(bench):
        with rq(bench, always, forks) as (port, _):
            count = bench.size(200 if forks else 1000, 100)
            return rate(bench.children.tool("rq_client.py", port, "flow", "same", count))
    return run


def celery_noops(always):
    def run(bench):
        with celery(bench, always) as (client, _):
            return rate(client("flow", "same", bench.size(1000, 200)))
    return run


for always, key, durable in ((False, "memory", MEMORY), (True, "always", EACH)):
    figure("noops", "rq." + key, "rq on Redis", "SimpleWorker", durable, RQ)(rq_noops(always, False))
    figure("noops", "celery." + key, "celery on Redis", "prefork, delay() each, then get()", durable,
           CELERY)(celery_noops(always))
figure("noops", "rq.fork", "rq on Redis", "rq worker, a fork a job", MEMORY, RQ)(rq_noops(False, True))


def push(bench, port, count):
    """RPUSH so often, 512 pipelined; what redis-benchmark says of it, in elements a second."""
    said = bench.children.output(
        [bench.where("redis-benchmark"), "-h", "127.0.0.1", "-p", str(port), "-c", "1", "-P", "512", "-n", str(count),
         "--csv", "RPUSH", "list", "x" * STORED_BYTES])
    that(list_length(port) >= count, "Redis has all that was pushed")
    return float(said.strip().split("\n")[-1].split(",")[1].strip('"'))


@figure("submits", "redis.always", "Redis", "RPUSH of %d bytes, 512 pipelined: a list, no jobs" % STORED_BYTES, EACH,
        REDIS)
def redis_submits(bench):
    with serving(bench, True) as (port, _):
        return {"rate": push(bench, port, bench.size(200000, 10000))}


def list_length(port):
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(b"LLEN list\r\n")
        return int(wire.recv(64)[1:])


@figure("submits", "rq.always", "rq on Redis", "enqueue_many(), 500 at a time", EACH, RQ)
def rq_submits(bench):
    with serving(bench, True) as (port, _):
        return rate(bench.children.tool("rq_client.py", port, "store", bench.size(5000, 500)))


@figure("submits", "celery.always", "celery on Redis", "delay() each", EACH, CELERY)
def celery_submits(bench):
    with serving(bench, True) as (port, _):
        return rate(bench.children.tool("celery_client.py", "store", bench.size(1000, 100),
                                        env={"BENCH_REDIS_PORT": str(port)}))


@figure("trip", "rq.memory", "rq on Redis", "SimpleWorker; the state is asked for each 0.2 ms", MEMORY, RQ)
def rq_trips(bench):
    with rq(bench) as (port, _):
        return latencies(bench.children.tool("rq_client.py", port, "trip", bench.size(300, 50)))


@figure("trip", "celery.memory", "celery on Redis", "prefork, delay().get()", MEMORY, CELERY)
def celery_trips(bench):
    with celery(bench) as (client, _):
        return latencies(client("trip", bench.size(500, 50)))


@figure("commands", "rq.memory", "rq on Redis", "SimpleWorker, subprocess.call()", MEMORY, RQ)
def rq_commands(bench):
    with rq(bench) as (port, _):
        return rate(bench.children.tool("rq_client.py", port, "flow", "command", bench.size(500, 50)))


@figure("commands", "celery.memory", "celery on Redis", "prefork, subprocess.call()", MEMORY, CELERY)
def celery_commands(bench):
    with celery(bench) as (client, _):
        return rate(client("flow", "command", bench.size(500, 50)))


@figure("fetches", "celery.memory", "celery on Redis", "64 threads, urllib", MEMORY, CELERY)
def celery_fetches(bench):
    url = bench.slow_server()
    with celery(bench, pool=("-P", "threads", "-c", "64")) as (client, _):
        return {"took": client("flow", "fetch", bench.size(1000, 100), url)["seconds"]}


@figure("queue", "redis.memory", "Redis", "elements of %d bytes in a list" % STORED_BYTES, MEMORY, REDIS)
def redis_queue(bench):
    count = bench.size(300000, 10000)
    with serving(bench) as (port, server):
        before = memory_kib(server.pid)
        push(bench, port, count)
        return {"job": (memory_kib(server.pid) - before) * 1024 / count}


@figure("waiters", "redis.memory", "Redis", "in BLPOP", MEMORY, REDIS)
def redis_waiters(bench):
    def ask(wire, _):
        wire.sendall(b"PING\r\nBLPOP none 0\r\n")

    def asked(wire):
        that(wire.recv(64) == b"+PONG\r\n", "Redis answers PING")
    with serving(bench) as (port, server):
        return hold_connections(server.pid, port, bench.size(10000, 500), ask, asked)


@figure("idle", "rq.memory", "rq on Redis", "and 2 workers", MEMORY, RQ)
def rq_idle(bench):
    with rq(bench):
        return idle(tree(*[one.pid for one in bench.children.started]))


@figure("idle", "celery.memory", "celery on Redis", "and 2 worker processes", MEMORY, CELERY)
def celery_idle(bench):
    with celery(bench):
        return idle(tree(*[one.pid for one in bench.children.started]))
