"""
Runs the figures of each work in turn, ours between the others', and keeps what each run said.

A figure is a function of the bench (`Bench`, in bench.py) that returns {metric: value}. Each run begins and ends with
no process
of the figure: what it starts, it ends. A peer that is not installed, or that fails, is kept with its reason and told;
it
never stands in a table as if it had not been asked.

While a run lasts, the CPU time that the machine spent on others is measured. A run in noise is repeated up to `extra`
times, and
the quietest runs count.
"""

import collections
import os
import statistics
import time

from harness import process

NOISE = 0.25  # cores that others may use in a run that counts as quiet
TICKS = os.sysconf("SC_CLK_TCK")

Figure = collections.namedtuple("Figure", "work key name setting guarantee run needs")
FIGURES = []


class Missing(Exception):
    """A peer that is not installed."""


def figure(work, key, name, setting, guarantee, needs=()):
    """Registers a function as the figure `key` of a work; `needs` are what has to be installed: programs, or
    py:MODULE."""
    def register(function):
        FIGURES.append(Figure(work, key, name, setting, guarantee, function, tuple(needs)))
        return function
    return register


def busy_s():
    """CPU seconds that the whole machine has spent, waiting for the disk left out."""
    with open("/proc/stat", encoding="ascii") as file:
        words = [int(word) for word in file.readline().split()[1:]]
    return (sum(words[:3]) + words[5] + words[6]) / TICKS


def own_s(root):
    """CPU seconds of a tree of processes and of all that it has reaped."""
    spent = 0
    for pid in process.tree(root, itself=True):
        text = process.read(pid, "stat")
        if text:
            spent += sum(int(word) for word in text.rsplit(b")", 1)[1].split()[11:15])
    return spent / TICKS


class Noise:
    """`with Noise(root) as noise`: afterwards noise.cores is what others used meanwhile, in cores."""

    def __init__(self, root):
        self.root = root
        self.cores = None

    def __enter__(self):
        self.before = busy_s(), own_s(self.root), time.monotonic()
        return self

    def __exit__(self, *_):
        busy, own, now = busy_s(), own_s(self.root), time.monotonic()
        others = busy - self.before[0] - (own - self.before[1])
        self.cores = max(0.0, others / max(now - self.before[2], 1e-9))


class Kept:
    """What is known of one figure: its runs as (noise, {metric: value}), or why there are none."""

    def __init__(self, one):
        self.figure = one
        self.runs = []
        self.missing = None
        self.failed = None

    @property
    def over(self):
        return self.missing is not None or self.failed is not None

    def quiet(self):
        return sum(1 for noise, _ in self.runs if noise <= NOISE)


def quietest(runs, count):
    """The `count` runs with the least noise, in the order in which they were made."""
    chosen = sorted(range(len(runs)), key=lambda i: runs[i][0])[:count]
    return [runs[i] for i in sorted(chosen)]


def summary(runs, count):
    """{metric: {median, min, max}} and the worst noise, of the quietest runs."""
    chosen = quietest(runs, count)
    metrics = {}
    for name in chosen[0][1]:
        values = [values[name] for _, values in chosen]
        metrics[name] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return metrics, max(noise for noise, _ in chosen)


def attempt(bench, kept, root):
    """One run of one figure."""
    try:
        with Noise(root) as noise:
            values = kept.figure.run(bench)
        kept.runs.append((noise.cores, values))
    except Missing as missing:
        kept.missing = str(missing)
    except Exception as wrong:  # whatever a peer does must not end the bench
        kept.failed = "%s: %s" % (type(wrong).__name__, wrong)
    finally:
        bench.end_all()


def run_work(bench, figures, runs, extra, root):
    """All figures of one work in turn, `runs` rounds and up to `extra` more for those in noise; a list of Kept."""
    kept = [Kept(one) for one in figures]
    for one in kept:
        one.missing = bench.missing(one.figure.needs)
    for turn in range(runs + extra):
        for one in kept:
            if not one.over and (turn < runs or one.quiet() < runs):
                attempt(bench, one, root)
    return kept


def record(kept, runs):
    """What is written of a figure."""
    one = kept.figure
    said = {"work": one.work, "key": one.key, "name": one.name, "setting": one.setting, "guarantee": one.guarantee}
    if kept.missing is not None:
        return dict(said, missing=kept.missing)
    if kept.failed is not None:
        return dict(said, failed=kept.failed)
    metrics, noise = summary(kept.runs, runs)
    return dict(said, metrics=metrics, noise=round(noise, 3), runs=[values for _, values in kept.runs])
