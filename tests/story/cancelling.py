"""
cancel: a promise that the job will end cancelled, once its whole tree is gone.
"""

import os
import time

from harness import eq, error_of, process, that, wait_for, within


def test_cancel_pending(t):
    """A job that has not started is cancelled and never starts."""
    _, c = t.serve(workers=1)
    gate = t.gate()
    first = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    ident = c.submit("exec", t.sh(": > %s" % t.path("ran")))
    eq(c.call("cancel", id=ident), {"id": ident, "cancelled": True, "was": "pending"})
    job = c.ended_job(ident)
    eq((job["state"], job["attempt"], job["started"]), ("cancelled", 0, None))
    error_of(job, "Cancelled")
    gate.release()
    c.ended_job(first)
    c.run("exec", {"argv": ["/bin/true"]})
    eq(os.path.exists(t.path("ran")), False)


def test_cancel_delayed(t):
    """A delayed job is cancelled at once."""
    _, c = t.serve()
    ident = c.submit("noop", delay=3600)
    eq(c.call("cancel", id=ident), {"id": ident, "cancelled": True, "was": "pending"})
    eq(c.ended_job(ident)["state"], "cancelled")


def test_cancel_running_command(t):
    """A running command gets TERM, and its job says cancelled once it is dead."""
    _, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv()})
    pid = gate.started()
    eq(c.call("cancel", id=ident, reason="not wanted"), {"id": ident, "cancelled": True, "was": "running"})
    job = c.ended_job(ident)
    eq(process.alive(pid), False, "the command is dead when the job says cancelled")
    eq(job["state"], "cancelled")
    error_of(job, "Cancelled")
    that(job["finished"] is not None and job["usage"] is not None, "it has an end")


def test_cancel_term_grace_kill(t):
    """TERM comes first and can be used to tidy up; what ignores it is killed when the grace is over."""
    _, c = t.serve()
    ident = c.submit("exec", t.sh("trap 'echo tidy > $0; exit 0' TERM; echo up; while :; do sleep 0.05; done", t.path("tidy")))
    c.call("output", id=ident, stream="stdout", wait=within(20))
    c.call("cancel", id=ident, grace=60)
    eq(c.ended_job(ident)["state"], "cancelled")
    eq(t.read("tidy"), b"tidy\n")
    stubborn = c.submit("exec", t.sh("trap '' TERM; echo $$; while :; do sleep 0.05; done"))
    pid = int(c.call("output", id=stubborn, stream="stdout", wait=within(20))["data"])
    began = time.monotonic()
    c.call("cancel", id=stubborn, grace=0.5)
    eq(c.ended_job(stubborn)["state"], "cancelled")
    that(0.45 <= time.monotonic() - began < within(6), "the grace is given, and no more")
    eq(process.alive(pid), False)


def test_cancel_without_grace(t):
    """A grace of 0 kills at once."""
    _, c = t.serve()
    ident = c.submit("exec", t.sh("trap '' TERM; echo $$; while :; do sleep 0.05; done"))
    pid = int(c.call("output", id=ident, stream="stdout", wait=within(20))["data"])
    c.call("cancel", id=ident, grace=0)
    eq(c.ended_job(ident)["state"], "cancelled")
    eq(process.alive(pid), False)


def test_cancel_the_whole_tree(t):
    """Cancelling a command leaves nothing of its tree alive, also what left its process group, and only then says so."""
    _, c = t.serve()
    held, reader = t.fifo("held")
    script = ("exec 9> %s; (setsid sleep 987 &) ; (setsid sh -c '(setsid sleep 986 &) ; sleep 985' &) ; "
              "(trap '' TERM HUP; setsid sh -c 'sleep 984; sleep 983' &) ; echo $$ >&9; sleep 988" % held)
    ident = c.submit("exec", t.sh(script))
    wait_for(lambda: len([pid for pid in process.marked(t.mark) if "sleep 98" in process.command(pid)]) >= 5,
             "the whole tree runs")
    that(c.call("cancel", id=ident, grace=0.2)["cancelled"], "it is cancelled")
    eq(c.ended_job(ident)["state"], "cancelled")
    left = [process.command(pid) for pid in process.marked(t.mark) if "sleep 98" in process.command(pid)]
    eq(left, [], "what lives when the job says cancelled")
    process.wait_end_of_pipe(reader, 5)


