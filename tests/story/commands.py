"""
exec: what a command is given, what is kept of what it says, how it ends and what must not outlive it.
"""

import os
import resource

from harness import eq, error_of, process, refused, that, wait_for, within


def done(c, script, *argv, **more):
    """The result of a script that succeeds."""
    job = c.run("exec", dict(more, argv=["/bin/sh", "-c", script] + list(argv)))
    eq(job["state"], "succeeded", "of %r: %r" % (script, job["error"]))
    return job["result"]


def out(c, script, *argv, **more):
    return done(c, script, *argv, **more)["stdout"]


def test_result(t):
    """A command's result has its status, both streams and their encodings."""
    _, c = t.serve()
    result = done(c, "echo out; echo err >&2")
    eq({name: result[name] for name in ("exit_status", "stdout", "stdout_encoding", "stderr", "stderr_encoding", "truncated")},
       {"exit_status": 0, "stdout": "out\n", "stdout_encoding": "utf-8", "stderr": "err\n", "stderr_encoding": "utf-8",
        "truncated": False})
    result = done(c, ":")
    eq((result["stdout"], result["stderr"], result["truncated"]), ("", "", False))


def test_argv(t):
    """Arguments arrive as they are, also empty and odd ones; argv[0] is found in PATH."""
    _, c = t.serve()
    words = ["", " ", "a b", "é€😀", "$HOME", "*", "--", "-n", "\n", '"', "x" * 100000]
    job = c.run("exec", {"argv": ["printf", "%s|"] + words})
    eq(job["error"], None)
    eq(job["result"]["stdout"][:65000], "".join(word + "|" for word in words)[:65000])
    eq(c.run("exec", [["/bin/echo", "by position"]])["result"]["stdout"], "by position\n")


def test_exit_status(t):
    """A status other than 0 fails the job with ExitStatus, the status and the end of standard error."""
    _, c = t.serve()
    for status in (1, 2, 7, 126, 127, 255):
        job = c.run("exec", t.sh("echo reason >&2; exit %d" % status))
        error = error_of(job, "ExitStatus")
        eq((job["state"], error["exit_status"], error["stderr_tail"]), ("failed", status, "reason\n"))


def test_signal(t):
    """A command ended by a signal fails with Signal and its name."""
    _, c = t.serve()
    for name in ("SEGV", "KILL", "TERM", "ABRT", "PIPE"):
        job = c.run("exec", t.sh("ulimit -c 0; kill -%s $$; sleep 600" % name))
        eq((job["state"], error_of(job, "Signal")["signal"]), ("failed", "SIG" + name))


def test_missing_program(t):
    """A program that is not there, no program or may not be run fails the job with TaskError that says so."""
    _, c = t.serve()
    t.write("plain", "no program")
    for argv, said in ((["/no/such/program"], "No such file"), (["no-such-program-anywhere"], "No such file"),
                       ([t.path("plain")], "Permission denied"), ([t.folder], "Permission denied")):
        job = c.run("exec", {"argv": argv})
        eq(job["state"], "failed")
        error = error_of(job, "TaskError")
        that(said in error["message"], "the message says %r: %r" % (said, error["message"]))
        eq(job["attempt"], 1)


def test_missing_folder(t):
    """A cwd that is not there fails the job, and the command does not run elsewhere."""
    _, c = t.serve()
    job = c.run("exec", t.sh(": > ran", cwd="/no/such/folder"))
    error_of(job, "TaskError")
    eq(c.run("exec", {"argv": ["/bin/pwd"], "cwd": "/usr"})["result"]["stdout"], "/usr\n")


def test_environment(t):
    """The environment is a clean base with what was given over it, and nothing of the daemon's own."""
    _, c = t.serve(env={"FUTURED_SECRET": "secret", "LD_PRELOAD": None})
    lines = out(c, "env", env={"A": "1", "B": "x y=z\n2", "EMPTY": "", "PATH": "/mine:/usr/bin:/bin"})
    that("A=1\n" in lines and "B=x y=z\n2\n" in lines and "EMPTY=\n" in lines, "what was given: %r" % lines)
    that("PATH=/mine:/usr/bin:/bin\n" in lines, "what was given wins over the base")
    base = out(c, "env")
    for absent in ("FUTURED_SECRET", "FUTURED_TEST", "NOTIFY_SOCKET", "LISTEN_", "secret"):
        that(absent not in base, "%s in %r" % (absent, base))
    that("PATH=" in base, "a clean base has a PATH: %r" % base)


