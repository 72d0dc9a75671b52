"""
The programs under test: found, copied to where every user may run them, and handed to an overseer.
"""

import os
import shutil
import signal
import sys
import tempfile

from . import overseer, process

NAMES = ("futured", "futurectl")
COMPLETION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "conf", "completion")


def find(given, name):
    """The path given, else in the environment, else below the current folder; ends the process when there is none."""
    given = given or os.environ.get(name.upper())
    for path in [given] if given else [name, "daemon/" + name, "client/" + name]:
        if os.path.isfile(path):
            return os.path.abspath(path)
    sys.exit("%s: no %s: give --%s PATH or set $%s" % (os.path.basename(sys.argv[0]), name, name, name.upper()))


def stage(path, folder):
    """A copy of the program, and of the libraries beside it; behind libtool's wrapper too."""
    name = os.path.basename(path)
    real = os.path.join(os.path.dirname(path), ".libs", name)
    if not os.path.isfile(real):
        real = path
    else:
        for beside in os.listdir(os.path.dirname(real)):
            if ".so" in beside:
                shutil.copy(os.path.join(os.path.dirname(real), beside), os.path.join(folder, beside))
    shutil.copy(real, os.path.join(folder, name))
    return os.path.join(folder, name)


def is_sanitized(path):
    """Built with a sanitizer, which takes many times the memory."""
    with open(path, "rb") as file:
        data = file.read()
    return b"__asan_init" in data or b"__tsan_init" in data


class Staged:
    """`with Staged(options) as (programs, env)`: the copies live as long as the block."""

    def __init__(self, given):
        self.given = given

    def __enter__(self):
        paths = {name: find(getattr(self.given, name), name) for name in NAMES}
        self.folder = tempfile.mkdtemp(prefix="fs-bin-", dir="/tmp")
        os.chmod(self.folder, 0o755)
        programs = {name: stage(path, self.folder) for name, path in paths.items()}
        programs["sanitized"] = is_sanitized(programs["futured"])
        programs["completion"] = shutil.copytree(COMPLETION, os.path.join(self.folder, "completion"))
        env = dict(item.split("=", 1) for item in self.given.env)
        if any(".so" in name for name in os.listdir(self.folder)):
            env.setdefault("LD_LIBRARY_PATH", self.folder)
        return programs, env

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)


def add_options(parser):
    parser.add_argument("--futured", help="the daemon (else $FUTURED, else below the current folder)")
    parser.add_argument("--futurectl", help="the command line")
    parser.add_argument("--env", "--daemon-env", action="append", default=[], metavar="NAME=VALUE",
                        help="for the environment of both, such as ASAN_OPTIONS")


def play_one(function, given):
    """Plays one story in the open, in a child that oversees it; the exit status for the process."""
    signal.signal(signal.SIGTERM, overseer.end_from_outside)
    with Staged(given) as staged:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            oversee_shown(function, staged)
        try:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        except (KeyboardInterrupt, SystemExit):
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
            return 130


def oversee_shown(function, staged):
    """In the child: tells how it went and ends."""
    process.prctl(process.PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = 1
    try:
        verdict = overseer.oversee(function, *staged, shown=True)
        if verdict["ok"]:
            status = 0
        else:
            print(verdict["why"].rstrip() + "\n" + verdict.get("logs", ""), flush=True)
    finally:
        os._exit(status)
