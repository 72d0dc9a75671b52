"""
Lines, requests, batches and notifications: JSON-RPC 2.0 as the contract narrows it.
"""

import json
import socket
import threading

from harness import Closed, eq, process, refused, that, wait_for, within


def test_ping_and_hello(t):
    """ping answers pong, and hello says who serves, which protocol and who one is."""
    _, c = t.serve()
    eq(c.call("ping"), "pong")
    hello = c.call("hello", client="story")
    eq(hello["server"], "futured")
    eq(hello["protocol"], 1)
    that(isinstance(hello["version"], str) and hello["version"], "a version")
    eq(hello["owner"], "uid:%d" % t.uid)
    eq(hello["role"], "operator")


def test_hello_twice(t):
    """hello may be said again and changes nothing."""
    _, c = t.serve()
    eq(c.call("hello"), c.call("hello"))


def test_ids_come_back_as_they_were(t):
    """A reply carries the request's id: an integer, a string, also an odd one."""
    _, c = t.serve()
    for ident in (0, -7, 2 ** 53, "a", "", "é\n\"", "x" * 1000):
        c.raw(json.dumps({"jsonrpc": "2.0", "id": ident, "method": "ping"}).encode() + b"\n")
        eq(c.message(), {"jsonrpc": "2.0", "id": ident, "result": "pong"})


def test_blank_lines_and_white_space(t):
    """Blank lines are ignored, white space around a request and CR LF do no harm."""
    _, c = t.serve()
    c.raw(b"\n\n   \n\t\r\n")
    c.raw(b'  {"jsonrpc" : "2.0" , "id" : 1 , "method" : "ping" }\t \r\n\n')
    eq(c.message(), {"jsonrpc": "2.0", "id": 1, "result": "pong"})
    that(c.silent(), "a blank line is not answered")


def test_byte_by_byte(t):
    """A request may come a byte at a time, and several may come in one piece."""
    _, c = t.serve()
    c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    _, data = c.request("ping")
    for byte in data:
        c.raw(bytes([byte]))
    eq(c.message()["result"], "pong")
    c.raw(b"".join(c.request("ping")[1] for _ in range(50)))
    eq([c.message()["id"] for _ in range(50)], list(range(2, 52)))


def test_a_line_in_two_pieces(t):
    """A request cut within a character of several bytes is put together again."""
    _, c = t.serve()
    data = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "run", "params": {"task": "noop", "args": ["äöü€😀"]}},
                      ensure_ascii=False).encode() + b"\n"
    cut = data.index("€".encode()) + 1
    c.raw(data[:cut])
    that(c.silent(0.05), "half a line is not answered")
    c.raw(data[cut:])
    eq(c.message()["result"]["result"], ["äöü€😀"])


def test_notifications(t):
    """A notification is carried out and not answered, also when it is wrong."""
    _, c = t.serve()
    c.notify("ping")
    c.notify("no such method")
    c.notify("submit", task="no.such.task")
    c.notify("submit", task="noop", args=["by notification"], label="told")
    eq(c.call("ping"), "pong")
    told = c.call("await", filter={"label": "told"}, wait=within(30))
    eq([job["result"] for job in told["done"]], [["by notification"]])


def test_batch(t):
    """A batch is answered by one array with a reply for each request, none for notifications."""
    _, c = t.serve()
    c.raw(b'[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"ping"},'
          b'{"jsonrpc":"2.0","id":"two","method":"nothing"},{"jsonrpc":"2.0","id":3,"method":"run","params":'
          b'{"task":"noop","args":[3]}}]\n')
    replies = {reply["id"]: reply for reply in c.message()}
    eq(set(replies), {1, "two", 3})
    eq(replies[1]["result"], "pong")
    eq(replies["two"]["error"]["code"], -32601)
    eq(replies[3]["result"]["result"], [3])


def test_batch_of_wrong_things(t):
    """A batch of things that are no requests has an error for each; an empty one has one error alone."""
    _, c = t.serve()
    c.raw(b"[]\n")
    eq(c.message()["error"]["code"], -32600)
    c.raw(b'[1,"x",null,[],{}]\n')
    replies = c.message()
    eq([(reply["id"], reply["error"]["code"]) for reply in replies], [(None, -32600)] * 5)


def test_batch_of_notifications(t):
    """A batch of notifications alone is not answered."""
    _, c = t.serve()
    c.raw(b'[{"jsonrpc":"2.0","method":"ping"},{"jsonrpc":"2.0","method":"ping"}]\n')
    eq(c.call("ping"), "pong")


def test_batch_of_a_thousand(t):
    """A batch of 1,000 requests is taken; one of 1,001 is too_large and the connection lives on."""
    _, c = t.serve()

    def batch(count):
        return json.dumps([{"jsonrpc": "2.0", "id": i, "method": "ping"} for i in range(count)]).encode() + b"\n"
    c.raw(batch(1000))
    eq(sorted(reply["id"] for reply in c.message()), list(range(1000)))
    c.raw(batch(1001))
    reply = c.message()
    eq((reply["id"], reply["error"]["code"], reply["error"]["data"]["code"]), (None, -32005, "too_large"))
    eq(c.call("ping"), "pong")


