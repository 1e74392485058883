"""Fixtures of the acceptance tests: a daemon for a module's tests, and the way to ask it."""

from collections.abc import Iterator

import pytest

from tests.support.api import Api, api_of
from tests.support.daemon import DaemonHandle, running_daemon, wait_until


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonHandle]:
    """A daemon for all tests of a module: each makes names of its own, and leaves it running."""
    with running_daemon() as handle:
        wait_until(lambda: handle.healthy(frozenset({"ready"})))  # Redis too
        yield handle


@pytest.fixture(scope="module")
def api(daemon: DaemonHandle) -> Api:
    """The API of the module's daemon."""
    return api_of(daemon)


@pytest.fixture
def fresh_daemon() -> Iterator[DaemonHandle]:
    """A daemon that nobody else has used."""
    with running_daemon() as handle:
        wait_until(lambda: handle.healthy(frozenset({"ready"})))
        yield handle


@pytest.fixture
def fresh_api(fresh_daemon: DaemonHandle) -> Api:
    """The API of the test's own daemon."""
    return api_of(fresh_daemon)
