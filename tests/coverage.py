#!/usr/bin/python3
"""
How much of daemon/, client/ and proto/ the tests have run through, of a build with `gcc --coverage` and tests/coverage.h.

    coverage.py --prepare BUILD     before the tests: nothing has been counted yet
    coverage.py BUILD               after them: the figures, the files with most lines that were not run, and the verdict

The tests run as users of their own and with a umask of their own, so the files that count are made here, for everybody to write;
gcov's own lock lets processes that end at once add to them one by one. The bounds: LINES per cent of all lines, and every branch
of the files in EVERY_BRANCH. The last line is `coverage: N passed, N failed`. --missed FILE… adds the lines of these that were not run.
"""

import argparse
import collections
import json
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ("daemon", "client", "proto")
EVERY_BRANCH = ("daemon/fsm.c",)
LINES = 90.0
WORST = 20


def objects(build):
    """Of the objects that are counted, without suffix: those of the programs, not those of the tests."""
    found = []
    for folder in FOLDERS:
        for place, _, names in os.walk(os.path.join(build, folder)):
            found += [os.path.join(place, name[:-5]) for name in names if name.endswith(".gcno")]
    return sorted(found)


def prepare(build):
    """Every file that a program of that build may write to, also for tests, whose users may not make one. Old sources are forgotten."""
    for place, _, names in os.walk(build):
        for name in names:
            if name.endswith(".gcno"):
                if not os.path.exists(os.path.join(TOP, os.path.relpath(place, build).replace("/.libs", ""), name[:-5] + ".c")):
                    os.unlink(os.path.join(place, name))
                    continue
                path = os.path.join(place, name[:-5] + ".gcda")
                with open(path, "wb"):
                    pass
                os.chmod(path, 0o666)


class File:
    def __init__(self):
        self.lines = collections.Counter()
        self.branches = collections.Counter()

    def add(self, lines):
        for line in lines:
            number = line["line_number"]
            self.lines[number] += line["count"]
            for i, branch in enumerate(line["branches"]):
                self.branches[number, i] += branch["count"]

    def run(self):
        return sum(1 for count in self.lines.values() if count > 0)

    def missed(self):
        return len(self.lines) - self.run()

    def share(self):
        return 100.0 * self.run() / len(self.lines)

    def missed_branches(self):
        return sorted({line for (line, _), count in self.branches.items() if count == 0})

    def missed_lines(self):
        """As ranges."""
        ranges = []
        for number in sorted(self.lines):
            if self.lines[number] > 0:
                ranges.append(None)
            elif ranges and ranges[-1]:
                ranges[-1][1] = number
            else:
                ranges.append([number, number])
        return ["%d" % a if a == b else "%d-%d" % (a, b) for a, b in filter(None, ranges)]


def read(build):
    """{path below the top: File}"""
    files = collections.defaultdict(File)
    for name in objects(build):
        done = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", name + ".gcno"], cwd=build, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0 and b"no functions found" not in done.stderr:
            sys.exit("coverage: gcov on %s: %s" % (name, done.stderr.decode(errors="replace")))
        for text in done.stdout.decode().splitlines():
            told = json.loads(text)
            for file in told["files"]:
                path = os.path.relpath(os.path.join(told["current_working_directory"], file["file"]), TOP)
                if path.startswith(tuple(folder + os.sep for folder in FOLDERS)):
                    files[path].add(file["lines"])
    return {path: file for path, file in files.items() if file.lines}


def total(files, folder=""):
    chosen = [file for path, file in files.items() if path.startswith(folder)]
    run, lines = sum(file.run() for file in chosen), sum(len(file.lines) for file in chosen)
    branches = [count for file in chosen for count in file.branches.values()]
    taken = sum(1 for count in branches if count > 0)
    return (100.0 * run / lines, run, lines, 100.0 * taken / max(1, len(branches)))


def show(files, missed):
    for folder in FOLDERS + ("",):
        print("%-8s %5.1f %% of the lines (%d of %d), %.1f %% of the branches" % ((folder or "all",) + total(files, folder)))
    print("most lines not run:")
    for path, file in sorted(files.items(), key=lambda one: -one[1].missed())[:WORST]:
        print("  %-34s %4d of %4d, %5.1f %% run" % (path, file.missed(), len(file.lines), file.share()))
    for path in missed:
        for name, file in files.items():
            if path in name:
                print("%s: not run: %s" % (name, " ".join(file.missed_lines())))


def judge(files):
    """(passed, failed)"""
    passed = failed = 0
    share = total(files)[0]
    if share >= LINES:
        passed += 1
    else:
        print("FAILED lines: %.1f %% were run, and at least %g %% are to be" % (share, LINES))
        failed += 1
    for path in EVERY_BRANCH:
        if path in files and not files[path].missed_branches() and files[path].branches:
            passed += 1
        else:
            print("FAILED branches: %s: not every branch was taken: lines %s" % (
                path, files[path].missed_branches() if path in files else "unknown"))
            failed += 1
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description="How much of the code the tests have run through.")
    parser.add_argument("build")
    parser.add_argument("--prepare", action="store_true", help="before the tests")
    parser.add_argument("--missed", nargs="+", default=[], metavar="FILE", help="also the lines of these that were not run")
    given = parser.parse_args()
    build = os.path.abspath(given.build)
    if not objects(build):
        sys.exit("coverage: %s is not built with gcc --coverage" % build)
    if given.prepare:
        prepare(build)
        return 0
    files = read(build)
    show(files, given.missed)
    passed, failed = judge(files)
    print("coverage: %d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
