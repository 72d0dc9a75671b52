"""
output: what a command wrote, by offset, while it runs and after it has ended.
"""

import base64
import os

from harness import contains, eq, options, process, refused, that, wait_for, within


def test_output_by_offset(t):
    """output answers from an offset, at most a limit, and says where it goes on."""
    _, c = t.serve()
    ident = c.run("exec", t.sh("printf 0123456789; printf abc >&2"))["id"]
    eq(c.call("output", id=ident, stream="stdout"),
       {"data": "0123456789", "encoding": "utf-8", "offset": 0, "next": 10, "eof": True})
    eq(c.call("output", id=ident, stream="stdout", offset=3, limit=4),
       {"data": "3456", "encoding": "utf-8", "offset": 3, "next": 7, "eof": False})
    eq(c.call("output", id=ident, stream="stdout", offset=7, limit=3)["next"], 10)
    eq(c.call("output", id=ident, stream="stdout", offset=10),
       {"data": "", "encoding": "utf-8", "offset": 10, "next": 10, "eof": True})
    eq(c.call("output", id=ident, stream="stderr")["data"], "abc")


def test_output_of_nothing(t):
    """A command that wrote nothing, and a job that is no command, have empty outputs that have ended."""
    _, c = t.serve()
    for ident in (c.run("exec", {"argv": ["/bin/true"]})["id"], c.run("noop")["id"]):
        for stream in ("stdout", "stderr"):
            piece = c.call("output", id=ident, stream=stream, wait=within(10))
            eq((piece["data"], piece["next"], piece["eof"]), ("", 0, True))


def test_output_waits(t):
    """With wait the answer comes when there is a byte or the end, not before."""
    _, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv("echo said; read line < $0.go; exit 0")})
    gate.started()
    piece = c.call("output", id=ident, stream="stdout", wait=0.1)
    eq((piece["data"], piece["eof"]), ("", False), "the wait is over")
    eq(c.call("output", id=ident, stream="stdout")["eof"], False, "without wait it does not wait")
    reader = t.client()
    asked = reader.send("output", id=ident, stream="stdout", wait=within(60))
    that(reader.silent(0.1), "there is nothing yet")
    gate.release()
    piece = reader.answer(asked)
    eq((piece["data"], piece["next"], piece["eof"]), ("said\n", 5, False))
    asked = reader.send("output", id=ident, stream="stdout", offset=5, wait=within(60))
    ended = reader.send("output", id=ident, stream="stderr", wait=within(60))
    that(reader.silent(0.1), "nothing more yet")
    gate.release()
    eq([(piece["data"], piece["eof"]) for piece in (reader.answer(asked), reader.answer(ended))], [("", True)] * 2)


def test_output_of_a_pending_job(t):
    """With wait one may ask for the output of a job that has not started."""
    _, c = t.serve(workers=1)
    gate = t.gate()
    first = c.submit("exec", {"argv": gate.argv()})
    gate.started()
    ident = c.submit("exec", {"argv": ["/bin/echo", "later"]})
    reader = t.client()
    asked = reader.send("output", id=ident, stream="stdout", wait=within(60))
    that(reader.silent(0.1), "it has not started")
    gate.release()
    eq(reader.answer(asked)["data"], "later\n")
    c.ended_job(first)


def test_no_character_is_cut(t):
    """A piece ends between characters, whatever the limit."""
    _, c = t.serve()
    text = "aé€😀" * 50
    ident = c.run("exec", {"argv": ["printf", "%s", text]})["id"]
    for limit in (4, 5, 6, 7, 64):
        data, offset = "", 0
        while True:
            piece = c.call("output", id=ident, stream="stdout", offset=offset, limit=limit)
            eq(piece["encoding"], "utf-8", "limit %d at %d" % (limit, offset))
            eq(piece["next"] - offset, len(piece["data"].encode()))
            that(piece["data"] or piece["eof"], "it goes on")
            data, offset = data + piece["data"], piece["next"]
            if piece["eof"]:
                break
        eq(data, text)


