#!/usr/bin/python3
"""
The crash ledger: a daemon is killed, or its power is cut, again and again in the midst of its work, and a book kept outside
tells whether it has kept its word.

    crash_ledger.py [--seeds N] [--rounds R] [--kill | --cut] …

Each seed is the life of one daemon on a new state: rounds of work, each ended at a random point, and a last start at which all
jobs end and the books are compared. Some clients at once pipeline what comes to mind: submissions, maps, runs, awaits, cancels,
questions. Each job has a number of its own, in its label, its key and its argument; commands write their number to a file as
they start and to another as they end. What must hold (book.py):

- every submission that was acknowledged is there, under the id that was told, and ends;
- what was once seen ended is never seen otherwise; a cancel that was promised is the end;
- a command that may not run twice has started at most once, also when its submission was repeated with its key because the
  acknowledgement was lost; one with three attempts at most three times; one that was cancelled before it began never;
- after a start no command that had started before is running, and nothing stays running;
- what an attempt still says that was given up is not taken for the next one's (in some of the lives).

A round ends by kill -9 (--kill) of the daemon, of daemon and spawner, or of everything; or (--cut) by a power cut: everything
is killed, and of the store only what was synced is left, and some of the rest (disk.py). Without either the seeds take turns.
Under --cut syncs take a few milliseconds, and what hastens ahead of them is seen. A build with sanitizers is only killed.

It fails unless submissions were on their way and commands were running at the end of most rounds: else it has shown nothing.
"""

import argparse
import collections
import os
import random
import select
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "story"), HERE]

import book as books  # noqa: E402  (the path comes first)
import disk as disks  # noqa: E402
import many  # noqa: E402
from harness import Closed, eq, options, process, programs, that, wait_for, within  # noqa: E402

CLIENTS = 5
IN_FLIGHT = 8  # requests of each client


class Talker:
    """One client: what it has asked and not been told yet."""

    def __init__(self, client, book, rng):
        self.client, self.book, self.rng = client, book, rng
        self.asked = {}  # request -> (what was asked or the submission, when by the book's clock)
        self.n = 0
        self.told = 0  # acknowledgements

    def ask(self):
        """The lines of the next request."""
        rng, book = self.rng, self.book
        self.n += 1
        what = rng.choices(("submit", "await", "cancel", "status"), (70, 14, 6, 10))[0]
        some = book.some({"await": 2, "cancel": 1, "status": 20}.get(what, 0))
        if what == "submit" or not some:
            submission = book.make()
            self.asked[self.n] = (submission, book.clock)
            return books.line(self.n, submission.method, submission.params)
        self.asked[self.n] = (what, book.clock)
        if what == "cancel":
            some = some[:1]
            book.by_id[some[0]].cancel_sent = True
            return books.line(self.n, what, {"ids": some, "grace": rng.choice((0, 0.01))})
        if what == "await":
            return books.line(self.n, what, {"ids": some, "fields": books.FIELDS, "wait": 5})
        return books.line(self.n, what, {"ids": some, "fields": books.FIELDS})

    def fill(self):
        """As many requests as there may be."""
        lines = b"".join(self.ask() for _ in range(IN_FLIGHT - len(self.asked)))
        if lines:
            self.client.raw(lines)

    def take(self):
        """One reply."""
        reply = self.client.message()
        asked, when = self.asked.pop(reply["id"])
        that("result" in reply, "%r was refused: %r" % (asked, reply))
        result = reply["result"]
        if asked == "status":
            for job in result:
                self.book.note(job, when)
        elif asked == "await":
            for job in result["done"]:
                self.book.note(job, when)
        elif asked == "cancel":
            self.book.note_cancel(result[0])
        else:
            self.told += 1
            self.book.acknowledge(asked, result)
            if asked.method == "run":
                self.book.note(result, when)

    def end(self):
        """The daemon is dead: what it had said before is still to be read; what it has not said is not known."""
        try:
            while True:
                self.take()
        except (Closed, ConnectionResetError):
            pass
        lost = [asked for asked, _ in self.asked.values() if isinstance(asked, books.Submission)]
        self.book.unknown += lost
        self.client.close()
        return len(lost)


