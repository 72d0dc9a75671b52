"""
Order within a queue: by priority, then by id, owners in turn; and a backlog far longer than memory's window.
"""

import time

from harness import eq, options, process, that, within


def finished_order(c, ids):
    told = c.call("await", ids=ids, wait=within(60), fields=[])
    eq(told["timed_out"], False)
    return [job["id"] for job in told["done"]]


def held(t, c, **params):
    """The one worker is taken; returns what lets it go."""
    gate = t.gate()
    c.submit("exec", {"argv": gate.argv()}, **params)
    gate.started()
    return gate


def append(t, word):
    """A command that writes a word when it runs."""
    return {"argv": ["/bin/sh", "-c", "echo %s >> %s" % (word, t.path("order"))]}


def test_first_come(t):
    """Jobs of equal priority start in the order of their ids."""
    _, c = t.serve(workers=1)
    gate = held(t, c)
    ids = [c.submit("exec", append(t, i)) for i in range(20)]
    gate.release()
    c.wait(*ids)
    eq(t.read("order").decode().split(), [str(i) for i in range(20)])


def test_priority(t):
    """A higher priority starts first, also when it comes last."""
    _, c = t.serve(workers=1)
    gate = held(t, c)
    given = [0, 5, -5, 5, 1000, 0, -1000, 3]
    ids = [c.submit("exec", append(t, "%d:%d" % (priority, i)), priority=priority) for i, priority in enumerate(given)]
    gate.release()
    c.wait(*ids)
    expected = sorted(enumerate(given), key=lambda pair: (-pair[1], pair[0]))
    eq(t.read("order").decode().split(), ["%d:%d" % (priority, i) for i, priority in expected])


def test_priority_beyond_the_window(t):
    """Order holds also where only a small part of the line is in memory."""
    _, c = t.serve(workers=1, config={"store": {"window": "16"}})
    gate = held(t, c)
    given = [(i * 7919) % 41 - 20 for i in range(200)]
    told = [c.request("submit", task="exec", args=append(t, "%d:%d" % (priority, i)), priority=priority)
            for i, priority in enumerate(given)]
    c.raw(b"".join(line for _, line in told))
    ids = [c.answer(ident)["id"] for ident, _ in told]
    gate.release()
    c.wait(*ids)
    expected = sorted(enumerate(given), key=lambda pair: (-pair[1], pair[0]))
    eq(t.read("order").decode().split(), ["%d:%d" % (priority, i) for i, priority in expected])


def test_order_after_a_restart(t):
    """What has not started keeps its place over kill -9."""
    d, c = t.serve(workers=1, config={"store": {"window": "16"}})
    gate = held(t, c)
    given = [(i * 31) % 5 for i in range(60)]
    ids = [c.submit("exec", append(t, "%d:%d" % (priority, i)), priority=priority) for i, priority in enumerate(given)]
    eq(gate.waiting(), True)
    d.restart()
    c = t.client()
    c.wait(*ids)
    eq(c.job(1)["error"]["type"], "Lost")
    expected = sorted(enumerate(given), key=lambda pair: (-pair[1], pair[0]))
    eq(t.read("order").decode().split(), ["%d:%d" % (priority, i) for i, priority in expected])


@options(root=True)
def test_owners_take_turns(t):
    """Within a queue one owner's thousand jobs do not hold up another's few."""
    d, c = t.serve(workers=1, config={"listen": {"unix_mode": "0666"}, "tasks": {"user": "exec"}})
    many, few = t.client(uid=t.uid), t.client(uid=20998)
    that(c.call("hello")["owner"] == "uid:0" and few.call("hello")["owner"] == "uid:20998", "two owners")
    gate = held(t, many)
    sent = [many.request("submit", task="noop", args=[i], priority=100) for i in range(1000)]
    many.raw(b"".join(line for _, line in sent))
    mine = [many.answer(ident)["id"] for ident, _ in sent]
    others = [few.submit("noop", [i]) for i in range(10)]
    gate.release()
    order = finished_order(c, mine + others)
    last = max(order.index(ident) for ident in others)
    that(last < 100, "the last of the other's ten was %dth" % last)
    eq([ident for ident in order if ident in set(others)], others)


