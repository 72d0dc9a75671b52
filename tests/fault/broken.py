#!/usr/bin/python3
"""
The proof that tests can fail: each promise is broken on purpose, and the test that holds it has to go red for that reason.

    broken.py --build DIR [-j N] [--trust] [NAME…]

DIR is a build of this tree. Each patch in tests/fault/broken/ (those with NAME in their name) begins with

    Promise: 1, accepted is durable                what is broken
    Broken: a submission is answered when …        how
    Red: story durable.test_an_acknowledged_…      who must see it: `story FILE.NAME`, `unit PROGRAM`,
                                                   `ledger`, `race`, `storage` or `memory` and ARGUMENTS
    Says: what became of a job that was …          a regular expression: what the test that fails says
    Slow: it waits in vain, for a minute           where that is so: those go first

Red and Says come in pairs, and there may be several. First all those tests must be green with DIR's own programs, unless they
are to be trusted: who has just run them all need not again. Then the tree and DIR are copied, a copy for each of N lanes; a lane applies a patch to its copy, builds what it touched, runs the
tests, and takes it back. A patch that does not apply, a broken tree that does not build, a test that stays green and one
that fails with other words are all failures: a patch has to be kept as true as the code that it breaks. A long
run meets the fault by chance (a power cut, a race), so one that stays green is played up to three times; any that is red with other
words too, since a busy machine has words of its own. The report tells.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
MADE = ("configure", "aclocal.m4", "config.h.in", "Makefile.in", "build-aux", "m4")  # by autoreconf: make looks at them
PROGRAMS = ("futured", "futurectl")
LONG_RUNS = {"ledger": "tests/fault/crash_ledger.py", "race": "tests/fault/race.py", "storage": "tests/fault/storage_faults.py",
             "memory": "tests/fault/memory_faults.py"}
DEADLINE_S = 400
TRIES = 3


class Wrong(Exception):
    """What makes a patch's proof fail."""


class Test:
    """A test by name, and what it says when it fails."""

    def __init__(self, words, says):
        self.kind, self.rest = words.split(None, 1)
        self.says = re.compile(says)
        self.words = words
        if self.kind not in ("story", "unit") and self.kind not in LONG_RUNS:
            raise Wrong("unknown kind of test in: Red: %s" % words)

    def target(self):
        """What has to be built for it, beside the programs."""
        return ["tests/unit/" + self.rest] if self.kind == "unit" else []

    def command(self, build):
        programs = sum((["--" + name, os.path.join(build, name)] for name in PROGRAMS), [])
        if self.kind == "unit":
            return ["tests/run-unit.py", os.path.join(build, "tests/unit", self.rest)]
        if self.kind == "story":
            return ["tests/run-stories.py"] + programs + [self.rest]
        return [LONG_RUNS[self.kind]] + programs + self.rest.split()


class Patch:
    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)[:-len(".patch")]
        self.tests = []
        with open(path, encoding="utf-8") as file:
            head = [line.rstrip("\n").split(": ", 1) for line in file.read().split("\n\n", 1)[0].split("\n")]
        told = dict(head)
        self.slow = "Slow" in told
        if not {"Promise", "Broken", "Red", "Says"} <= set(told):
            raise Wrong("%s: the head needs Promise, Broken, Red and Says" % self.name)
        for (word, red), (other, says) in zip(head, head[1:]):
            if word == "Red" and other == "Says":
                self.tests.append(Test(red, says))


def run(command, folder):
    """(status, all it said)"""
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=DEADLINE_S, check=False)
    except subprocess.TimeoutExpired as late:
        return -1, (late.stdout or b"").decode(errors="replace") + "\nnot done within %d s" % DEADLINE_S
    return done.returncode, done.stdout.decode(errors="replace")


def must(command, folder, what):
    status, said = run(command, folder)
    if status != 0:
        raise Wrong("%s:\n%s" % (what, said[-3000:]))


def play(test, folder, build):
    """Runs a test; (green, what it said)."""
    status, said = run([sys.executable, "-B"] + test.command(build), folder)
    return status == 0, said