def opened(path):
    """The writing end of a pipe that somebody reads, else None."""
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


class Life:
    """One seed."""

    def __init__(self, story, given, seed, cut):
        self.t, self.given, self.seed, self.cut = story, given, seed, cut
        self.rng = random.Random(seed)
        self.book = books.Book(story, self.rng)
        self.daemon = story.make()
        self.disk = None
        if given.library and not story.settings.sanitized:
            self.disk = disks.Disk(story, self.daemon, given.library, sync_ms=self.rng.choice((1, 3, 8)) if cut else 0)
        self.count = collections.Counter()

    def start(self):
        if self.disk:
            self.disk.settle()
        self.daemon.start()

    def work(self):
        """Until the end of the round, at so many replies and a little time."""
        talkers = [Talker(self.daemon.client(), self.book, self.rng) for _ in range(CLIENTS)]
        replies = self.rng.randint(1, self.given.batch)
        end = None
        for talker in talkers:
            talker.fill()
        while end is None or time.monotonic() < end:
            left = within(60) if end is None else max(0, end - time.monotonic())
            buffered = [talker for talker in talkers if b"\n" in talker.client.buffer]
            ready = select.select([talker.client.socket for talker in talkers], [], [], 0 if buffered else left)[0]
            that(ready or buffered or end is not None, "the daemon does not answer any more")
            for talker in talkers:
                if talker in buffered or talker.client.socket in ready:
                    talker.take()
                    talker.fill()
                    replies -= 1
            if replies <= 0 and end is None:
                end = time.monotonic() + self.rng.uniform(0, 0.01)
        return talkers

    def end_round(self, talkers):
        """Kills or cuts, and writes down what was under way."""
        what = "power" if self.cut else self.rng.choices(("daemon", "daemon and spawner", "everything"), (70, 15, 15))[0]
        pids = [self.daemon.pid]
        if what == "daemon and spawner":
            pids.append(self.spawner)
        elif what != "daemon":
            pids += self.daemon.tree()
        process.kill_at_once(pids)
        self.daemon.wait()
        if self.cut:
            self.end_all()
            self.disk.cut(self.rng, self.rng.choice((0, 0, 0.3, 0.7)))
        lost = sum(talker.end() for talker in talkers)
        running = self.book.look_at_commands()
        self.count.update({"rounds": 1, what: 1, "under way": lost > 0, "running": running > 0})
        self.count["acknowledged"] += sum(talker.told for talker in talkers)

    def end_all(self):
        """No power, no processes: also what was born while the others were being killed."""
        def left():
            found = set(process.marked(self.t.mark)) | set(process.tree(os.getppid())) - {os.getpid()}
            pids = [pid for pid in found if process.alive(pid)]
            process.kill_at_once(pids)
            return not pids
        wait_for(left, "all processes are gone")

    def play(self):
        for _ in range(self.given.rounds):
            self.start()
            with self.daemon.client() as c:
                self.spawner = c.call("stats")["pids"]["spawner"]
                self.book.check_restart(c)
            self.end_round(self.work())
        self.settle()

    def settle(self):
        """The last start: all ends, and the books are compared."""
        self.start()
        c = self.daemon.client(seconds=120)
        self.book.check_restart(c)
        ids = sorted(self.book.by_id)
        told = c.call("await", ids=["%d-%d" % (ids[0], ids[-1])], wait=within(100), jobs=False)
        eq(told["timed_out"], False, "all jobs end: %r" % told["counts"])
        for job in self.book.read(c, ids):
            self.book.note(job)
        eq(sum(told["counts"].values()), len(ids), "as many jobs as submissions")
        if self.seed % 4 == 0:
            self.hear_a_late_result(c)
        self.count.update(self.book.audit())
        self.count["jobs"] += len(ids)

    def hear_a_late_result(self, c):
        """A read that is given up for its time-out, and says something while the next attempt reads."""
        path = self.t.path("pipe")
        os.mkfifo(path)
        ident = c.submit("file.read", [path], timeout=0.3, max_attempts=2, backoff=0.5)
        first = wait_for(lambda: opened(path), "the first attempt blocks")
        os.mkfifo(path + ".next")
        os.rename(path + ".next", path)
        wait_for(lambda: c.job(ident)["attempt"] == 2, "the second attempt runs")
        second = wait_for(lambda: opened(path), "the second attempt blocks")
        os.write(first, b"of the first")
        os.close(first)
        c.run("noop.io")
        os.write(second, b"of the second")
        os.close(second)
        job = c.ended_job(ident)
        that(job["error"] or job["result"]["body"] == "of the second", "a late result was taken: %r" % job)


