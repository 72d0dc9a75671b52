"""
futurectl run: a task's result as JSON, a command as if it ran here.
"""

import os
import signal
import socket
import subprocess

from harness import contains, eq, options, process, that, wait_for, within


def test_run_a_task(t):
    """futurectl run math.factorize 600851475143 prints [71,839,1471,6857]."""
    t.daemon()
    done = t.ctl("run", "math.factorize", "600851475143", status=0)
    eq((done.out, done.err), ("[71,839,1471,6857]\n", ""))


def test_run_a_command(t):
    """futurectl run -- sh -c 'echo hi; exit 7' prints hi and exits with 7."""
    t.daemon()
    eq(t.ctl("run", "--", "sh", "-c", "echo hi; exit 7", status=7).out, "hi\n")


def test_exit_statuses(t):
    """run -- COMMAND ends as the command did: its status, 128+n for a signal, 126 and 127 where it cannot run."""
    t.daemon()
    plain = t.write("plain", "no program")
    for argv, status in ((["true"], 0), (["false"], 1), (["sh", "-c", "exit 255"], 255), (["sh", "-c", "kill -TERM $$"], 143),
                         (["sh", "-c", "kill -KILL $$"], 137), (["no-such-program-here"], 127), (["/no/such/program"], 127),
                         ([plain], 126), ([t.folder], 126)):
        done = t.ctl("run", "--", *argv, status=status)
        if status in (126, 127):
            contains(done.err, argv[0])


def test_streams(t):
    """A command's two streams come out on the same two streams, byte by byte."""
    t.daemon()
    done = t.ctl("run", "--", "sh", "-c", "echo out; echo err >&2; printf 'no end'", status=0)
    eq((done.out, done.err), ("out\nno end", "err\n"))
    data = bytes(range(256)) * 1000
    path = t.write("bytes", data)
    child = t.ctl_start("run", "--", "cat", path)
    out, err = child.communicate(timeout=within(60))
    eq((out == data, err, child.returncode), (True, b"", 0))


def test_much_output(t):
    """Five million bytes of output come whole, in order."""
    t.daemon()
    child = t.ctl_start("run", "--", "seq", "1", "700000")
    out, err = child.communicate(timeout=within(80))
    eq(out == b"".join(b"%d\n" % i for i in range(1, 700001)), True)
    eq(child.returncode, 0)


def test_standard_input(t):
    """Standard input is read to its end and given to the command; -n leaves it alone."""
    t.daemon()
    eq(t.ctl("run", "--", "cat", stdin=b"one\ntwo", status=0).out, "one\ntwo")
    child = t.ctl_start("run", "--", "od", "-An", "-tx1", stdin=subprocess.PIPE)
    out, _ = child.communicate(b"\x00\xff\n", timeout=within(60))
    eq(out.split(), [b"00", b"ff", b"0a"])
    big = b"x" * 3000000
    eq(t.ctl("run", "--", "wc", "-c", stdin=big, status=0).out.strip(), "3000000")
    eq(t.ctl("run", "-n", "--", "cat", stdin=b"not read", status=0).out, "")
    reader, writer = os.pipe()
    child = t.ctl_start("run", "-n", "--", "echo", "done", stdin=reader)
    eq(t.finish_ctl(child, status=0).out, "done\n", "-n does not wait for the end of standard input")
    os.close(reader)
    os.close(writer)


