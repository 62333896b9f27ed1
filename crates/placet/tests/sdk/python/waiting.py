"""Waiting for what must become true, and nothing else: no test waits for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# How long anything may take that ought to take milliseconds: generous, since a slow machine is no failure.
PATIENCE_S = 30.0

# The scheduler gives a worker whose stream broke this long to come back with its activities' results.
ACTIVITY_GRACE_S = 30.0


def eventually(what: Callable[[], T], claim: str, within_s: float = PATIENCE_S) -> T:
    """The first true value of `what`. An `AssertionError` that names the claim, if there is none in time."""
    end = time.monotonic() + within_s
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{claim}: not within {within_s} s; the last value was {value!r}")
        time.sleep(0.02)  # sleep: between two looks at something that cannot be waited for
