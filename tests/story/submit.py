"""
submit, run, map and status: what a job is, from its acceptance to its end.
"""

import re

from harness import Refused, eq, error_of, refused, that, wait_for, within

MEMBERS = {"id", "task", "args", "queue", "lane", "priority", "label", "key", "owner", "after", "retry_of", "state",
           "reason", "attempt", "max_attempts", "timeout", "submitted", "not_before", "expires", "started", "finished",
           "progress", "result", "error", "usage"}
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


def test_submit_answers_at_once(t):
    """submit answers with the first id and pending; the next one follows without a gap."""
    _, c = t.serve()
    eq(c.call("submit", task="noop"), {"id": 1, "state": "pending"})
    eq(c.call("submit", task="noop.io"), {"id": 2, "state": "pending"})
    refused("no_such_task", c.call, "submit", task="nothing")
    that(c.call("submit", task="noop")["id"] in (3, 4), "ids have no gaps but for refused submissions")


def test_job_object(t):
    """A job object has all members of the contract, with their defaults, and no others."""
    _, c = t.serve()
    job = c.run("math.factorize", [600851475143])
    eq(set(job), MEMBERS)
    eq({name: job[name] for name in ("id", "task", "args", "queue", "lane", "priority", "label", "key", "owner", "after",
                                     "retry_of", "state", "reason", "attempt", "max_attempts", "timeout", "not_before",
                                     "expires", "result", "error")},
       {"id": 1, "task": "math.factorize", "args": [600851475143], "queue": "default", "lane": "cpu", "priority": 0,
        "label": None, "key": None, "owner": "uid:%d" % t.uid, "after": [], "retry_of": None, "state": "succeeded",
        "reason": None, "attempt": 1, "max_attempts": 3, "timeout": None, "not_before": None, "expires": None,
        "result": [71, 839, 1471, 6857], "error": None})
    for name in ("submitted", "started", "finished"):
        that(TIME.match(job[name]), "%s is RFC 3339 in UTC with milliseconds: %r" % (name, job[name]))
    that(job["submitted"] <= job["started"] <= job["finished"], "times rise")


def test_what_was_given_is_kept(t):
    """Every parameter of submit that a job object shows comes back in it."""
    _, c = t.serve()
    given = {"args": {"b": 1, "a": [None, "é"]}, "queue": "slow", "priority": -7, "label": "of mine", "key": "k1",
             "max_attempts": 5, "timeout": 2.5}
    job = c.call("run", given, task="noop", backoff=0.5, retain=3600)
    eq({name: job[name] for name in given}, given)
    eq((job["state"], job["lane"], job["result"]), ("succeeded", "cpu", given["args"]))


def test_args_pass_untouched(t):
    """Arguments and results are passed as the values they are, however odd or large."""
    _, c = t.serve()
    for args in ([], {}, [None], [True, False], [[[]]], [{"": ""}], ["\x01\x7f"], [0.1, -0.0, 1e300, 10 ** 18],
                 ["x" * 3000000], [list(range(50000))], {"k%d" % i: i for i in range(2000)}):
        job = c.run("noop", args)
        eq((job["state"], job["args"], job["result"]), ("succeeded", args, args))


def test_default_attempts(t):
    """Three attempts for an idempotent task, one for any other, unless given."""
    _, c = t.serve()
    eq(c.run("noop")["max_attempts"], 3)
    eq(c.run("exec", {"argv": ["/bin/true"]})["max_attempts"], 1)
    eq(c.run("exec", {"argv": ["/bin/true"]}, max_attempts=2)["max_attempts"], 2)
    eq(c.run("time.sleep", [0])["max_attempts"], 3)


def test_run_waits(t):
    """run answers with the ended job, or as it stands when the wait is over; the job goes on."""
    _, c = t.serve()
    gate = t.gate()
    job = c.run("exec", {"argv": gate.argv("exit 3")}, wait=0.2)
    that(job["state"] in ("pending", "running"), "not ended: %s" % job["state"])
    gate.started()
    eq(c.job(job["id"])["state"], "running")
    gate.release()
    eq(c.ended_job(job["id"])["error"]["exit_status"], 3)
    that(c.run("time.sleep", [0.2], wait=0)["state"] in ("pending", "running"), "wait 0 does not wait")


def test_run_tells_failure(t):
    """run of a job that fails is a result and no error of the call."""
    _, c = t.serve()
    job = c.run("math.factorize", ["x"])
    eq(job["state"], "failed")
    error_of(job, "BadArguments")


