#!/usr/bin/python3
"""
What comes with Python: ProcessPoolExecutor (ppe), ThreadPoolExecutor (tpe), multiprocessing.Pool (pool), asyncio.

    pools.py KIND WORK WORKERS ARGUMENT…      prints one line of JSON

WORK is submit COUNT, map CHUNK COUNT, backlog COUNT, trip COUNT, command COUNT, factor NUMBER…, fetch URL COUNT,
sleep SECONDS COUNT, memory COUNT. Every result is looked at, outside the time where that takes any.
"""

import asyncio
import concurrent.futures
import json
import multiprocessing
import os
import sys
import threading
import time

import bench_jobs


def tell(**values):
    print(json.dumps(values))


def timed(count, run):
    began = time.perf_counter()
    run()
    tell(count=count, seconds=time.perf_counter() - began)


def must(condition, what):
    if not condition:
        sys.exit("pools.py: " + what)


class Executor:
    """concurrent.futures, threads or processes."""

    def __init__(self, kind, workers):
        make = concurrent.futures.ProcessPoolExecutor if kind == "ppe" else concurrent.futures.ThreadPoolExecutor
        self.pool = make(workers)
        self.processes = kind == "ppe"
        self.map(bench_jobs.same, range(100), 1)

    def submit(self, function, arguments):
        """What a program does that wants its futures."""
        return [one.result() for one in [self.pool.submit(function, argument) for argument in arguments]]

    def map(self, function, arguments, chunk):
        return list(self.pool.map(function, arguments, chunksize=chunk))

    def one(self, function, argument):
        return self.pool.submit(function, argument).result()

    def ask(self, function, *arguments):
        return self.pool.submit(function, *arguments)

    def result(self, future):
        return future.result()

    def close(self):
        self.pool.shutdown()


class Pool:
    """multiprocessing.Pool."""

    processes = True

    def __init__(self, _, workers):
        self.pool = multiprocessing.Pool(workers)
        self.map(bench_jobs.same, range(100), 1)

    def submit(self, function, arguments):
        return [one.get() for one in [self.pool.apply_async(function, (argument,)) for argument in arguments]]

    def map(self, function, arguments, chunk):
        return self.pool.map(function, arguments, chunksize=chunk)

    def one(self, function, argument):
        return self.pool.apply(function, (argument,))

    def ask(self, function, *arguments):
        return self.pool.apply_async(function, arguments)

    def result(self, future):
        return future.get()

    def close(self):
        self.pool.close()
        self.pool.join()


def pss_kib():
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def held(pool, workers):
    """Occupies every worker; returns what lets them go, and what has to be waited for."""
    if not pool.processes:
        gate = threading.Event()
        return gate.set, [pool.ask(gate.wait) for _ in range(workers)]
    reads, writes = os.pipe()
    # The pool has its processes by now: a worker opens the pipe by its name in our /proc.
    path = "/proc/%d/fd/%d" % (os.getpid(), reads)
    return lambda: os.close(writes), [pool.ask(read_to_end, path) for _ in range(workers)]


def read_to_end(path):
    with open(path, "rb") as file:
        return file.read()


class Works:
    """The works, each by its name."""

    def __init__(self, pool, workers):
        self.pool = pool
        self.workers = workers

    def submit(self, count):
        count = int(count)
        got = []
        timed(count, lambda: got.extend(self.pool.submit(bench_jobs.same, range(count))))
        must(got == list(range(count)), "results are missing")

    def map(self, chunk, count):
        count = int(count)
        got = []
        timed(count, lambda: got.append(self.pool.map(bench_jobs.same, range(count), int(chunk))))
        must(got[0] == list(range(count)), "results are missing")

    def backlog(self, count):
        """All stand in line before the first begins."""
        count = int(count)
        let_go, gates = held(self.pool, self.workers)
        asked = [self.pool.ask(bench_jobs.same, i) for i in range(count)]
        began = time.perf_counter()
        let_go()
        got = [self.pool.result(one) for one in asked]
        tell(count=count, seconds=time.perf_counter() - began)
        must(got == list(range(count)) and all(self.pool.result(one) is not None for one in gates),
             "results are missing")

    def trip(self, count):
        count, took = int(count), []
        for i in range(-count // 20, count):
            began = time.perf_counter_ns()
            got = self.pool.one(bench_jobs.same, i)
            if i >= 0:
                took.append((time.perf_counter_ns() - began) / 1e3)
            must(got == i, "another result")
        took.sort()
        tell(count=count, p50_us=took[count // 2], p99_us=took[count * 99 // 100], worst_us=took[-1])

    def command(self, count):
        got = []
        timed(int(count), lambda: got.extend(self.pool.map(bench_jobs.command, range(int(count)), 1)))
        must(got == [0] * int(count), "a command failed")

    def factor(self, *numbers):
        numbers, got = [int(n) for n in numbers], []
        timed(len(numbers), lambda: got.extend(self.pool.map(bench_jobs.factorize, numbers, 1)))
        must(got == [[n] for n in numbers], "a prime has factors")

    def fetch(self, url, count):
        got = []
        timed(int(count), lambda: got.extend(self.pool.map(bench_jobs.fetch, [url] * int(count), 1)))
        must(got == [got[0]] * int(count) and got[0] > 0, "a reply is missing")

    def memory(self, count):
        """What one job more in line costs this process."""
        let_go, gates = held(self.pool, self.workers)
        before = pss_kib()
        asked = [self.pool.ask(bench_jobs.same, i) for i in range(int(count))]
        tell(count=int(count), bytes=(pss_kib() - before) * 1024)
        let_go()
        must([self.pool.result(one) for one in asked] == list(range(int(count))) and gates, "results are missing")


async def gather(make, count):
    return await asyncio.gather(*(make(i) for i in range(count)))


async def loop_same(i):
    return i


async def loop_sleep(_, seconds):
    await asyncio.sleep(seconds)
    return seconds


async def loop_fetch(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    got = await reader.read()
    writer.close()
    return len(got)


def on_loop(work, *arguments):
    """asyncio: one thread, and nothing but coroutines."""
    count, got = int(arguments[-1]), []
    if work == "submit":
        make = loop_same
    elif work == "sleep":
        def make(i):
            return loop_sleep(i, float(arguments[0]))
    elif work == "fetch":
        host, port = arguments[0].split("/")[2].split(":")

        def make(_):
            return loop_fetch(host, int(port))
    timed(count, lambda: got.extend(asyncio.run(gather(make, count))))
    must(len(got) == count and None not in got and (work == "submit" or min(got) > 0), "results are missing")


def main():
    kind, work, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if kind == "asyncio":
        return on_loop(work, *sys.argv[4:])
    pool = (Pool if kind == "pool" else Executor)(kind, workers)
    getattr(Works(pool, workers), work)(*sys.argv[4:])
    return pool.close()


if __name__ == "__main__":
    main()
