#!/usr/bin/python3
"""
The race for a job's end: success, time-out, cancel and the death of its worker meet in one job, thousands of times.

Each job takes a few milliseconds; its time-out and two cancels, one from each of two clients, come at about that time, and
now and then its worker is killed. Both clients wait for every job and look at it, each by itself. What must hold:

- both have seen the same end of each job, in all its members, and see it again when all is over and after kill -9 and a start;
- a cancel that was promised is the end; a cancel that was refused names the end that the job has;
- each attempt has one end: none is told twice.

It fails unless each of the four ways to end has won often enough: else it would have shown nothing.
"""

import argparse
import collections
import os
import random
import select
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "story"))

from harness import eq, options, process, programs, that, wait_for, within  # noqa: E402  (the path comes first)

IN_FLIGHT = 40
FIELDS = ["state", "attempt", "result", "error", "started", "finished", "usage"]
WAYS = ("succeeded", "TimedOut", "Cancelled", "WorkerDied")
NUMBER = 10000019 * 10000079  # a few milliseconds of factorizing


def make(rng):
    """What is submitted for one job: about as long as its time-out."""
    kind = rng.choices(("wait", "function", "command"), (45, 45, 10))[0]
    if kind == "wait":
        params = {"task": "time.sleep", "args": [0.006]}
    elif kind == "function":
        params = {"task": "math.factorize", "args": [NUMBER]}
    else:
        params = {"task": "exec", "args": {"argv": ["/bin/sleep", "0.006"]}}
    if rng.random() < 0.6:
        params["timeout"] = round(rng.uniform(0.004, 0.02), 4)
    return dict(params, max_attempts=1)


class Runner:
    """One of the two clients: what it has asked and what it was told."""

    def __init__(self, client):
        self.client = client
        self.asked = {}  # request -> (what, id)
        self.ends = {}
        self.cancels = collections.defaultdict(list)

    def ask(self, what, ident, **params):
        self.asked[self.client.send(what, params, id=ident)] = (what, ident)

    def take(self):
        """One message; the id of a job that is told to have ended, else None."""
        reply = self.client.message()
        what, ident = self.asked.pop(reply["id"])
        that("result" in reply, "%s of %d was refused: %r" % (what, ident, reply))
        if what == "cancel":
            self.cancels[ident].append(reply["result"])
            return None
        job = reply["result"]["done"][0]
        that(ident not in self.ends, "the end of %d was told twice" % ident)
        self.ends[ident] = job
        return ident


class Race:
    def __init__(self, story, given):
        self.t = story
        self.rng = random.Random(given.seed)
        self.count = given.jobs
        self.daemon = story.daemon(workers=4)
        self.runners = [Runner(story.client(seconds=60)), Runner(story.client(seconds=60))]
        self.helper = story.client()
        self.begun = self.over = self.kills = 0
        self.due = []  # (when, runner, id): cancels to come
        self.workers = []

    def begin(self):
        """Submits one, and lets both wait for it."""
        ident = self.helper.call("submit", make(self.rng))["id"]
        self.begun += 1
        for runner in self.runners:
            runner.ask("await", ident, fields=FIELDS)
            if self.rng.random() < 0.35:
                self.due.append((time.monotonic() + self.rng.uniform(0, 0.02), runner, ident))
        self.due.sort(key=lambda one: one[0])

    def kill_a_worker(self):
        """Of those that run a job now."""
        if not self.workers:
            self.workers = [worker["pid"] for worker in self.helper.call("stats")["workers"] if worker["job"] is not None]
        if self.workers:
            process.kill(self.workers.pop(self.rng.randrange(len(self.workers))))
            self.kills += 1
        self.workers = self.workers[:1]

    def turn(self):
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            _, runner, ident = self.due.pop(0)
            runner.ask("cancel", ident, grace=0)
        left = max(0, self.due[0][0] - now) if self.due else within(60)
        buffered = [runner for runner in self.runners if b"\n" in runner.client.buffer]
        ready = select.select([runner.client.socket for runner in self.runners], [], [], 0 if buffered else left)[0]
        for runner in self.runners:
            if runner in buffered or runner.client.socket in ready:
                self.over += runner.take() is not None
        that(ready or buffered or self.due or time.monotonic() - now < within(60), "no job ends any more")

    def run(self):
        kill_at = 20
        while self.over < 2 * self.count:
            while self.begun < self.count and 2 * self.begun - self.over < 2 * IN_FLIGHT:
                self.begin()
            self.turn()
            if self.over >= kill_at:
                self.kill_a_worker()
                kill_at = self.over + self.rng.randint(4, 16)
        for runner in self.runners:
            while runner.asked or self.due:
                self.turn()

    def compare(self):
        """What both have seen, and what was promised."""
        first, second = self.runners
        for ident, job in sorted(first.ends.items()):
            eq(second.ends[ident], job, "the end that the second client saw")
            kind = job["error"]["type"] if job["error"] else job["state"]
            that(kind in WAYS, "an end that nobody has caused: %r" % job)
            eq(job["state"] == "cancelled", kind == "Cancelled", "state and error of %r" % job)
            for told in first.cancels[ident] + second.cancels[ident]:
                if told["cancelled"]:
                    eq(job["state"], "cancelled", "a cancel of %d was promised; its state" % ident)
                else:
                    eq(told["was"], job["state"], "a cancel of %d was refused; its state" % ident)
        return collections.Counter(job["error"]["type"] if job["error"] else job["state"] for job in first.ends.values())

    def look_again(self, when):
        ids = sorted(self.runners[0].ends)
        client = self.t.client()
        for start in range(0, len(ids), 500):
            for job in client.call("status", ids=ids[start:start + 500], fields=FIELDS):
                eq(job, self.runners[0].ends[job["id"]], "an end %s" % when)


def play(given):
    def race(t):
        began = time.monotonic()
        race = Race(t, given)
        print("race: seed %d, %d jobs" % (given.seed, given.jobs), flush=True)
        race.run()
        ways = race.compare()
        race.look_again("when all is over")
        wait_for(lambda: race.helper.call("stats")["running"] == 0, "nothing runs any more")
        race.daemon.restart()
        race.look_again("after a start")
        print("race: %d workers killed; %s; %.0f s" % (race.kills, ", ".join("%d %s" % (ways[way], way) for way in WAYS),
                                                      time.monotonic() - began), flush=True)
        for way in WAYS:
            that(ways[way] * 200 >= given.jobs, "only %d of %d ended by %s" % (ways[way], given.jobs, way))
    return options(deadline=60 + given.jobs // 50)(race)


def main():
    parser = argparse.ArgumentParser(description="Races the ends of a job against each other.")
    programs.add_options(parser)
    parser.add_argument("--jobs", type=int, default=10000, metavar="N", help="so many jobs (default 10000)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"), help="to play the same again, as far as time lets it")
    given = parser.parse_args()
    status = programs.play_one(play(given), given)
    print("race: %d passed, %d failed" % (status == 0, status != 0))
    return status


if __name__ == "__main__":
    sys.exit(main())
