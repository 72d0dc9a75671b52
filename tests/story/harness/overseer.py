"""
The overseer of one story: a process of its own that is subreaper of all the story starts, ends it at its deadline, and
fails it when a process or a file is left.

It reaps whatever is orphaned, so that what has ended is gone. At the end it looks four ways for what lives on: its own
descendants, the story's mark in an environment, the story's uid, and a pipe that all of them inherited. Each overseer
takes a uid of its own (when run by root), held by an abstract socket's name as long as it lives.
"""

import errno
import faulthandler
import json
import os
import resource
import shutil
import signal
import socket
import tempfile
import time
import traceback
import types
import uuid

from . import process
from .check import within
from .story import run

FIRST_UID, LAST_UID = 20000, 20999


def take_uid():
    """(uid, the socket that holds it)."""
    if os.geteuid() != 0:
        return os.geteuid(), None
    for uid in range(FIRST_UID, LAST_UID):
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            holder.bind("\0futured-story-uid-%d" % uid)
            if not process.owned(uid):
                return uid, holder
        except OSError as wrong:
            if wrong.errno != errno.EADDRINUSE:
                raise
        holder.close()
    raise RuntimeError("no uid is free")


def become(uid):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    process.prctl(process.PR_SET_DUMPABLE, 1)


def play(function, settings, tell):
    """In the story's own process: runs it and tells how it went. Does not return."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    process.prctl(process.PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not settings.shown:
        output = os.open(os.path.join(settings.folder, "story.out"), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
    faulthandler.enable()
    if os.geteuid() != settings.uid and not settings.root:
        become(settings.uid)
        process.prctl(process.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.chdir(settings.folder)
    os.umask(0o022)
    try:
        verdict = {"ok": True, "figures": run(function, settings)}
    except BaseException:
        verdict = {"ok": False, "why": traceback.format_exc()[-6000:]}
    os.write(tell, json.dumps(verdict).encode())
    os._exit(0)


def end_from_outside(number, _):
    """For SIGTERM, which may come from more than one side: the first one ends all in good order."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit("ended from outside")


def reap(known=None):
    """
    Takes every child that has ended; True when `known` was among them, or when no child is left. A subreaper without a child
    has no descendant at all: of those that live, the topmost would be its child.
    """
    gone = False
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == 0:
            return gone
        gone = gone or pid == known


def wait_child(pid, until):
    """Waits for that child, reaping the others; False when the time is over."""
    while True:
        if reap(pid):
            return True
        left = until - time.monotonic()
        if left <= 0:
            return False
        signal.sigtimedwait({signal.SIGCHLD}, left)


def leftovers(settings, childless=False):
    """Every process of the story that is not gone, as {pid: command}. `childless`: reap() has just said so."""
    found = set(process.marked_or_owned(settings.mark, settings.uid if settings.own_uid else None))
    if not childless:
        found |= set(process.tree(os.getpid()))
    return {pid: process.command(pid) for pid in found if process.alive(pid)}


def end_all(settings):
    """Kills whatever the story left, until nothing is."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for pid in leftovers(settings):
            process.kill(pid)
        reap()
        if not leftovers(settings):
            return
        signal.sigtimedwait({signal.SIGCHLD}, 0.02)


def wait_nothing_left(settings, held):
    """None, or what was left of the story after a fair while."""
    until = time.monotonic() + within(10)
    while True:
        childless = reap()
        late = time.monotonic() > until
        left = leftovers(settings, childless) if childless or late else None
        if left == {}:
            break
        if late:
            return "left running: " + ", ".join("%d (%s)" % item for item in sorted(left.items()))
        signal.sigtimedwait({signal.SIGCHLD}, 0.02)
    os.set_blocking(held, False)
    try:
        if os.read(held, 1) == b"":
            return None
    except BlockingIOError:
        pass
    return "a process that bears no mark still holds the story's pipe"


def foreign_files(settings):
    """What the story's user owns outside the story's folder."""
    found = set()
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run"):
        for entry in os.scandir(folder) if os.path.isdir(folder) else ():
            try:
                if entry.stat(follow_symlinks=False).st_uid == settings.uid and entry.path != settings.folder:
                    found.add(entry.path)
            except OSError:
                pass
    return found


def stray_files(settings):
    """None, or what the story's user has left outside its folder; what a run that was killed left before is not its own."""
    found = foreign_files(settings) - settings.foreign if settings.own_uid else None
    return "files left outside the story's folder: " + ", ".join(sorted(found)) if found else None


