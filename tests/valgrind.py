#!/usr/bin/python3
"""
The unit tests under valgrind's memcheck, which sees what no sanitizer does: a value that is used and was never set.

    valgrind.py BUILD [PROGRAM…]

Each program goes through run-unit.py, as many at once as there are cores. A read of what was not set, a read or write outside of
what was asked for, memory that nobody can reach any more: each is an error of the test in which it happens. What is not ours is in
valgrind.supp, with the reason; what cannot run there is in NOT_HERE. The last line is `valgrind: N passed, N failed`.
"""

import concurrent.futures
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
UNDER = ("valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite "
         "--track-fds=no --child-silent-after-fork=no --suppressions=%s" % os.path.join(HERE, "valgrind.supp"))
SCALE = 6

# Programs that are left out, and why. ASan and UBSan run them all.
NOT_HERE = dict.fromkeys(("test_spawner", "test_supervise"), "valgrind 3.19 does not know pidfd_open()")
NOT_HERE.update(dict.fromkeys(("test_store_memory", "test_client_memory"), "it lets each allocation fail: minutes, and nothing new"))


def programs(build):
    """Those that are built."""
    asked = subprocess.run(["make", "-s", "-C", build, "-f", "-", "unit-programs"], check=True, text=True, stdout=subprocess.PIPE,
                           input="include Makefile\nunit-programs: ; @:\n$(info $(check_PROGRAMS))\n")
    return [os.path.join(build, name) for name in asked.stdout.split("\n", 1)[0].split()]


def play(program):
    """(name, passed, what failed, what it said)"""
    env = dict(os.environ, FUTURED_UNIT_UNDER=UNDER, FUTURED_TEST_LIGHT="1", srcdir=os.path.dirname(HERE))
    env.setdefault("FUTURED_TEST_SCALE", str(SCALE))
    done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "run-unit.py"), program], stdin=subprocess.DEVNULL, env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", check=False)
    told = re.search(r"^unit: (\d+) passed, (\d+) failed$", done.stdout, re.MULTILINE)
    passed, failed = (int(told[1]), int(told[2])) if told else (0, 1)
    if done.returncode != 0 and failed == 0:
        failed = 1
    return os.path.basename(program), passed, failed, done.stdout


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    chosen = [path for path in programs(os.path.abspath(sys.argv[1])) if not sys.argv[2:] or os.path.basename(path) in sys.argv[2:]]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for path in chosen:
            if os.path.basename(path) in NOT_HERE and not sys.argv[2:]:
                print("skipped %s: %s" % (os.path.basename(path), NOT_HERE[os.path.basename(path)]))
        plays = [pool.submit(play, path) for path in chosen if sys.argv[2:] or os.path.basename(path) not in NOT_HERE]
        for one in plays:
            name, good, bad, said = one.result()
            passed, failed = passed + good, failed + bad
            if bad:
                print("".join("    %s\n" % line for line in said.splitlines()), end="")
                print("FAILED %s: %d of %d" % (name, bad, good + bad), flush=True)
    print("valgrind: %d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
