"""
futured itself, by its contract alone. The client is not what is measured: it writes requests that were made
beforehand and
counts lines. Each run has a daemon and a state of its own, as a newcomer has them: synchronous = full, workers as
cores.
"""

import contextlib
import json
import resource
import shutil
import socket
import threading
import time

from harness import Client, eq, process, that
from kit.runner import figure

from .measures import idle, memory_kib, waiting_cpu

FULL, NORMAL = "fsync before the reply", "no fsync: survives a crash of the daemon, not of the machine"
NAME = "futured"


class Bulk:
    """Writes what was made beforehand from a thread and counts the lines that come."""

    def __init__(self, client):
        self.socket = client.socket
        self.socket.settimeout(None)

    def exchange(self, data, replies):
        """Writes all; returns the bytes of so many lines, and the seconds that it took."""
        writer = threading.Thread(target=self.socket.sendall, args=(data,))
        pieces, seen = [], 0
        began = time.perf_counter()
        writer.start()
        while seen < replies:
            piece = self.socket.recv(1 << 20)
            that(piece, "the daemon closed the connection")
            seen += piece.count(b"\n")
            pieces.append(piece)
        took = time.perf_counter() - began
        writer.join()
        return b"".join(pieces), took


def request(ident, method, params):
    return b'{"jsonrpc":"2.0","id":%d,"method":"%s","params":%s}\n' % (ident, method.encode(), params.encode())


def submissions(count, params):
    """The bytes of `count` submit requests; %d in params is the number."""
    return b"".join(request(i, "submit", params % i) for i in range(count))


def await_all(first, count):
    return request(count, "await", json.dumps({"ids": ["%d-%d" % (first, first + count - 1)], "jobs": False}))


def all_succeeded(said, count):
    """None was refused, and that many are told to have succeeded."""
    that(b'"error"' not in said, "a submission was refused: %r" % said[said.find(b'"error"') - 100:][:400])
    told = next(json.loads(line) for line in said.split(b"\n") if b'"counts"' in line)
    eq(told["result"]["counts"]["succeeded"], count)


@contextlib.contextmanager
def serving(bench, workers=None, synchronous="full"):
    """(daemon, client), and nothing of either afterwards."""
    daemon = bench.t.daemon(workers=workers or bench.workers, threads=None,
                            config={"store": {"synchronous": synchronous}})
    client = Client(daemon.socket, 300)
    try:
        yield daemon, client
    finally:
        client.close()
        if not daemon.ended():
            daemon.kill()
        bench.t.daemons.remove(daemon)
        shutil.rmtree(daemon.folder)


def warm(client):
    """The id of a job that has ended: workers are there, statements are prepared."""
    ident = client.submit("noop")
    client.ended_job(ident)
    return ident


@figure("noops", "futured.full", NAME, "a submit each, then await", FULL)
def noops(bench):
    count = bench.size(200000, 100000)  # fewer would measure the start alone
    data = submissions(count, '{"task":"noop","args":[%d]}')
    with serving(bench) as (_, client):
        last = warm(client)
        said, took = Bulk(client).exchange(data + await_all(last + 1, count), count + 1)
    all_succeeded(said, count)
    return {"rate": count / took}


@figure("map", "futured.full", NAME, "one request, then await", FULL)
def one_map(bench):
    count = bench.size(1000000, 100000)
    items = json.dumps([[i] for i in range(count)], separators=(",", ":"))
    with serving(bench) as (_, client):
        data = request(1, "map", '{"task":"noop","items":%s}' % items) + await_all(warm(client) + 1, count)
        said, took = Bulk(client).exchange(data, 2)
    all_succeeded(said, count)
    return {"rate": count / took}


def hold(client, count, first=0):
    """Submits to a queue that is paused; seconds until all are acknowledged."""
    data = b"".join(request(i, "submit", '{"task":"noop","args":[%d],"queue":"held"}' % i)
                    for i in range(first, first + count))
    said, took = Bulk(client).exchange(data, count)
    that(b'"error"' not in said, "a submission was refused")
    return took


def paused(client):
    """The id that comes next."""
    ident = warm(client) + 1
    that(client.call("pause", queue="held")["paused"], "the queue is paused")
    return ident


def run_down(client, first, count):
    """Lets the queue go; seconds until `count` of its jobs from `first` on have ended."""
    data = request(1, "resume", '{"queue":"held"}') + await_all(first, count)
    said, took = Bulk(client).exchange(data, 2)
    all_succeeded(said, count)
    return took


@figure("submits", "futured.full", NAME, "a submit each, to a paused queue", FULL)
def submits(bench):
    count = bench.size(200000, 50000)
    with serving(bench) as (_, client):
        paused(client)
        return {"rate": count / hold(client, count)}


@figure("backlog", "futured.full", NAME, "a submit each to a paused queue, then resume", FULL)
def backlog(bench):
    count = bench.size(1000000, 50000)
    with serving(bench) as (_, client):
        first = paused(client)
        hold(client, count)
        return {"rate": count / run_down(client, first, count)}


