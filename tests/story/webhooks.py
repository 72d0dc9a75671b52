"""
Webhooks: whoever a job names is told of its end: once it is durable, through crashes and a receiver that is down, and
with a bounded number of messages under way.
"""

import http.server
import json
import os
import socket
import socketserver
import sqlite3
import threading

from harness import eq, options, process, refused, that, wait_for, within

STRANGER = 19999
OPEN = {"listen": {"unix_mode": "0666"}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.receiver.take(self, body)

    def do_GET(self):
        self.server.receiver.take(self, b"")


class Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 200


class Receiver:
    """What is told to it, in order; `statuses` are what it answers first, then 200. `hold` keeps answers back."""

    def __init__(self, t, address="127.0.0.1", port=0):
        self.messages = []
        self.statuses = []
        self.location = None
        self.hold = threading.Event()
        self.hold.set()
        self.arrived = threading.Condition()
        self.now = self.most = 0
        self.server = Listener((address, port), Handler)
        self.server.receiver = self
        self.port = self.server.server_address[1]
        self.url = "http://%s:%d/done" % (address, self.port)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        t.keep(self)

    def take(self, handler, body):
        with self.arrived:
            self.now += 1
            self.most = max(self.most, self.now)
            self.messages.append((handler.command, handler.path, dict(handler.headers), body))
            status = self.statuses.pop(0) if self.statuses else 200
            self.arrived.notify_all()
        self.hold.wait(within(60))
        with self.arrived:
            self.now -= 1
        try:
            handler.send_response(status)
            if 300 <= status < 400:
                handler.send_header("Location", self.location)
            handler.send_header("Content-Length", "2")
            handler.end_headers()
            handler.wfile.write(b"ok")
        except OSError:
            handler.close_connection = True

    def wait(self, n, seconds=60):
        """The first n messages."""
        with self.arrived:
            that(self.arrived.wait_for(lambda: len(self.messages) >= n, within(seconds)),
                 "%d messages came, expected %d" % (len(self.messages), n))
            return self.messages[:n]

    def jobs(self):
        with self.arrived:
            return [json.loads(body)["id"] for _, _, _, body in self.messages]

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()


def settled(c, sent=None, failed=0):
    """Waits until nothing is to be sent any more."""
    wait_for(lambda: c.call("stats")["webhooks"]["pending"] == 0, "no webhook is left", 60)
    if sent is not None:
        told = c.call("stats")["webhooks"]
        eq((told["sent"], told["failed"]), (sent, failed))


def test_it_is_told(t):
    """A POST of the job object, as status shows it, with a key and a type, by submit, map and run."""
    receiver = Receiver(t)
    _, c = t.serve()
    job = c.call("run", task="noop", args=[1, "é"], label="x", webhook=receiver.url + "?a=b")
    (command, path, headers, body), = receiver.wait(1)
    eq((command, path), ("POST", "/done?a=b"))
    eq(json.loads(body), job)
    eq(json.loads(body), c.job(job["id"]))
    eq(headers["Content-Type"], "application/json")
    that(headers["Idempotency-Key"].endswith("-%d" % job["id"]) and len(headers["Idempotency-Key"]) > 20, "%r" % headers)
    that(headers["User-Agent"].startswith("futured/"), "%r" % headers)
    c.submit("noop", [2], webhook=receiver.url)
    told = c.call("map", task="noop", items=[[n] for n in range(5)], webhook=receiver.url)
    receiver.wait(7)
    settled(c, 7)
    eq(sorted(receiver.jobs()), list(range(job["id"], told["first"] + 5)))
    keys = {headers["Idempotency-Key"] for _, _, headers, _ in receiver.messages}
    eq(len(keys), 7, "a key for each job")
    c.run("noop", [3])
    eq(len(receiver.messages), 7, "no webhook, no message")


def test_each_kind_of_end(t):
    """Also a failure, a cancel while waiting or running, a time-out, an expired job and a failed parent's child are told."""
    receiver = Receiver(t)
    _, c = t.serve()
    gate = t.gate()
    waits = c.submit("noop", delay=3600, webhook=receiver.url)
    runs = c.submit("exec", {"argv": gate.argv()}, webhook=receiver.url)
    gate.started()
    eq(c.call("cancel", id=waits)["cancelled"], True)
    eq(c.call("cancel", id=runs, grace=0)["cancelled"], True)
    fails = c.run("exec", {"argv": ["/bin/false"]}, webhook=receiver.url)
    late = c.run("time.sleep", [600], timeout=0.05, webhook=receiver.url)
    expires = c.submit("noop", delay=3600, expires=0.05, webhook=receiver.url)
    child = c.submit("noop", after=[fails["id"]], webhook=receiver.url)
    receiver.wait(6)
    settled(c, 6)
    told = {json.loads(body)["id"]: json.loads(body) for _, _, _, body in receiver.messages}
    for ident, state in ((waits, "cancelled"), (runs, "cancelled"), (fails["id"], "failed"), (late["id"], "failed"),
                         (expires, "failed"), (child, "failed")):
        eq(told[ident]["state"], state)
        eq(told[ident], c.job(ident))
    eq([told[ident]["error"]["type"] for ident in (expires, child)], ["Expired", "DependencyFailed"])


def test_bad_urls(t):
    """What is no http or https URL is refused, with the parameter's name, and nothing is submitted."""
    _, c = t.serve()
    for bad in ("nonsense", "example.org", "http://", "https://", "http:///x", "https:////x", "file:///etc/passwd", "ftp://example.org/", "http:// x/", "/path",
                "http://example.org:99999/", "javascript:x", "http://exa mple.org/", "http://a/\nb", 7, ["http://a/"],
                "http://example.org/" + "x" * 5000):
        for method, more in (("submit", {}), ("run", {}), ("map", {"items": [[1]]})):
            eq(refused("bad_params", c.call, method, task="noop", webhook=bad, **more)["data"]["param"], "webhook", repr(bad))
    eq(c.call("list")["jobs"], [])


def test_a_key_tells_them_apart(t):
    """Another webhook is another payload."""
    receiver = Receiver(t)
    _, c = t.serve()
    first = c.call("submit", task="noop", key="k", webhook=receiver.url)
    eq(c.call("submit", task="noop", key="k", webhook=receiver.url), {"id": first["id"], "existing": True})
    refused("key_conflict", c.call, "submit", task="noop", key="k")
    refused("key_conflict", c.call, "submit", task="noop", key="k", webhook=receiver.url + "/other")


def test_it_is_tried_again(t):
    """Whatever is not 2xx is tried again, with the same key and the same body; 2xx is not."""
    receiver = Receiver(t)
    receiver.statuses = [500, 404, 204]
    _, c = t.serve()
    job = c.run("noop", [1], webhook=receiver.url)
    messages = receiver.wait(3)
    settled(c, 1)
    eq(len({headers["Idempotency-Key"] for _, _, headers, _ in messages}), 1, "one key")
    eq({body for _, _, _, body in messages}, {messages[0][3]})
    eq(json.loads(messages[0][3])["id"], job["id"])
    eq(len(receiver.messages), 3)


def test_a_receiver_that_is_down(t):
    """While the receiver is down jobs go on and it is told of all when it is up; others are told meanwhile."""
    port, other = t.free_port(), Receiver(t)
    _, c = t.serve()
    url = "http://127.0.0.1:%d/done" % port
    told = c.call("map", task="noop", items=[[n] for n in range(30)], webhook=url)
    eq(c.call("await", ids=["1-30"], wait=within(60), jobs=False)["counts"]["succeeded"], 30)
    for n in range(5):
        c.run("noop", [n], webhook=other.url)
    other.wait(5)
    that(c.call("stats")["webhooks"]["pending"] >= 30, "they wait")
    receiver = Receiver(t, port=port)
    receiver.wait(30, 120)
    settled(c, 35)
    eq(sorted(receiver.jobs()), list(range(told["first"], told["first"] + 30)), "each once")


@options(deadline=400)
def test_one_that_never_answers(t):
    """A receiver that takes connections and never answers does not keep others from being told."""
    silent = t.keep(socket.create_server(("127.0.0.1", 0), backlog=100))
    other = Receiver(t)
    _, c = t.serve()
    c.call("map", task="noop", items=[[n] for n in range(400)], webhook="http://127.0.0.1:%d/" % silent.getsockname()[1])
    eq(c.call("await", ids=["1-400"], wait=within(60), jobs=False)["counts"]["succeeded"], 400)
    c.run("noop", webhook=other.url)
    other.wait(1, 80)  # the first 16 take 30 s, all of them one after the other would take 12 minutes


def test_killed_in_between(t):
    """The daemon is killed while it tells, and while the receiver is down: the next one tells, with the same key."""
    receiver = Receiver(t)
    receiver.hold.clear()
    d, c = t.serve()
    job = c.run("noop", [1], webhook=receiver.url)
    receiver.wait(1)
    d.restart()
    receiver.hold.set()
    first, second = receiver.wait(2)
    eq(first[2]["Idempotency-Key"], second[2]["Idempotency-Key"])
    eq(first[3], second[3])
    c = t.client()
    settled(c, 1)
    eq(json.loads(second[3]), c.job(job["id"]))

    port = t.free_port()
    jobs = [c.run("noop", [n], webhook="http://127.0.0.1:%d/done" % port)["id"] for n in range(3)]
    d.restart()
    receiver = Receiver(t, port=port)
    receiver.wait(3)
    settled(t.client())
    eq(sorted(set(receiver.jobs())), jobs)


def test_lost_jobs_are_told(t):
    """What recovery ends is told too."""
    receiver = Receiver(t)
    d, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv()}, webhook=receiver.url)
    gate.started()
    d.restart()
    (_, _, _, body), = receiver.wait(1)
    eq((json.loads(body)["id"], json.loads(body)["error"]["type"]), (ident, "Lost"))
    eq(json.loads(body), t.client().job(ident))


