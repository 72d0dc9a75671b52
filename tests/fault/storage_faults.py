#!/usr/bin/python3
"""
Disks that fail: in the midst of a scripted session the nth write or the nth sync of the store fails, for every n.

    storage_faults.py [--all] [ONLY…]

The session is played by one client on a new state ("new"), and on one whose daemon was killed with commands running ("again",
where recovery is a part of it): submissions, a map, a command that may run once and one that may three times, a child, a cancel,
a queue that is paused, forget, the checkpoint when all is idle, SIGTERM. In front of the C library stands disk.c. What must hold:

- a write that fails with EIO, and any sync that fails: whose group it was is told `outcome_unknown`, the daemon ends by itself
  with 74, and no file is synced again of which a sync has failed;
- a write that finds no room: `storage_full`, reads and waits go on, what has run is held and written once there is room; the
  daemon lives and ends with 0. One that cannot even recover ends with 74;
- killed in the midst of making the store: the next start makes it;
- where a whole disk is full (for root alone) the same, also for who starts on it; a folder that may not be written and damaged
  files are refused with a reason, or served, and are never a crash (disk_stories.py);
- on a healthy disk then: what was acknowledged is there, what was seen ended is unchanged, what was refused never runs, what was
  unknown is one job when it is sent again by its key, a command that may run once did so at most once, nothing stays running.

Of the ns some are taken evenly from each part of the session; --all, or FUTURED_STORAGE_ALL=1, takes every one. ONLY are parts of
the names of the cases to play.
"""

import argparse
import collections
import errno
import json
import os
import shutil
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "story"), HERE]

import disk_stories as stories  # noqa: E402
import disk as disks  # noqa: E402  (the path comes first)
import many  # noqa: E402
from harness import Closed, Refused, eq, options, process, programs, refused, that, wait_for, within  # noqa: E402

FIELDS = ["label", "state", "attempt", "result", "error", "started", "finished"]
ENDED = ("succeeded", "failed", "cancelled")
FAR = 3600
STAGES = ("start", "work", "rest", "end")  # of a session: until it answers, until all has ended, until SIGTERM, then
FAULTS = {  # what is counted, the error, and how many ns of each stage are taken
    "sync EIO": ("sync", errno.EIO, 5), "write EIO": ("write", errno.EIO, 4), "write ENOSPC": ("write", errno.ENOSPC, 5),
    "sync ENOSPC": ("sync", errno.ENOSPC, 1), "write killed": ("write", -signal.SIGKILL, 0), "sync killed": ("sync", -signal.SIGKILL, 0)}


class Ended(Exception):
    """The daemon has ended in the midst of the session."""


class Faulty:
    """The disk under one daemon."""

    def __init__(self, story, daemon, library):
        self.daemon, self.before = daemon, dict(daemon.env)
        self.count, self.told, self.healed = (story.path(name) for name in ("count", "told", "healed"))
        daemon.env.update(LD_PRELOAD=library, DISK_DIR=daemon.state, DISK_COUNT=self.count, DISK_TOLD=self.told, DISK_HEALED=self.healed)

    def fail(self, what, n, error):
        self.daemon.env["DISK_FAIL"] = "%s %d %d" % (what, n, error)

    @staticmethod
    def text(path):
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8") as file:
            return file.read()

    def counts(self):
        """(writes, syncs) as of the last sync."""
        return tuple(int(n) for n in (self.text(self.count) or "0 0").split())

    def struck(self):
        return self.text(self.told)

    def heal(self):
        """There is room again."""
        with open(self.healed, "w", encoding="utf-8"):
            pass

    def replace(self):
        """For the next start: a disk without faults."""
        self.daemon.env = self.before