def test_cwd_and_umask(t):
    """cwd and umask are as given."""
    _, c = t.serve()
    eq(out(c, "pwd; umask", cwd=t.folder, umask=0o027).split(), [t.folder, "0027"])
    out(c, ": > made", cwd=t.folder, umask=0o077)
    eq(os.stat(t.path("made")).st_mode & 0o777, 0o600)


def test_stdin(t):
    """stdin is as given, text or base64, and else empty; a command may leave it unread."""
    _, c = t.serve()
    eq(out(c, "cat", stdin="text é\nno end"), "text é\nno end")
    eq(out(c, "od -An -tx1 | tr -d ' \\n'", stdin="AP/+gAo=", stdin_encoding="base64"), "00fffe800a")
    eq(out(c, "cat; echo end"), "end\n")
    eq(out(c, "cat; echo end", stdin=""), "end\n")
    eq(out(c, "wc -c", stdin="x" * 3000000).strip(), "3000000")
    eq(out(c, "exec 0<&-; echo left", stdin="x" * 3000000), "left\n")
    eq(out(c, "head -c 5", stdin="y" * 1000000), "yyyyy")


def test_binary_output(t):
    """What is not UTF-8, or holds a NUL, comes as base64; what is, comes as text."""
    _, c = t.serve()
    result = done(c, "printf 'a\\377b'; printf 'fine \\303\\251' >&2")
    eq((result["stdout"], result["stdout_encoding"]), ("Yf9i", "base64"))
    eq((result["stderr"], result["stderr_encoding"]), ("fine é", "utf-8"))
    result = done(c, "printf 'a\\000b'")
    eq((result["stdout"], result["stdout_encoding"]), ("YQBi", "base64"))
    result = done(c, "printf '\\001\\033[1m\"\\\\'")
    eq((result["stdout"], result["stdout_encoding"]), ("\x01\x1b[1m\"\\", "utf-8"))


def test_truncated(t):
    """The result has the first 64 KiB of each stream and says what was cut; output has the rest."""
    _, c = t.serve()
    job = c.run("exec", t.sh("head -c 65536 /dev/zero | tr '\\0' a"))
    eq((len(job["result"]["stdout"]), job["result"]["truncated"]), (65536, False))
    job = c.run("exec", t.sh("head -c 65537 /dev/zero | tr '\\0' a; head -c 100000 /dev/zero | tr '\\0' b >&2"))
    eq((job["result"]["stdout"], job["result"]["stderr"], job["result"]["truncated"]), ("a" * 65536, "b" * 65536, True))
    data, offset = "", 0
    while True:
        piece = c.call("output", id=job["id"], stream="stderr", offset=offset)
        data += piece["data"]
        offset = piece["next"]
        if piece["eof"]:
            break
    eq(data, "b" * 100000)


def test_truncated_within_a_character(t):
    """A cut at 64 KiB does not turn text into base64."""
    _, c = t.serve()
    result = done(c, "printf a; yes é | head -n 40000 | tr -d '\\n'")
    eq((result["stdout_encoding"], result["truncated"]), ("utf-8", True))
    that(65530 <= len(result["stdout"].encode()) <= 65536, "about 64 KiB: %d" % len(result["stdout"].encode()))
    eq(result["stdout"][:5], "aéééé")


def test_stderr_tail(t):
    """stderr_tail is the last 4 KiB, whatever came before."""
    _, c = t.serve()
    job = c.run("exec", t.sh("seq 1 100000 >&2; exit 1"))
    tail = error_of(job, "ExitStatus")["stderr_tail"]
    that(tail.endswith("99999\n100000\n") and 4000 <= len(tail) <= 4096, "the last 4 KiB: %d" % len(tail))


def test_huge_output(t):
    """Output beyond [exec] max_output is dropped, and the command does not block on it."""
    d, c = t.serve(config={"exec": {"max_output": "1048576"}})
    job = c.run("exec", t.sh("head -c 50000000 /dev/zero | tr '\\0' z; echo end >&2"))
    eq((job["state"], job["result"]["truncated"], job["result"]["stderr"]), ("succeeded", True, "end\n"))
    that(sum(os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(d.state) for name in names) < 20 << 20,
         "the state folder stays small")
    piece = c.call("output", id=job["id"], stream="stdout", offset=1048576 - 10)
    eq((piece["data"], piece["eof"]), ("z" * 10, True))