def play(given, seed, cut):
    """The story of one seed."""
    def life(t):
        one = Life(t, given, seed, cut)
        one.play()
        with open(given.tally, "a", encoding="utf-8") as file:
            file.write("".join("%d\t%s\n" % (n, what) for what, n in one.count.items()))
    return options(deadline=120 + 20 * given.rounds)(life)


def read_tally(path):
    count = collections.Counter()
    with open(path, encoding="utf-8") as file:
        for line in file:
            n, what = line.rstrip("\n").split("\t")
            count[what] += int(n)
    return count


def arguments():
    parser = argparse.ArgumentParser(description="Kills a daemon, or cuts its power, again and again and audits what it promised.")
    programs.add_options(parser)
    parser.add_argument("--seeds", type=int, default=200, metavar="N", help="so many lives (default 200)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="so many kills in each life (default 3)")
    parser.add_argument("--batch", type=int, default=120, metavar="N", help="replies in a round at most (default 120)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"), help="the first, to see a run again")
    parser.add_argument("-j", type=int, default=3 * len(os.sched_getaffinity(0)), metavar="N", help="so many lives at once")
    parser.add_argument("--kill", dest="how", action="store_const", const="kill", default="both", help="kill -9 only")
    parser.add_argument("--cut", dest="how", action="store_const", const="cut", help="power cuts only")
    return parser.parse_args()


def main():
    given = arguments()
    signal.signal(signal.SIGTERM, many.end_from_outside)
    began = time.monotonic()
    with programs.Staged(given) as staged, tempfile.NamedTemporaryFile(prefix="fs-tally-", dir="/tmp") as tally:
        given.tally = tally.name
        os.chmod(tally.name, 0o666)
        given.library = None if staged[0]["sanitized"] else disks.build(os.path.dirname(staged[0]["futured"]))
        that(given.library or given.how != "cut", "the power of a build with sanitizers cannot be cut: disk.so does not load there")
        print("crash ledger: seeds %d to %d, %d rounds each" % (given.seed, given.seed + given.seeds - 1, given.rounds), flush=True)
        lives = {}
        for seed in range(given.seed, given.seed + given.seeds):
            cut = bool(given.library) and (given.how == "cut" or given.how == "both" and seed % 2 == 1)
            lives["seed %d, %s" % (seed, "power cuts" if cut else "kills")] = play(given, seed, cut)
        passed, failed = many.play(lives, staged, given.j)
        count = read_tally(tally.name)
    print("crash ledger: %d lives in %d rounds, %d acknowledgements, %d jobs; ended by %s" % (
        passed, count["rounds"], count["acknowledged"], count["jobs"],
        ", ".join("%d of %s" % (count[what], what) for what in ("power", "everything", "daemon and spawner", "daemon") if count[what])))
    print("crash ledger: submissions were under way in %d rounds, commands running in %d; %d succeeded, %d lost, %d cancelled" % (
        count["under way"], count["running"], count["succeeded"], count["failed"], count["cancelled"]))
    if not failed and min(count["under way"], count["running"]) * 2 <= count["rounds"]:
        print("that is too few to show anything")
        failed = 1
    print("ledger: %d passed, %d failed (%.0f s)" % (passed, failed, time.monotonic() - began))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
