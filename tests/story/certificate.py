"""
The death certificate: whatever ends a job, its object tells how: exit status or signal, attempt, worker, times, usage,
the end of standard error, who cancelled and why.
"""

import base64
import os

from harness import contains, eq, error_of, process, that, wait_for, within

LONG = [9223372036854775783]  # a prime: by trial division seconds of work


def cpu_s(pid):
    """User and system time of a process and of what it has waited for."""
    words = process.read(pid, "stat").decode().rsplit(")", 1)[1].split()
    return sum(int(word) for word in words[11:15]) / os.sysconf("SC_CLK_TCK")


def working(c, ident):
    """Waits until the job's worker has worked for a while at it; its pid."""
    pid = wait_for(lambda: (c.job(ident)["usage"] or {}).get("worker"), "it runs")
    before = cpu_s(pid)
    wait_for(lambda: cpu_s(pid) > before + 0.25, "its worker works")
    return pid


def certified(job, state, kind, attempt=1):
    """What every end of something that was started has; the error."""
    eq(job["state"], state)
    that(job["submitted"] <= job["started"] <= job["finished"], "its times: %r" % job)
    eq(job["attempt"], attempt)
    error = error_of(job, kind)
    eq(error["attempt"], attempt)
    return error


def measured(job, seconds, kib):
    """usage tells at least so much."""
    usage = job["usage"]
    that(usage["user_s"] + usage["system_s"] >= seconds and usage["max_rss_kib"] >= kib, "usage: %r" % usage)
    that(usage["user_s"] + usage["system_s"] < 60, "usage: %r" % usage)
    return usage


def test_exit_and_signal(t):
    """A command's own end: exit status or signal, the end of its standard error, its supervisor, its usage."""
    _, c = t.serve()
    for script, kind, member, value in (("echo last words >&2; exit 9", "ExitStatus", "exit_status", 9),
                                        ("echo last words >&2; kill -USR1 $$", "Signal", "signal", "SIGUSR1")):
        job = c.run("exec", t.sh(script))
        error = certified(job, "failed", kind)
        eq((error[member], error["stderr_tail"], error["stderr_tail_encoding"]), (value, "last words\n", "utf-8"))
        that(isinstance(measured(job, 0, 300)["worker"], int), "a worker: %r" % job["usage"])


def test_stderr_that_is_no_text(t):
    """The end of standard error is base64 where it is no text, and byte for byte what was written."""
    _, c = t.serve()
    error = certified(c.run("exec", t.sh(r"printf '\377\001caf\351' >&2; exit 1")), "failed", "ExitStatus")
    eq((error["stderr_tail_encoding"], base64.b64decode(error["stderr_tail"])), ("base64", b"\xff\x01caf\xe9"))


def test_not_started(t):
    """A program that could not be started has no exit status, but an attempt and the system's word for why."""
    _, c = t.serve()
    error = certified(c.run("exec", {"argv": ["/nonexistent/program"]}), "failed", "TaskError")
    eq(error["data"], {"errno": "ENOENT"})
    that("exit_status" not in error and "signal" not in error, "%r" % error)


def test_timed_out(t):
    """A command that is ended by its time-out tells how it took that: by its signal, or an exit status, also 0."""
    _, c = t.serve(config={"daemon": {"grace": "20"}})
    for script, member, value in (("exec sleep 400", "signal", "SIGTERM"),
                                  ("trap 'echo tidied >&2; exit 0' TERM; sleep 400 & wait", "exit_status", 0),
                                  ("trap 'echo tidied >&2; exit 4' TERM; sleep 400 & wait", "exit_status", 4)):
        error = certified(c.run("exec", t.sh("echo began >&2; " + script), timeout=within(1)), "failed", "TimedOut")
        contains(error["message"], "time-out")
        eq(error[member], value, script)
        eq(error["stderr_tail"], "began\n" + ("tidied\n" if member == "exit_status" else ""))
        that("by" not in error, "%r" % error)


def test_cancelled(t):
    """A cancelled command tells who cancelled it and why, how it took that, and its last words."""
    _, c = t.serve()
    for trap, member, value in (("", "signal", "SIGTERM"), ("trap 'exit 0' TERM; ", "exit_status", 0)):
        gate = t.gate()
        script = trap + "echo said >&2; echo $$ > $0.up; read line < $0.go"
        ident = c.submit("exec", {"argv": ["/bin/sh", "-c", script, gate.path]})
        gate.started()
        eq(c.call("cancel", id=ident, grace=within(20), reason="no longer needed")["cancelled"], True)
        job = c.ended_job(ident)
        error = certified(job, "cancelled", "Cancelled")
        eq((error["by"], error[member], error["stderr_tail"]), ("uid:%d" % t.uid, value, "said\n"))
        contains(error["message"], "no longer needed")
        contains(error["message"], "uid:%d" % t.uid)
        measured(job, 0, 300)


