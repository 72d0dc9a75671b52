"""
Who may do what on the Unix socket: the daemon's own user and root are operators, any other is a user.
"""

import os
import stat

import builtin
import limits
from harness import contains, eq, first_word, options, refused, that, wait_for, within

STRANGER, OTHER = 20998, 20997
OPEN = {"listen": {"unix_mode": "0666"}}


@options(root=True)
def test_roles_by_peer(t):
    """The daemon's own uid and root are operator, any other uid is user; the owner is the peer's uid."""
    t.daemon(config=OPEN)
    for uid, role in ((None, "operator"), (t.uid, "operator"), (STRANGER, "user")):
        hello = t.client(uid=uid).call("hello")
        eq((hello["owner"], hello["role"]), ("uid:%d" % (uid or 0), role))


@options(root=True)
def test_a_user_may(t):
    """A user may submit, await, list and cancel its own jobs and look at tasks, queues and stats."""
    t.daemon(config=OPEN)
    c = t.client(uid=STRANGER)
    job = c.run("math.factorize", [15])
    eq((job["owner"], job["result"]), ("uid:%d" % STRANGER, [3, 5]))
    eq(c.call("map", task="noop", items=[[1], [2]])["count"], 2)
    ident = c.submit("noop", delay=3600)
    eq(c.call("cancel", id=ident)["cancelled"], True)
    eq(c.call("await", id=ident)["counts"]["cancelled"], 1)
    eq([job["id"] for job in c.call("list")["jobs"]], [1, 2, 3, 4])
    eq(c.call("output", id=1, stream="stdout")["eof"], True)
    for method in ("tasks", "queues", "stats"):
        c.call(method)


@options(root=True)
def test_a_user_may_not(t):
    """exec, file.sha256 and file.read are forbidden to a user, in every way of asking, with no effect."""
    t.daemon(config=OPEN)
    c = t.client(uid=STRANGER)
    for task, args in (("exec", {"argv": ["/bin/true"]}), ("file.sha256", ["/etc/passwd"]), ("file.read", ["/etc/passwd"])):
        refused("forbidden", c.call, "submit", task=task, args=args)
        refused("forbidden", c.call, "run", task=task, args=args)
        refused("forbidden", c.call, "map", task=task, items=[args])
    eq(t.client().call("list")["jobs"], [])


@options(root=True)
def test_a_user_may_if_named(t):
    """[tasks] user names tasks that a user may run all the same."""
    t.daemon(config=dict(OPEN, tasks={"user": "exec, file.sha256"}))
    c = t.client(uid=STRANGER)
    eq(c.run("exec", {"argv": ["/usr/bin/id", "-u"]})["result"]["stdout"], "%d\n" % t.uid, "it runs as the daemon's user")
    eq(c.run("file.sha256", ["/etc/passwd"])["state"], "succeeded")
    refused("forbidden", c.call, "submit", task="file.read", args=["/etc/passwd"])


@options(root=True)
def test_anothers_jobs(t):
    """Another's job is not_found for a user, and neither counted nor listed; an operator sees all."""
    t.daemon(config=OPEN)
    mine, other, operator = t.client(uid=STRANGER), t.client(uid=OTHER), t.client(uid=t.uid)
    a = mine.submit("noop", ["secret"], label="mine", delay=3600)
    b = other.submit("noop", ["other"], label="other")
    other.ended_job(b)
    for method, params in (("status", {"id": a}), ("await", {"id": a, "wait": 0}), ("cancel", {"id": a}),
                           ("output", {"id": a, "stream": "stdout"}), ("status", {"ids": [b, a]})):
        eq(refused("not_found", other.call, method, params)["data"]["ids"], [a], method)
    refused("not_found", other.call, "status", ids=["%d-%d" % (a, a)])
    eq([job["id"] for job in other.call("status", ids=["1-100"])], [b])
    eq([job["id"] for job in other.call("list")["jobs"]], [b])
    eq(other.call("status", filter={"label": "mine"}), [])
    eq(other.call("cancel", filter={"state": "pending"}), [])
    eq(other.call("list", filter={"owner": "uid:%d" % STRANGER})["jobs"], [])
    eq([job["id"] for job in operator.call("list")["jobs"]], [a, b])
    eq(operator.call("status", id=a)["args"], ["secret"])
    eq(operator.call("cancel", id=a)["cancelled"], True)
    eq(mine.ended_job(a)["state"], "cancelled")


@options(root=True)
def test_keys_belong_to_owners(t):
    """The same key of two owners is two keys."""
    t.daemon(config=OPEN)
    a = t.client(uid=STRANGER).call("submit", task="noop", args=[1], key="k")
    b = t.client(uid=OTHER).call("submit", task="noop", args=[2], key="k")
    that(a["id"] != b["id"] and "existing" not in b, "%r %r" % (a, b))


@options(root=True)
def test_fetch_is_kept_from_the_inside(t):
    """http.fetch of loopback and link-local addresses is forbidden to a user, however written, unless [http] local."""
    port = t.free_port()
    t.daemon(config=OPEN)
    c = t.client(uid=STRANGER)
    for url in ("http://127.0.0.1:%d/", "http://localhost:%d/", "http://[::1]:%d/", "http://127.1:%d/", "http://0x7f000001:%d/",
                "http://2130706433:%d/", "http://169.254.169.254:%d/", "http://[fe80::1]:%d/", "http://[::ffff:127.0.0.1]:%d/",
                "http://0.0.0.0:%d/", "HTTP://LOCALHOST:%d/", "http://user@127.0.0.1:%d/"):
        url = url % port
        try:
            job = c.run("http.fetch", [url], max_attempts=1)
        except Exception as refusal:
            eq(getattr(refusal, "word", None), "forbidden", url)
            continue
        eq(job["state"], "failed", url)
        that("refused" not in job["error"]["message"].lower() and "connect" not in job["error"]["message"].lower(),
             "it was not even tried: %s: %r" % (url, job["error"]))