def test_running_job(t):
    """A running job shows its attempt, its start and the worker that supervises it."""
    d, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    job = c.job(ident)
    eq((job["state"], job["attempt"], job["finished"], job["reason"], job["result"], job["error"]),
       ("running", 1, None, None, None, None))
    that(TIME.match(job["started"]), "started is a time")
    that(job["usage"]["worker"] in d.tree(), "usage.worker is a process of the daemon")
    gate.release()
    c.ended_job(ident)


def test_io_jobs_have_no_worker(t):
    """A running I/O task has no worker process."""
    _, c = t.serve()
    ident = c.submit("time.sleep", [600])
    wait_for(lambda: c.job(ident)["state"] == "running", "it runs")
    eq((c.job(ident)["lane"], (c.job(ident)["usage"] or {}).get("worker")), ("io", None))
    eq(c.call("cancel", id=ident)["cancelled"], True)
    eq(c.ended_job(ident)["state"], "cancelled")


def test_status_order_and_fields(t):
    """status answers in the order asked; fields picks members, id always comes."""
    _, c = t.serve()
    for i in range(9):
        c.submit("noop", [i])
    c.call("await", ids=["1-9"])
    eq([job["id"] for job in c.call("status", ids=[7, "2-4", 1])], [7, 2, 3, 4, 1])
    eq(c.call("status", ids=[3, 1], fields=["result"]), [{"id": 3, "result": [2]}, {"id": 1, "result": [0]}])
    eq(c.call("status", ids=["1-3"], fields=[]), [{"id": 1}, {"id": 2}, {"id": 3}])
    eq(c.call("status", id=5, fields=["state", "id"]), {"id": 5, "state": "succeeded"})
    eq(set(c.call("status", id=5)), MEMBERS)


def test_status_by_filter(t):
    """A filter selects by state, task, queue, label and owner, by one value or several; none that fits is []."""
    _, c = t.serve()
    c.run("noop", label="a", queue="one")
    c.run("noop.io", label="b", queue="two")
    c.run("math.factorize", ["x"], label="a", queue="two")

    def ids(**wanted):
        return sorted(job["id"] for job in c.call("status", filter=wanted, fields=[]))
    eq(ids(state="succeeded"), [1, 2])
    eq(ids(state=["failed", "cancelled"]), [3])
    eq(ids(task=["noop", "noop.io"]), [1, 2])
    eq(ids(label="a"), [1, 3])
    eq(ids(queue="two"), [2, 3])
    eq(ids(queue="two", label="a"), [3])
    eq(ids(owner="uid:%d" % t.uid), [1, 2, 3])
    eq(ids(owner="uid:1"), [])
    eq(ids(state="running"), [])


def test_map(t):
    """map makes one job for each item, with contiguous ids; of none it makes none."""
    _, c = t.serve()
    c.submit("noop")
    told = c.call("map", task="math.is_prime", items=[[i] for i in range(100)], label="primes", priority=3)
    eq(told, {"first": 2, "count": 100})
    done = c.call("await", ids=["2-101"], wait=within(60))
    eq((done["timed_out"], done["counts"]["succeeded"], done["not_done"]), (False, 100, []))
    jobs = c.call("status", ids=["2-101"])
    primes = [i for i, job in enumerate(jobs) if job["result"]]
    eq(primes, [i for i in range(100) if i > 1 and all(i % k for k in range(2, i))])
    eq({(job["label"], job["priority"], job["task"]) for job in jobs}, {("primes", 3, "math.is_prime")})
    eq([job["args"] for job in jobs], [[i] for i in range(100)])
    eq(c.call("map", task="noop", items=[]), {"first": None, "count": 0})
    eq(c.submit("noop"), 102)


def test_map_items(t):
    """Each item is a job's args: an array or an object; anything else refuses the whole."""
    _, c = t.serve()
    told = c.call("map", task="math.is_prime", items=[[7], {"n": 8}])
    eq([job["result"] for job in c.wait(told["first"], told["first"] + 1)], [True, False])
    for items in ([[1], 2], ["x"], [None], {"a": 1}, "x", 7):
        error = refused("bad_params", c.call, "map", task="noop", items=items)
        eq(error["data"].get("param"), "items")
    refused("bad_params", c.call, "map", task="noop", items=[[]], args=[])
    eq(len(c.call("list")["jobs"]), 2)


