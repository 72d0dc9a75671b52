#!/usr/bin/python3
"""
A client of celery; $BENCH_REDIS_PORT is where its broker is.

    celery_client.py ready                          waits until a worker answers
    celery_client.py flow TASK COUNT [ARGUMENT]     delay() for each, then get() of each
    celery_client.py store COUNT                    delay() for each, which nobody takes
    celery_client.py trip COUNT                     delay() and get(), one at a time
"""

import json
import sys
import time

import celery_jobs

PATIENCE_S = 120


def flow(name, count, argument=None):
    task = getattr(celery_jobs, name)
    began = time.perf_counter()
    asked = [task.delay(i if argument is None else argument) for i in range(count)]
    got = [one.get(timeout=PATIENCE_S) for one in asked]
    took = time.perf_counter() - began
    expected = {"same": list(range(count)), "command": [0] * count}.get(name, [got[0]] * count)
    if got != expected:
        sys.exit("celery_client.py: results are missing")
    return {"count": count, "seconds": took}


def store(count):
    began = time.perf_counter()
    for i in range(count):
        celery_jobs.same.delay(i)
    return {"count": count, "seconds": time.perf_counter() - began}


def trip(count):
    took = []
    for i in range(-10, count):
        began = time.perf_counter_ns()
        got = celery_jobs.same.delay(i).get(timeout=PATIENCE_S)
        if got != i:
            sys.exit("celery_client.py: another result")
        if i >= 0:
            took.append((time.perf_counter_ns() - began) / 1e3)
    took.sort()
    return {"count": count, "p50_us": took[count // 2], "p99_us": took[count * 99 // 100], "worst_us": took[-1]}


def main():
    what, rest = sys.argv[1], sys.argv[2:]
    if what == "ready":
        said = {"count": celery_jobs.same.delay(1).get(timeout=PATIENCE_S)}
    elif what == "flow":
        said = flow(rest[0], int(rest[1]), *rest[2:])
    elif what == "store":
        said = store(int(rest[0]))
    else:
        said = trip(int(rest[0]))
    print(json.dumps(said))


main()
