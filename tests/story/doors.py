"""
Doors: who comes by TCP: the tokens file and its roles, TLS, and what a stranger may do before it has said who it is.
"""

import hashlib
import os
import shutil
import signal
import socket
import ssl
import subprocess

from harness import Client, Closed, contains, eq, options, refused, that, wait_for, within

TOKENS = {"ann": ("operator", "token-of-ann"), "bob": ("user", "token-of-bob"), "eve": ("reader", "token-of-eve")}


def line(name, role, token):
    return "%s %s %s\n" % (name, role, hashlib.sha256(token.encode()).hexdigest())


def tokens_text(tokens):
    return "# who may come\n\n" + "".join(line(name, *rest) for name, rest in tokens.items())


def serve(t, tokens=None, config=None, tls=None):
    """A daemon that listens on TCP; (daemon, connect), where connect(token) says hello."""
    port = t.free_port()
    d = t.make(args=["--listen", "127.0.0.1:%d" % port], config=config)
    if tokens is not None:
        os.makedirs(d.state)
        t.hand_over(d.state)
        write(t, d, tokens)
    d.start()

    def connect(token=None):
        client = t.keep(Client(("127.0.0.1", port), tls=tls))
        if token is not None:
            client.hello = client.call("hello", token=token)
        return client
    return d, connect


def write(t, d, text):
    path = os.path.join(d.state, "tokens")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o600)
    t.hand_over(path)
    return path


def hang_up(d, said):
    """SIGHUP, and the line of the log that tells how it went."""
    before = d.log().count(said)
    os.kill(d.pid, signal.SIGHUP)
    wait_for(lambda: d.log().count(said) > before, "the log says: " + said)


# ---- tokens


def test_a_token_a_role(t):
    """Each line of the tokens file is an owner of its own, with its role and no more."""
    _, connect = serve(t, tokens_text(TOKENS))
    ann, bob, eve = (connect(TOKENS[name][1]) for name in ("ann", "bob", "eve"))
    eq([(c.hello["owner"], c.hello["role"]) for c in (ann, bob, eve)],
       [("token:ann", "operator"), ("token:bob", "user"), ("token:eve", "reader")])
    of_ann, of_bob = ann.submit("noop"), bob.submit("noop")
    eq(bob.ended_job(of_bob)["owner"], "token:bob")
    refused("not_found", bob.call, "status", id=of_ann)
    eq({job["owner"] for job in ann.call("status", ids=[of_ann, of_bob])}, {"token:ann", "token:bob"})
    refused("forbidden", bob.call, "submit", task="exec", args={"argv": ["/bin/true"]})
    eq(ann.run("exec", {"argv": ["/bin/true"]})["state"], "succeeded")
    for method in ("submit", "run"):
        refused("forbidden", eve.call, method, task="noop")
    refused("forbidden", eve.call, "cancel", id=of_bob)
    eq(eve.call("list")["jobs"], [], "a reader sees its own, and it has none")
    for method in ("tasks", "queues", "stats"):
        eve.call(method)


def test_a_hash_is_no_token(t):
    """Who has read the file can do nothing with it; nor does a token of nobody's do anything."""
    _, connect = serve(t, tokens_text(TOKENS))
    for wrong in (hashlib.sha256(b"token-of-ann").hexdigest(), "ann", "token-of-an", "token-of-ann "):
        refused("unauthenticated", connect().call, "hello", token=wrong)


def test_reload(t):
    """SIGHUP: new tokens hold, those that are gone do not, and their connections end; the others do not notice."""
    d, connect = serve(t, tokens_text(TOKENS))
    bob, eve = connect("token-of-bob"), connect("token-of-eve")
    refused("unauthenticated", connect().call, "hello", token="token-of-kim")
    eq(bob.run("noop", [1])["result"], [1])
    write(t, d, tokens_text({"kim": ("user", "token-of-kim"), "eve": TOKENS["eve"]}))
    hang_up(d, "SIGHUP: 2 tokens")
    bob.ended()
    eve.call("stats")
    eq(connect("token-of-kim").hello["owner"], "token:kim")
    refused("unauthenticated", connect().call, "hello", token="token-of-bob")
    eq(t.client().job(1)["owner"], "token:bob", "its jobs stay")


