"""
cgroups: a control group for each command, on a stand-in folder that has no controllers, and on the kernel's own tree where
the story may make groups in it.
"""

import os
import subprocess

from harness import contains, eq, error_of, options, process, that, wait_for, within

UNIFIED = [folder for folder in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
           if os.path.exists(folder + "/cgroup.controllers") and os.access(folder, os.W_OK)]
MISSING = None if UNIFIED else "a cgroup v2 tree to make groups in"


def stand_in(t):
    """A folder that is none of the kernel's, and a daemon that is told to make its groups there."""
    folder = t.path("groups")
    os.mkdir(folder)
    t.hand_over(folder)
    _, c = t.serve(workers=1, config={"exec": {"cgroup": folder}})
    return folder, c


def test_stand_in(t):
    """Where the folder has no controllers nothing changes: commands run, are limited and ended, and leave no group behind."""
    folder, c = stand_in(t)
    eq(c.run("exec", t.sh("ls %s" % folder))["result"]["stdout"].split(), ["daemon", "slot-0"])
    eq(c.run("exec", t.sh("ulimit -d"), limits={"memory_mib": 64})["result"]["stdout"], "65536\n", "an rlimit does it")
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv(first="trap '' TERM; (setsid sleep 921 &); ")})
    gate.started()
    c.call("cancel", id=ident, grace=0)
    eq(error_of(c.ended_job(ident), "Cancelled")["signal"], "SIGKILL")
    eq([pid for pid in process.marked(t.mark) if "sleep 921" in process.command(pid)], [])
    eq(os.listdir(folder), ["daemon"])


def test_out_of_memory(t):
    """A command that its group has killed for want of memory fails with OutOfMemory, and is tried again where that was asked."""
    folder, c = stand_in(t)
    script = ("g=$(echo %s/slot-*); echo tells >&2; echo oom_kill %%d > $g/memory.events; echo $g; %%s" % folder)
    job = c.run("exec", t.sh(script % (1, "kill -9 $$")), limits={"memory_mib": 64})
    error = error_of(job, "OutOfMemory")
    eq((error["signal"], error["stderr_tail"], error["attempt"]), ("SIGKILL", "tells\n", 1))
    contains(error["message"], "64 MiB")
    os.remove(folder + "/slot-0/memory.events")
    os.rmdir(folder + "/slot-0")
    error = error_of(c.run("exec", t.sh(script % (0, "kill -9 $$"))), "Signal")
    eq(error["signal"], "SIGKILL", "nothing was killed by the kernel")
    os.remove(folder + "/slot-0/memory.events")
    os.rmdir(folder + "/slot-0")
    eq(error_of(c.run("exec", t.sh(script % (1, "exit 9"))), "OutOfMemory")["exit_status"], 9)
    os.remove(folder + "/slot-0/memory.events")
    os.rmdir(folder + "/slot-0")
    job = c.run("exec", t.sh("[ $FUTURED_ATTEMPT = 2 ] || { %s; }" % (script % (1, "exit 9"))), max_attempts=2, backoff=0)
    eq((job["state"], job["attempt"]), ("succeeded", 2))


def test_a_folder_that_is_none(t):
    """A folder that cannot be used is an error of the configuration."""
    d = t.make(config={"exec": {"cgroup": t.path("nowhere")}}).start(ready=False)
    eq(d.wait(), 78)
    contains(d.log(), t.path("nowhere"))


def test_two_daemons(t):
    """A folder in which a daemon makes its groups is no other's: that one would end the commands of the first."""
    folder, c = stand_in(t)
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    kill = folder + "/slot-0/cgroup.kill"
    with open(kill, "w", encoding="ascii") as file:
        file.write("untouched")
    t.hand_over(kill)
    second = t.make(config={"exec": {"cgroup": folder}}).start(ready=False)
    eq(second.wait(), 78)
    contains(second.log(), folder + " cannot be used: another daemon")
    with open(kill, encoding="ascii") as file:
        eq(file.read(), "untouched", "the group of the first one's command")
    os.remove(kill)
    gate.release()
    eq(c.ended_job(ident)["state"], "succeeded")
    t.daemons[0].kill()
    second.start()


def real(t, before=None):
    """A group in the kernel's tree with the daemon in it; (its folder, daemon, client)."""
    folder = "%s/%s" % (UNIFIED[0], os.path.basename(t.folder))
    os.mkdir(folder)
    for name in ("", "/cgroup.procs", "/cgroup.subtree_control"):
        os.chown(folder + name, t.uid, t.uid)
    if before:
        before(folder)
    gate = t.fifo("gate")[0]
    writer = os.open(gate, os.O_RDWR)
    d = t.make(config={"exec": {"cgroup": folder}}, wrapper=("/bin/sh", "-c", 'read line < %s; exec "$@"' % gate, "sh"))
    d.start(ready=False)
    with open(folder + "/cgroup.procs", "w", encoding="ascii") as procs:
        procs.write(str(d.pid))
    os.write(writer, b"go\n")
    d.ready()
    os.close(writer)  # not before: what no reader has opened yet would be gone with it
    return folder, d, t.client()


