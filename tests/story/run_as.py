"""
[exec] run_as = owner: a daemon that root has started runs each command as the Unix user who has submitted it.
"""

import os
import pwd
import resource
import shutil

import doors
from harness import Client, contains, eq, error_of, options, process, refused, that, wait_for, within

ANN, BOB = pwd.getpwnam("games"), pwd.getpwnam("nobody")  # any two that every system has, and that are not root
CONFIG = {"listen": {"unix_mode": "0666"}, "exec": {"run_as": "owner"}, "tasks": {"user": "exec"}}
CAPABILITIES = "-all,+setuid,+setgid,+kill,+chown,+sys_ptrace,+dac_read_search"  # as in conf/run-as-owner.conf

MISSING = process.lacks("setuid", "setgid", "kill", "chown", "sys_ptrace", "dac_read_search", "setpcap")


def make(t, config=None, capabilities=CAPABILITIES, **how):
    """A daemon that will run as root, with no more than it needs."""
    t.popen_user = dict
    d = t.make(config=config or CONFIG, wrapper=["setpriv", "--bounding-set", capabilities], **how)
    os.chown(d.folder, 0, 0)
    return d


def serve(t, **how):
    return make(t, **how).start()


def out(c, script, **params):
    job = c.run("exec", {"argv": ["/bin/sh", "-c", script]}, **params)
    eq(job["state"], "succeeded", "%r: %r" % (script, job["error"]))
    return job["result"]["stdout"]


def open_gate(t):
    """For whichever user."""
    gate = t.gate()
    for end in ("up", "go"):
        os.chmod("%s.%s" % (gate.path, end), 0o666)
    return gate


def ids(pid):
    """The uids and gids of a process, each real, effective, saved and of files."""
    words = dict(line.split(":\t", 1) for line in process.read(pid, "status").decode().splitlines() if ":\t" in line)
    return [{int(one) for one in words[name].split()} for name in ("Uid", "Gid")]


@options(root=True, missing=MISSING)
def test_who_it_is(t):
    """A command is its owner in every way: uid, gid, groups, environment, no capability; in all lanes and with limits."""
    serve(t)
    for user in (ANN, BOB):
        c = t.client(uid=user.pw_uid)
        for params in ({}, {"lane": "io"}, {"limits": {"files": 50}}):
            seen = out(c, 'grep -E "^(Uid|Gid|Groups|CapPrm|CapEff|CapInh|CapAmb|NoNewPrivs):" /proc/$$/status; '
                          'echo "$HOME $USER $LOGNAME $SHELL $PATH"', **params).splitlines()
            groups = " ".join(str(one) for one in sorted(os.getgrouplist(user.pw_name, user.pw_gid)))
            eq([" ".join(line.split()) for line in seen],
               ["Uid: " + " ".join([str(user.pw_uid)] * 4), "Gid: " + " ".join([str(user.pw_gid)] * 4), "Groups: " + groups,
                "CapInh: " + "0" * 16, "CapPrm: " + "0" * 16, "CapEff: " + "0" * 16, "CapAmb: " + "0" * 16, "NoNewPrivs: 1",
                "%s %s %s %s /usr/local/bin:/usr/bin:/bin" % (user.pw_dir, user.pw_name, user.pw_name, user.pw_shell)], "%r" % params)
    eq(out(t.client(), "id -u; echo $USER").split(), ["0", "root"], "root is an owner as any other")


