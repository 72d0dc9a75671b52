#!/usr/bin/python3
"""
The library as a stranger gets it: installed into an empty folder, found by pkg-config, compiled against and run.

    library.py [--futured PATH] [--futurectl PATH] BUILD-FOLDER

What must hold: the header compiles alone, as C and as C++; the shared library has its soname, and exports every function
of the header under its version and nothing else; the manual page is there and names each of them; and the programs of
examples/, compiled against what was installed, do what they say they do against a real daemon. The last line is
`library: N passed, N failed`.
"""

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..")
sys.path.insert(0, os.path.join(HERE, "story"))

from harness import contains, eq, fail, options, programs, that, within  # noqa: E402  (the path comes first)

WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
SONAME, VERSION = "libfutured.so.0", "FUTURED_0"
EXAMPLES = ("factors", "as_completed", "eventloop")


def say(*command, **how):
    """What a command prints; a failure ends the test with what it said."""
    told = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=within(300), **how)
    that(told.returncode == 0, "%s: status %d:\n%s" % (" ".join(command), told.returncode, told.stdout))
    return told.stdout


class Installed:
    """An installation below a folder of its own."""

    def __init__(self, build, folder):
        self.build = build
        self.folder = folder
        self.sanitized = programs.is_sanitized(self.built("futured"))
        env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        say("make", "-s", "-C", build, "install", "DESTDIR=" + folder, env=env)
        self.pc = self.find("libfutured.pc")
        self.lib = os.path.dirname(self.find(SONAME))
        self.header = self.find("futured.h")

    def built(self, name):
        real = os.path.join(self.build, ".libs", name)
        return real if os.path.exists(real) else os.path.join(self.build, name)

    def find(self, name):
        for folder, _, names in os.walk(self.folder):
            if name in names:
                return os.path.join(folder, name)
        fail("%s was not installed" % name)

    def flags(self, *what):
        """What pkg-config says of it, and of this system for what it needs itself."""
        env = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(self.pc), PKG_CONFIG_SYSROOT_DIR=self.folder)
        return shlex.split(say("pkg-config", *what, "libfutured", env=env))

    def functions(self):
        """The names of all functions that the header declares."""
        with open(self.header, encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
        return sorted(set(re.findall(r"\b(fut_\w+)\(", text)))

    def compile(self, name):
        """One of the examples, by the command line that stands in it."""
        program = os.path.join(self.folder, name)
        more = ["-fsanitize=address,undefined"] if self.sanitized else []
        say("cc", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-D_DEFAULT_SOURCE", *WARNINGS, *more, "-o", program,
            os.path.join(TOP, "examples", name + ".c"), *self.flags("--cflags", "--libs"))
        return program


def check_header(installed):
    """the header compiles alone, as C11 and as C++"""
    source = os.path.join(installed.folder, "alone")
    with open(source, "w", encoding="utf-8") as file:
        file.write("#include <futured.h>\nint main(void) { return fut_library_version()[0] == 0; }\n")
    say("cc", "-std=c11", "-x", "c", "-pedantic", *WARNINGS, "-fsyntax-only", source, *installed.flags("--cflags"))
    # A function may have the name of a struct, as stat has; in C++ -Wshadow minds that.
    say("c++", "-std=c++11", "-x", "c++", "-pedantic", *WARNINGS, "-Wno-shadow", "-fsyntax-only", source,
        *installed.flags("--cflags"))


def check_soname(installed):
    """the shared library has its soname, and the name to link with leads to it"""
    dynamic = say("readelf", "-dW", os.path.join(installed.lib, SONAME))
    contains(dynamic, "Library soname: [%s]" % SONAME)
    eq(os.path.realpath(os.path.join(installed.lib, "libfutured.so")),
       os.path.realpath(os.path.join(installed.lib, SONAME)))


def check_symbols(installed):
    """it exports every function of the header, under its version, and nothing else"""
    exported = []
    for line in say("nm", "-D", "--defined-only", "--with-symbol-versions", os.path.join(installed.lib, SONAME)).splitlines():
        words = line.split()
        if words[1] != "A":
            exported.append(words[2])
    eq(sorted(exported), ["%s@@%s" % (name, VERSION) for name in installed.functions()])


def check_manual(installed):
    """the manual page names every function"""
    with open(installed.find("libfutured.3"), encoding="utf-8") as file:
        text = file.read()
    eq([name for name in installed.functions() if not re.search(r"\b%s\b" % name, text)], [], "not in libfutured.3")


def check_version(installed):
    """pkg-config and the library tell the same version"""
    contains(say("nm", "-D", os.path.join(installed.lib, SONAME)), "fut_library_version")
    eq(installed.flags("--modversion"), say(installed.built("futurectl"), "--version").split()[-1:])


def run(t, installed, name, *args, stdin="", status=0):
    """An example as the story's user, with nothing but its environment to find daemon and library; what it printed."""
    env = t.environment({"FUTURED_SOCKET": t.daemons[0].socket, "LD_LIBRARY_PATH": installed.lib})
    told = subprocess.run([os.path.join(installed.folder, name), *args], input=stdin, env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=within(60), **t.popen_user())
    eq((told.returncode, told.stderr), (status, ""), "%s: status and standard error" % name)
    return told.stdout


def check_examples(installed, given):
    """the examples, compiled against it, do what they say"""
    for name in EXAMPLES:
        installed.compile(name)

    def play(t):
        t.daemon()
        eq(run(t, installed, "factors", "600851475143", "97", "1001"),
           "600851475143: [71,839,1471,6857]\n97: [97]\n1001: [7,11,13]\n")
        that(run(t, installed, "factors", "1", "97", status=1).endswith("97: [97]\n"), "a failed job fails alone")
        eq(run(t, installed, "as_completed", "3", "0.01", "1.5"), "0.01 0.01\n1.5 1.5\n3 3\n")
        lines = run(t, installed, "eventloop", stdin="97\nx\n%s\n98\n" % (2**61 - 1)).splitlines()
        eq(sorted(lines), ["%d prime" % (2**61 - 1), "97 prime", "98 not prime", "x? no number"])
        numbers = range(10**6, 10**6 + 3000)
        lines = run(t, installed, "eventloop", stdin="".join("%d\n" % number for number in numbers)).splitlines()
        eq(sorted(int(line.split()[0]) for line in lines), list(numbers), "each number is answered once")
        eq(sum(line.split()[1:] == ["prime"] for line in lines), 233, "primes from 1000000 to 1002999")

    eq(programs.play_one(options(deadline=300)(play), given), 0, "the story's status")


def main():
    parser = argparse.ArgumentParser(description="Installs the library and uses it.")
    programs.add_options(parser)
    parser.add_argument("build", metavar="BUILD-FOLDER")
    given = parser.parse_args()
    given.futured = given.futured or os.path.join(given.build, "futured")
    given.futurectl = given.futurectl or os.path.join(given.build, "futurectl")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    passed = failed = 0
    folder = tempfile.mkdtemp(prefix="fl-", dir="/tmp")
    try:
        os.chmod(folder, 0o755)
        installed = Installed(os.path.abspath(given.build), folder)
        for check in (check_header, check_soname, check_symbols, check_manual, check_version):
            passed, failed = judge(check, (installed,), passed, failed)
        passed, failed = judge(check_examples, (installed, given), passed, failed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("library: %d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


def judge(check, args, passed, failed):
    try:
        check(*args)
    except Exception as wrong:  # what a check did not foresee is a failure as well
        print("FAILED %s\n    %s" % (check.__doc__, str(wrong).replace("\n", "\n    ")))
        return passed, failed + 1
    print("ok     %s" % check.__doc__)
    return passed + 1, failed


if __name__ == "__main__":
    sys.exit(main())
