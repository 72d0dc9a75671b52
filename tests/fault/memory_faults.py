#!/usr/bin/python3
"""
Memory that runs out: in the midst of a scripted session one allocation of the daemon, its spawner or a worker has no memory.

    memory_faults.py [--all] [-j N] [ONLY…]

In front of the C library stands memory.c, which knows every way by which the session comes to an allocation, in the daemon itself or
in a library (libevent, SQLite, jansson, libcurl, OpenSSL, glibc). One session finds the ways; then the session is played again, each
time with another way on which memory is short, once, or from then on. What must hold:

- the daemon goes on, or ends: as mem.h says (SIGABRT, and `out of memory` in the log), with a status that is documented, or, where
  memory was short in the spawner, as when that dies (70). It is never ended by another signal, and it never ends without a reason;
- who was refused was told so, and no result is a wrong one;
- after a start with memory: what was acknowledged is there, what was seen ended is unchanged, what was unknown is one job by its key.

Of the ways some are taken evenly; --all, or FUTURED_MEMORY_ALL=1, takes every one. ONLY are parts of the names of the cases.
"""

import argparse
import collections
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "story"), HERE]

import many  # noqa: E402  (the path comes first)
from harness import Closed, Refused, eq, options, programs, that, wait_for  # noqa: E402
from webhooks import Receiver  # noqa: E402

FIELDS = ["label", "state", "result", "error", "attempt"]
ENDED = ("succeeded", "failed", "cancelled")
FAR = 3600
SOME = {"daemon": 120, "spawner": 12, "worker": 28}  # ways of each that are taken unless all are
FROM = 4  # one of so many goes on failing
DOCUMENTED = (0, 65, 70, 74, 78)
NO_MEMORY = re.compile("memory", re.IGNORECASE)
NO_FAULT = "no_fault"
NOT_OURS = "getpwuid+"  # in the way that memory.c tells: glibc 2.36 uses its table of name services though it had no memory for it


class Ended(Exception):
    """The daemon has ended, or left this connection."""