@options(root=True, missing=MISSING)
def test_what_it_may(t):
    """It reads, writes, enters and signals what its owner may, and nothing of the daemon's; its output stays the daemon's."""
    d = serve(t)
    c = t.client(uid=ANN.pw_uid)
    folder = t.path("of-ann")
    os.mkdir(folder, 0o700)
    os.chown(folder, ANN.pw_uid, ANN.pw_gid)
    job = c.run("exec", {"argv": ["/bin/sh", "-c", "pwd; echo made > file; echo named > /dev/stdout; echo err > /dev/stderr; "
                                                   "cat /dev/stdin"], "cwd": folder, "stdin": "in"})
    eq((job["error"], job["result"] and job["result"]["stdout"], job["result"] and job["result"]["stderr"]),
       (None, folder + "\nnamed\nin", "err\n"))
    eq((os.stat(folder + "/file").st_uid, os.stat(folder + "/file").st_gid), (ANN.pw_uid, ANN.pw_gid))
    error = error_of(t.client(uid=BOB.pw_uid).run("exec", {"argv": ["/bin/true"], "cwd": folder}), "TaskError")
    contains(error["message"], "cannot enter %s: Permission denied" % folder)
    t.write("private", "#!/bin/sh\n")
    os.chmod(t.path("private"), 0o700)
    error = error_of(c.run("exec", {"argv": [t.path("private")]}), "TaskError")
    contains(error["message"], "cannot run %s: Permission denied" % t.path("private"))
    pids = " ".join(str(pid) for pid in [d.pid, d.spawner()] + [worker["pid"] for worker in d.stats()["workers"]])
    eq(out(c, "for pid in %s $PPID; do kill -0 $pid 2>/dev/null && echo may signal $pid; cat /proc/$pid/environ 2>/dev/null; done; "
              "cat %s/token %s/output/* 2>/dev/null; echo end" % (pids, d.state, d.state)), "end\n")
    output = os.path.join(d.state, "output")
    eq({os.stat(os.path.join(output, name)).st_uid for name in os.listdir(output)}, {0})


TRY = """
import os
for call, args in ((os.setuid, (0,)), (os.setgid, (0,)), (os.setresuid, (-1, 0, -1)), (os.setgroups, ([0],)), (os.setuid, (%d,)),
                   (os.chroot, ("/",))):
    try:
        call(*args)
        print(call.__name__, args)
    except PermissionError:
        pass
print("end")
"""


@options(root=True, missing=MISSING)
def test_no_way_back(t):
    """Neither a set-uid program nor any call makes it root again, or anybody else."""
    serve(t)
    shutil.copy("/usr/bin/id", t.path("whoami"))
    os.chmod(t.path("whoami"), 0o6755)
    t.write("try", TRY % BOB.pw_uid)
    c = t.client(uid=ANN.pw_uid)
    eq(out(c, "%s -u; python3 %s" % (t.path("whoami"), t.path("try"))), "%d\nend\n" % ANN.pw_uid)


@options(root=True, missing=MISSING)
def test_its_tree_is_ended(t):
    """Cancel ends the whole tree of another user, who ignores TERM and leaves group and session; the supervisor lives on."""
    d = serve(t)
    c = t.client(uid=ANN.pw_uid)
    held, reader = t.fifo("held")
    os.chmod(held, 0o666)
    gate = open_gate(t)
    escape = "exec 9> %s; trap '' TERM; (setsid sh -c 'trap \"\" TERM; setsid sleep 942 & sleep 943' &); " % held
    ident = c.submit("exec", {"argv": gate.argv("sleep 941", first=escape)})
    leader = gate.started()
    eq(ids(leader), [{ANN.pw_uid}, {ANN.pw_gid}])
    refused("not_found", t.client(uid=BOB.pw_uid).call, "cancel", id=ident)
    worker = c.job(ident)["usage"]["worker"]
    eq(ids(worker), [{0}, {0}])
    eq(c.call("cancel", id=ident, grace=0.1)["cancelled"], True)
    eq(c.ended_job(ident)["state"], "cancelled")
    process.wait_end_of_pipe(reader, 5)
    that(process.alive(worker), "the supervisor lives on")
    eq(d.ended(), False)


