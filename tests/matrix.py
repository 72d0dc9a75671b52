#!/usr/bin/python3
"""
The matrix of faults (in tests/README.md) is what it says: no test that it names is missing, no broken promise is left out.

    matrix.py

It goes by names alone, and builds and runs nothing. A line for each table, and at the end `matrix: N passed, N failed`.
"""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
README = os.path.join(HERE, "README.md")
BROKEN = os.path.join(HERE, "fault", "broken")
HEAD = ["fault", "expected", "test", "last run"]
LONG_RUNS = {"crash_ledger": "ledger", "race": "race", "storage_faults": "storage", "disk_stories": "storage", "memory_faults": "memory"}


def read(*path):
    with open(os.path.join(HERE, *path), encoding="utf-8") as file:
        return file.read()


def stem(name):
    return os.path.basename(name).rsplit(".", 1)[0]


def red(patch):
    """The tests that must go red with it, without the arguments of those that run long."""
    found = re.findall(r"^Red: (\w+) (\S+)", read("fault", "broken", patch + ".patch"), re.MULTILINE)
    return {"%s %s" % one if one[0] in ("story", "unit") else one[0] for one in found}


class Row:
    """A line of a table: the tests that it names, as a patch would say it, its patches, and what is wrong with it."""

    def __init__(self, cells):
        self.tests, self.patches, self.wrong = set(), set(), []
        self.file = None  # what a name without one is looked for in
        if len(cells) != len(HEAD) or not all(cells):
            self.wrong.append("it has not %d cells with something in each" % len(HEAD))
            return
        for name in re.findall(r"`([^`]+)`", cells[2]):
            if not (self.take_story(name) or self.take_program(name) or self.take_file(name) or self.take_patch(name)):
                self.wrong.append("there is no %s" % name)
        if not self.tests:
            self.wrong.append("no test is named")
        for patch in sorted(self.patches):
            if not self.tests & red(patch):
                self.wrong.append("%s makes none of these tests red" % patch)

    def take_story(self, name):
        match = re.fullmatch(r"(?:(\w+)\.)?(test_\w+)", name)
        file = match and (match[1] or self.file)
        if not file or "/" in file or not os.path.exists(os.path.join(HERE, "story", file + ".py")):
            return False
        self.file = file
        self.tests.add("story %s.%s" % (file, match[2]))
        return "\ndef %s(" % match[2] in read("story", file + ".py")

    def take_program(self, name):
        """A unit test, or a case of the one before it."""
        if name.startswith("unit/"):
            self.file = name
            self.tests.add("unit " + name[5:])
            return os.path.exists(os.path.join(HERE, name + ".c"))
        return bool(self.file) and self.file.startswith("unit/") and "START_TEST(%s)" % name in read(self.file + ".c")

    def take_file(self, name):
        if not name.endswith((".py", ".c")):
            return False
        self.file = None
        self.tests.add(LONG_RUNS.get(stem(name), name))
        return any(os.path.exists(os.path.join(HERE, folder, name)) for folder in ("", "story", "fault"))

    def take_patch(self, name):
        if not os.path.exists(os.path.join(BROKEN, name + ".patch")):
            return False
        self.patches.add(name)
        return True


def tables(text):
    """[(heading, [cells of a row])] of the section."""
    section = text[text.index("\n## The matrix of faults\n") + 1:]
    section = section[:section.index("\n## ")]
    for part in section.split("\n### ")[1:]:
        rows = [[cell.strip() for cell in line[1:-1].split(" | ")] for line in part.splitlines() if line.startswith("|")]
        yield part.splitlines()[0], rows


def main():
    passed = failed = 0
    named = set()
    for heading, (head, _, *rows) in tables(read("README.md")):
        wrong = [] if head == HEAD else ["its columns are not %s" % ", ".join(HEAD)]
        for cells in rows:
            row = Row(cells)
            named |= row.patches
            wrong += ["%s: %s" % (cells[0], what) for what in row.wrong]
        print("%s %s, %d faults" % ("FAILED" if wrong else "ok    ", heading, len(rows)))
        print("".join("    %s\n" % what for what in wrong), end="")
        passed, failed = passed + (not wrong), failed + bool(wrong)
    missing = {stem(name) for name in os.listdir(BROKEN) if name.endswith(".patch")} - named
    print("%s each of the broken promises is in it" % ("FAILED" if missing else "ok    "))
    print("".join("    %s is not\n" % name for name in sorted(missing)), end="")
    passed, failed = passed + (not missing), failed + bool(missing)
    print("matrix: %d passed, %d failed" % (passed, failed))
    return 1 if failed or not named else 0


if __name__ == "__main__":
    sys.exit(main())
