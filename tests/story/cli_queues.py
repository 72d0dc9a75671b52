"""
futurectl queues, pause, resume and set-queue; retry, forget and drain; what submit says of when, after what and how far.
"""

import json

from harness import contains, eq, that, wait_for


def rows(text):
    return [line.split("\t") for line in text.splitlines()]


def test_pause_and_resume(t):
    """pause holds a queue, resume lets it go on; both print the queue."""
    _, c = t.serve()
    eq(rows(t.ctl("pause", "q", status=0).out)[0][:3], ["q", "", "paused"])
    ident = c.submit("noop", queue="q")
    eq(c.job(ident)["reason"], "paused")
    contains(t.ctl("explain", str(ident), status=0).out, "futurectl resume q")
    told = json.loads(t.ctl("--json", "resume", "q", "r", status=0).out)
    eq([(one["queue"], one["paused"]) for one in told], [("q", False), ("r", False)])
    eq(c.ended_job(ident)["state"], "succeeded")
    for command in ("pause", "resume", "set-queue"):
        done = t.ctl(command, status=2)
        that(done.err and not done.out, "%r" % done)


def test_set_queue(t):
    """set-queue sets a limit, as a word or an option, and takes it away."""
    _, c = t.serve(workers=2)
    eq(rows(t.ctl("set-queue", "q", "1", status=0).out)[0][:2], ["q", "1"])
    gate = t.gate()
    first = c.submit("exec", {"argv": gate.argv()}, queue="q")
    gate.started()
    second = c.submit("noop", queue="q")
    eq(c.job(second)["reason"], "queue_limit")
    contains(t.ctl("explain", str(second), status=0).out, "which is 1")
    eq(json.loads(t.ctl("--json", "set-queue", "q", "--no-limit", status=0).out)[0]["limit"], None)
    eq(c.ended_job(second)["state"], "succeeded")
    eq(rows(t.ctl("set-queue", "--limit", "3", "q", "r", status=0).out)[1][:2], ["r", "3"])
    eq(rows(t.ctl("set-queue", "q", "none", status=0).out)[0][:2], ["q", ""])
    for words in (["q"], ["q", "x"], ["q", "0"], ["q", "--limit", "1", "--no-limit"]):
        t.ctl("set-queue", *words, status=2)
    gate.release()
    c.wait(first)


def test_retry(t):
    """retry submits failed and cancelled jobs again, by id or filter, and prints the new ids."""
    _, c = t.serve()
    c.run("noop")
    for _ in range(2):
        c.run("math.factorize", ["x"], label="bad")
    eq(rows(t.ctl("retry", "1-2", status=0).out), [["1", "not retried", ""], ["2", "retried", "4"]])
    told = json.loads(t.ctl("--json", "retry", "3", status=0).out)
    eq([(one["id"], one["retried"], one["new"]) for one in told], [(3, True, 5)])
    c.wait(4, 5)
    eq(len(rows(t.ctl("retry", "label=bad", "state=failed", status=0).out)), 4)
    t.ctl("retry", "99", status=2)
    contains(t.ctl("retry", "label=none", status=0).err, "no job fits")


def test_forget(t):
    """forget drops what has ended."""
    _, c = t.serve()
    for i in range(3):
        c.run("noop", [i], label="l")
    late = c.submit("noop", delay=3600, label="l")
    eq(rows(t.ctl("forget", "1,%d" % late, status=0).out), [["1", "forgotten"], [str(late), "not ended"]])
    eq(len(json.loads(t.ctl("--json", "forget", "label=l", "state=succeeded", status=0).out)), 2)
    eq([job["id"] for job in c.call("list")["jobs"]], [late])
    t.ctl("forget", "1", status=2)


def test_drain(t):
    """drain ends the daemon once what runs has ended."""
    d, c = t.serve()
    gate = t.gate()
    c.submit("exec", {"argv": gate.argv()})
    gate.started()
    child = t.ctl_start("drain", "--wait", "60")
    wait_for(lambda: t.ctl("submit", "noop").status == 2, "nothing more is accepted")
    eq(d.ended(), False)
    gate.release()
    t.finish_ctl(child, status=0)
    eq(d.wait(), 0)


def test_drain_for_a_while(t):
    """drain --wait says so, with status 124, where jobs still ran when the time was over."""
    d, c = t.serve()
    gate = t.gate()
    c.submit("exec", {"argv": gate.argv()})
    gate.started()
    contains(t.ctl("drain", "--wait", "0.1", status=124).err, "still ran")
    eq(d.wait(), 0)


