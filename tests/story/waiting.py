"""
await: all, any, first_failure, with a limit and without, on jobs that run, wait or have ended.
"""

import resource
import socket
import time

from harness import eq, options, process, refused, that, within


def test_await_all(t):
    """await all answers when the last has ended, with counts and the jobs in order of finishing."""
    _, c = t.serve()
    gates = [t.gate(), t.gate()]
    a, b = (c.submit("exec", {"argv": gate.argv()}) for gate in gates)
    for gate in gates:
        gate.started()
    waiter = t.client()
    asked = waiter.send("await", ids=[a, b])
    gates[1].release()
    c.ended_job(b)
    that(waiter.silent(0.1), "one of two is not all")
    gates[0].release()
    told = waiter.answer(asked)
    eq((told["timed_out"], told["not_done"]), (False, []))
    eq([job["id"] for job in told["done"]], [b, a], "in order of finishing")
    eq({state: count for state, count in told["counts"].items() if count}, {"succeeded": 2})


def test_await_any(t):
    """await any answers with the first that has ended."""
    _, c = t.serve()
    gates = [t.gate(), t.gate()]
    ids = [c.submit("exec", {"argv": gate.argv()}) for gate in gates]
    for gate in gates:
        gate.started()
    waiter = t.client()
    asked = waiter.send("await", ids=ids, return_when="any")
    that(waiter.silent(0.1), "none has ended")
    gates[1].release()
    told = waiter.answer(asked)
    eq((told["timed_out"], [job["id"] for job in told["done"]], told["not_done"]), (False, [ids[1]], [ids[0]]))
    eq((told["counts"]["succeeded"], told["counts"]["running"]), (1, 1))
    gates[0].release()
    c.ended_job(ids[0])


def test_await_first_failure(t):
    """await first_failure answers at the first failed one, also one that had failed before, or when all have ended without."""
    _, c = t.serve()
    gates = [t.gate(), t.gate()]
    good, bad = (c.submit("exec", {"argv": gate.argv(then)}, lane="io") for gate, then in zip(gates, ("exit 0", "exit 3")))
    late, fine = c.submit("noop", delay=3600), c.run("noop")["id"]
    for gate in gates:
        gate.started()
    waiters = [(t.client(), what) for what in ({"ids": [good, bad, late, fine]}, {"ids": ["%d-%d" % (good, fine)]},
                                               {"filter": {"task": ["exec", "noop"]}}, {"id": bad})]
    for waiter, what in waiters:
        waiter.send("await", return_when="first_failure", **what)
        that(waiter.silent(0.1), "none has failed")
    c.call("cancel", id=late)
    c.ended_job(late)
    for waiter, _ in waiters:
        that(waiter.silent(0.1), "cancelled is not failed")
    gates[1].release()
    for waiter, what in waiters[:3]:
        told = waiter.answer(1)
        eq((told["timed_out"], [job["id"] for job in told["done"]], told["not_done"]), (False, [fine, late, bad], [good]), "%r" % what)
        eq((told["counts"]["failed"], told["counts"]["cancelled"]), (1, 1))
    eq(waiters[3][0].answer(1)["done"][0]["error"]["exit_status"], 3)
    for what in ({"ids": [good, bad]}, {"ids": ["%d-%d" % (good, late)]}, {"filter": {"task": "exec"}}):
        told = c.call("await", return_when="first_failure", jobs=False, **what)
        eq((told["timed_out"], told["counts"]["failed"], told["counts"]["running"]), (False, 1, 1), "it had failed before")


def test_await_first_failure_without_one(t):
    """Without a failure first_failure waits for all, or for its limit."""
    _, c = t.serve()
    gate = t.gate()
    good, fine = c.submit("exec", {"argv": gate.argv()}), c.run("noop")["id"]
    gate.started()
    told = c.call("await", ids=[good, fine], return_when="first_failure", wait=0.2)
    eq((told["timed_out"], told["not_done"]), (True, [good]))
    waiter = t.client()
    asked = waiter.send("await", ids=[good, fine], return_when="first_failure")
    that(waiter.silent(0.1), "one is left")
    gate.release()
    eq([job["id"] for job in waiter.answer(asked)["done"]], [fine, good])
    eq(c.call("await", ids=[good, fine], return_when="first_failure", jobs=False)["counts"]["succeeded"], 2)
    eq(c.call("await", filter={"label": "nobody"}, return_when="first_failure")["timed_out"], False)
    for bad in ("", "first", "FIRST_FAILURE", 3):
        eq(refused("bad_params", c.call, "await", id=good, return_when=bad)["data"]["param"], "return_when")


def test_await_what_has_ended(t):
    """await of ended jobs answers at once, with each result."""
    _, c = t.serve()
    ids = [c.run("noop", [i])["id"] for i in range(3)]
    for when in ("all", "any"):
        told = c.call("await", ids=ids, return_when=when)
        eq([job["result"] for job in told["done"]], [[0], [1], [2]], when)
    told = c.call("await", id=ids[0])
    eq([job["id"] for job in told["done"]], [ids[0]])


def test_await_limit(t):
    """A wait that is over is told, with what is done until then; 0 does not wait."""
    _, c = t.serve()
    gate = t.gate()
    slow = c.submit("exec", {"argv": gate.argv()})
    quick = c.run("noop")["id"]
    gate.started()
    began = time.monotonic()
    told = c.call("await", ids=[slow, quick], wait=0.3)
    that(time.monotonic() - began >= 0.29, "it waits as long as asked")
    eq((told["timed_out"], [job["id"] for job in told["done"]], told["not_done"]), (True, [quick], [slow]))
    told = c.call("await", ids=[slow, quick], wait=0)
    eq((told["timed_out"], told["not_done"]), (True, [slow]))
    told = c.call("await", ids=[slow, quick], wait=0, return_when="any")
    eq(told["timed_out"], False)
    gate.release()
    eq(c.call("await", ids=[slow, quick], wait=within(30))["timed_out"], False)


