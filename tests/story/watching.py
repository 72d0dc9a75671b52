"""
watch: events of jobs as they end, in the order of finishing and of id, as they begin to run; as slow as the reader. And its end.
"""

import socket

from harness import eq, options, refused, that, within
from roles import OPEN, STRANGER


def begin(client, **what):
    """Asks for a watch: (its number, how many jobs)."""
    told = client.call("watch", **what)
    eq(set(told), {"watch", "count"})
    return told["watch"], told["count"]


def event(client, seconds=None):
    """The next event, as (watch, what, job or None)."""
    message = client.events.popleft() if client.events else client.message(seconds)
    eq((message["jsonrpc"], message["method"], "id" in message), ("2.0", "event", False), "an event is a notification")
    params = message["params"]
    eq(set(params), {"watch", "event"} | ({"job"} if params["event"] != "end" else set()))
    return params["watch"], params["event"], params.get("job")


def finished(client, watch, seconds=None):
    """The job of the next event, which must be the end of one."""
    number, what, job = event(client, seconds)
    eq((number, what), (watch, "finished"))
    return job


def end(client, watch):
    """The watch ends, and nothing of it comes after."""
    eq(event(client), (watch, "end", None))


def quiet(client, what):
    that(not client.events and client.silent(0.1), what)


def gated(t, c, n, **more):
    """n running commands and what lets each go on."""
    gates = [t.gate() for _ in range(n)]
    ids = [c.submit("exec", {"argv": gate.argv()}, lane="io", **more) for gate in gates]
    for gate in gates:
        gate.started()
    return gates, ids


def test_as_completed(t):
    """In the order of finishing: those that had ended come first, as they ended, then each as it ends; then the end."""
    _, c = t.serve()
    gates, ids = gated(t, c, 4)
    for i in (2, 0):
        gates[i].release()
        c.ended_job(ids[i])
    w = t.client()
    watch, count = begin(w, ids=ids)
    eq(count, 4)
    eq([finished(w, watch)["id"] for _ in range(2)], [ids[2], ids[0]], "those that had ended")
    quiet(w, "the others run")
    for i in (3, 1):
        gates[i].release()
        job = finished(w, watch)
        eq((job["id"], job["state"]), (ids[i], "succeeded"))
        eq(job, c.job(ids[i]), "the whole object")
    end(w, watch)
    quiet(w, "nothing after the end")
    refused("not_found", w.call, "unwatch", watch=watch)


def test_imap(t):
    """In the order of id: what ends early waits for those before it."""
    _, c = t.serve()
    gates, ids = gated(t, c, 4)
    gates[1].release()
    c.ended_job(ids[1])
    w = t.client()
    watch, count = begin(w, ids=list(reversed(ids)), order="id", fields=["state"])
    eq(count, 4)
    gates[3].release()
    c.ended_job(ids[3])
    quiet(w, "the first has not ended")
    gates[0].release()
    eq([finished(w, watch) for _ in range(2)], [{"id": ids[i], "state": "succeeded"} for i in (0, 1)])
    quiet(w, "the third has not")
    gates[2].release()
    eq([finished(w, watch)["id"] for _ in range(2)], [ids[2], ids[3]])
    end(w, watch)


def test_what_has_ended(t):
    """A watch of ended jobs tells them all and ends; of none it ends at once; all three ways to select."""
    _, c = t.serve()
    ids = [c.run("noop", [i], label="mine" if i % 2 else "other")["id"] for i in range(5)]
    for order in ("finished", "id"):
        watch, count = begin(c, ids=["%d-%d" % (ids[0], ids[-1] + 100)], order=order, fields=["result"])
        eq((count, [finished(c, watch) for _ in ids]), (5, [{"id": ids[i], "result": [i]} for i in range(5)]), order)
        end(c, watch)
        watch, count = begin(c, id=ids[3], order=order, fields=[])
        eq((count, finished(c, watch)), (1, {"id": ids[3]}))
        end(c, watch)
        watch, count = begin(c, filter={"label": "mine"}, order=order, fields=[])
        eq((count, [finished(c, watch)["id"] for _ in range(2)]), (2, [ids[1], ids[3]]))
        end(c, watch)
        watch, count = begin(c, filter={"label": "nobody"}, order=order)
        eq(count, 0)
        end(c, watch)


