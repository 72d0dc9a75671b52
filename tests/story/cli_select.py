"""
Which jobs a command line means: ids, ranges, last and filters, in every command that takes a selection.
"""

import json
import os

from harness import contains, eq, that


def ids(text):
    return [int(line.split("\t")[0]) for line in text.splitlines()]


def jobs_of(c):
    """Five jobs: two that succeeded, one that failed, two that wait."""
    c.run("noop", [1], label="a", queue="one")
    c.run("math.factorize", ["x"], label="b")
    c.run("noop", [2], label="a")
    c.submit("noop", delay=3600, label="a", queue="one")
    c.submit("time.sleep", [1], delay=3600, label="b,c")


def test_selections(t):
    """Ids come in the order asked, filters by rising id; several of one filter are or-ed, different ones and-ed."""
    _, c = t.serve()
    jobs_of(c)
    for words, expected in ((["3,1"], [3, 1]), (["1-2", "5"], [1, 2, 5]), (["last"], [5]), (["2,last"], [2, 5]),
                            (["state=failed"], [2]), (["label=a"], [1, 3, 4]), (["queue=one"], [1, 4]),
                            (["task=time.sleep"], [5]), (["label=b,c"], [5]), (["label=b", "label=b,c"], [2, 5]),
                            (["state=pending,failed"], [2, 4, 5]), (["label=a", "state=succeeded"], [1, 3]),
                            (["owner=uid:%d" % t.uid, "queue=one", "state=pending"], [4])):
        eq(ids(t.ctl("status", *words, status=0).out), expected, "%r" % words)


def test_bad_selections(t):
    """A selection that is none is 2, told before anything is asked."""
    t.daemon()
    for words in (["0"], ["5-"], ["9-5"], ["1,,2"], ["lastly"], ["nothing=1"], ["state=done"], ["1", "state=failed"], [""]):
        for command in ("status", "await", "cancel", "retry", "forget"):
            done = t.ctl(command, *words, status=2)
            that(done.err and not done.out, "%r" % done)


def test_nothing_fits(t):
    """An id or a range that is not known is 2; a filter that fits nothing is 0, with a word on standard error."""
    _, c = t.serve()
    jobs_of(c)
    for command in ("status", "await", "cancel"):
        for words in (["77"], ["70-80"], ["70-9000000000"], ["1,77"]):
            if command != "cancel" or words != ["1,77"]:
                done = t.ctl(command, *words, status=2)
                eq(done.out, "", "%s %r" % (command, words))
                that(done.err, "%s %r" % (command, words))
        done = t.ctl(command, "label=nobody", status=0)
        eq(done.out, "")
        contains(done.err, 'no job fits label="nobody"')
    contains(t.ctl("list", "label=nobody", status=0).err, "no job fits")
    eq(json.loads(t.ctl("--json", "status", "label=nobody", status=0).out), [])
    eq(json.loads(t.ctl("--json", "cancel", "label=nobody", status=0).out), [])


def test_json_is_an_array(t):
    """With --json a selection gives one array, whether it is one id, a range or a filter."""
    _, c = t.serve()
    jobs_of(c)
    for words in (["1"], ["1-1"], ["1,3"], ["last"], ["state=failed"], ["1-3000"], ["1-5"]):
        told = json.loads(t.ctl("--json", "status", *words, status=0).out)
        that(isinstance(told, list) and told[0]["id"] >= 1 and "result" in told[0], "%r: %r" % (words, told))
    for words in (["4"], ["4-5"], ["state=pending"]):
        told = json.loads(t.ctl("--json", "cancel", *words, status=0).out)
        that(isinstance(told, list) and "cancelled" in told[0] if told else words == ["state=pending"], "%r" % told)


def test_a_huge_range(t):
    """A range costs what jobs there are in it: nine million million ids are looked at in no time."""
    _, c = t.serve()
    first = c.call("map", task="noop", items=[[i] for i in range(2500)])["first"]
    c.call("await", filter={}, jobs=False)
    before = c.call("stats").get("requests")
    out = t.ctl("status", "%d-9000000000000" % (first + 10), status=0).out
    eq(ids(out), list(range(first + 10, first + 2500)))
    after = c.call("stats").get("requests")
    that(before is None or after - before < 50, "%r requests" % (after,))
    eq(ids(t.ctl("status", "%d-%d" % (first, first + 1999), status=0).out), list(range(first, first + 2000)))


def test_cancel_in_bulk(t):
    """cancel takes filters and ranges over many jobs, and prints a line for each."""
    _, c = t.serve()
    c.call("map", task="noop", items=[[i] for i in range(3000)], delay=3600, label="many")
    done = t.ctl("cancel", "label=many", status=0)
    eq(ids(done.out), list(range(1, 3001)))
    eq({line.split("\t")[1:] == ["cancelling", "pending"] for line in done.out.splitlines()}, {True})
    eq(c.call("await", filter={}, jobs=False)["counts"]["cancelled"], 3000)
    done = t.ctl("cancel", "1-2000", status=0)
    eq({tuple(line.split("\t")[1:]) for line in done.out.splitlines()}, {("had ended", "cancelled")})


def test_cancel_beyond_a_message(t):
    """What is too much for one reply is cancelled in slices, all of it."""
    _, c = t.serve(config={"limits": {"message": "65536"}})
    for _ in range(6):
        c.call("map", task="noop", items=[[] for _ in range(5000)], delay=3600, label="many")
    eq(len(ids(t.ctl("cancel", "5-3004", status=0).out)), 3000)
    out = t.ctl("cancel", "state=pending", "label=many", status=0).out
    eq(len(set(ids(out))), 27000)
    eq(c.call("await", filter={}, jobs=False)["counts"]["cancelled"], 30000)


def test_await_in_bulk(t):
    """await takes filters; 1 where one of them failed."""
    _, c = t.serve()
    jobs_of(c)
    t.ctl("await", "state=succeeded", status=0)
    t.ctl("await", "1-3", status=1)
    t.ctl("await", "--any", "1-5", status=1)
    t.ctl("await", "--any", "--first-failure", "1", status=2)
    eq(t.ctl("await", "--any", "-q", "1,4", status=0).out, "")


def test_places(t):
    """A daemon that was started without XDG_RUNTIME_DIR is found in its state folder; a stale socket there is none."""
    d = t.daemon()
    os.makedirs(t.path("home/.local/state/futured"))
    for env, folder in (({"XDG_STATE_HOME": t.path("state")}, "state"), ({"XDG_STATE_HOME": None, "HOME": t.path("home")},
                                                                        "home/.local/state")):
        os.makedirs(t.path(folder + "/futured"), exist_ok=True)
        place = t.path(folder + "/futured/futured.sock")
        env = dict(env, XDG_RUNTIME_DIR=None)
        done = t.ctl("list", socket_option=False, env=env)
        that(done.status == 69 and "/run/futured" in done.err or done.status == 0, "%r" % done)
        os.symlink(d.socket, place)
        eq(t.ctl("run", "noop", socket_option=False, env=env, status=0).out, "[]\n")
        os.mkdir(t.path(folder + "/rt"))
        os.symlink(t.path("none"), t.path(folder + "/rt/futured.sock"))
        eq(t.ctl("run", "noop", socket_option=False, env=dict(env, XDG_RUNTIME_DIR=t.path(folder + "/rt")), status=0).out, "[]\n")
    d.kill()
    done = t.ctl("list", socket_option=False, env=env)
    that(done.status in (0, 69) and t.path("home") not in done.err, "%r" % done)
    d.start()
