"""
What may be done with jobs that have ended: retry and forget; and the end of the daemon by `drain`.
"""

import os
import resource

from harness import Client, Closed, eq, options, refused, that, wait_for, within

OPEN = {"listen": {"unix_mode": "0666"}}
STRANGER = 20998


def fail_one(t, c, **more):
    """A job that has failed."""
    ident = c.submit("exec", t.sh("exit 3"), **more)
    eq(c.ended_job(ident)["state"], "failed")
    return ident


# ---- retry


def test_retry(t):
    """A failed and a cancelled job are submitted anew with all they had but key, after and delay; others are not."""
    _, c = t.serve()
    flag = t.path("flag")
    old = c.submit("exec", t.sh('test -e "$0"', flag), label="l", queue="q", priority=7, timeout=60, key="k", retain=5000,
                   limits={"files": 64})
    cancelled = c.submit("noop", [[1, 2]], delay=3600)
    c.call("cancel", id=cancelled)
    fine = c.submit("noop", [5])
    waiting = c.submit("noop", delay=3600)
    c.wait(old, cancelled, fine)
    before = c.job(old)
    eq(before["state"], "failed")
    t.write("flag", b"")
    told = c.call("retry", ids=[fine, old, waiting, cancelled])
    eq([(one["id"], one["retried"]) for one in told], [(fine, False), (old, True), (waiting, False), (cancelled, True)])
    again = c.ended_job(told[1]["new"])
    eq((again["state"], again["retry_of"], again["key"], again["attempt"]), ("succeeded", old, None, 1))
    for name in ("task", "args", "label", "queue", "priority", "timeout", "owner", "lane", "max_attempts"):
        eq(again[name], before[name], name)
    other = c.ended_job(told[3]["new"])
    eq((other["state"], other["result"], other["not_before"], other["retry_of"]), ("succeeded", [[1, 2]], None, cancelled))
    eq(c.job(old), before, "the old one stays as it was")
    eq(c.submit("exec", t.sh('test -e "$0"', flag), label="l", queue="q", priority=7, timeout=60, key="k", retain=5000,
                limits={"files": 64}), old, "the key names the old one still")
    eq(c.call("retry", id=fine), {"id": fine, "retried": False})


def test_retry_survives(t):
    """What retry has answered is durable."""
    d, c = t.serve()
    c.call("pause", queue="default")
    ident = c.submit("noop", ["x"])
    c.call("cancel", id=ident)
    new = c.call("retry", id=ident)["new"]
    d.kill()
    d.start()
    c = t.client()
    job = c.job(new)
    eq((job["state"], job["reason"], job["retry_of"], job["args"]), ("pending", "paused", ident, ["x"]))
    c.call("resume", queue="default")
    eq(c.ended_job(new)["result"], ["x"])


def test_retry_many(t):
    """Thousands in bulk by a filter, with large arguments among them, each once."""
    _, c = t.serve()
    c.call("pause", queue="q")
    first = c.call("map", task="noop", items=[[i] for i in range(3000)], queue="q")["first"]
    big = c.submit("noop", ["x" * 3000000], queue="q")
    bigger = c.submit("noop", ["y" * 3000000], queue="q")
    c.call("cancel", filter={"queue": "q"})
    told = c.call("retry", filter={"queue": "q", "state": "cancelled"})
    eq([one["id"] for one in told], list(range(first, bigger + 1)))
    that(all(one["retried"] for one in told), "all of them")
    eq(len({one["new"] for one in told}), 3002)
    c.call("resume", queue="q")
    told = {one["id"]: one["new"] for one in told}
    counts = c.call("await", ids=["%d-%d" % (bigger + 1, bigger + 3002)], jobs=False, wait=within(60))["counts"]
    eq(counts["succeeded"], 3002)
    eq([c.job(told[first + i])["result"] for i in (0, 1234, 2999)], [[0], [1234], [2999]])
    eq(c.job(told[big])["result"], ["x" * 3000000])