def test_cancel_that_of_the_issue(t):
    """Cancelling sh -c '(setsid sleep 987 &) ; sleep 988' leaves neither sleep alive, and only then says cancelled."""
    _, c = t.serve()
    ident = c.submit("exec", t.sh("(setsid sleep 987 &) ; sleep 988"))

    def sleeps():
        return [process.command(pid) for pid in process.marked(t.mark) if process.command(pid) in ("sleep 987", "sleep 988")]
    wait_for(lambda: len(sleeps()) == 2, "both sleep")
    c.call("cancel", id=ident)
    eq(c.ended_job(ident)["state"], "cancelled")
    eq(sleeps(), [])


def test_cancel_running_function(t):
    """A function that computes in a worker is cancelled, and the worker's place is filled again."""
    _, c = t.serve(workers=1)
    ident = c.submit("math.factorize", [9223372036854775783])
    wait_for(lambda: c.job(ident)["state"] == "running", "it runs")
    eq(c.call("cancel", id=ident, grace=0.1), {"id": ident, "cancelled": True, "was": "running"})
    eq(c.ended_job(ident)["state"], "cancelled")
    eq(c.run("math.factorize", [91])["result"], [7, 13])


def test_cancel_io(t):
    """A wait and a fetch are cancelled at once."""
    _, c = t.serve()
    ids = [c.submit("time.sleep", [600]) for _ in range(100)]
    wait_for(lambda: all(job["state"] == "running" for job in c.call("status", ids=ids)), "all sleep")
    eq([one["cancelled"] for one in c.call("cancel", ids=ids)], [True] * 100)
    told = c.call("await", ids=ids, wait=within(20), jobs=False)
    eq((told["timed_out"], told["counts"]["cancelled"]), (False, 100))


def test_cancel_a_blocked_call(t):
    """A call that blocks in an I/O thread is given up: its job ends at once, and other jobs have a thread."""
    _, c = t.serve(threads=1)
    os.mkfifo(t.path("blocked"))
    ident = c.submit("file.read", [t.path("blocked")])
    writer = wait_for(lambda: opened(t.path("blocked")), "the call blocks")
    eq(c.call("cancel", id=ident)["cancelled"], True)
    eq(c.ended_job(ident, wait=10)["state"], "cancelled")
    eq(c.run("file.read", [t.write("plain", "read")])["result"]["body"], "read")
    os.write(writer, b"late")
    os.close(writer)
    eq(c.run("noop.io", [1])["result"], [1])
    eq(c.job(ident)["state"], "cancelled")


def opened(path):
    """The writing end of a pipe that somebody reads, else None."""
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


def test_a_late_result(t):
    """What an attempt that timed out still says is not taken for the next one's result."""
    _, c = t.serve()
    path = t.path("pipe")
    os.mkfifo(path)
    ident = c.submit("file.read", [path], timeout=0.5, max_attempts=2, backoff=1)
    first = wait_for(lambda: opened(path), "the first attempt blocks")
    os.mkfifo(t.path("second"))
    os.rename(t.path("second"), path)
    wait_for(lambda: c.job(ident)["attempt"] == 2 and c.job(ident)["state"] == "running", "the second attempt runs")
    second = wait_for(lambda: opened(path), "the second attempt blocks")
    os.write(first, b"of the first")
    os.close(first)
    eq(c.run("noop.io", [1])["result"], [1])
    os.write(second, b"of the second")
    os.close(second)
    job = c.ended_job(ident)
    that(job["error"] or job["result"]["body"] == "of the second", "a late result was taken: %r" % job)
    that(job["result"] or job["error"]["type"] == "TimedOut", "%r" % job)


def test_cancel_ended(t):
    """An ended job is not cancelled, says what it was and does not change."""
    _, c = t.serve()
    job = c.run("noop", [1])
    eq(c.call("cancel", id=job["id"]), {"id": job["id"], "cancelled": False, "was": "succeeded"})
    eq(c.job(job["id"]), job)


