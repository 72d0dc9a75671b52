"""
after: jobs that come after others, by each policy; what can no longer be; chains, crowds, crashes, and ids that are none.
"""

import os
import resource
import time

from harness import eq, error_of, options, refused, that, wait_for, within

POLICIES = ("succeeded", "finished", "failed")


def held(t, c, then="exit 0", **params):
    """A job that ends when it is let go, as `then` says: its id and its gate."""
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv(then)}, **params)
    gate.started()
    return ident, gate


def dependency_failed(job, parent, state):
    """It has ended because of that parent, without having begun."""
    error = error_of(job, "DependencyFailed")
    eq(error["data"], {"parent": parent, "state": state})
    eq((job["state"], job["attempt"], job["started"], job["reason"]), ("failed", 0, None, None))
    that(job["finished"], "it has ended")


def pending(d):
    stats = d.stats()
    return stats["pending"], stats["running"]


def test_after(t):
    """A job waits for its parent, says so, and runs when that has succeeded."""
    d, c = t.serve()
    parent, gate = held(t, c)
    child = c.submit("noop", ["child"], after=[parent])
    job = c.job(child)
    eq((job["state"], job["reason"], job["after"], job["attempt"]), ("pending", "after", [parent], 0))
    eq(pending(d), (1, 1))
    gate.release()
    job = c.ended_job(child)
    eq((job["state"], job["result"], job["reason"], job["after"]), ("succeeded", ["child"], None, [parent]))
    that(job["started"] >= c.job(parent)["finished"], "it began when its parent had ended")
    eq(pending(d), (0, 0))


def outcomes(c):
    """A job for each end: ids by state."""
    late = c.submit("noop", delay=3600)
    c.call("cancel", id=late)
    ids = {"succeeded": c.submit("noop"), "failed": c.submit("exec", {"argv": ["false"]}), "cancelled": late}
    c.wait(*ids.values())
    return ids


FITS = {"succeeded": ("succeeded",), "finished": ("succeeded", "failed", "cancelled"), "failed": ("failed", "cancelled")}


def test_policies_of_ended_parents(t):
    """An ended parent counts at submission, by each policy and each end."""
    d, c = t.serve()
    for state, parent in outcomes(c).items():
        for policy in POLICIES:
            for method in ("run", "map"):
                if method == "run":
                    job = c.run("noop", [policy], after=[parent], after_policy=policy)
                else:
                    told = c.call("map", task="noop", items=[[policy], [policy]], after=[parent], after_policy=policy)
                    job = c.wait(told["first"], told["first"] + 1)[1]
                if state in FITS[policy]:
                    eq((job["state"], job["result"]), ("succeeded", [policy]), "%s after %s" % (policy, state))
                else:
                    dependency_failed(job, parent, state)
    eq(pending(d), (0, 0))


def test_policies_of_running_parents(t):
    """A parent that ends later counts the same."""
    d, c = t.serve(workers=4)
    for state in ("succeeded", "failed", "cancelled"):
        parent, gate = held(t, c, "exit 1" if state == "failed" else "exit 0")
        children = {policy: c.submit("noop", after=[parent], after_policy=policy) for policy in POLICIES}
        if state == "cancelled":
            c.call("cancel", id=parent, grace=0)
        else:
            gate.release()
        eq(c.ended_job(parent)["state"], state)
        for policy, child in children.items():
            job = c.ended_job(child)
            if state in FITS[policy]:
                eq(job["state"], "succeeded", "%s after %s" % (policy, state))
            else:
                dependency_failed(job, parent, state)
    eq(pending(d), (0, 0))


def test_many_parents(t):
    """All parents must fit, in whatever order they end; the first that does not settles it at once."""
    _, c = t.serve(workers=4)
    gates = [held(t, c) for _ in range(3)]
    done = c.submit("noop")
    c.wait(done)
    parents = [ident for ident, _ in gates]
    child = c.submit("noop", after=[parents[2], done] + parents[:2] + [done])
    eq(c.job(child)["after"], [parents[2], done] + parents[:2])
    for ident, gate in (gates[1], gates[2]):
        gate.release()
        c.wait(ident)
        eq(c.job(child)["reason"], "after")
    gates[0][1].release()
    eq(c.ended_job(child)["state"], "succeeded")
    (slow, gate), (bad, trap) = held(t, c), held(t, c, "exit 1")
    child = c.submit("noop", after=[slow, bad])
    trap.release()
    dependency_failed(c.ended_job(child), bad, "failed")
    eq(c.job(slow)["state"], "running")
    gate.release()
    c.wait(slow)


