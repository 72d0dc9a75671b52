"""
A client of the contract: JSON-RPC 2.0, one value a line, over a Unix socket or TCP.

It checks of every reply that it is a proper one. Replies may come in any order: what is not asked for yet is kept.
"""

import collections
import json
import select
import socket
import ssl
import threading
import time

from .check import SCALE, Failed, after, shown, within

WORDS = {-32700: None, -32600: None, -32601: None, -32602: "bad_params", -32603: None, -32001: "not_found",
         -32002: "unauthenticated", -32003: "forbidden", -32004: "busy", -32005: "too_large", -32006: "no_such_task",
         -32007: "key_conflict", -32008: "storage_full", -32009: "outcome_unknown", -32010: "shutting_down"}


class Refused(Exception):
    """An error reply."""

    def __init__(self, error):
        super().__init__("%s %s %s" % (error["code"], error["message"], shown(error.get("data"))))
        self.error = error
        self.code = error["code"]
        self.data = error.get("data") or {}
        self.word = self.data.get("code")


class Closed(Exception):
    """The server closed the connection."""


def pairs(items):
    seen = dict(items)
    if len(seen) != len(items):
        raise Failed("duplicate members in a reply: %s" % shown(items))
    return seen


def no_constant(name):
    raise Failed("%s in a reply" % name)


def check_error(error):
    if set(error) - {"code", "message", "data"} or not isinstance(error.get("message"), str):
        raise Failed("not an error object: %s" % shown(error))
    code = error["code"]
    if code not in WORDS:
        raise Failed("an error code outside the contract: %s" % shown(error))
    word = (error.get("data") or {}).get("code")
    if WORDS[code] and word != WORDS[code]:
        raise Failed("error.data.code is not the word for %d: %s" % (code, shown(error)))


def check_reply(reply):
    if reply.get("jsonrpc") != "2.0":
        raise Failed("not JSON-RPC 2.0: %s" % shown(reply))
    if "method" in reply:
        return
    if "id" not in reply or ("result" in reply) == ("error" in reply) or len(reply) != 3:
        raise Failed("not a proper reply: %s" % shown(reply))
    if "error" in reply:
        check_error(reply["error"])


def first_word(client):
    """What a new connection is told: the reply to a ping, or the error with which it was refused; None: it was only closed."""
    try:
        client.send("ping")
    except Closed:
        pass  # what the daemon has said before it closed can be read all the same
    try:
        return client.message()
    except (Closed, OSError):
        return None