class Session:
    """One client: what it has asked and been told. `jobs` is {label: entry}; of a map, the entry of all of its jobs."""

    def __init__(self, story, book=None):
        self.t = story
        self.client = None
        self.jobs = dict((book or {}).get("jobs", {}))
        self.refused, self.unknown, self.kinds = set(), {}, {}  # labels; label -> (method, params); label -> kind
        self.paused = self.forgotten = None
        self.starts = story.path("starts")
        self.words = collections.Counter()
        story.write("starts", (book or {}).get("starts", ""))

    def ask(self, method, params, label=None):
        """The result, or None when it was refused."""
        try:
            return self.client.call(method, params)
        except Refused as refusal:
            that(refusal.word in ("storage_full", "outcome_unknown"), "%s: %s" % (method, refusal))
            self.words[refusal.word] += 1
            if label is not None and refusal.word == "storage_full":
                self.refused.add(label)
            elif label is not None:
                self.unknown[label] = (method, params)
            if refusal.word == "outcome_unknown":
                raise Ended() from None
            return None
        except Closed:
            if label is not None:
                self.unknown[label] = (method, params)
            self.words["no reply"] += 1
            raise Ended() from None

    def submit(self, label, method="submit", kind="noop", **params):
        params = dict({"task": "noop"}, **params, label=label, key=label)
        self.kinds[label] = kind
        result = self.ask(method, params, label)
        if result is None:
            return None
        self.acknowledge(label, params, result)
        return self.jobs[label]["first"]

    def acknowledge(self, label, params, result):
        first, count = (result["id"], 1) if "id" in result else (result["first"], result["count"])
        self.refused.discard(label)
        self.jobs[label] = {"first": first, "count": count, "kind": self.kinds[label], "cancelled": False, "seen": {},
                            "stays": params.get("delay") == FAR or params.get("queue") == "q"}

    def command(self, label, kind, then="exit 0", **params):
        script = self.t.sh("echo %s >> %s; %s" % (label, self.starts, then))
        return self.submit(label, kind=kind, task="exec", args=script, lane="io", **params)

    def ids(self, stays=False):
        """Of all that will end (or of all)."""
        return ["%d-%d" % (entry["first"], entry["first"] + entry["count"] - 1) for entry in self.jobs.values()
                if stays or not entry["stays"] or entry["cancelled"]]

    def look(self, ids):
        """Their job objects; what is seen ended is noted, and compared with what was."""
        if not ids:
            return []
        jobs = self.ask("status", {"ids": ids, "fields": FIELDS})
        for job in jobs:
            entry = self.jobs[job["label"]]
            that(entry["first"] <= job["id"] < entry["first"] + entry["count"], "the label of %r" % job)
            before = entry["seen"].get(str(job["id"]))
            eq(job, before or job, "a job that was seen ended")
            if entry["cancelled"]:
                eq(job["state"], "cancelled", "a cancel was promised")
            if job["state"] in ENDED:
                entry["seen"][str(job["id"])] = job
        return jobs

    # The session, in its stages

    def work(self):
        for i in range(3):
            self.submit("noop%d" % i, args=[i])
        once = self.command("once", "once")
        self.command("thrice", "thrice", max_attempts=3, backoff=0.01)
        self.submit("later", delay=FAR)
        self.submit("gone", delay=FAR)
        self.submit("items", "map", items=[[i] for i in range(60)])
        if once is not None:
            self.submit("child", after=[once], after_policy="finished")
        self.submit("wide", args=["x" * 60000])
        if "gone" in self.jobs:
            self.jobs["gone"]["asked"] = True
            told = self.ask("cancel", {"id": self.jobs["gone"]["first"]})
            self.jobs["gone"]["cancelled"] = bool(told and told["cancelled"])
        if self.ask("pause", {"queue": "q"}):
            self.paused = True
        self.submit("paused", queue="q")
        self.look(self.ids(stays=True))

    def has_settled(self):
        """Whether all that can end has, within a moment."""
        if self.ids() and self.ask("await", {"ids": self.ids(), "wait": 0.5, "jobs": False})["timed_out"]:
            return False
        self.look(self.ids(stays=True))
        return True

    def settle(self):
        wait_for(self.has_settled, "all jobs end", 60)

    def rest(self, faulty):
        """One is forgotten, and the log goes into the database."""
        entry = self.jobs.pop("noop0", None)
        if entry and self.ask("forget", {"id": entry["first"]}):
            self.forgotten = entry
        elif entry:
            self.jobs["noop0"] = entry
        syncs = faulty.counts()[1]
        wait_for(lambda: faulty.counts()[1] > syncs or faulty.struck(), "the checkpoint when nothing is to do")


