"""
Queues: pause and resume, limits of their own, both kept over a restart, and what `reason` says of jobs that wait for them.
"""

import hashlib
import os

from harness import eq, options, refused, that, wait_for, within


def queue_of(c, name):
    """The queue as `queues` tells it, or None."""
    found = [queue for queue in c.call("queues") if queue["queue"] == name]
    return found[0] if found else None


def run_elsewhere(c):
    """A job of another queue has come and gone: had another been startable, it would have been."""
    c.run("exec", {"argv": ["/bin/true"]}, queue="elsewhere")
    c.run("noop", queue="elsewhere")
    c.run("time.sleep", [0], queue="elsewhere")


def running(t, c, count, **params):
    """That many commands that run, as (id, gate)."""
    begun = []
    for _ in range(count):
        gate = t.gate()
        begun.append((c.submit("exec", {"argv": gate.argv()}, **params), gate))
        gate.started()
    return begun


def test_pause(t):
    """A paused queue starts nothing of any kind, says so, and goes on when it is resumed."""
    _, c = t.serve()
    told = c.call("pause", queue="q")
    eq(told, {"queue": "q", "limit": None, "paused": True, "pending": 0, "running": 0, "oldest_s": None})
    ids = [c.submit("noop", [1], queue="q"), c.submit("exec", {"argv": ["/bin/true"]}, queue="q"),
           c.submit("time.sleep", [0], queue="q"), c.submit("noop.io", [1], queue="q"),
           c.submit("exec", {"argv": ["/bin/true"]}, queue="q", lane="io")]
    run_elsewhere(c)
    eq([(job["state"], job["reason"], job["attempt"]) for job in c.call("status", ids=ids)], [("pending", "paused", 0)] * 5)
    told = queue_of(c, "q")
    eq((told["paused"], told["pending"], told["running"]), (True, 5, 0))
    told = c.call("resume", queue="q")
    eq((told["queue"], told["paused"]), ("q", False))
    eq(c.call("await", ids=ids, wait=within(30), jobs=False)["counts"]["succeeded"], 5)


def test_pause_leaves_what_runs(t):
    """What runs goes on, and ends as it would."""
    _, c = t.serve()
    (ident, gate), = running(t, c, 1, queue="q")
    waiting = c.submit("noop", queue="q")
    c.wait(waiting)
    told = c.call("pause", queue="q")
    eq((told["paused"], told["running"]), (True, 1))
    behind = c.submit("noop", queue="q")
    gate.release()
    eq(c.ended_job(ident)["state"], "succeeded")
    run_elsewhere(c)
    eq(c.job(behind)["reason"], "paused")
    c.call("resume", queue="q")
    eq(c.ended_job(behind)["state"], "succeeded")


def test_nothing_starts_after_the_reply(t):
    """Amid thousands of jobs on their way: when the pause is answered nothing of the queue starts any more."""
    _, c = t.serve()
    for turn in range(6):
        lines = [c.request("submit", task=("noop", "noop.io", "exec")[i % 3], queue="q",
                           args={"argv": ["/bin/true"]} if i % 3 == 2 else [i])[1] for i in range(60 * turn)]
        asked, pause = c.request("pause", queue="q")
        lines += [c.request("submit", task="noop", queue="q", args=[i])[1] for i in range(50)]
        c.raw(b"".join(lines[:60 * turn]) + pause + b"".join(lines[60 * turn:]))
        c.answer(asked)
        wait_for(lambda: queue_of(c, "q")["running"] == 0, "what ran has ended")
        before = c.call("await", filter={"queue": "q"}, wait=0, jobs=False)["counts"]
        that(before["pending"] >= 50, "what came later waits: %r" % before)
        run_elsewhere(c)
        eq(c.call("await", filter={"queue": "q"}, wait=0, jobs=False)["counts"], before)
        c.call("resume", queue="q")
        told = c.call("await", filter={"queue": "q"}, wait=within(60), jobs=False)
        eq((told["timed_out"], told["counts"]["succeeded"]), (False, sum(60 * i + 50 for i in range(turn + 1))))