def tails(folder):
    """The ends of all logs of a story that failed."""
    text = ""
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            if name.endswith(".log") or name == "story.out" or name.startswith("sanitizer."):
                with open(os.path.join(place, name), "rb") as file:
                    data = file.read()[-6000:].decode("utf-8", "replace").rstrip()
                if data:
                    text += "--- %s\n%s\n" % (name, data)
    return text


def sanitizer_options(folder):
    """For a build with sanitizers, over what the environment asks of them; any other build takes no notice."""
    ours = {"ASAN_OPTIONS": "exitcode=99:detect_leaks=1:abort_on_error=0:quarantine_size_mb=8",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
            "TSAN_OPTIONS": "exitcode=66:halt_on_error=0:die_after_fork=0"}
    return {name: ":".join(filter(None, [os.environ.get(name), options, "log_path=%s/sanitizer" % folder]))
            for name, options in ours.items()}


def oversee(function, programs, env, keep=False, shown=False):
    """Plays one story. {"ok", "why" or "figures", "seconds"}; called in a process of its own. `shown`: what it prints is not kept back."""
    wanted = getattr(function, "options", {})
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    signal.signal(signal.SIGTERM, end_from_outside)
    process.prctl(process.PR_SET_CHILD_SUBREAPER, 1)
    uid, holder = take_uid()
    folder = tempfile.mkdtemp(prefix="fs-", dir="/tmp")
    settings = types.SimpleNamespace(folder=folder, uid=uid, own_uid=holder is not None, mark=uuid.uuid4().hex,
                                     root=bool(wanted.get("root")), shown=shown, **programs)
    settings.env = dict(sanitizer_options(folder), **env)
    settings.foreign = foreign_files(settings)
    os.chmod(folder, 0o755)
    if settings.own_uid:
        os.chown(folder, uid, uid)
    began = time.monotonic()
    verdict = {"ok": False}
    try:
        verdict = watch(function, settings, wanted.get("deadline", 90))
        if not verdict["ok"]:
            verdict["logs"] = tails(folder)
    finally:
        if not verdict["ok"]:  # else nothing is left: that has been looked for
            end_all(settings)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    verdict["seconds"] = time.monotonic() - began
    if verdict["ok"] and not keep and os.path.exists(folder):
        verdict = dict(verdict, ok=False, why="the story's folder could not be removed")
    return verdict


def watch(function, settings, deadline):
    told, tell = os.pipe()
    held, hold = os.pipe()
    settings.hold = hold
    child = os.fork()
    if child == 0:
        os.close(told)
        os.close(held)
        play(function, settings, tell)
    os.close(tell)
    os.close(hold)
    if not wait_child(child, time.monotonic() + within(deadline)):
        process.kill(child, signal.SIGABRT)
        wait_child(child, time.monotonic() + 5)
        return {"ok": False, "why": "not done within its deadline of %g s" % within(deadline)}
    os.set_blocking(told, False)
    try:
        data = os.read(told, 65536)
    except BlockingIOError:
        data = b""
    if not data:
        return {"ok": False, "why": "the story's process died"}
    verdict = json.loads(data)
    if verdict["ok"]:
        why = wait_nothing_left(settings, held) or stray_files(settings)
        if why:
            verdict = {"ok": False, "why": why}
    return verdict