class Case:
    """One fault: `what` is counted, and call `n` fails."""

    def __init__(self, story, given, template, fault=None, n=0):
        self.t, self.given = story, given
        self.fault, self.n = fault, n
        self.what, self.error, _ = FAULTS[fault] if fault else (None, 0, 0)
        self.daemon = story.make()
        book = None
        if template:
            stories.copy_in(given.template, self.daemon.state)
            with open(os.path.join(given.template, "book"), encoding="utf-8") as file:
                book = json.load(file)
        self.session = Session(story, book)
        self.disk = Faulty(story, self.daemon, given.library)
        self.marks = []
        self.healed = False
        self.stage = self.struck = None  # where it is, and where the fault was seen first

    def mark(self, stage):
        """The end of a stage."""
        self.marks.append(self.disk.counts())
        if self.struck is None and self.disk.struck():
            self.struck = self.stage
        self.stage = stage

    def room(self):
        """Where the disk was full: reads and waits go on; then there is room."""
        if self.healed or self.error != errno.ENOSPC or self.what != "write" or not self.disk.struck():
            return
        session = self.session
        session.look(session.ids(stays=True))
        if session.ids():
            session.ask("await", {"ids": session.ids(), "wait": 0.01, "jobs": False})
        eq(self.daemon.ended(), False, "a daemon whose disk is full goes on")
        self.disk.heal()
        self.healed = True
        wait_for(lambda: session.submit("room") is not None, "there is room again")

    def live(self):
        """The session, as far as it comes."""
        session = self.session
        self.stage = "start"
        self.daemon.start(ready=False)
        try:
            self.daemon.ready()
        except AssertionError:
            that(self.daemon.ended(), "it neither starts nor ends: " + self.daemon.log())
            raise Ended() from None
        self.mark("work")
        try:
            session.client = self.t.client()
        except OSError:
            raise Ended() from None
        session.work()
        wait_for(lambda: self.room() or session.has_settled(), "all jobs end", 60)  # full at any moment, also now
        self.mark("rest")
        session.rest(self.disk)
        self.room()
        session.submit("last", delay=FAR)
        self.mark("end")

    def play(self):
        if self.fault:
            self.disk.fail(self.what, self.n, self.error)
        try:
            self.live()
        except Ended:
            status = self.daemon.wait()
        else:
            self.daemon.signal(signal.SIGTERM)
            status = self.daemon.wait()
        came_to = self.stage
        self.mark("over")
        self.judge(status, came_to)
        self.look_again()
        return {"words": dict(self.session.words), "marks": self.marks, "struck": self.struck}

    def judge(self, status, came_to):
        """How it has ended, and in which stage."""
        struck = self.disk.struck()
        that("synced again" not in struck, "a sync was tried again: " + struck)
        expected = [0]
        if struck and self.error < 0:
            expected = [self.error]
        elif struck and self.what == "write" and self.error == errno.ENOSPC:
            expected = [74] if came_to == "start" else [0]
        elif self.struck == "end":
            expected = [0, 74]  # all that was acknowledged is in the log
        elif struck:
            expected = [74]
        that(status in expected, "%s in `%s`: expected the status %s, saw %r\n%s" % (
            struck.split("\n", 1)[0] or "no fault", self.struck, expected, status, self.daemon.log()[-1000:]))
        if status == 74:
            log = self.daemon.log()
            that("futured.db: " in log or "it is not known whether a commit went through" in log, "it says why it ends: " + log)

    def look_again(self):
        """After a start on a healthy disk."""
        session, daemon = self.session, self.daemon
        self.disk.replace()
        daemon.start()
        c = session.client = self.t.client()
        for label, (method, params) in session.unknown.items():
            session.acknowledge(label, params, c.call(method, params))
        ids = session.ids(stays=True)
        eq(len(session.look(ids)), sum(entry["count"] for entry in session.jobs.values()), "all that was acknowledged is there")
        session.settle()
        for label, entry in session.jobs.items():
            for job in entry["seen"].values():
                self.judge_end(label, entry, job)
        labels = collections.Counter(job["label"] for job in c.call("list", limit=1000, fields=["label"])["jobs"])
        for label in session.refused:
            eq(labels[label], 0, "how many jobs there are of the submission %s, which was refused" % label)
        for label, entry in session.jobs.items():
            eq(labels[label], entry["count"], "how many jobs there are of the submission %s" % label)
        if session.forgotten:
            refused("not_found", c.call, "status", id=session.forgotten["first"])
        if session.paused:
            eq([queue["paused"] for queue in c.call("queues") if queue["queue"] == "q"], [True], "the pause that was acknowledged")
        eq(c.call("stats")["running"], 0, "nothing stays running")
        daemon.stop()

    def judge_end(self, label, entry, job):
        starts = self.t.read("starts").decode().splitlines().count(label)
        that(starts <= {"noop": 0, "once": 1, "thrice": 3}[entry["kind"]], "%s started %d times" % (label, starts))
        if entry["cancelled"] or job["state"] == "cancelled":
            eq((job["state"], entry.get("asked")), ("cancelled", True), "a job that was to be cancelled: %s" % label)
        elif job["state"] == "failed" or label == "cut off once":
            that(entry["kind"] == "once" and (job["error"] or {}).get("type") == "Lost", "an end it may not have: %r" % job)
        else:
            eq(job["state"], "succeeded", "the end of %s" % label)
            that(entry["kind"] == "noop" or starts > 0, "it succeeded and did not run: %r" % job)