def test_descriptors(t):
    """A command has its three streams, one to tell its progress on, and no other descriptor."""
    _, c = t.serve()
    lines = out(c, "ls -l /proc/self/fd").splitlines()
    names = sorted(line.split(" -> ")[0].split()[-1] for line in lines if " -> " in line)
    eq(names, ["0", "1", "2", "3", "4"], "and 4 is what ls reads: %r" % lines)
    that([line for line in lines if " 3 -> pipe:" in line] and [line for line in lines if " 4 -> /proc/" in line], "%r" % lines)


def test_signals_are_reset(t):
    """A command starts with no signal blocked or ignored, in a group of its own, and without new privileges."""
    _, c = t.serve()
    status = dict(line.split(":\t", 1) for line in out(c, "cat /proc/self/status").splitlines() if ":\t" in line)
    eq(int(status["SigBlk"], 16), 0, "SigBlk")
    eq(int(status["SigIgn"], 16), 0, "SigIgn")
    eq(status["NoNewPrivs"], "1")
    eq(int(status["Uid"].split()[0]), t.uid)


def test_limits_are_restored(t):
    """The daemon raises its limit of descriptors; a command has the one the daemon was started with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(soft, 700)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    d, c = t.serve()
    eq(int(out(c, "ulimit -Sn")), wanted)
    if hard > wanted:
        limits = process.read(d.pid, "limits").decode()
        line = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()
        eq(line[3], line[4], "the daemon's soft limit is the hard one")


def test_no_terminal(t):
    """A command has no controlling terminal and its own session."""
    _, c = t.serve()
    eq(done(c, "(: > /dev/tty) 2>/dev/null && echo tty; echo end")["stdout"], "end\n")
    words = out(c, "cat /proc/self/stat; cat /proc/$$/stat").splitlines()[1].rsplit(")", 1)[1].split()
    eq(words[4], "0", "no controlling terminal")


def test_first_output_while_it_runs(t):
    """The first output is seen while the command still runs."""
    _, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv("echo last", first="echo first; ")})
    piece = c.call("output", id=ident, stream="stdout", wait=within(30))
    eq((piece["data"], piece["encoding"], piece["offset"], piece["next"], piece["eof"]), ("first\n", "utf-8", 0, 6, False))
    gate.started()
    eq(c.job(ident)["state"], "running")
    gate.release()
    eq(c.ended_job(ident)["result"]["stdout"], "first\nlast\n")


def test_what_a_command_leaves(t):
    """A command ends with its first process; what that left behind is dead before the job has ended."""
    _, c = t.serve()
    held, reader = t.fifo("held")
    job = c.run("exec", t.sh("exec 9> %s; (setsid sleep 977 &); (setsid sh -c 'setsid sleep 976 & setsid sleep 975 & "
                             "(trap \"\" TERM; while :; do sleep 0.05; done) & wait' &); sleep 974 & echo begun" % held))
    left = [process.command(pid) for pid in process.marked(t.mark) if "sleep 97" in process.command(pid)]
    eq(left, [], "what lives when the job has ended")
    eq((job["state"], job["result"]["stdout"]), ("succeeded", "begun\n"))
    process.wait_end_of_pipe(reader, 5)


def test_a_held_pipe(t):
    """A process that left the tree's group and holds the output open does not hold the job."""
    _, c = t.serve()
    job = c.run("exec", t.sh("setsid sleep 971 & echo done"))
    eq((job["state"], job["result"]["stdout"]), ("succeeded", "done\n"))
    eq([pid for pid in process.marked(t.mark) if "sleep 971" in process.command(pid)], [])


def test_a_forking_tree(t):
    """A tree that forks on as it is ended is ended all the same."""
    _, c = t.serve()
    job = c.run("exec", t.sh('i=0; while [ $i -lt 60 ]; do (setsid sh -c "(setsid sleep 961 &) ; sleep 962" &) ; i=$((i+1)); '
                             'done; exit 3'))
    eq(error_of(job, "ExitStatus")["exit_status"], 3)
    eq([pid for pid in process.marked(t.mark) if "sleep 96" in process.command(pid)], [])


