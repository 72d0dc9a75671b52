"""
Limits: at each of them the answer is busy or too_large, what was accepted is kept, and there is room again afterwards.
"""

import json
import os

from harness import Closed, Failed, Refused, eq, first_word, options, process, refused, that, wait_for, within


def test_pending(t):
    """Over [limits] pending a submission is busy, with a time to come again; a map is taken in whole or not at all."""
    _, c = t.serve(config={"limits": {"pending": "5"}})
    for _ in range(3):
        c.submit("noop", delay=3600)
    that(refused("busy", c.call, "map", task="noop", items=[[i] for i in range(3)], delay=3600)["data"]["retry_after"] > 0, "a time")
    eq(len(c.call("list")["jobs"]), 3, "none of the map was taken")
    eq(c.call("map", task="noop", items=[[1], [2]], delay=3600)["count"], 2)
    error = refused("busy", c.call, "submit", task="noop", delay=3600)
    that(error["data"]["retry_after"] > 0, "%r" % error)
    refused("busy", c.call, "run", task="noop")
    c.call("cancel", id=1)
    c.ended_job(1)
    that(c.submit("noop", delay=3600) > 5, "there is room again")


def test_pending_over_a_restart(t):
    """What is pending is counted again after a restart."""
    d, c = t.serve(config={"limits": {"pending": "5"}})
    c.call("map", task="noop", items=[[i] for i in range(5)], delay=3600)
    d.restart()
    refused("busy", t.client().call, "submit", task="noop")


def test_queues(t):
    """Over [limits] queues a new queue is busy, and known ones go on."""
    _, c = t.serve(config={"limits": {"queues": "4"}})
    made = 0
    for i in range(10):
        try:
            c.submit("noop", queue="q%d" % i, delay=3600)
            made += 1
        except Exception as refusal:
            eq(getattr(refusal, "word", None), "busy")
    that(made in (3, 4), "%d queues of 4" % made)
    t.figure("%d of 10 queues were made" % made)
    that(c.submit("noop", queue="q0", delay=3600), "a known queue")


def test_waits_per_connection(t):
    """Over [limits] waits_per_connection a wait is busy, and others' are not."""
    _, c = t.serve(config={"limits": {"waits_per_connection": "10"}})
    ident = c.submit("noop", delay=3600)
    asked = [c.send("await", id=ident, jobs=False) for _ in range(10)]
    refused("busy", c.call, "await", id=ident)
    other = t.client()
    eq(other.call("await", id=ident, wait=0.05)["timed_out"], True)
    c.call("cancel", id=ident)
    for one in asked:
        eq(c.answer(one)["counts"]["cancelled"], 1)
    eq(c.call("await", id=ident)["timed_out"], False)


def alternate(c, n):
    """Every other job has the label: each is a range of its own."""
    for _ in range(n):
        c.send("submit", task="noop", delay=3600, label="odd")
        c.send("submit", task="noop", delay=3600)
    c.call("ping")
    return {"label": "odd"}


def test_ranges_per_connection(t):
    """What a connection's waits keep of ids is limited, as a filter finds it or as they are named; others' are not."""
    _, c = t.serve(config={"limits": {"ranges_per_connection": "20"}})
    odd = alternate(c, 12)
    watch = c.call("watch", filter=odd)
    eq(watch["count"], 12)
    that(refused("busy", c.call, "watch", filter=odd)["data"]["retry_after"] > 0, "a time to come again")
    refused("busy", c.call, "await", filter=odd, wait=0)
    refused("busy", c.call, "await", ids=list(range(1, 24, 2)), wait=0)
    eq(c.call("await", id=1, wait=0)["timed_out"], True)
    eq(c.call("await", ids=["1-24"], wait=0)["timed_out"], True)
    eq(t.client().call("watch", filter=odd)["count"], 12)
    c.call("unwatch", watch=watch["watch"])
    for _ in range(5):
        eq(c.call("await", filter=odd, wait=0)["counts"]["pending"], 12)


def test_ranges_in_all(t):
    """All connections of an owner keep eight times as much; what one has kept is free when it goes."""
    _, c = t.serve(config={"limits": {"ranges_per_connection": "20"}})
    odd = alternate(c, 21)
    holders = [t.client() for _ in range(8)]
    for one in holders:
        eq(one.call("watch", filter=odd)["count"], 21)
    refused("busy", c.call, "watch", filter=odd)
    holders[0].close()

    def room():
        try:
            return c.call("watch", filter=odd)["count"]
        except Refused as refusal:
            eq(refusal.word, "busy")
            return 0
    eq(wait_for(room, "there is room again"), 21)


def test_selection(t):
    """A selection over [limits] selection is too_large."""
    _, c = t.serve(config={"limits": {"selection": "100"}})
    c.call("map", task="noop", items=[[i] for i in range(150)])
    c.call("await", ids=["1-100"], wait=within(30), jobs=False)
    refused("too_large", c.call, "await", ids=["1-150"])
    refused("too_large", c.call, "status", ids=["1-60", "50-100"])
    eq(len(c.call("status", ids=["1-100"], fields=[])), 100)