class Session:
    """One client: what it has asked, and what it was told."""

    def __init__(self, story, receiver):
        self.t, self.receiver = story, receiver
        self.client = None
        self.jobs, self.unknown = {}, {}  # label -> entry; label -> (method, params)
        self.words = collections.Counter()
        self.forgetting = False  # the first job, and no reply has come

    def ask(self, method, params=None, label=None):
        """The result, or None when it was refused for want of memory."""
        try:
            return self.client.call(method, params)
        except Refused as refusal:
            word = refusal.word or str(refusal.code)
            self.words[word] += 1
            # A watch whose jobs could not be read has ended by itself.
            that(word in ("outcome_unknown", "busy") or (method == "unwatch" and word == "not_found") or NO_MEMORY.search(str(refusal)) or "could not be read" in str(refusal),
                 "%s: %s" % (method, refusal))
            if label is not None and word == "outcome_unknown":
                self.unknown[label] = (method, params)
            return None
        except (Closed, OSError):
            if label is not None:
                self.unknown[label] = (method, params)
            self.words["no reply"] += 1
            raise Ended() from None

    def submit(self, label, method="submit", expected=None, **params):
        params = dict({"task": "noop"}, **params, label=label, key=label)
        entry = {"expected": expected, "cancelled": False, "seen": {}, "stays": params.get("delay") == FAR}
        self.jobs[label] = dict(entry, first=None, count=0)
        result = self.ask(method, params, label)
        if result is not None:
            self.acknowledge(label, result)
        return self.jobs[label]["first"]

    def acknowledge(self, label, result):
        first, count = (result["id"], 1) if "id" in result else (result["first"], result["count"])
        self.jobs[label].update(first=first, count=count)

    def known(self, stays=True):
        """The ids of what was acknowledged (of what will end)."""
        return ["%d-%d" % (entry["first"], entry["first"] + entry["count"] - 1) for entry in self.jobs.values()
                if entry["first"] is not None and (stays or not entry["stays"] or entry["cancelled"])]

    def look(self):
        """The jobs that were acknowledged; what was seen ended is compared."""
        if not self.known():
            return []
        jobs = self.ask("status", {"ids": self.known(), "fields": FIELDS})
        for job in jobs or []:
            entry = self.jobs[job["label"]]
            eq(job, entry["seen"].get(job["id"], job), "a job that was seen ended")
            if job["state"] in ENDED:
                entry["seen"][job["id"]] = job
        return jobs or []

    def work(self):
        t = self.t
        for i in range(2):
            self.submit("noop%d" % i, args=[i], expected=[i])
        self.submit("items", "map", items=[[i] for i in range(40)])
        self.submit("sorted", args={"b": [1, {"d": 2, "c": 3}], "a": "é"}, expected={"b": [1, {"d": 2, "c": 3}], "a": "é"})
        parent = self.submit("prime", task="math.factorize", args=[600851475143], expected=[71, 839, 1471, 6857])
        if parent is not None:
            self.submit("child", after=[parent], after_policy="finished")
        self.submit("command", task="exec", args=t.sh("cat; echo said >&2", stdin="in"), max_attempts=3, backoff=0.01,
                    webhook=self.receiver.url)
        self.submit("sum", task="file.sha256", args=["/etc/hostname"], max_attempts=3)
        self.submit("read", task="file.read", args=["/etc/hostname"])
        self.submit("slept", task="time.sleep", args=[0.01], expected=0.01)
        self.submit("name", task="net.resolve", args=["localhost"])
        self.submit("page", task="http.fetch", args=[self.receiver.url], max_attempts=3)
        self.submit("later", delay=FAR)
        self.submit("gone", delay=FAR)
        gone = self.jobs["gone"]
        if gone["first"] is not None:
            gone["asked"] = True
            told = self.ask("cancel", {"id": gone["first"]})
            gone["cancelled"] = bool(told and told["cancelled"])
        watch = self.ask("watch", {"ids": self.known(), "events": ["finished", "running"]})
        if watch:
            self.ask("unwatch", {"watch": watch["watch"]})
        for method, params in (("list", {"filter": {"state": ["succeeded", "pending"]}}), ("queues", None), ("tasks", None),
                               ("stats", None), ("pause", {"queue": "q"}), ("set_queue", {"queue": "q", "limit": 2})):
            self.ask(method, params)
        self.look()

    def settle(self):
        """Until all has ended that can."""
        def has_settled():
            ids = self.known(stays=False)
            told = self.ask("await", {"ids": ids, "wait": 0.5, "jobs": False}) if ids else {"timed_out": False}
            return told is not None and not told["timed_out"]
        wait_for(has_settled, "all jobs end", 60)
        self.look()

    def rest(self):
        if self.jobs["command"]["first"] is not None:
            self.ask("output", {"id": self.jobs["command"]["first"], "stream": "stdout", "offset": 0, "limit": 100})
            self.ask("retry", {"ids": self.known(stays=False)[:1]})
        first = self.jobs["noop0"]
        if first["first"] is not None:
            self.forgetting = True
            if self.ask("forget", {"id": first["first"]}):
                del self.jobs["noop0"]
            self.forgetting = False

    def judge(self):
        """Of all that has ended: a right result, or an error that memory can cause."""
        for label, entry in self.jobs.items():
            for job in entry["seen"].values():
                if job["state"] == "cancelled":
                    that(entry.get("asked"), "%s was cancelled by nobody" % label)
                elif job["state"] == "succeeded":
                    that(not entry["cancelled"], "%s: its cancel was promised" % label)
                    if entry["expected"] is not None:
                        eq(job["result"], entry["expected"], "the result of %s" % label)
                else:
                    error = job["error"]
                    that(error["type"] in ("WorkerDied", "Lost") or
                         (error["type"] == "TaskError" and (NO_MEMORY.search(error["message"]) or
                                                            # glibc's getaddrinfo(3) says so for want of memory
                                                            (label == "name" and "Name or service not known" in error["message"]) or
                                                            error.get("data", {}).get("errno") in ("ENOMEM", "EAGAIN"))),
                         "an end it may not have: %s: %r" % (label, job))


class Case:
    """One session, with memory short on `way` of a process of that kind."""

    def __init__(self, story, given, fault=None):
        self.t, self.fault = story, fault
        self.daemon = story.make(config={"http": {"local": "yes"}}, wrapper=(), workers=2, threads=2)
        self.session = Session(story, Receiver(story))
        self.told = story.path("told")
        self.plain = dict(self.daemon.env)
        self.daemon.env.update(LD_PRELOAD=given.library, MEMORY_TOLD=self.told)
        if fault:
            self.daemon.env["MEMORY_FAIL"] = fault
        else:
            self.daemon.env["MEMORY_SEEN"] = given.seen

    def live(self):
        self.daemon.start(ready=False)
        try:
            self.daemon.ready()
            self.session.client = self.t.client()
        except (AssertionError, OSError):
            that(self.daemon.ended(), "it neither starts nor ends: " + self.daemon.log())
            raise Ended() from None
        self.session.work()
        self.session.settle()
        self.session.rest()

    def play(self):
        try:
            self.live()
        except Ended:
            if not self.daemon.ended():  # it may only have closed that connection
                self.daemon.signal(signal.SIGTERM)
        else:
            self.daemon.signal(signal.SIGTERM)
        self.judge_end(self.daemon.wait())
        self.look_again()

    def judge_end(self, status):
        log = self.daemon.log()
        if not os.path.exists(self.told):
            eq(status, 0, "the status without a fault: " + log)
            return
        where = self.fault.split()[0]
        way = pathlib.Path(self.told).read_text(encoding="utf-8")
        if NOT_OURS in way and "ready: " not in log and status in (-signal.SIGSEGV, -signal.SIGABRT):
            return
        if status == -signal.SIGABRT:
            that("futured: out of memory" in log, "it was aborted without a word: " + log)
            return
        that(status in DOCUMENTED, "memory was short in the %s: the status %r\n%s\n%s" % (where, status, log, way))
        that(status != 65, "a store that is whole was called damaged: " + log)
        that(status == 0 or NO_MEMORY.search(log) or "no thread" in log,
             "it does not say why it ended with %d: %s\n%s" % (status, log, way))

    def look_again(self):
        """After a start with memory."""
        session, daemon = self.session, self.daemon
        daemon.env = self.plain
        daemon.start()
        session.client = self.t.client()
        for label, (method, params) in session.unknown.items():
            session.acknowledge(label, session.client.call(method, params))
        if session.forgetting and not session.client.call("list", filter={"label": "noop0"})["jobs"]:
            del session.jobs["noop0"]
        eq(len(session.look()), sum(entry["count"] for entry in session.jobs.values()), "all that was acknowledged is there")
        session.settle()
        session.judge()
        labels = collections.Counter(job["label"] for job in session.client.call("list", limit=1000, fields=["label", "retry_of"])["jobs"]
                                     if job["retry_of"] is None)
        for label, entry in session.jobs.items():
            that(labels[label] == entry["count"], "%d jobs of the submission %s, and %d were acknowledged" % (
                labels[label], label, entry["count"]))
        eq(session.client.call("stats")["running"], 0, "nothing stays running")
        daemon.stop()