def test_when(t):
    """--not-before takes times as people write them, --expires a duration."""
    _, c = t.serve()
    for words, job in ((["--not-before", "2087-01-02T03:04:05Z"], {"not_before": "2087-01-02T03:04:05.000Z"}),
                       (["--not-before", "2087-01-02 03:04"], {"not_before": "2087-01-02T03:04:00.000Z"}),
                       (["--not-before", "2087-01-02T03:04:05.5+01:30"], {"not_before": "2087-01-02T01:34:05.500Z"})):
        ident = int(t.ctl("submit", *words, "noop", status=0).out)
        told = c.job(ident)
        eq({name: told[name] for name in job}, job)
        eq(told["reason"], "delayed")
        contains(t.ctl("explain", str(ident), status=0).out, "2087-01-02")
    local = t.ctl("submit", "--not-before", "2087-01-02 03:04", "noop", env={"TZ": "UTC-2"}, status=0).out
    eq(c.job(int(local))["not_before"], "2087-01-02T01:04:00.000Z")
    ident = int(t.ctl("submit", "--not-before", "00:00", "noop", status=0).out)
    that(c.job(ident)["not_before"].endswith("T00:00:00.000Z"), "the next midnight")
    ident = int(t.ctl("submit", "--delay", "1h30m", "--expires", "2h", "noop", status=0).out)
    told = c.job(ident)
    that(told["expires"] > told["not_before"] > told["submitted"], "%r" % told)
    for words in (["--not-before", "soon"], ["--not-before", "2087-01-02"], ["--not-before", "25:00"],
                  ["--not-before", "03:00", "--delay", "1"], ["--expires", "-1"]):
        done = t.ctl("submit", *words, "noop", status=2)
        that(done.err and not done.out, "%r" % done)


def test_after(t):
    """--after takes ids, ranges and last; --after-policy says which end is asked for."""
    _, c = t.serve()
    gate = t.gate()
    parent = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    child = int(t.ctl("submit", "--after", "last", "noop", "2", status=0).out)
    told = c.job(child)
    eq((told["after"], told["reason"]), ([parent], "after"))
    text = t.ctl("explain", str(child), status=0).out
    contains(text, "%d (running)" % parent)
    contains(text, "futurectl explain %d" % parent)
    third = int(t.ctl("submit", "--after", "%d-%d" % (parent, child), "--after-policy", "finished", "noop", status=0).out)
    eq(c.job(third)["after"], [parent, child])
    contains(t.ctl("explain", str(third), status=0).out, "%d (running), %d (pending)" % (parent, child))
    fails = int(t.ctl("submit", "--after", str(parent), "--after-policy", "failed", "noop", status=0).out)
    gate.release()
    eq([job["state"] for job in c.wait(child, third, fails)], ["succeeded", "succeeded", "failed"])
    contains(t.ctl("explain", str(fails), status=0).out, "--after-policy")
    for words in (["--after", "999"], ["--after", "x"], ["--after", "state=failed"], ["--after", "1-5000"],
                  ["--after-policy", "failed"], ["--after", "1", "--after-policy", "maybe"]):
        done = t.ctl("submit", *words, "noop", status=2)
        that(done.err and not done.out, "%r" % done)


def test_expired(t):
    """explain tells of a job that came too late."""
    _, c = t.serve(workers=1)
    gate = t.gate()
    c.submit("exec", {"argv": gate.argv()})
    gate.started()
    ident = int(t.ctl("submit", "--expires", "100ms", "--", "true", status=0).out)
    eq(c.ended_job(ident)["error"]["type"], "Expired")
    contains(t.ctl("explain", str(ident), status=0).out, "--expires")
    gate.release()
    c.wait(1)


def test_limits(t):
    """--limit-memory, --limit-cpu and --limit-files are of a command, and sizes and times as people write them."""
    _, c = t.serve()
    for words in (["--limit-memory", "much"], ["--limit-memory", "0"], ["--limit-cpu", "x"], ["--limit-files", "0"]):
        t.ctl("submit", *words, "--", "true", status=2)
    t.ctl("submit", "--limit-files", "9", "noop", status=2)
    done = t.ctl("run", "--limit-memory", "1G", "--limit-cpu", "1m", "--limit-files", "123", "--", "sh", "-c", "ulimit -n")
    eq((done.status, done.out), (0, "123\n"))
    told = c.job(1)
    eq(told["state"], "succeeded", "%r" % told)