# ---- the state of the second life


def make_template(given):
    """A daemon is killed with commands running; its state and what it has told are left in given.template."""
    def template(t):
        d = t.daemon()
        session = Session(t)
        session.client = t.client()
        held = "read line < %s" % t.fifo("held")[0]
        session.submit("before", args=[1])
        session.submit("long ago", delay=FAR)
        session.submit("many before", "map", items=[[i] for i in range(40)], delay=FAR)
        session.settle()
        session.command("cut off once", "once", then=held)
        session.command("cut off thrice", "thrice", then="[ $FUTURED_ATTEMPT -gt 1 ] || " + held, max_attempts=3, backoff=0.01)
        wait_for(lambda: t.read("starts").count(b"\n") == 2, "both run")
        d.kill()
        shutil.copytree(d.state, os.path.join(given.template, "state"))
        for place, _, names in os.walk(os.path.join(given.template, "state")):
            os.chmod(place, 0o755)
            for name in names:
                os.chmod(os.path.join(place, name), 0o644)
        with open(os.path.join(given.template, "book"), "w", encoding="utf-8") as file:
            json.dump({"jobs": session.jobs, "starts": t.read("starts").decode()}, file)
    return template


# ---- which ns


def story(given, name, template, fault=None, n=0):
    def case(t):
        told = Case(t, given, template, fault, n).play()
        with open(given.tally, "a", encoding="utf-8") as file:
            file.write(json.dumps(dict(told, name=name, fault=fault)) + "\n")
    return options(deadline=120)(case)


