"""
list, queues and stats: what is there, page by page and in numbers.
"""

from harness import eq, process, that, wait_for, within


def pages(c, **params):
    """Every id of a listing, page by page."""
    ids, after = [], None
    while True:
        page = c.call("list", dict(params, **({"after": after} if after is not None else {})))
        that(len(page["jobs"]) <= params.get("limit", 100), "no more than the limit")
        ids += [job["id"] for job in page["jobs"]]
        after = page["next"]
        if after is None:
            return ids


def test_list_of_nothing(t):
    """list of an empty store is an empty page."""
    _, c = t.serve()
    eq(c.call("list"), {"jobs": [], "next": None})


def test_list_pages(t):
    """list goes through all jobs in order of ids, up or down, whatever the size of its pages."""
    _, c = t.serve()
    c.call("map", task="noop", items=[[i] for i in range(2500)])
    c.call("await", ids=["1-2500"], wait=within(60), jobs=False)
    up = list(range(1, 2501))
    for limit in (7, 100, 1000):
        eq(pages(c, limit=limit), up, "limit %d" % limit)
        eq(pages(c, limit=limit, order="-id"), up[::-1], "limit %d, down" % limit)
    that(len(c.call("list")["jobs"]) <= 100, "a hundred unless asked")


def test_list_members(t):
    """list leaves args and result out unless asked."""
    _, c = t.serve()
    c.run("noop", [1], label="l")
    job = c.call("list")["jobs"][0]
    that("args" not in job and "result" not in job, "%r" % job)
    eq((job["id"], job["state"], job["label"], job["task"], job["owner"]), (1, "succeeded", "l", "noop", "uid:%d" % t.uid))
    eq(c.call("list", fields=["args", "result"])["jobs"], [{"id": 1, "args": [1], "result": [1]}])
    eq(c.call("list", fields=[])["jobs"], [{"id": 1}])


def test_list_by_filter(t):
    """list with a filter gives all that fit and no other, over pages and states."""
    _, c = t.serve(workers=1)
    gate = t.gate()
    blocked = c.submit("exec", {"argv": gate.argv()}, label="gate")
    gate.started()
    for i in range(120):
        c.submit("noop.io", [i], label="even" if i % 2 == 0 else "odd", queue="q%d" % (i % 3))
    waiting = [c.submit("noop", [i]) for i in range(30)]
    delayed = c.submit("noop", delay=3600)
    c.call("await", ids=["2-121"], wait=within(60), jobs=False)
    eq(pages(c, filter={"state": "running"}), [blocked])
    eq(pages(c, filter={"state": "pending"}, limit=7), waiting + [delayed])
    eq(pages(c, filter={"state": ["running", "pending"]}, limit=7), [blocked] + waiting + [delayed])
    eq(pages(c, filter={"label": "even"}, limit=9), list(range(2, 122, 2)))
    eq(pages(c, filter={"queue": ["q0", "q1"], "label": "odd"}, limit=11), [i + 2 for i in range(120) if i % 2 and i % 3 < 2])
    eq(pages(c, filter={"task": "noop.io"}, order="-id", limit=50), list(range(121, 1, -1)))
    eq(pages(c, filter={"state": "failed"}), [])
    eq(pages(c, filter={"owner": "uid:1"}), [])
    gate.release()
    c.call("await", ids=waiting, wait=within(60), jobs=False)


def test_list_after_ends(t):
    """after may name an id that is not there, and one at the end gives an empty page."""
    _, c = t.serve()
    for i in range(5):
        c.submit("noop", [i])
    eq([job["id"] for job in c.call("list", after=3)["jobs"]], [4, 5])
    eq(c.call("list", after=5), {"jobs": [], "next": None})
    eq(c.call("list", after=5000), {"jobs": [], "next": None})
    eq([job["id"] for job in c.call("list", after=5000, order="-id", limit=2)["jobs"]], [5, 4])


def test_queues(t):
    """queues tells each queue's limit, whether it is paused, how many are pending and running, and for how long."""
    _, c = t.serve(workers=1)
    gate = t.gate()
    first = c.submit("exec", {"argv": gate.argv()}, queue="slow")
    gate.started()
    for i in range(3):
        c.submit("noop", [i], queue="slow")
    c.submit("noop", queue="other")

    def queue(name):
        return next((queue for queue in c.call("queues") if queue["queue"] == name), None)
    slow = queue("slow")
    eq(set(slow), {"queue", "limit", "paused", "pending", "running", "oldest_s"})
    eq((slow["limit"], slow["paused"], slow["pending"], slow["running"]), (None, False, 3, 1))
    that(isinstance(slow["oldest_s"], (int, float)) and slow["oldest_s"] >= 0, "%r" % slow)
    eq((queue("other")["pending"], queue("other")["running"]), (1, 0))
    gate.release()
    c.wait(first)
    c.call("await", filter={"queue": ["slow", "other"]}, wait=within(60))
    slow = queue("slow")
    eq(slow is None or (slow["pending"], slow["running"]) == (0, 0), True)


def test_queue_counts_over_a_restart(t):
    """What is pending in a queue is counted right after a restart."""
    d, c = t.serve(workers=1)
    for i in range(4):
        c.submit("noop", [i], queue="later", delay=3600)
    d.restart()
    queue = next(queue for queue in t.client().call("queues") if queue["queue"] == "later")
    eq((queue["pending"], queue["running"]), (4, 0))


def test_stats(t):
    """stats names the daemon's processes and its workers, with what each does and since when."""
    d, c = t.serve(workers=2)
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    wait_for(lambda: len([w for w in c.call("stats")["workers"] if w["lane"] == "cpu"]) == 2, "both workers are there")
    stats = c.call("stats")
    eq(stats["pids"]["daemon"], d.pid)
    that(stats["pids"]["spawner"] in d.tree(), "the spawner is below the daemon")
    for worker in stats["workers"]:
        eq(set(worker), {"pid", "lane", "job", "since"})
        that(worker["pid"] in process.tree(stats["pids"]["spawner"]), "a worker is below the spawner: %r" % worker)
    eq(sorted(worker["lane"] for worker in stats["workers"] if worker["lane"] == "cpu"), ["cpu", "cpu"])
    busy = [worker for worker in stats["workers"] if worker["job"] is not None]
    eq([worker["job"] for worker in busy], [ident])
    eq(busy[0]["pid"], c.job(ident)["usage"]["worker"])
    gate.release()
    c.ended_job(ident)
    wait_for(lambda: all(worker["job"] is None for worker in c.call("stats")["workers"]), "the worker is idle")


def test_workers_are_recycled(t):
    """A worker ends after [cpu] max_tasks_per_worker tasks, and another takes its place."""
    _, c = t.serve(workers=1, config={"cpu": {"max_tasks_per_worker": "5"}})
    pids = [c.run("noop", [i])["usage"]["worker"] for i in range(20)]
    that(len(set(pids)) >= 3, "twenty tasks by %d workers" % len(set(pids)))
    that(max(pids.count(pid) for pid in set(pids)) <= 5, "no worker did more than five")
