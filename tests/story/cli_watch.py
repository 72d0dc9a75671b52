"""
futurectl watch and map --unordered: jobs as they end.
"""

import json
import os
import subprocess

from harness import contains, eq, that


def line(child):
    """The next line of its standard output."""
    return child.stdout.readline().decode().rstrip("\n").split("\t")


def test_watch(t):
    """A line for each job as it ends, those that had ended first; tab-separated on a pipe; 0 when all succeeded."""
    _, c = t.serve()
    c.run("noop", [1], label="a")
    gate = t.gate()
    late = c.submit("exec", {"argv": gate.argv()}, label="b")
    child = t.ctl_start("watch", "1-%d" % late)
    told = line(child)
    eq((told[:6], len(told)), (["finished", "1", "succeeded", "noop", "default", "a"], 9))
    gate.started()
    eq(child.poll(), None)
    gate.release()
    eq(line(child)[:6], ["finished", str(late), "succeeded", "exec", "default", "b"])
    eq(t.finish_ctl(child, status=0).out, "")


def test_order(t):
    """--order id gives them by rising id, whichever ended first."""
    _, c = t.serve()
    gate = t.gate()
    first = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    second = c.run("noop.io")["id"]
    child = t.ctl_start("watch", "--order", "id", "%d,%d" % (second, first))
    gate.release()
    out = t.finish_ctl(child, status=0).out
    eq([row.split("\t")[1] for row in out.splitlines()], [str(first), str(second)])
    out = t.ctl("watch", "%d-%d" % (first, second), status=0).out
    eq([row.split("\t")[1] for row in out.splitlines()], [str(second), str(first)])
    t.ctl("watch", "--order", "size", "1", status=2)


def test_events(t):
    """--events running tells of the start as well."""
    _, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv()}, delay=0.5)
    child = t.ctl_start("watch", "--events", "running,finished", str(ident))
    eq(line(child)[:3], ["running", str(ident), "running"])
    gate.started()
    gate.release()
    eq(line(child)[:3], ["finished", str(ident), "succeeded"])
    t.finish_ctl(child, status=0)
    t.ctl("watch", "--events", "born", str(ident), status=2)


def test_json(t):
    """--json is an event a line, with the whole job."""
    _, c = t.serve()
    for i in range(3):
        c.run("noop", [i], label="x")
    out = t.ctl("--json", "watch", "label=x", status=0).out
    told = [json.loads(row) for row in out.splitlines()]
    eq([(one["event"], one["job"]["id"], one["job"]["result"]) for one in told], [("finished", i + 1, [i]) for i in range(3)])


def test_statuses(t):
    """1 where a job failed or was cancelled, 124 when the wait is over, 2 for an unknown id, 0 for a filter that fits none."""
    _, c = t.serve()
    c.run("math.factorize", ["x"])
    done = t.ctl("watch", "1", status=1)
    contains(done.out, "BadArguments")
    late = c.submit("noop", delay=3600)
    eq(len(t.ctl("watch", "--wait", "0.1", "1-%d" % late, status=124).out.splitlines()), 1)
    t.ctl("watch", "99", status=2)
    t.ctl("watch", status=2)
    contains(t.ctl("watch", "label=none", status=0).err, "no job fits")
    child = t.ctl_start("watch", str(late))
    t.daemons[0].kill()
    eq(t.finish_ctl(child).status, 69)


def test_on_a_terminal(t):
    """On a terminal lines are for people, in colour."""
    _, c = t.serve()
    c.run("noop", label="some")
    status, text = t.terminal("watch", "1")
    eq(status, 0)
    that("\x1b[32msucceeded\x1b[0m" in text and "some" in text and "\t" not in text, "%r" % text)


def test_many(t):
    """20,000 jobs come each once."""
    _, c = t.serve()
    c.call("map", task="noop", items=[[i] for i in range(20000)])
    out = t.ctl("watch", "1-20000", status=0).out
    eq(sorted(int(row.split("\t")[1]) for row in out.splitlines()), list(range(1, 20001)))


def test_map_unordered(t):
    """map --unordered prints a result as soon as it is there; odd lines are null at once."""
    t.daemon(workers=2)
    gate = t.gate()
    script = gate.argv("echo slow")[2]
    child = t.ctl_start("map", "-o", "--unordered", "--", "sh", "-c", "if test $1 = 1; then " + script + "; else echo $1; fi", gate.path,
                        "{}", stdin=subprocess.PIPE)
    child.stdin.write(b"1\n2\n")
    child.stdin.close()
    child.stdin = None
    gate.started()
    eq(os.read(child.stdout.fileno(), 100), b"2\n")
    gate.release()
    eq(t.finish_ctl(child, status=0).out, "slow\n")
    done = t.ctl("map", "-u", "math.factorize", stdin=b"15\nx\n\xff\n", status=1)
    eq(sorted(done.out.splitlines()), ["[3,5]", "null", "null"])
    contains(done.err, "BadArguments")


def test_map_unordered_many(t):
    """All results of many lines come, each once, also as they trickle in."""
    t.daemon()
    data = b"".join(b"%d\n" % i for i in range(20000))
    out = t.ctl("map", "--unordered", "noop", stdin=data, seconds=80, status=0).out
    eq(sorted(json.loads(row)[0] for row in out.splitlines()), list(range(20000)))
    child = t.ctl_start("map", "-u", "noop", stdin=subprocess.PIPE)
    for i in range(50):
        child.stdin.write(b"%d\n" % i)
        child.stdin.flush()
        eq(line(child), ["[%d]" % i])
    t.finish_ctl(child, status=0)


def test_map_gives_up_at_once(t):
    """With --fail-fast what is behind a failure does not go on while what is before it runs; that is still printed."""
    _, c = t.serve()
    gate = t.gate()
    script = "case $1 in 1) " + gate.argv("echo first")[2] + ";; 2) exit 1;; *) sleep 600;; esac"
    child = t.ctl_start("map", "-o", "--fail-fast", "--io", "--", "sh", "-c", script, gate.path, "{}", stdin=subprocess.PIPE)
    child.stdin.write(b"1\n3\n2\n4\n5\n")
    child.stdin.close()
    child.stdin = None
    gate.started()
    c.wait(4, 5)
    eq([job["state"] for job in c.call("status", ids=["1-5"], fields=["state"])],
       ["running", "running", "failed", "cancelled", "cancelled"])
    c.call("cancel", id=2)
    gate.release()
    done = t.finish_ctl(child, status=1)
    eq(done.out, "first\n")
    done = t.ctl("map", "-u", "--max-fails", "2", "--io", "--", "sh", "-c", "test $0 -gt 2 && exec sleep 600; exit 1",
                 stdin=b"1\n2\n3\n4\n", status=1)
    contains(done.err, "2 of 4 jobs are cancelled")