def test_batch_waits_for_all(t):
    """A batch with a run in it is answered when that has ended, and holds up no other request."""
    _, c = t.serve()
    gate = t.gate()
    c.raw(json.dumps([{"jsonrpc": "2.0", "id": "in batch", "method": "run",
                       "params": {"task": "exec", "args": {"argv": gate.argv()}}},
                      {"jsonrpc": "2.0", "id": "quick", "method": "ping"}]).encode() + b"\n")
    gate.started()
    eq(c.call("ping"), "pong")
    gate.release()
    replies = {reply["id"]: reply["result"] for reply in c.message()}
    eq(replies["quick"], "pong")
    eq(replies["in batch"]["state"], "succeeded")


def test_replies_overtake(t):
    """A request that waits does not hold up those behind it."""
    _, c = t.serve()
    gate = t.gate()
    slow = c.send("run", task="exec", args={"argv": gate.argv()})
    gate.started()
    eq([c.call("ping") for _ in range(3)], ["pong"] * 3)
    gate.release()
    eq(c.answer(slow)["state"], "succeeded")


def test_requests_take_effect_in_order(t):
    """Pipelined submissions have rising ids, and a status behind a submit knows its job."""
    _, c = t.serve()
    sent, data = [], b""
    for i in range(300):
        ident, line = c.request("submit", task="noop", args=[i])
        sent.append(ident)
        data += line
        ident, line = c.request("status", id=i + 1, fields=["args"])
        sent.append(ident)
        data += line
    c.raw(data)
    answers = [c.answer(ident) for ident in sent]
    eq([one["id"] for one in answers[0::2]], list(range(1, 301)))
    eq(answers[1::2], [{"id": i + 1, "args": [i]} for i in range(300)])


def test_pipelining_without_reading(t):
    """A client that writes 100,000 requests before it reads one reply gets all replies."""
    _, c = t.serve()
    count = 100000
    data = b"".join(b'{"jsonrpc":"2.0","id":%d,"method":"ping"}\n' % i for i in range(count))
    c.socket.settimeout(within(60))
    writer = threading.Thread(target=c.socket.sendall, args=(data,), daemon=True)
    writer.start()
    eq(t.client().call("ping"), "pong")
    eq([c.message()["id"] for _ in range(count)], list(range(count)), "every reply, each once")
    writer.join(within(10))


def test_a_client_that_does_not_read(t):
    """A client that does not read its replies is held back, and nobody else and no memory suffers."""
    d, c = t.serve()
    c.run("noop", ["x" * 1000000])
    deaf = t.client()
    deaf.socket.setblocking(False)
    line = b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"id":1}}\n' * 200
    sent, stalls = 0, 0
    before = process.memory_kib(d.pid)
    while stalls < 20 and sent < 64 << 20:
        try:
            sent += deaf.socket.send(line)
            stalls = 0
        except BlockingIOError:
            stalls += 1
            eq(c.call("ping"), "pong")
    that(stalls == 20, "the server stops reading from one who does not read")
    grown = process.memory_kib(d.pid) - before
    that(grown < t.memory_bound(100 << 10), "the daemon grew by %d KiB for a client that does not read" % grown)
    t.figure("%d KiB of requests were taken; the daemon grew by %d KiB" % (sent >> 10, grown))


def test_many_connections(t):
    """A thousand connections at once are all answered."""
    t.daemon()
    clients = [t.client() for _ in range(1000)]
    for c in clients:
        c.send("ping")
    eq([c.answer(1) for c in clients], ["pong"] * 1000)


def test_a_client_that_leaves(t):
    """One who leaves within a request, or before its reply, disturbs nobody; what was read is carried out."""
    d, c = t.serve()
    gone = t.client()
    gone.raw(b'{"jsonrpc":"2.0","id":1,"method":"subm')
    gone.close()
    gone = t.client()
    gone.send("submit", task="noop", args=["left"], label="left")
    gone.close()
    gone = t.client()
    gone.send("run", task="time.sleep", args=[0.05], label="left")
    gone.close()
    wait_for(lambda: [j["state"] for j in c.call("list", filter={"label": "left"})["jobs"]] == ["succeeded"] * 2,
             "both jobs of clients that left succeed")
    eq(d.ended(), False)


def test_half_closed(t):
    """One who shuts down its writing side still gets the replies to what it has sent."""
    _, _ = t.serve()
    c = t.client()
    ident = c.send("run", task="time.sleep", args=[0.1])
    c.socket.shutdown(socket.SHUT_WR)
    try:
        eq(c.answer(ident)["state"], "succeeded")
    except Closed:
        pass  # the contract leaves it open whether that is a disconnect; the job goes on in any case
    eq(t.client().ended_job(1)["state"], "succeeded")


def test_early_connections_wait(t):
    """One who connects while the daemon starts is answered when it is ready, and never refused by a reply."""
    d = t.make()
    d.start(ready=False)
    clients = []

    def connected():
        try:
            clients.append(t.client())
        except (FileNotFoundError, ConnectionRefusedError):
            that(not d.ended(), "the daemon starts")
        return clients
    wait_for(connected, "the socket takes connections")
    eq(clients[0].call("ping"), "pong")
    refused("not_found", clients[0].call, "status", id=1)


def test_leaving_amid_replies(t):
    """One who leaves while large replies are on their way harms nobody."""
    d, c = t.serve()
    c.call("map", task="noop", items=[[number] for number in range(20000)])
    for _ in range(10):
        other = t.client()
        other.raw(b"".join(other.request("status", filter={"label": "none"})[1] + other.request("status", ids=["1-3000"], fields=[])[1]
                           for _ in range(3)))
        other.socket.shutdown(socket.SHUT_WR)
        other.close()
        eq(c.call("ping"), "pong")
    eq(d.ended(), False)
