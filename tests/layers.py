#!/usr/bin/python3
"""
The layer check: holds what daemon/LAYERS and the style say of who may know whom.

It reads the sources as text, comments and strings left out, needs nothing built, and prints each fault as FILE:LINE: RULE.
What is only too long is a warning. The last line is `layers: N passed, N failed`, a case being one rule over the whole tree.
"""

import collections
import os
import re
import sys

TOP = os.path.abspath(os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
FOLDERS = ("proto", "daemon", "daemon/tasks", "daemon/store_sqlite", "client", "tests/unit", "tests/fault", "tests/fuzz",
           "tests/bench", "tests/bench/programs")
FILE_LINES, FUNCTION_LINES, LINE_COLUMNS = 500, 60, 120
UNFINISHED = re.compile(r"\b(%s)\b" % "|".join(("TO" "DO", "FIX" "ME", "X" "XX")))
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
STARTS_PROCESS = re.compile(r"(?<![\w.>])(v?fork|_Fork|clone3?|posix_spawnp?|system|popen|daemon)\s*\(")
SIGNALS_PROCESS = re.compile(r"(?<![\w.>])(kill|killpg|tgkill|tkill|pidfd_send_signal|procfs_signal|sigqueue)\s*\(")
SLEEPS = re.compile(r"(?<![\w.>])(u?sleep|nanosleep|clock_nanosleep)\s*\(")
OPENS_FILE = re.compile(r"(?<![\w.>])(open(?:at2?|64|dir)?|f(?:re)?open|creat|open_by_handle_at)\s*\(")
NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
NOT_BARE = ("event2/", "event.h", "evutil.h", "sqlite3.h", "pthread.h", "threads.h")

FORKERS = ("spawner", "supervise", "command")
KILLERS = ("command_fork", "procfs", "proctree", "spawner", "supervise")


class Source:
    """A file: its includes as (line, quoted, name), and its code with all else blanked, line by line."""

    def __init__(self, path):
        self.path = path
        self.folder, self.name = os.path.split(path)
        self.stem, self.kind = os.path.splitext(self.name)
        with open(os.path.join(TOP, path), encoding="utf-8") as file:
            self.text = file.read()
        self.lines = self.text.split("\n")
        self.includes = []
        for number, line in enumerate(self.lines, 1):
            match = INCLUDE.match(line)
            if match:
                self.includes.append((number, match.group(1) == '"', match.group(2)))
        self.code = NOT_CODE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), self.text).split("\n")

    def is_part_of(self, module):
        return self.stem == module or self.stem.startswith(module + "_")