def test_the_limit_of_parents(t):
    """A thousand parents are taken, one more is not."""
    _, c = t.serve()
    parent, gate = held(t, c)
    told = c.call("map", task="noop", items=[[i] for i in range(1000)], after=[parent])
    ids = list(range(told["first"], told["first"] + 1000))
    child = c.submit("noop", after=ids)
    eq(refused("bad_params", c.call, "submit", task="noop", after=ids + [parent])["data"]["param"], "after")
    gate.release()
    eq(c.ended_job(child)["state"], "succeeded")


def test_delay_behind_parents(t):
    """A time that is not over when the parents have ended is waited for; the reason says what holds first."""
    _, c = t.serve()
    parent, gate = held(t, c)
    child = c.submit("noop", after=[parent], delay=3600)
    near = c.submit("noop", after=[parent], delay=1)
    eq(c.job(child)["reason"], "after")
    gate.release()
    c.wait(parent)
    wait_for(lambda: c.job(child)["reason"] == "delayed", "it is delayed")
    job = c.ended_job(near)
    that(job["started"] >= job["not_before"], "not before its time")
    eq(c.run("noop", ["late"], after=[parent], delay=0.3)["result"], ["late"])


def test_cancel_of_a_waiting_job(t):
    """A waiting job is cancelled like any pending one; its children hear of it, its siblings do not."""
    d, c = t.serve()
    parent, gate = held(t, c)
    child, sibling = c.submit("noop", after=[parent]), c.submit("noop", after=[parent])
    grandchild, heir = c.submit("noop", after=[child]), c.submit("noop", after=[child], after_policy="failed")
    told = c.call("map", task="noop", items=[[1], [2], [3]], after=[parent])
    eq(c.call("cancel", id=child), {"id": child, "cancelled": True, "was": "pending"})
    eq(c.job(child)["state"], "cancelled")
    dependency_failed(c.ended_job(grandchild), child, "cancelled")
    eq(c.ended_job(heir)["state"], "succeeded")
    eq(c.call("cancel", id=told["first"])["cancelled"], True)
    eq(c.job(sibling)["reason"], "after")
    gate.release()
    eq([job["state"] for job in c.wait(sibling, told["first"], told["first"] + 1, told["first"] + 2)],
       ["succeeded", "cancelled", "succeeded", "succeeded"])
    eq(pending(d), (0, 0))


def test_a_waiting_job_expires(t):
    """expires holds for waiting jobs too, and their children hear of it."""
    _, c = t.serve()
    parent, gate = held(t, c)
    child = c.submit("noop", after=[parent], expires=0.3)
    grandchild = c.submit("noop", after=[child])
    error_of(c.ended_job(child), "Expired")
    dependency_failed(c.ended_job(grandchild), child, "failed")
    gate.release()


def test_a_chain(t):
    """A chain of a thousand runs link by link; one whose head fails falls link by link."""
    d, c = t.serve()
    for then, state in (("exit 0", "succeeded"), ("exit 1", "failed")):
        head, gate = held(t, c, then)
        ident = head
        for _ in range(1000):
            ident = c.submit("noop", [ident], after=[ident])
        gate.release()
        told = c.call("await", ids=["%d-%d" % (head, ident)], wait=within(120), jobs=False)
        eq(told["counts"][state], 1001)
        if state == "failed":
            dependency_failed(c.job(ident), ident - 1, "failed")
            dependency_failed(c.job(head + 1), head, "failed")
    eq(pending(d), (0, 0))


def test_a_submission_pipelined_behind_its_parent(t):
    """Requests take effect in the order sent, so a parent's id may be foretold within one write."""
    _, c = t.serve()
    eq(c.submit("noop"), 1)
    lines = b"".join(b'{"jsonrpc":"2.0","id":"%d","method":"submit","params":{"task":"noop","after":[%d]}}\n' % (i, i - 1)
                     for i in range(2, 102))
    ids = [message["result"]["id"] for message in c.pour(lines, 100)]
    eq(ids, list(range(2, 102)))
    eq([job["state"] for job in c.wait(*ids)], ["succeeded"] * 100)


def crowd(c, parent, count, policy):
    lines = b"".join(b'{"jsonrpc":"2.0","id":"%d","method":"submit","params":{"task":"noop","args":[%d],"after":[%d],'
                     b'"after_policy":"%s"}}\n' % (i, i, parent, policy.encode()) for i in range(count))
    return [message["result"]["id"] for message in c.pour(lines, count)]


@options(deadline=300)
def test_ten_thousand_children(t):
    """Ten thousand children of one parent all run, or all fail, and the daemon answers meanwhile."""
    d, c = t.serve()
    other = t.client()
    for policy in ("succeeded", "failed"):
        parent, gate = held(t, c)
        ids = crowd(c, parent, 10000, policy)
        eq(pending(d), (10000, 1))
        gate.release()
        asked = c.send("await", ids=["%d-%d" % (ids[0], ids[-1])], wait=within(200), jobs=False)
        slowest = 0
        while c.silent(0.01):
            began = time.monotonic()
            other.call("ping")
            slowest = max(slowest, time.monotonic() - began)
        eq(c.answer(asked, 200)["counts"]["succeeded" if policy == "succeeded" else "failed"], 10000)
        that(slowest < within(2), "a ping took %.3f s" % slowest)
        if policy == "failed":
            dependency_failed(c.job(ids[7777]), parent, "succeeded")
    eq(pending(d), (0, 0))


