#!/usr/bin/python3
"""
clang-tidy and cppcheck over every C file of the programs and the library, with the flags with which it is built; of the tests, clang's
own warnings (the fuzz step builds the rest with clang).

    lint.py BUILD [PART…]

BUILD is a configured folder; a PART is a piece of the path of the files to look at. Each tool looks at one file at a time, as many
at once as there are cores. What clang-tidy checks, and what not and why, stands in .clang-tidy; what cppcheck is not to say at a
line stands there. The last line is `lint: N passed, N failed`: a case for each file and tool. Exit status 0 when none failed.
"""

import concurrent.futures
import glob
import os
import shlex
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ("daemon", "client", "proto")
TESTS = ("tests/unit", "tests/fuzz", "tests/fault")
ASK = "include Makefile\nlint-flags: ; @:\n$(info %s)\n" % " ".join(
    "$(%s)" % name for name in ("DEFAULT_INCLUDES", "INCLUDES", "AM_CPPFLAGS", "CPPFLAGS", "AM_CFLAGS", "CFLAGS"))
MACROS = [path for pattern in ("sys/queue.h", "*/sys/queue.h", "uthash.h") for path in glob.glob("/usr/include/" + pattern)]
# It does not see that a function with "..." may not return (clang-tidy's analyzer does, and looks for the same), and calls unsafe what here one thread alone calls (getpwuid), or each for a folder of its own (readdir).
NOT_ASKED = ["--suppress=" + name for name in ("nullPointerRedundantCheck", "ctunullpointer", "readdirCalled", "getpwuidCalled",
                                               "toomanyconfigs")]
# Of a function clang's analyzer looks at so many states, a third of what it does by itself: the others are most of its time, and told nothing more.
NODES = "max-nodes=75000"
CPPCHECK = ["cppcheck", "--quiet", "--std=c11", "--language=c", "--library=posix,gnu", "--enable=warning,performance,portability",
            "--inline-suppr", "--max-configs=1", "--error-exitcode=1", "--template={file}:{line}:{column}: {severity}: {message} [{id}]"] + NOT_ASKED


def build_flags(build):
    """What the compiler is given in that folder, but for -Werror: clang-tidy makes errors of warnings by itself."""
    asked = subprocess.run(["make", "-s", "-C", build, "-f", "-", "lint-flags"], input=ASK, text=True, check=True, stdout=subprocess.PIPE)
    return [flag for flag in shlex.split(asked.stdout.split("\n", 1)[0]) if flag != "-Werror"]


def sources(parts):
    found = []
    for folder in FOLDERS + TESTS:
        for place, _, names in os.walk(os.path.join(TOP, folder)):
            found += [os.path.join(place, name) for name in names if name.endswith(".c")]
    found = sorted(os.path.relpath(path, TOP) for path in found)
    return [path for path in found if not parts or any(part in path for part in parts)]


def commands(path, flags):
    """{tool: its command line}. cppcheck knows the system's headers by libraries of its own, but for those that are all macros."""
    source = os.path.join(TOP, path)
    if path.startswith(TESTS):
        return {"clang": ["clang", "-fsyntax-only", "-Werror"] + flags + [source]}
    ours, take = ["-I.", "-I" + TOP] + ["--include=" + header for header in MACROS] + ["--include=config.h"], False
    for flag in flags:
        if flag.startswith("-D") and not take:
            ours.append(flag)
        take = flag == "-include"
    bounds = ["-Xclang", "-analyzer-config", "-Xclang", NODES]
    return {"clang-tidy": ["clang-tidy", "--quiet", source, "--"] + flags + bounds, "cppcheck": CPPCHECK + ours + [source]}


def look(build, tool, path, command):
    """(tool, path, what it said when it found something)"""
    done = subprocess.run(command, cwd=build, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    said = "\n".join(line for line in done.stdout.split("\n") if line and "warnings generated" not in line and
                     not line.startswith(("Suppressed ", "Use -header-filter")))
    return tool, path, said or "exit status %d" % done.returncode if done.returncode != 0 else None


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    build = sys.argv[1]
    flags = build_flags(build)
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        looks = [pool.submit(look, build, tool, path, command) for path in sources(sys.argv[2:])
                 for tool, command in commands(path, flags).items()]
        for one in looks:
            tool, path, said = one.result()
            passed, failed = passed + (said is None), failed + (said is not None)
            if said is not None:
                print("FAILED %s: %s\n%s" % (tool, path, said), flush=True)
    print("lint: %d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