class Lane:
    """A copy of tree and build, for one patch after the other."""

    def __init__(self, folder, build):
        self.top = os.path.join(folder, "tree")
        inside = os.path.relpath(build, TOP)
        self.build = os.path.join(folder, "build") if inside.startswith("..") else os.path.join(self.top, inside)
        self.copy_tree()
        shutil.copytree(build, self.build, symlinks=True, ignore=shutil.ignore_patterns("*.log", "*.trs", "futured-*"))
        self.move_paths(build)

    def copy_tree(self):
        names = subprocess.run(["git", "-C", TOP, "ls-files", "-coz", "--exclude-standard"], stdout=subprocess.PIPE, check=True).stdout.decode()
        for name in names.split("\0"):
            path = os.path.join(TOP, name)
            if name and os.path.isfile(path):
                os.makedirs(os.path.dirname(os.path.join(self.top, name)), exist_ok=True)
                shutil.copy2(path, os.path.join(self.top, name))
        for name in MADE:
            path = os.path.join(TOP, name)
            if os.path.isdir(path):
                shutil.copytree(path, os.path.join(self.top, name), dirs_exist_ok=True)
            elif os.path.exists(path):
                shutil.copy2(path, os.path.join(self.top, name))

    def move_paths(self, build):
        """The build knows its places by their full names; what is rewritten keeps its time, or all would be built anew."""
        for place, _, names in os.walk(self.build):
            for name in names:
                path = os.path.join(place, name)
                if not (name in ("Makefile", "config.status", "libtool") or name.endswith((".Plo", ".Po", ".la"))):
                    continue
                with open(path, "rb") as file:
                    data = file.read()
                moved = data.replace(build.encode(), b"\0").replace(TOP.encode(), self.top.encode())
                moved = moved.replace(b"\0", self.build.encode())
                if moved != data:
                    before = os.stat(path)
                    with open(path, "wb") as file:
                        file.write(moved)
                    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def redden(self, test):
        """Plays it until it goes red as told; how often. Raises Wrong when it never does."""
        for tries in range(1, TRIES + 1):
            green, said = play(test, self.top, self.build)
            if not green and test.says.search(said):
                return tries
            if green and (test.kind not in LONG_RUNS or tries == TRIES):
                raise Wrong("%s stays green" % test.words)
        raise Wrong("%s is red, but does not say %r:\n%s" % (test.words, test.says.pattern, said[-4000:]))

    def prove(self, patch):
        """How often its tests were played in all. Raises Wrong unless each of them goes red as told."""
        must(["patch", "-p1", "-s", "--no-backup-if-mismatch", "-i", patch.path], self.top, "the patch does not apply")
        try:
            targets = sum((test.target() for test in patch.tests), list(PROGRAMS))
            must(["make", "-s", "-C", self.build] + targets, self.top, "the broken tree does not build")
            return sum(self.redden(test) for test in patch.tests)
        finally:
            must(["patch", "-p1", "-s", "-R", "-i", patch.path], self.top, "the patch cannot be taken back")


class Report:
    """What the lanes tell, a line a patch."""

    def __init__(self):
        self.passed = self.failed = 0
        self.lock = threading.Lock()

    def tell(self, name, began, wrong=None):
        with self.lock:
            if wrong is None:
                self.passed += 1
            else:
                self.failed += 1
            print("%-7s %s (%.1f s)" % ("ok" if wrong is None else "FAILED", name, time.monotonic() - began), flush=True)
            if wrong is not None:
                print("".join("    %s\n" % line for line in str(wrong).splitlines()), flush=True)


def check_green(patches, build, report):
    """All tests that are named, with the programs as they are."""
    seen = {}
    for patch in patches:
        for test in patch.tests:
            seen.setdefault(test.words, test)
    stories = [test.rest for test in seen.values() if test.kind == "story"]
    others = [test for test in seen.values() if test.kind != "story"]
    began = time.monotonic()
    try:
        must(["make", "-s", "-C", build] + sum((test.target() for test in others), list(PROGRAMS)), TOP, "it does not build")
        commands = [test.command(build) for test in others]
        if stories:
            commands.append(Test("story " + stories[0], "").command(build) + stories[1:])
        for command in commands:
            must([sys.executable, "-B"] + command, TOP, "red with nothing broken: %s" % " ".join(command))
    except Wrong as wrong:
        report.tell("as it is, all of them are green", began, wrong)
        return
    report.tell("as it is, all %d of them are green" % len(seen), began)


def work(lane_of, patches, report):
    """One lane's thread: takes patch after patch until none is left."""
    lane = None
    while True:
        with report.lock:
            patch = patches.pop(0) if patches else None
        if patch is None:
            return
        began = time.monotonic()
        try:
            lane = lane or lane_of()
            played = lane.prove(patch)
        except Exception as wrong:
            report.tell("broken: " + patch.name, began, wrong if isinstance(wrong, (Wrong, OSError)) else repr(wrong))
        else:
            more = ", in %d tries" % played if played > len(patch.tests) else ""
            report.tell("broken: %s: %s%s" % (patch.name, ", ".join(test.words for test in patch.tests), more), began)


def main():
    parser = argparse.ArgumentParser(description="Breaks each promise and expects its test to fail.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only patches whose name contains one of these")
    parser.add_argument("--build", default=os.environ.get("FUTURED_BUILD"), help="a build of this tree (else $FUTURED_BUILD)")
    parser.add_argument("-j", type=int, default=2 * len(os.sched_getaffinity(0)), metavar="N", help="so many lanes: many tests wait, in vain")
    parser.add_argument("--trust", action="store_true", help="that the tests are green with nothing broken")
    given = parser.parse_args()
    if not given.build or not os.path.isfile(os.path.join(given.build, "Makefile")):
        parser.error("--build DIR must be a configured build of this tree")
    build = os.path.realpath(given.build)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    report = Report()
    began = time.monotonic()
    patches = [Patch(os.path.join(HERE, "broken", name)) for name in sorted(os.listdir(os.path.join(HERE, "broken")))
               if name.endswith(".patch") and (not given.names or any(one in name for one in given.names))]
    patches.sort(key=lambda patch: not patch.slow)
    wanted = len(patches) + (not given.trust)
    if not patches:
        parser.error("no patch has any of these in its name: %s" % " ".join(given.names))
    if not given.trust:
        check_green(patches, build, report)
    with tempfile.TemporaryDirectory(prefix="fs-broken-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        lanes = [threading.Thread(target=work, daemon=True, args=(
            lambda number=number: Lane(os.path.join(folder, str(number)), build), patches, report)) for number in range(given.j)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
    print("broken: %d passed, %d failed (%.0f s)" % (report.passed, report.failed, time.monotonic() - began))
    return 0 if report.passed == wanted and not report.failed else 1


if __name__ == "__main__":
    sys.exit(main())
