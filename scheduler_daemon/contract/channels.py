"""The names of the live feed's channels. A channel is an audience, or the output of one execution.

Ids are generated ones (UUIDs, integers); a name with a glob character would widen a session's rights, so it is refused.
"""

from __future__ import annotations

import re

PREFIX = "cs:ch:"
ALL = PREFIX + "all"
"""Every change of every job: heard by admins."""

_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def user(user_id: object) -> str:
    """Return the channel of what one user may see. Raises ValueError for an id that is not a plain one."""
    return f"{PREFIX}user:{_plain(user_id)}"


def team(team_id: object) -> str:
    """Return the channel of what one team may see. Raises ValueError for an id that is not a plain one."""
    return f"{PREFIX}team:{_plain(team_id)}"


def log(execution_id: object) -> str:
    """Return the channel of one execution's output. Raises ValueError for an id that is not a plain one."""
    return f"{PREFIX}log:{_plain(execution_id)}"


def is_channel(name: str) -> bool:
    """Tell whether `name` is exactly one literal channel of ours."""
    if name == ALL:
        return True
    kind, _, target = name.removeprefix(PREFIX).partition(":")
    return name.startswith(PREFIX) and kind in {"user", "team", "log"} and _SAFE_ID.match(target) is not None


def _plain(value: object) -> str:
    text = str(value)
    if not _SAFE_ID.match(text):
        raise ValueError(f"not a generated id: {text!r}")
    return text