def spread(first, last, count):
    """At most so many of the numbers first … last, evenly."""
    all_of_them = range(first, last + 1)
    if len(all_of_them) <= count:
        return list(all_of_them)
    return sorted({first + (last - first) * i // max(1, count - 1) for i in range(count)}) if count else []


def cases(given, marks, name):
    """Of a session whose stages ended at these counts of writes and syncs."""
    found = {}
    for fault, (what, _, count) in FAULTS.items():
        before = 0
        for stage, mark in zip(STAGES, marks):
            until = mark[("write", "sync").index(what)]
            if fault.endswith("killed"):
                count = 6 if name == "new" and stage == "start" else 0
                every = given.all and count > 0
            else:
                every = given.all
            for n in spread(before + 1, until, until if every else count):
                found["%s: %s %d (%s)" % (name, fault, n, stage)] = (fault, n)
            before = until
    return found


def read_tally(given):
    with open(given.tally, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def arguments():
    parser = argparse.ArgumentParser(description="Lets the disk fail under a daemon, at every write and sync of a session.")
    programs.add_options(parser)
    parser.add_argument("only", nargs="*", metavar="ONLY", help="parts of the names of the cases to play")
    parser.add_argument("--all", action="store_true", default=os.environ.get("FUTURED_STORAGE_ALL", "") not in ("", "0"),
                        help="every n, in place of some (also FUTURED_STORAGE_ALL=1)")
    parser.add_argument("-j", type=int, default=3 * len(os.sched_getaffinity(0)), metavar="N", help="so many at once")
    return parser.parse_args()


def whole_disks(given):
    """Those of disk_stories.py."""
    found = {"a folder that may not be written": stories.read_only}
    found.update(("damaged files %d" % seed, stories.damaged(given.template, seed)) for seed in range(1, 401 if given.all else 13))
    missing = "root" if os.geteuid() != 0 else process.lacks("sys_admin")
    if missing is None:
        found.update({"a full disk": stories.full, "a full disk at the start": stories.full_at_start,
                      "a disk that was full from the first": stories.full_from_the_first})
    else:
        print("storage: SKIPPED: a full disk, which is a tmpfs of its own and needs %s" % missing, flush=True)
    return found


def play_all(given, staged):
    passed, failed = many.play({"the state of a killed daemon": make_template(given)}, staged, 1)
    plain = {"%s: no fault" % name: story(given, name, name == "again") for name in ("new", "again")}
    if not failed:
        more, failed = many.play(plain, staged, given.j)
        passed += more
    if failed:
        return passed, failed
    found, kinds = {}, collections.Counter()
    for told in read_tally(given):
        for name, (fault, n) in cases(given, told["marks"], told["name"]).items():
            if not given.only or any(part in name for part in given.only):
                found[name] = story(given, told["name"], told["name"] == "again", fault, n)
                kinds[fault] += 1
    print("storage: cases: %s" % ", ".join("%d of %s" % (kinds[fault], fault) for fault in FAULTS), flush=True)
    found.update((name, one) for name, one in whole_disks(given).items() if not given.only or any(part in name for part in given.only))
    more, failed = many.play(found, staged, given.j)
    return passed + more, failed


def main():
    given = arguments()
    signal.signal(signal.SIGTERM, many.end_from_outside)
    began = time.monotonic()
    with programs.Staged(given) as staged, tempfile.TemporaryDirectory(prefix="fs-storage-", dir="/tmp") as folder:
        that(not staged[0]["sanitized"], "disk.so does not load into a build with sanitizers")
        given.library = disks.build(os.path.dirname(staged[0]["futured"]))
        given.template, given.tally = os.path.join(folder, "template"), os.path.join(folder, "tally")
        os.chmod(folder, 0o755)
        os.mkdir(given.template)
        with open(given.tally, "w", encoding="utf-8"):
            pass
        for path in (given.template, given.tally):
            os.chmod(path, 0o777)
        passed, failed = play_all(given, staged)
        told = read_tally(given)
    struck = collections.Counter(one["struck"] for one in told if one["struck"])
    words = collections.Counter()
    for one in told:
        words.update(one["words"])
    print("storage: faults struck in %s" % ", ".join("`%s` %d times" % (stage, struck[stage]) for stage in STAGES))
    print("storage: %d requests were told outcome_unknown, %d storage_full, %d got no reply" % (
        words["outcome_unknown"], words["storage_full"], words["no reply"]))
    if not given.only and not failed and (min(struck[stage] for stage in STAGES) == 0 or min(words["outcome_unknown"], words["storage_full"]) == 0):
        print("that is too few to show anything")
        failed = 1
    print("storage: %d passed, %d failed (%.0f s)" % (passed, failed, time.monotonic() - began))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