def test_retry_refused(t):
    """At a limit the only job is refused with busy; of several, those that found room are told, and why the others did not."""
    _, c = t.serve(config={"limits": {"pending": "3"}})
    ids = [fail_one(t, c) for _ in range(3)]
    c.call("pause", queue="default")
    kept = [c.submit("noop") for _ in range(2)]
    told = c.call("retry", ids=ids)
    eq([one["retried"] for one in told], [True, False, False])
    eq([one.get("refused") for one in told], [None, "busy", "busy"])
    refused("busy", c.call, "retry", id=ids[1])
    c.call("cancel", ids=kept)
    eq(c.call("retry", id=ids[1])["retried"], True)


@options(root=True)
def test_whose_retry(t):
    """A user retries its own jobs alone; the new job is the old one's owner's also when an operator asks."""
    t.daemon(config=OPEN)
    mine, theirs = t.client(), t.client(uid=STRANGER)
    ident = theirs.submit("noop", delay=3600)
    theirs.call("cancel", id=ident)
    own = mine.submit("noop", delay=3600)
    mine.call("cancel", id=own)
    refused("not_found", theirs.call, "retry", id=own)
    refused("not_found", theirs.call, "forget", id=own)
    new = mine.call("retry", id=ident)["new"]
    eq(mine.ended_job(new)["owner"], "uid:%d" % STRANGER)
    eq(theirs.call("retry", id=ident)["retried"], True)


@options(root=True)
def test_retry_asks_for_the_role(t):
    """A user retries only what it may submit: of one job the call is forbidden, of several each is told."""
    d = t.daemon(config=dict(OPEN, tasks={"user": "exec"}))
    c = t.client(uid=STRANGER)
    ids = [fail_one(t, c), c.submit("noop", delay=3600)]
    c.call("cancel", id=ids[1])
    eq(c.call("retry", id=ids[0])["retried"], True)
    d.stop()
    d.configure(OPEN)
    d.start()
    c = t.client(uid=STRANGER)
    refused("forbidden", c.call, "retry", id=ids[0])
    told = c.call("retry", ids=ids)
    eq([(one["retried"], one.get("refused")) for one in told], [(False, "forbidden"), (True, None)])
    eq(t.client().call("retry", id=ids[0])["retried"], True, "an operator may")


def test_retry_and_forget_bad_input(t):
    """Unknown ids are not_found with the ids, shapes that are none are bad_params with the parameter's name."""
    _, c = t.serve()
    for method in ("retry", "forget"):
        eq(refused("not_found", c.call, method, id=99)["data"]["ids"], [99])
        eq(refused("not_found", c.call, method, ids=[98, 99])["data"]["ids"], [98, 99])
        eq(c.call(method, filter={"state": "failed"}), [])
        for params, param in (({"id": "x"}, "id"), ({"ids": []}, "ids"), ({"id": 1, "what": 1}, "what"),
                              ({"filter": {"no": 1}}, "filter")):
            eq(refused("bad_params", c.call, method, params)["data"]["param"], param)


# ---- forget


def test_forget(t):
    """Ended jobs are gone with their output, others stay; also after a crash."""
    d, c = t.serve()
    ended = c.submit("exec", t.sh("echo output"))
    c.ended_job(ended)
    failed = fail_one(t, c)
    waiting = c.submit("noop", delay=3600)
    files = os.path.join(d.state, "output")
    wait_for(lambda: os.listdir(files), "the output is in a file")
    eq(c.call("forget", ids=[waiting, ended]), [{"id": waiting, "forgotten": False}, {"id": ended, "forgotten": True}])
    eq([name for name in os.listdir(files) if str(ended) in name.split(".")], [], "its output is gone")
    refused("not_found", c.call, "status", id=ended)
    d.kill()
    d.start()
    c = t.client()
    eq([job["id"] for job in c.call("list")["jobs"]], [failed, waiting])
    eq(c.call("forget", id=failed), {"id": failed, "forgotten": True})


def test_forget_keeps_the_key(t):
    """A key still names its submission when the job is forgotten."""
    _, c = t.serve()
    ident = c.submit("noop", [1], key="k")
    c.ended_job(ident)
    eq(c.call("forget", id=ident)["forgotten"], True)
    eq(c.call("submit", task="noop", args=[1], key="k"), {"id": ident, "existing": True})
    refused("key_conflict", c.call, "submit", task="noop", args=[2], key="k")


