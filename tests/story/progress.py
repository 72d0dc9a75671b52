"""
progress: how far a running job is, told by a function or by a command, and shown as long as it runs.
"""

from harness import eq, that, wait_for, within

LONG = [9223372036854775783]  # a prime: by trial division seconds of work


def told(c, ident):
    return c.call("status", id=ident, fields=["progress"])["progress"]


def test_by_a_command(t):
    """A command tells its progress by lines to FUTURED_PROGRESS_FD; null before the first, and when it has ended."""
    _, c = t.serve()
    gate = t.gate()
    script = 'for line in "0.25 a quarter" "50% h\u00e4lf \\"way\\"" 0.75; do echo "$line" >&$FUTURED_PROGRESS_FD; read x < $0.go; done'
    ident = c.submit("exec", {"argv": gate.argv(script)})
    eq(told(c, ident), None)
    gate.started()
    eq(told(c, ident), None)
    gate.release()
    for fraction, text in ((0.25, "a quarter"), (0.5, "h\u00e4lf \"way\""), (0.75, "")):
        wait_for(lambda: (told(c, ident) or {}).get("fraction") == fraction, "it tells %g" % fraction)
        eq(told(c, ident), {"fraction": fraction, "text": text})
        eq(c.job(ident)["state"], "running")
        gate.release()
    job = c.ended_job(ident)
    eq((job["state"], job["progress"]), ("succeeded", None))


def test_garbage(t):
    """What is no progress is ignored, and costs neither the job nor what was told before."""
    _, c = t.serve()
    gate = t.gate()
    script = ("printf '0.5 good\\nnonsense\\n2\\n-1\\n101%%\\n{\"fraction\":1}\\n0.9 \\377\\n\\n' >&$FUTURED_PROGRESS_FD; "
              "head -c 100000 /dev/zero >&$FUTURED_PROGRESS_FD; echo >&$FUTURED_PROGRESS_FD; echo said; read x < $0.go")
    ident = c.submit("exec", {"argv": gate.argv(script)})
    gate.started()
    gate.release()
    eq(c.call("output", id=ident, wait=within(30))["data"], "said\n")
    wait_for(lambda: told(c, ident), "it is told")
    eq(told(c, ident), {"fraction": 0.5, "text": "good"})
    gate.release()
    eq(c.ended_job(ident)["state"], "succeeded")


def test_flood(t):
    """A command that tells without end is not held up by it, and what it tells last is shown."""
    d, c = t.serve()
    gate = t.gate()
    script = "yes '0.1 flood' | head -n 2000000 >&$FUTURED_PROGRESS_FD; echo 0.9 after it >&$FUTURED_PROGRESS_FD; read x < $0.go"
    ident = c.submit("exec", {"argv": gate.argv(script)})
    gate.started()
    gate.release()
    wait_for(lambda: (told(c, ident) or {}).get("text") == "after it", "the last is shown", 60)
    eq(c.call("ping"), "pong")
    gate.release()
    eq(c.ended_job(ident)["state"], "succeeded")


def test_each_attempt_anew(t):
    """Another attempt has told nothing until it does."""
    _, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv("[ $FUTURED_ATTEMPT = 2 ] && exit 0; echo 0.5 >&$FUTURED_PROGRESS_FD; "
                                                "read x < $0.go; exit 1")}, max_attempts=2, backoff=0)
    gate.started()
    gate.release()
    wait_for(lambda: told(c, ident), "the first tells")
    gate.release()
    gate.started()
    eq((c.job(ident)["attempt"], told(c, ident)), (2, None))
    gate.release()
    eq(c.ended_job(ident)["state"], "succeeded")


def test_held_by_somebody_else(t):
    """A process that escaped and holds the descriptor holds neither the job nor its supervisor."""
    _, c = t.serve()
    job = c.run("exec", t.sh("setsid sleep 933 > /dev/null 2>&1 & echo 1 >&$FUTURED_PROGRESS_FD"))
    eq((job["state"], job["progress"]), ("succeeded", None))
    eq(c.run("exec", {"argv": ["/bin/true"]})["state"], "succeeded")


def test_closed(t):
    """A command may close the descriptor, or never look at it."""
    _, c = t.serve()
    eq(c.run("exec", t.sh("exec 3>&-; echo on"))["result"]["stdout"], "on\n")


def test_by_a_function(t):
    """A function tells while it runs, and it rises."""
    _, c = t.serve()
    ident = c.submit("math.factorize", LONG)
    first = wait_for(lambda: told(c, ident), "it tells")
    that(0 <= first["fraction"] < 1 and first["text"], "%r" % first)
    more = wait_for(lambda: (told(c, ident) or first)["fraction"] > first["fraction"] and told(c, ident), "and more", 60)
    that(more["fraction"] <= 1, "%r" % more)
    c.call("cancel", id=ident)
    eq(c.ended_job(ident)["progress"], None)


def test_watched(t):
    """A watch tells of progress as it is told, and of the latest when there is more than it can send."""
    _, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv('for n in 10 60; do echo "$n% $n% done" >&$FUTURED_PROGRESS_FD; read x < $0.go; done')})
    gate.started()
    watch = t.client()
    watch.call("watch", id=ident, events=["progress", "finished"], fields=["progress", "state"])
    for percent in (10, 60):
        gate.release()
        event = watch.message()["params"]
        eq((event["event"], event["job"]["state"]), ("progress", "running"))
        eq(event["job"]["progress"], {"fraction": percent / 100, "text": "%d%% done" % percent})
    gate.release()
    eq(watch.message()["params"]["event"], "finished")
    eq(watch.message()["params"]["event"], "end")
