#!/usr/bin/python3
"""
Runs one unit test program, and lets it leave nothing behind.

    run-unit.py PROGRAM [ARG…]

The program runs in a folder of its own (its current one and $TMPDIR), below this process as subreaper, and, when root
runs it, as a user of its own. It fails if a check failed, if there was none, if it ended early, or if a process or a file
is left of it. The last line is `unit: N passed, N failed`, counted from what Check says of each test.

A fuzz target (fuzz_NAME), which plays its corpus, finds a copy of tests/fuzz/corpus/NAME as corpus/ in that folder.

Check's own time-outs are stretched by FUTURED_TEST_SCALE. $CK_RUN_CASE and the like work as ever. $FUTURED_UNIT_UNDER is what
stands in front of the program: a command like valgrind with its options.
"""

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
FIRST_UID, LAST_UID = 21000, 21999
SCALE = float(os.environ.get("FUTURED_TEST_SCALE") or "1")
DEADLINE_S = 600 * SCALE
LINGER_S = 10 * SCALE


def take_uid():
    """(uid, the socket that holds it as long as this process lives)"""
    for uid in range(FIRST_UID, LAST_UID):
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            holder.bind("\0futured-unit-uid-%d" % uid)
            return uid, holder
        except OSError:
            holder.close()
    sys.exit("run-unit: no uid is free")


def stage(program, folder):
    """A copy that every user can reach, wherever the build stands."""
    copy = os.path.join(folder, os.path.basename(program))
    shutil.copy(program, copy)
    return copy


def stage_corpus(name, folder):
    """Names below folder that were copied: the sources may be where no other user comes, and may not be written."""
    corpus = os.path.join(os.environ.get("srcdir") or ".", "tests/fuzz/corpus", name[len("fuzz_"):])
    if not name.startswith("fuzz_") or not os.path.isdir(corpus):
        return set()
    os.mkdir(os.path.join(folder, "corpus"))
    names = sorted(os.listdir(corpus))
    for one in names:
        shutil.copyfile(os.path.join(corpus, one), os.path.join(folder, "corpus", one))
    return {"corpus"} | {os.path.join("corpus", one) for one in names}


def environment(folder):
    env = dict(os.environ)
    env.update(TMPDIR=folder, HOME=folder, CK_TAP_LOG_FILE_NAME=os.path.join(folder, "tap"),
               CK_VERBOSITY="silent", CK_TIMEOUT_MULTIPLIER=str(max(1, round(SCALE))),
               CK_DEFAULT_TIMEOUT=os.environ.get("CK_DEFAULT_TIMEOUT") or "30")
    env["srcdir"] = os.path.abspath(os.environ.get("srcdir") or ".")
    return env


def below():
    """The pids of this process's children; what is orphaned anywhere in the program's tree becomes one."""
    with open("/proc/self/task/%d/children" % os.getpid(), encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def name_of(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip() or "?"
    except OSError:
        return "gone"


def reap():
    """Takes what has ended; True when no child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG | 0x40000000)[0]:
            pass
        return False
    except ChildProcessError:
        return True


def end_leftovers():
    """Waits a fair while for the tree to end by itself, kills what does not; a list of what was left."""
    until = time.monotonic() + LINGER_S
    while not reap() and time.monotonic() < until:
        signal.sigtimedwait({signal.SIGCHLD}, 0.02)
    left = ["%d (%s)" % (pid, name_of(pid)) for pid in below()]
    until = time.monotonic() + LINGER_S
    while not reap() and time.monotonic() < until:
        for pid in below():
            os.kill(pid, signal.SIGKILL)
        signal.sigtimedwait({signal.SIGCHLD}, 0.02)
    return left


def play(program, args, folder):
    """Runs it to its end; its exit status, None at the deadline."""
    options = {}
    if os.geteuid() == 0:
        uid, play.holder = take_uid()
        for path, _, names in os.walk(folder):
            for name in [""] + names:
                os.chown(os.path.join(path, name), uid, uid)
        options = {"user": uid, "group": uid, "extra_groups": []}
    under = os.environ.get("FUTURED_UNIT_UNDER", "").split()
    process = subprocess.Popen(under + [program] + args, cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL,
                               start_new_session=True, preexec_fn=unblock, **options)
    try:
        return process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def unblock():
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def read_tap(path):
    """(passed, [what failed]) of what Check wrote, one line a test and last the plan."""
    passed, failed, plan = 0, [], None
    text = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    for line in text.split("\n"):
        if line.startswith("ok "):
            passed += 1
        elif line.startswith("not ok "):
            failed.append(line.split(" ", 3)[-1])
        elif re.fullmatch(r"1\.\.\d+", line):
            plan = int(line[3:])
    if plan != passed + len(failed):
        failed.append("it ended before all tests were told")
    if plan == 0:
        failed.append("it has no tests")
    return passed, failed


def leftover_files(folder, known):
    found = []
    for path, folders, names in os.walk(folder):
        found += [os.path.relpath(os.path.join(path, name), folder) for name in folders + names]
    return sorted(set(found) - known)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = os.path.abspath(sys.argv[1])
    name = os.path.basename(program)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        sys.exit("run-unit: no subreaper")
    os.umask(0o022)
    folder = tempfile.mkdtemp(prefix="fu-", dir="/tmp")
    try:
        os.chmod(folder, 0o755)
        known = {name, "tap"} | stage_corpus(name, folder)
        status = play(stage(program, folder), sys.argv[2:], folder)
        left = end_leftovers()
        passed, failed = read_tap(os.path.join(folder, "tap"))
        if status is None:
            failed.append("it did not end within %d s" % DEADLINE_S)
        elif status != 0 and not failed:
            failed.append("its exit status is %d" % status)
        failed += ["it left a process: " + one for one in left]
        failed += ["it left a file: " + one for one in leftover_files(folder, known)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for one in failed:
        print("FAILED %s: %s" % (name, one))
    print("unit: %d passed, %d failed" % (passed, len(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
