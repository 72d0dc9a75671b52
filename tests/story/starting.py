"""
Start and stop: options, configuration, the store's locks, and what SIGTERM means.
"""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess

from harness import Closed, contains, eq, error_of, options, process, refused, that, wait_for, within


def futured(t, *args, env=None):
    """Runs the daemon's program to its end; (status, stdout, stderr)."""
    done = subprocess.run([t.settings.futured] + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=t.environment(env), timeout=within(60), text=True)
    return done.returncode, done.stdout, done.stderr


def test_usage(t):
    """A wrong option ends with 64 and says which; --help and --version end with 0."""
    for args in (["--no-such-option"], ["stray"], ["--cpu-workers"], ["--cpu-workers", "many"], ["--cpu-workers", "0"],
                 ["--io-threads", "-1"], ["--config"], ["--listen", "nowhere"]):
        status, _, said = futured(t, *args)
        eq(status, 64, "%r: %r" % (args, said))
        that(said.strip(), "it says why")
    status, said, _ = futured(t, "--help")
    eq(status, 0)
    for option in ("--config", "--state-dir", "--socket", "--listen", "--cpu-workers", "--io-threads", "--check-config"):
        contains(said, option)
    status, said, _ = futured(t, "--version")
    eq(status, 0)
    that("futured" in said, "%r" % said)


def test_check_config(t):
    """--check-config says nothing of a good file and ends with 0, and does not start a daemon."""
    good = t.write("good", "# a comment\n[daemon]\ndrain = 10\ngrace = 0.5\n\n[cpu]\nworkers = 3\n; another\n[store]\n"
                           "synchronous = normal\n[retention]\nfinished = 3600\n")
    status, _, said = futured(t, "--config", good, "--check-config")
    eq(status, 0, said)
    eq(os.path.exists(t.path("futured")), False, "no state folder was made")
    for text, part in (("[tls]\ncertificate = %s\nkey = %s\n" % (good, good), good),
                       ("[tls]\ncertificate = /none/c\nkey = /none/k\n", "[tls] certificate: /none/c: No such file"),
                       ("[tokens]\nfile = /none/t\n", "/none/t")):
        status, _, said = futured(t, "--config", t.write("bad", text), "--check-config")
        eq(status, 78, "%r: %r" % (text, said))
        contains(said, part)


def test_configuration_errors(t):
    """An unknown key, section or value is 78 with file and line, with --check-config and without."""
    for text, line, part in (("[daemon]\ndrian = 5\n", 2, "drian"), ("[demon]\ndrain = 5\n", 2, "demon"),
                             ("[daemon]\n\n# x\ndrain = soon\n", 4, "soon"), ("[cpu]\nworkers = 0\n", 2, "workers"),
                             ("[cpu]\nworkers = -1\n", 2, "workers"), ("[cpu]\nworkers = 99999999999999999999\n", 2, "workers"),
                             ("[store]\nsynchronous = maybe\n", 2, "maybe"), ("[daemon]\ndrain\n", 2, ""),
                             ("[daemon\ndrain = 1\n", 1, ""), ("drain = 1\n", 1, "drain"), ("[log]\nlevel = loud\n", 2, "loud"),
                             ("[limits]\nmessage = 1x\n", 2, "message"), ("[listen]\nunix_mode = 999\n", 2, "unix_mode"),
                             ("[listen]\ntcp = nowhere\n", 2, "tcp"), ("[http]\nlocal = perhaps\n", 2, "local"),
                             ("[daemon]\ndrain = 1\n[cpu]\nworkers = 1\nspeed = 2\n", 5, "speed")):
        path = t.write("bad", text)
        for args in (["--check-config"], ["--state-dir", t.path("state"), "--socket", t.path("s")]):
            status, _, said = futured(t, "--config", path, *args)
            eq(status, 78, "%r: %r" % (text, said))
            contains(said, "%s:%d" % (path, line), repr(text))
            contains(said, part)
    eq(os.path.exists(t.path("state")), False, "nothing was made")


