"""
Assertions that say what they saw, and waits that end.

Every wait in the stories goes through `within` (a deadline, stretched by FUTURED_TEST_SCALE) so that a slow machine
makes a story slow and never wrong.
"""

import os
import time

SCALE = float(os.environ.get("FUTURED_TEST_SCALE") or "1")


class Failed(AssertionError):
    """The contract says otherwise."""


def within(seconds):
    """That many seconds on this machine."""
    return seconds * SCALE


def after(seconds):
    """The moment at which a wait of that many seconds is over."""
    return time.monotonic() + within(seconds)


def percentile(values, part):
    """The least of the values that so many hundredths of them do not exceed."""
    return sorted(values)[max(0, -(-len(values) * part // 100) - 1)]


def shown(value):
    text = repr(value)
    return text if len(text) <= 1500 else text[:1000] + " … " + text[-400:]


def fail(what):
    raise Failed(what)


def that(condition, what):
    """`what` says what ought to be so."""
    if not condition:
        raise Failed(what)


def eq(seen, expected, what=""):
    """Equal, and of the same kind: 1 is not true."""
    if seen != expected or isinstance(seen, bool) != isinstance(expected, bool):
        raise Failed((what + ": " if what else "") + "expected %s, saw %s" % (shown(expected), shown(seen)))
    return seen


def contains(text, part, what=""):
    if part not in text:
        raise Failed((what + ": " if what else "") + "expected %s in %s" % (shown(part), shown(text)))
    return text


def wait_for(condition, what, seconds=20):
    """Asks until `condition()` is true, and returns what it said. For what gives no event of its own."""
    until = after(seconds)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise Failed("waited %g s in vain: %s" % (within(seconds), what))
        time.sleep(0.005)


def refused(word, call, *args, **kwargs):
    """The call is refused with that word of the contract; returns the error object."""
    from .rpc import Refused
    try:
        result = call(*args, **kwargs)
    except Refused as refusal:
        eq(refusal.word, word, "error.data.code of %s" % refusal)
        return refusal.error
    raise Failed("expected a refusal %s, got the result %s" % (word, shown(result)))


def error_of(job, kind):
    """The error object of a job that ended so; its type is `kind`."""
    that(job["error"] is not None, "expected an error of type %s, saw none in %s" % (kind, shown(job)))
    eq(job["error"]["type"], kind, "error.type of %s" % shown(job))
    eq(job["result"], None, "the result of a job that did not succeed")
    that(isinstance(job["error"]["message"], str) and job["error"]["message"], "an error has a message")
    return job["error"]
