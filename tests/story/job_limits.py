"""
limits of a job: memory, CPU seconds, open files; of commands alone, and refused where they do not fit.
"""

from harness import contains, eq, error_of, refused, that

PYTHON = "/usr/bin/python3"


def out(c, script, t, **params):
    job = c.run("exec", t.sh(script), **params)
    eq(job["state"], "succeeded", "%r" % job["error"])
    return job["result"]["stdout"].split()


def test_set_before_it_starts(t):
    """Limits hold for a command and what it starts, and it cannot raise them."""
    _, c = t.serve()
    script = "ulimit -n; ulimit -Hn; ulimit -t; sh -c 'ulimit -n'; ulimit -n 100 2> /dev/null || echo no"
    for lane in ("cpu", "io"):
        eq(out(c, script, t, lane=lane, limits={"files": 33, "cpu_s": 1000}), ["33", "33", "1000", "33", "no"])
    before = out(c, "ulimit -n; ulimit -t; ulimit -d", t)
    eq(out(c, "ulimit -n; ulimit -t; ulimit -d", t, limits={"files": None}), before, "null is none")
    eq(out(c, "ulimit -n; ulimit -t; ulimit -d", t, limits={}), before)
    eq(out(c, "ulimit -n; ulimit -t; ulimit -d", t), before, "the next job on that worker has none")


def test_cpu(t):
    """A command that has used its CPU seconds ends with SIGXCPU, and is told so."""
    _, c = t.serve()
    job = c.run("exec", t.sh("echo began >&2; while :; do :; done"), limits={"cpu_s": 1})
    error = error_of(job, "Signal")
    eq((error["signal"], error["stderr_tail"]), ("SIGXCPU", "began\n"))
    contains(error["message"], "cpu_s")
    that(job["usage"]["user_s"] + job["usage"]["system_s"] >= 0.3, "%r" % job["usage"])


def test_cpu_of_one_that_will_not(t):
    """One that ignores SIGXCPU is killed some seconds later."""
    _, c = t.serve()
    error = error_of(c.run("exec", t.sh("trap '' XCPU; while :; do :; done"), limits={"cpu_s": 1}), "Signal")
    eq(error["signal"], "SIGKILL")
    contains(error["message"], "cpu_s")


def test_memory(t):
    """A command gets no more memory than its limit, one without a limit does."""
    _, c = t.serve()
    argv = [PYTHON, "-c", "x = bytearray(300 << 20); print('had it')"]
    eq(c.run("exec", {"argv": argv})["state"], "succeeded")
    job = c.run("exec", {"argv": argv}, limits={"memory_mib": 150})
    eq(job["state"], "failed")
    that(job["error"]["type"] in ("ExitStatus", "OutOfMemory"), "%r" % job["error"])
    eq(c.run("exec", {"argv": argv}, limits={"memory_mib": 1000})["state"], "succeeded")


def test_files(t):
    """A command opens no more files than its limit."""
    _, c = t.serve()
    script = "i = 0\ntry:\n  while True: globals()[i] = open('/dev/null'); i += 1\nexcept OSError as e: print(i, e.errno)"
    told = c.run("exec", {"argv": [PYTHON, "-c", script]}, limits={"files": 40})["result"]["stdout"].split()
    that(20 < int(told[0]) < 40 and told[1] == "24", "%r" % told)


def test_not_started(t):
    """What cannot be started is told in the same way with limits."""
    _, c = t.serve()
    for limits in ({}, {"files": 100}):
        error = error_of(c.run("exec", {"argv": ["no-such-program"]}, limits=limits), "TaskError")
        eq((error["message"], error["data"]), ("cannot run no-such-program: No such file or directory", {"errno": "ENOENT"}))
    c.run("exec", t.sh("exit 0"), limits={"memory_mib": 1})  # whatever comes of it, the worker lives
    eq(c.run("exec", {"argv": ["/bin/true"]})["state"], "succeeded")


def test_kept_over_a_restart(t):
    """The limits of a queued job are there after kill -9 of the daemon, and those of a map hold for each."""
    d, c = t.serve(workers=1)
    gate = t.gate()
    c.submit("exec", {"argv": gate.argv()})
    gate.started()
    told = c.call("map", task="exec", items=[t.sh("ulimit -n")] * 3, limits={"files": 77})
    d.restart()
    c = t.client()
    jobs = c.wait(*range(told["first"], told["first"] + 3))
    eq([job["result"]["stdout"] for job in jobs], ["77\n"] * 3)


def test_part_of_a_key(t):
    """Another limit is another payload."""
    _, c = t.serve()
    args = {"argv": ["/bin/true"]}
    first = c.submit("exec", args, key="k", limits={"files": 50, "cpu_s": 9})
    eq(c.submit("exec", args, key="k", limits={"cpu_s": 9, "files": 50}), first)
    for limits in ({"files": 51, "cpu_s": 9}, {"files": 50}, None):
        refused("key_conflict", c.call, "submit", task="exec", args=args, key="k", limits=limits)


def test_refused(t):
    """Limits that are none, or of a task that is no command, are refused by name, and nothing is submitted."""
    _, c = t.serve()
    bad = ([], 5, "64", True, {"memory": 1}, {"memory_mib": 0}, {"memory_mib": -1}, {"memory_mib": 1.5}, {"cpu_s": "1"},
           {"cpu_s": 0}, {"files": [1]}, {"files": 1 << 40}, {"memory_mib": 1 << 60}, {"cpu_s": 1, "pids": 5}, {"": 1})
    for limits in bad:
        for method, more in (("submit", {"args": {"argv": ["/bin/true"]}}), ("map", {"items": [{"argv": ["/bin/true"]}]}),
                             ("run", {"args": {"argv": ["/bin/true"]}})):
            error = refused("bad_params", c.call, method, task="exec", limits=limits, **more)
            eq(error["data"]["param"], "limits", "%r" % (limits,))
    for task in ("noop", "noop.io", "math.factorize", "time.sleep", "file.read"):
        eq(refused("bad_params", c.call, "submit", task=task, args=[7], limits={"cpu_s": 1})["data"]["param"], "limits")
    eq(c.call("list")["jobs"], [])
