"""Where a Chronos state directory keeps each thing, and where its sockets go when the path is too long.

Pure: both programs compute the same answer from the same two values. Nothing is created or checked here;
whoever creates a directory makes it private and checks its owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath

SOCKET_PATH_LIMIT = 100
"""Bytes. The kernel takes 107; the rest is kept for the temporary names some servers bind first."""


@dataclass(frozen=True, slots=True)
class Places:
    """Absolute paths below one state directory; `sockets` is elsewhere if the state directory's path is long."""

    state: str
    sockets: str
    api_socket: str
    redis_socket: str
    launcher_socket: str
    redis: str
    spool: str
    database: str
    lock: str

    @property
    def sockets_moved(self) -> bool:
        """True when the sockets live outside the state directory."""
        return self.sockets != self.state


def places(state: str, uid: int) -> Places:
    """Return the places of the state directory `state` (absolute) for the Unix user `uid`.

    Sockets stand in the state directory unless one of their paths would be 100 bytes or more; then all of them
    move to `/tmp/chronos-<uid>-<first 12 hex digits of sha256 of the state path>`. Raises ValueError if `state`
    is relative.
    """
    root = PurePosixPath(state)
    if not root.is_absolute():
        raise ValueError(f"the state directory must be an absolute path, not {state!r}")
    sockets = PurePosixPath(socket_dir(str(root), uid))
    return Places(
        state=str(root),
        sockets=str(sockets),
        api_socket=str(sockets / "api.sock"),
        redis_socket=str(sockets / "redis.sock"),
        launcher_socket=str(sockets / "launcher.sock"),
        redis=str(root / "redis"),
        spool=str(root / "spool"),
        database=str(root / "chronos.db"),
        lock=str(root / "daemon.lock"),
    )


def socket_dir(state: str, uid: int) -> str:
    """Return the directory that holds the sockets of `state`: itself, or a short one below /tmp."""
    longest = f"{state}/launcher.sock"
    if len(longest.encode("utf-8", "surrogateescape")) < SOCKET_PATH_LIMIT:
        return state
    digest = sha256(state.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"/tmp/chronos-{uid}-{digest}"  # noqa: S108 - private and owner-checked by whoever creates it


def default_state(environ: Mapping[str, str]) -> str:
    """Return the state directory of whoever names none: `CHRONOS_STATE`, else below `XDG_STATE_HOME` or `HOME`.

    Raises ValueError if none of them is set. A relative `XDG_STATE_HOME` counts as unset, as its specification asks.
    """
    if named := environ.get("CHRONOS_STATE"):
        return named
    return f"{_base(environ, 'XDG_STATE_HOME', '.local/state')}/chronos-synapse"


def default_config(environ: Mapping[str, str]) -> str:
    """Return where `chronos.toml` stands: `CHRONOS_CONFIG`, else below `XDG_CONFIG_HOME` or `HOME`.

    Raises ValueError if none of them is set.
    """
    if named := environ.get("CHRONOS_CONFIG"):
        return named
    return f"{_base(environ, 'XDG_CONFIG_HOME', '.config')}/chronos-synapse/chronos.toml"


def _base(environ: Mapping[str, str], variable: str, below_home: str) -> str:
    base = environ.get(variable, "")
    if base.startswith("/"):
        return base.rstrip("/")
    home = environ.get("HOME", "")
    if not home.startswith("/"):
        raise ValueError(f"neither {variable} nor HOME is set to an absolute path; set one, or name the directory")
    return f"{home.rstrip('/')}/{below_home}"
