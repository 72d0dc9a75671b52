"""
Processes as /proc shows them: who is whose child, what holds what, what is gone.
"""

import ctypes
import os
import re
import select
import signal
import time

from .check import Failed, after, within

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36

CAPABILITIES = {"chown": 0, "dac_read_search": 2, "kill": 5, "setgid": 6, "setuid": 7, "setpcap": 8, "sys_ptrace": 19, "sys_admin": 21}

libc = ctypes.CDLL(None, use_errno=True)


def prctl(option, value):
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(%d)" % option)


def read(pid, name):
    """The bytes of a file below /proc/PID, or b"" when it is gone."""
    try:
        with open("/proc/%s/%s" % (pid, name), "rb") as file:
            return file.read()
    except OSError:
        return b""


def lacks(*names):
    """Which of these capabilities we have not, as the option `missing` of a story wants it; None: we have them all, or are not root."""
    held = int(re.search(rb"^CapEff:\s+([0-9a-f]+)", read("self", "status"), re.MULTILINE).group(1), 16)
    missing = [name for name in names if not held >> CAPABILITIES[name] & 1]
    return "the capabilities " + ", ".join(missing) if missing and os.geteuid() == 0 else None


def stat(pid):
    """(parent, state, start time) or None."""
    text = read(pid, "stat")
    if not text:
        return None
    words = text.rsplit(b")", 1)[1].split()
    return int(words[1]), words[0].decode(), int(words[19])


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def tree(root, itself=False):
    """The pids below `root`, each parent before its children."""
    children = {}
    for pid in all_pids():
        seen = stat(pid)
        if seen:
            children.setdefault(seen[0], []).append(pid)
    found = [root] if itself else []
    queue = [root]
    while queue:
        below = children.get(queue.pop(0), [])
        found += below
        queue += below
    return found


def alive(pid):
    """It runs; a zombie does not."""
    seen = stat(pid)
    return seen is not None and seen[1] not in "ZX"


def wait_gone(pid, what="the process", seconds=20):
    """Waits until the process has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        if not poll.poll(within(seconds) * 1000) and alive(pid):
            raise Failed("%s (%d: %s) lives on" % (what, pid, command(pid)))
    finally:
        os.close(handle)


def command(pid):
    return read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip() or \
        "[%s]" % read(pid, "comm").decode(errors="replace").strip()


def marked(mark):
    """The pids whose environment holds FUTURED_TEST=mark, zombies and oneself left out."""
    needle = b"FUTURED_TEST=" + mark.encode()
    return [pid for pid in all_pids() if pid != os.getpid() and needle in read(pid, "environ").split(b"\0")]


def owned(uid):
    """The pids that run under that uid."""
    found = []
    for pid in all_pids():
        try:
            if os.stat("/proc/%d" % pid).st_uid == uid:
                found.append(pid)
        except OSError:
            pass
    return [pid for pid in found if alive(pid)]


def marked_or_owned(mark, uid):
    """Both of them in one pass; uid None: marked alone."""
    needle = b"FUTURED_TEST=" + mark.encode()
    found = []
    for pid in all_pids():
        try:
            if os.stat("/proc/%d" % pid).st_uid == uid or needle in read(pid, "environ").split(b"\0"):
                found.append(pid)
        except OSError:
            pass
    return [pid for pid in found if pid != os.getpid() and alive(pid)]


def memory_kib(pid):
    """The memory that it holds and no file could give back. The daemon shows its user nothing more exact of itself."""
    return sum(int(line.split()[1]) for line in read(pid, "status").splitlines() if line.startswith((b"RssAnon:", b"RssShmem:")))


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def kill_at_once(pids):
    """None of them sees another die: all are stopped first."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            kill(pid, number)


def wait_end_of_pipe(handle, seconds=20):
    """Reads a pipe to its end; all that held it open is gone then. Returns what was in it."""
    until = after(seconds)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    data = b""
    while True:
        left = until - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise Failed("something still holds the pipe open")
        more = os.read(handle, 65536)
        if not more:
            return data
        data += more