def check_taken_back(t, c, look):
    """
    A short job, as the daemon thinks, holds the one worker; behind it wait eight others of the queue when it is paused. Once that is answered, none of
    them may begin: each would read what was written after the reply.
    """
    held, path = t.path("held"), t.write("block", b"before")
    os.mkfifo(held)
    t.hand_over(held)
    gate = os.open(held, os.O_RDWR | os.O_CLOEXEC)
    asked = [c.request("submit", task="file.sha256", args=[one], queue="q") for one in [held] + [path] * 8]
    pause, line = c.request("pause", queue="q")
    c.raw(b"".join(sent for _, sent in asked))
    ids = [c.answer(ident)["id"] for ident, _ in asked]
    if look:
        c.call("status", ids=ids, fields=[])
    c.raw(line)
    c.answer(pause)
    t.write("after", b"after")
    os.rename(t.path("after"), path)
    os.close(gate)
    wait_for(lambda: queue_of(c, "q")["running"] == 0, "what had begun has ended")
    told = c.call("status", ids=ids, fields=["state", "attempt", "result"])
    late = [job["id"] for job in told[1:] if job["result"] and job["result"]["sha256"] == hashlib.sha256(b"after").hexdigest()]
    eq(late, [], "jobs that began after the pause was answered")
    eq([job["id"] for job in told if job["state"] == "pending" and job["attempt"] != 0], [], "being taken back is no attempt")
    os.unlink(held)
    t.write("held", b"")
    c.call("resume", queue="q")
    told = c.call("await", ids=ids, wait=within(60), jobs=False)
    eq((told["timed_out"], told["counts"]["succeeded"]), (False, 9))
    os.unlink(held)


def test_sent_ahead_is_withdrawn(t):
    """What waits at a worker behind another job is taken back by a pause."""
    _, c = t.serve(workers=1)
    for _ in range(20):
        c.run("file.sha256", [t.write("short", b"")])
    for _ in range(10):
        check_taken_back(t, c, look=True)


def test_started_meanwhile_comes_back(t):
    """So is what was on its way to the disk to be started when the pause came."""
    _, c = t.serve(workers=1)
    for _ in range(20):
        c.run("file.sha256", [t.write("short", b"")])
    for _ in range(10):
        check_taken_back(t, c, look=False)


def test_pause_of_default(t):
    """The queue `default` is one like any other; pausing twice, and resuming what is not paused, changes nothing."""
    _, c = t.serve()
    eq(c.call("resume", queue="default")["paused"], False)
    c.call("pause", queue="default")
    eq(c.call("pause", queue="default")["paused"], True)
    eq(c.call("run", task="noop", wait=0.05)["reason"], "paused")
    c.call("resume", queue="default")
    eq(c.ended_job(1)["state"], "succeeded")


def test_pause_does_not_hold_others(t):
    """A paused queue with a long line in front does not stand in the way of another."""
    _, c = t.serve(workers=1, config={"store": {"window": "16"}})
    c.call("pause", queue="q")
    told = c.call("map", task="noop", items=[[i] for i in range(2000)], queue="q", priority=1000)
    for i in range(20):
        eq(c.run("noop", [i])["state"], "succeeded")
    eq(c.call("await", ids=["%d-%d" % (told["first"], told["first"] + 1999)], wait=0, jobs=False)["counts"]["pending"], 2000)
    c.call("resume", queue="q")
    told = c.call("await", filter={"queue": "q"}, wait=within(60), fields=[])
    ended = [job["id"] for job in told["done"]]
    eq((told["timed_out"], ended), (False, sorted(ended)), "a pause changes nothing of the order")


def test_cancel_while_paused(t):
    """What waits in a paused queue can be cancelled."""
    _, c = t.serve()
    c.call("pause", queue="q")
    ident = c.submit("noop", queue="q")
    eq(c.call("cancel", id=ident), {"id": ident, "cancelled": True, "was": "pending"})
    eq(c.ended_job(ident)["state"], "cancelled")
    eq(queue_of(c, "q")["pending"], 0)


