"""
kill -9 of a worker, the spawner, the daemon, two of them and all: what dies with them, what is lost and what is not.
"""

import os
import re
import signal

from harness import Closed, eq, error_of, options, process, refused, that, wait_for, within


def sleeper(t, c, number, **params):
    """A command whose tree escapes in every way it can, and its pids once all of it runs; held open by a pipe."""
    held, reader = t.fifo("held-%s" % number)
    ident = c.submit("exec", t.sh("exec 9> %s; (setsid sleep %s1 &); (setsid sh -c '(setsid sleep %s2 &); sleep %s3' &); "
                                  "trap '' TERM HUP INT; sleep %s4; sleep %s5" % ((held,) + (number,) * 5)), **params)

    def pids():
        found = [pid for pid in process.marked(t.mark) if re.search(r"sleep %s\d" % number, process.command(pid))]
        sleeps = [pid for pid in found if re.fullmatch(r"sleep %s[1-4]" % number, process.command(pid))]
        return found if len(sleeps) == 4 else None
    return ident, wait_for(pids, "the tree of %s runs" % number), reader


def all_gone(pids, reader):
    for pid in pids:
        that(not process.alive(pid), "%d (%s) lives" % (pid, process.command(pid)))
    process.wait_end_of_pipe(reader, 5)


def worker_of(c, ident):
    return c.job(ident)["usage"]["worker"]


def test_kill_a_worker(t):
    """The death of a worker ends that attempt of that job alone, with its whole tree, and the slot is filled again."""
    d, c = t.serve(workers=2)
    gate = t.gate()
    other = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    ident, pids, reader = sleeper(t, c, 870)
    worker = worker_of(c, ident)
    process.kill(worker)
    job = c.ended_job(ident)
    eq((job["state"], job["attempt"]), ("failed", 1))
    eq(error_of(job, "WorkerDied").get("signal", "SIGKILL"), "SIGKILL")
    all_gone(pids, reader)
    eq(c.job(other)["state"], "running")
    wait_for(lambda: len([w for w in c.call("stats")["workers"] if w["lane"] == "cpu" and process.alive(w["pid"])]) == 2,
             "the slot is filled again")
    that(worker not in [w["pid"] for w in c.call("stats")["workers"]], "by another worker")
    eq(c.run("math.factorize", [91])["result"], [7, 13])
    gate.release()
    eq(c.ended_job(other)["state"], "succeeded")


def test_kill_a_computing_worker(t):
    """An idempotent job goes on in another worker after the death of its own, until its attempts are used up."""
    _, c = t.serve(workers=1)
    ident = c.submit("math.factorize", [9223372036854775783], backoff=0.01)
    killed = set()
    while True:
        job = wait_for(lambda: [job for job in [c.job(ident)] if job["state"] in ("failed", "succeeded") or
                                job["state"] == "running" and job["usage"]["worker"] not in killed | {None}],
                       "another attempt after %d, or the end" % len(killed))[0]
        if job["state"] != "running":
            break
        process.kill(job["usage"]["worker"])
        killed.add(job["usage"]["worker"])
    eq((job["state"], job["attempt"]), ("failed", 3))
    that(len(killed) >= 3, "each attempt had a worker of its own")  # more: an attempt that had not begun does not count
    error_of(job, "WorkerDied")
    eq(c.run("noop", [1])["result"], [1])


def test_kill_idle_workers(t):
    """Idle workers that are killed are replaced, and no job notices."""
    _, c = t.serve(workers=2)
    for _ in range(5):
        for worker in c.call("stats")["workers"]:
            process.kill(worker["pid"])
        jobs = [c.run("noop", [i]) for i in range(5)]
        eq([job["result"] for job in jobs], [[i] for i in range(5)])


