#!/usr/bin/python3
"""
The systemd units of a build folder: correct by systemd-analyze verify, and as hardened as promised.

    units.py BUILD-FOLDER

A staged copy is looked at, in which ExecStart names a program that is there. The exposure (0 best, 10 worst) of the
system's unit is 2.6 or less, since its commands inherit the sandbox and have to stay usable; 1.6 with the hardened drop-in, 3.6
with the one by which commands run as their owners.
The last line is `units: N passed, N failed`.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "conf")


def stage(build, folder, drop_in=None):
    """A folder with the units, as installed; (the system's service, the others)."""
    os.makedirs(os.path.join(folder, "user"))
    program = os.path.join(folder, "futured")
    shutil.copy("/bin/true", program)
    for name in ("futured.service", "user/futured.service"):
        with open(os.path.join(build, "conf", name), encoding="utf-8") as file:
            text = re.sub(r"^ExecStart=\S+/futured\b", "ExecStart=" + program, file.read(), flags=re.MULTILINE)
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    shutil.copy(os.path.join(SOURCE, "futured.socket"), folder)
    if drop_in:
        os.mkdir(os.path.join(folder, "futured.service.d"))
        shutil.copy(os.path.join(SOURCE, drop_in), os.path.join(folder, "futured.service.d"))
    return os.path.join(folder, "futured.service")


def analyze(*args):
    """(status, what it said)"""
    done = subprocess.run(("systemd-analyze",) + args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False,
                          env=dict(os.environ, SYSTEMD_COLORS="0", XDG_RUNTIME_DIR=tempfile.gettempdir()))
    return done.returncode, done.stdout.decode(errors="replace")


def verify(units, *more):
    """Clean means silent, but for what other units of this machine are said to lack."""
    status, said = analyze("verify", "--man=no", *more, *units)
    ours = [line for line in said.splitlines() if "futured" in line]
    if status != 0 or ours:
        return said or "status %d" % status
    return None


def exposure(unit, most):
    status, said = analyze("security", "--offline=yes", "--no-pager", "--threshold=%d" % round(most * 10), unit)
    match = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    if status != 0 or not match or float(match.group(1)) > most:
        return said
    print("exposure %s, at most %.1f" % (match.group(1), most))
    return None


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = tempfile.mkdtemp(prefix="futured-units-")
    try:
        plain = stage(sys.argv[1], os.path.join(folder, "plain"))
        hard = stage(sys.argv[1], os.path.join(folder, "hard"), "hardened.conf")
        owner = stage(sys.argv[1], os.path.join(folder, "owner"), "run-as-owner.conf")
        socket = os.path.join(os.path.dirname(plain), "futured.socket")
        user = os.path.join(os.path.dirname(plain), "user", "futured.service")
        cases = [
            ("the system's service and socket are correct", verify((plain, socket))),
            ("the hardened service is correct", verify((hard,))),
            ("the service that runs commands as their owners is correct", verify((owner,))),
            ("the user's service is correct", verify((user,), "--user")),
            ("the system's service is exposed 2.6 at most", exposure(plain, 2.6)),
            ("hardened, 1.6 at most", exposure(hard, 1.6)),
            ("with commands as their owners, 3.6 at most", exposure(owner, 3.6)),
        ]
    finally:
        shutil.rmtree(folder)
    failed = 0
    for name, wrong in cases:
        print("%s %s" % ("FAILED" if wrong else "ok    ", name))
        if wrong:
            failed += 1
            print("".join("    %s\n" % line for line in wrong.splitlines()), end="")
    print("units: %d passed, %d failed" % (len(cases) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
