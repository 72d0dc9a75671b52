"""
The tasks that every daemon has: right results, and what they say of themselves.
"""

import base64
import hashlib
import http.server
import os
import threading
import time

from harness import contains, eq, error_of, process, that, wait_for, within

LANES = {"noop": "cpu", "noop.io": "io", "math.factorize": "cpu", "math.is_prime": "cpu", "file.sha256": "cpu", "exec": "cpu",
         "http.fetch": "io", "time.sleep": "io", "net.resolve": "io", "file.read": "io"}
PURE = {"noop", "noop.io", "math.factorize", "math.is_prime", "time.sleep"}


def test_tasks(t):
    """tasks tells each task's lane, whether it is idempotent and pure, what it does and its parameters."""
    _, c = t.serve()
    tasks = {task["task"]: task for task in c.call("tasks")}
    eq({name: task["lane"] for name, task in tasks.items() if name in LANES}, LANES)
    for name, task in tasks.items():
        that({"task", "lane", "idempotent", "pure", "doc", "params"} <= set(task), "%r" % task)
        that(isinstance(task["doc"], str) and task["doc"], "%s has a sentence" % name)
        that(isinstance(task["params"], list), "%r" % task)
        if name in LANES:
            eq(task["pure"], name in PURE, name)
            eq(task["idempotent"], name != "exec" and (name != "http.fetch" or task["idempotent"]), name)

    def names(task):
        return [param["name"] for param in tasks[task]["params"]]
    eq([name for name in names("exec") if name != "stdin_encoding"], ["argv", "cwd", "env", "stdin", "umask"])
    for task, params in (("math.factorize", ["n"]), ("file.sha256", ["path"]), ("net.resolve", ["name"]), ("time.sleep", ["seconds"])):
        eq(names(task), params, task)


def test_noop(t):
    """noop and noop.io give back their arguments."""
    _, c = t.serve()
    for task in ("noop", "noop.io"):
        for args in ([], {}, [1, [2, {"x": None}]], {"a": "é"}):
            job = c.run(task, args)
            eq((job["result"], job["lane"]), (args, LANES[task]))


def test_a_worker_does_it(t):
    """Every cpu task runs in a worker process of the daemon, every I/O task in none."""
    d, c = t.serve()
    workers = {worker["pid"] for worker in c.call("stats")["workers"]}
    for task, args in (("noop", []), ("math.factorize", [15]), ("math.is_prime", [7]), ("file.sha256", ["/etc/passwd"]),
                       ("exec", {"argv": ["/bin/true"]})):
        pid = c.run(task, args)["usage"]["worker"]
        that(pid in d.tree() and pid not in (d.pid,), "%s ran in %r" % (task, pid))
        that(pid in workers or pid in {worker["pid"] for worker in c.call("stats")["workers"]}, "a worker told by stats")
    eq(c.run("noop.io")["usage"]["worker"], None)


def test_factorize(t):
    """math.factorize gives the prime factors, rising, with repetition, up to 2^63 - 1."""
    _, c = t.serve()
    cases = {2: [2], 3: [3], 4: [2, 2], 97: [97], 360: [2, 2, 2, 3, 3, 5], 600851475143: [71, 839, 1471, 6857],
             2 ** 62: [2] * 62, 2 ** 63 - 1: [7, 7, 73, 127, 337, 92737, 649657], 999983 ** 3: [999983] * 3,
             1000003 * 1000033: [1000003, 1000033], 3 ** 39: [3] * 39, 4294967291 * 2: [2, 4294967291]}
    told = c.call("map", task="math.factorize", items=[[n] for n in cases])
    for job, factors in zip(c.wait(*range(told["first"], told["first"] + told["count"])), cases.values()):
        eq(job["result"], factors, "factors of %r" % job["args"])
    eq(c.run("math.factorize", {"n": 91})["result"], [7, 13])


def test_factorize_many(t):
    """The factors of many numbers multiply to them again, and each is prime."""
    _, c = t.serve()
    numbers = [n * n * 7919 + n for n in range(2, 2000, 7)]
    told = c.call("map", task="math.factorize", items=[[n] for n in numbers])
    for n, job in zip(numbers, c.wait(*range(told["first"], told["first"] + told["count"]))):
        product = 1
        for factor in job["result"]:
            that(all(factor % k for k in range(2, int(factor ** 0.5) + 1)) if factor < 10 ** 8 else True, "%d is prime" % factor)
            product *= factor
        eq(product, n)
        eq(job["result"], sorted(job["result"]))


