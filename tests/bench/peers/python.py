"""Python's own: concurrent.futures, multiprocessing.Pool, asyncio, each run in a process of its own by
programs/pools.py."""

from kit.runner import figure

NAMES = {"ppe": "ProcessPoolExecutor", "tpe": "ThreadPoolExecutor", "pool": "multiprocessing.Pool",
         "asyncio": "asyncio"}
MEMORY = "memory"


def rate(said):
    return {"rate": said["count"] / said["seconds"]}


def took(said):
    return {"took": said["seconds"]}


def latencies(said):
    return {"p50": said["p50_us"], "p99": said["p99_us"], "tail": said["p99_us"] / said["p50_us"]}


def register(work, kind, what, setting, arguments, read, workers=None):
    """`arguments` is a function of the bench."""
    def run(bench):
        return read(bench.children.tool("pools.py", kind, what, workers or bench.workers, *arguments(bench)))
    figure(work, "%s.%s" % (kind, what), NAMES[kind], setting, MEMORY)(run)


def register_all():
    for kind, full in (("ppe", 20000), ("tpe", 50000), ("pool", 30000), ("asyncio", 100000)):
        register("noops", kind, "submit", "gather()" if kind == "asyncio" else "submit each, then result()",
                 lambda b, full=full: [b.size(full, 10000)], rate)
    for kind, full in (("ppe", 500000), ("pool", 1000000)):
        register("map", kind, "map", "chunks of 100", lambda b, full=full: [100, b.size(full, 100000)], rate)
    for kind, full in (("ppe", 30000), ("pool", 30000)):
        register("backlog", kind, "backlog", "workers held until all are submitted",
                 lambda b, full=full: [b.size(full, 3000)],
                 rate)
    for kind in ("ppe", "pool", "tpe"):
        register("trip", kind, "trip", "one at a time", lambda b: [b.size(3000, 500)], latencies)
    for kind in ("ppe", "tpe"):
        register("commands", kind, "command", "subprocess.call()", lambda b: [b.size(1000, 100)], rate)
    for kind, workers in (("tpe", 256), ("asyncio", 1)):
        register("fetches", kind, "fetch", "no limit, bare streams" if kind == "asyncio" else "256 threads, urllib",
                 lambda b: [b.slow_server(), b.size(1000, 200)], took, workers)
    register("sleeps", "asyncio", "sleep", "no limit", lambda b: [1, b.size(10000, 1000)], took, 1)
    for kind in ("ppe", "pool", "tpe"):
        register("queue", kind, "memory", "of the client, a job",
                 lambda b: [b.size(30000, 5000)], lambda said: {"job": said["bytes"] / said["count"]})
    for kind in ("ppe", "pool"):
        figure("factors", kind + ".map", NAMES[kind], "the same in Python, of smaller numbers", MEMORY)(factors(kind))


def factors(kind):
    def run(bench):
        numbers = bench.primes(10 ** 11, bench.size(400, 40))
        one, two = [bench.children.tool("pools.py", kind, "factor", n, *numbers)["seconds"] for n in (1, 2)]
        return {"speedup": one / two, "took": two}
    return run


register_all()
