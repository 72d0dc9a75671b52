#!/usr/bin/python3
"""
A small bench: durable jobs through the daemon beside what Python does in memory, measured in one run on one machine.

Each figure is the median of three runs (--runs). The client is not what is measured: it writes requests made beforehand
and counts lines. The daemon is as a newcomer has it: synchronous = full, workers as many as cores. With --check the exit
status is 1 when the no-op jobs are below 5 times Python's ProcessPoolExecutor, the least that this architecture must show.
"""

import argparse
import concurrent.futures
import json
import os
import statistics
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "story"))

from harness import eq, options, programs, that  # noqa: E402  (the path comes first)

GOAL = 5


def same(value):
    """The no-op of the ProcessPoolExecutor."""
    return value


class Bulk:
    """A client that writes what was made beforehand from a thread and counts the lines that come."""

    def __init__(self, client):
        self.socket = client.socket
        self.socket.settimeout(None)

    def exchange(self, data, replies):
        """Writes all; returns the bytes of so many lines."""
        writer = threading.Thread(target=self.socket.sendall, args=(data,))
        writer.start()
        pieces, seen = [], 0
        while seen < replies:
            piece = self.socket.recv(1 << 20)
            that(piece, "the daemon closed the connection")
            seen += piece.count(b"\n")
            pieces.append(piece)
        writer.join()
        return b"".join(pieces)


def request(ident, method, params):
    return b'{"jsonrpc":"2.0","id":%d,"method":"%s","params":%s}\n' % (ident, method.encode(), params.encode())


def submissions(count, params):
    """The bytes of `count` submit requests; %d in params is the number."""
    return b"".join(request(i, "submit", params % i) for i in range(count))


def median(values):
    return statistics.median(values)


class Bench:
    def __init__(self, story, given):
        self.t = story
        self.given = given
        self.workers = len(os.sched_getaffinity(0)) if given.workers is None else given.workers

    def daemon(self, workers=None):
        return self.t.daemon(workers=workers or self.workers, threads=None)

    def repeat(self, run):
        """What `run` measures, each time with a daemon and a state of its own."""
        values = []
        for _ in range(self.given.runs):
            daemon = self.daemon()
            values.append(run(daemon, daemon.client(seconds=300)))
            daemon.stop()
        return values

    def noops(self, count):
        """Jobs a second, from the first submit until all have ended, one client, one submit a job."""
        data = submissions(count, '{"task":"noop","args":[%d]}')

        def run(_, client):
            last = client.submit("noop")
            client.ended_job(last)
            end = request(count, "await", json.dumps({"ids": ["%d-%d" % (last + 1, last + count)], "jobs": False}))
            began = time.perf_counter()
            said = Bulk(client).exchange(data + end, count + 1)
            took = time.perf_counter() - began
            told = next(json.loads(line) for line in said.split(b"\n") if b"counts" in line)
            eq(told["result"]["counts"]["succeeded"], count)
            that(b'"error"' not in said, "a submission was refused")
            return count / took
        return self.repeat(run)

    def submits(self, count):
        """Acknowledged submissions a second, of jobs that do not start yet."""
        data = submissions(count, '{"task":"noop","args":[%d],"delay":86400}')

        def run(_, client):
            began = time.perf_counter()
            said = Bulk(client).exchange(data, count)
            took = time.perf_counter() - began
            that(b'"error"' not in said, "a submission was refused")
            return count / took
        return self.repeat(run)

    def maps(self, count):
        """Jobs a second by one map."""
        items = json.dumps([[i] for i in range(count)], separators=(",", ":"))

        def run(_, client):
            first = client.submit("noop") + 1
            client.ended_job(first - 1)
            data = request(1, "map", '{"task":"noop","items":%s}' % items) + \
                request(2, "await", json.dumps({"ids": ["%d-%d" % (first, first + count - 1)], "jobs": False}))
            began = time.perf_counter()
            said = Bulk(client).exchange(data, 2)
            that(b'"succeeded":%d' % count in said, "not all succeeded: %r" % said[-300:])
            return count / (time.perf_counter() - began)
        return self.repeat(run)

    def round_trips(self, count):
        """(median, 99th percentile) in microseconds of run noop, one at a time."""
        def run(_, client):
            return latency(lambda: client.run("noop", [1]), count)
        return self.repeat(run)

    def commands(self, count):
        """Commands a second, /bin/true by one map."""
        items = json.dumps([{"argv": ["/bin/true"]}] * count)

        def run(_, client):
            began = time.perf_counter()
            data = request(1, "map", '{"task":"exec","items":%s}' % items) + \
                request(2, "await", json.dumps({"ids": ["1-%d" % count], "jobs": False}))
            said = Bulk(client).exchange(data, 2)
            that(b'"succeeded":%d' % count in said, "not all succeeded: %r" % said[-300:])
            return count / (time.perf_counter() - began)
        return self.repeat(run)

    def factors(self, workers, numbers):
        """Seconds for all of them."""
        items = json.dumps([[n] for n in numbers])
        values = []
        for _ in range(self.given.runs):
            daemon = self.daemon(workers)
            client = daemon.client(seconds=300)
            client.run("noop")
            data = request(1, "map", '{"task":"math.factorize","items":%s}' % items) + \
                request(2, "await", json.dumps({"ids": ["2-%d" % (len(numbers) + 1)], "jobs": False}))
            began = time.perf_counter()
            said = Bulk(client).exchange(data, 2)
            values.append(time.perf_counter() - began)
            that(b'"succeeded":%d' % len(numbers) in said, "not all succeeded: %r" % said[-300:])
            daemon.stop()
        return values


