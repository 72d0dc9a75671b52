#!/usr/bin/python3
"""
The bench's own arithmetic, its table of goals and its report, checked without measuring anything.

The last line is `bench: N passed, N failed`.
"""

import os
import sys
import tempfile
import traceback
import types
import xml.dom.minidom

sys.dont_write_bytecode = True
TESTS = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(TESTS, "bench"), os.path.join(TESTS, "story")]

from harness import contains, eq, that  # noqa: E402  (the paths come first)
from kit import machine, plot, report, runner, works  # noqa: E402
import peers  # noqa: E402


def known(work, key, name="Peer", guarantee="memory", noise=0.0, **medians):
    """A record with these medians."""
    return {"work": work, "key": key, "name": name, "setting": "as it is", "guarantee": guarantee, "noise": noise,
            "metrics": {metric: {"median": value, "min": value, "max": value} for metric, value in medians.items()}}


def lost(work, key, **why):
    return dict({"work": work, "key": key, "name": "Lost", "setting": "as it is", "guarantee": "memory"}, **why)


def said(*figures):
    return {"runs": 3, "quick": False, "workers": 2, "seconds": 61.0, "figures": list(figures), "machine": {
        "processor": "A processor", "cores": 2, "virtual": False, "memory_gib": 4.0, "system": "Debian", "kernel": "6",
        "python": "3", "filesystem": "ext4", "sync_us": 200.0, "sync_p99_us": 400.0, "load": 0.0, "versions": {"parallel": "1"}}}


def fake_bench():
    """It has all that figures need, and counts how often it was cleaned up."""
    bench = types.SimpleNamespace(ends=0, missing=lambda needs: "not installed: no " + needs[0] if needs else None)

    def end_all():
        bench.ends += 1
    bench.end_all = end_all
    return bench


def fake_figure(key, values, calls, needs=()):
    """One that gives the values in turn; an exception among them is raised."""
    values = iter(values)

    def run(_):
        calls.append(key)
        value = next(values)
        if isinstance(value, Exception):
            raise value
        return {"rate": value}
    return runner.Figure("noops", key, key, "", "", run, needs)


def with_noise(levels, call):
    """Calls it with a machine in which others take so many cores in each run."""
    levels, real = iter(levels), runner.Noise

    class Fake:
        def __init__(self, _):
            self.cores = None

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.cores = next(levels)
    runner.Noise = Fake
    try:
        return call()
    finally:
        runner.Noise = real


# ---- runs

def test_figures_take_turns():
    calls = []
    figures = [fake_figure("a", [1, 2, 3], calls), fake_figure("b", [4, 5, 6], calls)]
    kept = with_noise([0.0] * 6, lambda: runner.run_work(fake_bench(), figures, 3, 2, 0))
    eq("".join(calls), "ababab")
    eq([[values["rate"] for _, values in one.runs] for one in kept], [[1, 2, 3], [4, 5, 6]])


def test_only_what_ran_in_noise_is_repeated():
    calls = []
    figures = [fake_figure("a", [1, 2, 3, 4, 5], calls), fake_figure("b", [1, 2, 3], calls)]
    levels = [0.9, 0.0, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0]  # a b a b a b, then a twice
    kept = with_noise(levels, lambda: runner.run_work(fake_bench(), figures, 3, 2, 0))
    eq("".join(calls), "abababaa")
    eq(runner.record(kept[0], 3)["metrics"]["rate"], {"median": 4, "min": 2, "max": 5}, "the quiet runs alone count")


def test_the_quietest_runs_count():
    runs = [(0.5, {"rate": 100}), (0.1, {"rate": 1}), (0.9, {"rate": 1000}), (0.2, {"rate": 3}), (0.0, {"rate": 2})]
    metrics, noise = runner.summary(runs, 3)
    eq(metrics, {"rate": {"median": 2, "min": 1, "max": 3}})
    eq(noise, 0.2)


def test_a_failure_is_kept_and_tidied_up():
    calls, bench = [], fake_bench()
    figures = [fake_figure("a", [1, ValueError("no results"), 3], calls), fake_figure("b", [], calls, ("tool",))]
    kept = with_noise([0.0] * 3, lambda: runner.run_work(bench, figures, 3, 0, 0))
    eq(runner.record(kept[0], 3)["failed"], "ValueError: no results")
    eq(runner.record(kept[1], 3)["missing"], "not installed: no tool")
    eq("".join(calls), "aa", "what has failed is not run again, what is missing never")
    eq(bench.ends, 2)


