#!/usr/bin/python3
"""
The crash ledger: a daemon is killed again and again in the midst of its work, and a ledger kept outside tells whether it
has kept its word.

Each round starts the daemon on the same state, pipelines submissions, and kills it at a random point while at least 50
acknowledgements are still to come. Every job has a number of its own, in its label, its key and its argument; commands
write their number to a file as they start and to another as they end. What must hold, over all rounds:

- every submission that was acknowledged is there, under the id that was told, and ends;
- a command that may not run twice has started at most once, also when its submission was repeated with its key because the
  acknowledgement was lost; one with three attempts at most three times;
- after a restart no command that had started before is running;
- what was once seen ended is never seen otherwise.

It fails unless commands were running at the kill in most rounds: else it would have shown nothing.
"""

import argparse
import collections
import json
import os
import random
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "story"))

from harness import Closed, eq, options, process, programs, that, within  # noqa: E402  (the path comes first)

IN_FLIGHT = 50
FIELDS = ["label", "state", "attempt", "result", "error", "started", "finished"]
ENDED = {"succeeded", "failed", "cancelled"}


class Entry:
    """One submission: what was sent, and what is known of it."""

    def __init__(self, number, kind, params):
        self.number = number
        self.kind = kind  # "noop", "once", "thrice", "later"
        self.params = params
        self.id = None
        self.seen = None  # the job object when first seen ended


class Ledger:
    def __init__(self, story, given):
        self.t = story
        self.given = given
        self.entries = []
        self.by_id = {}
        self.unknown = []  # sent, and the acknowledgement never came
        self.last_id = 0
        self.started = story.write("started", "")
        self.ended = story.write("ended", "")
        self.rounds_running = 0
        self.begun = {}  # what had started when the daemon was last dead: number -> how often
        self.cut_off = 0  # commands that began and never came to their end
        self.kills = collections.Counter()

    def make(self, rng):
        """The next submission."""
        number = len(self.entries) + 1
        kind = rng.choices(("noop", "once", "thrice", "later"), (86, 8, 3, 3))[0]
        params = {"label": str(number), "key": "n%d" % number}
        if kind in ("noop", "later"):
            params.update(task="noop", args=[number])
            if kind == "later":
                params["delay"] = round(rng.uniform(0, 0.5), 3)
        else:
            script = "echo $0 >> %s; sleep %.3f; echo $0 >> %s" % (self.started, rng.uniform(0, 0.06), self.ended)
            params.update(task="exec", args=self.t.sh(script, str(number)), lane=rng.choice(("cpu", "io")),
                          priority=rng.randint(-1, 1))
            if kind == "thrice":
                params.update(max_attempts=3, backoff=0.01)
        entry = Entry(number, kind, params)
        self.entries.append(entry)
        return entry

    def note(self, job):
        """A job object that the daemon has shown."""
        entry = self.by_id.get(job["id"])
        that(entry is not None and job["label"] == str(entry.number), "the job %r is not what was acknowledged" % job)
        if entry.seen is not None:
            eq(job, entry.seen, "a job that was seen ended")
        elif job["state"] in ENDED:
            entry.seen = job
            self.judge(entry, job)

    def judge(self, entry, job):
        """An end that a job of this kind may have."""
        if job["state"] == "succeeded":
            if entry.params["task"] == "noop":
                eq(job["result"], [entry.number])
            else:
                eq(job["result"]["exit_status"], 0)
            return
        that(job["state"] == "failed" and job["error"]["type"] == "Lost" and entry.params["task"] == "exec",
             "the job %r has an end it may not have" % job)
        if entry.kind == "thrice":
            eq(job["attempt"], 3, "Lost though it had attempts to spare: %r" % job)

    def acknowledge(self, entry, result):
        ident = result["id"]
        that(self.by_id.setdefault(ident, entry) is entry, "the id %d was told twice" % ident)
        that(entry.id in (None, ident), "the submission %d has two ids" % entry.number)
        if entry.id is None and not result.get("existing"):
            that(ident > self.last_id, "ids rise: %d after %d" % (ident, self.last_id))
            self.last_id = ident
        entry.id = ident

    def numbers(self, path):
        with open(path, encoding="ascii") as file:
            return collections.Counter(int(line) for line in file.read().split())

    def submit_and_kill(self, daemon, rng):
        """Pipelines a round's submissions and kills; how many acknowledgements were still to come."""
        sent = {}
        lines = []
        known = [ident for ident in rng.sample(sorted(self.by_id), min(200, len(self.by_id)))]
        for place in range(self.given.batch):
            entry = self.make(rng)
            sent["s%d" % entry.number] = entry
            lines.append(self.line("s%d" % entry.number, "submit", entry.params))
            if known and place % 50 == 0:
                asked = rng.sample(known, min(40, len(known)))
                lines.append(self.line("q%d" % place, "status", {"ids": asked, "fields": FIELDS}))
        c = daemon.client()
        c.raw(b"".join(lines))
        kill_at = rng.randrange(0, self.given.batch - IN_FLIGHT)
        acknowledged = 0
        while acknowledged < kill_at:
            acknowledged += self.take(c.message(), sent)
        missing = self.given.batch - acknowledged
        self.kill(daemon, rng)
        try:
            while True:
                self.take(c.message(), sent)
        except Closed:
            pass
        c.close()
        self.unknown += sent.values()
        return missing

    @staticmethod
    def line(ident, method, params):
        return json.dumps({"jsonrpc": "2.0", "id": ident, "method": method, "params": params}).encode() + b"\n"

    def take(self, reply, sent):
        """1 for an acknowledgement, 0 for what else comes."""
        that("result" in reply, "refused: %r" % reply)
        if isinstance(reply["result"], list):
            for job in reply["result"]:
                self.note(job)
            return 0
        self.acknowledge(sent.pop(reply["id"]), reply["result"])
        return 1

    def kill(self, daemon, rng):
        """kill -9 of the daemon, of daemon and spawner, or of everything, at once."""
        what = rng.choices(("daemon", "daemon and spawner", "everything"), (70, 15, 15))[0]
        pids = [daemon.pid]
        if what == "daemon and spawner":
            pids.append(self.spawner)
        elif what == "everything":
            pids += daemon.tree()
        process.kill_at_once(pids)
        daemon.wait()
        self.kills[what] += 1

    def check_restart(self, c):
        """After a start: what had begun before is not running; what is lost is asked for again with its key."""
        for entry in self.unknown:
            self.acknowledge(entry, c.call("submit", entry.params))
        self.unknown = []
        begun = [entry.id for entry in self.entries if entry.kind == "once" and entry.number in self.begun and entry.seen is None]
        for first in range(0, len(begun), 500):
            for job in c.call("status", ids=begun[first:first + 500], fields=FIELDS):
                that(job["state"] in ENDED, "it had started before the kill, and after the restart it is %r" % job)
                self.note(job)

    def round(self, daemon, number):
        seed = self.given.seed * 1000003 + number
        rng = random.Random(seed)
        daemon.start()
        with daemon.client() as c:
            self.spawner = c.call("stats")["pids"]["spawner"]
            self.check_restart(c)
        missing = self.submit_and_kill(daemon, rng)
        self.begun = self.numbers(self.started)
        running = sum((self.begun - self.numbers(self.ended)).values()) - self.cut_off
        self.cut_off += running
        self.rounds_running += running > 0
        lost = sum(1 for entry in self.entries if entry.seen and entry.seen["state"] == "failed")
        that(missing >= IN_FLIGHT, "only %d acknowledgements were in flight" % missing)
        print("round %d: seed %d, %d acknowledgements in flight, %d commands running, %d known lost"
              % (number + 1, seed, missing, running, lost), flush=True)

    def settle(self, daemon):
        """The last start: all ends, and the books are compared."""
        daemon.start()
        c = daemon.client(seconds=120)
        self.check_restart(c)
        ids = sorted(self.by_id)
        told = c.call("await", ids=["%d-%d" % (ids[0], ids[-1])], wait=within(100), jobs=False)
        eq(told["timed_out"], False, "all jobs end: %r" % told["counts"])
        for first in range(0, len(ids), 1000):
            for job in c.call("status", ids=ids[first:first + 1000], fields=FIELDS):
                self.note(job)
        eq(sum(told["counts"].values()), len(ids), "as many jobs as submissions")
        begun, over = self.numbers(self.started), self.numbers(self.ended)
        for entry in self.entries:
            that(entry.id is not None and entry.seen is not None, "the submission %d has no end" % entry.number)
            times = begun[entry.number]
            if entry.kind == "once":
                that(times <= 1, "the command %d was started %d times" % (entry.number, times))
            elif entry.kind == "thrice":
                that(times <= 3, "the command %d was started %d times" % (entry.number, times))
            if entry.params["task"] == "exec" and entry.seen["state"] == "succeeded":
                that(times >= 1 and over[entry.number] >= 1, "the command %d succeeded and did not run" % entry.number)
        return collections.Counter(entry.seen["state"] for entry in self.entries)