def test_is_prime(t):
    """math.is_prime is right at the ends of its range and for strong pseudoprimes."""
    _, c = t.serve()
    cases = {0: False, 1: False, 2: True, 3: True, 4: False, 561: False, 3215031751: False, 3825123056546413051: False,
             2 ** 31 - 1: True, 2 ** 61 - 1: True, 2 ** 63 - 1: False, 9223372036854775783: True, 341550071728321: False,
             18014398509481951: True, 4295098369: False, 25: False, 999999000001: True}
    told = c.call("map", task="math.is_prime", items=[{"n": n} for n in cases])
    for job, prime in zip(c.wait(*range(told["first"], told["first"] + told["count"])), cases.values()):
        eq(job["result"], prime, "%r" % job["args"])


def test_sha256(t):
    """file.sha256 gives the hash and the length, of empty, small and large files."""
    _, c = t.serve()
    for name, data in (("empty", b""), ("small", b"abc"), ("large", os.urandom(5000001)), ("näme with space", b"x")):
        path = t.write(name, data)
        eq(c.run("file.sha256", [path])["result"], {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)})
    eq(c.run("file.sha256", {"path": t.path("small")})["state"], "succeeded")


def test_files_that_are_not_there(t):
    """A file that is missing, a folder or not readable is a TaskError that says which."""
    _, c = t.serve()
    closed = t.write("closed", "x")
    os.chmod(closed, 0)
    for task in ("file.sha256", "file.read"):
        for path, said in (("/no/such/file", "No such file"), (t.folder, "directory"), (closed, "Permission denied")):
            job = c.run(task, [path])
            error = error_of(job, "TaskError")
            that(said in error["message"] and path in error["message"], "%s: %r" % (task, error["message"]))
            eq(job["attempt"], 1, "a TaskError is not tried again unless asked")


def test_files_of_a_folder_that_is_not_known(t):
    """A path that is not absolute is BadArguments, and the error says so: of whose folder would it be?"""
    _, c = t.serve()
    t.write("here", "x")
    for task in ("file.sha256", "file.read"):
        for path in ("here", "./here", "etc/hostname", ""):
            contains(error_of(c.run(task, [path]), "BadArguments")["message"], 'path must be absolute, and "%s" is not' % path)
    contains(t.ctl("run", "file.sha256", "here", cwd=t.folder, status=1).err, "path must be absolute")


def test_file_read(t):
    """file.read gives text as text, bytes as base64, and refuses or cuts what is over max_bytes by saying so."""
    _, c = t.serve()
    eq(c.run("file.read", [t.write("text", "é\n")])["result"], {"bytes": 3, "body": "é\n", "encoding": "utf-8"})
    eq(c.run("file.read", [t.write("bytes", b"\x00\xff")])["result"], {"bytes": 2, "body": "AP8=", "encoding": "base64"})
    eq(c.run("file.read", [t.write("none", "")])["result"], {"bytes": 0, "body": "", "encoding": "utf-8"})
    large = t.write("large", b"z" * 200000)
    eq(c.run("file.read", {"path": large, "max_bytes": 200000})["result"]["bytes"], 200000)
    job = c.run("file.read", {"path": large, "max_bytes": 1000})
    if job["state"] == "succeeded":
        that(len(job["result"]["body"]) <= 1000, "no more than max_bytes")
    else:
        that(job["error"]["type"] in ("TaskError", "ResultTooLarge"), "%r" % job["error"])


def test_result_too_large(t):
    """A result over [limits] result fails the job with ResultTooLarge."""
    _, c = t.serve(config={"limits": {"result": "10000"}})
    large = t.write("large", b"z" * 20000)
    job = c.run("file.read", [large])
    error_of(job, "ResultTooLarge")
    job = c.run("noop", ["x" * 20000])
    error_of(job, "ResultTooLarge")
    eq(job["attempt"], 1)
    eq(c.run("noop", ["x" * 5000])["state"], "succeeded")