@options(root=True, missing=MISSING)
def test_it_cannot_end_its_supervisor(t):
    """A command signals neither its supervisor nor a command of another user."""
    serve(t, workers=2)
    gate = open_gate(t)
    other = t.client(uid=BOB.pw_uid)
    kept = other.submit("exec", {"argv": gate.argv("echo kept")})
    leader = gate.started()
    eq(out(t.client(uid=ANN.pw_uid), "for pid in $PPID %d; do kill -9 $pid 2> /dev/null && echo $pid; done; echo end" % leader), "end\n")
    gate.release()
    eq(other.ended_job(kept)["result"]["stdout"], "kept\n")


STOPPER = """
import os, signal, sys
print("begun", flush=True)
while True:
    with open("/proc/%s/task/%s/children" % (sys.argv[1], sys.argv[1])) as file:
        for pid in file.read().split():
            try:
                os.kill(int(pid), signal.SIGSTOP)
            except (PermissionError, ProcessLookupError):
                pass
"""


@options(root=True, missing=MISSING)
def test_whoever_stops_its_own(t):
    """A user who stops its own commands, also as they are born, holds them up but no worker: cancel ends each of them."""
    d = serve(t, workers=2)
    c = t.client(uid=ANN.pw_uid)
    wait_for(lambda: len(d.stats()["workers"]) == 2, "both workers are there")
    workers = [worker["pid"] for worker in d.stats()["workers"]]
    gates = [open_gate(t) for _ in workers]
    for gate in gates:  # to learn which of them is free
        c.submit("exec", {"argv": gate.argv()})
    at = {c.job(ident)["usage"]["worker"]: gate for ident, gate in enumerate(gates, 1) if gate.started()}
    stopper = c.submit("exec", {"argv": ["python3", "-c", STOPPER, str(workers[1])]})
    at[workers[0]].release()
    eq(c.call("output", id=stopper, stream="stdout", wait=within(30))["data"], "begun\n")
    at[workers[1]].release()
    c.call("cancel", ids=[1, 2], grace=0)
    c.wait(1, 2)
    for _ in range(40):
        ident = c.submit("exec", {"argv": ["/bin/true"]})
        c.call("cancel", id=ident, grace=0)
        that(c.ended_job(ident)["state"] in ("cancelled", "succeeded"), "it ended")
        ident = c.submit("exec", {"argv": ["/bin/true"]})
        wait_for(lambda: c.job(ident)["state"] != "pending", "it is begun")
        c.call("cancel", id=ident, grace=0)
        that(c.ended_job(ident)["state"] in ("cancelled", "succeeded"), "it ended")
    eq(c.job(stopper)["state"], "running", "%r of %r" % (c.job(stopper), workers))
    c.call("cancel", id=stopper, grace=0)


@options(root=True, missing=MISSING)
def test_after_a_crash(t):
    """Whose a command is holds over a crash: what ran as a user is dead, and the next attempt is the same user's."""
    d = serve(t)
    c = t.client(uid=ANN.pw_uid)
    held, reader = t.fifo("held")
    os.chmod(held, 0o666)
    gate = open_gate(t)
    ident = c.submit("exec", {"argv": gate.argv("id -u", first="exec 9> %s; setsid sleep 944 & " % held)}, max_attempts=2,
                     backoff=0.1)
    gate.started()
    process.kill_at_once([d.pid, d.spawner()] + [worker["pid"] for worker in d.stats()["workers"]])
    d.wait()
    d.start()  # the command and what it left live on: only this start can end them, by environment and leader
    eq(ids(gate.started()), [{ANN.pw_uid}, {ANN.pw_gid}])
    gate.release()
    eq(t.client(uid=ANN.pw_uid).ended_job(ident)["result"]["stdout"], "%d\n" % ANN.pw_uid)
    process.wait_end_of_pipe(reader, 20)


