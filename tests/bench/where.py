#!/usr/bin/python3
"""
Where the time of a job goes: the CPU time of each thread and process of the daemon in one work, divided by its jobs.

    where.py [--work noops|map|submits|trip|normal] [--count N] [--calls] [--symbols]

CPU time is the scheduler's own account (/proc/PID/task/TID/schedstat), so that it holds on a machine that others use
as well;
--calls adds what `strace -c` counts in a second run, a work that is traced being slow; --symbols what `perf record`
sees in a
third, by thread. docs/performance.md is written from this.
"""

import argparse
import os
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "story")]

from harness import options, process, programs, wait_for  # noqa: E402  (the paths come first)
from peers import futured, measures  # noqa: E402


def threads(root):
    """{(pid, tid): (name, CPU seconds)} of the process and all below it."""
    found = {}
    for pid in measures.tree(root):
        tasks = "/proc/%d/task" % pid
        for tid in os.listdir(tasks) if os.path.isdir(tasks) else ():
            words = process.read(pid, "task/%s/schedstat" % tid).split()
            name = process.read(pid, "task/%s/comm" % tid).decode().strip()
            if words:
                found[pid, int(tid)] = name, int(words[0]) / 1e9
    return found


def role(root, spawner, key, name):
    pid, tid = key
    if pid == spawner:
        return "spawner"
    if pid != root:
        return "workers"
    return "loop" if tid == root else name


def noops(client, count):
    last = futured.warm(client)
    data = futured.submissions(count, '{"task":"noop","args":[%d]}') + futured.await_all(last + 1, count)
    return lambda: futured.all_succeeded(futured.Bulk(client).exchange(data, count + 1)[0], count)


def one_map(client, count):
    items = ",".join("[%d]" % i for i in range(count))
    data = futured.request(1, "map", '{"task":"noop","items":[%s]}' % items) + \
        futured.await_all(futured.warm(client) + 1, count)
    return lambda: futured.all_succeeded(futured.Bulk(client).exchange(data, 2)[0], count)


def submits(client, count):
    futured.paused(client)
    return lambda: futured.hold(client, count)


def trips(client, count):
    futured.warm(client)

    def run():
        for i in range(count):
            client.socket.sendall(futured.request(i, "run", '{"task":"noop","args":[%d]}' % i))
            if b'"succeeded"' not in client.socket.recv(65536):
                sys.exit("where.py: a job has not succeeded")
    return run


WORKS = {"noops": (noops, 100000, "full"), "map": (one_map, 200000, "full"), "submits": (submits, 100000, "full"),
         "trip": (trips, 3000, "full"), "normal": (trips, 3000, "normal")}


def cpu(daemon, run, count):
    before = threads(daemon.pid)
    spawner = daemon.spawner()
    run()
    after = threads(daemon.pid)
    spent = {}
    for key, (name, seconds) in after.items():
        part = role(daemon.pid, spawner, key, name)
        spent[part] = spent.get(part, 0) + seconds - before.get(key, (None, 0.0))[1]
    whole = sum(spent.values())
    for part, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print("%-16s %9.3f us a job  %5.1f %%" % (part, seconds / count * 1e6, 100 * seconds / whole))
    print("%-16s %9.3f us a job" % ("all", whole / count * 1e6))


def traced(daemon, run, count, folder):
    """The system calls of all threads and processes, a job."""
    said = os.path.join(folder, "strace")
    tracer = subprocess.Popen(["strace", "-f", "-c", "-U", "name,calls", "-S", "calls", "-o", said]
                              + [word for pid in measures.tree(daemon.pid) for word in ("-p", str(pid))],
                              stderr=subprocess.DEVNULL)
    wait_for(lambda: all(b"TracerPid:\t0\n" not in process.read(pid, "status") for pid in measures.tree(daemon.pid)),
             "strace is attached", 60)
    run()
    tracer.terminate()
    tracer.wait()
    with open(said, encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if len(words) == 2 and words[1].isdigit() and int(words[1]) * 200 > count:
                print("%-16s %9.3f calls a job" % (words[0], int(words[1]) / count))


def sampled(daemon, run, folder):
    """Shares of functions by thread, as perf sees them."""
    data = os.path.join(folder, "perf.data")
    pids = ",".join(str(pid) for pid in measures.tree(daemon.pid))
    sampler = subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-F", "2999", "-o", data, "-p", pids],
                               stdin=subprocess.DEVNULL)
    wait_for(lambda: os.path.exists(data) and os.path.getsize(data) > 0, "perf records", 60)
    run()
    sampler.terminate()
    sampler.wait()
    for sort, limit in (("comm,dso", "0.5"), ("comm,dso,symbol", "0.7")):
        subprocess.run(["perf", "report", "-i", data, "--stdio", "--sort", sort, "--percent-limit", limit, "-q"],
                       stderr=subprocess.DEVNULL, check=False)


def where(given):
    def play(t):
        make, count, synchronous = WORKS[given.work]
        count = given.count or count
        bench = argparse.Namespace(t=t, workers=len(os.sched_getaffinity(0)))
        for wanted, measure in ((True, cpu), (given.calls, traced), (given.symbols, sampled)):
            if not wanted:
                continue
            with futured.serving(bench, synchronous=synchronous) as (daemon, client):
                arguments = {cpu: (count,), traced: (count, t.folder), sampled: (t.folder,)}[measure]
                print("%s, %d jobs, %s:" % (given.work, count, measure.__name__), flush=True)
                measure(daemon, make(client, count), *arguments)
    return options(deadline=600, root=True)(play)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    programs.add_options(parser)
    parser.add_argument("--work", choices=sorted(WORKS), default="noops")
    parser.add_argument("--count", type=int, metavar="N", help="jobs")
    parser.add_argument("--calls", action="store_true", help="system calls too, by strace")
    parser.add_argument("--symbols", action="store_true", help="functions too, by perf")
    given = parser.parse_args()
    return programs.play_one(where(given), given)


if __name__ == "__main__":
    sys.exit(main())
