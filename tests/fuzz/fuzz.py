#!/usr/bin/python3
"""
Fuzzes: runs the targets of a build that was configured with --enable-fuzzing, two at a time, each from a copy of its corpus.

    fuzz.py --build BUILD [--seconds N] [--grow] [TARGET…]

Of each it tells how often it ran and how many edges it came by. One that fails ends with what it said last, its input in
base64, and the command that plays that input again. Nothing is left behind; with --grow what was found is added to
tests/fuzz/corpus, as little of it as comes by the same edges. The last line is `fuzz: N passed, N failed`.
"""

import argparse
import base64
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, "corpus")
AT_ONCE = 2
INPUT_MAX = 4096  # bytes
PATIENCE_S = 60  # for one input
SLACK_S = 300  # to begin and to end
LAST_LINES = 60


def options():
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n", maxsplit=1)[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--grow", action="store_true")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    given = parser.parse_args()
    known = sorted(os.listdir(CORPUS))
    given.targets = given.targets or known
    for target in given.targets:
        if target not in known:
            parser.error("there is no target %s; there are: %s" % (target, " ".join(known)))
    given.build = os.path.abspath(given.build)
    return given


class Run:
    """One target, in a folder of its own below scratch."""

    def __init__(self, given, target, scratch):
        self.given, self.target = given, target
        self.program = os.path.join(given.build, "tests/fuzz/fuzz_" + target)
        self.folder = os.path.join(scratch, target)
        self.corpus, self.found, self.temporary = (os.path.join(self.folder, name) for name in ("corpus", "found", "tmp"))
        for path in (self.folder, self.corpus, self.found, self.temporary):
            os.mkdir(path)
        for name in os.listdir(os.path.join(CORPUS, target)):
            shutil.copyfile(os.path.join(CORPUS, target, name), os.path.join(self.corpus, name))
        self.said, self.faults = "", []

    def call(self, *args, seconds):
        """Runs it; its exit status, None when it did not end in time."""
        env = dict(os.environ, TMPDIR=self.temporary)
        try:
            done = subprocess.run([self.program, *args], cwd=self.folder, env=env, stdin=subprocess.DEVNULL, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + SLACK_S)
        except subprocess.TimeoutExpired as late:
            self.said = (late.stdout or b"").decode(errors="replace")
            return None
        self.said = done.stdout.decode(errors="replace")
        return done.returncode

    def play(self):
        status = self.call(self.corpus, "-max_total_time=%d" % self.given.seconds, "-max_len=%d" % INPUT_MAX,
                           "-timeout=%d" % PATIENCE_S, "-dict=" + os.path.join(HERE, "dictionaries", self.target),
                           "-artifact_prefix=" + self.found + "/", "-print_final_stats=1", seconds=self.given.seconds)
        if status is None:
            self.faults.append("it did not end in time")
        elif status != 0:
            self.faults.append("its exit status is %d" % status)
        else:
            self.faults += ["it left " + name for name in os.listdir(self.temporary)]
        if not self.faults and self.given.grow:
            self.call("-merge=1", "-use_counters=0", os.path.join(CORPUS, self.target), self.corpus, seconds=self.given.seconds)
        return self

    def figures(self):
        runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", self.said)
        covered = re.findall(r" cov: (\d+) ft: (\d+) ", self.said)
        if not runs or not covered:
            return ""
        return "%9s runs, %6d/s, %5s edges, %6s features" % (
            runs.group(1), int(runs.group(1)) / max(1, self.given.seconds), covered[-1][0], covered[-1][1])

    def complain(self):
        print("FAILED fuzz_%s: %s" % (self.target, "; ".join(self.faults)))
        lines = [line for line in self.said.split("\n") if not re.match(r"#\d+\s|INFO: |stat::", line)]
        print("\n".join("    " + line[:300] for line in lines[-LAST_LINES:]))
        for name in sorted(os.listdir(self.found)):
            with open(os.path.join(self.found, name), "rb") as file:
                text = base64.b64encode(file.read()).decode()
            print("    to play it again:\n    echo %s | base64 -d >/tmp/%s\n    %s /tmp/%s" % (text, name, self.program, name))


def main():
    given = options()
    scratch = tempfile.mkdtemp(prefix="futured-fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    failed = 0
    try:
        runs = [Run(given, target, scratch) for target in given.targets]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for run in pool.map(Run.play, runs):
                failed += bool(run.faults)
                print("%-10s %-6s %s" % (run.target, "FAILED" if run.faults else "ok", run.figures()), flush=True)
        for run in runs:
            if run.faults:
                run.complain()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print("fuzz: %d passed, %d failed" % (len(given.targets) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