def test_where_it_runs(t):
    """A command is sent with the caller's folder, umask and environment; --no-env leaves the environment out."""
    t.daemon()
    os.mkdir(t.path("here"))
    os.mkdir(t.path("here/bin"))
    own = t.write("here/bin/own-program", "#!/bin/sh\necho mine\n")
    os.chmod(own, 0o755)
    script = "pwd; umask; echo \"$GIVEN\""
    done = t.ctl("run", "--", "sh", "-c", script, cwd=t.path("here"), umask=0o027, env={"GIVEN": "a b\nc"}, status=0)
    eq(done.out.split("\n"), [t.path("here"), "0027", "a b", "c", ""])
    eq(t.ctl("run", "--no-env", "--", "sh", "-c", "echo \"[$GIVEN]\"", env={"GIVEN": "x"}, status=0).out, "[]\n")
    eq(t.ctl("run", "--", "own-program", env={"PATH": t.path("here/bin") + ":/usr/bin:/bin"}, status=0).out, "mine\n")
    eq(t.ctl("run", "--", "./bin/own-program", cwd=t.path("here"), status=0).out, "mine\n")


def test_output_as_it_comes(t):
    """The command's first output is printed while it still runs."""
    t.daemon()
    gate = t.gate()
    child = t.ctl_start("run", "--", *gate.argv("echo last", first="echo first; echo why >&2; "))
    eq(os.read(child.stdout.fileno(), 100), b"first\n")
    eq(os.read(child.stderr.fileno(), 100), b"why\n")
    gate.started()
    eq(child.poll(), None)
    gate.release()
    eq(t.finish_ctl(child, status=0).out, "last\n")


def test_interrupt(t):
    """Ctrl-C cancels the job, and futurectl ends when its tree is gone."""
    _, c = t.serve()
    gate = t.gate()
    child = t.ctl_start("run", "--", *gate.argv(), env={"FUTURED_TEST": t.mark})
    pid = gate.started()
    child.send_signal(signal.SIGINT)
    done = t.finish_ctl(child)
    eq(process.alive(pid), False, "the command is dead when futurectl has ended")
    that(done.status in (130, -signal.SIGINT, 1), "status %d" % done.status)
    eq(c.ended_job(1)["state"], "cancelled")


def test_interrupt_of_a_task(t):
    """Ctrl-C of a task cancels that too."""
    _, c = t.serve()
    child = t.ctl_start("run", "math.factorize", "9223372036854775783")
    wait_for(lambda: [job["state"] for job in c.call("list")["jobs"]] == ["running"], "it computes")
    child.send_signal(signal.SIGINT)
    that(t.finish_ctl(child).status in (130, -signal.SIGINT, 1), "it ends")
    eq(c.ended_job(1)["state"], "cancelled")


def test_a_client_that_is_killed(t):
    """kill -9 of futurectl ends no job."""
    _, c = t.serve()
    gate = t.gate()
    child = t.ctl_start("run", "--", *gate.argv("echo end"))
    gate.started()
    child.kill()
    child.communicate()
    eq(c.job(1)["state"], "running")
    gate.release()
    eq(c.ended_job(1)["result"]["stdout"], "end\n")


def test_arguments(t):
    """An ARG is JSON if it is JSON and the parameter is not a string; --args gives the whole."""
    t.daemon()
    eq(t.ctl("run", "noop", "1", "x", "[2,3]", "null", "1e", "", '"q"', "{}", status=0).out,
       '[1,"x",[2,3],null,"1e","","q",{}]\n')
    eq(t.ctl("run", "noop", "--args", '{"a":[1]}', status=0).out, '{"a":[1]}\n')
    eq(t.ctl("run", "noop", status=0).out, "[]\n")
    path = t.write("7", "seven")
    eq(t.ctl("run", "file.read", "7", cwd=t.folder).status in (0, 1), True)
    contains(t.ctl("run", "file.read", path, status=0).out, '"body":"seven"')
    eq(t.ctl("run", "time.sleep", "0", status=0).out.strip() in ("0", "0.0"), True)
    that(t.ctl("run", "noop", "--args", "{not json").status == 2, "no JSON is refused")


def test_failures(t):
    """A failed task is 1 with its cause on standard error; a refused request 2."""
    t.daemon()
    done = t.ctl("run", "math.factorize", "x", status=1)
    eq(done.out, "")
    contains(done.err, "BadArguments")
    done = t.ctl("run", "no.such.task", status=2)
    that("no.such.task" in done.err and done.out == "", "%r" % done)
    done = t.ctl("run", "file.sha256", "/no/such/file", status=1)
    contains(done.err, "No such file")