class Layers:
    """daemon/LAYERS as {name: layer}, and the names of what knows neither libevent, SQLite nor threads."""

    def __init__(self):
        self.layer = {}
        self.bare = set()
        with open(os.path.join(TOP, "daemon/LAYERS"), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                words = line.split("#")[0].split()
                if not words:
                    continue
                if words[0] == "bare":
                    self.bare.update(words[1:])
                    continue
                for name in words[1:]:
                    if name in self.layer:
                        sys.exit("daemon/LAYERS:%d: %s stands there twice" % (number, name))
                    self.layer[name] = int(words[0])

    def module(self, path):
        """The name in the table that stands for the file: its folder, or the longest that its own name begins with."""
        folder, name = os.path.split(path)
        inner = os.path.basename(folder) + "/"
        if folder != "daemon":
            return inner if inner in self.layer else None
        stem = os.path.splitext(name)[0]
        while stem not in self.layer and "_" in stem:
            stem = stem.rsplit("_", 1)[0]
        return stem if stem in self.layer else None


def load():
    sources = {}
    for folder in FOLDERS:
        whole = os.path.join(TOP, folder)
        for name in sorted(os.listdir(whole)) if os.path.isdir(whole) else []:
            if name.endswith((".c", ".h")):
                source = Source(os.path.join(folder, name))
                sources[source.path] = source
    return sources


def resolve(source, name, sources):
    """The file of the tree that an include with quotes means, or None."""
    for path in (os.path.normpath(os.path.join(source.folder, name)), os.path.normpath(name)):
        if path in sources:
            return path
    return None


class Check:
    def __init__(self):
        self.sources = load()
        self.layers = Layers()
        self.faults = collections.OrderedDict()
        self.warnings = []
        self.rule = None

    def begin(self, rule):
        self.rule = rule
        self.faults[rule] = []

    def fault(self, path, line, what):
        self.faults[self.rule].append("%s:%d: %s" % (path, line, what))

    def inside(self, *folders):
        return [source for source in self.sources.values()
                if any(source.folder == folder or source.folder.startswith(folder + "/") for folder in folders)]

    def each_include(self, sources):
        """(source, line, path of the tree or None, name)"""
        for source in sources:
            for line, quoted, name in source.includes:
                yield source, line, resolve(source, name, self.sources) if quoted else None, name

    def each_match(self, pattern, sources):
        for source in sources:
            for number, line in enumerate(source.code, 1):
                match = pattern.search(line)
                if match:
                    yield source, number, match.group(1)

    # The rules, one a function; the first line of each is what it holds.

    def rule_found(self):
        """an include with quotes names a file of the tree"""
        for source, line, path, name in self.each_include(self.sources.values()):
            if path is None and any(number == line and quoted for number, quoted, _ in source.includes):
                self.fault(source.path, line, "no file %s" % name)

    def rule_listed(self):
        """every source is in its folder's local.mk"""
        lists = {}
        for source in self.inside("proto", "daemon", "client", "tests/unit"):
            folder = "tests/unit" if source.folder == "tests/unit" else source.folder.split("/")[0]
            if folder not in lists:
                with open(os.path.join(TOP, folder, "local.mk"), encoding="utf-8") as file:
                    lists[folder] = set(file.read().split())
            if source.path not in lists[folder]:
                self.fault(source.path, 1, "not in %s/local.mk" % folder)

    def rule_placed(self):
        """every file of daemon/ has its layer in daemon/LAYERS"""
        for source in self.inside("daemon"):
            if self.layers.module(source.path) is None:
                self.fault(source.path, 1, "no layer in daemon/LAYERS")

    def rule_lower(self):
        """a file of daemon/ includes only its own and lower layers"""
        for source, line, path, _ in self.each_include(self.inside("daemon")):
            if path is None or not path.startswith("daemon/"):
                continue
            mine, other = self.layers.module(source.path), self.layers.module(path)
            if mine is None or other is None:
                continue
            if self.layers.layer[other] > self.layers.layer[mine]:
                self.fault(source.path, line, "%s (layer %d) includes %s (layer %d)"
                           % (mine, self.layers.layer[mine], path, self.layers.layer[other]))

    def rule_apart(self):
        """proto knows no one, client and daemon never meet, no program knows the tests"""
        for source, line, path, _ in self.each_include(self.inside("proto", "client", "daemon")):
            top = source.folder.split("/")[0]
            if path and path.split("/")[0] not in (top, "proto"):
                self.fault(source.path, line, "%s includes %s" % (top, path))

    def rule_public(self):
        """futured.h stands alone, and futurectl knows of libfutured that header only"""
        for source, line, path, name in self.each_include(self.inside("client")):
            if source.name == "futured.h" and path:
                self.fault(source.path, line, "the public header includes %s" % path)
            if path == "client/internal.h" and not self.in_library(source):
                self.fault(source.path, line, "futurectl includes %s" % name)

    def in_library(self, source):
        with open(os.path.join(TOP, "client/local.mk"), encoding="utf-8") as file:
            match = re.search(r"libclient_la_SOURCES\s*=((?:[^\n]*\\\n)*[^\n]*)", file.read())
        return bool(match) and source.path in match.group(1).split()

    def rule_sqlite(self):
        """sqlite3.h stands in daemon/store_sqlite alone"""
        for source, line, _, name in self.each_include(self.inside("proto", "daemon", "client")):
            if os.path.basename(name) == "sqlite3.h" and source.folder != "daemon/store_sqlite":
                self.fault(source.path, line, "includes sqlite3.h")

    def rule_bare(self):
        """worker, supervisor and spawner, and what they use, know neither libevent, SQLite nor threads"""
        for source in self.inside("daemon"):
            if self.layers.module(source.path) in self.layers.bare:
                self.follow(source, source, [], set())

    def follow(self, root, source, way, seen):
        for line, quoted, name in source.includes:
            if name.startswith(NOT_BARE):
                at = way[0] if way else line
                through = " through %s" % source.path if source is not root else ""
                self.fault(root.path, at, "includes %s%s" % (name, through))
            path = resolve(source, name, self.sources) if quoted else None
            if path and path not in seen:
                seen.add(path)
                self.follow(root, self.sources[path], way or [line], seen)

    def rule_fork(self):
        """processes are started in spawner, supervise and its command alone"""
        for source, line, name in self.each_match(STARTS_PROCESS, self.inside("proto", "daemon", "client")):
            if source.folder != "daemon" or not any(source.is_part_of(module) for module in FORKERS):
                self.fault(source.path, line, "calls %s()" % name)

    def rule_kill(self):
        """signals are sent in proctree (through procfs), spawner, supervise and its command alone"""
        for source, line, name in self.each_match(SIGNALS_PROCESS, self.inside("proto", "daemon", "client")):
            if source.folder != "daemon" or not any(source.is_part_of(module) for module in KILLERS):
                self.fault(source.path, line, "calls %s()" % name)

    def rule_private(self):
        """tasks open files through privacy.h alone"""
        for source, line, name in self.each_match(OPENS_FILE, self.inside("daemon/tasks")):
            self.fault(source.path, line, "calls %s(): what is the daemon's own is refused by privacy_open()" % name)

    def rule_sleep(self):
        """nothing sleeps to wait for another"""
        for source, line, name in self.each_match(SLEEPS, self.sources.values()):
            self.fault(source.path, line, "calls %s()" % name)

    def rule_finished(self):
        """nothing is left for later in the sources"""
        for folder, _, names in os.walk(TOP):
            inner = os.path.relpath(folder, TOP)
            if inner.split("/")[0] not in ("proto", "daemon", "client", "tests", "scripts", "conf", "man", "m4", "."):
                continue
            for name in sorted(names):
                if name.endswith((".c", ".h", ".py", ".mk", ".ac", ".am", ".in", ".sh")) and name != "config.h.in" \
                        and (inner != "." or name in ("configure.ac", "Makefile.am")):
                    self.find_unfinished(os.path.normpath(os.path.join(inner, name)))

    def find_unfinished(self, path):
        with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                match = UNFINISHED.search(line)
                if match:
                    self.fault(path, number, "says %s" % match.group())

    def measure(self):
        for source in self.sources.values():
            if len(source.lines) > FILE_LINES + 1:
                self.warnings.append("%s:1: %d lines" % (source.path, len(source.lines) - 1))
            wide = [number for number, line in enumerate(source.lines, 1) if len(line.expandtabs(8)) > LINE_COLUMNS]
            if wide:
                self.warnings.append("%s:%d: %d lines over %d columns" % (source.path, wide[0], len(wide), LINE_COLUMNS))
            start = None
            for number, line in enumerate(source.lines, 1):
                if line == "{":
                    start = number
                elif line.startswith("}") and start:
                    if number - start - 1 > FUNCTION_LINES:
                        self.warnings.append("%s:%d: a function of %d lines" % (source.path, start, number - start - 1))
                    start = None

    def run(self):
        for name, rule in vars(Check).items():
            if name.startswith("rule_"):
                self.begin(rule.__doc__)
                rule(self)
        self.measure()


def main():
    check = Check()
    check.run()
    for warning in check.warnings:
        print("warning: " + warning)
    failed = 0
    for rule, faults in check.faults.items():
        print("%s %s" % ("FAILED" if faults else "ok    ", rule))
        for fault in faults:
            print("    " + fault)
        failed += bool(faults)
    print("layers: %d passed, %d failed" % (len(check.faults) - failed, failed))
    return 1 if failed or not check.sources else 0


if __name__ == "__main__":
    sys.exit(main())
