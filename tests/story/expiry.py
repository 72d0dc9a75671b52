"""
Not too early: `not_before`; and not too late: `expires`.
"""

import time

from harness import eq, error_of, refused, that, wait_for, within


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


# Not too late: `expires`


def held(t, c):
    """The one worker is taken; returns what lets it go."""
    gate = t.gate()
    c.submit("exec", {"argv": gate.argv()})
    gate.started()
    return gate


def expired(job):
    """It has ended as Expired, without having begun."""
    error_of(job, "Expired")
    eq((job["state"], job["attempt"], job["started"], job["reason"]), ("failed", 0, None, None))
    that(job["finished"] >= job["expires"], "not before its time: %s, %s" % (job["finished"], job["expires"]))
    return job


def test_expires(t):
    """A job that cannot begin in time ends as Expired, at that time; one that can begins, and runs as long as it likes."""
    _, c = t.serve(workers=1)
    gate = held(t, c)
    before = time.monotonic()
    ident = c.submit("noop", expires=0.3)
    job = c.job(ident)
    eq(job["state"], "pending")
    that(job["expires"] > job["submitted"], "expires is told as a time: %s" % job["expires"])
    expired(c.ended_job(ident))
    that(time.monotonic() - before >= 0.3, "not before its time")
    gate.release()
    job = c.run("time.sleep", [0.5], expires=0.2)
    eq((job["state"], job["attempt"]), ("succeeded", 1))
    eq(c.run("noop", ["now or never"], expires=0)["state"], "succeeded")
    eq(c.run("noop", [1], expires=3600)["result"], [1])


def test_expires_while_delayed(t):
    """A delayed job expires as well."""
    d, c = t.serve()
    failed = d.stats()["failed"]
    expired(c.run("noop", delay=3600, expires=0.1))
    stats = d.stats()
    eq((stats["failed"], stats["pending"], stats["running"]), (failed + 1, 0, 0))


def test_a_second_attempt_does_not_expire(t):
    """Once begun a job never expires, also when its next attempt comes behind that time."""
    _, c = t.serve()
    job = c.run("exec", t.sh("exit 3"), max_attempts=2, backoff=1, expires=0.2)
    eq((job["error"]["type"], job["attempt"]), ("ExitStatus", 2))
    that(job["started"] > job["expires"], "the second attempt was behind that time")


def test_expires_over_a_restart(t):
    """Expiry outlives the daemon: what was over when it came back ends then, the rest in its time."""
    d, c = t.serve(workers=1)
    held(t, c)
    over = c.submit("noop", expires=0.5)
    later = c.submit("noop", delay=3600, expires=4)
    never = c.submit("noop", [7], expires=3600)
    when = c.job(over)["expires"]
    d.kill()
    wait_for(lambda: stamp(0) > when, "its time is over")
    d.start()
    c = t.client()
    expired(c.ended_job(over))
    expired(c.ended_job(later))
    eq(c.ended_job(never)["result"], [7])


def test_many_expire_at_once(t):
    """Thousands that expire at once all end, are told to who waits, and leave the queue empty."""
    d, c = t.serve(workers=1, config={"store": {"window": "64"}})
    gate = held(t, c)
    told = c.call("map", task="noop", items=[[i] for i in range(5000)], expires=0.5, queue="many")
    asked = c.send("await", ids=["%d-%d" % (told["first"], told["first"] + 4999)], wait=within(60), jobs=False)
    eq(c.answer(asked, 60)["counts"]["failed"], 5000)
    queue = {q["queue"]: q for q in c.call("queues")}
    that("many" not in queue or queue["many"]["pending"] == 0, "nothing is pending: %r" % queue)
    eq(d.stats()["pending"], 0)
    expired(c.job(told["first"] + 4321))
    gate.release()
    eq(c.run("noop", ["after"], queue="many")["result"], ["after"])


def test_starts_and_expiry_race(t):
    """Jobs that are due to begin and to expire at the same time end once, one way or the other."""
    d, c = t.serve(workers=2)
    told = c.call("map", task="exec", items=[[["true"]] for _ in range(400)], expires=0.4)
    last = told["first"] + 399
    counts = c.call("await", ids=["%d-%d" % (told["first"], last)], wait=within(60), jobs=False)["counts"]
    eq(counts["succeeded"] + counts["failed"], 400)
    for job in c.call("status", ids=["%d-%d" % (told["first"], last)]):
        if job["state"] == "failed":
            expired(job)
        else:
            eq((job["state"], job["attempt"]), ("succeeded", 1))
            that(job["started"] <= job["expires"], "begun in time: %s, %s" % (job["started"], job["expires"]))
    stats = d.stats()
    eq((stats["pending"], stats["running"], stats["failed"]), (0, 0, counts["failed"]))


def test_cancel_before_it_expires(t):
    """A cancelled job does not expire any more."""
    _, c = t.serve(workers=1)
    held(t, c)
    ident = c.submit("noop", expires=0.2)
    eq(c.call("cancel", id=ident)["cancelled"], True)
    other = c.submit("noop", expires=0.3)
    expired(c.ended_job(other))
    eq(c.job(ident)["state"], "cancelled")


def test_expires_is_a_duration(t):
    """What is no duration is -32602 by the parameter's name."""
    _, c = t.serve()
    for wrong in (-1, -0.001, "1", 1e11, True, [], "2099-01-01T00:00:00Z"):
        eq(refused("bad_params", c.call, "submit", task="noop", expires=wrong)["data"]["param"], "expires")


def test_expires_and_keys(t):
    """expires is part of what a key stands for: the duration, not the time that it came to."""
    _, c = t.serve()
    ident = c.submit("noop", key="k", expires=60)
    eq(c.call("submit", task="noop", key="k", expires=60.0), {"id": ident, "existing": True})
    refused("key_conflict", c.call, "submit", task="noop", key="k", expires=61)
    refused("key_conflict", c.call, "submit", task="noop", key="k")
