"""
Stories of disks for storage_faults.py: one that is full, a folder that may not be written, and files that are damaged.

A full disk is a tmpfs of 8 MiB in a mount namespace of its own, which goes with the processes in it: that needs root.
"""

import ctypes
import errno
import os
import random
import shutil
import signal
import subprocess

from harness import Closed, Refused, eq, options, that, wait_for, within

FAR = 3600
CLONE_NEWNS = 0x00020000
LONG = ["x" * 8000]


def started(d):
    """Whether it answers; else it has ended."""
    try:
        d.ready()
    except AssertionError:
        that(d.ended(), "it neither starts nor ends: " + d.log())
        return False
    return True


def copy_in(template, state):
    """The state folder that make_template() has left."""
    shutil.copytree(os.path.join(template, "state"), state)
    for place, _, names in os.walk(state):
        os.chmod(place, 0o700)
        for name in names:
            os.chmod(os.path.join(place, name), 0o600)


# ---- a full disk


def small_disk(t, path, mib):
    """A disk of its own at `path`, for this process and those it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.mkdir(path)
    that(libc.unshare(CLONE_NEWNS) == 0, "no mount namespace of its own: errno %d" % ctypes.get_errno())
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm,mode=700,uid=%d,gid=%d" % (mib, t.uid, t.uid), "futured-test", path], check=True)


def fill(path):
    """No room is left; the file that took it."""
    ballast = os.path.join(path, "ballast")
    with open(ballast, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError as full:
                eq(full.errno, errno.ENOSPC)
    return ballast


def is_refused(c, **params):
    """Whether a submission finds no room."""
    try:
        c.call("submit", task="noop", delay=FAR, **params)
    except Refused as refusal:
        eq(refusal.word, "storage_full")
        return True
    return False


@options(root=True)
def full(t):
    """8 MiB are enough to work; without room reads and waits go on and ends are held; with room again all goes on, without a restart."""
    d = t.make()
    small_disk(t, d.state, 8)
    d.start()
    c = t.client()
    c.call("map", task="noop", items=[[i] for i in range(2000)])
    c.call("await", ids=["1-2000"], jobs=False, wait=within(60))
    eq(c.run("exec", t.sh("head -c 200000 /dev/zero"))["result"]["truncated"], True)
    gate = t.gate()
    held = c.submit("exec", {"argv": gate.argv("head -c 60000 /dev/zero | tr '\\0' x")})
    gate.started()
    waiting = c.submit("noop", delay=FAR)
    children = c.call("map", task="noop", items=[["y" * 100]] * 1500, after=[held])
    children = ["%d-%d" % (children["first"], children["first"] + 1499)]
    ballast = fill(d.state)
    wait_for(lambda: is_refused(c, args=LONG), "there is no room")
    refusals = d.log().count("did not go through")
    gate.release()
    asked = t.client()
    request = asked.send("await", ids=[held], wait=within(60))
    wait_for(lambda: d.log().count("did not go through") > refusals, "the end of the job finds no room")
    eq(c.job(held)["state"], "running", "a job whose end is held")
    eq(c.call("await", ids=[held], wait=0.01, jobs=False)["timed_out"], True)
    eq((c.call("ping"), c.job(waiting)["state"], len(c.call("list", limit=10)["jobs"])), ("pong", "pending", 10))
    that(is_refused(c, args=LONG), "there is no room still")
    os.unlink(ballast)
    job = asked.answer(request)["done"][0]
    eq((job["state"], job["result"]["stdout"]), ("succeeded", "x" * 60000), "the end that was held")
    told = c.call("await", ids=children, jobs=False, wait=within(60))
    eq((told["timed_out"], told["counts"]["succeeded"]), (False, 1500), "the children of the job whose end was held")
    d.stop()


@options(root=True)
def full_at_start(t):
    """A start on a full disk: what is there can be read, and the rest comes with the room; or it ends with 74 and says why."""
    d = t.make()
    small_disk(t, d.state, 8)
    d.start()
    c = t.client()
    done, waiting = c.run("noop", [1]), c.submit("noop", delay=FAR)
    ballast = fill(d.state)
    wait_for(lambda: is_refused(c, args=LONG), "there is no room")
    d.restart()
    c = t.client()
    eq((c.job(done["id"]), c.job(waiting)["state"]), (done, "pending"), "reads after a start without room")
    wait_for(lambda: is_refused(c, args=LONG), "a start makes no room")
    os.unlink(ballast)
    wait_for(lambda: not is_refused(c, args=["room"]), "there is room again")
    eq(c.run("noop", [1])["result"], [1])
    gate = t.gate()
    lost = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    d.kill()
    ballast = fill(d.state)
    d.start(ready=False)
    if not started(d):
        eq(d.status, 74, d.log()[-500:])
        that("full" in d.log(), "it says why: " + d.log())
    os.unlink(ballast)
    if d.ended():
        d.start()
    eq(wait_for(lambda: t.client().job(lost)["error"], "the job that was cut off ends")["type"], "Lost")
    d.stop()


@options(root=True)
def full_from_the_first(t):
    """Where there has never been room the daemon ends and says so; what it could not make is in nobody's way."""
    d = t.make()
    small_disk(t, d.state, 1)
    ballast = fill(d.state)
    d.start(ready=False)
    that(d.wait() in (74, 78), "status %r: %s" % (d.status, d.log()))
    that("No space left" in d.log() or "full" in d.log(), "it says why: " + d.log())
    os.unlink(ballast)
    d.start()
    eq(t.client().run("noop", [1])["result"], [1])
    d.stop()


