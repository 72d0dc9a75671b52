#!/usr/bin/python3
"""
A crowd: 10,000 connections, each of which waits for one and the same job.

It prints what each costs the daemon in memory, what processor time it takes while they wait, how long a neighbour waits for
the answer to a ping, and how long it is until all have been told; and it fails when one is not told, when a connection costs more than 8 KiB, or when waiting costs more than
a tenth of a core. Both sides of a connection are descriptors: where fewer may be open there are fewer clients, and it says so.
"""

import argparse
import os
import resource
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "story"))

from harness import eq, options, percentile, process, programs, that, within  # noqa: E402  (the path comes first)

MOST_KIB = 8
REST_S = 5
PINGS = 1000


def ticks(pid):
    words = process.read(pid, "stat").rsplit(b")", 1)[1].split()
    return int(words[11]) + int(words[12])


def fitting(wanted):
    """As many as the limit of descriptors allows; the daemon keeps half of its own for other things."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(wanted, hard // 2 - 100)
    if count < wanted:
        print("crowd: only %d clients: no more than %d descriptors may be open here" % (count, hard), flush=True)
    return count


def wait_all(clients, ident):
    for client in clients:
        client.send("await", id=ident, jobs=False)
    for client in clients:
        eq(client.call("ping"), "pong")


def play(given):
    def crowd(t):
        count = fitting(given.clients)
        d, c = t.serve(config={"log": {"level": "error"}})
        gate = t.gate()
        ident = c.submit("exec", {"argv": gate.argv()})
        gate.started()
        warm = [t.client(seconds=300) for _ in range(50)]
        wait_all(warm, ident)
        c.call("status", id=ident)
        before = process.memory_kib(d.pid)
        clients = [t.client(seconds=300) for _ in range(count)]
        wait_all(clients, ident)
        c.call("status", id=ident)  # behind their looks at the store
        each = (process.memory_kib(d.pid) - before) / count
        that(c.silent(1), "what was begun comes to rest")
        used = ticks(d.pid)
        that(c.silent(REST_S), "the job runs")
        used = ticks(d.pid) - used
        pings, kib = c.pings(PINGS), process.memory_kib(d.pid)
        began = time.monotonic()
        gate.release()
        for client in warm + clients:
            eq(client.answer(1)["counts"]["succeeded"], 1)
        took = time.monotonic() - began
        print("crowd: %d clients wait for one job: %.2f KiB each, %d MiB in all, %d ticks in %g s; all were told within %.2f s"
              % (count, each, kib >> 10, used, within(REST_S), took), flush=True)
        print("crowd: a neighbour's ping amid them: %d, 99 of 100 within %.2f ms" % (PINGS, percentile(pings, 99)), flush=True)
        that(each < t.memory_bound(MOST_KIB), "%.2f KiB a connection" % each)
        that(used < 10 * within(REST_S), "%d ticks" % used)
    return options(deadline=600)(crowd)


def main():
    parser = argparse.ArgumentParser(description="Lets a crowd of clients wait for one job.")
    programs.add_options(parser)
    parser.add_argument("--clients", type=int, default=10000, metavar="N", help="so many (default 10000)")
    given = parser.parse_args()
    return programs.play_one(play(given), given)


if __name__ == "__main__":
    sys.exit(main())