def test_a_role_that_changes(t):
    """Whoever has another role by now must say hello again."""
    d, connect = serve(t, tokens_text(TOKENS))
    ann = connect("token-of-ann")
    write(t, d, tokens_text({"ann": ("reader", "token-of-ann")}))
    hang_up(d, "SIGHUP: 1 tokens")
    ann.ended()
    eq(connect("token-of-ann").hello["role"], "reader")


def test_a_token_that_is_replaced(t):
    """A leaked token is changed for another under the same name: whoever came by the old one must leave."""
    d, connect = serve(t, tokens_text(TOKENS))
    bob, eve = connect("token-of-bob"), connect("token-of-eve")
    bob.call("ping")
    write(t, d, tokens_text(dict(TOKENS, bob=("user", "another-of-bob"))))
    hang_up(d, "SIGHUP: 3 tokens")
    bob.ended()
    eve.call("stats")
    refused("unauthenticated", connect().call, "hello", token="token-of-bob")
    eq(connect("another-of-bob").hello["owner"], "token:bob")


def test_a_bad_file_at_reload(t):
    """A file that cannot be read changes nothing, and the log says where it is wrong."""
    d, connect = serve(t, tokens_text(TOKENS))
    bob = connect("token-of-bob")
    path = write(t, d, "ann operator nonsense\n")
    hang_up(d, "SIGHUP: the tokens stay as they were: %s:1: the third word is the SHA-256" % path)
    eq(bob.run("noop", [1])["result"], [1])
    connect("token-of-ann")


def test_a_bad_file_at_the_start(t):
    """The daemon does not start with a tokens file that it cannot trust: 78, with file, line and what is wrong."""
    good = line("ann", "operator", "x")
    for text, said in (("ann operator\n", ":1: a line is NAME ROLE SHA256"),
                       (good + "bob boss " + good.split()[2], ":2: a role is reader, user or operator"),
                       (good + good, ":2: that name stands there already"),
                       ("a/b user " + good.split()[2], ":1: a name has 1 to 64 letters, digits or ._-@"),
                       ("a none " + good.split()[2], ":1: a role is"), ("x" * 600, ":1: the line is too long")):
        d = t.make(name="d%d" % len(t.daemons))
        os.makedirs(d.state)
        t.hand_over(d.state)
        path = write(t, d, text)
        d.start(ready=False)
        eq(d.wait(), 78, text)
        contains(d.log(), path + said)


def test_a_file_that_others_may_write(t):
    """It says who is operator: so it must be its owner's alone to write."""
    d, _ = serve(t, tokens_text(TOKENS))
    d.stop()
    os.chmod(os.path.join(d.state, "tokens"), 0o620)
    d.start(ready=False)
    eq(d.wait(), 78)
    contains(d.log(), "others than its owner may write it")


def test_a_file_elsewhere(t):
    """[tokens] file names another, which must be there then."""
    path = t.write("doors", tokens_text(TOKENS))
    os.chmod(path, 0o600)
    d, connect = serve(t, config={"tokens": {"file": path}})
    eq(connect("token-of-bob").hello["role"], "user")
    d.stop()
    os.unlink(path)
    d.start(ready=False)
    eq(d.wait(), 78)
    contains(d.log(), path + ": No such file")


def test_a_pipe_for_a_file(t):
    """What is no regular file is refused, at SIGHUP without a moment's wait for whoever might write into it, and at the start."""
    d, connect = serve(t, tokens_text(TOKENS))
    path = os.path.join(d.state, "tokens")
    bob = connect("token-of-bob")
    os.unlink(path)
    os.mkfifo(path, 0o600)
    t.hand_over(path)
    hang_up(d, "SIGHUP: the tokens stay as they were: %s: it is no regular file" % path)
    eq(bob.run("noop", [1])["result"], [1])
    d.stop()
    d.start(ready=False)
    eq(d.wait(), 78)


# ---- strangers