class Client:
    """One connection. `call` for the common case; `send` and `answer` to pipeline; `raw` for what no client would send."""

    def __init__(self, address, seconds=30, tls=None):
        """`tls` is an ssl.SSLContext, for an address that wants it."""
        self.seconds = seconds
        self.buffer = bytearray()
        self.kept = {}
        self.events = collections.deque()
        self.last_id = 0
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.socket.connect(address)
            self.socket.settimeout(within(seconds))
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def raw(self, data):
        """Bytes as they are."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed() from None

    def readable(self, seconds):
        """Something has come, or comes within so long; what TLS has decrypted already no poll() sees."""
        poll = select.poll()  # select() knows no descriptors over 1,023
        poll.register(self.socket, select.POLLIN)
        return getattr(self.socket, "pending", int)() > 0 or bool(poll.poll(max(0, seconds) * 1000))

    def line(self, seconds=None):
        """The next line, without its end."""
        until = after(seconds or self.seconds)
        start = 0
        while True:
            end = self.buffer.find(b"\n", start)
            if end >= 0:
                line = bytes(self.buffer[:end])
                del self.buffer[:end + 1]
                return line
            start = len(self.buffer)
            left = until - time.monotonic()
            if left <= 0:
                raise Failed("no reply within %g s" % within(seconds or self.seconds))
            if not self.readable(left):
                continue
            try:
                more = self.socket.recv(1 << 18)
            except (ConnectionResetError, ssl.SSLError):
                raise Closed() from None
            if not more:
                if self.buffer:
                    raise Failed("the connection ended within a line: %s" % shown(bytes(self.buffer)))
                raise Closed()
            self.buffer += more

    def message(self, seconds=None):
        """The next message: a reply, a notification or an array of replies."""
        line = self.line(seconds)
        try:
            value = json.loads(line.decode("utf-8"), object_pairs_hook=pairs, parse_constant=no_constant)
        except ValueError as wrong:
            raise Failed("a reply that is not JSON (%s): %s" % (wrong, shown(line))) from None
        for reply in value if isinstance(value, list) else [value]:
            check_reply(reply)
        return value

    def request(self, method, params=None, **more):
        """The bytes of a request, with an id of its own; returns (id, bytes)."""
        self.last_id += 1
        body = {"jsonrpc": "2.0", "id": self.last_id, "method": method}
        params = dict(params or {}, **more)
        if params:
            body["params"] = params
        return self.last_id, json.dumps(body, separators=(",", ":")).encode() + b"\n"

    def send(self, method, params=None, **more):
        """Sends a request and returns its id."""
        ident, data = self.request(method, params, **more)
        self.raw(data)
        return ident

    def notify(self, method, **params):
        self.raw(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n")

    def reply(self, ident, seconds=None):
        """The whole reply to the request `ident`."""
        while ident not in self.kept:
            message = self.message(seconds)
            if isinstance(message, dict) and "method" in message:
                self.events.append(message)
            elif isinstance(message, dict) and isinstance(message["id"], (int, str)):
                self.kept[message["id"]] = message
            else:
                raise Failed("an unexpected message while waiting for %r: %s" % (ident, shown(message)))
        return self.kept.pop(ident)

    def answer(self, ident, seconds=None):
        """The result of the request `ident`, or Refused."""
        reply = self.reply(ident, seconds)
        if "error" in reply:
            raise Refused(reply["error"])
        return reply["result"]

    def call(self, method, params=None, **more):
        """The result; patient for as long as the call itself may wait."""
        wait = dict(params or {}, **more).get("wait")
        patience = self.seconds + (wait / SCALE if isinstance(wait, (int, float)) else 0)
        return self.answer(self.send(method, params, **more), patience)

    def pings(self, count):
        """How many milliseconds the answer to each of so many takes."""
        took = []
        for _ in range(count):
            began = time.monotonic()
            if self.call("ping") != "pong":
                raise Failed("another answer to a ping")
            took.append(1000 * (time.monotonic() - began))
        return took

    def silent(self, seconds=0.2):
        """Nothing comes for so long; only ever used to show that something is not there yet."""
        if not self.readable(within(seconds)):
            return not self.buffer
        more = self.socket.recv(1 << 16)
        if not more:
            raise Closed()
        self.buffer += more
        return False

    def ended(self, seconds=None):
        """The server closes, and nothing comes before that."""
        try:
            line = self.line(seconds)
        except Closed:
            return
        raise Failed("expected the end of the connection, saw %s" % shown(line))

    # The verbs that nearly every story uses.

    def submit(self, task, args=None, **params):
        """Returns the id."""
        if args is not None:
            params["args"] = args
        return self.call("submit", params, task=task)["id"]

    def run(self, task, args=None, **params):
        """Returns the ended job."""
        if args is not None:
            params["args"] = args
        return self.call("run", params, task=task)

    def job(self, ident):
        return self.call("status", id=ident)

    def listed(self, **params):
        """Every job of a listing. A page may be shorter than its limit: a busy machine ends it early."""
        jobs, after = [], None
        while True:
            page = self.call("list", dict(params, **({} if after is None else {"after": after})))
            jobs += page["jobs"]
            after = page["next"]
            if after is None:
                return jobs

    def pour(self, lines, replies):
        """Writes the bytes while it reads so many messages: neither side waits for the other. Returns the messages."""
        failed = []

        def write():
            try:
                self.socket.sendall(lines)
            except OSError as wrong:
                failed.append(wrong)
        self.socket.settimeout(within(self.seconds))
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        messages = [self.message() for _ in range(replies)]
        writer.join(within(self.seconds))
        if failed:
            raise Failed("the requests could not be written: %s" % failed[0])
        return messages

    def wait(self, *ids, wait=60, fields=None):
        """All of them have ended; their job objects in the order asked."""
        told = self.call("await", ids=list(ids), wait=within(wait), jobs=False)
        if told["timed_out"]:
            raise Failed("the jobs %s did not end: %s" % (ids, told["counts"]))
        return self.call("status", {"fields": fields} if fields else {}, ids=list(ids))

    def ended_job(self, ident, **how):
        return self.wait(ident, **how)[0]
