"""The fixture for pytest, which finds it by itself where the package is installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from placet.testing import Server


@pytest.fixture
def placet_server() -> Iterator[Server]:
    """A server of the test's own, whose clock stands until `placet_server.advance("1d")`."""
    with Server() as server:
        yield server
