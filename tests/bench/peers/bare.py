"""The limit: what the machine gives without any service in between."""

from kit.runner import figure

from .python import latencies, rate

NAME, NOTHING = "bare (the limit)", "nothing"


@figure("noops", "bare.pool64", NAME, "socketpairs to a worker a core, 64 under way each", NOTHING)
def pool(bench):
    return rate(bench.children.tool("limit", "pool", 64, 1, bench.size(300000, 20000)))


@figure("map", "bare.batches", NAME, "the same, 100 jobs a write", NOTHING)
def batches(bench):
    return rate(bench.children.tool("limit", "pool", 4, 100, bench.size(5000000, 200000)))


@figure("trip", "bare.socketpair", NAME, "64 bytes over a socketpair and back", NOTHING)
def trip(bench):
    return latencies(bench.children.tool("limit", "trip", bench.size(20000, 1000)))


@figure("commands", "bare.spawn", NAME, "posix_spawn and wait, as many at once as workers", NOTHING)
def spawn(bench):
    return rate(bench.children.tool("limit", "spawn", bench.workers, bench.size(1500, 150)))


@figure("factors", "bare.fork", NAME, "forked processes, numbers dealt out beforehand", NOTHING)
def factors(bench):
    numbers = bench.primes(10 ** 13, bench.size(400, 40))
    one, two = [bench.children.tool("limit", "factor", n, *numbers)["seconds"] for n in (1, 2)]
    return {"speedup": one / two, "took": two}
