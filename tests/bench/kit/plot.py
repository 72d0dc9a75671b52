"""
The plot: a panel a work, a bar a figure, ours in colour. SVG written by hand, so that nothing has to be installed for
it.

A panel has a scale of its own, from 0, or logarithmic where the largest is over twenty times the smallest; the
scale's kind
stands in its title.
"""

import math
from xml.sax.saxutils import escape

from . import works
from .report import median_of, metric_of, number

WIDTH, LABEL, BARS, ROW, HEAD = 1000, 400, 480, 20, 46
OURS, THEIRS, LIMIT = "#c2410c", "#94a3b8", "#cbd5e1"


def is_logarithmic(values):
    positive = [value for value in values if value > 0]
    return bool(positive) and max(positive) > 20 * min(positive)


def lengths(values, width):
    """How long each bar is."""
    top = max(values)
    if top <= 0:
        return [0.0 for _ in values]
    if not is_logarithmic(values):
        return [max(0.0, value) / top * width for value in values]
    low = 10 ** math.floor(math.log10(min(value for value in values if value > 0)))
    span = math.log10(top / low)
    return [math.log10(value / low) / span * width if value > low else 0.0 for value in values]


def colour(key):
    return OURS if key.startswith("futured.") else LIMIT if key.startswith("bare.") else THEIRS


def text(x, y, what, size=12, anchor="start", weight="normal", fill="#0f172a"):
    return '<text x="%.1f" y="%.1f" font-size="%d" text-anchor="%s" font-weight="%s" fill="%s">%s</text>' % (
        x, y, size, anchor, weight, fill, escape(what))


def panel(work, records, y):
    """(the lines, the height)."""
    metric = metric_of(work, work.shown)
    found = [(one, median_of(one, metric.id)) for one in records]
    found = sorted([pair for pair in found if pair[1] is not None], key=lambda pair: pair[1], reverse=metric.more)
    if not found:
        return [], 0
    values = [value for _, value in found]
    kind = ", logarithmic" if is_logarithmic(values) else ""
    lines = [text(10, y + 22, work.title, 14, weight="bold"),
             text(10, y + 38, "%s, %s%s; %s is better" % (metric.title, metric.unit, kind,
                                                          "more" if metric.more else "less"),
                  11, fill="#475569")]
    for place, ((one, value), length) in enumerate(zip(found, lengths(values, BARS))):
        top = y + HEAD + place * ROW
        label = "%s: %s" % (one["name"], one["setting"])
        weight = "bold" if one["key"].startswith("futured.") else "normal"
        lines.append(text(LABEL - 6, top + 13, label if len(label) <= 66 else label[:64] + "…", 11, "end", weight))
        lines.append('<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>'
                     % (LABEL, top + 2, max(length, 1), ROW - 5, colour(one["key"])))
        lines.append(text(LABEL + length + 6, top + 13, number(value), 11, weight=weight))
    return lines, HEAD + len(found) * ROW + 14


def svg(said):
    lines, y = [], 10
    for work in works.WORKS:
        more, height = panel(work, [one for one in said["figures"] if one["work"] == work.id], y)
        lines += more
        y += height
    head = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif">'
            % (WIDTH, y + 10, WIDTH, y + 10), '<rect width="100%" height="100%" fill="white"/>']
    return "\n".join(head + lines + ["</svg>"]) + "\n"