def trips(bench, synchronous):
    """The client is a send and a recv."""
    count = bench.size(3000, 500)
    took = []
    with serving(bench, synchronous=synchronous) as (_, client):
        wire = client.socket
        for i in range(-count // 20, count):
            data = request(i + count, "run", '{"task":"noop","args":[%d]}' % i)
            began = time.perf_counter_ns()
            wire.sendall(data)
            said = wire.recv(65536)
            if i >= 0:
                took.append((time.perf_counter_ns() - began) / 1e3)
            that(said.endswith(b"\n") and b'"result":[%d]' % i in said and b'"succeeded"' in said, "a reply: %r" % said)
    took.sort()
    middle, late = took[count // 2], took[count * 99 // 100]
    return {"p50": middle, "p99": late, "tail": late / middle}


@figure("trip", "futured.full", NAME, "run", FULL)
def trips_full(bench):
    return trips(bench, "full")


@figure("trip", "futured.normal", NAME, "run, synchronous = normal", NORMAL)
def trips_normal(bench):
    return trips(bench, "normal")


@figure("commands", "futured.full", NAME, "one map of exec; both outputs captured", FULL)
def commands(bench):
    count = bench.size(1500, 150)
    items = json.dumps([{"argv": ["/bin/true"]}] * count)
    with serving(bench) as (_, client):
        data = request(1, "map", '{"task":"exec","items":%s}' % items) + await_all(warm(client) + 1, count)
        said, took = Bulk(client).exchange(data, 2)
    all_succeeded(said, count)
    return {"rate": count / took}


def factors_s(bench, workers, numbers):
    items = json.dumps([[n] for n in numbers])
    with serving(bench, workers=workers) as (_, client):
        data = request(1, "map", '{"task":"math.factorize","items":%s}' % items) + await_all(warm(client) + 1,
                                                                                             len(numbers))
        said, took = Bulk(client).exchange(data, 2)
    all_succeeded(said, len(numbers))
    return took


@figure("factors", "futured.full", NAME, "one map of math.factorize", FULL)
def factors(bench):
    numbers = bench.primes(10 ** 13, bench.size(400, 40))
    one, two = factors_s(bench, 1, numbers), factors_s(bench, 2, numbers)
    return {"speedup": one / two, "took": two}


@figure("fetches", "futured.full", NAME, "one map of http.fetch", FULL)
def fetches(bench):
    count = bench.size(1000, 200)
    url = bench.slow_server()
    items = json.dumps([[url]] * count)
    with serving(bench) as (_, client):
        data = request(1, "map", '{"task":"http.fetch","items":%s}' % items) + await_all(warm(client) + 1, count)
        said, took = Bulk(client).exchange(data, 2)
    all_succeeded(said, count)
    return {"took": took}


@figure("sleeps", "futured.full", NAME, "one map of time.sleep", FULL)
def sleeps(bench):
    count = bench.size(10000, 1000)
    items = json.dumps([[1]] * count)
    with serving(bench) as (_, client):
        data = request(1, "map", '{"task":"time.sleep","items":%s}' % items) + await_all(warm(client) + 1, count)
        said, took = Bulk(client).exchange(data, 2)
    all_succeeded(said, count)
    return {"took": took}


REST_S = 3  # when nothing has been asked of it for a second it gives back what the flood has left


@figure("queue", "futured.full", NAME, "a paused queue; the restart after kill -9", FULL)
def queue(bench):
    whole, part = bench.size(1000000, 50000), bench.size(200000, 10000)
    with serving(bench) as (_, client):
        first = paused(client)
        empty_s = hold(client, part)
        short_s = run_down(client, first, part)
    with serving(bench) as (daemon, client):
        first = paused(client)
        before = memory_kib(daemon.pid)
        hold(client, whole)
        time.sleep(REST_S)
        more = memory_kib(daemon.pid) - before
        full_s = hold(client, part, whole)
        # The await is answered while the rest runs on: what counts is all that has ended by then.
        before_it = daemon.stats()["succeeded"]
        took = run_down(client, first, part)
        long_rate = (daemon.stats()["succeeded"] - before_it) / took
        client.call("pause", queue="held")
        daemon.kill()
        began = time.perf_counter()
        daemon.start()
        ready_s = time.perf_counter() - began
        with Client(daemon.socket, 300) as again:
            there = again.call("await", ids=["%d-%d" % (first, first + whole + part - 1)], wait=0, jobs=False)["counts"]
            eq(sum(there.values()), whole + part, "all are there after the restart")
    return {"submits": empty_s / full_s, "starts": long_rate * short_s / part, "memory": more / 1024, "job": more * 1024 / whole,
            "ready": ready_s}


def many_clients(address, count, data):
    """So many connections, each of which has written the data and been answered its last line, a ping."""
    found = []
    for _ in range(count):
        wire = socket.socket(socket.AF_UNIX)
        found.append(wire)
        wire.connect(address)
        wire.sendall(data)
    for wire in found:
        that(wire.recv(4096).endswith(b'"pong"}\n'), "what came before it is read when ping is answered")
    return found


@figure("waiters", "futured.full", NAME, "await on connections of their own", FULL)
def waiters(bench):
    count = bench.size(9900, 500)  # where 20,000 descriptors are all there are, half of them may be connections
    with serving(bench) as (daemon, client):
        ident = client.submit("noop", delay=86400)
        before = memory_kib(daemon.pid)
        data = request(1, "await", '{"ids":[%d],"jobs":false}' % ident) + request(2, "ping", "{}")
        found = many_clients(daemon.socket, count, data)
        more = memory_kib(daemon.pid) - before
        spent = waiting_cpu(daemon.pid)
        for wire in found:
            wire.close()
    return {"memory": more / count, "cpu": spent}


@figure("idle", "futured.full", NAME, "after one job", FULL)
def at_rest(bench):
    with serving(bench, workers=2) as (daemon, client):
        warm(client)
        return idle(process.tree(daemon.pid, itself=True))


def raise_descriptors():
    """For 10,000 connections: the soft limit up to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
