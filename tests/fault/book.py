"""
The book of a crash ledger: each submission, what was acknowledged of it, what was seen of it, and what its commands did.

It stands outside of the daemon and is never wrong: what it holds against the daemon is a broken promise.
"""

import collections
import json

from harness import Refused, eq, that

FIELDS = ["label", "state", "attempt", "result", "error", "started", "finished"]
ENDED = {"succeeded", "failed", "cancelled"}


class Entry:
    """One job: what was sent, and what is known of it."""

    def __init__(self, number, kind):
        self.number = number
        self.kind = kind  # "noop", "once", "thrice"
        self.id = None
        self.seen = None  # the job object when first seen ended
        self.seen_at = 0  # and when, by the book's clock
        self.cancel_sent = False
        self.promised = False  # a cancel was answered with true
        self.never = False  # and it had not begun


class Submission:
    """One call: submit, run or map, of as many jobs as it has entries."""

    def __init__(self, method, params, entries):
        self.method = method
        self.params = params
        self.entries = entries

    def again(self):
        """As it is sent once more by its key: run is a submit that waits."""
        return ("submit" if self.method == "run" else self.method), self.params


class Book:
    def __init__(self, story, rng):
        self.t = story
        self.rng = rng
        self.entries = []
        self.by_id = {}
        self.unknown = []  # sent, and the acknowledgement never came
        self.started = story.write("started", "")
        self.ended = story.write("ended", "")
        self.begun = collections.Counter()  # what had started when the daemon was last dead: number -> how often
        self.cut_off = 0  # commands that began and never came to their end
        self.clock = 0  # counts what was told

    # What is sent

    def entry(self, kind):
        self.entries.append(Entry(len(self.entries) + 1, kind))
        return self.entries[-1]

    def make(self):
        """The next submission."""
        rng = self.rng
        if rng.random() < 0.04:
            entries = [self.entry("noop") for _ in range(rng.randint(2, 12))]
            params = {"task": "noop", "items": [[entry.number] for entry in entries]}
            return self.keyed("map", params, entries)
        entry = self.entry(rng.choices(("noop", "once", "thrice"), (84, 12, 4))[0])
        if entry.kind == "noop":
            params = {"task": rng.choice(("noop", "noop", "noop", "noop.io")), "args": [entry.number]}
            if rng.random() < 0.05:
                params["delay"] = round(rng.uniform(0, 0.4), 3)
        else:
            pause = "sleep %.3f; " % rng.uniform(0, 0.1) if rng.random() < 0.4 else ""
            script = "echo $0 >> %s; %secho $0 >> %s" % (self.started, pause, self.ended)
            params = {"task": "exec", "args": self.t.sh(script, str(entry.number)), "lane": rng.choice(("cpu", "io")),
                      "priority": rng.randint(-1, 1)}
            if entry.kind == "thrice":
                params.update(max_attempts=3, backoff=0.01)
        return self.keyed(rng.choice(("submit", "submit", "run")), params, [entry])

    @staticmethod
    def keyed(method, params, entries):
        number = entries[0].number
        return Submission(method, dict(params, key="n%d" % number, label="n%d" % number), entries)

    def some(self, count):
        """Ids that were acknowledged, mostly late ones."""
        known = list(self.by_id)
        late = known[-60:]
        return sorted(set(self.rng.sample(known, min(count // 2, len(known))) + self.rng.sample(late, min(count, len(late)))))

    # What is told

    def acknowledge(self, submission, result):
        first = result["id"] if "id" in result else result["first"]
        for ident, entry in enumerate(submission.entries, first):
            that(self.by_id.setdefault(ident, entry) is entry, "the id %d was told twice" % ident)
            that(entry.id in (None, ident), "the submission %d has two ids: %r, %d" % (entry.number, entry.id, ident))
            entry.id = ident

    def note(self, job, asked_at=None):
        """A job object that the daemon has shown. An answer to what was asked before its end was seen may be older than that."""
        self.clock += 1
        job = {name: job[name] for name in ["id"] + FIELDS}
        entry = self.by_id.get(job["id"])
        that(entry is not None, "a job that nobody has submitted: %r" % job)
        if entry.seen is not None and asked_at is not None and asked_at < entry.seen_at and job["state"] not in ENDED:
            return
        if entry.seen is not None:
            eq(job, entry.seen, "a job that was seen ended")
        elif job["state"] in ENDED:
            entry.seen, entry.seen_at = job, self.clock
            self.judge(entry, job)

    def judge(self, entry, job):
        """An end that a job of this kind may have."""
        if entry.promised:
            eq(job["state"], "cancelled", "a cancel was promised of %r" % job)
        if job["state"] == "cancelled":
            that(entry.cancel_sent, "nobody has cancelled %r" % job)
        elif job["state"] == "succeeded" and entry.kind == "noop":
            eq(job["result"], [entry.number], "the result of a noop")
        elif job["state"] == "succeeded":
            eq(job["result"]["exit_status"], 0)
        else:
            that(job["error"]["type"] == "Lost" and entry.kind != "noop", "an end it may not have: %r" % job)
            that(entry.kind == "once" or job["attempt"] == 3, "Lost though it had attempts to spare: %r" % job)

    def note_cancel(self, told):
        entry = self.by_id[told["id"]]
        if told["cancelled"]:
            entry.promised = True
            entry.never = entry.never or told["was"] == "pending"
            that(entry.seen is None or entry.seen["state"] == "cancelled", "a cancel is promised of an ended job: %r" % entry.seen)
        else:
            that(told["was"] in ENDED, "a cancel was refused: %r" % told)
            that(entry.seen is None or told["was"] == entry.seen["state"], "%r, and before: %r" % (told, entry.seen))

    # What the commands did

    @staticmethod
    def numbers(path):
        with open(path, encoding="utf-8") as file:
            return collections.Counter(int(line) for line in file.read().split())

    def look_at_commands(self):
        """All is dead: what has begun so far; how many were cut off."""
        self.begun = self.numbers(self.started)
        running = sum((self.begun - self.numbers(self.ended)).values()) - self.cut_off
        self.cut_off += running
        return running

    # What must hold

    def check_restart(self, client):
        """After a start: all that was acknowledged is there, what was seen is unchanged, what had begun is over."""
        known = [entry for entry in self.entries if entry.id is not None]
        for job in self.read(client, [entry.id for entry in known if entry.seen is None or self.rng.random() < 0.3]):
            self.check_begun(job)
        for submission in self.unknown:
            method, params = submission.again()
            self.acknowledge(submission, client.call(method, params))
        for job in self.read(client, [entry.id for submission in self.unknown for entry in submission.entries]):
            self.check_begun(job)
        self.unknown = []

    def check_begun(self, job):
        """What had begun before the daemon died has ended with it."""
        entry = self.by_id[job["id"]]
        if entry.kind == "once" and self.begun[entry.number]:
            that(job["state"] in ENDED, "it had started before, and after the start it is %r" % job)
        self.note(job)

    @staticmethod
    def read(client, ids):
        for first in range(0, len(ids), 500):
            some = ids[first:first + 500]
            try:
                yield from client.call("status", ids=some, fields=FIELDS)
            except Refused as refusal:
                that(False, "what was acknowledged is not there: %r" % refusal.data)

    def audit(self):
        """At the end: all have ended, and nothing has run more often than it may."""
        begun, over = self.numbers(self.started), self.numbers(self.ended)
        for entry in self.entries:
            that(entry.id is not None and entry.seen is not None, "the job %d has no end" % entry.number)
            times = begun[entry.number]
            that(times <= {"noop": 0, "once": 1, "thrice": 3}[entry.kind], "a command was started %d times: %r" % (times, entry.seen))
            that(times == 0 or not entry.never or entry.kind != "once", "it was cancelled before it began, and has begun: %r" % entry.seen)
            if entry.kind != "noop" and entry.seen["state"] == "succeeded":
                that(times >= 1 and over[entry.number] >= 1, "it succeeded and did not run: %r" % entry.seen)
        return collections.Counter(entry.seen["state"] for entry in self.entries)


def line(ident, method, params):
    return json.dumps({"jsonrpc": "2.0", "id": ident, "method": method, "params": params}).encode() + b"\n"
