"""
What one story gets: its folder, daemons, clients and command lines, all of which end with it.
"""

import fcntl
import os
import pty
import select
import socket
import subprocess
import termios
import time
import struct

from .check import Failed, after, eq, fail, that, within
from .daemon import Daemon
from .rpc import Client


def options(**wanted):
    """Of a story: deadline=SECONDS; root=True (it needs root, its daemon does not); missing=WHAT of it this machine has not."""
    def mark(function):
        function.options = wanted
        return function
    return mark


class Output:
    """What a command line said."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return "status %r, out %r, err %r" % (self.status, self.out, self.err)


class Gate:
    """A command that says when it runs and then waits to be let go: for order, without a clock."""

    def __init__(self, story, name):
        self.path = os.path.join(story.folder, "gate-" + name)
        for end in ("up", "go"):
            os.mkfifo("%s.%s" % (self.path, end))
            story.hand_over("%s.%s" % (self.path, end))
        self.up = os.open(self.path + ".up", os.O_RDWR | os.O_CLOEXEC)
        self.go = os.open(self.path + ".go", os.O_RDWR | os.O_CLOEXEC)
        self.buffer = b""

    def argv(self, then="exit 0", first=""):
        return ["/bin/sh", "-c", first + 'echo $$ > "$0.up"; read line < "$0.go"; ' + then, self.path]

    def started(self, seconds=30):
        """Waits until the command runs; its pid."""
        until = after(seconds)
        while b"\n" not in self.buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.up], [], [], left)[0]:
                raise Failed("the command behind %s did not start" % self.path)
            self.buffer += os.read(self.up, 64)
        line, self.buffer = self.buffer.split(b"\n", 1)
        return int(line)

    def waiting(self):
        """No further start has been told."""
        return not self.buffer and not select.select([self.up], [], [], 0)[0]

    def release(self):
        """Lets one go."""
        os.write(self.go, b"go\n")


class Story:
    """`t` in a story. `settings` are the runner's: programs, environment, mark, folder, uid."""

    def __init__(self, settings):
        self.settings = settings
        self.folder = settings.folder
        self.mark = settings.mark
        self.uid = settings.uid
        self.daemons = []
        self.kept = []
        self.gates = 0
        self.figures = []

    # Who and where

    def popen_user(self):
        """The daemon's user where the story itself runs as root."""
        if os.geteuid() == self.uid:
            return {}
        return {"user": self.uid, "group": self.uid, "extra_groups": []}

    def hand_over(self, path):
        if os.geteuid() != self.uid:
            os.chown(path, self.uid, self.uid)

    def environment(self, more=None):
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": self.folder, "TMPDIR": self.folder,
               "XDG_RUNTIME_DIR": self.folder, "XDG_STATE_HOME": self.folder, "LANG": "C.UTF-8", "TZ": "UTC",
               "FUTURED_TEST": self.mark}
        env.update(self.settings.env)
        env.update(more or {})
        return {name: value for name, value in env.items() if value is not None}

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        """A file in the story's folder; its path."""
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        self.hand_over(path)
        return path

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def fifo(self, name):
        """A pipe with a name, and the reading end of it."""
        path = self.path(name)
        os.mkfifo(path)
        self.hand_over(path)
        return path, os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def gate(self):
        self.gates += 1
        return Gate(self, str(self.gates))

    def keep(self, thing):
        """Closed when the story ends."""
        self.kept.append(thing)
        return thing

    def memory_bound(self, kib):
        """That much memory, in a build as people have it."""
        return kib * 10 if self.settings.sanitized else kib

    def figure(self, text):
        """What was counted or measured, for the line that tells of the story. Nothing is decided by it."""
        self.figures.append(text)

    # Daemons and clients

    def make(self, **how):
        """A daemon that is not started yet."""
        how.setdefault("name", "d%d" % len(self.daemons) if self.daemons else "d")
        daemon = Daemon(self, **how)
        self.daemons.append(daemon)
        return daemon

    def daemon(self, **how):
        """A daemon that answers."""
        return self.make(**how).start()

    def client(self, uid=None, seconds=30):
        """A connection to the first daemon; as another user where the story runs as root."""
        address = self.daemons[0].socket
        if uid is None:
            return self.keep(Client(address, seconds))
        os.setegid(uid)
        os.seteuid(uid)
        try:
            return self.keep(Client(address, seconds))
        finally:
            os.seteuid(0)
            os.setegid(0)

    def serve(self, **how):
        """The common opening: a daemon and a client."""
        return self.daemon(**how), self.client()

    def free_port(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def sh(self, script, *argv, **more):
        """The args of an exec: a script, with the story's mark in its environment."""
        more.setdefault("env", {})["FUTURED_TEST"] = self.mark
        return dict(more, argv=["/bin/sh", "-c", script] + list(argv))

    # The command line

    def ctl_start(self, *args, env=None, cwd=None, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                  stderr=subprocess.PIPE, umask=-1, socket_option=True, **more):
        head = ["--socket", self.daemons[0].socket] if socket_option and self.daemons else []
        return subprocess.Popen([self.settings.futurectl] + head + list(args), env=self.environment(env),
                                cwd=cwd or self.folder, stdin=stdin, stdout=stdout, stderr=stderr, umask=umask,
                                **self.popen_user(), **more)

    def ctl(self, *args, stdin=None, seconds=60, status=None, **more):
        """Runs futurectl to its end. With `status` that must be its exit status."""
        child = self.ctl_start(*args, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE, **more)
        return self.finish_ctl(child, stdin, seconds, status)

    def finish_ctl(self, child, stdin=None, seconds=60, status=None):
        try:
            out, err = child.communicate(stdin, timeout=within(seconds))
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            fail("futurectl %s did not end: out %r, err %r" % (child.args[1:], out, err))
        output = Output(child.returncode, (out or b"").decode("utf-8", "surrogateescape"),
                        (err or b"").decode("utf-8", "surrogateescape"))
        if status is not None:
            eq(output.status, status, "futurectl %s: %r" % (" ".join(child.args[1:]), output))
        return output

    def terminal(self, *args, seconds=60, columns=100, send=b"", when=b"", then=None, env=None):
        """
        Runs futurectl on a terminal of its own; once `when` was seen `send` is typed and `then` called. (status, text).
        """
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        child = self.ctl_start(*args, stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
                               env=dict({"TERM": "xterm-256color"}, **(env or {})),
                               preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(follower)
        seen = b""
        until = after(seconds)
        try:
            while True:
                left = until - time.monotonic()
                if left <= 0 or not select.select([leader], [], [], left)[0]:
                    child.kill()
                    fail("futurectl %s did not end on a terminal: %r" % (args, seen))
                try:
                    more = os.read(leader, 65536)
                except OSError:
                    break
                if not more:
                    break
                seen += more
                if when in seen:
                    os.write(leader, send)
                    if then is not None:
                        then()
                    send, then = b"", None
            return child.wait(within(seconds)), seen.decode("utf-8", "replace")
        finally:
            os.close(leader)
            if child.poll() is None:
                child.kill()
                child.wait()

    # The end

    def finish(self):
        """Every daemon that still runs ends in good order."""
        for thing in self.kept:
            thing.close()
        for daemon in self.daemons:
            if daemon.process is not None and not daemon.ended():
                daemon.stop()

    def sanitizer_reports(self):
        """What a sanitizer found, in any process of the story."""
        found = []
        for name in sorted(os.listdir(self.folder)):
            if name.startswith("sanitizer."):
                found.append(self.read(name).decode(errors="replace"))
        for daemon in self.daemons:
            log = daemon.log() if os.path.exists(daemon.logfile) else ""
            for sign in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
                         "WARNING: ThreadSanitizer"):
                if sign in log:
                    found.append(log[max(0, log.index(sign) - 200):log.index(sign) + 6000])
        return found


def run(function, settings):
    """Runs one story to its end, leftovers apart. The figures it has told."""
    story = Story(settings)
    function(story)
    story.finish()
    reports = story.sanitizer_reports()
    that(not reports, "a sanitizer found something:\n" + "\n".join(reports))
    return story.figures