@options(root=True, missing=MISSING)
def test_owners_that_are_no_users(t):
    """Who comes by token is no Unix user: refused, with the reason, and what it had submitted before fails with it."""
    tokens = t.write("tokens", doors.tokens_text(doors.TOKENS))
    os.chmod(tokens, 0o600)
    os.chown(tokens, 0, 0)
    port = t.free_port()
    config = dict(CONFIG, tokens={"file": tokens}, exec={"run_as": "daemon"})
    d = serve(t, config=config, args=["--listen", "127.0.0.1:%d" % port])

    def ann():
        client = t.keep(Client(("127.0.0.1", port)))
        client.call("hello", token="token-of-ann")
        return client
    before = ann().submit("exec", {"argv": ["/bin/true"]}, delay=2)
    d.stop()
    d.configure(dict(config, exec={"run_as": "owner"}))
    d.start()
    c = ann()
    for method in ("submit", "run"):
        contains(refused("forbidden", c.call, method, task="exec", args={"argv": ["/bin/true"]})["message"], "token:ann is none")
    refused("forbidden", c.call, "map", task="exec", items=[{"argv": ["/bin/true"]}])
    eq(c.run("noop", [1])["result"], [1])
    contains(error_of(c.ended_job(before), "TaskError")["message"], "its owner is no Unix user")
    refused("forbidden", t.client().call, "retry", id=before)
    contains(error_of(t.client(uid=20996).run("exec", {"argv": ["/bin/true"]}), "TaskError")["message"],
             "the user with uid 20996, its owner, cannot be looked up")


@options(root=True, missing=MISSING)
def test_users_that_cannot_be_looked_up_now(t):
    """Where the database of users cannot be read for a while, a job waits, and that counts as no attempt; cancel ends it."""
    d = serve(t, workers=1)
    c = t.client(uid=ANN.pw_uid)
    c.run("noop")  # the worker has set its own limits by then, and has looked up nobody
    worker = d.stats()["workers"][0]["pid"]
    usual = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, usual[1]))
    idents = [c.submit("exec", {"argv": ["/usr/bin/id", "-u"]}) for _ in range(2)]
    for ident in idents:
        wait_for(lambda: "job=%d cannot be begun for now" % ident in d.log(), "it was tried")
        wait_for(lambda: [c.job(ident)[name] for name in ("state", "attempt", "started")] == ["pending", 0, None], "it waits")
    eq(c.call("stats")["retried"], 0)
    contains(d.log(), "Too many open files")
    c.call("cancel", id=idents[1])
    eq(c.ended_job(idents[1])["state"], "cancelled")
    resource.prlimit(worker, resource.RLIMIT_NOFILE, usual)
    job = c.ended_job(idents[0])
    eq((job["state"], job["attempt"], job["result"]["stdout"]), ("succeeded", 1, "%d\n" % ANN.pw_uid))


@options(root=True, missing=MISSING)
def test_retry_by_root(t):
    """Whoever has a job done again, it is its owner who runs it."""
    serve(t)
    c = t.client(uid=ANN.pw_uid)
    ident = c.run("exec", {"argv": ["/bin/sh", "-c", "id -u; exit 3"]})["id"]
    again = t.client().call("retry", id=ident)["new"]
    t.client().ended_job(again)
    eq(t.client().call("output", id=again, stream="stdout")["data"], "%d\n" % ANN.pw_uid)


def test_not_without_root(t):
    """A daemon that is not root, and could be nobody else, does not start: 78, with the reason."""
    d = t.make(config={"exec": {"run_as": "owner"}})
    d.start(ready=False)
    eq(d.wait(), 78)
    contains(d.log(), "[exec] run_as = owner needs a daemon that root has started")


@options(root=True, missing=MISSING)
def test_not_with_tasks_that_stay_root(t):
    """Nor one that lets users read files with root's rights, or that lacks what it needs to end a command."""
    d = make(t, config=dict(CONFIG, tasks={"user": "exec file.read"}))
    d.start(ready=False)
    eq(d.wait(), 78)
    contains(d.log(), "[tasks] user: file.read would read with root's rights")
    for name in CAPABILITIES.split(",+")[1:]:
        d = make(t, capabilities=CAPABILITIES.replace(",+" + name, ""))
        d.start(ready=False)
        eq(d.wait(), 78, name)
        contains(d.log(), "[exec] run_as = owner needs the capability CAP_" + name.upper())
