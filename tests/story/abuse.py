"""
Clients that behave as badly as they can, many at once: a neighbour is answered all the while, and the daemon stays small.
"""

import contextlib
import os
import select
import socket
import struct

from harness import Client, Closed, contains, eq, options, percentile, process, that, wait_for, within

SMALL_KIB = 256 << 10


class Abuse:
    """Processes, one for each kind of harm, which do it again and again and tell of each round by a pipe."""

    def __init__(self, d):
        self.d = d
        self.told, self.tell = os.pipe()
        os.set_blocking(self.told, False)
        self.pids, self.rounds, self.text = [], {}, ""

    def begin(self, harm):
        self.rounds[harm.__name__] = 0
        pid = os.fork()
        if pid == 0:
            self.go_on(harm)
        self.pids.append(pid)

    def go_on(self, harm):
        while True:
            word = harm.__name__
            try:
                with Client(self.d.socket, seconds=60) as client:
                    harm(client)
            except (Closed, ConnectionError, TimeoutError):
                pass
            except Exception as wrong:
                word = "%s: %r" % (word, wrong)
            os.write(self.tell, word.encode() + b"\n")

    def hear(self):
        """How often that harm was done which was done least often."""
        with contextlib.suppress(BlockingIOError):
            self.text += os.read(self.told, 65536).decode()
        *words, self.text = self.text.split("\n")
        for word in words:
            that(word in self.rounds, word)
            self.rounds[word] += 1
        return min(self.rounds.values())

    def end(self):
        for pid in self.pids:
            process.kill(pid)
        for pid in self.pids:
            os.waitpid(pid, 0)
        self.pids = []


def is_small(t, d):
    """How many MiB it has."""
    kib = process.memory_kib(d.pid)
    that(kib < t.memory_bound(SMALL_KIB), "the daemon has %d MiB" % (kib >> 10))
    return kib >> 10


def push(client, piece, most):
    """Writes the piece again and again, about so many bytes, until there is something to read. Whether there is."""
    left = most
    while left > 0:
        readable, writable, _ = select.select([client.socket], [client.socket], [], within(client.seconds))
        if readable or not writable:
            return bool(readable)
        left -= client.socket.send(piece)
    return False


def a_line_without_end(client):
    """100 MB without a newline: there is no reading on, and an answer."""
    that(push(client, b" " * 65536, 100 << 20), "an answer comes before all is read")
    eq(client.message()["error"]["data"]["code"], "too_large")


def a_byte_at_a_time(client):
    for byte in client.request("submit", task="noop", args=["x" * 100], delay=3600)[1]:
        client.socket.send(bytes([byte]))


def deep(client):
    client.raw(b'{"jsonrpc":"2.0","id":1,"method":"run","params":{"task":"noop","args":' + b"[" * 100000 + b"]" * 100000 + b"}}\n")
    eq(client.message()["error"]["code"], -32700)


def wide(client):
    client.raw(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":[' + b"{}," * 2000000 + b"{}]}}\n")
    that(client.message()["error"]["data"]["code"] in ("too_large", "busy"), "a refusal")


def gone_amid_it(client):
    """Leaves with half a request sent, and with replies on their way."""
    client.raw(client.request("status", id=1)[1] + b'{"jsonrpc":')
    client.readable(0.5)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def half_open(client):
    client.raw(client.request("await", id=2)[1])
    client.socket.shutdown(socket.SHUT_WR)
    client.readable(0.2)


def rubbish(client):
    client.raw((b"{" + os.urandom(4096).replace(b"\n", b"") + b"\n{}\n[]\n") * 64)


@options(deadline=300)
def test_all_at_once(t):
    """Lines without end, deep and wide JSON, bytes one by one, rubbish, silence, those who leave: a neighbour is answered."""
    d, c = t.serve(config={"log": {"level": "error"}})
    eq(c.run("noop", ["x" * (1 << 20)])["id"], 1)
    eq(c.submit("noop", delay=3600), 2)
    silent = [t.client() for _ in range(200)]
    abuse = Abuse(d)
    for harm in (a_line_without_end, a_byte_at_a_time, deep, wide, gone_amid_it, half_open, rubbish):
        abuse.begin(harm)
    neighbour, pings, most = t.client(seconds=60), [], 0
    try:
        while abuse.hear() < 1 or len(pings) < 100:
            pings += neighbour.pings(10)
            eq(neighbour.run("noop", ["x" * 3000])["state"], "succeeded")
            most = max(most, is_small(t, d))
    finally:
        abuse.end()
    for client in silent:
        client.send("ping")
    eq([client.answer(1) for client in silent], ["pong"] * len(silent), "those who were silent")
    wait_for(lambda: c.call("stats")["connections"] == len(silent) + 2, "the others are gone")
    t.figure("%d kinds of harm, done %d times; a neighbour's ping: %d, 99 of 100 within %.0f ms; the daemon: %d MiB at most"
             % (len(abuse.rounds), sum(abuse.rounds.values()), len(pings), percentile(pings, 99), most))