# ---- goals

def test_every_goal_can_be_judged():
    keys = {(one.work, one.key) for one in runner.FIGURES}
    eq(len(keys), len(runner.FIGURES), "no two figures of a work have one key")
    for work in works.WORKS:
        metrics = {metric.id for metric in work.metrics}
        that(work.shown in metrics, "%s shows a metric that it has" % work.id)
        for goal in work.goals:
            that(goal.metric in metrics, "%s has the metric %s" % (work.id, goal.metric))
            that((work.id, goal.ours) in keys, "%s has our figure %s" % (work.id, goal.ours))
            for peer in goal.peers:
                that(any(ident == work.id and key.startswith(peer) for ident, key in keys), "%s has %s" % (work.id,
                                                                                                           peer))


def test_every_note_is_of_a_goal():
    ids = [report.goal_id(work.id, goal) for work in works.WORKS for goal in work.goals if not goal.towards]
    eq(sorted(set(ids)), sorted(ids), "goals have names of their own")
    path = os.path.join(TESTS, "bench", "notes.txt")
    for ident in report.read_notes(path):
        that(ident in ids, "notes.txt: no goal %s" % ident)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for ident in ids:
        contains(text, ident, "the names in the head of notes.txt")


def test_every_peer_has_a_family():
    names = [peer for family in peers.FAMILIES.values() for peer in family]
    for one in runner.FIGURES:
        that(one.key.split(".")[0] in names, "%s is in FAMILIES" % one.key)
        that(one.guarantee, "%s %s says what it guarantees" % (one.work, one.key))


def test_more_is_compared_with_the_best():
    figures = [known("noops", "futured.full", rate=300), known("noops", "ppe.a", rate=10), known("noops", "ppe.b",
                                                                                                 rate=20)]
    eq(report.ratio(figures, "noops", works.per("rate", 15, "ppe.")), 15.0)
    eq(report.reached(figures, "noops", works.per("rate", 15, "ppe.")), True)
    eq(report.reached(figures, "noops", works.per("rate", 15.1, "ppe.")), False)
    eq(report.reached(figures, "noops", works.per("rate", 1, "gearmand.")), None)


def test_less_is_compared_with_the_best():
    figures = [known("trip", "futured.full", p50=80), known("trip", "futured.normal", p50=55), known("trip", "ppe.a",
                                                                                                     p50=100),
               known("trip", "pool.b", p50=110)]
    eq(report.reached(figures, "trip", works.per("p50", 0.8, "ppe.", "pool.")), True)
    eq(report.reached(figures, "trip", works.per("p50", 0.79, "ppe.", "pool.")), False)
    eq(report.ratio(figures, "trip", works.per("p50", 1, "pool.", ours="futured.normal")), 0.5)


def test_a_bound_is_a_number():
    figures = [known("idle", "futured.full", wakeups=0, memory=12.5)]
    eq(report.reached(figures, "idle", works.bound("memory", 12, "")), False)
    eq(report.reached(figures, "idle", works.bound("wakeups", 0, "")), True)
    figures = [known("factors", "futured.full", speedup=1.97)]
    eq(report.reached(figures, "factors", works.bound("speedup", 1.97, "")), True)


# ---- what is told

def test_numbers_are_readable():
    eq([report.number(value) for value in (0, 0.01234, 0.5, 1.666, 15.55, 431.7, 1234567.8, -18.04)],
       ["0", "0.012", "0.50", "1.67", "15.6", "432", "1,234,568", "-18.0"])


def test_a_verdict_names_figure_and_reason():
    goal = works.per("rate", 15, "ppe.")
    few = [known("noops", "futured.full", rate=100), known("noops", "ppe.submit", "Pool", rate=10)]
    many = [known("noops", "futured.full", rate=200), known("noops", "ppe.submit", "Pool", rate=10)]
    notes = {"noops.rate.ppe": "the disk"}
    eq(report.verdict(few, "noops", goal, notes), "≥ 15 × Pool: **not reached**, 10.0 ×. the disk")
    eq(report.verdict(many, "noops", goal, notes), "≥ 15 × Pool: reached, 20.0 ×")
    contains(report.verdict(few, "noops", goal, {}), report.UNKNOWN)
    gone = [known("noops", "futured.full", rate=100), lost("noops", "ppe.submit", missing="not installed: no python")]
    contains(report.verdict(gone, "noops", goal, notes), "**not measured** (Lost: not installed: no python)")