def test_a_stranger_has_little_room(t):
    """Before hello a line has at most 64 KiB; afterwards [limits] message."""
    _, connect = serve(t, tokens_text(TOKENS))
    stranger = connect()
    stranger.raw(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"' + b"x" * 70000)
    eq(stranger.message()["error"]["data"]["code"], "too_large")
    stranger.ended()
    bob = connect("token-of-bob")
    eq(len(bob.run("noop", ["x" * 200000])["result"][0]), 200000)


def test_a_stranger_has_little_time(t):
    """Who has not said hello within [limits] hello is gone, pings or not; who has stays."""
    _, connect = serve(t, tokens_text(TOKENS), config={"limits": {"hello": "1.5s"}})
    bob, silent, chatty = connect("token-of-bob"), connect(), connect()
    local = t.client()
    silent.ended()
    try:
        while chatty.call("ping") == "pong":
            pass
    except Closed:
        pass
    eq(bob.call("ping"), "pong")
    eq(local.call("ping"), "pong")
    eq(bob.run("noop", [1])["result"], [1])


# ---- what jobs may reach of the daemon

SPY = r"""
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
seen = []
for pid in map(int, sys.argv[1:]):
    os.kill(pid, 0)  # it is there, and of our user
    for name in ("environ", "mem", "maps", "auxv", "syscall"):
        try:
            os.close(os.open("/proc/%d/%s" % (pid, name), os.O_RDONLY))
            seen.append("%d: %s" % (pid, name))
        except PermissionError:
            pass
    try:
        seen.append("%d: fd: %s" % (pid, os.listdir("/proc/%d/fd" % pid)))
    except PermissionError:
        pass
    if libc.ptrace(0x4206, pid, None, None) == 0:  # PTRACE_SEIZE
        seen.append("%d: traced" % pid)
print("\n".join(seen) or "nothing")
"""


def test_memory_is_closed(t):
    """A command of the daemon's own user opens no memory of daemon, spawner or workers, and traces none of them."""
    if t.settings.sanitized:
        return  # such a build leaves itself open, for its own tracer
    d, c = t.serve(workers=2)
    t.write("spy", SPY)
    wait_for(lambda: len(d.stats()["workers"]) == 2, "both workers are there")
    workers = [str(worker["pid"]) for worker in d.stats()["workers"]]
    pids = [str(d.pid), str(d.spawner())] + workers
    eq(c.run("exec", {"argv": ["/usr/bin/python3", t.path("spy")] + pids})["result"]["stdout"], "nothing\n")
    own = c.run("exec", t.sh("sleep 931 & exec /usr/bin/python3 %s $!" % t.path("spy")))["result"]["stdout"]
    that("mem" in own and "environ" in own and "fd: " in own, "what is its own it may look at, by the same script: %r" % own)


def test_memory_of_a_large_job(t):
    """What a worker took for a job of 12 MiB is not counted to the jobs that it runs afterwards."""
    _, c = t.serve(workers=1)
    ident = c.submit("noop", ["x" * (12 << 20)])
    c.call("await", id=ident, jobs=False)
    large = c.call("status", id=ident, fields=["usage"])["usage"]["max_rss_kib"]
    that(large > 12 << 10, "of the large one: %r" % large)
    small = c.run("exec", {"argv": ["/bin/true"]})["usage"]["max_rss_kib"]
    that(0 < small < t.memory_bound(12 << 10), "of a small command: %r" % small)
    small = c.run("noop")["usage"]["max_rss_kib"]
    that(small is None or small > large, "of a small function: %r" % small)


def test_the_state_is_out_of_reach(t):
    """No task that reads files reads what is the daemon's own, by whatever name, and whoever asks: the rest of the world it does."""
    tokens, key = t.path("tokens"), t.path("server.key")
    config = tls_config(t)
    config.update(tokens={"file": tokens}, tasks={"user": "file.read file.sha256 exec"})
    t.write("tokens", tokens_text(TOKENS))
    os.chmod(tokens, 0o600)
    d, connect = serve(t, config=config, tls=trusting(t))
    bob, operator = connect("token-of-bob"), t.client()
    ident = operator.run("exec", t.sh("echo secret"))["id"]
    state = d.state
    outputs = [os.path.join(state, "output", name) for name in os.listdir(os.path.join(state, "output"))]
    that(outputs, "job %d has output" % ident)
    os.symlink(state, t.path("to-state"))
    os.symlink(os.path.join(state, "token"), t.path("to-token"))
    os.link(os.path.join(state, "futured.db"), t.path("db"))
    os.link(outputs[0], t.path("out"))
    os.link(key, t.path("key"))
    paths = [os.path.join(state, name) for name in os.listdir(state) if os.path.isfile(os.path.join(state, name))]
    that({os.path.join(state, name) for name in ("futured.db", "token", "daemon.lock")} <= set(paths), "%r" % paths)
    paths += outputs + [tokens, key] + [t.path(name) for name in ("to-state/token", "to-token", "db", "out", "key")]
    paths += [state + "/../state/./token", "/proc/self/root%s/token" % state, "/proc/%d/cwd/state/token" % d.pid,
              "/proc/self/environ", "/proc/%d/environ" % d.pid, "/proc/%d/environ" % d.spawner()]
    paths += ["/proc/self/fd/%d" % number for number in range(3, 40)]
    for client in (bob, operator):
        for task in ("file.read", "file.sha256"):
            ids = [client.submit(task, [path], max_attempts=1, timeout=within(10)) for path in paths]
            for path, job in zip(paths, client.wait(*ids)):
                eq(job["state"], "failed", "%s of %s" % (task, path))
                said = ["it is the daemon's own"]
                if path.startswith("/proc/self/fd/"):
                    said += ["No such file", "Is a directory"]
                elif path.startswith("/proc/%d/cwd/" % d.pid):
                    said += ["Permission denied"]
                that(any(one in job["error"]["message"] for one in said), "%s: %r" % (path, job["error"]))
    eq(bob.run("file.read", [t.write("plain", "read")])["result"]["body"], "read")
    eq(bob.run("file.read", ["/proc/sys/kernel/ostype"])["result"]["body"], "Linux\n")


def test_a_clean_command(t):
    """On both ways of starting one: environment, descriptors and rights are as documented, and nothing of the daemon's."""
    _, c = t.serve(env={"SECRET": "of-the-daemon", "LISTEN_FDS": None})
    script = 'tr "\\0" "\\n" < /proc/$$/environ | sort; echo; ls /proc/$$/fd; echo; grep -E "NoNewPrivs|^Cap(Inh|Prm|Eff|Amb)" /proc/$$/status'
    for limits in ({}, {"files": 100}):  # posix_spawn, and a fork of our own
        job = c.run("exec", {"argv": ["/bin/sh", "-c", script]}, limits=limits)
        env, fds, status = job["result"]["stdout"].split("\n\n")
        eq([one.split("=")[0] for one in env.split("\n")], ["FUTURED_ATTEMPT", "FUTURED_JOB_ID", "FUTURED_PROGRESS_FD", "FUTURED_TREE",
                                                         "HOME", "LANG", "LOGNAME", "PATH", "SHELL", "USER"], "limits %r" % limits)
        that("of-the-daemon" not in env, env)
        eq([fd for fd in fds.split() if fd != "10"], ["0", "1", "2", "3"], "limits %r" % limits)  # 10: a shell's own
        eq(dict(one.split(":\t") for one in status.split("\n") if one),
           {"NoNewPrivs": "1", "CapInh": "0" * 16, "CapPrm": "0" * 16, "CapEff": "0" * 16, "CapAmb": "0" * 16})


@options(root=True, missing="a /tmp where programs may be set-uid" if os.statvfs("/tmp").f_flag & os.ST_NOSUID else None)
def test_a_program_that_is_set_uid(t):
    """A command gains nothing by a program that is set-uid or set-gid root; whoever runs it outside does."""
    _, c = t.serve()
    t.write("whoami", "")
    shutil.copy("/usr/bin/id", t.path("whoami"))
    os.chown(t.path("whoami"), 0, 0)
    os.chmod(t.path("whoami"), 0o6755)
    outside = subprocess.run([t.path("whoami"), "-u"], stdout=subprocess.PIPE, check=True, **t.popen_user()).stdout.decode()
    eq(outside, "0\n", "the folder lets programs be set-uid")
    for limits in ({}, {"files": 100}):
        for flag in ("-u", "-g"):
            eq(c.run("exec", {"argv": [t.path("whoami"), flag]}, limits=limits)["result"]["stdout"], "%d\n" % t.uid)


def test_strangers_make_room(t):
    """Who has not said who it is takes no place from others: the one that is silent for longest makes room."""
    d, connect = serve(t, tokens_text(TOKENS), config={"limits": {"connections": "20"}})
    strangers = [connect() for _ in range(20)]
    for one in strangers:
        one.call("ping")
    eq(t.client().call("ping"), "pong", "the operator comes in")
    strangers[0].ended()
    bob = connect("token-of-bob")
    strangers[1].ended()
    for _ in range(30):
        strangers.append(connect())
    strangers[-1].call("ping")
    eq(bob.run("noop", [1])["result"], [1])
    eq(t.daemons[0].log().count("is refused"), 0)


def test_refusals_are_told_once(t):
    """When all places are taken by those who are known, many who come in vain are one line of the log."""
    d, _ = serve(t, config={"limits": {"connections": "5"}})
    known = [t.client() for _ in range(5)]
    for one in known:
        one.call("ping")
    for _ in range(10):
        late = t.client()
        eq(late.message()["error"]["data"]["code"], "busy")
        late.ended()
    known[0].call("ping")
    eq(d.log().count("[limits] connections is reached"), 1)


# ---- TLS


def openssl(t, *args):
    done = subprocess.run(["openssl"] + list(args), cwd=t.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    eq(done.returncode, 0, "openssl %s: %s" % (" ".join(args), done.stdout.decode()))


def authority(t, name):
    openssl(t, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + name, "-keyout", name + ".key",
            "-out", name + ".pem")
    return t.path(name + ".pem")


def certificate(t, name, signed_by):
    t.write("names", "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl(t, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + name, "-keyout", name + ".key", "-out", name + ".csr")
    openssl(t, "x509", "-req", "-days", "2", "-in", name + ".csr", "-CA", signed_by + ".pem", "-CAkey", signed_by + ".key",
            "-CAcreateserial", "-extfile", "names", "-out", name + ".pem")
    for end in ("key", "pem"):
        t.hand_over(t.path("%s.%s" % (name, end)))
    return t.path(name + ".pem"), t.path(name + ".key")


def tls_config(t, **more):
    authority(t, "ca")
    pem, key = certificate(t, "server", "ca")
    return {"tls": dict({"certificate": pem, "key": key}, **more)}


def trusting(t, pair=None):
    context = ssl.create_default_context(cafile=t.path("ca.pem"))
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


def test_tls(t):
    """With a certificate TCP speaks TLS, the token is asked for all the same, and large messages go through whole."""
    config = tls_config(t)
    d, connect = serve(t, tokens_text(TOKENS), config=config, tls=trusting(t))
    refused("unauthenticated", connect().call, "list")
    bob = connect("token-of-bob")
    that(bob.socket.version() in ("TLSv1.2", "TLSv1.3"), bob.socket.version())
    long = "x" * 3000000
    eq(bob.run("noop", [long])["result"], [long])
    told = bob.pour(b"".join(bob.request("submit", task="noop")[1] for _ in range(2000)), 2000)
    eq(len({one["result"]["id"] for one in told}), 2000)
    ident = bob.submit("time.sleep", [3600])
    waiting = connect("token-of-bob")
    asked = waiting.send("await", id=ident)
    bob.call("cancel", id=ident)
    eq(waiting.answer(asked)["counts"]["cancelled"], 1)
    eq(t.client().call("ping"), "pong", "the Unix socket speaks as ever")
    d.stop()


def test_tls_is_not_plain(t):
    """A client that speaks in the clear, an old TLS or nonsense to the TLS port is closed, and nobody else notices."""
    config = tls_config(t)
    d, connect = serve(t, tokens_text(TOKENS), config=config, tls=trusting(t))
    bob = connect("token-of-bob")
    port = int(d.args[d.args.index("--listen") + 1].rsplit(":", 1)[1])
    for data in (b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n', os.urandom(4096), b"\x16\x03\x01\xff\xff" + b"\0" * 100):
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.settimeout(60)
            try:
                plain.sendall(data)
                plain.shutdown(socket.SHUT_WR)
                answer = plain.recv(65536)
            except OSError:  # closed before we had done
                answer = b""
            that(b"pong" not in answer, "%r" % answer)
    old = trusting(t)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    try:
        Client(("127.0.0.1", port), tls=old).close()
        that(False, "TLS 1.1 was taken")
    except (ssl.SSLError, ConnectionResetError):
        pass
    eq(bob.run("noop", [1])["result"], [1])


def test_client_certificates(t):
    """With client_ca whoever has no certificate of that authority does not get as far as hello."""
    authority(t, "clients")
    authority(t, "others")
    config = tls_config(t, client_ca=t.path("clients.pem"))
    good, bad = certificate(t, "good", "clients"), certificate(t, "bad", "others")
    _, connect = serve(t, tokens_text(TOKENS), config=config, tls=trusting(t, good))
    eq(connect("token-of-bob").run("noop", [1])["result"], [1])
    refused("unauthenticated", connect().call, "list")
    port = connect("token-of-bob").socket.getpeername()[1]
    for context in (trusting(t), trusting(t, bad)):
        try:
            with Client(("127.0.0.1", port), tls=context) as c:  # TLS 1.3 tells a client only at its first read
                c.call("ping")
            that(False, "it was let in")
        except (Closed, ssl.SSLError, ConnectionResetError):
            pass


def test_tls_beyond_loopback(t):
    """With a certificate the daemon may listen on every address."""
    port = t.free_port()
    t.daemon(args=["--listen", "0.0.0.0:%d" % port], config=tls_config(t))
    with Client(("127.0.0.1", port), tls=trusting(t)) as c:
        eq(c.call("ping"), "pong")


def test_certificates_that_cannot_be_used(t):
    """A certificate or key that is not there, is none, or does not fit: 78, and the log names file and reason."""
    config = tls_config(t)["tls"]
    other = certificate(t, "other", "ca")
    none = t.write("none.pem", "nothing\n")
    for change, said in (({"certificate": "/nowhere/c.pem"}, "[tls] certificate: /nowhere/c.pem: "),
                         ({"key": other[1]}, "[tls] key: %s: key values mismatch" % other[1]),
                         ({"certificate": none}, "[tls] certificate: %s: " % none),
                         ({"client_ca": none}, "[tls] client_ca: %s: " % none)):
        d = t.make(config={"tls": dict(config, **change)})
        d.start(ready=False)
        eq(d.wait(), 78, "%r" % change)
        contains(d.log(), said)


# ---- the command line


def test_ctl_token(t):
    """`futurectl token` makes a token that holds after SIGHUP, shows it once, and keeps its hash alone."""
    d, connect = serve(t)
    path = os.path.join(d.state, "tokens")
    made = t.ctl("token", "kim", "user", "--file", path, status=0)
    token = made.out.strip()
    that(len(token) == 64 and token not in made.err, "%r" % made)
    eq(os.stat(path).st_mode & 0o777, 0o600)
    with open(path, encoding="utf-8") as file:
        eq(file.read(), line("kim", "user", token))
    refused("unauthenticated", connect().call, "hello", token=token)
    hang_up(d, "SIGHUP: 1 tokens")
    eq(connect(token).hello["owner"], "token:kim")
    contains(t.ctl("token", "kim", "reader", "--file", path, status=2).err, "has a token of that name already")
    with open(path, "rb+") as file:
        file.truncate(os.stat(path).st_size - 1)  # without its last line end, as editors leave files
    t.ctl("token", "lee", "operator", "--file", path, status=0)
    hang_up(d, "SIGHUP: 2 tokens")


def test_ctl_token_refuses(t):
    """Names and roles that the daemon would not take, and places that cannot be written."""
    for words in ((), ("kim",), ("kim", "boss"), ("k m", "user"), ("x" * 65, "user"), ("kim", "user", "more")):
        t.ctl("token", *words, "--file", t.path("none"), status=2)
    t.ctl("token", "kim", "user", "--file", "/nowhere/tokens", status=77)
    that(not os.path.exists(t.path("none")), "nothing was written")


def as_root(t, *args):
    """futurectl as root, whatever user the story's own is."""
    return subprocess.run([t.settings.futurectl] + list(args), env=t.environment(), stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=within(60), check=False)


@options(root=True)
def test_root_makes_a_token(t):
    """A file that root makes in the daemon's folder is the daemon's, which reads it at SIGHUP and at the next start."""
    d, connect = serve(t)
    path = os.path.join(d.state, "tokens")
    made = as_root(t, "token", "kim", "user", "--file", path)
    eq(made.returncode, 0, "%r" % made)
    eq((os.stat(path).st_uid, os.stat(path).st_mode & 0o777), (t.uid, 0o600))
    hang_up(d, "SIGHUP: 1 tokens")
    token = made.stdout.decode().strip()
    eq(connect(token).hello["owner"], "token:kim")
    d.stop()
    d.start()
    eq(connect(token).hello["role"], "user")


@options(root=True)
def test_root_follows_no_link(t):
    """The daemon's user cannot make root write elsewhere: a link and a pipe in the place of the file are refused."""
    folder, secret = t.path("state"), t.path("secret")
    os.mkdir(folder)
    t.hand_over(folder)
    with open(secret, "w", encoding="utf-8") as file:
        file.write("root's\n")
    path = os.path.join(folder, "tokens")
    for plant, said in ((os.symlink, "a symbolic link"), (os.link, "other names"), (lambda _, pipe: os.mkfifo(pipe), "no regular file")):
        plant(secret, path)
        told = as_root(t, "token", "kim", "operator", "--file", path)
        eq(told.returncode, 77, "%r" % told)
        contains(told.stderr.decode(), said)
        eq(t.read("secret"), b"root's\n")
        os.unlink(path)


def test_ctl_tls(t):
    """--ca, and --cert and --key where asked for: futurectl speaks TLS, with large messages and output as it comes."""
    authority(t, "clients")
    config = tls_config(t, client_ca=t.path("clients.pem"))
    pem, key = certificate(t, "good", "clients")
    authority(t, "wrong")
    port = t.free_port()
    d = t.daemon(args=["--listen", "127.0.0.1:%d" % port], config=config)
    head = ["--connect", "localhost:%d" % port, "--token-file", os.path.join(d.state, "token")]
    mine = ["--cert", pem, "--key", key]
    good = head + ["--ca", t.path("ca.pem")] + mine
    eq(t.ctl(*good, "run", "math.factorize", "91", status=0, socket_option=False).out, "[7,13]\n")
    eq(len(t.ctl(*good, "run", "--", "head", "-c", "3000000", "/dev/zero", status=0, socket_option=False).out), 3000000)
    numbers = "".join("%d\n" % n for n in range(20000))
    eq(t.ctl(*good, "map", "noop", stdin=numbers.encode(), status=0, socket_option=False).out.count("\n"), 20000)
    address = ["--connect", "127.0.0.1:%d" % port] + good[2:]
    t.ctl(*address, "run", "noop", "1", status=0, socket_option=False)
    for wrong, status, said in ((head + ["--ca", t.path("wrong.pem")] + mine, 77, "certificate"),
                                (head + ["--ca", t.path("wrong.pem")] + mine, 77, "--ca FILE names who"),
                                (head + ["--ca", "/nowhere"] + mine, 2, "/nowhere cannot be used for TLS: No such file"),
                                (good[:-2], 2, "go together"), (head, 69, "--ca"),
                                (head + ["--ca", t.path("ca.pem")], 69, "")):
        contains(t.ctl(*wrong, "run", "noop", "1", status=status, socket_option=False).err, said)


def test_ctl_tls_to_a_plain_port(t):
    """TLS to a port that does not speak it is told as what it is."""
    tls_config(t)
    port = t.free_port()
    d = t.daemon(args=["--listen", "127.0.0.1:%d" % port])
    told = t.ctl("--connect", "127.0.0.1:%d" % port, "--token-file", os.path.join(d.state, "token"), "--ca", t.path("ca.pem"),
                 "list", status=69, socket_option=False)
    contains(told.err, "TLS")