@options(deadline=300)
def test_a_crash_between_parent_and_children(t):
    """kill -9 amid the telling of ten thousand children: after it each goes on, and ends once."""
    d, c = t.serve(config={"store": {"window": "64"}})
    for policy in ("succeeded", "failed"):
        parent = c.submit("time.sleep", [3600])
        wait_for(lambda: c.job(parent)["state"] == "running", "it runs")
        count = 10000
        ids = crowd(c, parent, count, "finished" if policy == "succeeded" else "succeeded")
        watcher = c.send("await", id=parent, wait=within(60), jobs=False)
        t.client().send("cancel", id=parent)
        eq(c.answer(watcher)["counts"]["cancelled"], 1)
        d.restart()
        c = t.client(seconds=100)
        told = c.call("await", ids=["%d-%d" % (ids[0], ids[-1])], wait=within(200), jobs=False)
        eq(told["counts"]["succeeded" if policy == "succeeded" else "failed"], count)
        if policy == "failed":
            dependency_failed(c.job(ids[-1]), parent, "cancelled")
        eq(pending(d), (0, 0))


def test_waiting_outlives_the_daemon(t):
    """What waits goes on waiting after kill -9, is counted, and hears of the end that the crash brought."""
    d, c = t.serve()
    lost, _ = held(t, c)
    again = c.submit("noop", delay=3600)
    children = [c.submit("noop", after=[lost], after_policy=policy) for policy in POLICIES]
    other = c.submit("noop", after=[again])
    told = c.call("map", task="noop", items=[[1], [2]], after=[again], queue="q")
    d.restart()
    c = t.client()
    error_of(c.ended_job(lost), "Lost")
    dependency_failed(c.ended_job(children[0]), lost, "failed")
    eq([job["state"] for job in c.wait(*children[1:])], ["succeeded"] * 2)
    job = c.job(other)
    eq((job["state"], job["reason"], job["after"]), ("pending", "after", [again]))
    eq([q["pending"] for q in c.call("queues") if q["queue"] == "q"], [2])
    eq(pending(d), (4, 0))
    that(all(q["oldest_s"] is not None for q in c.call("queues") if q["pending"] > 0), "what waits has an age")
    c.call("cancel", id=again)
    dependency_failed(c.ended_job(other), again, "cancelled")
    dependency_failed(c.ended_job(told["first"] + 1), again, "cancelled")
    eq(pending(d), (0, 0))


@options(deadline=300)
def test_a_big_map_behind_parents(t):
    """A map of 100,000 behind several parents waits as one and goes as one."""
    d, c = t.serve(config={"store": {"window": "64"}})
    c.seconds = 120
    gates = [held(t, c) for _ in range(2)]
    late = c.submit("noop", delay=3600)
    parents = [ident for ident, _ in gates]
    count = 100000
    told = c.call("map", task="noop", items=[[i] for i in range(count)], after=parents)
    doomed = c.call("map", task="noop", items=[[i] for i in range(20000)], after=parents + [late])
    eq(c.job(told["first"] + count - 1)["reason"], "after")
    for ident, gate in gates:
        gate.release()
    everything = ["%d-%d" % (told["first"], told["first"] + count - 1)]
    eq(c.call("await", ids=everything, wait=within(200), jobs=False)["counts"]["succeeded"], count)
    job = c.job(told["first"] + 77777)
    eq(job["result"], [77777])
    c.call("cancel", id=late)
    everything = ["%d-%d" % (doomed["first"], doomed["first"] + 19999)]
    eq(c.call("await", ids=everything, wait=within(200), jobs=False)["counts"]["failed"], 20000)
    eq(pending(d), (0, 0))


def test_retention_spares_parents(t):
    """An ended job is kept while a job that names it in after waits, and goes then."""
    d, c = t.serve()
    quick = c.submit("noop", retain=0.1)
    gone = c.submit("noop", retain=0.1)
    slow, gate = held(t, c)
    c.wait(quick)
    child = c.submit("noop", after=[quick, slow])
    wait_for(lambda: not c.call("list", filter={"task": "noop"}, fields=[])["jobs"] or
             gone not in [job["id"] for job in c.call("list")["jobs"]], "another like it has gone")
    eq(c.job(quick)["state"], "succeeded")
    d.restart()
    c = t.client()
    eq(c.job(quick)["state"], "succeeded")
    dependency_failed(c.ended_job(child), slow, "failed")
    del gate