def test_cancelled_before_the_start(t):
    """A job that is cancelled while it waits has no attempt, and tells who and why."""
    _, c = t.serve()
    ident = c.submit("exec", {"argv": ["/bin/true"]}, delay=1000)
    c.call("cancel", id=ident, reason="never mind")
    job = c.ended_job(ident)
    error = error_of(job, "Cancelled")
    eq((job["attempt"], job["started"], error["by"]), (0, None, "uid:%d" % t.uid))
    contains(error["message"], "never mind")
    that("exit_status" not in error and "stderr_tail" not in error, "%r" % error)


def test_functions(t):
    """A function that is cancelled, timed out or whose worker is killed tells what it took until then."""
    _, c = t.serve(workers=1)
    for _ in range(200):  # whose time is not to be counted to what comes after
        c.submit("math.factorize", [999999000001 * 1000003])
    ident = c.submit("math.factorize", LONG)
    working(c, ident)
    c.call("cancel", id=ident)
    job = c.ended_job(ident)
    eq(certified(job, "cancelled", "Cancelled")["by"], "uid:%d" % t.uid)
    measured(job, 0.1, 300)
    job = c.run("math.factorize", LONG, timeout=1)
    certified(job, "failed", "TimedOut")
    measured(job, 0.05, 300)
    ident = c.submit("math.factorize", LONG, max_attempts=1)
    pid = working(c, ident)
    process.kill(pid)
    job = c.ended_job(ident)
    eq(certified(job, "failed", "WorkerDied")["signal"], "SIGKILL")
    eq(measured(job, 0.1, 300)["worker"], pid)


def test_killed_supervisor(t):
    """A command whose supervisor is killed tells what its tree took."""
    _, c = t.serve()
    job = c.run("exec", t.sh("i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; kill -9 $PPID; sleep 943"))
    eq(certified(job, "failed", "WorkerDied")["signal"], "SIGKILL")
    measured(job, 0.02, 300)


def test_io_tasks(t):
    """An I/O task has no worker and no memory of its own; a thread's time is told, a timer's is not known."""
    _, c = t.serve()
    usage = c.run("file.read", {"path": "/etc/hostname", "max_bytes": 100})["usage"]
    eq((usage["worker"], usage["max_rss_kib"]), (None, None))
    that(usage["user_s"] >= 0 and usage["system_s"] >= 0, "%r" % usage)
    eq(c.run("time.sleep", [0])["usage"], {"user_s": None, "system_s": None, "max_rss_kib": None, "worker": None})
    ident = c.submit("time.sleep", [1000])
    c.call("cancel", id=ident, reason="enough")
    job = c.ended_job(ident)
    eq((error_of(job, "Cancelled")["by"], job["usage"] and job["usage"]["worker"]), ("uid:%d" % t.uid, None))


def test_after_a_crash(t):
    """A promised cancel that the daemon did not live to carry out still tells who, why and which attempt."""
    d, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv(first="trap '' TERM; ")})
    lost = t.gate()
    other = c.submit("exec", {"argv": lost.argv()})
    gate.started()
    lost.started()
    eq(c.call("cancel", id=ident, grace=within(100), reason="before the crash")["cancelled"], True)
    d.restart()
    c = t.client()
    error = certified(c.ended_job(ident), "cancelled", "Cancelled")
    eq(error["by"], "uid:%d" % t.uid)
    contains(error["message"], "before the crash")
    job = c.ended_job(other)
    certified(job, "failed", "Lost")
    that(isinstance(job["usage"]["worker"], int) or job["usage"]["worker"] is None, "%r" % job["usage"])


def test_of_the_last_attempt(t):
    """The certificate is of the attempt that ended the job."""
    _, c = t.serve()
    job = c.run("exec", t.sh("echo $FUTURED_ATTEMPT >&2; exit $FUTURED_ATTEMPT"), max_attempts=3, backoff=0.01)
    error = certified(job, "failed", "ExitStatus", attempt=3)
    eq((error["exit_status"], error["stderr_tail"]), (3, "3\n"))
