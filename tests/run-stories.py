#!/usr/bin/python3
"""
Runs the stories: each a function in tests/story/*.py that drives a real daemon from outside.

    run-stories.py [-j N] [--futured PATH] [--futurectl PATH] [--env NAME=VALUE] [NAME…]

A NAME is a part of `file.test_name`; without any, those in $FUTURED_STORIES, else all; -NAME there leaves some out.
One line a story, with the figures that it tells, and at the end `stories: N passed, N failed`; the exit status is 0
when none failed and at least one ran. Programs are looked for in $FUTURED and $FUTURECTL, then below the current
folder. They are copied to a folder that every user may read, since the stories run as users of their own when root
runs them.
"""

import argparse
import importlib
import json
import multiprocessing.connection
import os
import signal
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "story"))

from harness import overseer, process, programs  # noqa: E402  (the path comes first)

COLOURS = {"ok": "32", "FAILED": "31", "skipped": "33"}


def arguments():
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description="Runs the stories against a built daemon.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only stories whose name contains one of these")
    parser.add_argument("-j", type=int, default=3 * cores, metavar="N", help="so many at once (default %d)" % (3 * cores))
    programs.add_options(parser)
    parser.add_argument("--without", action="append", default=[], metavar="NAME",
                        help="leave out stories with this in their name")
    parser.add_argument("--list", action="store_true", help="names and what they tell, and nothing else")
    parser.add_argument("--keep", action="store_true", help="keep the stories' folders")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="each of them N times")
    given = parser.parse_args()
    told = os.environ.get("FUTURED_STORIES", "").split()
    given.names = given.names or [name for name in told if not name.startswith("-")]
    given.without += [name[1:] for name in told if name.startswith("-")]
    return given


def stories(names, without):
    """[(name, function)] in the order of files and lines."""
    found = []
    for file in sorted(os.listdir(os.path.join(HERE, "story"))):
        if not file.endswith(".py"):
            continue
        module = importlib.import_module(file[:-3])
        for function in [thing for name, thing in vars(module).items() if name.startswith("test_")]:
            if not function.__doc__:
                sys.exit("%s.%s has no sentence" % (file[:-3], function.__name__))
            found.append(("%s.%s" % (file[:-3], function.__name__), function))
    return [one for one in found if (not names or any(name in one[0] for name in names))
            and not any(name in one[0] for name in without)]


def begin(name, function, staged, keep):
    """Starts the overseer of a story; (the pipe it tells on, name, pid)."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid:
        os.close(tell)
        return os.fdopen(told, "rb"), name, pid
    os.close(told)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process.prctl(process.PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        verdict = overseer.oversee(function, *staged, keep)
    except BaseException as wrong:
        verdict = {"ok": False, "why": "the overseer failed: %r" % wrong, "seconds": 0}
    with os.fdopen(tell, "wb") as pipe:
        pipe.write(json.dumps(verdict).encode())
    os._exit(0)


def say(word, name, more=""):
    if sys.stdout.isatty():
        word = "\033[%sm%-7s\033[0m" % (COLOURS[word], word)
    print("%-7s %s%s" % (word, name, more), flush=True)


def finish(running, count):
    """Takes one verdict and tells it."""
    pipe, name, pid = running
    data = pipe.read()
    pipe.close()
    _, _, used = os.wait4(pid, 0)  # by it and all that it has waited for
    verdict = json.loads(data) if data else {"ok": False, "why": "the overseer died", "seconds": 0}
    count["passed" if verdict["ok"] else "failed"] += 1
    figures = "; ".join(verdict.get("figures", []))
    say("ok" if verdict["ok"] else "FAILED", name, " (%.1f s, cpu %.1f s)%s" % (verdict["seconds"], used.ru_utime + used.ru_stime, ": " + figures if figures else ""))
    if not verdict["ok"]:
        count["names"].append(name)
        text = verdict["why"].rstrip() + "\n" + verdict.get("logs", "")
        print("".join("    %s\n" % line for line in text.splitlines()), flush=True)


def play(chosen, given, staged):
    count = {"passed": 0, "failed": 0, "skipped": 0, "names": []}
    waiting = [one for one in chosen for _ in range(given.repeat)]
    running = []
    try:
        while waiting or running:
            while waiting and len(running) < max(1, given.j):
                name, function = waiting.pop(0)
                options = getattr(function, "options", {})
                missing = "root" if options.get("root") and os.geteuid() != 0 else options.get("missing")
                if missing:
                    say("skipped", name, " (needs %s)" % missing)
                    count["skipped"] += 1
                    continue
                running.append(begin(name, function, staged, given.keep))
            for pipe in multiprocessing.connection.wait([one[0] for one in running]):
                one = next(one for one in running if one[0] is pipe)
                running.remove(one)
                finish(one, count)
    finally:
        for _, _, pid in running:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
    return count


def main():
    given = arguments()
    chosen = stories(given.names, given.without)
    if given.list:
        for name, function in chosen:
            print("%-48s %s" % (name, " ".join(function.__doc__.split())))
        return 0
    began = time.monotonic()
    signal.signal(signal.SIGTERM, overseer.end_from_outside)
    try:
        with programs.Staged(given) as staged:
            count = play(chosen, given, staged)
    except KeyboardInterrupt:
        return 130
    skipped = ", %d skipped" % count["skipped"] if count["skipped"] else ""
    for name in count["names"]:
        say("FAILED", name)
    print("stories: %d passed, %d failed%s (%.0f s)" % (count["passed"], count["failed"], skipped, time.monotonic() - began))
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