def test_ends_of_each_kind(t):
    """Failed and cancelled jobs have finished too, also those that never ran, with their error."""
    _, c = t.serve()
    bad = c.submit("math.factorize", ["x"])
    gates, (running,) = gated(t, c, 1)
    late = c.submit("noop", delay=3600)
    w = t.client()
    watch, _ = begin(w, ids=[bad, running, late])
    eq(finished(w, watch)["error"]["type"], "BadArguments")
    c.call("cancel", id=late)
    job = finished(w, watch)
    eq((job["id"], job["state"], job["error"]["type"]), (late, "cancelled", "Cancelled"))
    eq(job, c.job(late), "the whole object, although it was not in memory")
    c.call("cancel", id=running)
    eq(finished(w, watch)["id"], running)
    end(w, watch)
    del gates


def test_jobs_that_come_later(t):
    """A job that comes into the range after the asking is none of the watch's."""
    _, c = t.serve()
    gates, (first,) = gated(t, c, 1)
    for order in ("finished", "id"):
        watch, count = begin(c, ids=["%d-%d" % (first, first + 1000)], order=order, fields=[])
        eq(count, 1 if order == "finished" else 2)
        c.run("noop") if order == "finished" else None
    gates[0].release()
    seen = sorted((event(c) for _ in range(5)), key=lambda told: told[0])
    eq([told[0] for told in seen], [1, 1, 2, 2, 2])
    eq([told[2]["id"] for told in seen if told[1] == "finished"], [first, first, first + 1])


def test_many_as_they_end(t):
    """Watches of a map of 3,000 that is under way tell each job once: by id in order, by end in the order of finishing."""
    _, c = t.serve()
    watchers = [(t.client(), order) for order in ("finished", "id") for _ in range(2)]
    told = c.call("map", task="noop", items=[[i] for i in range(3000)])
    ids = ["%d-%d" % (told["first"], told["first"] + 2999)]
    for w, order in watchers:
        w.number, count = begin(w, ids=ids, order=order, fields=["finished", "result"])
        eq(count, 3000)
    everything = list(range(told["first"], told["first"] + 3000))
    for w, order in watchers:
        jobs = [finished(w, w.number, within(30)) for _ in range(3000)]
        end(w, w.number)
        seen = [job["id"] for job in jobs]
        eq((seen if order == "id" else sorted(seen)) == everything, True, order)
        eq([job["result"][0] for job in jobs], [ident - told["first"] for ident in seen])
        if order == "finished":
            times = [job["finished"] for job in jobs]
            eq(times == sorted(times), True, "in the order of finishing")


def test_running(t):
    """running tells of those that run when asked, and of each that begins; finished only when asked for."""
    _, c = t.serve()
    gates, (first,) = gated(t, c, 1)
    second_gate = t.gate()
    second = c.submit("exec", {"argv": second_gate.argv()}, lane="io", delay=1)
    w = t.client()
    both, _ = begin(w, ids=[first, second], events=["running", "finished"], fields=["state"])
    eq(event(w), (both, "running", {"id": first, "state": "running"}), "it runs already")
    alone, _ = begin(w, id=second, events=["running"])
    second_gate.started()
    seen = sorted((event(w) for _ in range(2)), key=lambda told: told[0])
    eq(seen[0], (both, "running", {"id": second, "state": "running"}))
    eq((seen[1][:2], seen[1][2]["state"], seen[1][2]["attempt"]), ((alone, "running"), "running", 1), "the whole object")
    eq({name: value for name, value in seen[1][2].items() if name != "usage"},
       {name: value for name, value in c.job(second).items() if name != "usage"})
    second_gate.release()
    c.ended_job(second)
    seen = sorted((event(w) for _ in range(2)), key=lambda told: told[0])
    eq(seen, [(both, "finished", {"id": second, "state": "succeeded"}), (alone, "end", None)], "no finished for who did not ask")
    gates[0].release()
    eq(event(w), (both, "finished", {"id": first, "state": "succeeded"}))
    end(w, both)