def test_queues_do_not_hold_each_other(t):
    """Jobs in one queue do not wait behind a long line in another."""
    _, c = t.serve(workers=1)
    gate = held(t, c, queue="long")
    told = c.call("map", task="noop", items=[[i] for i in range(5000)], queue="long")
    ident = c.submit("noop", queue="short")
    gate.release()
    order = finished_order(c, ["%d-%d" % (told["first"], ident)])
    that(order.index(ident) < 4000, "it was the %dth to end" % order.index(ident))


@options(deadline=300)
def test_backlog(t):
    """A backlog of 200,000 jobs is run down through a window of 64 with flat memory."""
    d, c = t.serve(workers=2, config={"store": {"window": "64"}})
    c.seconds = 200
    c.call("map", task="noop", items=[[i] for i in range(2000)])
    c.call("await", ids=["1-2000"], wait=within(60), jobs=False)
    gates = [held(t, c), held(t, c)]
    count, piece = 200000, 10000
    base = process.memory_kib(d.pid)
    ids, peak = [], base
    for first in range(0, count, piece):
        lines = b"".join(b'{"jsonrpc":"2.0","id":"%d","method":"submit","params":{"task":"noop","args":[%d]}}\n' % (i, i)
                         for i in range(first, first + piece))
        ids += [message["result"]["id"] for message in c.pour(lines, piece)]
        peak = max(peak, process.memory_kib(d.pid))
    eq(len(set(ids)), count)
    everything = ["%d-%d" % (min(ids), max(ids))]
    for gate in gates:
        gate.release()
    began = time.monotonic()
    asked = c.send("await", ids=everything, jobs=False)
    while c.silent(0.3):
        peak = max(peak, process.memory_kib(d.pid))
        if time.monotonic() - began > within(200):
            break
    told = c.answer(asked)
    eq(told["counts"]["succeeded"], count)
    grown = max(peak, process.memory_kib(d.pid)) - base
    that(grown < t.memory_bound(48 << 10), "the daemon's memory grew by %d KiB over a backlog of %d" % (grown, count))


@options(deadline=300)
def test_backlog_over_a_restart(t):
    """A backlog of 50,000 jobs beyond a window of 64 goes on after kill -9, and each job ends once."""
    d, c = t.serve(workers=2, config={"store": {"window": "64"}})
    c.seconds = 200
    count = 50000
    sent = b"".join(b'{"jsonrpc":"2.0","id":"%d","method":"submit","params":{"task":"noop","args":[%d]}}\n' % (i, i)
                    for i in range(count))
    that(all("result" in message for message in c.pour(sent, count)), "all are accepted")
    before = c.call("await", ids=["1-%d" % count], wait=0, jobs=False)["counts"]
    d.restart()
    c = t.client(seconds=200)
    now = c.call("await", ids=["1-%d" % count], wait=0, jobs=False)["counts"]
    that(now.get("succeeded", 0) >= before.get("succeeded", 0), "what was seen ended stays: %r, then %r" % (before, now))
    told = c.call("await", ids=["1-%d" % count], wait=within(200), jobs=False)
    eq((told["timed_out"], told["counts"]["succeeded"]), (False, count))
    for ident in range(1, count, 4999):
        job = c.job(ident)
        eq(job["result"], job["args"])


@options(root=True, deadline=900)
def test_backlog_of_another_owner(t):
    """A million queued jobs of one owner, of the highest priority, do not keep another's one job waiting."""
    t.daemon(workers=1, config={"listen": {"unix_mode": "0666"}, "tasks": {"user": "exec"}})
    many, few = t.client(uid=t.uid, seconds=300), t.client(uid=20998, seconds=300)
    gate = held(t, many)
    first = many.call("map", task="noop", items=[[]] * 250000, priority=1000)["first"]
    for _ in range(3):
        many.call("map", task="noop", items=[[]] * 250000, priority=1000)
    mine = few.submit("noop", ["mine"])
    gate.release()
    ended = few.ended_job(mine)
    eq(ended["result"], ["mine"])
    later = many.job(first + 1000)
    that(later["finished"] is None or later["finished"] >= ended["finished"], "it had its turn among the first: %r" % later)
