"""
What is told of a run: tables on the terminal, benchmarks.md, and which goals are reached.

All of it is computed from the records that runner.record has made; nothing here knows a figure. Beside a goal that is
not
reached stands what notes.txt says of it; beside one that could not be measured, why.
"""

from . import works

UNKNOWN = "nothing is noted of why"
HEAD = """\
# Benchmarks

Made by `make bench`; do not edit. What is known of goals that are not reached stands in `tests/bench/notes.txt`.

![The same as bars](benchmarks.svg)

## How it was measured

Each figure is the median of {runs} runs; ours and the others' take turns, each with a fresh server, state and workers. All
results of a run are counted, and a run that misses one is a failure. Clients and workers of gearmand and beanstalkd are in C;
our client writes, from Python, requests that were made beforehand. What begins before the first job (the start of servers,
workers and interpreters) is not in the time, except for GNU parallel, which is timed whole, and task-spooler, whose every job
is a process of the client as well. *Memory* is the proportional share (PSS) of the service's processes. *futured is* says how
many times as good the first figure of futured is. It had {workers} CPU workers. All took {minutes} minutes{quick}.
"""


# ---- numbers

def number(value):
    """As people read it: three digits that count, thousands with commas."""
    if value == 0:
        return "0"
    size = abs(value)
    return "{:,.0f}".format(value) if size >= 100 else "%.1f" % value if size >= 10 else "%.2f" % value \
        if size >= 0.1 else "%.2g" % value


def median_of(record, metric):
    """The median of that metric, or None where the figure has none."""
    values = record.get("metrics", {}).get(metric)
    return None if values is None else values["median"]


def metric_of(work, ident):
    return next(one for one in work.metrics if one.id == ident)


def ours_of(figures, ident, key="futured.full"):
    return next((one for one in figures if one["work"] == ident and one["key"] == key), None)


# ---- goals

def best(figures, ident, metric, prefixes):
    """The record with the best median among those whose key begins with one of the prefixes, or None."""
    found = [one for one in figures if one["work"] == ident and one["key"].startswith(prefixes)
             and median_of(one, metric.id) is not None]
    pick = max if metric.more else min
    return pick(found, key=lambda one: median_of(one, metric.id)) if found else None


def ratio(figures, ident, goal):
    """Ours divided by theirs, ours alone where the goal is a number, None where either was not measured."""
    ours = ours_of(figures, ident, goal.ours)
    value = median_of(ours, goal.metric) if ours else None
    if value is None or not goal.peers:
        return value
    theirs = best(figures, ident, metric_of(works.work(ident), goal.metric), goal.peers)
    return None if theirs is None else value / median_of(theirs, goal.metric)


def reached(figures, ident, goal):
    """True, False, or None when it was not measured."""
    value = ratio(figures, ident, goal)
    if value is None:
        return None
    return value >= goal.factor if metric_of(works.work(ident), goal.metric).more else value <= goal.factor


def goal_id(ident, goal):
    """Its name in notes.txt: work.metric, then the peer, and which of ours where that is not the durable one."""
    words = [ident, goal.metric] + [peer.rstrip(".") for peer in goal.peers]
    return ".".join(words) + ("" if goal.ours == "futured.full" else "@" + goal.ours.split(".")[1])


def goal_words(figures, ident, goal):
    """What has to be reached, in words."""
    text = goal.text
    if text is None:
        theirs = [one for one in figures if one["work"] == ident and one["key"].startswith(goal.peers)]
        names = sorted({one["name"] for one in theirs}) or [peer.split(".")[0] for peer in goal.peers]
        special = {"beanstalkd.f0": " with fsync on each write", "gearmand.sqlite": " with its SQLite queue"}
        sign = "≥" if metric_of(works.work(ident), goal.metric).more else "≤"
        text = "%s %g × %s%s" % (sign, goal.factor, " and ".join(names), special.get(goal.peers[0], ""))
    metric = metric_of(works.work(ident), goal.metric)
    if len(works.work(ident).metrics) > 1 and goal.peers:
        text = metric.title + " " + text
    how = "" if goal.ours == "futured.full" else " (synchronous = %s)" % goal.ours.split(".")[1]
    return ("towards " if goal.towards else "") + text + how


def why_not_measured(figures, ident, goal):
    """The reason that the records give."""
    for one in figures:
        if one["work"] == ident and (one["key"] == goal.ours or goal.peers and one["key"].startswith(goal.peers)):
            if "missing" in one or "failed" in one:
                return "%s: %s" % (one["name"], one.get("missing") or one["failed"])
    return "not asked for in this run"


def verdict(figures, ident, goal, notes):
    """One line: the goal, what was reached, and what stands in the way."""
    words, value, good = goal_words(figures, ident, goal), ratio(figures, ident, goal), reached(figures, ident, goal)
    if good is None:
        return "%s: **not measured** (%s)" % (words, why_not_measured(figures, ident, goal))
    metric = metric_of(works.work(ident), goal.metric)
    shown = number(value) + (" ×" if goal.peers else " " + metric.unit if metric.unit != "×" else " ×")
    if good:
        return "%s: reached, %s" % (words, shown)
    why = notes.get(goal_id(ident, goal), "" if goal.towards else UNKNOWN)
    return "%s: **not reached**, %s%s" % (words, shown, ". " + why if why else "")