def test_no_configuration_file(t):
    """A file that is named and not there, or cannot be read, is 78."""
    closed = t.write("closed", "")
    os.chmod(closed, 0)
    for path in (t.path("none"), closed, t.folder):
        status, _, said = futured(t, "--config", path, "--check-config")
        eq(status, 78, said)
        contains(said, path)


def test_options_win(t):
    """An option wins over the file."""
    d = t.daemon(config={"cpu": {"workers": "1"}, "listen": {"unix": "/nowhere/s"}}, workers=3)
    c = t.client()
    wait_for(lambda: len([w for w in c.call("stats")["workers"] if w["lane"] == "cpu"]) == 3, "the option's three workers")
    that(os.path.exists(d.socket), "the socket of the option")


def test_places_of_a_user(t):
    """Started by a user without options the state is in XDG_STATE_HOME and the socket in XDG_RUNTIME_DIR."""
    os.mkdir(t.path("st"))
    os.mkdir(t.path("rt"))
    d = t.make(env={"XDG_STATE_HOME": t.path("st"), "XDG_RUNTIME_DIR": t.path("rt")}, workers=None, threads=None)
    d.args, d.socket = [], t.path("rt/futured.sock")
    d.start()
    that(os.path.isdir(t.path("st/futured")), "the state folder")
    eq(t.ctl("run", "noop", "1", env={"XDG_RUNTIME_DIR": t.path("rt")}, socket_option=False, status=0).out, "[1]\n")
    d.stop()
    eq(os.path.exists(d.socket), False, "the socket is gone with the daemon")


def on_the_state_of(t, d, name):
    """Another daemon, which is not started."""
    other = t.make(name=name)
    other.args[other.args.index("--state-dir") + 1] = d.state
    return other


def test_two_daemons(t):
    """A second daemon on the same store ends with 75 and does not disturb the first."""
    d, c = t.serve()
    second = on_the_state_of(t, d, "second")
    second.start(ready=False)
    eq(second.wait(), 75)
    that(second.log().strip(), "it says why")
    eq(c.run("noop", [1])["result"], [1])
    same = on_the_state_of(t, d, "same")
    same.args[same.args.index("--socket") + 1] = d.socket
    same.start(ready=False)
    eq(same.wait(), 75)
    eq(t.client().call("ping"), "pong", "the first daemon's socket is still its own")


def test_two_daemons_without_the_locks(t):
    """Somebody has deleted the files of the locks: a second daemon ends with 75 all the same, and the first one's jobs live."""
    d, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    for name in ("daemon.lock", "tree.lock", "leaders"):
        os.unlink(os.path.join(d.state, name))
    second = on_the_state_of(t, d, "second")
    second.start(ready=False)
    eq(second.wait(), 75, second.log())
    gate.release()
    eq(c.ended_job(ident)["state"], "succeeded")


def test_a_stale_socket(t):
    """A socket left by a killed daemon is replaced; one where another listens, or a file, is not taken away."""
    d, c = t.serve()
    d.kill()
    that(os.path.exists(d.socket), "kill -9 leaves the socket")
    d.start()
    other = t.make(name="other")
    other.args[other.args.index("--socket") + 1] = d.socket
    other.start(ready=False)
    that(other.wait() != 0, "another daemon with another store does not take the socket")
    eq(t.client().call("ping"), "pong")
    third = t.make(name="third")
    third.args[third.args.index("--socket") + 1] = t.write("precious", "data")
    third.start(ready=False)
    that(third.wait() != 0, "a file is in the way")
    eq(t.read("precious"), b"data")


def database(d):
    return next(os.path.join(place, name) for place, _, names in os.walk(d.state) for name in names
                if open(os.path.join(place, name), "rb").read(15) == b"SQLite format 3")


