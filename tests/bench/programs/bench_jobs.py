"""What the workers of the Python peers run: importable by their names, as rq, celery and multiprocessing want it."""

import subprocess
import urllib.request


def same(value=None):
    """The no-op."""
    return value


def command(_=None):
    """The status of /bin/true."""
    return subprocess.call(["/bin/true"])


def fetch(url):
    with urllib.request.urlopen(url) as reply:
        return len(reply.read())


def factorize(n):
    """By trial division, as the daemon's math.factorize does it."""
    factors, p = [], 2
    while p * p <= n:
        while n % p == 0:
            factors.append(p)
            n //= p
        p += 1 if p == 2 else 2
    return factors + [n] if n > 1 else factors