# ---- what may not be written, what is damaged


def read_only(t):
    """A state folder or a store that may not be written is refused, and what is in it stays as it was."""
    d, c = t.serve()
    c.run("noop")
    d.stop()
    database = os.path.join(d.state, "futured.db")
    with open(database, "rb") as file:
        data = file.read()
    for path, mode, closed in ((database, 0o600, 0o400), (os.path.join(d.state, "daemon.lock"), 0o600, 0o400), (d.state, 0o700, 0o500)):
        os.chmod(path, closed)
        d.start(ready=False)
        that(not started(d), "%s may not be written, and the daemon starts" % path)
        that(d.status in (74, 78), "status %r: %s" % (d.status, d.log()))
        that(d.state in d.log(), "it says where: " + d.log())
        os.chmod(path, mode)
        with open(database, "rb") as file:
            eq(file.read() == data, True, "nothing was touched")
    d.start()
    eq(t.client().run("noop", [2])["result"], [2])
    d.stop()


def damaged(template, seed):
    """The files of a killed daemon with some bytes changed: it is refused with 65, or it serves; damage.c has many more."""
    def story(t):
        rng = random.Random(seed)
        d = t.make()
        copy_in(template, d.state)
        path = os.path.join(d.state, rng.choice(("futured.db", "futured.db", "futured.db-wal")))
        with open(path, "r+b") as file:
            size = file.seek(0, 2)
            for _ in range(rng.choice((1, 1, 4, 30))):
                file.seek(rng.randrange(size))
                file.write(bytes([rng.randrange(256)]))
        d.start(ready=False)
        if started(d):
            serve_damaged(t, d)
        else:
            eq(d.status, 65, d.log()[-500:])
            that("futured.db: " in d.log() and "puts a copy" in d.log(), "it says what is wrong and what to do: " + d.log())
    return story


def serve_damaged(t, d):
    """It may end with 74, when a commit comes upon the damage."""
    try:
        c = t.client()
        for ask in (lambda: c.call("list", limit=1000), lambda: c.call("stats"), lambda: c.run("noop", [1]),
                    lambda: c.call("await", ids=["1-60"], wait=0.2, jobs=False), lambda: c.call("cancel", ids=["1-60"])):
            try:
                ask()
            except Refused as refusal:
                that(refusal.code in (-32603, -32001, -32009), "%s" % refusal)
        d.signal(signal.SIGTERM)
    except (Closed, OSError):
        pass
    that(d.wait() in (0, 74), "status %r: %s" % (d.status, d.log()[-1000:]))