def test_big_map(t):
    """A map of 50,000 is one call, and each of its jobs has its own end."""
    _, c = t.serve()
    count = 50000
    told = c.call("map", task="noop", items=[[i] for i in range(count)])
    eq(told, {"first": 1, "count": count})
    done = c.call("await", ids=["1-%d" % count], wait=within(80), jobs=False)
    eq((done["timed_out"], done["counts"]["succeeded"]), (False, count))
    for first in range(1, count, 9973):
        eq(c.job(first)["result"], [first - 1])


def test_key(t):
    """The same key with the same payload is the same job, whoever waits; another payload is key_conflict."""
    _, c = t.serve()
    first = c.call("submit", task="noop", args=[1], key="k")
    eq(first, {"id": 1, "state": "pending"})
    c.ended_job(1)
    again = c.call("submit", task="noop", args=[1], key="k")
    eq((again["id"], again["existing"]), (1, True))
    eq(c.call("submit", args=[1], queue="default", priority=0, task="noop", key="k")["id"], 1,
       "defaults written out are the same payload")
    eq(c.run("noop", [1], key="k")["id"], 1, "run or submit is the same")
    eq(c.run("noop", [1], key="k", wait=5)["id"], 1, "wait is not compared")
    for other in ({"args": [2]}, {"args": [1], "priority": 1}, {"args": [1], "queue": "q"}, {"args": [1], "label": "l"},
                  {"args": [1], "timeout": 1}, {}):
        refused("key_conflict", c.call, "submit", other, task="noop", key="k")
    refused("key_conflict", c.call, "submit", task="noop.io", args=[1], key="k")
    eq(c.call("submit", task="noop", args=[2], key="other")["id"] != 1, True)
    eq({job["key"] for job in c.call("list")["jobs"]}, {"k", "other"})
    refused("not_found", c.call, "submit", task="noop", after=[4711])
    eq(c.call("stats")["submitted"], 2, "what made no job is not counted")


def test_key_ignores_the_order_of_members(t):
    """Members are sorted before payloads are compared, also within args."""
    _, c = t.serve()
    c.submit("noop", {"a": 1, "b": {"c": 2, "d": 3}}, key="k")
    c.raw(b'{"key":"k","x":0}\n')
    c.message()
    c.raw(b'{"id":"z","method":"submit","params":{"key":"k","args":{"b":{"d":3,"c":2},"a":1},"task":"noop"},"jsonrpc":"2.0"}\n')
    eq(c.message()["result"]["id"], 1)


def test_key_of_a_map(t):
    """With map the key names the whole."""
    _, c = t.serve()
    items = [[i] for i in range(5)]
    first = c.call("map", task="noop", items=items, key="m")
    again = c.call("map", task="noop", items=items, key="m")
    eq((again["first"], again["count"], again["existing"]), (first["first"], 5, True))
    refused("key_conflict", c.call, "map", task="noop", items=items[:4], key="m")
    refused("key_conflict", c.call, "submit", task="noop", args=[0], key="m")
    eq(len(c.call("list")["jobs"]), 5)


def test_key_in_one_breath(t):
    """Of a hundred pipelined submissions with one key one job comes."""
    _, c = t.serve()
    sent = [c.request("submit", task="noop", key="one") for _ in range(100)]
    c.raw(b"".join(line for _, line in sent))
    eq({c.answer(ident)["id"] for ident, _ in sent}, {1})
    eq(len(c.call("list")["jobs"]), 1)


def test_key_outlives_the_daemon(t):
    """A key is known again after kill -9 of the daemon."""
    d, c = t.serve()
    ident = c.submit("noop", ["once"], key="k")
    d.restart()
    c = t.client()
    eq(c.call("submit", task="noop", args=["once"], key="k")["id"], ident)
    refused("key_conflict", c.call, "submit", task="noop", args=["twice"], key="k")


def test_delay(t):
    """A delayed job is pending with the reason delayed until its time, and then runs."""
    _, c = t.serve()
    far = c.submit("noop", delay=3600)
    job = c.job(far)
    eq((job["state"], job["reason"], job["attempt"], job["started"]), ("pending", "delayed", 0, None))
    that(TIME.match(job["not_before"]) and job["not_before"] > job["submitted"], "not_before is told")
    near = c.submit("noop", ["soon"], delay=0.3)
    eq(c.job(near)["state"], "pending")
    job = c.ended_job(near)
    eq(job["result"], ["soon"])
    that(job["started"] >= job["not_before"], "not before its time")
    eq(c.job(far)["state"], "pending")