def test_limit(t):
    """No more than `limit` commands of a queue run at once; the next starts when one ends, in order."""
    _, c = t.serve(workers=4)
    eq(c.call("set_queue", queue="q", limit=2),
       {"queue": "q", "limit": 2, "paused": False, "pending": 0, "running": 0, "oldest_s": None})
    begun = running(t, c, 2, queue="q")
    gate = t.gate()
    ids = [c.submit("exec", {"argv": gate.argv()}, queue="q") for _ in range(3)]
    run_elsewhere(c)
    eq(gate.waiting(), True)
    eq([(job["state"], job["reason"]) for job in c.call("status", ids=ids)], [("pending", "queue_limit")] * 3)
    eq(queue_of(c, "q")["running"], 2)
    begun[0][1].release()
    gate.started()
    eq([job["state"] for job in c.call("status", ids=ids)], ["running", "pending", "pending"])
    eq(queue_of(c, "q")["running"], 2)
    begun[1][1].release()
    gate.started()
    for _ in range(3):
        gate.release()
    eq(c.call("await", ids=ids, wait=within(30), jobs=False)["counts"]["succeeded"], 3)


def test_limit_of_waits(t):
    """What waits without a thread counts as well, from the moment it is sent."""
    _, c = t.serve()
    c.call("set_queue", queue="q", limit=3)
    ids = [c.submit("time.sleep", [3600], queue="q") for _ in range(10)]
    run_elsewhere(c)
    wait_for(lambda: [job["state"] for job in c.call("status", ids=ids)] == ["running"] * 3 + ["pending"] * 7, "three run")
    eq(queue_of(c, "q")["running"], 3)
    c.call("cancel", id=ids[0])
    wait_for(lambda: c.job(ids[3])["state"] == "running", "the next runs")
    eq(c.job(ids[4])["reason"], "queue_limit")
    c.call("cancel", ids=ids)


def test_limit_over_lanes(t):
    """The limit is the queue's, whatever its jobs run on."""
    _, c = t.serve()
    c.call("set_queue", queue="q", limit=1)
    (_, gate), = running(t, c, 1, queue="q")
    ids = [c.submit("time.sleep", [0], queue="q"), c.submit("noop.io", queue="q"), c.submit("noop", queue="q")]
    run_elsewhere(c)
    eq([job["reason"] for job in c.call("status", ids=ids)], ["queue_limit"] * 3)
    gate.release()
    eq(c.call("await", ids=ids, wait=within(30), jobs=False)["counts"]["succeeded"], 3)


def test_limit_of_one_keeps_order(t):
    """A queue with a limit of 1 runs a long line one by one, by priority and id, and never two at once."""
    _, c = t.serve(workers=4, config={"store": {"window": "16"}})
    c.call("set_queue", queue="q", limit=1)
    (_, gate), = running(t, c, 1, queue="q")
    script = "mkdir %s || echo two >> %s; echo %%s >> %s; rmdir %s" % (t.path("alone"), t.path("order"), t.path("order"), t.path("alone"))
    given = [(i * 31) % 5 for i in range(60)]
    ids = [c.submit("exec", {"argv": ["/bin/sh", "-c", script % ("%d:%d" % (priority, i))]}, queue="q", priority=priority)
           for i, priority in enumerate(given)]
    gate.release()
    c.wait(*ids)
    expected = sorted(enumerate(given), key=lambda pair: (-pair[1], pair[0]))
    eq(t.read("order").decode().split(), ["%d:%d" % (priority, i) for i, priority in expected])


def test_limited_and_unlimited(t):
    """Many short jobs through a narrow queue beside a wide one: all end."""
    _, c = t.serve()
    c.call("set_queue", queue="narrow", limit=1)
    c.call("map", task="noop", items=[[i] for i in range(2000)], queue="narrow")
    c.call("map", task="noop", items=[[i] for i in range(2000)], queue="wide")
    told = c.call("await", ids=["1-4000"], wait=within(60), jobs=False)
    eq((told["timed_out"], told["counts"]["succeeded"]), (False, 4000))
    eq([queue_of(c, name)["running"] for name in ("narrow",)], [0])


