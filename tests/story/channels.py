"""
Faults of workers: one that is stopped, and channels that are closed, cut off, or say what no worker says. The bytes come from
the story, which takes a worker's own end of its channel out of the running process.
"""

import ctypes
import os
import signal
import socket
import struct

from harness import eq, error_of, options, process, that, wait_for

CHANNEL = 3
PIDFD_GETFD = 438
HELLO, JOB, OUTPUT, RESULT, PROGRESS = 1, 2, 5, 6, 7
RESULT_TEXT = b'{"usage":[1,1,1],"result":"forged"}'
FRAME_MAX = 40 << 20


def may_take():
    """Whether a descriptor can be taken out of another process here."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
    try:
        take(pid, 0).close()
        return True
    except OSError as wrong:
        return wrong.errno == 88  # it was taken, and is no socket
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def take(pid, number):
    """That descriptor of another process, as a socket."""
    handle = os.pidfd_open(pid)
    try:
        taken = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, handle, number, 0)
        if taken < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
    finally:
        os.close(handle)
    try:
        return socket.socket(fileno=taken)
    except OSError:
        os.close(taken)
        raise


MISSING = None if os.geteuid() != 0 or may_take() else "the right to take descriptors of other processes"


def frame(kind, job, payload=b"{}", token=1, length=None, version=1):
    """As daemon/frame.h has it."""
    return struct.pack("=IBBHQQ", len(payload) if length is None else length, version, kind, 0, job, token) + payload


class Pair:
    """Two commands that run side by side: the worker of one is to misbehave, the other is not to notice."""

    def __init__(self, t, c):
        self.t, self.c = t, c
        self.other = t.gate()
        self.beside = c.submit("exec", {"argv": self.other.argv()})
        self.other.started()

    def harm(self, what, how):
        """`how` gets the channel of the worker of a new command, and its id; that job alone must end of it."""
        gate = self.t.gate()
        ident = self.c.submit("exec", {"argv": gate.argv(first="(setsid sleep 861 &); ")})
        gate.started()
        worker = self.c.job(ident)["usage"]["worker"]
        with take(worker, CHANNEL) as channel:
            how(channel, ident)
            job = self.c.ended_job(ident)
        error_of(job, "WorkerDied")
        eq((job["state"], job["attempt"]), ("failed", 1), what)
        eq([pid for pid in process.marked(self.t.mark) if process.command(pid) == "sleep 861"], [], what + ": its tree")
        process.wait_gone(worker, what + ": the worker")
        eq(self.c.job(self.beside)["state"], "running", what + ": the other")
        wait_for(lambda: len(self.c.call("stats")["workers"]) == 2, what + ": the slot is filled again")
        eq(self.c.run("noop", [what])["result"], [what])

    def finish(self):
        self.other.release()
        eq(self.c.ended_job(self.beside)["state"], "succeeded")


def write(*pieces):
    """Writes these, each of bytes or made from the id."""
    def how(channel, ident):
        channel.sendall(b"".join(piece(ident) if callable(piece) else piece for piece in pieces))
    return how


def write_and_close(*pieces):
    def how(channel, ident):
        write(*pieces)(channel, ident)
        channel.shutdown(socket.SHUT_WR)
    return how


@options(root=True, missing=MISSING)
def test_garbled(t):
    """A worker whose channel says what is no frame is ended with its tree: rubbish, another version, lengths beyond all bounds."""
    d, c = t.serve()
    pair = Pair(t, c)
    before = process.memory_kib(d.pid)
    pair.harm("rubbish", write(b"\xff" * 4096))
    pair.harm("text", write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    pair.harm("another version", write(frame(RESULT, 1, version=2)))
    pair.harm("an unknown type", write(frame(99, 1)))
    pair.harm("a frame of 4 GiB", write(frame(RESULT, 1, length=0xffffffff)))
    pair.harm("a frame too long by one", write(frame(RESULT, 1, length=FRAME_MAX + 1)))
    grown = process.memory_kib(d.pid) - before
    that(grown < t.memory_bound(8 << 10), "the daemon grew by %d KiB" % grown)
    t.figure("the daemon grew by %d KiB" % grown)
    pair.finish()


@options(root=True, missing=MISSING)
def test_cut_off(t):
    """A channel that is closed, whether between frames, within a header or within a payload, is the worker's end."""
    _, c = t.serve()
    pair = Pair(t, c)
    pair.harm("closed", lambda channel, _: channel.shutdown(socket.SHUT_RDWR))
    pair.harm("half closed", write_and_close())
    pair.harm("within a header", write_and_close(frame(RESULT, 1)[:11]))
    pair.harm("within a payload", write_and_close(lambda ident: frame(RESULT, ident, RESULT_TEXT, length=1 << 20)))
    pair.harm("within the longest", write_and_close(frame(RESULT, 1, b"x" * 100, length=FRAME_MAX)))
    pair.finish()


