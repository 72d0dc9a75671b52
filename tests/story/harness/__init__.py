"""
What the stories stand on: a private daemon for each, a client that speaks the contract and nothing else,
and an overseer that lets no process and no file outlive its story.

Nothing here knows the project's sources: it is the contract, seen from outside. Python's standard library alone.
"""

from .check import (Failed, after, contains, eq, error_of, fail, percentile, refused, that, wait_for, within)
from .story import Gate, Story, options
from .rpc import Client, Closed, Refused, first_word

__all__ = ["Client", "Closed", "Failed", "Gate", "Refused", "Story", "after", "contains", "eq", "error_of", "fail",
           "options", "percentile", "refused", "that", "wait_for", "within"]