def test_binary_pieces(t):
    """Bytes that are no text come as base64 and are complete."""
    _, c = t.serve()
    ident = c.run("exec", t.sh("i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %03o $i)\"; i=$((i+1)); done"))["id"]
    data, offset = b"", 0
    while True:
        piece = c.call("output", id=ident, stream="stdout", offset=offset, limit=100)
        data += base64.b64decode(piece["data"]) if piece["encoding"] == "base64" else piece["data"].encode()
        offset = piece["next"]
        eq(offset, len(data))
        if piece["eof"]:
            break
    eq(data, bytes(range(256)))


def test_output_of_the_latest_attempt(t):
    """Only the latest attempt's output is kept."""
    _, c = t.serve()
    job = c.run("exec", t.sh("echo x >> %s; wc -l < %s; exit 1" % ((t.path("tries"),) * 2)), max_attempts=3, backoff=0.01)
    eq(job["attempt"], 3)
    eq(c.call("output", id=job["id"], stream="stdout")["data"].strip(), "3")


def test_output_after_a_restart(t):
    """The output of an ended command is there after kill -9 of the daemon."""
    d, c = t.serve()
    ident = c.run("exec", t.sh("seq 1 50000"))["id"]
    d.restart()
    c = t.client()
    data, offset = "", 0
    while True:
        piece = c.call("output", id=ident, stream="stdout", offset=offset)
        data, offset = data + piece["data"], piece["next"]
        if piece["eof"]:
            break
    eq(data, "".join("%d\n" % i for i in range(1, 50001)))


def test_many_followers(t):
    """A hundred readers that follow one command each see all of it."""
    _, c = t.serve()
    gate = t.gate()
    ident = c.submit("exec", {"argv": gate.argv("echo one; read line < $0.go; echo two")})
    gate.started()
    readers = [t.client() for _ in range(100)]
    asked = [reader.send("output", id=ident, stream="stdout", wait=within(60)) for reader in readers]
    gate.release()
    eq({reader.answer(one)["data"] for reader, one in zip(readers, asked)}, {"one\n"})
    asked = [reader.send("output", id=ident, stream="stdout", offset=4, wait=within(60)) for reader in readers]
    gate.release()
    eq({reader.answer(one)["data"] for reader, one in zip(readers, asked)}, {"two\n"})


def test_what_another_store_has_left(t):
    """A file by the name of a job that has not begun is not the job's: it was there before, and may be another owner's."""
    d, c = t.serve()
    d.stop()
    with open(os.path.join(d.state, "output", "1.out"), "wb") as file:
        file.write(b"secret")
    d.start()
    c = t.client()
    eq(c.submit("exec", t.sh("echo said"), delay=3600), 1)
    eq(c.call("output", id=1, stream="stdout", offset=0), {"data": "", "encoding": "utf-8", "offset": 0, "next": 0, "eof": False})
    c.call("cancel", id=1)
    eq(c.call("output", id=1, stream="stdout", offset=0), {"data": "", "encoding": "utf-8", "offset": 0, "next": 0, "eof": True})


def test_a_folder_that_is_gone(t):
    """Somebody deletes the folder of outputs: commands end as they end, and the log says what is lost; the next start makes it anew."""
    d, c = t.serve()
    os.rmdir(os.path.join(d.state, "output"))
    for _ in range(3):
        job = c.run("exec", t.sh("echo said"))
        eq((job["state"], job["result"]["stdout"]), ("succeeded", "said\n"))
    done = t.ctl("run", "--", "sh", "-c", "echo said; echo bad >&2", status=0)
    eq((done.out, done.err), ("said\n", "bad\n"), "what the result has is printed")
    done = t.ctl("run", "--", "seq", "100000", status=125)
    contains(done.err, "of which the daemon has kept the first 65536")
    done = t.ctl("map", "--output", "--", "seq", "{}", stdin=b"100000\n", status=0)
    contains(done.err, "wrote 588895 bytes to standard output, of which the daemon has kept the first 0")
    contains(d.log(), "job 1: its output could not be kept whole in the state folder's output/: No such file or directory")
    that(d.log().count("could not be kept whole") <= 2, "a word for each supervisor: %s" % d.log())
    d.stop()
    d.start()
    c = t.client()
    eq(c.call("output", id=c.run("exec", t.sh("echo said"))["id"], stream="stdout", offset=0)["data"], "said\n")