def test_running_of_a_pure_task(t):
    """A pure job that takes longer is told as running when it is shown so, and a retried one at each attempt."""
    _, c = t.serve()
    ident = c.submit("time.sleep", [3600])
    w = t.client()
    watch, _ = begin(w, id=ident, events=["running", "finished"], fields=["state"])
    eq(event(w), (watch, "running", {"id": ident, "state": "running"}))
    c.call("cancel", id=ident)
    eq(event(w), (watch, "finished", {"id": ident, "state": "cancelled"}))
    end(w, watch)
    ident = c.submit("exec", {"argv": ["/bin/false"]}, delay=0.3, max_attempts=2, backoff=0.1)
    watch, _ = begin(w, id=ident, events=["running", "finished"], fields=["attempt", "state"])
    eq([event(w)[2]["attempt"] for _ in range(2)], [1, 2])
    eq(event(w)[2], {"id": ident, "attempt": 2, "state": "failed"})
    end(w, watch)


def test_unwatch(t):
    """After unwatch nothing more comes; others on the connection go on; what is none is not_found, as is another connection's."""
    _, c = t.serve()
    gates, ids = gated(t, c, 2)
    w = t.client()
    first, _ = begin(w, ids=ids)
    second, _ = begin(w, ids=ids, fields=[])
    that(first != second, "numbers of their own")
    refused("not_found", c.call, "unwatch", watch=first)
    refused("not_found", w.call, "unwatch", watch=second + 1)
    eq(w.call("unwatch", watch=first), True)
    refused("not_found", w.call, "unwatch", watch=first)
    for gate, ident in zip(gates, ids):
        gate.release()
        eq(finished(w, second), {"id": ident})
    end(w, second)
    quiet(w, "the first was ended")


def test_unwatch_at_once(t):
    """An unwatch sent behind its watch is heard: the watch is answered, and tells nothing."""
    _, c = t.serve()
    ids = [c.run("noop")["id"] for _ in range(3)]
    (asked, first), (stopped, second) = c.request("watch", ids=ids), c.request("unwatch", watch=1)
    c.raw(first + second)
    told = {message["id"]: message["result"] for message in (c.message(), c.message())}
    eq(told, {asked: {"watch": 1, "count": 3}, stopped: True})
    quiet(c, "no event")
    refused("not_found", c.call, "unwatch", watch=1)


def test_leaving(t):
    """A connection that closes amid its events ends its watches, and neither the jobs nor others' watches."""
    d, c = t.serve()
    told = c.call("map", task="noop", items=[[i] for i in range(5000)])
    gates, (slow,) = gated(t, c, 1)
    what = {"ids": ["%d-%d" % (told["first"], slow)], "events": ["finished", "running"]}
    staying = t.client()
    watch, count = begin(staying, fields=[], **what)
    for how in (socket.SHUT_RDWR, socket.SHUT_WR, None):
        leaving = t.client()
        for order in ("finished", "id"):
            leaving.send("watch", order=order, **what)
        leaving.message()
        if how is not None:
            leaving.socket.shutdown(how)
        leaving.close()
    gates[0].release()
    eq((c.ended_job(slow)["state"], count), ("succeeded", 5001))
    events = [event(staying)[1] for _ in range(5002)]
    while events[-1] != "end":
        events.append(event(staying)[1])
    eq(events.count("finished"), 5001)
    eq((d.ended(), watch), (False, 1))


