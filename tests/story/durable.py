"""
Killed in the moment of an answer: what was told is on the disk, and what has begun is known to have begun.

Each answer here stands for a commit of many megabytes. That takes far longer than the kill: an answer that came before its
commit is lost with it.
"""

import signal

from harness import eq, error_of, process, that

LONG = "x" * (12 << 20)


def kill_now(d):
    """kill -9, without a look around first."""
    d.signal(signal.SIGKILL)
    d.wait()


def test_an_acknowledged_job_is_there(t):
    """A submission that was answered is there though the daemon was killed at once."""
    d, c = t.serve()
    told = []
    for _ in range(3):
        told.append(c.submit("noop", [LONG], delay=3600))
        kill_now(d)
        d.start()
        c = t.client()
        eq([job["id"] for job in c.call("list", fields=["state"])["jobs"]], told, "the jobs that were acknowledged")


def test_an_end_that_was_told_is_there(t):
    """An end that an await has told is there though the daemon was killed at once."""
    d, c = t.serve()
    for _ in range(2):
        ident = c.submit("noop", [LONG], delay=0.2)
        told = c.call("await", id=ident, jobs=False)
        kill_now(d)
        eq(told["counts"]["succeeded"], 1)
        d.start()
        c = t.client()
        eq(c.call("status", id=ident, fields=["state"]), {"id": ident, "state": "succeeded"}, "a job that was told to have ended")


def test_a_start_is_recorded_first(t):
    """A command that kills the daemon in its first moment has started: it is Lost and does not start again."""
    d, c = t.serve(workers=1)
    gate = t.gate()
    c.submit("exec", {"argv": gate.argv()})
    gate.started()
    killer = t.sh("echo started >> %s; kill -9 %d %s" % (t.path("starts"), d.pid, " ".join(str(pid) for pid in d.tree())))
    ident = c.submit("exec", killer)
    gate.release()
    d.wait()
    d.start()
    c = t.client()
    job = c.ended_job(ident)
    starts = t.read("starts").decode().split()
    eq(len(starts), 1, "how often it started")
    error_of(job, "Lost")
    eq(job["attempt"], 1)
    that(not [pid for pid in process.marked(t.mark) if "echo started" in process.command(pid)], "none of it lives")
