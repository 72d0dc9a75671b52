"""
futurectl map as xargs and GNU parallel are used: {} in a command, odd lines, what was written, an early end.
"""

import json
import os
import re
import signal
import socket
import subprocess

from harness import contains, eq, that, wait_for, within


def test_placeholders(t):
    """Each {} in any argument is replaced by the line, as it is; without one the line is the last argument."""
    t.daemon()
    done = t.ctl("map", "-o", "--", "printf", "%s|%s\n", "{}", "to/{}.{}", stdin=b"a\nb c\n$HOME `x` 'q' \"\n", status=0)
    eq(done.out, "a|to/a.a\nb c|to/b c.b c\n$HOME `x` 'q' \"|to/$HOME `x` 'q' \".$HOME `x` 'q' \"\n")
    eq(t.ctl("map", "-o", "--", "echo", "-n", "x", stdin=b"one\n\ntwo words\n", status=0).out, "x onex x two words")
    eq(t.ctl("map", "-o", "--", "echo", "-n", "x", stdin=b"-5\n", status=0).out, "x -5")


def test_output_of_commands(t):
    """--output prints what each command wrote, byte by byte and unmixed, in the order of the items, both streams."""
    t.daemon()
    script = "test $0 = 1 && cat \"$1\"; printf '%s\\377' $0; echo err$0 >&2"
    more = t.write("more", b"x" * 200000)
    child = t.ctl_start("map", "--output", "--", "sh", "-c", script, "{}", more, stdin=subprocess.PIPE)
    out, err = child.communicate(b"1\n2\n3\n", timeout=within(60))
    eq((out, err, child.returncode), (b"x" * 200000 + b"1\xff2\xff3\xff", b"err1\nerr2\nerr3\n", 0))
    done = t.ctl("map", "-o", "--", "sh", "-c", "echo said $0; test $0 != 2", stdin=b"1\n2\n3\n", status=1)
    eq(done.out, "said 1\nsaid 2\nsaid 3\n")
    contains(done.err, "item 2")
    t.ctl("map", "-o", "noop", stdin=b"", status=2)
    t.ctl("map", "-o", "--json", "--", "true", stdin=b"", status=2)


def test_order(t):
    """Results come in the order of the lines, whichever ends first."""
    t.daemon(workers=2)
    gate = t.gate()
    script = gate.argv("echo slow")[2]
    child = t.ctl_start("map", "-o", "--", "sh", "-c", "if test $1 = 1; then " + script + "; else echo $1; fi", gate.path, "{}",
                        stdin=subprocess.PIPE)
    child.stdin.write(b"1\n2\n3\n")
    child.stdin.close()
    child.stdin = None
    gate.started()
    c = t.client()
    wait_for(lambda: c.call("list", filter={"state": "succeeded"})["jobs"][1:], "the others have ended")
    eq(child.poll(), None)
    gate.release()
    eq(t.finish_ctl(child, status=0).out, "slow\n2\n3\n")


def test_lines_that_are_no_text(t):
    """A line that is not UTF-8 or holds a NUL is told by its number, is null in its place, and the others go on."""
    t.daemon()
    done = t.ctl("map", "noop", stdin=b"a\n\xff.wav\nb\n\0\n\xfe\n", status=1)
    eq(done.out, '["a"]\nnull\n["b"]\nnull\nnull\n')
    for line in ("line 2 ", "line 4 ", "line 5 "):
        contains(done.err, line)
    done = t.ctl("map", "noop", stdin=b"\xff", status=1)
    eq(done.out, "null\n")
    done = t.ctl("--json", "map", "noop", stdin=b"\xff\n1\n", status=1)
    eq([json.loads(line)["result"] for line in done.out.splitlines()], [[1]])


def test_lines_that_are_no_text_with_a_key(t):
    """Asked again with the same --key and the same input, also an odd one, it makes no second job."""
    _, c = t.serve()
    data = b"1\n2\n\xff\n3\n"
    first = t.ctl("map", "noop", "--key", "k", stdin=data, status=1).out
    eq(first, "[1]\n[2]\nnull\n[3]\n")
    eq(t.ctl("map", "noop", "--key", "k", stdin=data, status=1).out, first)
    eq(len(c.call("list")["jobs"]), 3)


def test_fail_fast(t):
    """--fail-fast cancels the rest once one has failed, and when it ends nothing of it runs any more."""
    _, c = t.serve(workers=2)
    script = "test $0 != 3 || exit 1; test $0 -lt 3 || sleep 600"
    data = b"".join(b"%d\n" % i for i in range(50))
    done = t.ctl("map", "--fail-fast", "--io", "--", "sh", "-c", script, stdin=data, status=1)
    that(len(done.out.splitlines()) <= 4, "%r" % done)
    contains(done.err, "item 4")
    told = c.call("await", filter={}, wait=0, jobs=False)["counts"]
    eq((told["pending"], told["running"], told["failed"]), (0, 0, 1))
    that(told["cancelled"] >= 40, "%r" % told)