@options(deadline=300)
def test_half_lines(t):
    """Thirty clients send 15 MiB of a line and stop: those who have done nothing for longest are told busy, and others go on."""
    d, c = t.serve()
    talking, clients, most = t.client(), [], 0
    talking.raw(b'{"jsonrpc":"2.0","id":1,')
    for _ in range(30):
        clients.append(t.client())
        clients[-1].raw(b" " * (15 << 20))
        most = max(most, is_small(t, d))
        eq(c.call("ping"), "pong")
    for client in clients[:20]:
        error = client.message()["error"]
        eq((error["data"]["code"], error["data"]["retry_after"] > 0), ("busy", True))
        client.ended()
    that(clients[-1].silent(), "the last has room")
    clients[-1].raw(clients[-1].request("ping")[1])
    eq(clients[-1].message()["result"], "pong")
    talking.raw(b'"method":"ping"}\n')
    eq(talking.message()["result"], "pong", "a short line may stand as long as it likes")
    large = t.client()
    that(large.submit("noop", ["x" * (14 << 20)], delay=3600) > 0, "and a large one goes through")
    t.figure("the daemon: %d MiB at most" % most)


@options(deadline=300)
def test_the_deaf(t):
    """Clients that ask for MiBs and read nothing: those who have read nothing for longest are closed, one who reads slowly is not."""
    d, c = t.serve()
    eq(c.run("noop", ["x" * (1 << 20)])["id"], 1)
    slow = t.client(seconds=120)
    asked = [slow.send("status", id=1, fields=["args"]) for _ in range(60)]
    deaf, most = [], 0
    for i in range(30):
        deaf.append(t.client())
        deaf[-1].raw(deaf[-1].request("status", id=1)[1] * 8)
        eq(len(slow.answer(asked[i])["args"][0]), 1 << 20)
        eq(c.call("ping"), "pong")
        most = max(most, is_small(t, d))
    for one in asked[30:]:
        eq(slow.answer(one)["id"], 1)
    wait_for(lambda: "unread replies" in d.log(), "some are closed")
    contains(d.log(), "a connection of uid:%d" % t.uid)
    t.figure("%d of %d were closed by then; the daemon: %d MiB at most" % (d.log().count("unread replies"), len(deaf), most))
    for client in deaf:
        client.close()
    wait_for(lambda: c.call("stats")["connections"] == 2, "all are gone")


def read_on(readers, piece):
    """Reads so many bytes of each that has some; those that it was of."""
    ready = select.select([reader.socket for reader in readers], [], [], within(60))[0]
    that(ready, "something comes")
    moved = [reader for reader in readers if reader.socket in ready]
    for reader in moved:
        more = reader.socket.recv(piece)
        that(more, "one that reads is not closed")
        reader.buffer += more
    return moved


@options(deadline=600)
def test_many_readers(t):
    """Seven clients fetch 15 MiB each at once, in each of the ways there are, and read a little at a time: each gets all of it."""
    d, c = t.serve()
    size, most = 15 << 20, 0
    eq(c.submit("noop", ["x" * size]), 1)
    c.call("await", id=1, jobs=False, wait=within(60))
    for method, params in (("status", {"id": 1, "fields": ["result"]}), ("await", {"ids": [1], "fields": ["result"]}),
                           ("list", {"limit": 1, "fields": ["result"]}), ("watch", {"ids": [1], "fields": ["result"]})):
        readers = [t.client(seconds=120) for _ in range(7)]
        for reader in readers:
            reader.send(method, params)
        left = set(readers)
        while left:
            moved = read_on(left, 128 << 10)
            left -= {reader for reader in moved if len(reader.buffer) > size and reader.buffer.endswith(b"\n")}
            most = max(most, is_small(t, d))
        for reader in readers:
            that(b"x" * size in reader.buffer, method)
            reader.close()
    t.figure("the daemon: %d MiB at most" % most)
