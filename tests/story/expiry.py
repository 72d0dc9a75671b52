"""
Not too early: `not_before`.
"""

import time

from harness import eq, refused, that


def stamp(seconds_from_now, form="%Y-%m-%dT%H:%M:%S", ending="Z", ms=True):
    """A time as clients write it."""
    at = time.time() + seconds_from_now
    return time.strftime(form, time.gmtime(at)) + (".%03d" % (at % 1 * 1000) if ms else "") + ending


def test_not_before(t):
    """A job with not_before is delayed until then, and shows the time as the daemon writes times."""
    _, c = t.serve()
    far = c.submit("noop", not_before="2099-01-01T01:00:00+01:00")
    job = c.job(far)
    eq((job["state"], job["reason"], job["attempt"], job["not_before"]),
       ("pending", "delayed", 0, "2099-01-01T00:00:00.000Z"))
    when = stamp(0.4)
    near = c.run("noop", ["soon"], not_before=when)
    eq((near["state"], near["not_before"]), ("succeeded", when))
    that(near["started"] >= when, "not before its time: %s" % near["started"])
    eq(c.job(far)["state"], "pending")


def test_not_before_of_the_past(t):
    """A time that is past is as none, but shown."""
    _, c = t.serve()
    job = c.run("noop", not_before="1970-01-01T00:00:00Z")
    eq((job["state"], job["not_before"]), ("succeeded", "1970-01-01T00:00:00.000Z"))


def test_not_before_of_a_map(t):
    """All items of a map wait for the same time."""
    _, c = t.serve()
    told = c.call("map", task="noop", items=[[1], [2], [3]], not_before="2099-01-01T00:00:00Z")
    jobs = c.call("status", ids=["%d-%d" % (told["first"], told["first"] + 2)])
    eq([job["reason"] for job in jobs], ["delayed"] * 3)


def test_not_before_is_a_time(t):
    """What is no time is -32602 by the parameter's name, and so is not_before beside delay."""
    _, c = t.serve()
    for method, params in (("submit", {}), ("run", {}), ("map", {"items": [[1]]})):
        for wrong in ("tomorrow", "", "2099-01-01", "2099-01-01T00:00:00", "2099-02-30T00:00:00Z", "2099-01-01 00:00:00Z",
                      "1969-12-31T23:59:59Z", 4070908800, 1.5, True, [], {}):
            error = refused("bad_params", c.call, method, dict(params, task="noop", not_before=wrong))
            eq(error["data"]["param"], "not_before", "for %r" % (wrong,))
        error = refused("bad_params", c.call, method, dict(params, task="noop", delay=1, not_before="2099-01-01T00:00:00Z"))
        eq(error["data"]["param"], "not_before")
    eq(c.call("list")["jobs"], [])


def test_not_before_and_keys(t):
    """not_before is part of what a key stands for."""
    _, c = t.serve()
    first = c.submit("noop", key="k", not_before="2099-01-01T00:00:00Z")
    again = c.call("submit", task="noop", key="k", not_before="2099-01-01T02:00:00.000+02:00")
    eq(again, {"id": first, "existing": True})
    refused("key_conflict", c.call, "submit", task="noop", key="k", not_before="2099-01-01T00:00:01Z")
    refused("key_conflict", c.call, "submit", task="noop", key="k")
