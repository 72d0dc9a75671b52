#!/usr/bin/python3
"""
What scripts/quickstart shows: a private daemon in a temporary folder does real work before one's eyes.

usage: tour.py FUTURED FUTURECTL

Every result is checked by other means: hashes by sha256sum, factors by multiplying them and a primality test, fetches by the
server's own count. A wrong one ends it with status 1. Nothing is left: no process, no file.
"""

import ctypes
import http.server
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid

sys.dont_write_bytecode = True

DOCUMENTS = "/usr/share/doc"
NUMBERS = 48
FETCHES = 200
FETCH_S = 0.1
TERMINAL = sys.stdout.isatty()
PR_SET_PDEATHSIG = 1


class Wrong(Exception):
    """A result is not what it must be."""


def check(condition, what):
    if not condition:
        raise Wrong(what)


def style(code, text):
    return "\033[%sm%s\033[0m" % (code, text) if TERMINAL and not os.environ.get("NO_COLOR") else text


def say(text=""):
    print(text, flush=True)


def chapter(title):
    say()
    say(style("1", title))


def good(text):
    say("  %s %s" % (style("32", "ok"), text))


def typed(*words):
    """The command line as one would type it."""
    say("  " + style("36", "$ futurectl " + " ".join(words)))


class Tour:
    def __init__(self, futured, futurectl):
        self.futured, self.futurectl = futured, futurectl
        self.folder = tempfile.mkdtemp(prefix="futured-")
        self.socket = os.path.join(self.folder, "socket")
        self.log = os.path.join(self.folder, "log")
        self.mark = "FUTURED_TOUR=" + uuid.uuid4().hex
        self.env = dict(os.environ, FUTURED_SOCKET=self.socket)
        self.env.update([self.mark.split("=")])
        self.daemon = None
        self.jobs = [1]  # the first job of each chapter; the next one's is the last
        self.cores = len(os.sched_getaffinity(0))

    # The daemon

    def start(self, workers):
        config = self.write("futured.conf", "[daemon]\ndrain = 5\n")
        libc = ctypes.CDLL(None)
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen(
                [self.futured, "--config", config, "--state-dir", os.path.join(self.folder, "state"), "--socket", self.socket,
                 "--cpu-workers", str(workers)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                start_new_session=True, preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM))
        until = time.monotonic() + 60
        while subprocess.run([self.futurectl, "stats"], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, check=False).returncode != 0:
            check(self.daemon.poll() is None and time.monotonic() < until, "the daemon does not start")
            time.sleep(0.02)

    def stop(self):
        if self.daemon is None:
            return
        daemon, self.daemon = self.daemon, None
        daemon.terminate()
        try:
            status = daemon.wait(60)
        except subprocess.TimeoutExpired:
            daemon.kill()
            status = daemon.wait()
        check(status == 0, "the daemon ended with status %d" % status)

    def close(self):
        """Whatever happened: nothing is left."""
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def left(self):
        """The processes of this tour that still run."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/environ" % pid, "rb") as file:
                    if self.mark.encode() in file.read().split(b"\0") and int(pid) != os.getpid():
                        with open("/proc/%s/cmdline" % pid, "rb") as line:
                            found.append(line.read().replace(b"\0", b" ").decode(errors="replace").strip())
            except OSError:
                pass
        return [command for command in found if command]

    # futurectl

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def ctl(self, *args, status=0, **more):
        """Runs it; its progress goes to the terminal. Its standard output."""
        done = subprocess.run([self.futurectl] + list(args), env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              check=False, **more)
        check(done.returncode == status, "futurectl %s ended with status %d" % (args[0], done.returncode))
        return done.stdout.decode()

    def map(self, task, items, name):
        """(results, seconds) of one map; the items are lines of a file."""
        path = self.write(name, "".join(item + "\n" for item in items))
        typed("map", task, "-a", name)
        began = time.monotonic()
        lines = self.ctl("map", task, "-a", path).splitlines()
        took = time.monotonic() - began
        check(len(lines) == len(items), "%d results of %d" % (len(lines), len(items)))
        self.jobs.append(self.jobs[-1] + len(items))
        try:
            return [json.loads(line) for line in lines], took
        except ValueError:
            raise Wrong("a result is not JSON") from None

    # The chapters

    def hashes(self):
        files = []
        for place, _, names in os.walk(DOCUMENTS):
            for name in names:
                path = os.path.join(place, name)
                if os.path.isfile(path) and not os.path.islink(path) and "\n" not in path:
                    files.append(path)
        files.sort()
        chapter("SHA-256 of every file below %s: %d files, in %d worker processes" % (DOCUMENTS, len(files), self.cores))
        results, took = self.map("file.sha256", files, "files")
        lines = subprocess.run(["xargs", "-0", "sha256sum", "-z", "--"], input=b"\0".join(map(os.fsencode, files)),
                               stdout=subprocess.PIPE, check=True).stdout.split(b"\0")[:-1]
        check(len(lines) == len(files), "sha256sum told of %d files" % len(lines))
        for path, line, result in zip(files, lines, results):
            told, name = line.split(b"  ", 1)
            check(os.fsencode(path) == name and result["sha256"] == told.decode(), "the hash of %s is wrong" % path)
        total = sum(result["bytes"] for result in results)
        good("%d hashes of %.1f MB in %.2f s, all equal to those of sha256sum" % (len(files), total / 1e6, took))

    def factors(self):
        rng = random.Random(15)
        numbers = [near_prime(rng) * near_prime(rng) for _ in range(NUMBERS)]
        check(all(len(str(n)) == 15 for n in numbers), "numbers of 15 digits")
        chapter("The prime factors of %d numbers of 15 digits, on one worker and on %d" % (NUMBERS, self.cores))
        seconds = []
        for workers in (1, self.cores):
            self.stop()
            self.start(workers)
            results, took = self.map("math.factorize", [str(n) for n in numbers], "numbers")
            for n, factors in zip(numbers, results):
                product = 1
                for factor in factors:
                    check(is_prime(factor), "%d is no prime" % factor)
                    product *= factor
                check(product == n and factors == sorted(factors), "the factors of %d are wrong: %r" % (n, factors))
            seconds.append(took)
            good("%d worker%s: %.2f s   (%d = %s …)" % (workers, "" if workers == 1 else "s", took, numbers[0],
                                                        " × ".join(map(str, results[0]))))
        speed = seconds[0] / seconds[1]
        good("every product and every factor checked; %d workers were %.2f times as fast as one" % (self.cores, speed))
        if speed < 0.75 * self.cores:
            say("     (other work keeps the cores busy: the load is %.1f)" % os.getloadavg()[0])

    def fetches(self):
        chapter("%d HTTP fetches of %d ms each, from a server started here" % (FETCHES, FETCH_S * 1000))
        server = serve()
        try:
            url = "http://127.0.0.1:%d/%%d" % server.server_address[1]
            results, took = self.map("http.fetch", [url % i for i in range(FETCHES)], "addresses")
        finally:
            server.shutdown()
            server.server_close()
        for i, result in enumerate(results):
            check(result["status"] == 200 and result["body"] == "page %d\n" % i, "the fetch %d is wrong: %r" % (i, result))
        check(sorted(server.asked) == list(range(FETCHES)), "the server was asked %d times" % len(server.asked))
        good("%d pages, each fetched once, in %.2f s; one after the other they take %.1f s" % (FETCHES, took, FETCHES * FETCH_S))

    def live(self):
        chapter("A command: its output as it comes, its exit status as one's own")
        typed("run", "--", "sh", "-c", "'for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done; exit 7'")
        child = subprocess.Popen([self.futurectl, "run", "--", "sh", "-c",
                                  "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done; exit 7"],
                                 env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        lines, times = [], []
        for line in child.stdout:
            lines.append(line)
            times.append(time.monotonic())
            say("    " + line.rstrip())
        status = child.wait()
        check(lines == ["line %d\n" % i for i in range(1, 6)], "the output is wrong: %r" % lines)
        check(times[-1] - times[0] > 0.4, "the output did not come while the command ran")
        check(status == 7, "the exit status is %d" % status)
        self.jobs.append(self.jobs[-1] + 1)
        good("five lines over %.1f s while it ran, and exit status 7" % (times[-1] - times[0]))

    def cancelled(self):
        chapter("A command that is cancelled, with all it has started")
        script = "(setsid sleep 987 &) ; echo started; sleep 988"
        typed("submit", "--", "sh", "-c", "'%s'" % script)
        ident = self.ctl("submit", "--", "sh", "-c", script).strip()
        say("    " + ident)
        check(ident == str(self.jobs[-1]), "the job is %s, not %d" % (ident, self.jobs[-1]))
        until = time.monotonic() + 30
        while sorted(c for c in self.left() if c.startswith("sleep ")) != ["sleep 987", "sleep 988"]:
            check(time.monotonic() < until, "the command does not run")
            time.sleep(0.02)
        typed("cancel", ident)
        self.ctl("cancel", ident)
        typed("await", ident)
        self.ctl("await", ident, status=1, stderr=subprocess.DEVNULL)
        job = json.loads(self.ctl("--json", "status", ident))
        state = (job[0] if isinstance(job, list) else job)["state"]
        check(state == "cancelled", "the job is %s" % state)
        alive = [command for command in self.left() if command.startswith("sleep ")]
        check(not alive, "still running: %r" % alive)
        good("the job is cancelled, and neither sleep is alive, also not the one in a session of its own")

    def table(self):
        chapter("The jobs: %d of them; the first of each kind, and the last two" % self.jobs[-1])
        chosen = ",".join(map(str, self.jobs))
        typed("status", chosen)
        subprocess.run([self.futurectl, "status", chosen], env=self.env, stdin=subprocess.DEVNULL, check=True)

    def run(self):
        say("futured in %s, with %d cores" % (self.folder, self.cores))
        self.start(self.cores)
        self.hashes()
        self.factors()
        self.fetches()
        self.live()
        self.cancelled()
        self.table()
        self.stop()
        left = self.left()
        check(not left, "left running: %r" % left)


def is_prime(n):
    """For certain, below 3.3e24 (Miller-Rabin with these bases)."""
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
    if n < 2 or any(n % p == 0 for p in bases):
        return n in bases
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in bases:
        x = pow(base, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def near_prime(rng):
    """A prime of eight digits, so that two of them make fifteen."""
    n = rng.randrange(20000001, 30000000, 2)
    while not is_prime(n):
        n += 2
    return n


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(int(self.path[1:]))
        time.sleep(FETCH_S)
        body = b"page %d\n" % int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = FETCHES


def serve():
    server = Server(("127.0.0.1", 0), Pages)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: tour.py FUTURED FUTURECTL")
    signal.signal(signal.SIGTERM, interrupted)
    tour = Tour(*sys.argv[1:])
    try:
        tour.run()
    except Wrong as wrong:
        say("  %s %s" % (style("31", "WRONG"), wrong))
        if os.path.exists(tour.log):
            with open(tour.log, encoding="utf-8", errors="replace") as log:
                sys.stderr.write("".join(log.readlines()[-20:]))
        return 1
    except KeyboardInterrupt:
        say()
        say("interrupted")
        return 130
    finally:
        tour.close()
    say()
    say(style("1", "Everything was right, and nothing is left running."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