def groups(folder):
    return sorted(name for name in os.listdir(folder) if os.path.isdir(os.path.join(folder, name)))


def members(folder):
    with open(folder + "/cgroup.procs", encoding="ascii") as procs:
        return {int(pid) for pid in procs.read().split()}


def remove(folder):
    for name in groups(folder):
        with open("%s/%s/cgroup.kill" % (folder, name), "w", encoding="ascii") as kill:
            kill.write("1")
    wait_for(lambda: not any(members(os.path.join(folder, name)) for name in groups(folder)), "the groups are empty")
    for name in groups(folder):
        os.rmdir(os.path.join(folder, name))
    os.rmdir(folder)


@options(root=True, missing=MISSING)
def test_real_groups(t):
    """Each command is born in a group of its own, in which its whole tree dies, and which is gone with it."""
    folder, d, c = real(t)
    try:
        that(d.pid in members(folder + "/daemon"), "the daemon is in its own group")
        gate = t.gate()
        ident = c.submit("exec", {"argv": gate.argv(first="trap '' TERM; (setsid sleep 911 &); ")})
        pid = gate.started()
        eq([name for name in groups(folder) if pid in members(os.path.join(folder, name))], ["slot-0"])
        eq(len(members(folder + "/slot-0")), 2, "the escaped one is in it too")
        worker = c.job(ident)["usage"]["worker"]
        that(worker in members(folder + "/daemon"), "its supervisor is not in it")
        c.call("cancel", id=ident, grace=0)
        eq(c.ended_job(ident)["state"], "cancelled")
        eq(groups(folder), ["daemon"])
        jobs = c.wait(*[c.submit("exec", t.sh("grep 0:: /proc/self/cgroup")) for _ in range(20)])
        for job in jobs:
            contains(job["result"]["stdout"], os.path.basename(folder) + "/slot-")
        eq(groups(folder), ["daemon"])
        eq(c.run("exec", t.sh("setsid sleep 912 & kill -9 $PPID; sleep 913"))["error"]["type"], "WorkerDied")
        c.wait(*[c.submit("exec", t.sh("exit 0")) for _ in range(20)])
        eq(groups(folder), ["daemon"], "the group of a supervisor that died is used again, and removed")
        d.stop()
    finally:
        remove(folder)


@options(root=True, missing=MISSING)
def test_real_groups_after_a_crash(t):
    """A start ends what is left in the groups of an earlier life, whatever else it has put off: mark, parent, user."""
    left = []

    def leave(folder):
        os.mkdir(folder + "/slot-9")
        for name in ("", "/cgroup.procs", "/cgroup.kill"):
            os.chown(folder + "/slot-9" + name, t.uid, t.uid)
        left.append(subprocess.Popen(["/bin/sleep", "914"], env={}))
        with open(folder + "/slot-9/cgroup.procs", "w", encoding="ascii") as procs:
            procs.write(str(left[0].pid))
    folder, d, _ = real(t, leave)
    try:
        eq(left[0].wait(within(20)), -9)
        d.stop()
    finally:
        left[0].kill()
        left[0].wait()
        remove(folder)


@options(root=True, missing=MISSING)
def test_real_group_of_a_tree_that_flees(t):
    """A tree whose processes fork twice, into sessions of their own, without end, dies in its group, and only then its job ends."""
    folder, d, c = real(t)
    try:
        flee = t.write("flee", "#!/bin/sh\n(setsid \"$0\" &)\n")
        os.chmod(flee, 0o755)
        gate = t.gate()
        ident = c.submit("exec", {"argv": gate.argv(first="trap '' TERM; ulimit -u 400; for i in 1 2 3 4 5 6; do %s; done; " % flee)})
        gate.started()
        wait_for(lambda: len(members(folder + "/slot-0")) > 1, "some flee")
        c.call("cancel", id=ident, grace=0.1)
        eq(c.ended_job(ident)["state"], "cancelled")
        eq(groups(folder), ["daemon"])
        eq([process.command(pid) for pid in process.owned(t.uid) if "flee" in process.command(pid)], [])
        eq(c.run("exec", {"argv": ["/bin/echo", "on"]})["result"]["stdout"], "on\n")
        d.stop()
    finally:
        remove(folder)
