"""
TCP: only for those who have the token, also on loopback.
"""

import os
import re
import socket
import stat

from harness import Client, contains, eq, refused, that


def serve(t, **how):
    port = t.free_port()
    d = t.daemon(args=["--listen", "127.0.0.1:%d" % port], **how)
    with open(os.path.join(d.state, "token"), encoding="ascii") as file:
        token = file.read().strip()
    return d, ("127.0.0.1", port), token


def connect(t, address):
    return t.keep(Client(address))


def test_token_file(t):
    """The token is made at the first start, for the daemon's user alone, and stays the same."""
    d, _, token = serve(t)
    path = os.path.join(d.state, "token")
    eq(stat.S_IMODE(os.stat(path).st_mode), 0o600)
    that(len(token) >= 32 and token.isascii() and " " not in token, "a token of some length")
    d.stop()
    d.start()
    with open(path, encoding="ascii") as file:
        eq(file.read().strip(), token)


def test_before_the_token(t):
    """Before authentication hello and ping alone are answered; all else is unauthenticated and has no effect."""
    d, address, token = serve(t)
    c = connect(t, address)
    eq(c.call("ping"), "pong")
    for method, params in (("submit", {"task": "noop"}), ("run", {"task": "noop"}), ("map", {"task": "noop", "items": [[]]}),
                           ("status", {"id": 1}), ("await", {"id": 1}), ("cancel", {"id": 1}), ("list", {}), ("tasks", {}),
                           ("queues", {}), ("stats", {}), ("output", {"id": 1, "stream": "stdout"})):
        eq(refused("unauthenticated", c.call, method, params)["code"], -32002, method)
    c.notify("submit", task="noop")
    hello = c.call("hello", token=token)
    eq(hello["role"], "operator")
    that(hello["owner"] == "uid:%d" % t.uid or hello["owner"].startswith("token:"), "%r" % hello)
    eq(c.call("list")["jobs"], [])
    eq(c.run("noop", [1])["result"], [1])
    eq(c.job(1)["owner"], hello["owner"])
    eq(c.run("exec", {"argv": ["/bin/echo", "an operator's"]})["result"]["stdout"], "an operator's\n")
    eq(t.client().call("hello")["owner"], "uid:%d" % t.uid, "the Unix socket needs no token")


def test_wrong_tokens(t):
    """A wrong token is unauthenticated, whatever it looks like, and the next one may be right."""
    _, address, token = serve(t)
    c = connect(t, address)
    for wrong in ("x", token[:-1], token + "x", token.swapcase() if token.swapcase() != token else token + token, "é" * 100):
        refused("unauthenticated", c.call, "hello", token=wrong)
        refused("unauthenticated", c.call, "list")
    refused("bad_params", c.call, "hello", token=7)
    eq(c.call("hello", token=token)["role"], "operator")


def test_tcp_speaks_the_same(t):
    """On TCP a batch, a long pipeline and a big message work as on the Unix socket."""
    _, address, token = serve(t)
    c = connect(t, address)
    c.call("hello", token=token)
    c.raw(b"".join(c.request("run", task="noop", args=[i])[1] for i in range(500)))
    eq(sorted(c.message()["result"]["result"][0] for _ in range(500)), list(range(500)))
    big = ["x" * 5000000]
    eq(c.run("noop", big)["result"], big)
    stranger = connect(t, address)
    stranger.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    stranger.ended(10)


def test_only_where_it_listens(t):
    """Without --listen there is no TCP at all; the address given is the only one."""
    port = t.free_port()
    t.daemon()
    with socket.socket() as probe:
        that(probe.connect_ex(("127.0.0.1", port)) != 0, "nobody listens")


def test_an_address_in_use(t):
    """A port that another program has is told at the start, and the daemon does not run without it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        d = t.make(args=["--listen", "127.0.0.1:%d" % taken.getsockname()[1]])
        d.start(ready=False)
        that(d.wait() not in (0, 64), "it ends")
        that("in use" in d.log(), "and says why: %r" % d.log())


def test_not_beyond_loopback(t):
    """A listener on another address needs TLS: without it the daemon refuses to start."""
    for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:7433"):
        for how in ({"args": ["--listen", address]}, {"config": {"listen": {"tcp": address}}}):
            d = t.make(**how)
            d.start(ready=False)
            eq(d.wait(), 78, "%r" % how)
            contains(d.log(), "TLS")


def test_any_port(t):
    """With port 0 the system chooses one, and the log tells which."""
    d = t.daemon(args=["--listen", "127.0.0.1:0"])
    port = int(re.search(r"listening on 127\.0\.0\.1:(\d+), in the clear", d.log()).group(1))
    eq(connect(t, ("127.0.0.1", port)).call("ping"), "pong")


def test_listen_in_the_file(t):
    """[listen] tcp does the same as --listen, and --listen wins."""
    in_file, in_option = t.free_port(), t.free_port()
    d = t.make(config={"listen": {"tcp": "127.0.0.1:%d" % in_file}})
    d.start()
    eq(connect(t, ("127.0.0.1", in_file)).call("ping"), "pong")
    d.stop()
    d.args += ["--listen", "127.0.0.1:%d" % in_option]
    d.start()
    eq(connect(t, ("127.0.0.1", in_option)).call("ping"), "pong")
    with socket.socket() as probe:
        that(probe.connect_ex(("127.0.0.1", in_file)) != 0, "the option wins")
