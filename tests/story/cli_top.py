"""
futurectl top: one frame where there is no terminal, else a live screen that is given back.
"""

import json
import re

from harness import contains, eq, that, wait_for


def test_one_frame(t):
    """On a pipe it prints figures, queues, running jobs and workers once."""
    _, c = t.serve(workers=2)
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv()}, queue="slow", label="here")
    gate.started()
    wait_for(lambda: len(c.call("stats")["workers"]) == 2, "both workers are there")
    head, queues, jobs, workers = t.ctl("top", status=0).out.rstrip("\n").split("\n\n")
    that(re.match(r"futured \S+  up \S+  pending 0  running 1  succeeded 0  failed 0  cancelled 0  connections \d+$", head), head)
    eq([line.split("\t")[0] for line in queues.splitlines()].count("slow"), 1)
    row = jobs.split("\t")
    eq((row[0], row[1], row[2], row[3], row[4]), (str(ident), "running", "exec", "slow", "here"))
    eq(len(workers.splitlines()), 2)
    that(any(line.split("\t")[2] == str(ident) for line in workers.splitlines()), workers)
    t.ctl("top", "-1", status=0)
    told = json.loads(t.ctl("--json", "top", status=0).out)
    eq(sorted(told), ["queues", "running", "stats"])
    eq([job["id"] for job in told["running"]], [ident])
    gate.release()
    c.wait(ident)


def test_a_screen(t):
    """On a terminal it takes the other screen, draws it again, ends with q and gives it back."""
    _, c = t.serve()
    c.run("noop")
    status, text = t.terminal("top", "--interval", "0.1", send=b"q", when=b"WORKER")
    eq(status, 0)
    that(text.startswith("\x1b[?1049h") and text.endswith("\x1b[?1049l"), "%r" % text)
    contains(text, "\x1b[?25h")
    contains(text, "QUEUE")
    rows = text.count("\n")
    status, text = t.terminal("top", "--once")
    eq((status, "\x1b[?1049h" in text), (0, False))
    that(rows >= 4, "%d" % rows)


def test_control_c(t):
    """Ctrl-C ends it as well, with 0."""
    t.daemon()
    status, text = t.terminal("top", send=b"\x03", when=b"WORKER")
    eq(status, 0)
    that(text.endswith("\x1b[?1049l") or "\x1b[?1049l" in text, "%r" % text)


def test_the_daemon_ends(t):
    """When the daemon goes away the screen is given back before that is said, and the status is 69."""
    d = t.daemon()
    status, text = t.terminal("top", "--interval", "0.1", when=b"WORKER", then=d.kill)
    eq(status, 69)
    that(text.index("\x1b[?1049l") < text.index("futurectl: "), "%r" % text)


def test_usage(t):
    """Operands and silly intervals are 2, no daemon is 69."""
    t.ctl("top", "x", status=2)
    t.ctl("top", "--interval", "0", status=2)
    t.ctl("--socket", t.path("none"), "top", status=69)
