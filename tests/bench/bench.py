#!/usr/bin/python3
"""
The bench: durable jobs through the daemon beside what a user would take instead, in turn, on one machine, in one run.

    bench.py [--quick] [--rows noops,trip] [--peers python,bare] [--runs 3]    a table on the terminal
    bench.py --docs FOLDER           benchmarks.md and benchmarks.svg in that folder as well (`make bench`)
    bench.py --from RESULTS --docs FOLDER     the same from what --results has kept, without running anything

Each figure is the median of --runs runs. With --check the exit status is 1 when the no-op jobs are below 5 times
Python's ProcessPoolExecutor, the least that this architecture must show; that needs no peer but Python's own.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "story")]

from harness import options, programs, that  # noqa: E402  (the paths come first)
from kit import children, machine, plot, report, runner, works  # noqa: E402
import peers  # noqa: E402

FLOOR = 5
EXTRA_UNTIL_S = 900  # no run more for the sake of noise after that, so that the whole ends in 20 minutes
COMPILED = {"limit": [], "beanstalk": [], "gearman": ["-lgearman"]}
HEADERS = {"gearman": "libgearman/gearman.h"}


class Bench:
    """What a figure gets."""

    def __init__(self, story, given, folder):
        self.t = story
        self.quick = given.quick
        self.workers = len(os.sched_getaffinity(0)) if given.workers is None else given.workers
        self.children = children.Children(story, folder)
        self.known_primes = {}

    def size(self, full, quick):
        return quick if self.quick else full

    def where(self, name):
        """The path of a peer's program, or None."""
        return shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/usr/games")

    def missing(self, needs):
        """What of it is not installed, or None."""
        for need in needs:
            kind, _, name = need.partition(":")
            if kind == "py":
                have = subprocess.run([children.PYTHON, "-c", "import " + name], stderr=subprocess.DEVNULL, check=False,
                                      cwd=self.t.folder).returncode == 0
            elif kind == "header":
                have = any(HEADERS[one] == name and os.path.exists(os.path.join(self.children.programs, one))
                           for one in HEADERS)
            else:
                have = self.where(need) is not None
            if not have:
                return "not installed: no " + (name or need)
        return None

    def slow_server(self):
        """The address of a server whose replies take 100 ms; it ends with the run."""
        port = self.t.free_port()
        self.children.start(self.children.program("slow_server.py") + [str(port), "0.1"], port=port)
        return "http://127.0.0.1:%d/" % port

    def spawn_and_wait(self, argv, env):
        pid = os.posix_spawn(argv[0], argv, self.children.environment(env),
                             file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def primes(self, first, count):
        """The next `count` primes: all cost the same."""
        if (first, count) not in self.known_primes:
            found, n = [], first | 1
            while len(found) < count:
                if all(pow(a, n - 1, n) == 1 for a in (2, 3, 5, 7, 11, 13)):
                    found.append(n)
                n += 2
            self.known_primes[first, count] = found
        return self.known_primes[first, count]

    def end_all(self):
        self.children.end_all()


def compile_programs(folder):
    """The bench's own programs, those in C compiled; one whose library is not here is left out with its peer."""
    shutil.copytree(os.path.join(HERE, "programs"), folder, ignore=shutil.ignore_patterns("__pycache__"),
                    dirs_exist_ok=True)
    compiler = os.environ.get("CC") or "cc"
    if shutil.which(compiler.split()[0]) is None:
        sys.exit("bench.py: no compiler %s for the bench's own programs: install one, or name it in $CC" % compiler)
    for name, libraries in COMPILED.items():
        if name in HEADERS and subprocess.run(
                compiler.split() + ["-E", "-xc", "-", "-o", os.devnull],
                input=b"#include <%s>\n" % HEADERS[name].encode(),
                stderr=subprocess.DEVNULL, check=False).returncode != 0:
            continue
        subprocess.run(compiler.split() + ["-O2", "-Wall", "-Wextra", "-o", os.path.join(folder, name),
                                           os.path.join(folder, name + ".c")] + libraries, check=True)
    os.chmod(folder, 0o755)


def chosen(given):
    """The figures that were asked for, by work: [(work, [figure])]."""
    wanted = given.peers.split(",") if given.peers else list(peers.FAMILIES)
    names = {"futured"} | {peer for word in wanted for peer in peers.FAMILIES.get(word, (word,))}
    rows = given.rows.split(",") if given.rows else [work.id for work in works.WORKS]
    order = [peer for family in peers.FAMILIES.values() for peer in family]
    figures = sorted((one for one in runner.FIGURES if peer_of(one) in names),
                     key=lambda one: order.index(peer_of(one)))
    return [(work, [one for one in figures if one.work == work.id]) for work in works.WORKS if work.id in rows]


def peer_of(one):
    return one.key.split(".")[0]


def check_words(parser, given):
    known = [work.id for work in works.WORKS]
    for word in given.rows.split(",") if given.rows else ():
        if word not in known:
            parser.error("no row %s; there are: %s" % (word, ", ".join(known)))
    known = list(peers.FAMILIES) + [peer for family in peers.FAMILIES.values() for peer in family]
    for word in given.peers.split(",") if given.peers else ():
        if word not in known:
            parser.error("no peer %s; there are: %s" % (word, ", ".join(sorted(set(known)))))


def bench(given, folder, results):
    """The story: runs all that was asked for and writes it into `results`, a file that is open."""
    def play(t):
        peers.futured.raise_descriptors()
        b = Bench(t, given, folder)
        began = time.monotonic()
        sync = b.children.tool("limit", "sync", t.path("sync"), b.size(1000, 100))
        said = {"machine": machine.describe(t.folder, sync),
                "runs": given.runs, "quick": given.quick, "workers": b.workers, "figures": []}
        for work, figures in chosen(given):
            extra = given.extra if time.monotonic() - began < EXTRA_UNTIL_S else 0
            kept = runner.run_work(b, figures, given.runs, extra, os.getppid())
            records = [runner.record(one, given.runs) for one in kept]
            said["figures"] += records
            print(report.text_table(work, records), flush=True)
        said["seconds"] = time.monotonic() - began
        json.dump(said, results, indent=1)
        results.flush()
        broken = ["%s %s: %s" % (one["work"], one["key"], one["failed"]) for one in said["figures"] if "failed" in one]
        that(not broken, "figures that failed:\n" + "\n".join(broken))
    return options(deadline=2400)(play)


def below_floor(said):
    """Why --check fails, or None."""
    reached = report.ratio(said["figures"], "noops", works.per("rate", FLOOR, "ppe."))
    if reached is None:
        return "the no-op jobs or ProcessPoolExecutor's were not measured"
    return None if reached >= FLOOR else "%.1f times ProcessPoolExecutor's no-op jobs; it must be %d" % (reached, FLOOR)


def run(given):
    """(exit status, what was measured)."""
    folder = tempfile.mkdtemp(prefix="fb-", dir="/tmp")
    try:
        compile_programs(folder)
        with tempfile.TemporaryFile("w+") as results:
            status = programs.play_one(bench(given, folder, results), given)
            results.seek(0)
            text = results.read()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return status, json.loads(text) if text else None


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    programs.add_options(parser)
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of each figure (default 3)")
    parser.add_argument("--extra", type=int, metavar="N",
                        help="runs more for a figure in noise (default 2, with --quick 0)")
    parser.add_argument("--rows", metavar="LIST", help="only these: " + ",".join(work.id for work in works.WORKS))
    parser.add_argument("--peers", metavar="LIST", help="only these beside futured: " + ",".join(peers.FAMILIES))
    parser.add_argument("--workers", type=int, metavar="N", help="CPU workers (default: cores)")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--check", action="store_true", help="fail below %d times ProcessPoolExecutor" % FLOOR)
    parser.add_argument("--results", metavar="FILE", help="keep what was measured, as JSON")
    parser.add_argument("--from", dest="source", metavar="FILE", help="measure nothing, tell what such a file holds")
    parser.add_argument("--docs", metavar="FOLDER", help="write benchmarks.md and benchmarks.svg there")
    given = parser.parse_args()
    check_words(parser, given)
    if given.extra is None:
        given.extra = 0 if given.quick else 2
    if given.check and given.peers is None:
        given.peers = "python,bare"
    return given


def main():
    given = arguments()
    status = 0
    if given.source:
        with open(given.source, encoding="utf-8") as file:
            said = json.load(file)
    else:
        status, said = run(given)
    if said is None:
        return status or 1
    print("\n" + report.goals_text(said))
    if given.results:
        with open(given.results, "w", encoding="utf-8") as file:
            json.dump(said, file, indent=1)
    if given.docs:
        os.makedirs(given.docs, exist_ok=True)
        for name, text in (("benchmarks.md", report.markdown(said, report.read_notes(os.path.join(HERE, "notes.txt")))),
                           ("benchmarks.svg", plot.svg(said))):
            with open(os.path.join(given.docs, name), "w", encoding="utf-8") as file:
                file.write(text)
    why = below_floor(said) if given.check else None
    if why:
        print("bench: " + why)
    return 1 if why else status


if __name__ == "__main__":
    sys.exit(main())