def test_usage(t):
    """Wrong usage is 2 with a hint on standard error, and nothing on standard output."""
    t.daemon()
    for args in ([], ["run"], ["nothing"], ["--no-such-option"], ["run", "--no-such-option", "noop"], ["status"], ["await"],
                 ["result"], ["cancel"], ["output"], ["status", "x-y"], ["submit"], ["map"],
                 ["run", "noop", "--priority", "high"], ["run", "noop", "--timeout", "-1"], ["result", "1", "2"], ["status", "1", "--nothing"]):
        done = t.ctl(*args)
        eq(done.status, 2, "%r: %r" % (args, done))
        that(done.out == "" and done.err, "%r: %r" % (args, done))
    for args in (["run", "--"], ["run", "--nonsense", "--", "true"]):
        that(t.ctl(*args).status in (2, 125), "%r" % args)


def test_no_daemon(t):
    """Where no daemon is the exit status is 69 and the place is named."""
    done = t.ctl("--socket", t.path("none"), "list", status=69)
    contains(done.err, t.path("none"))
    done = t.ctl("list", env={"FUTURED_SOCKET": t.path("other")}, status=69)
    contains(done.err, t.path("other"))
    t.ctl("--connect", "127.0.0.1:%d" % t.free_port(), "list", env={"FUTURED_TOKEN": "x"}, status=69)


def test_the_daemon_dies(t):
    """A daemon that dies under a waiting futurectl is 69, or 125 of a command, and told."""
    d, _ = t.serve()
    gate = t.gate()
    child = t.ctl_start("run", "--", *gate.argv())
    other = t.ctl_start("run", "time.sleep", "600")
    gate.started()
    c = t.client()
    wait_for(lambda: len(c.call("list", filter={"state": "running"})["jobs"]) == 2, "both run")
    d.kill()
    done = t.finish_ctl(child)
    that(done.status in (69, 125) and done.err, "%r" % done)
    done = t.finish_ctl(other)
    that(done.status == 69 and done.err, "%r" % done)


def test_places(t):
    """The socket is --socket, $FUTURED_SOCKET, $XDG_RUNTIME_DIR/futured.sock, in this order."""
    d = t.daemon()
    eq(t.ctl("run", "noop", socket_option=False, env={"FUTURED_SOCKET": d.socket}, status=0).out, "[]\n")
    os.mkdir(t.path("rt"))
    os.symlink(d.socket, t.path("rt/futured.sock"))
    eq(t.ctl("run", "noop", socket_option=False, env={"XDG_RUNTIME_DIR": t.path("rt")}, status=0).out, "[]\n")
    eq(t.ctl("run", "noop", env={"FUTURED_SOCKET": t.path("none")}, status=0).out, "[]\n")


def test_over_tcp(t):
    """--connect takes the token from --token-file, $FUTURED_TOKEN or the default place; without it 77."""
    port = t.free_port()
    d = t.daemon(args=["--listen", "127.0.0.1:%d" % port])
    place, token = "127.0.0.1:%d" % port, os.path.join(d.state, "token")

    def ctl(*args, **more):
        return t.ctl("--connect", place, *args, socket_option=False, **more)
    eq(ctl("--token-file", token, "run", "math.factorize", "15", status=0).out, "[3,5]\n")
    with open(token, encoding="ascii") as file:
        eq(ctl("run", "noop", env={"FUTURED_TOKEN": file.read().strip()}, status=0).out, "[]\n")
    that(ctl("run", "noop", env={"FUTURED_TOKEN": "wrong"}, status=77).err, "it says why")
    os.mkdir(t.path("st"))
    os.symlink(d.state, t.path("st/futured"))
    eq(ctl("run", "noop", env={"XDG_STATE_HOME": t.path("st")}, status=0).out, "[]\n")
    eq(ctl("--token-file", token, "run", "--", "sh", "-c", "echo over; exit 3", status=3).out, "over\n")
    eq(ctl("--token-file", token, "run", "--", "sh", "-c", "echo \"[$GIVEN]\"", env={"GIVEN": "x"}, status=0).out, "[]\n",
       "over TCP the environment is not sent")


