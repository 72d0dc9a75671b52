"""
As a service: readiness and watchdog over a notify socket, and sockets that are passed in, both of the story's own.
"""

import os
import select
import signal
import socket
import sys
import time

from harness import Client, after, eq, fail, process, that, within

# Puts the passed socket where systemd puts it and says for whom it is.
ACTIVATE = ("import fcntl, os, sys\n"
            "first = [int(word) for word in sys.argv[1].split(',')]\n"
            "moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in first]\n"
            "for fd in first: os.close(fd)\n"
            "for place, fd in enumerate(moved): os.dup2(fd, 3 + place)\n"
            "os.environ['LISTEN_PID'] = str(os.getpid())\n"
            "os.environ['LISTEN_FDS'] = str(len(moved))\n"
            "os.execv(sys.argv[2], sys.argv[2:])\n")


def notify_socket(t):
    path = t.path("notify")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(path)
    t.hand_over(path)
    listener.settimeout(within(30))
    return path, t.keep(listener)


def heard(listener, word):
    """Waits for a message with that line."""
    until = after(30)
    while True:
        try:
            lines = listener.recv(4096).decode().splitlines()
        except socket.timeout:
            fail("%s was not told" % word)
        if word in lines:
            return lines
        if time.monotonic() > until:
            fail("%s was not told" % word)


def test_ready_is_told(t):
    """READY=1 is told when the daemon answers, STOPPING=1 when it goes."""
    path, listener = notify_socket(t)
    d = t.make(env={"NOTIFY_SOCKET": path})
    d.start(ready=False)
    heard(listener, "READY=1")
    c = t.client()
    c.seconds = 5
    eq(c.call("ping"), "pong")
    env = c.run("exec", {"argv": ["env"]})["result"]["stdout"]
    that("NOTIFY_SOCKET" not in env, "a command does not know the notify socket")
    d.signal(signal.SIGTERM)
    heard(listener, "STOPPING=1")
    eq(d.wait(), 0)


def test_not_ready_before_recovery(t):
    """READY=1 comes after recovery: at that moment no job of the last life is running."""
    path, listener = notify_socket(t)
    d, c = t.serve(env={"NOTIFY_SOCKET": path})
    heard(listener, "READY=1")
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv()})
    pid = gate.started()
    d.kill()
    d.start(ready=False)
    heard(listener, "READY=1")
    eq((process.alive(pid), t.client().job(ident)["state"]), (False, "failed"))


def test_watchdog(t):
    """The watchdog is fed while the loop turns, and not when it stands still."""
    path, listener = notify_socket(t)
    d = t.make(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "600000"})
    d.wrapper = [sys.executable, "-c", "import os, sys\n"
                                       "os.environ['WATCHDOG_PID'] = str(os.getpid())\n"
                                       "os.execv(sys.argv[1], sys.argv[1:])\n"]
    d.start(ready=False)
    heard(listener, "READY=1")
    for _ in range(3):
        heard(listener, "WATCHDOG=1")
    d.signal(signal.SIGSTOP)
    while select.select([listener], [], [], 0)[0]:
        listener.recv(4096)
    eq(select.select([listener], [], [], within(1.5))[0], [], "a daemon that stands still does not feed it")
    d.signal(signal.SIGCONT)
    heard(listener, "WATCHDOG=1")


def listen(t, path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    t.hand_over(path)
    listener.listen(100)
    return t.keep(listener)


def test_socket_activation(t):
    """A Unix socket that is passed in is served, is not removed at the end, and its early clients are answered."""
    path = t.path("passed")
    listener = listen(t, path)
    early = t.keep(Client(path))
    asked = early.send("ping")
    d = t.make(wrapper=[sys.executable, "-c", ACTIVATE, str(listener.fileno())], pass_fds=(listener.fileno(),))
    d.args = [arg for arg in d.args if arg not in ("--socket", d.socket)]
    d.socket = path
    d.start()
    eq(early.answer(asked), "pong")
    eq(early.call("hello")["owner"], "uid:%d" % t.uid)
    env = early.run("exec", {"argv": ["/bin/sh", "-c", "env; ls /proc/self/fd"]})["result"]["stdout"]
    that("LISTEN_" not in env, "a command knows nothing of it: %r" % env)
    eq(env.split("\n")[-5:], ["1", "2", "3", "4", ""])
    d.stop()
    that(os.path.exists(path), "the passed socket stays")
    early = t.keep(Client(path))
    asked = early.send("status", id=1, fields=["state"])
    d.start()
    eq(early.answer(asked), {"id": 1, "state": "succeeded"})


def test_tcp_activation(t):
    """A TCP socket that is passed in asks for the token as any other."""
    unix = listen(t, t.path("passed"))
    tcp = socket.socket()
    tcp.bind(("127.0.0.1", 0))
    tcp.listen(10)
    t.keep(tcp)
    d = t.make(wrapper=[sys.executable, "-c", ACTIVATE, "%d,%d" % (unix.fileno(), tcp.fileno())],
               pass_fds=(unix.fileno(), tcp.fileno()))
    d.args = [arg for arg in d.args if arg not in ("--socket", d.socket)]
    d.socket = t.path("passed")
    d.start()
    c = t.keep(Client(tcp.getsockname()))
    try:
        c.call("list")
        that(False, "answered without a token")
    except Exception as refusal:
        eq(getattr(refusal, "word", None), "unauthenticated")
    with open(os.path.join(d.state, "token"), encoding="ascii") as file:
        eq(c.call("hello", token=file.read().strip())["role"], "operator")


def test_tcp_activation_beyond_loopback(t):
    """A passed TCP socket that other machines reach is refused without TLS, as one that the configuration names."""
    with socket.socket() as tcp:
        tcp.bind(("0.0.0.0", 0))
        tcp.listen(10)
        d = t.make(wrapper=[sys.executable, "-c", ACTIVATE, "%d" % tcp.fileno()], pass_fds=(tcp.fileno(),))
        d.start(ready=False)
        eq(d.wait(), 78)
        that("TLS" in d.log(), d.log())


def test_sockets_for_another(t):
    """LISTEN_PID of another process is none of ours: the daemon makes its own socket."""
    d = t.make(env={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    d.start()
    eq(t.client().call("ping"), "pong")