class Scripted:
    """The daemon's side of one connection, played by the story: what comes is taken in turn, and answered when it pleases."""

    def __init__(self, t):
        self.path = t.path("scripted")
        self.door = t.keep(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        self.door.bind(self.path)
        t.hand_over(self.path)
        self.door.listen()
        self.door.settimeout(within(30))
        self.t = t

    def accept(self):
        connection = self.t.keep(self.door.accept()[0])
        connection.settimeout(within(30))
        self.lines, self.connection = connection.makefile("r", encoding="utf-8"), connection

    def next(self, *methods):
        request = json.loads(self.lines.readline())
        that(request["method"] in methods, "%r" % request)
        return request

    def say(self, **message):
        self.connection.sendall(json.dumps(dict(message, jsonrpc="2.0")).encode() + b"\n")

    def answer(self, request, result):
        self.say(id=request["id"], result=result)


def test_busy_after_it_was_given_up(t):
    """A batch that is refused as busy when too many have failed already is not missed: the status is that of the failures."""
    s = Scripted(t)
    job = {"id": 1, "task": "noop", "state": "failed", "error": {"type": "TaskError", "message": "no"}, "result": None, "args": [1]}
    child = t.ctl_start("map", "noop", "--max-fails", "1", env={"FUTURED_SOCKET": s.path}, socket_option=False, stdin=subprocess.PIPE)
    s.accept()
    s.answer(s.next("hello"), {"server": "futured", "version": "0", "protocol": 1, "owner": "uid:1", "role": "operator"})
    child.stdin.write(b"1\n")
    child.stdin.flush()
    s.answer(s.next("tasks"), [{"task": "noop", "lane": "cpu", "idempotent": True, "pure": True, "doc": "", "params": []}])
    s.answer(s.next("map"), {"first": 1, "count": 1})
    asked = {request["method"]: request for request in (s.next("watch", "await"), s.next("watch", "await"))}
    s.answer(asked["watch"], {"watch": 1, "count": 1})
    child.stdin.write(b"2\n")
    child.stdin.flush()
    late = s.next("map")
    s.say(method="event", params={"watch": 1, "event": "finished", "job": {"id": 1, "state": "failed"}})
    s.say(id=late["id"], error={"code": -32004, "message": "full", "data": {"code": "busy", "retry_after": 1}})
    s.answer(asked["await"], {"timed_out": False, "counts": {"failed": 1}, "done": [job], "not_done": []})
    s.answer(s.next("status"), [job])
    told = t.finish_ctl(child, seconds=30)
    eq(told.status, 1, "%r" % told)
    that("full" not in told.err, "%r" % told)


def test_max_fails(t):
    """--max-fails N gives up with the N-th failure and not before."""
    _, c = t.serve(workers=2)
    data = b"".join(b"%s\n" % (b"x" if i % 2 else b"15") for i in range(4))
    done = t.ctl("map", "math.factorize", "--max-fails", "3", stdin=data, status=1)
    eq(done.out, "[3,5]\nnull\n[3,5]\nnull\n")
    done = t.ctl("map", "math.factorize", "--max-fails", "2", stdin=data + b"15\n" * 20, status=1)
    eq(done.out, "[3,5]\nnull\n[3,5]\nnull\n")
    contains(done.err, "given up")
    t.ctl("map", "noop", "--max-fails", "0", stdin=b"", status=2)
    t.ctl("map", "noop", "--max-fails", "2", "--fail-fast", stdin=b"", status=2)
    eq(c.call("await", filter={}, wait=0, jobs=False)["counts"]["pending"], 0)


def test_interrupt(t):
    """Ctrl-C cancels what has not ended, prints nothing more on standard output, and is 130 when all of it is gone."""
    _, c = t.serve(workers=2)
    gate = t.gate()
    child = t.ctl_start("map", "--", *gate.argv(), "{}", stdin=subprocess.PIPE)
    child.stdin.write(b"x\n" * 300)
    child.stdin.flush()
    gate.started()
    wait_for(lambda: c.call("stats")["submitted"] == 300, "all are submitted")
    child.send_signal(signal.SIGINT)
    done = t.finish_ctl(child, status=130)
    eq(done.out, "")
    eq(len(done.err.splitlines()), 1, "%r" % done)
    contains(done.err, "interrupted: 300 of 300")
    eq(c.call("await", filter={}, wait=0, jobs=False)["counts"]["cancelled"], 300)


def test_a_reader_that_leaves(t):
    """Nobody who reads on: the rest is cancelled."""
    _, c = t.serve()
    child = t.ctl_start("map", "--io", "--", "sleep", "600", stdin=subprocess.PIPE)
    child.stdin.write(b"0\n" * 3)
    child.stdin.flush()
    child.stdin.write(b"1\n")
    child.stdin.flush()
    child.stdout.close()
    child.stdout = None
    wait_for(lambda: c.call("stats")["submitted"] == 4, "all are submitted")
    c.call("cancel", id=1)
    eq(t.finish_ctl(child).status, 128 + signal.SIGPIPE)
    eq(c.call("await", filter={}, wait=0, jobs=False)["counts"]["cancelled"], 4)


def test_input_without_end(t):
    """Items are submitted and results printed while the input is still open."""
    t.daemon()
    child = t.ctl_start("map", "noop", stdin=subprocess.PIPE)
    for item in (b"1", b"2"):
        child.stdin.write(item + b"\n")
        child.stdin.flush()
        eq(os.read(child.stdout.fileno(), 100), b"[" + item + b"]\n")
    eq(t.finish_ctl(child, status=0).out, "")


def test_progress_on_a_terminal(t):
    """On a terminal the progress counts what has ended, and no part of it is left."""
    t.daemon()
    items = t.write("items", "0.4\n" * 6)
    status, text = t.terminal("map", "time.sleep", "-a", items)
    eq(status, 0)
    that(re.search(r"\d of 6", text), "%r" % text)
    that(text.rstrip("\r\n").endswith(("0.4", "\x1b[K")), "%r" % text)