def test_notes_are_read():
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("# a comment\nnoops.rate.ppe: one: two\n    and three\n\ntrip.tail: four\n")
        file.flush()
        eq(report.read_notes(file.name), {"noops.rate.ppe": "one: two and three", "trip.tail": "four"})


def test_the_page_holds_every_figure():
    page = report.markdown(said(
        known("noops", "futured.full", "futured", rate=1500000), known("noops", "ppe.submit", "A|B", noise=0.5,
                                                                       rate=100000),
        lost("noops", "rq.memory", missing="not installed: no rq"), lost("noops", "rq.fork",
                                                                         failed="Failed: no results\nmore")),
        {})
    contains(page, "| **futured** | as it is | memory | **1,500,000** | 1,500,000 – 1,500,000 |  |")
    contains(page, "| A\\|B | as it is | memory | 100,000 | 100,000 – 100,000 | 15.0 × |")
    contains(page, "not installed: no rq")
    contains(page, "failed: Failed: no results |")
    contains(page, "others used more than a quarter of a core: noops ppe.submit.")
    contains(page, "A processor, 2 cores, 4.0 GiB")
    that("--quick" not in page and "is memory:" not in page, "nothing is told of what was not so")
    tables = [line for line in page.split("\n") if line.startswith("|")]
    eq({line.replace("\\|", "").count("|") for line in tables}, {7}, "all rows have as many cells")


def test_a_page_of_no_worth_says_so():
    mine = said(known("noops", "futured.full", rate=1))
    mine["quick"] = True
    mine["machine"]["filesystem"] = "tmpfs"
    page = report.markdown(mine, {})
    contains(page, "small sizes of --quick")
    contains(page, "That file system is memory")


def test_each_metric_has_its_table():
    page = report.markdown(said(known("queue", "futured.full", "futured", submits=1.5, memory=3, job=2, starts=1,
                                      ready=0.5),
                                known("queue", "redis.memory", "Redis", job=100)), {})
    contains(page, "| Redis | as it is | memory | 100 | 100 – 100 | 50.0 × |")
    eq(page.count("| Redis |"), 1, "a peer stands only where it was measured")


def test_bars_are_as_long_as_the_figures():
    eq(plot.lengths([10, 5, 0, -1], 400), [400.0, 200.0, 0.0, 0.0])
    eq([round(one) for one in plot.lengths([1000, 100, 10, 0], 300)], [300, 150, 0, 0])
    eq(plot.lengths([0, 0], 300), [0.0, 0.0])


def test_the_plot_is_a_picture():
    text = plot.svg(said(known("noops", "futured.full", "futured", rate=400), known("noops", "ppe.submit", "A<B & C",
                                                                                    rate=100),
                         lost("noops", "rq.memory", missing="not installed"), known("idle", "futured.full", memory=6)))
    picture = xml.dom.minidom.parseString(text)
    bars = [(bar.getAttribute("fill"),
             float(bar.getAttribute("width"))) for bar in picture.getElementsByTagName("rect")[1:]]
    eq(bars, [(plot.OURS, float(plot.BARS)), (plot.THEIRS, plot.BARS / 4), (plot.OURS, float(plot.BARS))])
    words = [one.firstChild.data for one in picture.getElementsByTagName("text")]
    that("A<B & C: as it is" in words and works.work("noops").title in words, "the labels are there: %s" % words)


def test_the_file_system_is_the_nearest():
    real = machine.read
    machine.read = lambda _: "/dev/c /tmp/deep btrfs rw 0 0\n/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmpx xfs rw 0 0\n"
    try:
        eq([machine.filesystem(path) for path in ("/tmp/deep/a", "/tmp/a", "/tmp", "/tmpx/a", "/tmpy", "/")],
           ["btrfs", "tmpfs", "tmpfs", "xfs", "ext4", "ext4"])
    finally:
        machine.read = real


def main():
    failed, tests = 0, [(name, test) for name, test in globals().items() if name.startswith("test_")]
    for name, test in tests:
        try:
            test()
            print("ok   " + name)
        except Exception:  # any is a failure of that test
            failed += 1
            print("FAILED %s: %s" % (name, traceback.format_exc()))
    print("bench: %d passed, %d failed" % (len(tests) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
