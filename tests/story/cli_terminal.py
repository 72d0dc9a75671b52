"""
futurectl on a terminal: tables with heads and colour, progress on standard error, a command as if it ran here.
"""

import re

from harness import contains, eq, that


def plain(text):
    """Without colour and cursor movements."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r\n", "\n")


def test_table(t):
    """list on a terminal is a table with a head and colour, and fits the width."""
    _, c = t.serve()
    c.run("noop", label="a rather long label that goes on and on and on and on and on and on and on and on and on")
    c.run("math.factorize", ["x"])
    status, text = t.terminal("list", columns=80)
    eq(status, 0)
    that("\x1b[" in text, "there is colour: %r" % text)
    lines = [line.rstrip() for line in plain(text).splitlines() if line.strip()]
    that(re.search(r"\bID\b", lines[0], re.I), "a head: %r" % lines)
    eq(max(len(line) for line in lines) <= 80, True, "it fits: %r" % lines)
    contains("\n".join(lines), "failed")


def test_no_colour(t):
    """NO_COLOR and a dumb terminal have no colour."""
    _, c = t.serve()
    c.run("noop")
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        status, text = t.terminal("list", env=env)
        eq((status, "\x1b[3" in text), (0, False), "%r: %r" % (env, text))


def test_command_on_a_terminal(t):
    """run -- COMMAND on a terminal does not read it, prints what the command says and ends as it did."""
    t.daemon()
    status, text = t.terminal("run", "--", "sh", "-c", "cat; echo said; echo err >&2; exit 5")
    eq(status, 5)
    lines = plain(text).split("\n")
    that("said" in lines and "err" in lines, "%r" % text)


def test_result_on_a_terminal(t):
    """run of a task on a terminal prints its result."""
    t.daemon()
    status, text = t.terminal("run", "math.factorize", "600851475143")
    eq(status, 0)
    contains(re.sub(r"\s", "", plain(text)), "[71,839,1471,6857]")


def test_progress_of_map(t):
    """map shows its progress on a terminal and leaves the results whole."""
    t.daemon()
    items = t.write("items", "".join("%d\n" % n for n in range(2, 300)))
    status, text = t.terminal("map", "math.is_prime", "-a", items)
    eq(status, 0)
    lines = [line.rsplit("\r", 1)[-1].strip() for line in plain(text).split("\n")]
    eq([line for line in lines if line in ("true", "false")][:6], ["true", "true", "false", "true", "false", "true"])
    eq(len([line for line in lines if line in ("true", "false")]), 298)


def test_control_c_on_a_terminal(t):
    """Ctrl-C typed on the terminal cancels the job."""
    _, c = t.serve()
    status, text = t.terminal("run", "--", "sh", "-c", "echo up; sleep 600", send=b"\x03", when=b"up")
    that(status in (130, 1, -2), "status %d: %r" % (status, text))
    eq(c.ended_job(1)["state"], "cancelled")