def test_await_counts_alone(t):
    """jobs false leaves done and not_done out; fields picks members."""
    _, c = t.serve()
    ids = [c.submit("noop", [i]) for i in range(5)]
    told = c.call("await", ids=ids, jobs=False)
    eq((set(told), told["counts"]["succeeded"]), ({"timed_out", "counts"}, 5))
    told = c.call("await", ids=ids, fields=["result"])
    eq(sorted(told["done"], key=lambda job: job["id"]), [{"id": ids[i], "result": [i]} for i in range(5)])


def test_await_a_filter(t):
    """await of a filter waits for what fits it when asked."""
    _, c = t.serve()
    gate = t.gate()
    c.submit("exec", {"argv": gate.argv()}, label="mine")
    gate.started()
    waiter = t.client()
    asked = waiter.send("await", filter={"label": "mine"}, jobs=False)
    that(waiter.silent(0.1), "it has not ended")
    gate.release()
    eq(waiter.answer(asked)["counts"]["succeeded"], 1)
    told = c.call("await", filter={"label": "nobody"})
    eq((told["timed_out"], told["done"], told["not_done"]), (False, [], []), "an empty selection has ended")


def test_many_wait_for_one(t):
    """Five hundred connections that wait for one job all hear of its end."""
    _, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv("exit 4")})
    gate.started()
    waiters = [t.client() for _ in range(500)]
    for waiter in waiters:
        waiter.send("await", id=ident, fields=["error"])
    gate.release()
    for waiter in waiters:
        eq(waiter.answer(1)["done"][0]["error"]["exit_status"], 4)


def test_many_waits_of_one(t):
    """One connection may wait a thousand times at once, and ends them by leaving."""
    d, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    waiter = t.client()
    for _ in range(1000):
        waiter.send("await", id=ident, jobs=False)
    waiter.socket.shutdown(socket.SHUT_RDWR)
    waiter.close()
    staying = t.client()
    asked = [staying.send("await", id=ident, jobs=False) for _ in range(1000)]
    gate.release()
    for one in asked:
        eq(staying.answer(one)["counts"]["succeeded"], 1)
    eq(d.ended(), False)


def ticks(pid):
    """The processor time that it has used, in hundredths of a second."""
    words = process.read(pid, "stat").rsplit(b")", 1)[1].split()
    return int(words[11]) + int(words[12])


@options(deadline=300)
def test_waiting_costs_nothing(t):
    """2,000 connections that wait for one job: no processor time, no thread, under 4 KiB of the daemon each; all are told."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    count = min(2000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 100)
    d, c = t.serve(config={"log": {"level": "error"}})
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv()})
    gate.started()

    def wait(clients):
        for client in clients:
            client.send("await", id=ident, jobs=False)
        for client in clients:
            eq(client.call("ping"), "pong")
        c.call("status", id=ident)  # behind their looks at the store
    warm = [t.client(seconds=120) for _ in range(50)]
    wait(warm)
    before = process.memory_kib(d.pid)
    waiters = [t.client(seconds=120) for _ in range(count)]
    wait(waiters)
    grown = process.memory_kib(d.pid) - before
    that(grown < t.memory_bound(4 * count), "%d waits took %d KiB" % (count, grown))
    that(c.silent(0.5), "what was begun comes to rest")
    threads, before = process.read(d.pid, "status").split(b"Threads:")[1].split()[0], ticks(d.pid)
    that(waiters[0].silent(2), "the job runs")
    used = ticks(d.pid) - before
    that(used <= 4, "%d ticks in %g seconds of waiting" % (used, within(2)))
    t.figure("%d wait: %.2f KiB each, %d ticks in %g s" % (count, grown / count, used, within(2)))
    that(int(threads) < 40, "%d threads" % int(threads))
    gate.release()
    for waiter in warm + waiters:
        eq(waiter.answer(1)["counts"]["succeeded"], 1)


def test_await_a_range(t):
    """await of a range of 20,000 answers once, when the last has ended."""
    _, c = t.serve()
    told = c.call("map", task="noop", items=[[i] for i in range(20000)])
    told = c.call("await", ids=["1-20000"], jobs=False, wait=within(60))
    eq((told["timed_out"], told["counts"]["succeeded"]), (False, 20000))
    refused("not_found", c.call, "await", ids=["30000-40000"])


def test_await_a_range_and_later_jobs(t):
    """A job that comes into an awaited range after the asking is none of the selection's: the wait goes on for those that were there."""
    _, c = t.serve()
    first = c.submit("time.sleep", [3600])
    waiting = t.client()
    ident = waiting.send("await", ids=["%d-%d" % (first, first + 10)], jobs=False)
    eq(waiting.call("ping"), "pong")
    eq(waiting.call("status", id=first, fields=["state"])["id"], first)  # behind the await's own look at the store
    eq(c.call("run", task="noop")["state"], "succeeded")
    c.call("cancel", id=first)
    answer = waiting.answer(ident)
    eq((answer["timed_out"], answer["counts"]["cancelled"], answer["counts"]["running"]), (False, 1, 0))