def test_kill_workers_under_load(t):
    """While workers are killed every job of 20,000 ends once, with its own result."""
    _, c = t.serve(workers=2)
    count = 20000
    c.call("map", task="noop", items=[[i] for i in range(count)], max_attempts=20, backoff=0.01)
    other, kills = t.client(), 0
    for _ in range(12):
        for worker in other.call("stats")["workers"]:
            process.kill(worker["pid"])
            kills += 1
        wait_for(lambda: len(other.call("stats")["workers"]) >= 1, "there is a worker")
    told = c.call("await", ids=["1-%d" % count], jobs=False, wait=within(80))
    eq((told["timed_out"], told["counts"]["succeeded"]), (False, count))
    for ident in range(1, count, 1999):
        eq(c.job(ident)["result"], [ident - 1])
    t.figure("%d workers were killed" % kills)


def test_stop_a_worker_for_a_while(t):
    """A worker that is stopped and goes on harms nobody."""
    _, c = t.serve(workers=2)
    ident = c.submit("math.factorize", [1000000007 * 1000000009])
    worker = wait_for(lambda: c.call("stats")["workers"], "there is a worker")[0]["pid"]
    process.kill(worker, signal.SIGSTOP)
    others = [c.run("noop.io", [i])["state"] for i in range(3)]
    process.kill(worker, signal.SIGCONT)
    eq((others, c.ended_job(ident)["result"]), (["succeeded"] * 3, [1000000007, 1000000009]))


def test_kill_the_spawner(t):
    """The death of the spawner ends the daemon and every tree, and the next start recovers."""
    d, c = t.serve()
    ident, pids, reader = sleeper(t, c, 871)
    waiting = c.submit("noop", ["later"], delay=0.5)
    below = d.tree()
    process.kill(d.spawner())
    that(d.wait() not in (0, -signal.SIGKILL), "the daemon ends by itself, and not as if all were well: %r" % d.status)
    that("the spawner ended by signal 9 (Killed)" in d.log(), "the log says how it died: %s" % d.log())
    for pid in below:
        process.wait_gone(pid, "a process of the old tree")
    all_gone(pids, reader)
    d.start()
    c = t.client()
    error_of(c.job(ident), "Lost")
    eq(c.ended_job(waiting)["result"], ["later"])


def test_kill_the_daemon(t):
    """kill -9 of the daemon: every tree dies with it; what was seen is there, queued work goes on, commands are Lost."""
    d, c = t.serve(workers=2)
    seen = [c.run("noop", [i]) for i in range(5)]
    failed = c.run("exec", t.sh("echo bad >&2; exit 9"))
    ident, pids, reader = sleeper(t, c, 872)
    second, more, other_reader = sleeper(t, c, 873, lane="io")
    queued = [c.submit("noop", [i], delay=0.2) for i in range(5)]
    below = d.tree()
    d.signal(signal.SIGKILL)
    d.wait()
    for pid in below:
        process.wait_gone(pid, "a process of the old tree")
    all_gone(pids, reader)
    all_gone(more, other_reader)
    d.start()
    c = t.client()
    eq([c.job(job["id"]) for job in seen], seen, "what was seen ended is unchanged")
    eq(c.job(failed["id"]), failed)
    for job in c.call("status", ids=[ident, second]):
        eq((job["state"], job["attempt"]), ("failed", 1))
        error_of(job, "Lost")
    eq([job["result"] for job in c.wait(*queued)], [[i] for i in range(5)])


def test_kill_daemon_and_spawner(t):
    """kill -9 of daemon and spawner at once leaves no process of theirs, and the next start recovers."""
    d, c = t.serve()
    ident, pids, reader = sleeper(t, c, 874)
    below, spawner = d.tree(), d.spawner()
    process.kill_at_once([d.pid, spawner])
    d.wait()
    for pid in below:
        process.wait_gone(pid, "a process of the old tree")
    all_gone(pids, reader)
    d.start()
    error_of(t.client().job(ident), "Lost")