def test_unknown_parents(t):
    """A parent that is unknown makes the submission not_found with the ids, and nothing is accepted."""
    d, c = t.serve()
    known = c.submit("noop")
    c.wait(known)
    for method, params in (("submit", {}), ("run", {}), ("map", {"items": [[1], [2]]})):
        error = refused("not_found", c.call, method, dict(params, task="noop", after=[known, 4000, 77, 4001]))
        eq(error["data"]["ids"], [4000, 77, 4001])
        eq(error["message"], "after names jobs that do not exist: 4000,77,4001")
        refused("not_found", c.call, method, dict(params, task="noop", after=[2 ** 53 - 1], after_policy="finished"))
    following = c.submit("noop")
    refused("not_found", c.call, "submit", task="noop", after=[following + 1])
    eq([job["id"] for job in c.call("list")["jobs"]], [known, following])
    eq(pending(d)[0], 0)


def test_a_key_and_unknown_parents(t):
    """A refused submission leaves its key free; a known key answers also when the parents are forgotten."""
    _, c = t.serve()
    parent = c.submit("noop", retain=0.5)
    refused("not_found", c.call, "submit", task="noop", after=[4000], key="k")
    ident = c.submit("noop", after=[parent], key="k")
    eq(c.call("submit", task="noop", after=[parent, parent], after_policy="succeeded", key="k"),
       {"id": ident, "existing": True})
    for other in ({"after": [parent], "after_policy": "finished"}, {"after": [4000]}, {}):
        refused("key_conflict", c.call, "submit", other, task="noop", key="k")
    wait_for(lambda: parent not in [job["id"] for job in c.call("list")["jobs"]], "the parent is forgotten")
    eq(c.call("submit", task="noop", after=[parent], key="k"), {"id": ident, "existing": True})
    refused("not_found", c.call, "submit", task="noop", after=[parent])


@options(root=True)
def test_parents_of_others(t):
    """Another owner's job is unknown as a parent, but to an operator."""
    _, c = t.serve(config={"listen": {"unix_mode": "0666"}})
    user = t.client(uid=20998)
    mine, theirs = c.submit("noop"), user.submit("noop")
    c.wait(mine, theirs)
    error = refused("not_found", user.call, "submit", task="noop", after=[theirs, mine])
    eq(error["data"]["ids"], [mine])
    eq(user.run("noop", after=[theirs])["state"], "succeeded")
    eq(c.run("noop", after=[theirs, mine])["state"], "succeeded")


def test_bad_after(t):
    """What is no list of ids, and a policy that is none, are -32602 by the parameter's name."""
    _, c = t.serve()
    parent = c.submit("noop")
    for method, params in (("submit", {}), ("run", {}), ("map", {"items": [[1]]})):
        for wrong in (parent, "1", [0], [-1], [1.0], ["1"], ["1-2"], [[1]], [None], {"id": 1}, [2 ** 53], True, ""):
            error = refused("bad_params", c.call, method, dict(params, task="noop", after=wrong))
            eq(error["data"]["param"], "after", "for %r" % (wrong,))
        for wrong in ("", "success", "any", 1, ["failed"], "Failed"):
            error = refused("bad_params", c.call, method, dict(params, task="noop", after=[parent], after_policy=wrong))
            eq(error["data"]["param"], "after_policy", "for %r" % (wrong,))
    job = c.run("noop", after=[], after_policy="failed")
    eq((job["state"], job["after"]), ("succeeded", []))


def test_no_room_amid_the_children(t):
    """Where the disk has no room while thousands of children are let go, each of them goes once when there is room again."""
    d, c = t.serve()
    soft, hard = resource.prlimit(d.pid, resource.RLIMIT_FSIZE)
    for more in (4096, 40000, 120000, 400000):
        parent, gate = held(t, c)
        told = c.call("map", task="noop", items=[[i] for i in range(2500)], after=[parent])
        refusals = d.log().count("did not go through")
        size = os.path.getsize(os.path.join(d.state, "futured.db-wal"))
        resource.prlimit(d.pid, resource.RLIMIT_FSIZE, (size + more, hard))
        gate.release()
        wait_for(lambda: d.log().count("did not go through") > refusals or pending(d) == (0, 0), "there is no room, or all have ended")
        resource.prlimit(d.pid, resource.RLIMIT_FSIZE, (soft, hard))
        ids = ["%d-%d" % (told["first"], told["first"] + 2499)]
        done = c.call("await", ids=ids, jobs=False, wait=within(60))
        eq((done["timed_out"], done["counts"]["succeeded"]), (False, 2500))
        eq(pending(d), (0, 0))
    that("did not go through" in d.log(), "there was no room")