def test_output_of_unknown(t):
    """output of an unknown job, or of another stream, is refused."""
    _, c = t.serve()
    eq(refused("not_found", c.call, "output", id=7, stream="stdout")["data"]["ids"], [7])
    ident = c.run("exec", {"argv": ["/bin/true"]})["id"]
    eq(refused("bad_params", c.call, "output", id=ident, stream="stdlog")["data"]["param"], "stream")


def test_output_goes_with_its_job(t):
    """When retention takes a job its output files go too."""
    d, c = t.serve()

    def files():
        return [name for _, _, names in os.walk(d.state) for name in names if name.endswith((".out", ".err"))]
    c.run("exec", t.sh("echo out; echo err >&2"), retain=0.2)
    wait_for(lambda: c.call("list")["jobs"] == [], "the job goes", 60)
    wait_for(lambda: files() == [], "its files go", 60)


@options(deadline=300)
def test_a_client_that_does_not_read(t):
    """Hundreds of requests for a MiB each, unread, cost the daemon a few at a time, at once or when they have waited; all are answered."""
    d, c = t.serve(config={"limits": {"waits_per_connection": "3000"}})
    gate = t.gate()
    size = 1 << 20
    ident = c.submit("exec", {"argv": gate.argv("head -c %d /dev/zero | tr '\\0' x; read line < $0.go" % size)})
    gate.started()
    slow = t.client(seconds=120)
    before = process.memory_kib(d.pid)
    asked = [slow.send("output", id=ident, limit=size, wait=within(600)) for _ in range(150)]
    c.call("ping")
    gate.release()
    wait_for(lambda: c.call("output", id=ident, offset=size - 1)["next"] == size, "all is written")
    gate.release()
    c.ended_job(ident)
    more = b"".join(slow.request("output", id=ident, limit=size)[1] for _ in range(300))
    slow.socket.setblocking(False)
    try:
        more = more[slow.socket.send(more):]
    except BlockingIOError:
        pass
    slow.socket.setblocking(True)
    for _ in range(20):
        eq(c.call("output", id=ident, limit=10)["data"], "x" * 10, "others are answered")
    grown = process.memory_kib(d.pid) - before
    that(grown < t.memory_bound(96 << 10), "the daemon grew by %d KiB for a client that does not read" % grown)
    t.figure("the daemon grew by %d KiB" % grown)
    first = slow.answer(asked[0])
    that(len(first["data"]) > 0 and first["offset"] == 0, "%r" % first["next"])
    for one in asked[1:]:
        that(slow.answer(one)["next"] > 0, "each is answered")


def test_files_of_nobody(t):
    """A start deletes the output of jobs that are gone, as a daemon leaves it that dies amid a forget, and nothing else."""
    d, c = t.serve()
    files = os.path.join(d.state, "output")
    kept = c.run("exec", t.sh("echo kept; echo and this >&2"))["id"]
    told = c.call("map", task="noop", items=[[]] * 1500)
    gone = range(told["first"], told["first"] + told["count"])
    ids = ["%d-%d" % (gone[0], gone[-1])]
    c.call("await", ids=ids, jobs=False, wait=within(60))
    c.call("forget", ids=ids)
    last = c.run("exec", t.sh("echo last"))["id"]
    d.kill()
    others = {"%d.out" % kept, "%d.err" % kept, "%d.out" % last, "note", "x.out", "%d.out" % (last + 1000), "%d.old" % gone[0]}
    for name in {"%d.%s" % (ident, end) for ident in gone for end in ("out", "err")} | others:
        if not os.path.exists(os.path.join(files, name)):
            t.write(os.path.join(files, name), "x")
    d.start()
    c = t.client()
    wait_for(lambda: set(os.listdir(files)) == others, "what belongs to no job is gone")
    eq((c.call("output", id=kept, stream="stdout")["data"], c.call("output", id=last, stream="stdout")["data"]), ("kept\n", "last\n"))
    eq(c.run("exec", t.sh("echo on"))["result"]["stdout"], "on\n")