def test_forget_spares_parents(t):
    """A job that others wait for is not forgotten, nor is its output."""
    d, c = t.serve()
    parent = c.submit("exec", t.sh("echo mine"))
    c.ended_job(parent)
    other = c.submit("noop", delay=3600)
    child = c.submit("noop", after=[parent, other])
    eq(c.call("forget", id=parent)["forgotten"], False)
    eq(c.call("output", id=parent, stream="stdout")["data"], "mine\n")
    c.call("cancel", id=other)
    c.ended_job(child)
    eq(c.call("forget", id=parent)["forgotten"], True)
    d.stop()


def test_forget_many(t):
    """A hundred thousand by one range."""
    _, c = t.serve()
    first = c.call("map", task="noop", items=[[]] * 100000)["first"]
    everything = "%d-%d" % (first, first + 99999)
    c.call("await", ids=[everything], jobs=False)
    that(all(one["forgotten"] for one in c.call("forget", ids=[everything])), "all")
    eq(c.call("list")["jobs"], [])


def test_no_room(t):
    """Where the disk has no room retry, forget, cancel and pause are refused with storage_full and have no effect; later they go."""
    d, c = t.serve()
    ident = fail_one(t, c)
    later = c.submit("noop", delay=3600)
    before = c.job(ident)
    soft, hard = resource.prlimit(d.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(d.pid, resource.RLIMIT_FSIZE, (4096, hard))
    for method, params in (("forget", {"id": ident}), ("retry", {"id": ident}), ("cancel", {"id": later}),
                           ("pause", {"queue": "q"}), ("set_queue", {"queue": "q", "limit": 1})):
        refused("storage_full", c.call, method, params)
    eq((c.job(ident), [queue for queue in c.call("queues") if queue["queue"] == "q"]), (before, []))
    resource.prlimit(d.pid, resource.RLIMIT_FSIZE, (soft, hard))
    eq(c.call("pause", queue="q")["paused"], True)
    eq(c.call("retry", id=ident)["retried"], True)
    eq(c.call("cancel", id=later)["cancelled"], True)
    eq(c.call("forget", id=ident)["forgotten"], True)


def cancel_until_full(t, d, c):
    """Cancels many, and the disk is full once the first of them have ended; what was told, and their ids."""
    told = c.call("map", task="noop", items=[[]] * 60000, delay=3600)
    ids = ["%d-%d" % (told["first"], told["first"] + 59999)]
    soft, hard = resource.prlimit(d.pid, resource.RLIMIT_FSIZE)
    with Client(d.socket) as watcher:
        watcher.call("watch", ids=ids, fields=["state"])
        asked = c.send("cancel", ids=ids)
        watcher.message()
        resource.prlimit(d.pid, resource.RLIMIT_FSIZE, (4096, hard))
        answer = c.answer(asked, 120)
    resource.prlimit(d.pid, resource.RLIMIT_FSIZE, (soft, hard))
    return answer, ids


@options(deadline=300)
def test_room_for_some(t):
    """Of many that are cancelled at once each is told, where there was room for some: what is told as refused is as it was."""
    d, c = t.serve()
    for _ in range(10):
        told, ids = cancel_until_full(t, d, c)
        kept = [one["id"] for one in told if not one["cancelled"]]
        counts = c.call("await", ids=ids, wait=0, jobs=False)["counts"]
        eq((counts["cancelled"], counts["pending"]), (60000 - len(kept), len(kept)))
        if kept:
            break
    that(0 < len(kept) < 60000, "there was room for some: %d are left" % len(kept))
    eq({one.get("refused") for one in told if not one["cancelled"]}, {"storage_full"})
    that(all(one["cancelled"] for one in c.call("cancel", ids=kept)), "now there is room")


def test_what_is_too_long_to_tell(t):
    """cancel, retry and forget whose reply would be over [limits] message are refused before anything is done."""
    _, c = t.serve(config={"limits": {"message": "65536"}})
    told = c.call("map", task="noop", items=[[]] * 300, delay=3600)
    many = ["%d-%d" % (told["first"], told["first"] + 299)] * 10
    refused("too_large", c.call, "cancel", ids=many)
    eq(c.call("await", ids=many[:1], wait=0, jobs=False)["counts"]["pending"], 300)
    eq(len(c.call("cancel", ids=many[:2])), 600)
    refused("too_large", c.call, "retry", ids=many)
    refused("too_large", c.call, "forget", ids=many)
    eq(c.call("await", filter={}, wait=0, jobs=False)["counts"]["cancelled"], 300)


# ---- drain


def test_drain(t):
    """Nothing is accepted or started, what runs is waited for; meanwhile one may come, look and cancel; then the daemon ends."""
    d, c = t.serve(workers=1)
    gate = t.gate()
    running = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    waiting = c.submit("noop")
    asked = c.send("drain")
    late = t.client()
    wait_for(lambda: not accepted(late), "submissions are refused")
    for method, params in (("submit", {}), ("run", {}), ("map", {"items": [[1]]})):
        refused("shutting_down", late.call, method, params, task="noop")
    eq(late.job(running)["state"], "running")
    eq(late.job(waiting)["state"], "pending")
    eq(late.call("cancel", id=waiting)["cancelled"], True)
    refused("shutting_down", late.call, "retry", id=waiting)
    gate.release()
    eq(c.answer(asked, 60), {"drained": True})
    eq(d.wait(), 0)
    d.start()
    eq(t.client().job(running)["state"], "succeeded")


def accepted(c):
    try:
        c.call("submit", task="noop", delay=3600)
        return True
    except Exception as refusal:
        eq(refusal.word, "shutting_down")
        return False


def test_drain_answers_who_waits(t):
    """Who waits for what ends in the drain is answered before the daemon ends, also where that takes reading."""
    d, c = t.serve()
    gate = t.gate()
    told = c.call("map", task="noop", items=[["x" * 100]] * 3000)
    c.call("await", ids=["%d-%d" % (told["first"], told["first"] + 2999)], jobs=False)  # what has not begun would not in the drain
    running = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    asked = c.send("await", ids=["%d-%d" % (told["first"], running)], fields=["state"])
    asked_ids = c.send("await", ids=[running, told["first"]], fields=["state"])
    other = t.client()
    drained = other.send("drain")
    wait_for(lambda: not accepted(other), "submissions are refused")
    gate.release()
    eq(c.answer(asked)["counts"]["succeeded"], 3001)
    eq([job["state"] for job in c.answer(asked_ids)["done"]], ["succeeded"] * 2)
    eq(other.answer(drained), {"drained": True})
    eq(d.wait(), 0)


def test_drain_with_a_limit(t):
    """When `wait` is over what still runs is treated as after a crash, and the exit status is 0."""
    d, c = t.serve()
    gate = t.gate()
    running = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    eq(c.call("drain", wait=0.2), {"drained": False})
    c.ended()
    eq(d.wait(), 0)
    d.start()
    eq(t.client().ended_job(running)["error"]["type"], "Lost")


def test_drain_idle(t):
    """An idle daemon ends at once, and tells so before."""
    d, c = t.serve()
    eq(c.call("drain"), {"drained": True})
    eq(d.wait(), 0)
    d.start()
    eq(t.ctl("drain", status=0).err, "")
    eq(d.wait(), 0)


@options(root=True)
def test_who_may_drain(t):
    """Only an operator."""
    t.daemon(config=OPEN)
    refused("forbidden", t.client(uid=STRANGER).call, "drain")
    eq(refused("bad_params", t.client().call, "drain", wait=-1)["data"]["param"], "wait")


def test_sigterm_lets_one_look(t):
    """During the drain after SIGTERM one may still connect, look and cancel."""
    d, c = t.serve(config={"daemon": {"drain": "60"}})
    gate = t.gate()
    running = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    d.signal(15)
    wait_for(lambda: not accepted(c), "submissions are refused")
    late = t.client()
    eq(late.job(running)["state"], "running")
    late.call("cancel", id=running, grace=0)
    eq(d.wait(), 0)
    try:
        late.ended()
    except Closed:
        pass