def test_two_side_by_side(t):
    """Two commands run at once on two workers, and a third waits."""
    _, c = t.serve(workers=2)
    gates = [t.gate() for _ in range(3)]
    ids = [c.submit("exec", {"argv": gate.argv()}) for gate in gates]
    gates[0].started()
    gates[1].started()
    eq([c.job(ident)["state"] for ident in ids], ["running", "running", "pending"])
    eq(gates[2].waiting(), True)
    gates[0].release()
    gates[2].started()
    gates[1].release()
    gates[2].release()
    eq([job["state"] for job in c.wait(*ids)], ["succeeded"] * 3)


def test_on_the_io_lane(t):
    """Commands on the io lane run side by side, more than there are cores, up to [io] processes."""
    _, c = t.serve(workers=1, config={"io": {"processes": "6"}})
    gates = [t.gate() for _ in range(7)]
    ids = [c.submit("exec", {"argv": gate.argv()}, lane="io") for gate in gates]
    for gate in gates[:6]:
        gate.started()
    eq([job["state"] for job in c.call("status", ids=ids)], ["running"] * 6 + ["pending"])
    eq(c.job(ids[0])["lane"], "io")
    eq(c.run("math.factorize", [15])["result"], [3, 5], "the cpu lane is free")
    gates[0].release()
    gates[6].started()
    for gate in gates[1:]:
        gate.release()
    eq([job["state"] for job in c.wait(*ids)], ["succeeded"] * 7)


def test_only_exec_may_choose(t):
    """exec alone may be sent to another lane than its own."""
    _, c = t.serve()
    for task, lane in (("noop", "io"), ("time.sleep", "cpu"), ("math.factorize", "io")):
        refused("bad_params", c.call, "submit", task=task, lane=lane, args=[1])
    eq(c.run("noop", lane="cpu")["lane"], "cpu")
    eq(c.run("exec", {"argv": ["/bin/true"]}, lane="cpu")["lane"], "cpu")


def test_fifty_sleeps_and_two_commands(t):
    """50 sleeps of half a second and two commands run side by side: all run at the same moment."""
    _, c = t.serve(workers=2)
    gates = [t.gate(), t.gate()]
    seconds = within(2)
    told = c.call("map", task="time.sleep", items=[[seconds]] * 50)
    commands = [c.submit("exec", {"argv": gate.argv()}) for gate in gates]
    for gate in gates:
        gate.started()
    ids = ["%d-%d" % (told["first"], told["first"] + 49)]
    wait_for(lambda: {job["state"] for job in c.call("status", ids=ids, fields=["state"])} != {"pending"}, "they sleep")
    for gate in gates:
        gate.release()
    jobs = c.wait(*commands) + c.wait(*range(told["first"], told["first"] + 50))
    that(max(job["started"] for job in jobs) < min(job["finished"] for job in jobs[2:]),
         "the last started before the first sleep was over")
    eq({job["state"] for job in jobs}, {"succeeded"})
    eq({job["result"] for job in jobs[2:]}, {seconds})


def test_fast_commands(t):
    """Three hundred short commands all run, once each."""
    _, c = t.serve()
    told = c.call("map", task="exec", items=[{"argv": ["/bin/sh", "-c", "echo $0 >> %s; echo $0" % t.path("all"), str(i)]}
                                             for i in range(300)])
    jobs = c.wait(*range(told["first"], told["first"] + 300))
    eq([job["result"] and job["result"]["stdout"] for job in jobs], ["%d\n" % i for i in range(300)])
    eq(sorted(int(line) for line in t.read("all").split()), list(range(300)))


def test_usage(t):
    """usage tells the time and memory of the whole tree."""
    _, c = t.serve()
    job = c.run("exec", t.sh("i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done; exit 0"))
    that(job["usage"]["user_s"] > 0.005 and job["usage"]["max_rss_kib"] > 300, "usage: %r" % job["usage"])


def test_kill_the_worker_from_within(t):
    """A command that kills its own supervisor fails that job alone, with WorkerDied, and dies with it."""
    _, c = t.serve(workers=2)
    gate = t.gate()
    other = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    job = c.run("exec", t.sh("setsid sleep 951 & kill -9 $PPID; sleep 952"))
    eq(job["state"], "failed")
    error_of(job, "WorkerDied")
    eq([pid for pid in process.marked(t.mark) if "sleep 95" in process.command(pid)], [])
    eq(c.run("exec", {"argv": ["/bin/echo", "on"]})["result"]["stdout"], "on\n")
    eq(c.job(other)["state"], "running")
    gate.release()
    eq(c.ended_job(other)["state"], "succeeded")