def test_lower_and_lift(t):
    """A limit below what runs only waits; without a limit all start."""
    _, c = t.serve(workers=4)
    begun = running(t, c, 3, queue="q")
    told = c.call("set_queue", queue="q", limit=1)
    eq((told["limit"], told["running"]), (1, 3))
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv()}, queue="q")
    for one, other in begun[:2]:
        other.release()
        eq(c.ended_job(one)["state"], "succeeded")
    run_elsewhere(c)
    eq((gate.waiting(), c.job(ident)["reason"]), (True, "queue_limit"))
    told = c.call("set_queue", queue="q", limit=None)
    eq(told["limit"], None)
    gate.started()
    gate.release()
    begun[2][1].release()
    c.wait(ident)


def test_reason_is_the_first_that_holds(t):
    """delayed and retrying come before paused, paused before queue_limit, that before capacity."""
    _, c = t.serve(workers=1)
    c.call("set_queue", queue="q", limit=1)
    retrying = c.submit("exec", {"argv": ["/bin/false"]}, queue="q", max_attempts=2, backoff=3600)
    wait_for(lambda: c.job(retrying)["reason"] == "retrying", "it waits for another attempt")
    (_, gate), = running(t, c, 1, queue="q")
    delayed, limited, other = c.submit("noop", queue="q", delay=3600), c.submit("noop", queue="q"), c.submit("noop")

    def reasons():
        return [c.call("status", id=ident, fields=["reason"])["reason"] for ident in (delayed, retrying, limited, other)]
    eq(reasons(), ["delayed", "retrying", "queue_limit", "capacity"])
    c.call("pause", queue="q")
    eq(reasons(), ["delayed", "retrying", "paused", "capacity"])
    c.call("pause", queue="default")
    eq(reasons(), ["delayed", "retrying", "paused", "paused"])
    c.call("resume", queue="default")
    c.call("resume", queue="q")
    gate.release()
    c.wait(limited)
    eq(c.job(limited)["reason"], None)


def test_kept_over_a_crash(t):
    """Pause and limit are durable before they are answered; a queue that has settings is there without jobs."""
    d, c = t.serve(workers=4)
    c.call("set_queue", queue="narrow", limit=1)
    c.call("pause", queue="stopped")
    c.call("set_queue", queue="both", limit=7)
    c.call("pause", queue="both")
    c.call("pause", queue="brief")
    c.call("resume", queue="brief")
    ident = c.submit("noop", queue="stopped")
    d.restart()
    c = t.client()
    told = {queue["queue"]: (queue["limit"], queue["paused"], queue["pending"]) for queue in c.call("queues")}
    eq(told, {"narrow": (1, False, 0), "stopped": (None, True, 1), "both": (7, True, 0)})
    running(t, c, 1, queue="narrow")
    second = c.submit("exec", {"argv": ["/bin/true"]}, queue="narrow")
    run_elsewhere(c)
    eq((c.job(second)["reason"], c.job(ident)["reason"]), ("queue_limit", "paused"))
    c.call("resume", queue="stopped")
    eq(c.ended_job(ident)["state"], "succeeded")
    d.restart()
    c = t.client()
    eq(queue_of(c, "stopped"), None)
    eq(c.ended_job(second)["state"], "succeeded")


def test_restart_of_a_paused_backlog(t):
    """A paused backlog beyond the window starts nothing at a restart either."""
    d, c = t.serve(config={"store": {"window": "16"}})
    c.call("pause", queue="q")
    c.call("map", task="noop", items=[[i] for i in range(500)], queue="q")
    d.stop()
    d.start()
    c = t.client()
    run_elsewhere(c)
    eq(c.call("await", ids=["1-500"], wait=0, jobs=False)["counts"]["pending"], 500)
    c.call("resume", queue="q")
    eq(c.call("await", ids=["1-500"], wait=within(30), jobs=False)["counts"]["succeeded"], 500)