def test_shutdown_leaves_them(t):
    """SIGTERM does not wait for a receiver; what was not told is told by the next daemon."""
    receiver = Receiver(t)
    receiver.hold.clear()
    d, c = t.serve()
    told = c.call("map", task="noop", items=[[n] for n in range(40)], webhook=receiver.url)
    eq(c.call("await", ids=["1-40"], wait=within(60), jobs=False)["counts"]["succeeded"], told["count"])
    receiver.wait(1)
    d.stop()
    that(len(receiver.messages) < 40, "not all were under way")
    receiver.hold.set()
    d.start()
    settled(t.client())
    eq(sorted(set(receiver.jobs())), list(range(1, 41)))


@options(deadline=300)
def test_many(t):
    """Two thousand are all told, a few at a time, and memory is not theirs."""
    receiver = Receiver(t)
    receiver.hold.clear()
    d, c = t.serve()
    c.run("noop")
    before = memory(d)
    c.call("map", task="noop", items=[["x" * 2000]] * 2000, webhook=receiver.url)
    eq(c.call("await", ids=["2-2001"], wait=within(120), jobs=False)["counts"]["succeeded"], 2000)
    receiver.wait(16)
    busy(c)
    eq(receiver.now, 16, "under way while none is answered")
    receiver.hold.set()
    receiver.wait(2000, 240)
    settled(c, 2000)
    that(receiver.most <= 16, "%d at once" % receiver.most)
    eq(sorted(receiver.jobs()), list(range(2, 2002)), "each once")
    that(memory(d) - before < t.memory_bound(24 << 10), "grew by %d KiB" % (memory(d) - before))


