"""Tests against the reference collections beside this checkout; where there are none they are left out, and say so."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared"

collect_ignore_glob = [] if SHARED.is_dir() else ["test_*.py"]


def pytest_report_header() -> str | None:
    return None if SHARED.is_dir() else f"reference collections: none at {SHARED}, so tests/reference is left out"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not SHARED.is_dir():  # -q shows no header
        terminalreporter.write_line(f"tests/reference is left out: there are no reference collections at {SHARED}")


@pytest.fixture
def shared() -> Path:
    """The folder of the reference collections."""
    return SHARED
