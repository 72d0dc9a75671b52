"""
Completion: what "futurectl complete" offers, and that bash, zsh and fish offer it.
"""

import os
import pty
import select
import shutil
import subprocess
import time

from harness import after, contains, eq, fail, that, within


def offered(t, *words, **more):
    """What may stand for the last of the words, as {word: what it is}."""
    out = t.ctl("complete", "--", "futurectl", *words, status=0, **more).out
    return dict(line.split("\t") if "\t" in line else (line, None) for line in out.splitlines())


def place(d):
    return ["--socket", d.socket]


def test_commands_and_options(t):
    """Without a daemon it knows the commands, their options and what these take."""
    that({"run", "submit", "map", "await", "top", "help"} <= set(offered(t, "")), "commands")
    that("complete" not in offered(t, ""), "what is for the shells alone is not offered")
    eq(sorted(offered(t, "res")), ["result", "resume"])
    eq(sorted(offered(t, "help", "set")), ["set-queue"])
    eq(sorted(offered(t, "--json", "--s")), ["--socket"])
    that({"--queue", "--after", "--json", "--"} <= set(offered(t, "run", "-")), "options of run")
    that("--queue" not in offered(t, "await", "--"), "await has no queue")
    eq(sorted(offered(t, "submit", "--lane", "")), ["cpu", "io"])
    eq(sorted(offered(t, "submit", "--after-policy=f")), ["--after-policy=failed", "--after-policy=finished"])
    eq(sorted(offered(t, "list", "state=pending,s")), ["state=pending,succeeded"])
    eq(sorted(offered(t, "cancel", "sta")), ["state="])
    eq(offered(t, "map", "-a", ""), {":files": None})
    eq(offered(t, "--socket=/r"), {":files": None})
    eq(offered(t, "run", "--io", "--", "ls", "-"), {":command 4": None})
    eq(offered(t, "run", "noop", "--", "x"), {":files": None})
    eq(offered(t, "await", "--wait", ""), {})
    t.ctl("complete", status=2)
    t.ctl("complete", "--", "futurectl", status=2)


def test_what_the_daemon_has(t):
    """Ids, labels, queues and tasks are those of the daemon at that place, right now."""
    d, c = t.serve()
    at = place(d)
    first = c.submit("noop", delay=3600, queue="slow", label="night:x y")
    c.run("math.factorize", ["x"], label="tab\tbed")
    done = c.run("noop", label="late")["id"]
    eq(offered(t, *at, "result", ""), {"last": "your newest job", str(first): "pending noop night:x y",
                                       "2": "failed math.factorize", str(done): "succeeded noop late"})
    eq(sorted(offered(t, *at, "cancel", "1")), ["1"])
    that("2" in offered(t, *at, "retry", "") and str(done) not in offered(t, *at, "retry", ""), "retry wants failed ones")
    eq(sorted(offered(t, *at, "await", "%d,l" % done)), ["%d,last" % done])
    eq(sorted(offered(t, *at, "submit", "--after", "%d," % done)), ["%d,%d" % (done, i) for i in (1, 2, 3)] + ["%d,last" % done])
    eq(sorted(offered(t, *at, "list", "label=")), ["label=late", "label=night:x y"])
    eq(sorted(offered(t, *at, "list", "--label", "n")), ["night:x y"])
    eq(sorted(offered(t, *at, "run", "--queue", "s")), ["slow"])
    eq(sorted(offered(t, *at, "pause", "")), sorted(row["queue"] for row in c.call("queues")))
    eq(sorted(offered(t, *at, "run", "math.")), ["math.factorize", "math.is_prime"])
    eq(sorted(offered(t, *at, "list", "task=noop.")), ["task=noop.io"])
    eq(offered(t, *at, "result", "1", ""), {})


def test_no_daemon(t):
    """Without a daemon there is less, and nothing on standard output but what may be completed."""
    done = t.ctl("complete", "--", "futurectl", "--socket", t.path("none"), "cancel", "")
    eq(sorted(line.split("\t")[0] for line in done.out.splitlines()), ["label=", "last", "owner=", "queue=", "state=", "task="])


def shell(t, name, argv, **env):
    """What a shell says, with our futurectl as the one of its PATH; None where that shell is not installed."""
    if shutil.which(name) is None:
        return None
    if not os.path.isdir(t.path("bin")):
        os.mkdir(t.path("bin"))
        os.symlink(t.settings.futurectl, t.path("bin/futurectl"))
    env = t.environment(dict(env, PATH=t.path("bin") + ":/usr/bin:/bin", FUTURED_SOCKET=t.daemons[0].socket))
    done = subprocess.run(argv, env=env, cwd=t.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=within(60), check=False, **t.popen_user())
    return done.stdout.decode()