def latency(call, count):
    for _ in range(100):
        call()
    times = []
    for _ in range(count):
        began = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - began)
    times.sort()
    return times[count // 2] / 1e3, times[count * 99 // 100] / 1e3


def python_noops(pool, count):
    """submit() for each, then result() of each: what a program does that wants its futures."""
    began = time.perf_counter()
    futures = [pool.submit(same, i) for i in range(count)]
    for future in futures:
        future.result()
    return count / (time.perf_counter() - began)


def python_commands(count):
    """posix_spawn and waitpid in a loop."""
    began = time.perf_counter()
    for _ in range(count):
        os.waitpid(os.posix_spawn("/bin/true", ["/bin/true"], {}), 0)
    return count / (time.perf_counter() - began)


def is_prime(n):
    return n % 2 and all(pow(a, n - 1, n) == 1 for a in (2, 3, 5, 7, 11, 13))


def primes(first, count):
    """The next `count` primes: all cost the same."""
    found, n = [], first | 1
    while len(found) < count:
        if is_prime(n):
            found.append(n)
        n += 2
    return found


def thousands(value):
    return "{:,.0f}".format(value)


def row(what, ours, unit, theirs="", ratio=""):
    print("%-46s %14s %-8s %28s %8s" % (what, ours, unit, theirs, ratio), flush=True)


def bench(given):
    scale = 10 if given.quick else 1

    def play(t):
        b = Bench(t, given)
        print("medians of %d, %d cores, %d workers; load %.2f"
              % (given.runs, len(os.sched_getaffinity(0)), b.workers, os.getloadavg()[0]))
        row("", "futured", "", "beside it", "ratio")
        with concurrent.futures.ProcessPoolExecutor(b.workers) as pool:
            list(pool.map(same, range(100)))
            count = 10000 if given.quick else 20000
            python = median([python_noops(pool, count) for _ in range(given.runs)])
            trips = [latency(lambda: pool.submit(same, 1).result(), 2000 // scale) for _ in range(given.runs)]
        count = 100000 if given.quick else 200000  # fewer would measure the start alone
        ours = median(b.noops(count))
        row("durable no-op jobs, %s submits of one client" % thousands(count), thousands(ours), "jobs/s",
            "PPE %s" % thousands(python), "%.1f x" % (ours / python))
        value = median(b.maps(count))
        row("the same by one map", thousands(value), "jobs/s", "", "%.1f x" % (value / python))
        row("durable submissions acknowledged", thousands(median(b.submits(count))), "per s")
        mine = b.round_trips(2000 // scale)
        for place, name in ((0, "median"), (1, "99 %")):
            value, other = median([one[place] for one in mine]), median([one[place] for one in trips])
            row("run noop, one round trip, " + name, thousands(value), "us",
                "PPE %s" % thousands(other), "%.1f x" % (other / value))
        count = 1500 // scale
        value, other = median(b.commands(count)), median([python_commands(count) for _ in range(given.runs)])
        row("%s commands, /bin/true" % thousands(count), thousands(value), "per s",
            "posix_spawn loop %s" % thousands(other), "%.2f x" % (value / other))
        numbers = primes(10 ** 13, 400 // scale)
        one, two = median(b.factors(1, numbers)), median(b.factors(2, numbers))
        row("%d factorizations on 2 workers" % len(numbers), "%.2f" % two, "s", "1 worker %.2f" % one, "%.2f x" % (one / two))
        if given.check:
            that(ours >= GOAL * python, "%.1f times Python's ProcessPoolExecutor; it must be %d" % (ours / python, GOAL))
    return options(deadline=900)(play)


def main():
    parser = argparse.ArgumentParser(description="Durable jobs beside Python's executors, in one run.")
    programs.add_options(parser)
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of each (default 3)")
    parser.add_argument("--workers", type=int, metavar="N", help="CPU workers (default: cores)")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--check", action="store_true", help="fail below %d times ProcessPoolExecutor" % GOAL)
    given = parser.parse_args()
    return programs.play_one(bench(given), given)


if __name__ == "__main__":
    sys.exit(main())