def test_sleep(t):
    """time.sleep sleeps so long and gives back how long."""
    _, c = t.serve()
    for seconds in (0, 0.05, 1):
        began = time.monotonic()
        job = c.run("time.sleep", [seconds])
        eq((job["state"], job["result"]), ("succeeded", seconds))
        that(time.monotonic() - began >= seconds, "it slept")


def test_thousands_of_sleeps(t):
    """Five thousand sleeps hold no threads: all run at once."""
    d, c = t.serve(threads=2)
    told = c.call("map", task="time.sleep", items=[[600]] * 5000)
    wait_for(lambda: c.call("await", ids=["1-5000"], wait=0, jobs=False)["counts"].get("running") == 5000, "all sleep", 60)
    threads = int(process.read(d.pid, "status").split(b"Threads:")[1].split()[0])
    that(threads < 20, "%d threads for 5000 sleeps" % threads)
    eq(c.run("noop.io", [1])["result"], [1], "threads are free")
    c.call("cancel", ids=["1-5000"])
    eq(c.call("await", ids=["1-5000"], wait=within(60), jobs=False)["counts"]["cancelled"], told["count"])


def test_waits_are_bounded(t):
    """No more than [io] waits wait at once; the next ones follow."""
    _, c = t.serve(config={"io": {"waits": "10"}})
    c.call("map", task="time.sleep", items=[[600]] * 11)
    wait_for(lambda: c.call("await", ids=["1-11"], wait=0, jobs=False)["counts"].get("running") == 10, "ten sleep")
    eq(c.job(11)["state"], "pending")
    c.call("cancel", id=3)
    wait_for(lambda: c.job(11)["state"] == "running", "the eleventh follows")
    c.call("cancel", ids=["1-11"])
    c.call("await", ids=["1-11"], wait=within(60))


def test_resolve(t):
    """net.resolve gives addresses, and fails with a TaskError for a name that is none."""
    _, c = t.serve()
    addresses = c.run("net.resolve", ["localhost"])["result"]
    that("127.0.0.1" in addresses or "::1" in addresses, "%r" % addresses)
    eq(c.run("net.resolve", {"name": "127.0.0.1"})["result"], ["127.0.0.1"])
    error_of(c.run("net.resolve", ["no-such-name.invalid"], max_attempts=1), "TaskError")