def read_notes(path):
    """{goal id: text}: lines `ID: text`, what is indented belongs to the line before, # begins a comment line."""
    notes, last = {}, None
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
    except FileNotFoundError:
        return notes
    for line in lines:
        if line.startswith("#") or not line.strip():
            continue
        if line[0].isspace() and last:
            notes[last] += " " + line.strip()
        else:
            last, _, text = line.partition(":")
            notes[last] = text.strip()
    return notes


# ---- tables

def beside(work, metric, figures, record):
    """How many times as good ours is as that record, as text."""
    ours = ours_of(figures, work.id)
    mine, theirs = median_of(ours, metric) if ours else None, median_of(record, metric)
    if record["key"].startswith("futured.") or not mine or not theirs:
        return ""
    return number(mine / theirs if metric_of(work, metric).more else theirs / mine) + " ×"


def trouble(record):
    return record.get("missing") or ("failed: " + record["failed"] if "failed" in record else None)


def rows(work, figures):
    """[name, setting, guarantee, then per metric: median, smallest and largest, how many times ours is as good]."""
    table = []
    for one in figures:
        if one["work"] != work.id:
            continue
        row = [one["name"], one["setting"], one["guarantee"]]
        for place, metric in enumerate(metrics_of(work, figures)):
            values = one.get("metrics", {}).get(metric.id)
            if trouble(one):
                row += [trouble(one).split("\n")[0] if place == 0 else "", "", ""]
            elif values is None:
                row += ["", "", ""]
            else:
                row += [number(values["median"]), "%s – %s" % (number(values["min"]), number(values["max"])),
                        beside(work, metric.id, figures, one)]
        table.append(row)
    return table


def metrics_of(work, figures):
    """Those that some figure has."""
    return [metric for metric in work.metrics if any(median_of(one, metric.id) is not None
                                                     for one in figures if one["work"] == work.id)] or work.metrics[:1]


def text_table(work, figures):
    """For the terminal."""
    lines = ["", work.title]
    for place, metric in enumerate(metrics_of(work, figures)):
        lines.append("  %-58s %12s  %-25s %s" % ("", metric.unit, "", metric.title))
        for row in rows(work, figures):
            median, spread, times = row[3 + 3 * place:6 + 3 * place]
            if median:
                lines.append("  %-58s %12s  %-25s %s" % (("%s, %s" % (row[0], row[1]))[:58], median, spread, times))
    return "\n".join(lines)


def goals_text(said, notes=None):
    """All goals whose work was run, a line each."""
    ran = {one["work"] for one in said["figures"]}
    return "\n".join("%-8s %s" % (work.id, verdict(said["figures"], work.id, goal, notes or {}).replace("**", ""))
                     for work in works.WORKS if work.id in ran for goal in work.goals)


def markdown_table(work, metric_place, metric, table):
    head = "| | how | guarantee | %s, %s | of the runs | futured is |" % (metric.title, metric.unit)
    lines = [head, "|---|---|---|---:|---:|---:|"]
    for row in table:
        cells = row[:3] + row[3 + 3 * metric_place:6 + 3 * metric_place]
        if not cells[3]:
            continue
        if row[0] == "futured":
            cells = ["**futured**"] + cells[1:3] + ["**%s**" % cells[3]] + cells[4:]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def machine_lines(said):
    """The machine as a list."""
    m = said["machine"]
    lines = ["- %s, %d cores%s, %s GiB of memory" % (m["processor"], m["cores"], " (virtual)" if m["virtual"] else "",
                                                     m["memory_gib"]),
             "- %s, Linux %s, Python %s" % (m["system"], m["kernel"], m["python"]),
             "- disk: %s; 4 KiB appended and fdatasync()ed: median %s µs, 99th percentile %s µs"
             % (m["filesystem"], number(m["sync_us"]), number(m["sync_p99_us"]))]
    if m["filesystem"] in ("tmpfs", "ramfs"):
        lines.append("- **That file system is memory: an fsync costs nothing there, and the durable figures show nothing.**")
    if m["versions"]:
        lines.append("- " + ", ".join("%s %s" % item for item in sorted(m["versions"].items())))
    return lines


def noisy(said, limit=0.25):
    """The figures whose kept runs were not quiet."""
    return sorted({"%s %s" % (one["work"], one["key"]) for one in said["figures"] if one.get("noise", 0) > limit})


def markdown(said, notes):
    quick = ", **with the small sizes of --quick**" if said["quick"] else ""
    lines = HEAD.format(runs=said["runs"], workers=said["workers"], quick=quick,
                        minutes=round(said.get("seconds", 0) / 60)).split("\n") + machine_lines(said)
    loud = noisy(said)
    if loud:
        lines += ["", "While these ran, others used more than a quarter of a core: %s." % ", ".join(loud)]
    for work in works.WORKS:
        mine = [one for one in said["figures"] if one["work"] == work.id]
        if not mine:
            continue
        lines += ["", "## " + work.title, ""]
        lines += ["- " + verdict(said["figures"], work.id, goal, notes) for goal in work.goals]
        table = rows(work, said["figures"])
        for place, metric in enumerate(metrics_of(work, said["figures"])):
            lines += [""] + markdown_table(work, place, metric, table)
    return "\n".join(lines) + "\n"