def test_reasons(t):
    """A job that could start but for the workers says so."""
    _, c = t.serve(workers=1)
    gate = t.gate()
    c.submit("exec", {"argv": gate.argv()})
    gate.started()
    ident = c.submit("math.is_prime", [7])
    that(c.job(ident)["reason"] in ("capacity", "ready"), "waits for a worker: %s" % c.job(ident)["reason"])
    gate.release()
    eq(c.ended_job(ident)["result"], True)


def test_timeout(t):
    """An attempt over its timeout ends the job with TimedOut, commands and I/O tasks alike."""
    _, c = t.serve()
    job = c.run("exec", t.sh("sleep 600"), timeout=0.2)
    eq(job["state"], "failed")
    error_of(job, "TimedOut")
    job = c.run("time.sleep", [600], timeout=0.2)
    error_of(job, "TimedOut")
    job = c.run("math.factorize", [9223372036854775783], timeout=0.2)
    error_of(job, "TimedOut")
    eq(job["attempt"], 1, "TimedOut is tried again only if the submitter gave max_attempts")
    eq(c.run("noop", [1], timeout=30)["state"], "succeeded")


def test_max_attempts(t):
    """A failing command is tried as often as the submitter gave, with its backoff between, and no more."""
    _, c = t.serve()
    job = c.run("exec", t.sh("echo x >> %s; exit 7" % t.path("tries")), max_attempts=3, backoff=0.01)
    eq((job["state"], job["attempt"], job["max_attempts"]), ("failed", 3, 3))
    eq(error_of(job, "ExitStatus")["exit_status"], 7)
    eq(t.read("tries"), b"x\n" * 3)
    job = c.run("exec", t.sh("echo x >> %s; exit 7" % t.path("once")))
    eq((job["attempt"], t.read("once")), (1, b"x\n"))


def test_an_attempt_that_succeeds(t):
    """A job that fails first and then succeeds is a success with its number of attempts."""
    _, c = t.serve()
    job = c.run("exec", t.sh("test -e %s || { : > %s; exit 1; }" % ((t.path("seen"),) * 2)), max_attempts=5, backoff=0.01)
    eq((job["state"], job["attempt"], job["error"]), ("succeeded", 2, None))


def test_retrying_is_told(t):
    """Between two attempts a job is pending with the reason retrying."""
    _, c = t.serve()
    ident = c.submit("exec", t.sh("exit 1"), max_attempts=2, backoff=3000)
    job = wait_for(lambda: [job for job in [c.job(ident)] if job["attempt"] and job["state"] == "pending"],
                   "the first attempt is over")[0]
    eq((job["state"], job["reason"], job["attempt"]), ("pending", "retrying", 1))
    eq(c.call("cancel", id=ident)["cancelled"], True)
    eq(c.ended_job(ident)["state"], "cancelled")


def test_bad_arguments_are_not_retried(t):
    """BadArguments is final whatever max_attempts says."""
    _, c = t.serve()
    job = c.run("math.factorize", ["x"], max_attempts=5, backoff=0.01)
    eq(job["attempt"], 1)
    error_of(job, "BadArguments")


def test_retention(t):
    """An ended job goes after [retention] finished, or after its own retain; a waiting one stays."""
    _, c = t.serve(config={"retention": {"finished": "1"}})
    short = c.submit("noop")
    kept = c.submit("noop", retain=3600)
    waiting = c.submit("noop", delay=3600)
    c.wait(short, kept)

    def gone():
        try:
            c.job(short)
        except Refused as refusal:
            eq(refusal.word, "not_found")
            return True
        return False
    wait_for(gone, "the ended job goes", 60)
    eq((c.job(kept)["state"], c.job(waiting)["state"]), ("succeeded", "pending"))
    eq([job["id"] for job in c.call("list")["jobs"]], [kept, waiting])
    that(c.submit("noop") > waiting, "an id is never used again")


def test_retain_nothing(t):
    """retain shortens as well as lengthens."""
    _, c = t.serve()
    ident = c.submit("noop", retain=0.2)
    stays = c.run("noop")["id"]

    def gone():
        try:
            return c.job(ident) is None
        except Refused as refusal:
            return refusal.word == "not_found"
    wait_for(gone, "the job goes after its retain", 60)
    eq(c.job(stays)["state"], "succeeded")
