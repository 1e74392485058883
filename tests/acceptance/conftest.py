"""Fixtures of the acceptance tests: a daemon for each test or one for a module's tests, and the way to ask it."""

from collections.abc import Iterator

import pytest

from tests.support.api import Api, api_of
from tests.support.daemon import DaemonHandle, daemon, running_daemon

__all__ = ["daemon"]


@pytest.fixture
def api(daemon: DaemonHandle) -> Api:
    """The API of the test's own daemon."""
    return api_of(daemon)


@pytest.fixture(scope="module")
def common_daemon() -> Iterator[DaemonHandle]:
    """A daemon for all tests of a module, none of which harms it."""
    with running_daemon() as handle:
        yield handle


@pytest.fixture(scope="module")
def common_api(common_daemon: DaemonHandle) -> Api:
    """The API of the module's daemon."""
    api = api_of(common_daemon)
    api.until_ready()
    return api