@options(root=True)
def test_fetch_from_the_inside_if_allowed(t):
    """With [http] local = yes a user may fetch from loopback."""
    _, url = builtin.site(t)
    t.daemon(config=dict(OPEN, http={"local": "yes"}))
    eq(t.client(uid=STRANGER).run("http.fetch", [url + "/text"])["result"]["status"], 200)


@options(root=True)
def test_a_redirect_to_the_inside(t):
    """A user's resolved or redirected fetch does not reach loopback, and an operator's does."""
    _, url = builtin.site(t)
    t.daemon(config=OPEN)
    refused("forbidden", t.client(uid=STRANGER).call, "submit", task="http.fetch", args=[url + "/again"])
    eq(t.client().run("http.fetch", [url + "/again"])["result"]["status"], 200)


@options(root=True)
def test_the_socket_is_closed_to_others(t):
    """Unless [listen] unix_mode opens it, others cannot connect to a user's socket at all."""
    d = t.daemon()
    eq(stat.S_IMODE(os.stat(d.socket).st_mode), 0o600)
    try:
        t.client(uid=STRANGER)
    except PermissionError:
        return
    that(False, "a stranger may connect")


def test_the_state_is_closed_to_others(t):
    """The state folder and what is in it cannot be read by others."""
    d, c = t.serve()
    c.run("exec", t.sh("echo out; echo err >&2"))
    for place, folders, names in os.walk(d.state):
        for name in folders + names:
            mode = stat.S_IMODE(os.stat(os.path.join(place, name)).st_mode)
            that(place != d.state or mode & 0o077 == 0, "%s has mode %o" % (name, mode))
    eq(stat.S_IMODE(os.stat(d.state).st_mode), 0o700)


@options(root=True)
def test_ranges_per_owner(t):
    """However many connections an owner has, it leaves as many ranges free to others as its waits keep."""
    t.daemon(config=dict(OPEN, limits={"ranges_per_connection": "20"}))
    greedy = [t.client(uid=STRANGER) for _ in range(16)]
    modest = t.client(uid=OTHER)
    odd = limits.alternate(greedy[0], 21)
    limits.alternate(modest, 21)
    for one in greedy[:8]:
        eq(one.call("watch", filter=odd)["count"], 21)
    for one in greedy[8:]:
        refused("busy", one.call, "watch", filter=odd)
    eq(modest.call("watch", filter=odd)["count"], 21)


@options(root=True)
def test_pending_per_owner(t):
    """Over [limits] pending_per_owner an owner is busy, with a time to come again, and others are not."""
    t.daemon(config=dict(OPEN, limits={"pending_per_owner": "10"}))
    greedy, modest = t.client(uid=STRANGER), t.client(uid=OTHER)
    for _ in range(10):
        greedy.submit("noop", delay=3600)
    error = refused("busy", greedy.call, "submit", task="noop", delay=3600)
    that(error["data"]["retry_after"] > 0, "%r" % error)
    refused("busy", greedy.call, "map", task="noop", items=[[1], [2]])
    eq(modest.run("noop")["state"], "succeeded")
    greedy.call("cancel", ids=["1-10"])
    greedy.call("await", ids=["1-10"], wait=within(30))
    wait_for(lambda: greedy.run("noop")["state"] == "succeeded", "there is room again")


@options(root=True)
def test_queues_of_one_owner(t):
    """An owner who is no operator has no more queues than he leaves free to others, and `default` is always there."""
    d = t.daemon(config=dict(OPEN, limits={"queues": "8"}))
    first, second, c = t.client(uid=STRANGER), t.client(uid=OTHER), t.client()

    def queues(client, name):
        made = 0
        for i in range(9):
            try:
                client.submit("noop", queue="%s%d" % (name, i), delay=3600)
                made += 1
            except Exception as refusal:
                eq(getattr(refusal, "word", None), "busy")
        return made

    made = queues(first, "a"), queues(second, "b"), queues(c, "c")
    eq(made, (4, 2, 2), "queues of two owners, and of an operator")
    t.figure("%d, %d and %d of 8" % made)
    for client in (first, second, c):
        eq(client.run("noop", [1])["state"], "succeeded", "the queue default")
        that(client.submit("noop", queue="a0", delay=3600), "a known queue")
    d.restart()
    refused("busy", t.client(uid=STRANGER).call, "submit", task="noop", queue="new")


@options(root=True)
def test_connections_of_one_owner(t):
    """An owner who is no operator has no more connections than he leaves free; he is told, and others come in."""
    t.daemon(config=dict(OPEN, limits={"connections": "16"}))
    c = t.client()
    eq(c.call("ping"), "pong")
    greedy = [t.client(uid=STRANGER) for _ in range(14)]
    told = [first_word(client) for client in greedy]
    eq(["result" in reply for reply in told], [True] * 8 + [False] * 6, "who was let in")
    contains(told[-1]["error"]["message"], "the share of one owner in [limits] connections is reached")
    eq(t.client(uid=OTHER).call("ping"), "pong")
    eq(t.client().call("ping"), "pong")
    for client in greedy[:3]:
        client.close()
    wait_for(lambda: c.call("stats")["connections"] <= 8, "they have left")
    eq(t.client(uid=STRANGER).call("ping"), "pong")