class Site(http.server.BaseHTTPRequestHandler):
    """What the fetches below ask."""
    protocol_version = "HTTP/1.1"
    gate = None

    def log_message(self, *_):
        pass

    def answer(self, status=200, body=b"hello", kind="text/plain", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        if self.path == "/text":
            self.answer(body="héllo".encode(), X_Mark="marked")
        elif self.path == "/bytes":
            self.answer(body=b"\x00\xff\x00", kind="application/octet-stream")
        elif self.path == "/missing":
            self.answer(404, b"none here")
        elif self.path == "/again":
            self.answer(302, b"", Location="/text")
        elif self.path == "/file":
            self.answer(302, b"", Location="file:///etc/passwd")
        elif self.path == "/large":
            self.answer(body=b"x" * 300000)
        elif self.path == "/headers":
            self.answer(body=("%s|%s" % (self.headers.get("X-Given"), self.headers.get("Host"))).encode())
        elif self.path == "/hang":
            self.server.hanging.wait(60)
            self.close_connection = True
        elif self.path == "/meet":
            # answered only once as many are here at the same time
            try:
                self.server.meeting.wait(60)
                self.answer(body=b"met")
            except threading.BrokenBarrierError:
                self.answer(500, b"alone")

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.answer(body=self.command.encode() + b" " + body)

    do_PUT = do_POST


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 500


def site(t):
    """A server of the story's own; the address."""
    server = Server(("127.0.0.1", 0), Site)
    server.hanging = threading.Event()
    server.meeting = threading.Barrier(200)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    class Closing:
        @staticmethod
        def close():
            server.hanging.set()
            server.shutdown()
            server.server_close()
    t.keep(Closing)
    return server, "http://127.0.0.1:%d" % server.server_address[1]


def test_fetch(t):
    """http.fetch gives status, headers, length and body; any status is a success."""
    _, url = site(t)
    _, c = t.serve()
    result = c.run("http.fetch", [url + "/text"])["result"]
    eq((result["status"], result["bytes"], result["body"], result["encoding"]), (200, 6, "héllo", "utf-8"))
    headers = {name.lower(): value for name, value in result["headers"].items()}
    eq((headers["x-mark"], headers["content-type"]), ("marked", "text/plain"))
    result = c.run("http.fetch", [url + "/bytes"])["result"]
    eq((base64.b64decode(result["body"]), result["encoding"], result["bytes"]), (b"\x00\xff\x00", "base64", 3))
    result = c.run("http.fetch", [url + "/missing"])["result"]
    eq((result["status"], result["body"]), (404, "none here"))
    eq(c.run("http.fetch", [url + "/again"])["result"]["body"], "héllo")
    eq(c.run("http.fetch", {"url": url + "/text", "method": "HEAD"})["result"]["status"], 200)


def test_fetch_sends(t):
    """http.fetch sends method, headers and body as given."""
    _, url = site(t)
    _, c = t.serve()
    eq(c.run("http.fetch", {"url": url + "/x", "method": "POST", "body": "päyload"})["result"]["body"], "POST päyload")
    job = c.run("http.fetch", {"url": url + "/x", "method": "PUT", "body": "eA==", "body_encoding": "base64"})
    eq(job["result"]["body"], "PUT x")
    said = c.run("http.fetch", {"url": url + "/headers", "headers": {"X-Given": "as given"}})["result"]["body"]
    that(said.startswith("as given|127.0.0.1"), "%r" % said)


def test_fetch_idempotence(t):
    """A GET may be tried again, a POST may not."""
    _, url = site(t)
    _, c = t.serve()
    eq(c.run("http.fetch", [url + "/text"])["max_attempts"], 3)
    eq(c.run("http.fetch", {"url": url + "/text", "method": "HEAD"})["max_attempts"], 3)
    eq(c.run("http.fetch", {"url": url + "/x", "method": "POST", "body": ""})["max_attempts"], 1)


def test_fetch_limits(t):
    """A body over max_bytes is not taken in whole; only http and https are spoken, also after a redirect."""
    _, url = site(t)
    _, c = t.serve()
    job = c.run("http.fetch", {"url": url + "/large", "max_bytes": 1000})
    if job["state"] == "succeeded":
        that(len(job["result"]["body"]) <= 1000, "no more than max_bytes")
    else:
        that(job["error"]["type"] in ("TaskError", "ResultTooLarge"), "%r" % job["error"])
    for bad in ("file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "dict://127.0.0.1/x", "nonsense", url + "/file"):
        job = c.run("http.fetch", [bad], max_attempts=1)
        eq(job["state"], "failed", bad)
        that(job["error"]["type"] in ("TaskError", "BadArguments"), "%r" % job["error"])
        that("root:" not in str(job), "nothing of the file is shown")


def test_fetch_that_fails(t):
    """A refused connection and a name that is none are a TaskError that says so."""
    _, c = t.serve()
    port = t.free_port()
    error = error_of(c.run("http.fetch", ["http://127.0.0.1:%d/" % port], max_attempts=1), "TaskError")
    that(error["message"], "a message")
    error_of(c.run("http.fetch", ["http://no-such-name.invalid/"], max_attempts=1), "TaskError")


def test_fetch_hangs(t):
    """A fetch that hangs ends by its timeout and by cancel, at once."""
    _, url = site(t)
    _, c = t.serve()
    error_of(c.run("http.fetch", [url + "/hang"], timeout=0.3), "TimedOut")
    ident = c.submit("http.fetch", [url + "/hang"])
    wait_for(lambda: c.job(ident)["state"] == "running", "it hangs")
    c.call("cancel", id=ident)
    eq(c.ended_job(ident)["state"], "cancelled")


def test_fetches_side_by_side(t):
    """200 fetches are under way at the same moment: the server answers none before all are there."""
    _, url = site(t)
    _, c = t.serve(threads=2)
    told = c.call("map", task="http.fetch", items=[[url + "/meet"]] * 200)
    jobs = c.wait(*range(told["first"], told["first"] + 200))
    eq({(job["state"], job["result"] and job["result"]["body"]) for job in jobs}, {("succeeded", "met")})