def test_kill_all_but_the_command(t):
    """When daemon, spawner and all workers die at once, the next start ends the old trees before it answers."""
    d, c = t.serve()
    ident, pids, reader = sleeper(t, c, 875)
    spawner = d.spawner()
    workers = [worker["pid"] for worker in c.call("stats")["workers"]]
    process.kill_at_once([d.pid, spawner] + workers)
    d.wait()
    for pid in [spawner] + workers:
        process.wait_gone(pid)
    that([pid for pid in pids if process.alive(pid)], "the command lives on: else this shows nothing")
    d.start()
    all_gone(pids, reader)
    c = t.client()
    error_of(c.job(ident), "Lost")
    eq(c.run("exec", {"argv": ["/bin/echo", "on"]})["result"]["stdout"], "on\n")


def test_kill_everything(t):
    """When every process dies at once the next start recovers: Lost, nothing runs twice, queued work goes on."""
    d, c = t.serve()
    ident, pids, reader = sleeper(t, c, 876)
    queued = c.submit("noop", ["q"], delay=0.2)
    process.kill_at_once([d.pid] + d.tree() + pids)
    d.wait()
    d.start()
    all_gone(pids, reader)
    c = t.client()
    error_of(c.job(ident), "Lost")
    eq(c.ended_job(queued)["result"], ["q"])


def test_a_job_that_kills_everything(t):
    """A job that kills the daemon and all of its processes is Lost, and the next start recovers."""
    d, c = t.serve()
    queued = c.submit("noop", ["q"], delay=0.5)
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv("kill -9 %d %s" % (d.pid, " ".join(str(pid) for pid in d.tree())))})
    gate.started()  # the reply to the submission is there
    gate.release()
    eq(d.wait(), -signal.SIGKILL)
    d.start()
    c = t.client()
    error_of(c.ended_job(ident), "Lost")
    eq(c.ended_job(queued)["result"], ["q"])


@options(root=True)
def test_a_job_that_kills_its_user(t):
    """A job that does kill -9 -1 each time that it runs ends Lost after its attempts, and what waits is kept."""
    d, c = t.serve(workers=2)
    queued = c.submit("noop", ["q"], delay=3600)
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv("kill -9 -1; exit 0")}, max_attempts=3, backoff=0.01)
    for _ in range(3):
        gate.started()
        gate.release()
        eq(d.wait(), -signal.SIGKILL)
        d.start()
    c = t.client()
    job = c.ended_job(ident)
    eq((job["state"], job["attempt"]), ("failed", 3))
    error_of(job, "Lost")
    that(gate.waiting(), "it did not run a fourth time")
    eq(c.job(queued)["state"], "pending")
    eq(c.run("exec", {"argv": ["/bin/echo", "on"]})["result"]["stdout"], "on\n")


def test_kill_while_starting(t):
    """A daemon killed again and again as it starts comes up in the end with all that was accepted."""
    d, c = t.serve()
    done = [c.run("noop", [i])["id"] for i in range(3)]
    c.call("map", task="noop", items=[[i] for i in range(2000)], delay=3600)
    d.kill()
    for _ in range(10):
        d.start(ready=False)
        wait_for(lambda: d.ended() or len(d.tree()) > 0, "it has begun")
        d.kill()
    d.start()
    c = t.client()
    eq([c.job(ident)["state"] for ident in done], ["succeeded"] * 3)
    eq(c.call("await", ids=["4-2003"], wait=0, jobs=False)["counts"]["pending"], 2000)


def test_lost_and_retried(t):
    """After a crash an idempotent job starts again, one that may not is Lost, one with attempts to spare starts again."""
    d, c = t.serve(workers=3)
    gates = [t.gate(), t.gate()]
    once = c.submit("exec", {"argv": gates[0].argv()})
    thrice = c.submit("exec", {"argv": gates[1].argv("exit 0")}, max_attempts=3, backoff=0.01)
    pure = c.submit("math.factorize", [9223372036854775783], backoff=0.01)
    gates[0].started()
    gates[1].started()
    wait_for(lambda: c.job(pure)["state"] == "running", "it computes")
    d.restart()
    c = t.client()
    error = error_of(c.ended_job(once), "Lost")
    eq(error.get("attempt", 1), 1)
    gates[1].started()
    eq(c.job(thrice)["attempt"], 2)
    gates[1].release()
    eq(c.ended_job(thrice)["state"], "succeeded")
    eq(gates[0].waiting(), True, "the one that may not was not started again")
    wait_for(lambda: c.job(pure)["attempt"] == 2, "the pure one starts again")
    c.call("cancel", id=pure, grace=0)
    eq(c.ended_job(pure)["state"], "cancelled")


