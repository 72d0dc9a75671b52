"""
futurectl's other commands: submit, map, await, status, result, output, follow, list, cancel, tasks, queues, stats.
"""

import json
import os
import re

from harness import contains, eq, that, wait_for, within


def rows(text):
    """A listing on a pipe: a line each, tab-separated."""
    return [line.split("\t") for line in text.splitlines()]


def column(text, name):
    """A column by the name in its head, if there is one, else None."""
    table = rows(text)
    heads = [cell.strip().lower() for cell in table[0]]
    return [row[heads.index(name)] for row in table[1:]] if name in heads else None


def test_submit(t):
    """submit prints the job id and on a pipe nothing else; its options are submit's parameters."""
    _, c = t.serve()
    done = t.ctl("submit", "noop", "1", status=0)
    eq((done.out, done.err), ("1\n", ""))
    done = t.ctl("submit", "noop", "--priority", "5", "--queue", "q", "--label", "a label", "--key", "k", "--timeout", "7",
                 "--max-attempts", "4", "--delay", "3600", status=0)
    job = c.job(int(done.out))
    eq((job["priority"], job["queue"], job["label"], job["key"], job["timeout"], job["max_attempts"], job["reason"]),
       (5, "q", "a label", "k", 7, 4, "delayed"))
    eq(t.ctl("submit", "noop", "1", "--key", "x", status=0).out, t.ctl("submit", "noop", "1", "--key", "x", status=0).out)
    t.ctl("submit", "noop", "2", "--key", "x", status=2)


def test_submit_a_command(t):
    """submit -- COMMAND takes standard input only with --stdin."""
    _, c = t.serve()
    ident = int(t.ctl("submit", "--", "cat", stdin=b"not this", status=0).out)
    eq(c.ended_job(ident)["result"]["stdout"], "")
    ident = int(t.ctl("submit", "--stdin", "--", "cat", stdin=b"this", status=0).out)
    eq(c.ended_job(ident)["result"]["stdout"], "this")
    ident = int(t.ctl("submit", "--", "pwd", cwd="/usr", status=0).out)
    eq(c.ended_job(ident)["result"]["stdout"], "/usr\n")
    ident = int(t.ctl("submit", "--lane", "io", "--", "true", status=0).out)
    eq(c.ended_job(ident)["lane"], "io")


def test_map(t):
    """map makes an item of each line and prints the results in order, a line each."""
    t.daemon()
    done = t.ctl("map", "math.factorize", stdin=b"15\n91\n[97]\n{\"n\":4}\n", status=0)
    eq(done.out, "[3,5]\n[7,13]\n[97]\n[2,2]\n")
    path = t.write("items", "1\n2\n3\n")
    eq(t.ctl("map", "math.is_prime", "-a", path, status=0).out, "false\ntrue\ntrue\n")
    eq(t.ctl("map", "noop", stdin=b"a b\n\"q\"\n[1,2]\n", status=0).out, '["a b"]\n["q"]\n[1,2]\n')
    eq(t.ctl("map", "noop", stdin=b"", status=0).out, "")
    eq(t.ctl("map", "noop", stdin=b"last without end", status=0).out, '["last without end"]\n')


def test_map_of_nothing(t):
    """A task that there is not, or an option that does not fit, is an error with items and without, and says which."""
    t.daemon()
    path = t.write("items", "")
    for stdin in (b"", b"1\n2\n"):
        done = t.ctl("map", "nope", stdin=stdin, status=2)
        eq(done.out, "")
        contains(done.err, "nope")
        contains(t.ctl("map", "--priority", "1001", "noop", stdin=stdin, status=2).err, "--priority must be from -1000 to 1000")
    eq(t.ctl("map", "nope", "-a", path, status=2).out, "")
    eq(t.ctl("map", "noop", "-a", path, status=0).out, "")
    eq(t.ctl("map", "--unordered", "--key", "k", "noop", stdin=b"", status=0).out, "")


BAD_VALUES = (
    ("--priority", "1001", "high", "1.5"), ("--max-attempts", "0", "x", "-1"), ("--queue", "", "q" * 128), ("--label", "", "l" * 256),
    ("--key", "", "k" * 256), ("--lane", "gpu", "io"), ("--delay", "soon", "-1"), ("--not-before", "teatime", "1900-01-01 00:00"),
    ("--expires", "never"), ("--timeout", "5 minutes"), ("--backoff", "1x"), ("--retain", "1e3"), ("--webhook", "ftp://host/", "nothing"),
    ("--after", "x", "label=a"), ("--after-policy", "maybe"), ("--args", "[1", "5"), ("--limit-cpu", "1.5", "0", "500ms"),
    ("--limit-files", "0", "2000000", "x"), ("--limit-memory", "0", "much", "5000T"))


