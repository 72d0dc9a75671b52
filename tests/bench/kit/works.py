"""
The table: what is measured, in which unit, and what has to be reached.

A *work* is run by several peers; each run gives one or more *metrics*. A *goal* compares our figure with the best of
some peers, or with a number. Nothing in here has been measured: it is what was set.
"""

import collections

Metric = collections.namedtuple("Metric", "id title unit more")  # more: more of it is better
Goal = collections.namedtuple("Goal", "metric ours factor peers towards text")
Work = collections.namedtuple("Work", "id title metrics goals shown")  # shown: the metric of the plot


def per(metric, factor, *peers, ours="futured.full", towards=False):
    """`factor` times the best figure whose key begins with one of `peers`: at least, or where less is better at most."""
    return Goal(metric, ours, factor, peers, towards, None)


def bound(metric, value, text, ours="futured.full"):
    """At least (at most) that value."""
    return Goal(metric, ours, value, (), False, text)


RATE = Metric("rate", "jobs a second", "jobs/s", True)
TOOK = Metric("took", "until all have ended", "s", False)

WORKS = (
    Work("noops", "No-op jobs, pipelined by one client: submitted, run and all ended", (RATE,), (
        per("rate", 15, "ppe."), per("rate", 20, "ppe.", towards=True), per("rate", 5, "gearmand."),
        per("rate", 100, "beanstalkd.f0"), per("rate", 200, "celery."), per("rate", 200, "rq.")), "rate"),
    Work("map", "A map of no-op items, all ended", (RATE,), (
        per("rate", 1, "ppe."), per("rate", 1, "pool.", towards=True)), "rate"),
    Work("submits", "Submissions acknowledged, pipelined; nothing of it runs", (RATE,), (
        per("rate", 30, "beanstalkd.f0"), per("rate", 200, "gearmand.sqlite"), per("rate", 1, "redis.always")), "rate"),
    Work("backlog", "A backlog run down", (RATE,), (
        per("rate", 20, "ppe."),), "rate"),
    Work("trip", "Round trip of a no-op, one at a time", (
        Metric("p50", "median", "µs", False), Metric("p99", "99th percentile", "µs", False),
        Metric("tail", "99th percentile / median", "×", False)), (
        per("p50", 0.85, "ppe."), per("p50", 0.6, "pool.", ours="futured.normal"),
        bound("tail", 3, "99th percentile at most 3 × the median"),
        bound("tail", 3, "99th percentile at most 3 × the median", ours="futured.normal")), "p50"),
    Work("commands", "Commands: /bin/true", (RATE,), (
        per("rate", 0.8, "bare."),), "rate"),
    Work("factors", "Factorizations of about 10 ms, two workers", (
        Metric("speedup", "two workers / one", "×", True), Metric("took", "with two workers", "s", False)), (
        bound("speedup", 1.97, "at least 1.97 × one worker"),), "speedup"),
    Work("fetches", "Fetches of 100 ms by HTTP", (TOOK,), (
        per("took", 1, "asyncio."),), "took"),
    Work("sleeps", "Sleeps of 1 s, all at once", (TOOK,), (
        bound("took", 1.5, "under 1.5 s"),), "took"),
    Work("queue", "A queue that is long", (
        Metric("submits", "submissions a second / with an empty queue", "×", True),
        Metric("starts", "jobs run a second / with a short queue", "×", True),
        Metric("memory", "memory more than empty, 3 s after the last submission", "MiB", False),
        Metric("job", "memory a queued job", "B", False),
        Metric("ready", "ready after a restart", "s", False)), (
        bound("submits", 0.9, "submissions at ≥ 0.9 × the empty queue's rate"),
        bound("starts", 0.9, "starts at ≥ 0.9 × the empty queue's rate"),
        bound("memory", 8, "at most 8 MiB more than empty"), bound("ready", 1, "ready within 1 s after a restart")),
        "job"),
    Work("waiters", "Clients that wait", (
        Metric("memory", "memory of the service a client", "KiB", False),
        Metric("cpu", "CPU while they wait", "%", False)), (
        bound("memory", 2, "at most 2 KiB each"), bound("cpu", 0, "no CPU")), "memory"),
    Work("idle", "Idle, with two workers", (
        Metric("wakeups", "times a second that a thread of it runs", "/s", False),
        Metric("memory", "memory, all processes (PSS)", "MiB", False)), (
        bound("wakeups", 0, "no wake-ups"), bound("memory", 12, "at most 12 MiB of PSS")), "memory"),
)


def work(ident):
    return next(one for one in WORKS if one.id == ident)
