"""
No process, no thread, no descriptor is to be had for a while: what cannot begin waits, what is there goes on, nothing spins,
and all is as before once there is room.
"""

import os
import re
import resource

from harness import contains, eq, error_of, options, process, that, wait_for, within


def limit(pid, which, soft):
    """Sets the soft limit of a process that runs, or puts it back to the hard one. By its own user: root may lack the right."""
    status = process.read(pid, "status").decode()
    uid, gid = (int(re.search(r"^%s:\s+(\d+)" % name, status, re.MULTILINE).group(1)) for name in ("Uid", "Gid"))
    child = os.fork()
    if child == 0:
        try:
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            hard = resource.prlimit(pid, which)[1]
            resource.prlimit(pid, which, (hard if soft is None else soft, hard))
            os._exit(0)
        finally:
            os._exit(1)
    eq(os.waitpid(child, 0)[1], 0, "the limit is set")


def ticks(pid):
    """The processor time that it has used, in hundredths of a second."""
    words = process.read(pid, "stat").rsplit(b")", 1)[1].split()
    return int(words[11]) + int(words[12])


def rests(t, d, c, what):
    """It does not do the same again and again: neither commits nor, for long, work."""
    commits, used = c.call("stats")["commits"], ticks(d.pid)
    that(c.silent(1), what)
    commits, used = c.call("stats")["commits"] - commits, ticks(d.pid) - used
    that(commits < 20, "%s: %d commits while nothing could be done" % (what, commits))
    that(used < 50 * within(1), "%s: %d hundredths of a second of work in %g seconds" % (what, used, within(1)))
    t.figure("%d commits and %d hundredths of a second of work in %g s" % (commits, used, within(1)))


def test_no_threads(t):
    """While no thread can be made, jobs that want one wait, can be cancelled, and run once one can be made."""
    d, c = t.serve()
    path = t.write("file", "read\n")
    limit(d.pid, resource.RLIMIT_NPROC, 1)
    ids = [c.submit("file.read", [path]) for _ in range(6)]
    rests(t, d, c, "no thread")
    eq({c.job(ident)["state"] for ident in ids} - {"pending", "running"}, set(), "none has ended")
    eq(c.run("noop", [1])["state"], "succeeded", "what needs no thread")
    eq([told["cancelled"] for told in c.call("cancel", ids=[ids[0], ids[-1]])], [True, True])
    limit(d.pid, resource.RLIMIT_NPROC, None)
    eq([job["state"] for job in c.wait(*ids)], ["cancelled"] + ["succeeded"] * 4 + ["cancelled"])
    eq({job["attempt"] for job in c.wait(*ids[1:-1])}, {1})


def test_no_processes(t):
    """While the spawner cannot fork, jobs wait for a worker without an attempt, and run once it can."""
    d, c = t.serve()
    spawner = d.spawner()
    wait_for(lambda: len(c.call("stats")["workers"]) == 2, "both workers are there")
    limit(spawner, resource.RLIMIT_NPROC, 1)
    for worker in c.call("stats")["workers"]:
        process.kill(worker["pid"])
        process.wait_gone(worker["pid"])
    wait_for(lambda: "fork: " in d.log(), "the log says so")
    ids = [c.submit("exec", t.sh("echo ran")), c.submit("math.factorize", [91]), c.submit("exec", t.sh("echo ran"), lane="io")]
    rests(t, d, c, "no process")
    said = d.log().count("no worker for slot")
    that(said < 10 + 2 * within(10), "%d lines of the log for one shortage" % said)
    t.figure("%d lines of the log" % said)
    eq(c.run("noop.io", [1])["state"], "succeeded", "what needs no worker")
    eq({c.job(ident)["state"] for ident in ids} - {"pending", "running"}, set(), "none has ended")
    limit(spawner, resource.RLIMIT_NPROC, None)
    eq([(job["state"], job["attempt"]) for job in c.wait(*ids)], [("succeeded", 1)] * 3)


def test_no_process_for_a_command(t):
    """A command that cannot be forked fails with TaskError that says why, is tried again where that was asked, and its worker lives."""
    _, c = t.serve(workers=1)
    worker = c.run("exec", t.sh("echo $PPID"))["usage"]["worker"]
    limit(worker, resource.RLIMIT_NPROC, 1)
    for limits in ({}, {"limits": {"files": 50}}):
        error = error_of(c.run("exec", t.sh("echo never"), **limits), "TaskError")
        contains(error["message"], "Resource temporarily unavailable")
    ident = c.submit("exec", t.sh("echo ran"), max_attempts=1000, backoff=0.05)
    wait_for(lambda: c.job(ident)["attempt"] >= 2, "it is tried again")
    limit(worker, resource.RLIMIT_NPROC, None)
    job = c.ended_job(ident)
    eq((job["result"]["stdout"], job["usage"]["worker"]), ("ran\n", worker))


