"""
Bad input: each kind gets its own clear error, and nobody else notices.
"""

import json

from harness import Closed, Refused, contains, eq, refused, that

PING = b'{"jsonrpc":"2.0","id":"after","method":"ping"}\n'


def request(method="ping", **members):
    return json.dumps(dict({"jsonrpc": "2.0", "id": 1, "method": method}, **members)).encode() + b"\n"


def lives_on(c):
    c.raw(PING)
    eq(c.message(), {"jsonrpc": "2.0", "id": "after", "result": "pong"}, "the connection lives on")


def no_json(t, lines):
    """Each line is answered -32700 with id null, and the connection lives on."""
    _, c = t.serve()
    lives_on(c)
    for line in lines:
        c.raw(line + b"\n")
        reply = c.message()
        eq((reply["id"], reply.get("error", {}).get("code")), (None, -32700), "the answer to %r" % line[:200])
        lives_on(c)


def noop(arg):
    """A submission with those bytes as its one argument."""
    return b'{"jsonrpc":"2.0","id":1,"method":"submit","params":{"task":"noop","args":[' + arg + b"]}}"


def test_not_json(t):
    """A line that is no JSON is a parse error."""
    no_json(t, [b"nonsense", b"{", b"}", b'{"jsonrpc":"2.0","id":1,"method":"ping"', b"{'jsonrpc':'2.0'}",
                b'{"jsonrpc":"2.0","id":1,"method":"ping",}', b'{"jsonrpc":"2.0","id":1,"method":"ping"} x',
                b'{"jsonrpc":"2.0","id":1,"method":"ping"}{}', b"[1,]", b"[1 2]", b'"open', b"tru", b"nul",
                b"\xef\xbb\xbf{}",
                b'{"a":1 "b":2}', b"{1:2}", b"// no", b'{"a"}', b"[" * 30, b"\x00", b'{"a":\x00}'])


def test_not_json_scalars(t):
    """Numbers and words in spellings of other languages are parse errors."""
    no_json(t, [noop(arg) for arg in (b"01", b"+1", b".5", b"1.", b"1e", b"0x10", b"-", b"1_000", b"NaN", b"Infinity",
                                      b"-Infinity", b"True", b"None", b"undefined", b"'x'", b"--1")])


def test_numbers_out_of_range(t):
    """Integers beyond 64 bits and numbers beyond a double are not JSON here."""
    no_json(t, [noop(arg) for arg in (b"9223372036854775808", b"-9223372036854775809", b"1e400", b"-1e400",
                                      b"123456789012345678901234567890", b"1" * 400)])


def test_numbers_at_the_edge(t):
    """The least and the greatest integer, small and large fractions pass as they are."""
    _, c = t.serve()
    values = [9223372036854775807, -9223372036854775808, 0, -1, 0.1, 1e308, 1.5e-7, 2 ** 53 + 1]
    eq(c.run("noop", values)["result"], values)


def test_strings_that_are_none(t):
    """NUL, raw control characters, bad escapes and half pairs in a string are not JSON here."""
    no_json(t, [noop(arg) for arg in (b'"\x00"', b'"\\u0000"', b'"a\\u0000b"', b'"\x01"', b'"\t"', b'"\\x41"', b'"\\u12"',
                                      b'"\\ud800"', b'"\\ud800\\u0041"', b'"\\udc00"', b'"\\"')])


def test_not_utf8(t):
    """Bytes that are not UTF-8 are not JSON here, whatever is wrong with them."""
    no_json(t, [noop(b'"' + arg + b'"') for arg in (
        b"\xff", b"\xfe", b"\x80", b"\xc3", b"\xc3(", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe2\x82",
        b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf0\x9f\x98",
        b"ok\xe4")])


def test_strings_at_the_edge(t):
    """Every escape, every length of character and pairs come back as what they mean."""
    _, c = t.serve()
    c.raw(b'{"jsonrpc":"2.0","id":1,"method":"run","params":{"task":"noop","args":'
          b'["\\u0001\\b\\f\\n\\r\\t\\"\\\\\\/","\\u00e9\\u20ac\\ud83d\\ude00","\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",'
          b'"\\udbff\\udfff\xf4\x8f\xbf\xbf\x7f"]}}\n')
    eq(c.message()["result"]["result"], ["\x01\b\f\n\r\t\"\\/", "é€😀", "é€😀", "\U0010ffff\U0010ffff\x7f"])


def test_duplicate_keys(t):
    """An object that names a member twice is not JSON here, at any depth and in any spelling."""
    no_json(t, [b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', noop(b'{"a":1,"a":1}'),
                noop(b'[[{"x":{"b":1,"c":2,"b":3}}]]'),
                noop(b'{"a":1,"\\u0061":2}'), noop(b'{"":1,"":2}')])