def test_places_that_cannot_be(t):
    """An empty path, a folder for a file, a file for a socket, and next to no descriptors: a status and a word for each."""
    state, socket = t.path("state"), t.path("s")
    for arguments, wanted, says in ((("--state-dir", ""), 64, "--state-dir: the path is empty"),
                                    (("--socket=",), 64, "--socket: the path is empty"),
                                    (("--config", t.folder), 78, "%s: Is a directory" % t.folder),
                                    (("--socket", t.write("a-file", "text")), 78, "cannot listen on %s: File exists" % t.path("a-file"))):
        status, _, said = futured(t, "--state-dir", state, "--socket", socket, *arguments)
        eq(status, wanted, said)
        contains(said, says)
    done = subprocess.run(["/bin/sh", "-c", 'ulimit -n 30; exec "$@"', "sh", t.settings.futured, "--state-dir", state, "--socket", socket],
                          stdin=subprocess.DEVNULL, capture_output=True, env=t.environment(), text=True, check=False, timeout=within(60))
    eq(done.returncode, 78, done.stderr)
    contains(done.stderr, "no more than 30 descriptors may be open here")


def test_a_task_that_is_not_there(t):
    """[tasks] user names no task: the start and --check-config say which."""
    for more in ((), ("--check-config",)):
        status, _, said = futured(t, "--config", t.write("conf", "[tasks]\nuser = exec, exce\n"), "--state-dir", t.path("state"), *more)
        eq(status, 78, said)
        contains(said, '[tasks] user: there is no task "exce"')


def test_a_corrupt_store(t):
    """A store that is no database, or a damaged one, is 65, and nothing is touched."""
    d, c = t.serve()
    c.call("map", task="noop", items=[["x" * 100]] * 500)
    c.call("await", ids=["1-500"], wait=within(30), jobs=False)
    d.stop()
    path = database(d)
    with open(path, "rb") as file:
        good = file.read()
    for bad in (b"not a database, but long enough to look like one" * 200, good[:100] + b"\xa5" * (len(good) - 100), good[:3000]):
        with open(path, "wb") as file:
            file.write(bad)
        d.start(ready=False)
        eq(d.wait(), 65, d.log()[-500:])
        with open(path, "rb") as file:
            eq(file.read() == bad, True, "nothing was touched")
    with open(path, "wb") as file:
        file.write(good)
    d.start()
    eq(t.client().call("await", ids=["1-500"], jobs=False)["counts"]["succeeded"], 500)