@options(root=True)
def test_owners_take_turns_in_a_narrow_queue(t):
    """Owners of a queue with a limit keep taking turns."""
    _, c = t.serve(workers=4, config={"listen": {"unix_mode": "0666"}})
    many, few = t.client(uid=t.uid), t.client(uid=20998)
    many.call("set_queue", queue="q", limit=1)
    (_, gate), = running(t, many, 1, queue="q")
    mine = [many.submit("noop", [i], queue="q", priority=100) for i in range(100)]
    others = [few.submit("noop", [i], queue="q") for i in range(5)]
    gate.release()
    told = c.call("await", ids=mine + others, wait=within(30), fields=[])
    order = [job["id"] for job in told["done"]]
    that(max(order.index(ident) for ident in others) < 20, "the last of the other's five was %dth" % order.index(others[-1]))


@options(root=True)
def test_roles(t):
    """Settings are an operator's; a user sees them."""
    _, c = t.serve(config={"listen": {"unix_mode": "0666"}})
    user = t.client(uid=20998)
    eq(user.call("hello")["role"], "user")
    refused("forbidden", user.call, "pause", queue="q")
    refused("forbidden", user.call, "resume", queue="q")
    refused("forbidden", user.call, "set_queue", queue="q", limit=1)
    eq(c.call("queues"), [])
    c.call("pause", queue="q")
    eq(user.call("queues")[0]["paused"], True)
    ident = user.submit("noop", queue="q")
    eq(user.job(ident)["reason"], "paused")


def test_bad_params(t):
    """What is wrong is told by name."""
    _, c = t.serve()
    for method in ("pause", "resume", "set_queue"):
        for params in ({}, {"queue": ""}, {"queue": 3}, {"queue": None}, {"queue": "x" * 200}, {"queue": ["q"]}):
            eq(refused("bad_params", c.call, method, dict(params, **({"limit": 1} if method == "set_queue" else {})))["data"]["param"],
               "queue")
    for params in ({}, {"limit": 0}, {"limit": -1}, {"limit": "3"}, {"limit": 1.5}, {"limit": 1 << 62}, {"limit": True}):
        eq(refused("bad_params", c.call, "set_queue", dict(params, queue="q"))["data"]["param"], "limit")
    eq(refused("bad_params", c.call, "pause", queue="q", limit=3)["data"]["param"], "limit")
    eq(c.call("queues"), [])


def test_limits_queues(t):
    """A queue that comes to be by being set counts against [limits] queues; one that is set to nothing again does not."""
    _, c = t.serve(config={"limits": {"queues": "3"}})
    for name in ("a", "b", "c"):
        c.call("pause", queue=name)
    error = refused("busy", c.call, "pause", queue="d")
    that(error["data"]["retry_after"] > 0, "it says when to ask again")
    refused("busy", c.call, "set_queue", queue="d", limit=1)
    refused("busy", c.call, "submit", task="noop", queue="d")
    c.call("set_queue", queue="a", limit=1)
    refused("busy", c.call, "pause", queue="d")
    c.call("resume", queue="b")
    eq(c.call("pause", queue="d")["paused"], True)


def test_pipelined(t):
    """Settings in one write take effect in the order sent, and those of one kind leave the others alone."""
    d, c = t.serve()
    asked = [c.request("pause", queue="q"), c.request("set_queue", queue="q", limit=5), c.request("resume", queue="q"),
             c.request("set_queue", queue="q", limit=4), c.request("pause", queue="q"), c.request("resume", queue="r"),
             c.request("pause", queue="s"), c.request("resume", queue="s")]
    c.raw(b"".join(line for _, line in asked))
    for ident, _ in asked:
        c.answer(ident)
    d.restart()
    eq([(queue["queue"], queue["limit"], queue["paused"]) for queue in t.client().call("queues")], [("q", 4, True)])
    eq(os.path.exists(d.socket), True)