def test_depth(t):
    """64 levels are taken, 65 are not JSON here, and a hundred thousand do no harm."""
    _, c = t.serve()
    lives_on(c)
    deep = "[" * 61 + "]" * 61
    eq(c.run("noop", json.loads("[" + deep[1:-1] + "]"))["state"], "succeeded")
    c.raw(noop(b"[" * 62 + b"]" * 62) + b"\n")
    eq(c.message()["error"]["code"], -32700)
    for line in (b"[" * 65 + b"]" * 65, b"[" * 100000, b'{"a":' * 100000, b"[" * 100000 + b"]" * 100000):
        c.raw(line + b"\n")
        reply = c.message()
        eq((reply["id"], reply["error"]["code"]), (None, -32700))
    lives_on(c)


def test_not_a_request(t):
    """JSON that is no request is -32600, with the id where one can be told."""
    _, c = t.serve()
    lives_on(c)
    for line, ident in ((b"1", None), (b"null", None), (b'"ping"', None), (b"{}", None), (b"true", None),
                        (b'{"jsonrpc":"2.0","id":5}', 5), (b'{"id":6,"method":"ping"}', 6),
                        (b'{"jsonrpc":"1.0","id":7,"method":"ping"}', 7), (b'{"jsonrpc":2.0,"id":8,"method":"ping"}', 8),
                        (b'{"jsonrpc":"2.0","id":9,"method":7}', 9), (b'{"jsonrpc":"2.0","id":[],"method":"ping"}', None),
                        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', None),
                        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', None)):
        c.raw(line + b"\n")
        reply = c.message()
        eq((reply["id"], reply.get("error", {}).get("code")), (ident, -32600), "the answer to %r" % line)
    lives_on(c)


def test_params_by_position(t):
    """Parameters go by name; an array or a scalar in their place is -32602."""
    _, c = t.serve()
    for params in ([], [1], "x", 7, True):
        c.raw(request("submit", params=params))
        eq(c.message()["error"]["code"], -32602, "params %r" % (params,))
    lives_on(c)


def test_unknown_method(t):
    """An unknown method is -32601, whatever it is called."""
    _, c = t.serve()
    for method in ("nothing", "", "Ping", "ping ", "rpc.discover", "x" * 10000, "é"):
        try:
            c.call(method)
            that(False, "the method %r is known" % method[:50])
        except Refused as refusal:
            eq(refusal.code, -32601)
    lives_on(c)


def test_unknown_parameters(t):
    """A parameter that a method does not know is refused by its name, in every method."""
    _, c = t.serve()
    ident = c.submit("noop")
    good = {"hello": {}, "ping": {}, "submit": {"task": "noop"}, "map": {"task": "noop", "items": [[]]},
            "run": {"task": "noop"}, "status": {"id": ident}, "await": {"id": ident, "wait": 0},
            "cancel": {"id": ident}, "output": {"id": ident, "stream": "stdout"}, "list": {}, "tasks": {}, "queues": {},
            "stats": {}}
    for method, params in good.items():
        error = refused("bad_params", c.call, method, dict(params, frobnicate=1))
        eq(error["code"], -32602)
        eq(error["data"].get("param"), "frobnicate", "data.param of %s" % method)
        contains(error["message"], "frobnicate", "the message of %s" % method)
    eq(c.call("stats") is not None, True)
    eq([job["id"] for job in c.call("list")["jobs"]], [ident], "a refused submission has no effect")


def test_missing_parameters(t):
    """A parameter that must be there and is not is named."""
    _, c = t.serve()
    for method, param in (("submit", "task"), ("run", "task"), ("map", "task"), ("output", "id")):
        error = refused("bad_params", c.call, method)
        eq(error["data"].get("param"), param, method)
    refused("bad_params", c.call, "map", task="noop")
    for method in ("status", "await", "cancel"):
        refused("bad_params", c.call, method)


def test_parameters_of_the_wrong_kind(t):
    """A parameter of the wrong type or out of its range is refused by its name, and nothing is submitted."""
    _, c = t.serve()
    wrong = {"task": [7, None, [], {}, True], "args": [7, "x", True], "queue": [7, "", [], True],
             "priority": ["1", 1001, -1001, 1.5, True, [], 2 ** 40], "delay": [-1, "1", True, -0.001, []],
             "timeout": [-1, "x", True], "max_attempts": [0, -1, 1.5, "3", True], "backoff": [-1, "1", True],
             "key": [7, [], True], "label": [7, [], True], "retain": [-1, "x", True], "lane": ["gpu", 7, "", True]}
    for param, values in wrong.items():
        for value in values:
            error = refused("bad_params", c.call, "submit", {"task": "noop", param: value})
            eq(error["data"].get("param"), param, "data.param for %s=%r" % (param, value))
    eq(c.call("list")["jobs"], [])


def test_wait_of_the_wrong_kind(t):
    """wait, return_when, fields, limit and order are checked too."""
    _, c = t.serve()
    ident = c.submit("noop")
    for method, params, param in (
            ("run", {"task": "noop", "wait": -1}, "wait"), ("run", {"task": "noop", "wait": "1"}, "wait"),
            ("await", {"id": ident, "wait": -1}, "wait"), ("await", {"id": ident, "wait": True}, "wait"),
            ("await", {"id": ident, "return_when": "some"}, "return_when"),
            ("await", {"id": ident, "jobs": 1}, "jobs"), ("status", {"id": ident, "fields": "state"}, "fields"),
            ("status", {"id": ident, "fields": [1]}, "fields"), ("status", {"id": ident, "fields": ["nothing"]}, "fields"),
            ("list", {"limit": 0}, "limit"), ("list", {"limit": 1001}, "limit"), ("list", {"limit": "x"}, "limit"),
            ("list", {"order": "up"}, "order"), ("list", {"after": "x"}, "after"),
            ("cancel", {"id": ident, "grace": -1}, "grace"),
            ("output", {"id": ident, "stream": "stdin"}, "stream"), ("output", {"id": ident, "offset": -1}, "offset"),
            ("output", {"id": ident, "limit": -1}, "limit")):
        error = refused("bad_params", c.call, method, params)
        eq(error["data"].get("param"), param, "data.param of %s %r" % (method, params))


def test_malformed_selections(t):
    """An empty or malformed selection is -32602, never everything."""
    _, c = t.serve()
    ident = c.submit("noop")
    for selection in ({"ids": []}, {"ids": 1}, {"ids": "1"}, {"ids": ["x"]}, {"ids": ["5-"]}, {"ids": ["-5"]},
                      {"ids": ["7-3"]}, {"ids": [1.5]}, {"ids": [None]}, {"ids": [[1]]}, {"ids": [True]}, {"id": "1"},
                      {"id": 1.5}, {"id": None}, {"id": [1]}, {"filter": 7}, {"filter": []}, {"filter": {"colour": "red"}},
                      {"filter": {"state": "sleeping"}}, {"filter": {"state": 7}},
                      {"id": ident, "ids": [ident]}, {"id": ident, "filter": {"state": "pending"}}):
        for method in ("status", "cancel", "await"):
            refused("bad_params", c.call, method, selection)


def test_no_such_task(t):
    """A task that is not there is no_such_task, and nothing is submitted."""
    _, c = t.serve()
    for task in ("no.such", "", "NOOP", "exec ", "x" * 5000):
        refused("no_such_task", c.call, "submit", task=task)
        refused("no_such_task", c.call, "run", task=task)
        refused("no_such_task", c.call, "map", task=task, items=[[1]])
    eq(c.call("list")["jobs"], [])


def test_unknown_jobs(t):
    """A single unknown id is not_found with data.ids; within a range it is skipped; an empty range is not_found."""
    _, c = t.serve()
    first = c.call("map", task="noop", items=[[i] for i in range(3)])["first"]
    for method in ("status", "cancel", "await"):
        eq(refused("not_found", c.call, method, id=999)["data"]["ids"], [999], method)
        eq(refused("not_found", c.call, method, ids=[first, 998, 999])["data"]["ids"], [998, 999], method)
        refused("not_found", c.call, method, ids=["500-600"])
    refused("not_found", c.call, "output", id=999, stream="stdout")
    refused("not_found", c.call, "status", id=2 ** 53 - 1)
    eq([job["id"] for job in c.call("status", ids=["2-50"])], [2, 3])
    eq(c.call("status", filter={"label": "nobody's"}), [])


def test_too_many_values(t):
    """More than 100,000 values outside args and items is too_large and the connection lives on; inside they pass."""
    _, c = t.serve()
    c.submit("noop")
    refused("too_large", c.call, "status", ids=[1] * 100001)
    lives_on(c)
    many = [0] * 150000
    ident = c.submit("noop", many)
    eq(c.ended_job(ident)["result"], many)
    told = c.call("map", task="noop", items=[[i] for i in range(60000)])
    eq(told["count"], 60000)
    c.call("cancel", ids=["%d-%d" % (told["first"], told["first"] + told["count"] - 1)])


def test_a_line_too_long(t):
    """A line over [limits] message is too_large and the connection is closed; one below passes; others go on."""
    d, c = t.serve(config={"limits": {"message": "65536"}})
    eq(c.ended_job(c.submit("noop", ["x" * 65000]), fields=["state"])["state"], "succeeded")
    for finished in (True, False):
        long = t.client()
        try:
            long.raw(noop(b'"' + b"x" * 70000 + b'"') + (b"\n" if finished else b"x" * 70000))
            reply = long.message()
            eq((reply["id"], reply["error"]["data"]["code"]), (None, "too_large"))
        except Closed:
            that(finished is False, "the error comes before the end of the connection")
        long.ended()
    eq(c.call("ping"), "pong")
    eq(len(c.call("list")["jobs"]), 1)
    eq(d.ended(), False)


def test_a_reply_too_long(t):
    """A reply over [limits] message is too_large, and with fields it passes."""
    _, c = t.serve(config={"limits": {"message": "65536"}})
    told = c.call("map", task="noop", items=[["x" * 6000] for _ in range(10)])
    ids = ["%d-%d" % (told["first"], told["first"] + 9)]
    c.call("await", ids=ids, jobs=False)
    refused("too_large", c.call, "status", ids=ids)
    eq(len(c.call("status", ids=ids, fields=["state"])), 10)
    lives_on(c)


def test_another_protocol(t):
    """A connection whose first byte cannot begin JSON is closed at once, without a word."""
    d, c = t.serve()
    for hello in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-x\r\n",
                  b"PRI * HTTP/2.0\r\n\r\n", b"\x00", b"quit\n", b"\xff", b"+", b"}", b"]", b",", b"helo\n"):
        stranger = t.client()
        stranger.raw(hello)
        stranger.ended(10)
    eq(c.call("ping"), "pong")
    eq(d.ended(), False)