def test_limit(t):
    """Watches count as waits: over the limit they are busy; an ended or stopped one makes room."""
    _, c = t.serve(config={"limits": {"waits_per_connection": "3"}})
    ident, ended = c.submit("noop", delay=3600), c.run("noop")["id"]
    for _ in range(2):
        watch, _ = begin(c, id=ended, fields=[])
        finished(c, watch)
        end(c, watch)
    numbers = [begin(c, id=ident)[0] for _ in range(2)]
    asked = c.send("await", id=ident, jobs=False)
    refused("busy", c.call, "watch", id=ident)
    eq(c.call("unwatch", watch=numbers[0]), True)
    begin(c, id=ident)
    refused("busy", c.call, "await", id=ident)
    c.call("cancel", id=ident)
    eq({message.get("id", message.get("method")) for message in (c.message() for _ in range(5))}, {asked, "event"})


def test_refused(t):
    """What is not there is not_found with its ids; what is malformed names the parameter."""
    _, c = t.serve()
    ident = c.run("noop")["id"]
    eq(refused("not_found", c.call, "watch", id=99)["data"]["ids"], [99])
    eq(refused("not_found", c.call, "watch", ids=[ident, 77, "5-9", 88])["data"]["ids"], [77, 88])
    refused("not_found", c.call, "watch", ids=["50-60"])
    for param, bad in (("order", ["", "ID", "both", 3, []]), ("events", [[], ["ended"], "finished", ["finished", 3], {}, [None]]),
                       ("fields", ["id", ["nothing"], {}, [3]])):
        for value in bad:
            eq(refused("bad_params", c.call, "watch", {"id": ident, param: value})["data"]["param"], param, "%r" % value)
    for ids in ([], ["9-5"], [0], 7, ["x"]):
        eq(refused("bad_params", c.call, "watch", ids=ids)["data"]["param"], "ids", "%r" % ids)
    refused("bad_params", c.call, "watch")
    for bad in (0, -1, "1", 1.5):
        eq(refused("bad_params", c.call, "unwatch", watch=bad)["data"]["param"], "watch")
    eq(refused("bad_params", c.call, "unwatch")["data"]["param"], "watch")
    refused("bad_params", c.call, "watch", id=ident, wait=3)
    refused("not_found", c.call, "unwatch", watch=1)
    eq(c.call("ping"), "pong")


@options(root=True)
def test_anothers_jobs(t):
    """Another owner's jobs are not there: by id not_found, in a range left out, also when they end."""
    _, c = t.serve(config=OPEN)
    other = t.client(uid=STRANGER)
    gates, (mine,) = gated(t, c, 1)
    theirs = other.submit("noop", delay=3600)
    last = c.submit("noop", delay=3600)
    refused("not_found", other.call, "watch", id=mine)
    watch, count = begin(other, ids=["%d-%d" % (mine, last)], fields=[])
    eq(count, 1)
    gates[0].release()
    c.ended_job(mine)
    c.call("cancel", id=last)
    quiet(other, "mine are not theirs")
    other.call("cancel", id=theirs)
    eq(finished(other, watch), {"id": theirs})
    end(other, watch)


def test_in_a_batch(t):
    """Events of a watch that was asked for in a batch come behind the batch's replies."""
    _, c = t.serve()
    ids = [c.run("noop")["id"] for _ in range(3)]
    gates, (slow,) = gated(t, c, 1)
    other = t.client()
    c.raw(("[%s,%s]\n" % ('{"jsonrpc":"2.0","id":901,"method":"watch","params":{"ids":%r,"fields":[]}}' % ids,
                          '{"jsonrpc":"2.0","id":902,"method":"await","params":{"id":%d,"jobs":false}}' % slow)).encode())
    quiet(c, "the batch is not whole")
    gates[0].release()
    other.ended_job(slow)
    replies = c.message()
    eq({reply["id"] for reply in replies}, {901, 902})
    eq([finished(c, 1)["id"] for _ in ids], ids)
    end(c, 1)
