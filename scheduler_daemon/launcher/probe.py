"""Find out by trying which protections are in force on this machine, and what would bring the others about."""

from __future__ import annotations

NAMES = (
    "files",
    "processes",
    "network",
    "seccomp",
    "privileges",
    "kill",
    "memory",
    "pids",
    "cpu",
    "process_limits",
)


def missing() -> dict[str, str]:
    """Return for each protection by name "" if it is in force, else why it is not and the remedy."""
    return dict.fromkeys(NAMES, "not tried yet") | {"kill": ""}
