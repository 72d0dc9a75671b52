"""
futurectl explain: why a job is where it is, in a sentence, and what to do.
"""

import json

from harness import contains, eq, that, wait_for


def explain(t, ident, *parts):
    """What explain says of the job; all parts are in it."""
    done = t.ctl("explain", str(ident), status=0)
    eq(done.err, "")
    that(done.out.startswith("Job %d (" % ident), "%r" % done)
    for part in parts:
        contains(done.out, part)
    return done.out


def test_pending(t):
    """A delayed job says until when, one without a place what it waits for."""
    _, c = t.serve(workers=1)
    explain(t, c.submit("noop", delay=3600), "not to start before", "in 59m")
    gate = t.gate()
    running = c.submit("exec", {"argv": gate.argv()}, timeout=3600)
    pid = gate.started()
    waiting = c.submit("exec", t.sh("true"))
    explain(t, waiting, "waits for a free place", "cpu", "futurectl top")
    text = explain(t, running, "is running since", "it is ended after 1h00m", "futurectl follow %d" % running)
    contains(text, str(c.job(running)["usage"]["worker"]))
    that(pid > 0, "it runs")
    gate.release()
    c.wait(waiting)


def test_retrying(t):
    """A job that will be tried again says so, and how often."""
    _, c = t.serve()
    ident = c.submit("exec", t.sh("exit 1"), max_attempts=3, backoff=3600)
    wait_for(lambda: c.job(ident)["reason"] == "retrying", "it has failed once")
    explain(t, ident, "started again", "attempt 1 of 3")


def test_ends(t):
    """Each end is told in words, with its cause and with what to do."""
    _, c = t.serve(config={"limits": {"result": "2K"}})
    explain(t, c.run("noop")["id"], "succeeded at", "futurectl result 1")
    for task, args, more, parts in (
            ("exec", t.sh("echo why >&2; exit 3"), {}, ["status other than 0", "exit status 3", "why", "--stderr"]),
            ("exec", t.sh("kill -SEGV $$"), {}, ["ended by a signal", "SIGSEGV", "futurectl retry"]),
            ("exec", t.sh("sleep 600"), {"timeout": 0.1}, ["longer than its --timeout"]),
            ("exec", {"argv": ["/no/such"]}, {}, ["could not do it", "/no/such"]),
            ("math.factorize", ["x"], {}, ["arguments do not fit", "futurectl tasks"]),
            ("noop", ["x" * 4000], {}, ["larger than a result"])):
        job = c.run(task, args, **more)
        eq(job["state"], "failed", "%r" % job)
        explain(t, job["id"], "failed at", *parts)
    ident = c.submit("noop", delay=3600)
    c.call("cancel", id=ident, reason="not wanted")
    c.wait(ident)
    explain(t, ident, "was cancelled", "not wanted", "futurectl retry %d" % ident)


def test_lost(t):
    """A job that was lost with the daemon says that it may have had effects."""
    d, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    d.restart()
    c = t.client()
    c.wait(ident)
    explain(t, ident, "went down while it ran", "--max-attempts", "futurectl retry %d" % ident)


def test_json(t):
    """--json is one object of always the same form."""
    _, c = t.serve()
    done, late = c.run("noop")["id"], c.submit("noop", delay=3600)
    for ident, state, reason in ((done, "succeeded", None), (late, "pending", "delayed")):
        told = json.loads(t.ctl("--json", "explain", str(ident), status=0).out)
        eq((told["id"], told["state"], told["reason"], told["error"]), (ident, state, reason, None))
        that(told["explanation"] and sorted(told) == ["advice", "error", "explanation", "id", "reason", "state"], "%r" % told)


def test_which(t):
    """It takes one id or last; an unknown one is 2."""
    _, c = t.serve()
    c.run("noop")
    contains(t.ctl("explain", "last", status=0).out, "Job 1 ")
    for words in (["2"], [], ["1", "1"], ["1-1"], ["state=failed"]):
        done = t.ctl("explain", *words, status=2)
        that(done.err and not done.out, "%r" % done)