@options(root=True, missing=MISSING)
def test_forged(t):
    """What a worker says of a job that it does not hold, or with a token that is not the job's, ends that worker and no job."""
    _, c = t.serve()
    pair = Pair(t, c)
    waiting = c.submit("noop", delay=3600)
    pair.harm("another worker's job", write(frame(RESULT, pair.beside, RESULT_TEXT)))
    pair.harm("a job that waits", write(frame(RESULT, waiting, RESULT_TEXT)))
    pair.harm("its own job by another token", write(lambda ident: frame(RESULT, ident, RESULT_TEXT, token=2 ** 63)))
    pair.harm("output of another's", write(frame(OUTPUT, pair.beside, b'{"stdout":9,"stderr":9}')))
    pair.harm("progress of another's", write(frame(PROGRESS, pair.beside, b'{"millionths":1,"text":"forged"}')))
    pair.harm("an order that only the daemon gives", write(frame(JOB, pair.beside, b'{"task":"noop","attempt":1,"args":[]}')))
    eq((c.job(waiting)["state"], c.job(pair.beside)["progress"]), ("pending", None))
    pair.finish()


@options(root=True, missing=MISSING)
def test_a_flood_of_forgeries(t):
    """One that says such things without end is told of once in the log, and holds up nobody."""
    d, c = t.serve()
    pair = Pair(t, c)
    said = "a result for a job that it does not run"

    def flood(channel, _):
        try:
            for _ in range(200):
                channel.sendall(frame(RESULT, pair.beside, RESULT_TEXT) * 1000)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the daemon reads no more of it
    pair.harm("a flood", flood)
    eq(d.log().count(said), 1, "lines of the log that say so")
    pair.finish()


def test_stopped(t):
    """A supervisor that is stopped does not keep its command from being cancelled, nor from its time-out."""
    _, c = t.serve(workers=2, config={"daemon": {"grace": "0"}})
    gates = [t.gate(), t.gate()]
    cancelled = c.submit("exec", {"argv": gates[0].argv(first="(setsid sleep 862 &); ")})
    gates[0].started()
    process.kill(c.job(cancelled)["usage"]["worker"], signal.SIGSTOP)
    timed = c.submit("exec", {"argv": gates[1].argv(first="(setsid sleep 862 &); ")}, timeout=0.5)
    gates[1].started()
    process.kill(c.job(timed)["usage"]["worker"], signal.SIGSTOP)
    eq(c.call("cancel", id=cancelled, grace=0)["cancelled"], True)
    eq(c.ended_job(cancelled)["state"], "cancelled")
    error_of(c.ended_job(timed), "TimedOut")
    eq([pid for pid in process.marked(t.mark) if process.command(pid) == "sleep 862"], [])
    eq(c.run("noop", [1])["result"], [1])


def test_all_stopped(t):
    """Jobs before idle workers that are all stopped can be cancelled, and go to others when these have died."""
    _, c = t.serve(workers=2)
    workers = wait_for(lambda: [w["pid"] for w in c.call("stats")["workers"] if w["pid"]] if len(c.call("stats")["workers"]) == 2
                       else None, "there are two workers")
    c.wait(*[c.submit("noop") for _ in range(4)])  # both speak
    for worker in workers:
        process.kill(worker, signal.SIGSTOP)
    never = c.submit("noop", [0])
    once = [c.submit("exec", t.sh("echo %d >> %s" % (i, t.path("ran")))) for i in range(2)]
    eq(c.call("cancel", id=never)["cancelled"], True)
    eq(c.ended_job(never)["state"], "cancelled")
    eq(c.run("noop.io", ["beside"])["result"], ["beside"])
    for worker in workers:
        process.kill(worker)
    for job in c.wait(*once):
        eq((job["state"], job["attempt"]), ("succeeded", 1), "a job that had not begun when its worker died")
    eq(sorted(t.read("ran").split()), [b"0", b"1"])
