"""Tests against the reference collections beside this checkout; where there are none they are left out, and say so."""

from pathlib import Path

import pytest

from tests.conftest import SHARED

collect_ignore_glob = [] if SHARED.is_dir() else ["test_*.py"]


@pytest.fixture
def shared() -> Path:
    """The folder of the reference collections."""
    return SHARED
