"""
What a figure starts besides our daemon: servers and workers, ended with it, and programs that say one line of JSON.

Nobody polls a child with a sleep while something is timed: its end is an event of its descriptor.
"""

import json
import os
import select
import signal
import socket
import subprocess
import time

from harness import Failed, after, wait_for, within

PYTHON = "/usr/bin/python3"


class Children:
    """`programs` is the folder with the bench's own programs, built; `folder` is where servers keep what they write."""

    def __init__(self, story, programs):
        self.story = story
        self.programs = programs
        self.started = []

    def environment(self, more=None):
        return self.story.environment(dict({"PYTHONPATH": self.programs, "PYTHONDONTWRITEBYTECODE": "1"},
                                           **(more or {})))

    def program(self, name):
        path = os.path.join(self.programs, name)
        return [PYTHON, "-B", path] if name.endswith(".py") else [path]

    def start(self, argv, env=None, port=None):
        """A process that runs until `stop`; with `port` it is waited for until it listens there."""
        log = open(os.path.join(self.story.folder, os.path.basename(argv[0]) + ".peer.log"), "ab")
        with log:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(env),
                                     cwd=self.story.folder, start_new_session=True)
        self.started.append(child)
        if port is not None:
            wait_for(lambda: self.listens(child, port), "%s listens on port %d" % (argv[0], port), 30)
        return child

    @staticmethod
    def listens(child, port):
        if child.poll() is not None:
            raise Failed("%s ended with status %d" % (child.args[0], child.returncode))
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def end_all(self):
        """The last first; SIGTERM, and SIGKILL for the whole session of who does not go."""
        while self.started:
            child = self.started.pop()
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
            if not ended(child, 20):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def output(self, argv, env=None, seconds=300):
        """Runs a program to its end; what it said."""
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=self.environment(env), cwd=self.story.folder)
        try:
            out, err = child.communicate(timeout=within(seconds))
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise Failed("%s did not end" % " ".join(argv)) from None
        if child.returncode != 0:
            raise Failed("%s: status %d: %s" % (os.path.basename(argv[0]), child.returncode,
                                                err.decode()[-300:].strip()))
        return out.decode()

    def tool(self, name, *arguments, env=None):
        """One of the bench's own programs; the last line that it said, as JSON."""
        said = self.output(self.program(name) + [str(one) for one in arguments], env)
        return json.loads(said.strip().split("\n")[-1])

    def timed(self, argv, env=None, seconds=300):
        """Seconds until the program has ended with status 0."""
        began = time.perf_counter()
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 env=self.environment(env), cwd=self.story.folder)
        over = ended(child, seconds)
        took = time.perf_counter() - began
        if not over:
            child.kill()
        if child.wait() != 0:
            raise Failed("%s did not end well: status %d" % (argv[0], child.returncode))
        return took


def ended(child, seconds):
    """Waits for its end by its descriptor; False when the time is over."""
    if child.poll() is not None:
        return True
    until = after(seconds)
    handle = os.pidfd_open(child.pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(max(0, until - time.monotonic()) * 1000))
    finally:
        os.close(handle)