def test_values_that_do_not_fit(t):
    """Whoever refuses it, futurectl or the daemon: a value that does not fit is told by the name of its option, never of the protocol."""
    t.daemon()
    wire = re.compile(r"\b(limits|limits\.\w+|cpu_s|memory_mib|max_attempts|not_before|after_policy)\b")
    for option, *values in BAD_VALUES:
        of_command = option.startswith("--limit")
        for value in values:
            words = [option, value] + (["--after", "1"] if option == "--after-policy" else [])
            work = ["--", "true"] if of_command else ["noop"]
            for command, stdin in (("submit", None), ("run", None), ("map", b"")):
                if (command, option) == ("map", "--args"):
                    continue
                done = t.ctl(command, *words, *work, stdin=stdin)
                said = "%s: %r" % (" ".join([command] + words), done)
                eq((done.status, done.out), (125 if command == "run" and of_command else 2, ""), said)
                that(option in done.err, said)
                that(not wire.search(done.err), said)
    for words in (["run", "--wait", "x", "noop"], ["output", "--offset", "-1", "1"], ["output", "--limit", "0", "1"],
                  ["cancel", "--reason", "", "1"], ["await", "--wait", "x", "1"], ["set-queue", "--limit", "-1", "q"]):
        done = t.ctl(*words)
        eq((done.status, done.out), (2, ""), "%r: %r" % (words, done))
        that(words[1] in done.err, "%r: %r" % (words, done))


def test_map_failures(t):
    """A failed item is null on standard output, its cause is on standard error, and the status is 1."""
    t.daemon()
    done = t.ctl("map", "math.factorize", stdin=b"15\nx\n91\n", status=1)
    eq(done.out, "[3,5]\nnull\n[7,13]\n")
    contains(done.err, "BadArguments")


def test_map_many(t):
    """map of 20,000 lines prints 20,000 results in order."""
    t.daemon()
    data = "".join("%d\n" % i for i in range(20000)).encode()
    done = t.ctl("map", "noop", stdin=data, seconds=80, status=0)
    eq(done.out, "".join("[%d]\n" % i for i in range(20000)))


def test_map_a_command(t):
    """map -- COMMAND {} runs the command once a line, with the line in place of {}."""
    t.daemon()
    done = t.ctl("map", "--", "sh", "-c", "echo got $0", "{}", stdin=b"one\ntwo words\n{}\n", status=0)
    results = [json.loads(line) for line in done.out.splitlines()]
    eq([result["stdout"] if isinstance(result, dict) else result for result in results],
       ["got one\n", "got two words\n", "got {}\n"])


def test_await(t):
    """await waits for a selection; 0 when all succeeded, 1 when one failed or was cancelled, 124 when the wait is over."""
    _, c = t.serve()
    good = c.submit("noop")
    bad = c.submit("math.factorize", ["x"])
    late = c.submit("noop", delay=3600, label="late")
    t.ctl("await", str(good), status=0)
    t.ctl("await", "%d,%d" % (good, bad), status=1)
    t.ctl("await", "%d-%d" % (good, late), "--wait", "0.1", status=124)
    t.ctl("await", "label=late", "--wait", "0.1", status=124)
    t.ctl("await", "999", status=2)
    child = t.ctl_start("await", str(late))
    wait_for(lambda: c.call("cancel", id=late)["cancelled"], "it is cancelled")
    t.finish_ctl(child, status=1)


def test_status(t):
    """status tells of a selection: a line each on a pipe, tab-separated, or JSON."""
    _, c = t.serve()
    for i in range(4):
        c.run("noop", [i], label="l%d" % (i % 2))
    out = t.ctl("status", "2-3,1", status=0).out
    eq([row[0] for row in rows(out)][-3:], ["2", "3", "1"])
    that(all("succeeded" in row for row in rows(out)[-3:]), out)
    told = json.loads(t.ctl("--json", "status", "1", status=0).out)
    job = told[0] if isinstance(told, list) else told
    eq((job["id"], job["result"], job["state"]), (1, [0], "succeeded"))
    told = json.loads(t.ctl("--json", "status", "label=l1", status=0).out)
    eq(sorted(job["id"] for job in told), [2, 4])
    told = json.loads(t.ctl("--json", "status", "last", status=0).out)
    eq((told[0] if isinstance(told, list) else told)["id"], 4)
    t.ctl("status", "77", status=2)


def test_result(t):
    """result prints a job's result as JSON, waits for it, and fails with its job."""
    _, c = t.serve()
    c.run("math.factorize", [91])
    eq(t.ctl("result", "1", status=0).out, "[7,13]\n")
    c.run("math.factorize", ["x"])
    done = t.ctl("result", "2", status=1)
    eq(done.out, "")
    contains(done.err, "BadArguments")
    eq(t.ctl("result", "last").status, 1)
    t.ctl("result", "99", status=2)


