#!/usr/bin/python3
"""
A client of rq, python3-rq on Redis.

    rq_client.py PORT workers COUNT       waits until so many workers are registered
    rq_client.py PORT flow TASK COUNT     enqueues COUNT jobs, 500 at a time, and waits until all have ended
    rq_client.py PORT store COUNT         the same without waiting, for jobs that nobody takes
    rq_client.py PORT trip COUNT          one job at a time; rq tells nobody when one has ended, so its state is asked
    for
"""

import json
import sys
import time

import bench_jobs
import redis
from rq import Queue
from rq.job import Job
from rq.registry import FinishedJobRegistry

SHARE = 500


def put(queue, function, count):
    jobs = []
    for first in range(0, count, SHARE):
        data = [Queue.prepare_data(function, (i,), result_ttl=500) for i in range(first, min(count, first + SHARE))]
        jobs += queue.enqueue_many(data)
    return jobs


def fetched(jobs, connection):
    ids = [job.id for job in jobs]
    return [job for first in range(0, len(ids), SHARE) for job in Job.fetch_many(ids[first:first + SHARE], connection)]


def flow(connection, function, count):
    queue = Queue("work", connection=connection)
    finished = FinishedJobRegistry("work", connection=connection)
    before = connection.zcard(finished.key)
    began = time.perf_counter()
    jobs = put(queue, function, count)
    while connection.zcard(finished.key) < before + count:
        time.sleep(0.01)
    took = time.perf_counter() - began
    if not all(job.is_finished for job in fetched(jobs, connection)):
        sys.exit("rq_client.py: a job has not ended well")
    return {"count": count, "seconds": took}


def store(connection, count):
    began = time.perf_counter()
    jobs = put(Queue("store", connection=connection), bench_jobs.same, count)
    return {"count": len(jobs), "seconds": time.perf_counter() - began}


def trip(connection, count):
    queue, took = Queue("work", connection=connection), []
    for i in range(-10, count):
        began = time.perf_counter_ns()
        job = queue.enqueue(bench_jobs.same, i, result_ttl=500)
        while connection.hget(job.key, "status") != b"finished":
            time.sleep(0.0002)
        if i >= 0:
            took.append((time.perf_counter_ns() - began) / 1e3)
    took.sort()
    return {"count": count, "p50_us": took[count // 2], "p99_us": took[count * 99 // 100], "worst_us": took[-1]}


def main():
    connection = redis.Redis(port=int(sys.argv[1]))
    what, rest = sys.argv[2], sys.argv[3:]
    if what == "workers":
        while connection.scard("rq:workers") < int(rest[0]):
            time.sleep(0.05)
        said = {"count": int(rest[0])}
    elif what == "flow":
        said = flow(connection, getattr(bench_jobs, rest[0]), int(rest[1]))
    elif what == "store":
        said = store(connection, int(rest[0]))
    else:
        said = trip(connection, int(rest[0]))
    print(json.dumps(said))


main()