@options(root=True)
def test_no_descriptors(t):
    """Without descriptors new connections wait and the daemon does not spin; those there are served; then all are answered."""
    d, c = t.serve()
    c.run("exec", t.sh("exit 0"))
    held = len(os.listdir("/proc/%d/fd" % d.pid))
    limit(d.pid, resource.RLIMIT_NOFILE, held)
    waiting = [t.client(seconds=60) for _ in range(50)]
    for client in waiting:
        client.send("ping")
    wait_for(lambda: "no connection can be accepted" in d.log(), "the log says so")
    rests(t, d, c, "no descriptor")
    eq(c.run("exec", t.sh("echo on"))["result"]["stdout"], "on\n")
    eq(c.call("status", id=1)["state"], "succeeded")
    for worker in c.call("stats")["workers"]:
        process.kill(worker["pid"])  # a new one has a channel, which is a descriptor
    c.run("noop.io")
    job = c.run("file.read", ["/etc/hostname"])
    that(job["state"] == "succeeded" or "Too many open files" in error_of(job, "TaskError")["message"], "%r" % job)
    limit(d.pid, resource.RLIMIT_NOFILE, None)
    eq([client.answer(1) for client in waiting], ["pong"] * 50)
    eq(c.run("exec", t.sh("echo on"))["result"]["stdout"], "on\n")
    said = d.log().count("no connection can be accepted")
    that(said < 8, "%d lines of the log for one shortage" % said)
    t.figure("%d lines of the log" % said)


def test_no_descriptors_for_the_spawner(t):
    """A spawner without descriptors can neither take a channel nor see that a tree is empty: jobs wait until it has some."""
    d, c = t.serve()
    spawner = d.spawner()
    limit(spawner, resource.RLIMIT_NOFILE, 3)
    c.wait(*[c.submit("noop") for _ in range(10)])
    for worker in c.call("stats")["workers"]:
        process.kill(worker["pid"])
        process.wait_gone(worker["pid"])
    ids = [c.submit("exec", t.sh("echo ran")), c.submit("exec", t.sh("echo ran"), lane="io")]
    rests(t, d, c, "no descriptor for the spawner")
    eq(c.run("noop.io", [1])["state"], "succeeded", "what needs no worker")
    limit(spawner, resource.RLIMIT_NOFILE, None)
    for job in c.wait(*ids):
        eq((job["result"]["stdout"], job["attempt"]), ("ran\n", 1))


@options(root=True)
def test_a_storm(t):
    """Workers that are killed, commands that flee, cancels, time-outs, clients that leave amid it: no descriptor and no zombie is left."""
    d, c = t.serve(workers=2, config={"daemon": {"grace": "0"}})
    c.wait(*[c.submit("exec", t.sh("echo x"), lane=lane) for lane in ("cpu", "io") * 2] + [c.submit("file.read", ["/etc/hostname"])])
    spawner = d.spawner()

    def held():
        return [len(os.listdir("/proc/%d/fd" % pid)) for pid in (d.pid, spawner)]

    def zombies():
        return [pid for pid in d.tree() if (process.stat(pid) or (0, "X"))[1] == "Z"]
    before = held()
    for turn in range(8):
        ids = [c.submit("exec", t.sh("(setsid sleep 863 &); sleep 863"), max_attempts=1, lane=lane) for lane in ("cpu", "io")]
        ids += [c.submit("exec", t.sh("(setsid sleep 863 &); trap '' TERM; sleep 863; sleep 863"), timeout=0.05, lane="io"),
                c.submit("exec", t.sh("exit 3")), c.submit("exec", {"argv": ["/nowhere"]}), c.submit("file.read", ["/nowhere"]),
                c.submit("time.sleep", [3600]), c.submit("http.fetch", ["http://127.0.0.1:1/"])]
        for data in (b'{"jsonrpc":"2.0","id":1,"meth', b"GET / HTTP/1.1\r\n\r\n", c.request("await", id=ids[0])[1] * 20):
            t.client().raw(data)
        for client in t.kept[-3:]:
            client.close()
        wait_for(lambda: c.job(ids[1])["state"] != "pending", "it runs")
        for worker in c.call("stats")["workers"]:
            process.kill(worker["pid"])
        c.call("cancel", ids=ids, grace=0)
        c.wait(*ids)
    wait_for(lambda: c.call("stats")["connections"] == 1, "the clients are gone")
    c.wait(*[c.submit("exec", t.sh("exit 0")) for _ in range(4)])
    wait_for(lambda: all(now <= was + 3 for now, was in zip(held(), before)), "the descriptors are given back, as before: %r" % before)
    wait_for(lambda: not zombies(), "no zombie is left")
    t.figure("descriptors of daemon and spawner: %r before, %r after" % (before, held()))
    eq([pid for pid in process.marked(t.mark) if process.command(pid) == "sleep 863"], [])
