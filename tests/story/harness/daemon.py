"""
A private daemon in a folder of its own: start, wait until it answers, stop, kill, start again on the same state.

It runs as the story's own unprivileged user. What it writes to standard error is kept for whoever has to find a fault.
"""

import os
import select
import signal
import subprocess
import time

from . import process
from .check import Failed, after, eq, that, within
from .rpc import Client, Closed

CONFIG = {"daemon": {"drain": "1"}}


def config_text(sections):
    """INI text of {section: {key: value}} over what every story's daemon has."""
    merged = {name: dict(keys) for name, keys in CONFIG.items()}
    for name, keys in (sections or {}).items():
        merged.setdefault(name, {}).update(keys)
    lines = []
    for name, keys in merged.items():
        lines.append("[%s]" % name)
        lines += ["%s = %s" % item for item in keys.items()]
    return "\n".join(lines) + "\n"


class Daemon:
    """`config` as {section: {key: value}} or as text; `args` are further options; `wrapper` is put before the program."""

    def __init__(self, story, name="d", config=None, args=(), workers=2, threads=4, env=None, wrapper=(), pass_fds=(),
                 folder=None):
        self.story = story
        self.folder = folder or os.path.join(story.folder, name)
        self.state = os.path.join(self.folder, "state")
        self.socket = os.path.join(self.folder, "s")
        self.config = os.path.join(self.folder, "conf")
        self.logfile = os.path.join(self.folder, name + ".log")
        self.args = ["--config", self.config, "--state-dir", self.state, "--socket", self.socket]
        if workers is not None:
            self.args += ["--cpu-workers", str(workers)]
        if threads is not None:
            self.args += ["--io-threads", str(threads)]
        self.args += list(args)
        self.env = dict(env or {})
        self.wrapper = list(wrapper)
        self.pass_fds = pass_fds
        self.process = None
        self.status = None
        if not os.path.isdir(self.folder):
            os.mkdir(self.folder)
            os.chmod(self.folder, 0o755)
            story.hand_over(self.folder)
        self.configure(config)

    def configure(self, config):
        """Writes the configuration for the next start."""
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(config if isinstance(config, str) else config_text(config))

    def start(self, ready=True):
        self.status = None
        with open(self.logfile, "ab") as log:
            self.process = subprocess.Popen(
                self.wrapper + [self.story.settings.futured] + self.args, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=self.story.environment(self.env), cwd=self.folder,
                pass_fds=tuple(self.pass_fds) + (self.story.settings.hold,),
                start_new_session=True, **self.story.popen_user())
        if ready:
            self.ready()
        return self

    @property
    def pid(self):
        return self.process.pid

    def ended(self):
        if self.status is None and self.process is not None:
            self.status = self.process.poll()
        return self.status is not None

    def ready(self, seconds=60):
        """Waits until it answers; a daemon that ends instead is a failure at once."""
        until = after(seconds)
        handle = os.pidfd_open(self.pid)
        try:
            while True:
                if os.path.exists(self.socket) and self.answers(handle, until, seconds):
                    return
                if select.select([handle], [], [], 0.005)[0]:
                    raise Failed("the daemon ended with status %d instead of starting" % self.wait())
                if time.monotonic() > until:
                    raise Failed("the daemon does not answer")
        finally:
            os.close(handle)

    def answers(self, handle, until, seconds):
        """True when it does; False when nobody listens, or it has ended instead."""
        try:
            with Client(self.socket, seconds=seconds) as client:
                client.send("ping")
                if client.socket not in select.select([client.socket, handle], [], [], max(0, until - time.monotonic()))[0]:
                    return False
                eq(client.answer(1), "pong")
                return True
        except (FileNotFoundError, ConnectionRefusedError, Closed):
            return False

    def wait(self, seconds=60):
        """Waits for its end; the exit status, negative for a signal."""
        if not self.ended():
            handle = os.pidfd_open(self.pid)
            try:
                poll = select.poll()
                poll.register(handle, select.POLLIN)
                if not poll.poll(within(seconds) * 1000):
                    raise Failed("the daemon did not end within %g s" % within(seconds))
            finally:
                os.close(handle)
            self.status = self.process.wait()
        return self.status

    def signal(self, number):
        if not self.ended():
            self.process.send_signal(number)

    def stop(self, seconds=60):
        """SIGTERM; the exit status must be 0."""
        self.signal(signal.SIGTERM)
        eq(self.wait(seconds), 0, "the daemon's exit status after SIGTERM")

    def kill(self):
        """kill -9, and waits until all that was below it is gone."""
        below = self.tree()
        self.signal(signal.SIGKILL)
        eq(self.wait(), -signal.SIGKILL)
        for pid in below:
            process.wait_gone(pid, "after kill -9 of the daemon a process of its tree")

    def restart(self, ready=True):
        """kill -9 and a start on the same state."""
        self.kill()
        return self.start(ready)

    def tree(self):
        return [] if self.ended() else process.tree(self.pid)

    def client(self, seconds=30):
        return self.story.keep(Client(self.socket, seconds))

    def stats(self):
        with Client(self.socket) as client:
            return client.call("stats")

    def spawner(self):
        pid = self.stats()["pids"]["spawner"]
        that(process.alive(pid), "the spawner named in stats is a process")
        return pid

    def log(self):
        with open(self.logfile, encoding="utf-8", errors="replace") as file:
            return file.read()
