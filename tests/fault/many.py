"""
Many stories that are made at run time, some at once, each under an overseer of its own (see tests/run-stories.py, which does it
for those that stand in files).
"""

import json
import multiprocessing.connection
import os
import signal
import time

from harness import overseer, process

end_from_outside = overseer.end_from_outside
FAILURES = 3  # after so many no more are begun


def begin(function, staged):
    """(the pipe on which its overseer tells how it went, the overseer's pid)"""
    told, tell = os.pipe()
    pid = os.fork()
    if pid:
        os.close(tell)
        return os.fdopen(told, "rb"), pid
    os.close(told)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process.prctl(process.PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        verdict = overseer.oversee(function, *staged)
    except BaseException as wrong:
        verdict = {"ok": False, "why": "the overseer failed: %r" % wrong, "seconds": 0}
    with os.fdopen(tell, "wb") as pipe:
        pipe.write(json.dumps(verdict).encode())
    os._exit(0)


def finish(name, pipe, pid):
    """Whether it passed; says why not."""
    data = pipe.read()
    pipe.close()
    os.waitpid(pid, 0)
    verdict = json.loads(data) if data else {"ok": False, "why": "the overseer died", "seconds": 0}
    if not verdict["ok"]:
        print("FAILED  %s (%.1f s)" % (name, verdict["seconds"]))
        text = verdict["why"].rstrip() + "\n" + verdict.get("logs", "")
        print("".join("    %s\n" % line for line in text.splitlines()), flush=True)
    return verdict["ok"]


def play(stories, staged, at_once):
    """{name: function}; (passed, failed). Progress is told each ten seconds, a failure at once."""
    waiting, running = list(stories.items()), {}
    passed = failed = 0
    tell_at = time.monotonic() + 10
    try:
        while running or (waiting and failed < FAILURES):
            while waiting and failed < FAILURES and len(running) < max(1, at_once):
                name, function = waiting.pop(0)
                pipe, pid = begin(function, staged)
                running[pipe] = (name, pid)
            for pipe in multiprocessing.connection.wait(list(running)):
                name, pid = running.pop(pipe)
                good = finish(name, pipe, pid)
                passed, failed = passed + good, failed + (not good)
            if time.monotonic() > tell_at:
                print("%d of %d" % (passed + failed, len(stories)), flush=True)
                tell_at = time.monotonic() + 10
    finally:
        for _, pid in running.values():
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
    return passed, failed