def busy(c):
    """Time in which the daemon could do more than it should."""
    for n in range(200):
        c.run("noop", [n])


def memory(d):
    """KiB of the daemon's own."""
    return int(process.read(d.pid, "status").split(b"VmRSS:")[1].split()[0])


def test_large_jobs(t):
    """Long job objects go one after the other."""
    receiver = Receiver(t)
    receiver.hold.clear()
    _, c = t.serve()
    for _ in range(4):
        c.run("noop", ["x" * 2200000], webhook=receiver.url)
    receiver.wait(1)
    busy(c)
    eq(receiver.now, 1, "under way while none is answered")
    receiver.hold.set()
    receiver.wait(4)
    settled(c, 4)
    eq([len(json.loads(body)["result"][0]) for _, _, _, body in receiver.messages], [2200000] * 4)


def test_retention_spares_them(t):
    """A job that is to be forgotten at once is there until its webhook is told, and then it goes."""
    port = t.free_port()
    d, c = t.serve()
    job = c.run("noop", [1], retain=0, webhook="http://127.0.0.1:%d/done" % port)
    plain = c.run("noop", [2], retain=0)
    wait_for(lambda: c.call("status", ids=["%d-%d" % (plain["id"], plain["id"] + 1), job["id"]]) == [c.job(job["id"])]
             if c.call("list")["jobs"][-1]["id"] == job["id"] else False, "the plain one is forgotten")
    receiver = Receiver(t, port=port)
    (_, _, _, body), = receiver.wait(1)
    eq(json.loads(body), job)
    wait_for(lambda: c.call("list")["jobs"] == [], "the other one too")


def test_forget_and_retry(t):
    """What is forgotten is not told any more; a job by retry is told of like the first one."""
    port = t.free_port()
    _, c = t.serve()
    url = "http://127.0.0.1:%d/done" % port
    first, second = (c.run("exec", {"argv": ["/bin/false"]}, webhook=url)["id"] for _ in range(2))
    again = c.call("retry", id=second)["new"]
    c.ended_job(again)
    eq(c.call("forget", id=first)["forgotten"], True)
    eq(c.call("stats")["webhooks"]["pending"], 2)
    receiver = Receiver(t, port=port)
    receiver.wait(2)
    settled(c)
    eq(sorted(receiver.jobs()), [second, again])