def test_cancel_twice(t):
    """A second cancel of a job that is being cancelled keeps the promise of the first."""
    _, c = t.serve()
    ident = c.submit("exec", t.sh("trap '' TERM; echo up; while :; do sleep 0.05; done"))
    c.call("output", id=ident, stream="stdout", wait=within(20))
    eq(c.call("cancel", id=ident, grace=1)["cancelled"], True)
    eq(c.call("cancel", id=ident, grace=1)["cancelled"], True)
    eq(c.ended_job(ident)["state"], "cancelled")
    eq(c.call("cancel", id=ident)["cancelled"], False)


def test_cancel_many(t):
    """cancel of a selection answers for each in order; of a filter for what fits."""
    _, c = t.serve()
    done = c.run("noop")["id"]
    ids = [c.submit("noop", delay=3600, label="l") for _ in range(5)]
    told = c.call("cancel", ids=[done] + ids[:2])
    eq([(one["id"], one["cancelled"]) for one in told], [(done, False), (ids[0], True), (ids[1], True)])
    told = c.call("cancel", filter={"label": "l", "state": "pending"})
    eq(sorted(one["id"] for one in told), ids[2:])
    eq(c.call("await", ids=ids, jobs=False)["counts"]["cancelled"], 5)


def test_cancel_races_the_end(t):
    """Cancelled while it ends: what cancel promised is what the job says."""
    _, c = t.serve()
    lines, asked = [], []
    for i in range(300):
        lines.append(c.request("submit", task="exec" if i % 10 == 0 else "noop",
                               args={"argv": ["/bin/true"]} if i % 10 == 0 else [i])[1])
    c.raw(b"".join(lines))
    for i in range(300):
        asked.append(c.send("cancel", id=i + 1))
    promised = [c.answer(one) for one in asked]
    jobs = c.wait(*range(1, 301))
    for one, job in zip(promised, jobs):
        eq(job["state"] == "cancelled", one["cancelled"], "job %d, told %s" % (job["id"], one))


def test_cancel_amid_a_flood(t):
    """Pure jobs that begin before the store has them, cancelled in the same breath: each ends once, as cancel promised."""
    _, c = t.serve()
    first = c.run("noop")["id"] + 1
    for _ in range(10):
        lines = [c.request("submit", task="noop", args=[i]) for i in range(500)]
        asked = [c.request("cancel", ids=["%d-%d" % (first + at, first + at + 19)]) for at in range(20, 500, 50)]
        for place, one in enumerate(asked):
            lines.insert(40 + place * 51, one)
        c.raw(b"".join(data for _, data in lines))
        promised = [one for ident, _ in asked for one in c.answer(ident)]
        eq(len(promised), 200)
        counts = c.call("await", ids=["%d-%d" % (first, first + 499)], jobs=False)["counts"]
        eq(counts["succeeded"] + counts["cancelled"], 500)
        eq(counts["cancelled"], sum(one["cancelled"] for one in promised))
        first += 500
    stats = c.call("stats")
    eq((stats["pending"], stats["running"]), (0, 0))


def test_cancel_outlives_the_daemon(t):
    """A cancel that was promised is kept though the daemon is killed before the command has ended."""
    d, c = t.serve()
    ident = c.submit("exec", t.sh("trap '' TERM; echo $$; while :; do sleep 0.05; done"), max_attempts=5)
    pid = int(c.call("output", id=ident, stream="stdout", wait=within(20))["data"])
    eq(c.call("cancel", id=ident, grace=600)["cancelled"], True)
    d.restart()
    eq(process.alive(pid), False)
    c = t.client()
    eq(c.ended_job(ident)["state"], "cancelled")


def test_cancelled_twice_at_once(t):
    """Two cancels behind the submission of a job that starts at once are both true, and it ends cancelled."""
    d, c = t.serve()
    for turn in range(1, 21):
        lines = [c.request("submit", task="time.sleep", args=[3600])[1], c.request("cancel", id=turn)[1], c.request("cancel", id=turn)[1]]
        c.raw(b"".join(lines))
        answers = [c.message() for _ in lines]
        that(all("result" in answer or answer["error"]["data"]["code"] == "not_found" for answer in answers), "%r" % answers)
        c.call("cancel", id=turn)
        eq(c.ended_job(turn)["state"], "cancelled")
    eq(d.ended(), False)