def script(t, name):
    """A copy of a script, where the story's user may read it."""
    with open(os.path.join(t.settings.completion, name), "rb") as file:
        return t.write(os.path.basename(name), file.read())


BASH = r"""
source "$1"
compopt() { echo "compopt $*"; }
try() {
    COMP_LINE=$1 COMP_POINT=${#1}; shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _futurectl
    printf '<%s>' "${COMPREPLY[@]}"; echo
}
try 'futurectl res' futurectl res
try 'futurectl list sta' futurectl list sta
try 'futurectl list label=' futurectl list label =
try 'futurectl list label=night:' futurectl list label = night :
try 'futurectl run --queue=s' futurectl run --queue = s
try 'futurectl  pause ' futurectl pause ''
try 'futurectl map -a here/f' futurectl map -a here/f
try 'futurectl run -- own-pro' futurectl run -- own-pro
try 'futurectl run -- cat here/f' futurectl run -- cat here/f
complete -p futurectl
"""


def prepare(t):
    _, c = t.serve()
    c.submit("noop", delay=3600, queue="slow", label="night:x y")
    os.mkdir(t.path("here"))
    t.write("here/file", "")
    os.mkdir(t.path("bin"))
    os.symlink(t.settings.futurectl, t.path("bin/futurectl"))
    os.chmod(t.write("bin/own-program", "#!/bin/sh\n"), 0o755)


def test_bash(t):
    """bash gets words, also behind = and :, names of files, and of commands behind --."""
    prepare(t)
    told = shell(t, "bash", ["bash", "--norc", "-c", BASH, "bash", script(t, "bash/futurectl")])
    eq(told.splitlines(), ["<result><resume>", "compopt -o nospace", "<state=>", "<night:x\\ y>", "<x\\ y>", "<slow>",
                           "<default><slow>" if "<default>" in told else "<slow>", "compopt -o filenames", "<here/file>",
                           "<own-program>", "compopt -o filenames", "<here/file>", "complete -F _futurectl futurectl"])


def test_fish(t):
    """fish gets the same, with what each word is."""
    prepare(t)
    lines = ["futurectl res", "futurectl list label=", "futurectl run --queue=s", "futurectl map -a here/f",
             "futurectl run -- own-pro", "futurectl cancel 1"]
    told = shell(t, "fish", ["fish", "--no-config", "-c", "source $argv[1]; for line in $argv[2..-1]; complete -C $line; echo; end",
                             script(t, "fish/futurectl.fish")] + lines)
    if told is None:
        return
    parts = [part.splitlines() for part in told.split("\n\n")]
    eq([line.split("\t")[0] for line in parts[0]], ["result", "resume"])
    eq(parts[1][0].split("\t")[0], "label=night:x y")
    eq(parts[2][0].split("\t")[0], "--queue=slow")
    eq(parts[3][0].split("\t")[0], "here/file")
    eq(parts[4][0].split("\t")[0], "own-program")
    eq(parts[5], ["1\tpending noop night:x y"])


def test_zsh(t):
    """zsh completes the same on a terminal."""
    prepare(t)
    if shutil.which("zsh") is None:
        return
    path = os.path.dirname(script(t, "zsh/_futurectl"))
    leader, follower = pty.openpty()
    env = t.environment({"PATH": t.path("bin") + ":/usr/bin:/bin", "FUTURED_SOCKET": t.daemons[0].socket, "TERM": "dumb",
                         "ZDOTDIR": t.folder})
    child = subprocess.Popen(["zsh", "-f", "-i"], env=env, cwd=t.folder, stdin=follower, stdout=follower, stderr=follower,
                             start_new_session=True, **t.popen_user())
    os.close(follower)
    seen = b""
    try:
        until = after(60)

        def expect(text):
            nonlocal seen
            while text not in seen:
                left = until - time.monotonic()
                if left <= 0 or not select.select([leader], [], [], left)[0]:
                    fail("zsh does not say %r: %r" % (text, seen))
                seen += os.read(leader, 65536)
            seen = seen[seen.index(text) + len(text):]

        os.write(leader, ("PS1='%%%% '; fpath=(%s $fpath); autoload -U compinit; compinit -u -D; echo re''ady\n" % path).encode())
        expect(b"ready")
        for typed, answer in ((b"futurectl resul\t", b"t "), (b"futurectl list --queue=s\t", b"low "), (b"futurectl list sta\t", b"te="),
                              (b"futurectl run -- own-pro\t", b"gram "), (b"futurectl map -a here/f\t", b"ile "),
                              (b"futurectl run --queue sl\t", b"ow ")):
            os.write(leader, typed)
            expect(typed[:-1])
            expect(answer)
            os.write(leader, b"\x15")
        os.write(leader, b"exit\n")
        child.wait(within(30))
    finally:
        child.kill()
        child.wait()
        os.close(leader)