def test_output(t):
    """output prints what a command wrote, as it was."""
    _, c = t.serve()
    ident = c.run("exec", t.sh("printf 'out\\377\\000'; echo err >&2"))["id"]
    child = t.ctl_start("output", str(ident))
    eq(child.communicate(timeout=within(30))[0], b"out\xff\x00")
    eq(t.ctl("output", str(ident), "--stderr", status=0).out, "err\n")
    t.ctl("output", "99", status=2)


def test_follow(t):
    """follow prints a command's output as it comes until it ends, and ends as the job did."""
    _, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv("echo last", first="echo first; ")})
    child = t.ctl_start("follow", str(ident))
    eq(os.read(child.stdout.fileno(), 100), b"first\n")
    gate.started()
    gate.release()
    eq(t.finish_ctl(child, status=0).out, "last\n")
    eq(t.ctl("follow", str(ident), status=0).out, "first\nlast\n")
    bad = c.run("exec", t.sh("echo x; exit 4"))["id"]
    done = t.ctl("follow", str(bad))
    that(done.out == "x\n" and done.status in (1, 4), "%r" % done)


def test_list(t):
    """list shows jobs a line each on a pipe, tab-separated without colour, and takes filters."""
    _, c = t.serve()
    for i in range(5):
        c.run("noop", [i], label="tab\tand\nline" if i == 0 else "l%d" % i)
    c.submit("noop", delay=3600, queue="slow")
    out = t.ctl("list", status=0).out
    that("\x1b" not in out, "no colour on a pipe")
    widths = {len(row) for row in rows(out)}
    eq(len(widths), 1, "every line has as many cells: %r" % out)
    ids = sorted(int(row[0]) for row in rows(out) if row[0].isdigit())
    eq(ids, [1, 2, 3, 4, 5, 6])
    out = t.ctl("list", "state=pending", status=0).out
    eq([row[0] for row in rows(out) if row[0].isdigit()], ["6"])
    told = json.loads(t.ctl("--json", "list", "queue=slow", status=0).out)
    jobs = told["jobs"] if isinstance(told, dict) else told
    eq([job["id"] for job in jobs], [6])


def test_cancel(t):
    """cancel asks for the end of a selection and says what came of each."""
    _, c = t.serve()
    done = c.run("noop")["id"]
    ids = [c.submit("noop", delay=3600, label="later") for _ in range(3)]
    t.ctl("cancel", str(ids[0]), status=0)
    eq(c.ended_job(ids[0])["state"], "cancelled")
    t.ctl("cancel", "label=later", status=0)
    eq({job["state"] for job in c.wait(*ids)}, {"cancelled"})
    contains(t.ctl("cancel", str(done)).out + t.ctl("cancel", str(done)).err, str(done))
    t.ctl("cancel", "999", status=2)


def test_tasks_queues_stats(t):
    """tasks, queues and stats print what there is, on a pipe and as JSON."""
    _, c = t.serve()
    c.run("noop", queue="q")
    c.submit("noop", delay=3600, queue="q")
    out = t.ctl("tasks", status=0).out
    for task in ("noop", "math.factorize", "exec", "http.fetch"):
        that(any(row[0] == task for row in rows(out)), "%s in %r" % (task, out))
    eq({task["task"] for task in json.loads(t.ctl("--json", "tasks", status=0).out)} >= {"exec", "noop.io"}, True)
    that(any(row[0] == "q" for row in rows(t.ctl("queues", status=0).out)), "the queue")
    eq([queue["pending"] for queue in json.loads(t.ctl("--json", "queues", status=0).out) if queue["queue"] == "q"], [1])
    that(t.ctl("stats", status=0).out.strip(), "stats")
    that("workers" in json.loads(t.ctl("--json", "stats", status=0).out), "stats as JSON")


def test_json(t):
    """With --json everything on standard output is JSON."""
    _, c = t.serve()
    c.run("noop", [1])
    for args in (["run", "noop", "1"], ["submit", "noop"], ["status", "1"], ["list"], ["tasks"], ["queues"], ["stats"],
                 ["result", "1"], ["await", "1"], ["cancel", "1"]):
        done = t.ctl("--json", *args)
        try:
            json.loads(done.out)
        except ValueError:
            that(False, "%r: %r" % (args, done))


def test_odd_text_on_a_pipe(t):
    """What users sent is escaped in a listing: a tab or a line in a label does not break it."""
    _, c = t.serve()
    c.run("noop", label="a\tb\nc\x1b[31m")
    out = t.ctl("list", status=0).out
    eq(len([row for row in rows(out) if row[0] == "1"]), 1)
    that("\x1b" not in out, "%r" % out)
