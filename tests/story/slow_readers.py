"""
Watches over a million jobs by clients that read slowly: what the daemon holds is bounded by what they have read, not by what they asked for.
"""

import re

from harness import eq, options, process, that, within

COUNT = 1000000
GROWTH_KIB = 16 << 10
PIECE = 4 << 20  # read at once, between two looks at the daemon's memory


def million(t):
    """A daemon with so many jobs that have ended."""
    d, c = t.serve(config={"log": {"level": "error"}})
    c.seconds = 500
    for first in range(1, COUNT + 1, 250000):
        eq(c.call("map", task="noop", items=[[]] * 250000)["first"], first)
    eq(c.call("await", ids=["1-%d" % COUNT], jobs=False, wait=within(500))["counts"]["succeeded"], COUNT)
    return d, c


def read_slowly(t, d, c, w):
    """All ids that are told until the end, in their order; the daemon's memory is looked at after each piece."""
    ids, text, base, peak = [], bytes(w.buffer), process.memory_kib(d.pid), 0
    while not text.endswith(b'"event":"end"}}\n'):
        room = len(text) + PIECE
        while len(text) < room and not text.endswith(b'"event":"end"}}\n'):
            more = w.socket.recv(1 << 16)
            that(more, "the connection lives")
            text += more
        c.call("ping")
        peak = max(peak, process.memory_kib(d.pid))
        cut = text.rfind(b"\n", 0, len(text) - 1) + 1
        ids += map(int, re.findall(rb'"event":"finished","job":\{"id":(\d+)\}', text[:cut]))
        text = text[cut:]
    grown = peak - base
    that(grown < t.memory_bound(GROWTH_KIB), "the daemon grew by %d KiB" % grown)
    t.figure("the daemon grew by %d KiB" % grown)
    return ids


@options(deadline=900)
def test_a_million(t):
    """A watch over 1,000,000 ended jobs is read slowly, in either order, and the daemon does not grow by more than 16 MiB."""
    d, c = million(t)
    for order in ("finished", "id"):
        w = t.client(seconds=120)
        w.send("watch", ids=["1-%d" % COUNT], order=order, fields=[])
        eq(w.message()["result"]["count"], COUNT)
        for _ in range(3):
            c.call("ping")
        ids = read_slowly(t, d, c, w)
        eq(len(ids), COUNT, order)
        eq((ids if order == "id" else sorted(ids)) == list(range(1, COUNT + 1)), True, order)
        w.close()


@options(deadline=300)
def test_ends_that_wait(t):
    """Jobs that end while their watchers do not read at all are told later, each once, and wait in the store alone."""
    count = 50000
    d, c = t.serve(config={"log": {"level": "error"}})
    c.seconds = 300
    c.call("map", task="noop", items=[[]] * count)
    c.call("await", ids=["1-%d" % count], jobs=False, wait=within(300))
    base = process.memory_kib(d.pid)
    gates = [t.gate(), t.gate()]
    for gate in gates:
        c.submit("exec", {"argv": gate.argv()})
        gate.started()
    first = c.call("map", task="noop", items=[[]] * count)["first"]
    watchers = [(t.client(seconds=120), order) for order in ("finished", "id") for _ in range(5)]
    for w, order in watchers:
        w.send("watch", ids=["%d-%d" % (first, first + count - 1)], order=order, fields=["id", "args", "result", "finished", "submitted"])
        eq(w.message()["result"]["count"], count)
    for gate in gates:
        gate.release()
    c.call("await", ids=["%d-%d" % (first, first + count - 1)], jobs=False, wait=within(300))
    grown = process.memory_kib(d.pid) - base
    that(grown < t.memory_bound((len(watchers) * 2 << 10) + (8 << 10)), "the daemon grew by %d KiB" % grown)
    t.figure("the daemon grew by %d KiB" % grown)
    for w, order in (watchers[0], watchers[-1]):
        ids = []
        while len(ids) < count:
            message = w.message()["params"]
            eq(message["event"], "finished")
            ids.append(message["job"]["id"])
        eq(w.message()["params"]["event"], "end")
        eq((ids if order == "id" else sorted(ids)) == list(range(first, first + count)), True, order)