def test_given_up(t):
    """After forty tries it is given up: logged and counted."""
    port = t.free_port()
    d, c = t.serve()
    job = c.run("noop", [1], webhook="http://127.0.0.1:%d/done" % port)
    wait_for(lambda: c.call("stats")["webhooks"]["pending"] == 1, "it waits")
    d.stop()
    with sqlite3.connect(os.path.join(d.state, "futured.db")) as db:
        eq(db.execute("UPDATE webhook SET tries = 39, run_at = 0").rowcount, 1)
    db.close()
    d.start()
    settled(t.client(), 0, 1)
    that("job=%d: its webhook is given up after 40 tries" % job["id"] in d.log(), "the log tells it: %s" % d.log())


def test_skipped_is_not_tried(t):
    """Those that are put off because the receiver did not answer others have not been tried: they are told once it is up."""
    port, n = t.free_port(), 40
    d, c = t.serve()
    for i in range(n):
        c.run("noop", [i], webhook="http://127.0.0.1:%d/done" % port)
    wait_for(lambda: c.call("stats")["webhooks"]["pending"] == n, "they wait")
    d.stop()
    with sqlite3.connect(os.path.join(d.state, "futured.db")) as db:
        eq(db.execute("UPDATE webhook SET tries = 39, run_at = 0").rowcount, n)
    db.close()
    d.start()
    c = t.client()
    wait_for(lambda: c.call("stats")["webhooks"]["failed"] > 0, "the first have had their last try")
    receiver = Receiver(t, port=port)
    settled(c)
    told = c.call("stats")["webhooks"]
    eq((told["sent"] + told["failed"], told["sent"]), (n, len(receiver.messages)))
    that(told["sent"] > 0, "%d were given up: at most sixteen at once and one at a time have been tried" % told["failed"])


def test_redirects(t):
    """A redirect is followed, still as a POST."""
    receiver, other = Receiver(t), Receiver(t)
    receiver.location = other.url + "/there"
    receiver.statuses = [302, 307, 308]
    _, c = t.serve()
    for n in range(3):
        c.run("noop", [n], webhook=receiver.url)
        other.wait(n + 1)
    settled(c, 3)
    for command, path, headers, body in other.messages:
        eq((command, path), ("POST", "/done/there"))
        that("Idempotency-Key" in headers and json.loads(body)["state"] == "succeeded", "%r" % headers)
    receiver.location = "file:///etc/passwd"
    receiver.statuses = [302]
    c.run("noop", webhook=receiver.url)
    settled(c, 4)


@options(root=True)
def test_a_user_is_kept_from_the_inside(t):
    """For a user loopback and link-local receivers are forbidden, however written, unless [http] local; not for an operator."""
    receiver = Receiver(t)
    d = t.daemon(config=OPEN)
    c = t.client(uid=STRANGER)
    for url in ("http://127.0.0.1:%d/", "http://localhost:%d/", "http://[::1]:%d/", "http://169.254.169.254:%d/",
                "http://[fe80::1]:%d/", "http://[::ffff:127.0.0.1]:%d/", "http://0.0.0.0:%d/", "HTTP://user@LOCALHOST:%d/",
                "http://127.1:%d/", "http://0x7f000001:%d/"):
        for method, more in (("submit", {}), ("run", {}), ("map", {"items": [[1]]})):
            refused("forbidden", c.call, method, task="noop", webhook=url % receiver.port, **more)
    eq(c.call("list")["jobs"], [])
    t.client().run("noop", webhook=receiver.url)
    receiver.wait(1)
    d.stop()
    d.configure(dict(OPEN, http={"local": "yes"}))
    d.start()
    t.client(uid=STRANGER).run("noop", webhook=receiver.url)
    receiver.wait(2)


def outside_address():
    """An address of this machine that is not loopback, or None."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        probe.connect(("192.0.2.1", 9))
        address = probe.getsockname()[0]
        return None if address.startswith("127.") or address.startswith("169.254.") else address
    except OSError:
        return None
    finally:
        probe.close()


@options(root=True)
def test_a_redirect_to_the_inside(t):
    """A user's webhook is not led to loopback by a redirect."""
    address = outside_address()
    if address is None:
        return
    inside, outside = Receiver(t), Receiver(t, address)
    outside.location = inside.url
    outside.statuses = [307]
    t.daemon(config=OPEN)
    job = t.client(uid=STRANGER).run("noop", webhook=outside.url)
    outside.wait(2)  # the second try is not redirected
    settled(t.client(), 1)
    eq(inside.messages, [])
    eq(outside.jobs(), [job["id"]] * 2)
    outside.statuses = [307]
    t.client().run("noop", webhook=outside.url)
    inside.wait(1)