def test_a_log_that_was_taken_away_or_damaged(t):
    """After kill -9: without the store's log, or with one that is damaged in its midst, it is 65, and the message's way to go on works."""
    d, c = t.serve()
    for i in range(20):
        c.run("noop", [i])
    d.signal(signal.SIGKILL)
    d.wait()
    log = database(d) + "-wal"
    with open(log, "rb") as file:
        good = file.read()
    os.unlink(log)
    d.start(ready=False)
    eq(d.wait(), 65, d.log()[-500:])
    that(("its log, %s, is gone" % log) in d.log(), d.log())
    t.write(log, good)
    with open(log, "r+b") as file:
        file.seek(len(good) // 2)
        file.write(bytes(255 - byte for byte in good[len(good) // 2:len(good) // 2 + 100]))
    d.start(ready=False)
    eq(d.wait(), 65, d.log()[-500:])
    told = re.search(r"truncate -s (\d+) (\S+)\)", d.log())
    eq(told[2], log)
    os.truncate(told[2], int(told[1]))
    d.start()
    that(0 < t.client().call("await", ids=["1-1"], jobs=False)["counts"]["succeeded"], "what stood before is there")


def test_a_task_of_another_kind(t):
    """A job that an older daemon has put where its task does not run now, or a turned bit has, fails; the daemon does not."""
    d, c = t.serve()
    tasks = {"noop": [1], "file.read": ["/dev/null"], "noop.io": [1], "time.sleep": [0.01], "exec": {"argv": ["/bin/true"]}}
    ids = {(pool, task): c.submit(task, args, queue="%d %s" % (pool, task), delay=3600) for pool in range(4) for task, args in tasks.items()}
    d.stop()
    with contextlib.closing(sqlite3.connect(database(d))) as db, db:
        db.execute("UPDATE delayed SET run_at = 0")
        for pool in range(4):
            db.execute("UPDATE line SET pool = ? WHERE queue IN (SELECT id FROM name WHERE text LIKE ?)", (pool, "%d %%" % pool))
    d.start()
    c = t.client()
    fits = {(0, "noop"), (0, "exec"), (1, "file.read"), (2, "noop.io"), (2, "time.sleep"), (3, "exec")}
    for (pool, task), job in zip(ids, c.wait(*ids.values())):
        eq(job["state"], "succeeded" if (pool, task) in fits else "failed", "%s in pool %d" % (task, pool))
        if job["state"] == "failed":
            contains(error_of(job, "TaskError")["message"], task)


def test_a_newer_store(t):
    """A store of a later version is 65, and nothing is touched."""
    d, c = t.serve()
    c.run("noop")
    d.stop()
    path = database(d)
    with open(path, "r+b") as file:
        file.seek(60)  # the version of the program's tables, in SQLite's file format
        file.write((999).to_bytes(4, "big"))
    with open(path, "rb") as file:
        before = file.read()
    d.start(ready=False)
    eq(d.wait(), 65, d.log()[-500:])
    with open(path, "rb") as file:
        eq(file.read() == before, True, "nothing was touched")


def test_a_state_that_cannot_be(t):
    """A state folder that cannot be made or written is told, and the daemon does not start."""
    blocked = t.write("blocked", "a file")
    d = t.make()
    d.args[d.args.index("--state-dir") + 1] = os.path.join(blocked, "state")
    d.start(ready=False)
    that(d.wait() in (73, 74, 78), "status %d" % d.status)
    contains(d.log(), "blocked")


@options(root=True)
def test_a_state_that_others_have_made(t):
    """A state folder or a token of another's, or that others may write, is refused: whoever made it could be operator."""
    d = t.make()
    os.makedirs(d.state)
    token = os.path.join(d.state, "token")
    with open(token, "w", encoding="utf-8") as file:
        file.write("0" * 64 + "\n")

    def refused(what):
        before = len(d.log()) if os.path.exists(d.logfile) else 0
        d.start(ready=False)
        eq(d.wait(), 78, "the exit status: " + d.log())
        contains(d.log()[before:], what)

    me = t.uid
    for path in (d.state, token):
        os.chown(path, me, me)
    os.chmod(token, 0o600)
    for owner, mode, what in ((me + 1, 0o755, "belongs to uid %d" % (me + 1)), (me, 0o777, "may be written by others (mode 777)"),
                              (me, 0o770, "mode 770")):
        os.chown(d.state, owner, owner)
        os.chmod(d.state, mode)
        refused(what)
    os.chmod(d.state, 0o750)
    for owner, mode in ((me + 1, 0o644), (me, 0o666)):
        os.chown(token, owner, owner)
        os.chmod(token, mode)
        refused("token cannot be used: it is another's, or others may write it")
    os.unlink(token)
    d.start()
    eq(t.client().call("ping"), "pong")


def test_sigterm_idle(t):
    """SIGTERM of an idle daemon ends it with 0; its socket is gone and so is every process."""
    d, c = t.serve()
    c.run("exec", {"argv": ["/bin/true"]})
    below = d.tree()
    d.stop()
    eq(os.path.exists(d.socket), False)
    for pid in below:
        that(not process.alive(pid), "%d lives" % pid)


def test_asked_again_and_again(t):
    """A daemon that ends is asked to all the while: it comes to its end all the same, with 0 and with nothing left."""
    d, c = t.serve(workers=2)
    c.submit("time.sleep", [600])
    below = d.tree()
    while not d.ended():
        d.signal(signal.SIGTERM)
    eq(d.wait(), 0)
    for pid in below:
        process.wait_gone(pid, "a process of the daemon")


def test_sigint(t):
    """SIGINT is as good as SIGTERM."""
    d, _ = t.serve()
    d.signal(signal.SIGINT)
    eq(d.wait(), 0)


def test_sigterm_waits_for_the_running(t):
    """After SIGTERM nothing is accepted, what runs is waited for, what waits stays, and the exit status is 0."""
    d, c = t.serve(workers=1, config={"daemon": {"drain": "60"}})
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv("echo finished")})
    gate.started()
    queued = c.submit("noop", ["queued"])
    other = t.client()
    eq(other.call("ping"), "pong")
    d.signal(signal.SIGTERM)

    def refusing():
        try:
            other.call("submit", task="noop", delay=3600)
        except Exception as refusal:
            eq(getattr(refusal, "word", None), "shutting_down")
            return True
        return False
    wait_for(refusing, "submissions are refused")
    eq(d.ended(), False, "it waits for what runs")
    eq(other.job(ident)["state"], "running")
    gate.release()
    eq(d.wait(), 0)
    d.start()
    c = t.client()
    eq((c.job(ident)["state"], c.job(ident)["result"]["stdout"]), ("succeeded", "finished\n"))
    eq(c.ended_job(queued)["result"], ["queued"])


def test_sigterm_does_not_wait_for_ever(t):
    """What runs longer than [daemon] drain is treated as after a crash, and the exit status is 0."""
    d, c = t.serve(workers=2, config={"daemon": {"drain": "0.3"}})
    gate = t.gate()
    once = c.submit("exec", {"argv": gate.argv()})
    pid = gate.started()
    sleep = c.submit("time.sleep", [0.4], backoff=0.01)
    pure = c.submit("math.factorize", [9223372036854775783], backoff=0.01)
    wait_for(lambda: c.job(pure)["state"] == "running", "it computes")
    d.stop()
    eq(process.alive(pid), False)
    d.start()
    c = t.client()
    error_of(c.ended_job(once), "Lost")
    eq(c.ended_job(sleep)["state"], "succeeded")
    wait_for(lambda: c.job(pure)["attempt"] == 2, "the pure one starts again")
    c.call("cancel", id=pure, grace=0)
    eq(c.ended_job(pure)["state"], "cancelled")


def test_sigterm_under_load(t):
    """SIGTERM in the midst of 50,000 jobs loses none (of 5,000 with sanitizers)."""
    d, c = t.serve()
    count = 5000 if t.settings.sanitized else 50000
    c.call("map", task="noop", items=[[i] for i in range(count)])
    d.stop()
    d.start()
    told = t.client().call("await", ids=["1-%d" % count], jobs=False, wait=within(80))
    eq((told["timed_out"], told["counts"]["succeeded"]), (False, count))


def test_awaits_end_at_sigterm(t):
    """Who waits for a job that does not end before the daemon is told or cut off, never given a false end."""
    d, c = t.serve()
    ident = c.submit("noop", delay=3600)
    asked = c.send("await", id=ident)
    t.client().call("ping")
    d.stop()
    try:
        reply = c.reply(asked)
    except Closed:
        return
    that(reply.get("error", {}).get("data", {}).get("code") == "shutting_down", "%r" % reply)


def test_log(t):
    """The log is lines on standard error; what a user sent is escaped in it."""
    d, c = t.serve(config={"log": {"level": "debug"}})
    c.run("noop", label="a\nforged line\x1b[31m")
    refused("no_such_task", c.call, "submit", task="x\nforged line\x1b[31m")
    d.stop()
    log = d.log()
    that(log.strip(), "there is a log")
    that("\x1b" not in log and not any(line.startswith("forged") for line in log.splitlines()), "escaped: %r" % log[-2000:])