def test_first_bytes_that_may(t):
    """A first byte that can begin a JSON value or white space is no reason to close."""
    t.daemon()
    for first in (b"\n", b" ", b"\t", b"\r\n", b"nonsense\n", b"truth\n", b"fail\n", b"-\n", b'"\n', b"7\n", b"{\n", b"[\n"):
        c = t.client()
        c.raw(first)
        c.raw(PING)
        if first.strip():
            eq(c.message()["error"]["code"], -32600 if first == b"7\n" else -32700, "the answer to %r" % first)
        eq(c.message()["result"], "pong")
        c.close()


def test_arguments_of_the_wrong_type(t):
    """Wrong arguments are found when the task starts: the job fails with BadArguments, and no attempt follows."""
    _, c = t.serve()
    for task, args in (("math.factorize", []), ("math.factorize", ["x"]), ("math.factorize", [1]), ("math.factorize", [1.5]),
                       ("math.factorize", [-7]), ("math.factorize", [7, 8]), ("math.factorize", {"m": 7}),
                       ("math.factorize", [[7]]), ("math.factorize", [True]), ("math.is_prime", [None]),
                       ("math.is_prime", [-1]), ("time.sleep", ["long"]), ("time.sleep", [-1]), ("time.sleep", []),
                       ("file.sha256", []), ("file.sha256", [7]), ("file.read", {"path": "/etc/hosts", "max_bytes": "x"}),
                       ("file.read", {"file": "/etc/hosts"}), ("net.resolve", [7]), ("http.fetch", []),
                       ("http.fetch", [7]), ("exec", []), ("exec", {"argv": []}), ("exec", {"argv": "ls"}),
                       ("exec", {"argv": [7]}), ("exec", {"argv": ["ls"], "cwd": 7}), ("exec", {"argv": ["ls"], "colour": 1}),
                       ("exec", {"argv": ["ls"], "env": ["A=1"]}), ("exec", {"argv": ["ls"], "umask": "x"})):
        job = c.run(task, args)
        eq((job["state"], job["error"] and job["error"]["type"], job["attempt"]), ("failed", "BadArguments", 1),
           "%s %r" % (task, args))


def test_others_do_not_notice(t):
    """While one connection sends nothing but rubbish the jobs of another go through."""
    d, c = t.serve()
    rubbish = t.client()
    told = c.call("map", task="math.is_prime", items=[[i] for i in range(1000)])
    for _ in range(200):
        rubbish.raw(b'{"jsonrpc":"2.0",\xff}\n[1,2,3]\n{"jsonrpc":"2.0","id":1,"method":"submit","params":{"task":7}}\n')
    ids = ["%d-%d" % (told["first"], told["first"] + told["count"] - 1)]
    eq(c.call("await", ids=ids, jobs=False)["counts"]["succeeded"], 1000)
    for _ in range(600):
        rubbish.message()
    eq(d.ended(), False)
