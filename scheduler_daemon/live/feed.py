"""Who may hear the live feed: sessions with a Redis user that can subscribe to its own channels and do nothing else.

Also the heartbeat, by which a listener knows within two seconds that it missed the last message. Who is allowed which
channel is decided by the caller. A session ends by deleting its user: that alone disconnects a live subscriber.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from redis.asyncio import Redis

from scheduler_daemon.contract.channels import PREFIX, is_channel
from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command
from scheduler_daemon.live.functions import call

HEARTBEAT_SECONDS = 2.0
_RIGHTS = ("resetkeys", "-@all", "+subscribe", "+unsubscribe", "+ping", "+hello", "+auth", "+client|setinfo")


@dataclass(frozen=True, slots=True, repr=False)
class Session:
    """A Redis login that hears `channels` until `lifetime` passes without a touch. Its repr hides the password."""

    username: str
    password: str
    channels: tuple[str, ...]
    lifetime: timedelta

    def __repr__(self) -> str:
        return f"Session(username={self.username!r}, channels={self.channels!r})"


@dataclass(frozen=True, slots=True)
class Denied:
    """A command or channel that Redis refused to a user, for the audit log."""

    username: str
    reason: str
    what: str
    count: int


async def open_session(client: Redis, channels: Sequence[str], lifetime: timedelta, owner: int = 0) -> Session:
    """Make a Redis user for the account `owner` that may hear exactly these channels.

    Raises ValueError for what is no channel of ours.
    """
    name = f"{keys.SESSION_USER}{owner}-{secrets.token_hex(8)}"
    session = Session(name, secrets.token_urlsafe(24), tuple(channels), lifetime)
    rules = ["reset", *_RIGHTS, "resetchannels", *map(_channel_rule, channels), f">{session.password}", "on"]
    await client.set(keys.SESSION + session.username, "alive", px=_ms(lifetime))
    await command(client, "ACL", "SETUSER", session.username, *rules)
    return session


def is_of(username: str, owner: int) -> bool:
    """Tell whether a session was made for the account `owner`."""
    return username.startswith(f"{keys.SESSION_USER}{owner}-")


async def grant(client: Redis, username: str, channel: str) -> None:
    """Let a session hear one more channel, such as a log. Raises ValueError if the session or the channel is none."""
    rule = _channel_rule(channel)
    if not await is_open(client, username):
        raise ValueError(f"no such session: {username}")
    await command(client, "ACL", "SETUSER", username, rule)


async def is_open(client: Redis, username: str) -> bool:
    """Tell whether a session's user exists: a restart of the server forgets it, and the terminal opens a new one."""
    return username.startswith(keys.SESSION_USER) and await command(client, "ACL", "GETUSER", username) is not None


async def touch_session(client: Redis, username: str, lifetime: timedelta) -> bool:
    """Prolong a session; False if it has ended."""
    if not await is_open(client, username):
        return False
    return bool(await client.set(keys.SESSION + username, "alive", px=_ms(lifetime)))


async def close_session(client: Redis, username: str) -> None:
    """End a session at once, disconnecting its subscribers. Nothing happens if it has ended."""
    if username.startswith(keys.SESSION_USER):
        await command(client, "ACL", "DELUSER", username)
        await client.delete(keys.SESSION + username)


async def reap_sessions(client: Redis) -> int:
    """End the sessions whose lifetime has passed; return how many."""
    users = [name for name in await command(client, "ACL", "USERS") if name.startswith(keys.SESSION_USER)]
    if not users:
        return 0
    alive = await client.mget([keys.SESSION + name for name in users])
    stale = [name for name, sign in zip(users, alive, strict=True) if sign is None]
    for name in stale:
        await close_session(client, name)
    return len(stale)


async def beat(client: Redis, now: datetime) -> int:
    """Repeat the epoch and the last number on every channel that has a listener; return how many those are."""
    channels = [name for name in await command(client, "PUBSUB", "CHANNELS", PREFIX + "*") if is_channel(name)]
    if channels:
        await call(client, "cs2_beat", now.isoformat(), *channels)
    return len(channels)


async def take_denied(client: Redis) -> list[Denied]:
    """Return what Redis refused since the last call, for the audit log, and forget it."""
    entries: list[dict[str, Any]] = await command(client, "ACL", "LOG", 128)
    await command(client, "ACL", "LOG", "RESET")
    return [
        Denied(str(entry["username"]), str(entry["reason"]), str(entry["object"]), int(entry["count"]))
        for entry in entries
    ]


def _channel_rule(channel: str) -> str:
    if not is_channel(channel):
        raise ValueError(f"not a channel: {channel!r}")
    return "&" + channel


def _ms(lifetime: timedelta) -> int:
    return max(1, round(lifetime.total_seconds() * 1000))