def build(folder):
    """Compiles memory.c; the path of the library."""
    library = os.path.join(folder, "memory.so")
    subprocess.run([os.environ.get("CC", "cc"), "-Wall", "-Wextra", "-O1", "-fno-omit-frame-pointer", "-shared", "-fPIC", "-o", library,
                    os.path.join(HERE, "memory.c"), "-ldl"], check=True)
    return library


def story(given, fault):
    def case(t):
        one = Case(t, given, fault)
        one.play()
        with open(given.tally, "a", encoding="utf-8") as file:
            file.write("%s\n" % ("struck" if os.path.exists(one.told) else "missed"))
    return options(deadline=120)(case)


def find_ways(given):
    """{kind: [way]}, each in the order in which they were seen first."""
    found = collections.OrderedDict((kind, []) for kind in SOME)
    with open(given.seen, encoding="utf-8") as file:
        for line in file:
            kind, way = line.split()
            if kind in found and way not in found[kind]:
                found[kind].append(way)
    return found


def cases(given, ways):
    found = {}
    for kind, those in ways.items():
        count = len(those) if given.all else min(len(those), SOME[kind])
        for i in range(count):
            n = i * len(those) // count
            lasting = " from" if i % FROM == FROM - 1 else ""
            name = "%s.way_%d_of_%d%s" % (kind, n + 1, len(those), "_and_on" if lasting else "")
            if not given.only or any(part in name for part in given.only):
                found[name] = story(given, "%s %s%s" % (kind, those[n], lasting))
    return found


def arguments():
    parser = argparse.ArgumentParser(description="Lets memory run out under a daemon, at every kind of allocation of a session.")
    programs.add_options(parser)
    parser.add_argument("only", nargs="*", metavar="ONLY", help="parts of the names of the cases to play")
    parser.add_argument("--all", action="store_true", default=os.environ.get("FUTURED_MEMORY_ALL", "") not in ("", "0"),
                        help="every way, in place of some (also FUTURED_MEMORY_ALL=1)")
    parser.add_argument("-j", type=int, default=3 * len(os.sched_getaffinity(0)), metavar="N", help="so many at once")
    return parser.parse_args()


def play_all(given, staged):
    passed, failed = many.play({NO_FAULT: story(given, None)}, staged, 1)
    ways = find_ways(given)
    print("memory: ways to an allocation: %s" % ", ".join("%s %d" % (kind, len(those)) for kind, those in ways.items()), flush=True)
    if failed:
        return passed, failed
    more, failed = many.play(cases(given, ways), staged, given.j)
    return passed + more, failed


def main():
    given = arguments()
    signal.signal(signal.SIGTERM, many.end_from_outside)
    began = time.monotonic()
    with programs.Staged(given) as staged, tempfile.TemporaryDirectory(prefix="fs-memory-", dir="/tmp") as folder:
        that(not staged[0]["sanitized"], "memory.so does not load into a build with sanitizers")
        given.library = build(os.path.dirname(staged[0]["futured"]))
        given.seen, given.tally = os.path.join(folder, "seen"), os.path.join(folder, "tally")
        os.chmod(folder, 0o755)
        for path in (given.seen, given.tally):
            with open(path, "w", encoding="utf-8"):
                pass
            os.chmod(path, 0o666)
        passed, failed = play_all(given, staged)
        with open(given.tally, encoding="utf-8") as file:
            struck = file.read().count("struck")
    print("memory: it was short %d times" % struck)
    if not failed and not given.only and struck * 2 < passed:
        print("that is too few to show anything")
        failed = 1
    print("memory: %d passed, %d failed (%.0f s)" % (passed, failed, time.monotonic() - began))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