def play(given):
    def ledger(t):
        book = Ledger(t, given)
        daemon = t.make()
        began = time.monotonic()
        print("crash ledger: seed %d, %d rounds of %d submissions" % (given.seed, given.rounds, given.batch), flush=True)
        for number in range(given.rounds):
            book.round(daemon, number)
        ends = book.settle(daemon)
        print("crash ledger: %d kills (%s), %d jobs: %d succeeded, %d lost; commands were running in %d rounds; %.0f s"
              % (given.rounds, ", ".join("%d of %s" % (n, what) for what, n in book.kills.most_common()), len(book.entries),
                 ends["succeeded"], ends["failed"], book.rounds_running, time.monotonic() - began), flush=True)
        that(book.rounds_running * 2 > given.rounds,
             "commands were running in only %d of %d rounds" % (book.rounds_running, given.rounds))
    return options(deadline=120 + 20 * given.rounds)(ledger)


def main():
    parser = argparse.ArgumentParser(description="Kills a daemon again and again and audits what it promised.")
    programs.add_options(parser)
    parser.add_argument("--rounds", type=int, default=50, metavar="N", help="so many kills (default 50)")
    parser.add_argument("--batch", type=int, default=400, metavar="N", help="submissions a round (default 400)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"), help="to see a run again")
    given = parser.parse_args()
    that(given.batch > 2 * IN_FLIGHT, "--batch must be above %d" % (2 * IN_FLIGHT))
    return programs.play_one(play(given), given)


if __name__ == "__main__":
    sys.exit(main())