def test_a_full_batch(t):
    """Where other replies have used up a batch's room, what was accepted is still told, and a watch has its number."""
    _, c = t.serve(config={"limits": {"message": "4K"}})
    ident = c.submit("noop", ["x" * 1000], delay=3600)
    c.send("status", id=ident)
    rest = len(c.line()) - 1000
    full = c.submit("noop", ["x" * (4096 - rest)], delay=3600)
    asked = [{"jsonrpc": "2.0", "id": n, "method": method, "params": params} for n, (method, params) in enumerate((
        ("status", {"id": full}), ("watch", {"id": ident, "fields": []}), ("submit", {"task": "noop"}),
        ("run", {"task": "noop", "args": ["y" * 2200]})))]
    c.raw(json.dumps(asked).encode() + b"\n")
    replies = {reply["id"]: reply for reply in c.message()}
    watch = replies[1]["result"]["watch"]
    eq(replies[2]["result"]["id"], full + 1)
    eq(replies[3]["error"]["data"], {"code": "outcome_unknown", "id": full + 2})
    eq(c.call("status", id=full + 2, fields=["state"])["state"], "succeeded")
    c.call("cancel", id=ident)
    eq(c.message()["params"], {"watch": watch, "event": "finished", "job": {"id": ident}})


def test_many_in_a_full_batch(t):
    """In a batch, too, too_large says that nothing was done; what was done and finds no room any more is outcome_unknown."""
    _, c = t.serve(config={"limits": {"message": "65536"}})
    full = c.submit("noop", ["x" * 50000], delay=3600)
    ids = [["%d-%d" % (first, first + 399)] for first in
           [c.call("map", task="noop", items=[[]] * 400, delay=3600)["first"] for _ in range(2)]]

    def cancelled():
        return c.call("await", filter={}, wait=0, jobs=False)["counts"]["cancelled"]

    def batch(*calls):
        """How many of the calls that change something did."""
        c.raw(json.dumps([{"jsonrpc": "2.0", "id": n, "method": method, "params": params}
                          for n, (method, params) in enumerate(calls)]).encode() + b"\n")
        codes = {reply["id"]: reply.get("error", {}).get("data", {}).get("code") for reply in c.message()}
        that(set(codes.values()) <= {None, "too_large", "outcome_unknown"}, "%r" % codes)
        return sum(codes[n] != "too_large" for n, (method, _) in enumerate(calls) if method != "status")
    eq(400 * batch(("status", {"id": full}), ("cancel", {"ids": ids[0]})), cancelled())
    before = cancelled()
    eq(400 * batch(("status", {"id": full}), ("cancel", {"ids": ids[1]})), cancelled() - before)
    for some in ids:
        c.call("cancel", ids=some)
    before = c.call("stats")["submitted"]
    eq(400 * batch(*[("retry", {"ids": some}) for some in ids]), c.call("stats")["submitted"] - before)
    eq(800 - 400 * batch(*[("forget", {"ids": some}) for some in ids]), cancelled())


def test_a_run_whose_job_is_too_long(t):
    """A run whose job object does not fit into a reply was no refusal: the job is there, and its id is told."""
    _, c = t.serve(config={"limits": {"message": "4K"}})
    error = refused("outcome_unknown", c.call, "run", task="noop", args=["y" * 3000])
    eq(c.call("status", id=error["data"]["id"], fields=["state"])["state"], "succeeded")


def test_connections(t):
    """Over [limits] connections the next ones are closed or wait; those that are there go on; there is room again."""
    d, c = t.serve(config={"limits": {"connections": "20"}})
    clients = [t.client(seconds=2) for _ in range(30)]
    answered, refusals = [], 0
    for client in clients:
        reply = first_word(client)
        if reply and "result" in reply:
            answered.append(reply["result"])
        elif reply:
            eq((reply["id"], reply["error"]["data"]["code"]), (None, "busy"))
            refusals += 1
    that(10 <= len(answered) <= 20, "%d of 20 connections" % len(answered))
    that(refusals > 0, "who was refused was told")
    t.figure("%d of %d were answered" % (len(answered), len(clients)))
    eq(c.call("ping"), "pong")
    for client in clients:
        client.close()

    def room():
        try:
            with t.client(seconds=2) as late:
                return late.call("ping") == "pong"
        except (Closed, Failed, Refused, OSError):
            return False
    wait_for(room, "there is room again")
    eq(d.ended(), False)


@options(root=True)
def test_descriptors_do_not_leak(t):
    """After a thousand connections and jobs the daemon holds as many descriptors as before."""
    d, c = t.serve()

    def held():
        return len(os.listdir("/proc/%d/fd" % d.pid))
    c.run("exec", t.sh("echo x"))
    before = held()
    for turn in range(10):
        clients = [t.client() for _ in range(100)]
        for client in clients:
            client.submit("noop", [turn])
            client.close()
        c.run("exec", t.sh("echo x; echo y >&2"))
        c.run("file.read", ["/etc/hostname"])
    wait_for(lambda: held() <= before + 3, "the descriptors are given back: %d before" % before)
    t.figure("%d descriptors before, %d after" % (before, held()))


def test_memory_does_not_leak(t):
    """Fifty thousand jobs, each asked for, leave the daemon's memory about as it was."""
    d, c = t.serve(config={"store": {"window": "64"}})

    def turn():
        lines = b"".join(c.request("run", task="noop", args=["x" * 200])[1] for _ in range(10000))
        eq({message["result"]["state"] for message in c.pour(lines, 10000)}, {"succeeded"})
    turn()
    before = process.memory_kib(d.pid)
    for _ in range(4):
        turn()
    grown = process.memory_kib(d.pid) - before
    that(grown < t.memory_bound(24 << 10), "the daemon grew by %d KiB" % grown)