def test_attempts_end(t):
    """A crash uses up an attempt: after max_attempts of them the job is Lost."""
    d, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv()}, max_attempts=3, backoff=0.01)
    for _ in range(3):
        gate.started()
        d.restart()
    c = t.client()
    job = c.ended_job(ident)
    eq(job["attempt"], 3)
    error_of(job, "Lost")


def test_never_started_are_kept(t):
    """What was accepted and never started keeps its place and its attempt 0 over a crash."""
    d, c = t.serve(workers=1)
    gate = t.gate()
    c.submit("exec", {"argv": gate.argv()})
    gate.started()
    ids = [c.submit("exec", t.sh("echo %d >> %s" % (i, t.path("ran")))) for i in range(10)]
    eq({job["attempt"] for job in c.call("status", ids=ids)}, {0})
    d.restart()
    jobs = t.client().wait(*ids)
    eq([(job["state"], job["attempt"]) for job in jobs], [("succeeded", 1)] * 10)
    eq(t.read("ran").split(), [str(i).encode() for i in range(10)])


def test_sleeps_go_on(t):
    """I/O tasks that were under way start again after a crash."""
    d, c = t.serve()
    told = c.call("map", task="time.sleep", items=[[0.5]] * 20, backoff=0.01)
    wait_for(lambda: c.call("await", ids=["1-20"], wait=0, jobs=False)["counts"].get("running") == 20, "all sleep")
    d.restart()
    jobs = t.client().wait(*range(1, told["count"] + 1))
    eq({job["state"] for job in jobs}, {"succeeded"})


def test_delayed_over_a_crash(t):
    """A delayed job is still delayed after a crash, and due ones run."""
    d, c = t.serve()
    far, near = c.submit("noop", delay=3600), c.submit("noop", [1], delay=0.3)
    when = c.job(far)["not_before"]
    d.restart()
    c = t.client()
    eq((c.job(far)["reason"], c.job(far)["not_before"]), ("delayed", when))
    eq(c.ended_job(near)["state"], "succeeded")


def test_ids_after_a_crash(t):
    """Ids rise over crashes and none is used again."""
    d, c = t.serve()
    last = 0
    for _ in range(4):
        ids = [c.submit("noop") for _ in range(20)]
        that(ids == sorted(ids) and ids[0] > last, "%r after %d" % (ids, last))
        last = ids[-1]
        d.restart()
        c = t.client()
    eq(len(c.listed(limit=1000)), 80)


def test_accepted_is_durable(t):
    """Every submission that was answered is there after kill -9, however little time it had."""
    d, c = t.serve()
    kept = []
    for turn in range(8):
        sent = [c.request("submit", task="noop", args=[turn, i], delay=3600)[1] for i in range(500)]
        c.raw(b"".join(sent))
        for _ in range(50 + turn * 60):
            kept.append(c.message()["result"]["id"])
        d.restart()
        c = t.client()
    eq({job["state"] for job in c.call("status", ids=kept)}, {"pending"})


def test_awaits_end_with_the_daemon(t):
    """Who waits when the daemon dies sees the end of the connection and no false answer."""
    d, c = t.serve()
    ident = c.submit("noop", delay=3600)
    waiters = [t.client() for _ in range(20)]
    for waiter in waiters:
        waiter.send("await", id=ident)
    eq(c.call("ping"), "pong")
    d.kill()
    for waiter in waiters:
        try:
            that(False, "an answer: %r" % waiter.message())
        except Closed:
            pass


def test_unknown_after_forgotten_state(t):
    """A new state folder knows nothing of the old one's jobs."""
    d, c = t.serve()
    ident = c.run("noop")["id"]
    d.stop()
    os.rename(d.state, d.state + ".old")
    d.start()
    refused("not_found", t.client().call, "status", id=ident)