def elsewhere():
    """An address of this machine's that is not loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        return probe.getsockname()[0]


@options(missing=None if elsewhere() else "a network address that is not loopback")
def test_the_token_of_this_machine_stays_on_it(t):
    """What --connect names gets the token of the default places in the clear on loopback only; a token that is named goes anywhere."""
    os.makedirs(t.path("st/futured"))
    t.write("st/futured/token", "the-operators\n")
    named = t.write("named", "named-for-it\n")

    def heard(address, *args, **env):
        with socket.socket() as door:
            door.bind((address, 0))
            door.listen()
            door.settimeout(within(30))
            child = t.ctl_start("--connect", "%s:%d" % (address, door.getsockname()[1]), *args, "list", socket_option=False,
                                env=dict(env, XDG_STATE_HOME=t.path("st")))
            with door.accept()[0] as caller:
                caller.settimeout(within(30))
                said = caller.recv(4096)
        return said, t.finish_ctl(child)
    said, told = heard(elsewhere())
    eq((said, told.status), (b"", 77), "%r" % told)
    contains(told.err, "is not loopback")
    contains(heard(elsewhere(), FUTURED_TOKEN="named-for-it")[0], b"named-for-it")
    contains(heard(elsewhere(), "--token-file", named)[0], b"named-for-it")
    contains(heard("127.0.0.2")[0], b"the-operators")


def test_help(t):
    """--help, of all and of each command, is on standard output with status 0, without a daemon."""
    done = t.ctl("--help", status=0)
    for command in ("run", "submit", "map", "await", "status", "result", "output", "follow", "list", "cancel", "tasks", "queues",
                    "stats"):
        contains(done.out, command)
        text = t.ctl(command, "--help", status=0)
        that("futurectl %s" % command in text.out and text.err == "", "%r" % text)
    that("futurectl" in t.ctl("--version", status=0).out, "--version")


def test_wait(t):
    """A wait that is over is 124, and the job goes on."""
    _, c = t.serve()
    done = t.ctl("run", "--wait", "0.2", "time.sleep", "600")
    eq(done.status, 124, "%r" % done)
    eq(c.job(1)["state"], "running")
    c.call("cancel", id=1)
    c.ended_job(1)


def test_broken_pipe(t):
    """A reader of its output that leaves ends futurectl quietly."""
    t.daemon()
    child = t.ctl_start("run", "--", "seq", "1", "2000000")
    os.read(child.stdout.fileno(), 10)
    child.stdout.close()
    child.stdout = None
    done = t.finish_ctl(child)
    that(done.status != 0 and len(done.err.splitlines()) <= 1, "%r" % done)


def test_busy_and_denied(t):
    """A full daemon is 75."""
    _, c = t.serve(config={"limits": {"pending": "3"}})
    for _ in range(3):
        c.submit("noop", delay=3600)
    done = t.ctl("submit", "noop", status=75)
    that(done.err and not done.out, "%r" % done)


def test_output_beyond_what_is_kept(t):
    """A command whose output was not kept whole does not look as if it was: a word, and 125."""
    t.daemon(config={"exec": {"max_output": "1M"}})
    done = t.ctl("run", "--", "head", "-c", "3000000", "/dev/zero", status=125)
    that("3000000" in done.err and "max_output" in done.err, "%r" % (done.err,))
    done = t.ctl("run", "--", "head", "-c", "1000000", "/dev/zero")
    that(not done.err, "%r" % (done.err,))
