"""How we talk to Redis: one way to make a client, and the checks a server must pass before we use it.

Nothing is resent on its own: a command whose answer was lost may have been done, and INCR or XADD done twice would
punch a hole into the feed. Callers that may repeat a step say so.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from scheduler_daemon.live.binaries import MODULE_NAMES
from scheduler_daemon.live.errors import RedisUnavailable

REQUEST_TIMEOUT = 5.0
"""Seconds. A server that does not answer for this long is treated as gone; blocking reads ask for less."""


def connect(url: str, *, username: str | None = None, password: str | None = None) -> Redis:
    """Make a client of `url` (redis://, rediss:// or unix://). Connects at the first command; answers are str."""
    login = {name: value for name, value in (("username", username), ("password", password)) if value is not None}
    options: dict[str, Any] = {
        "protocol": 3,
        "legacy_responses": False,
        "decode_responses": True,
        "encoding_errors": "replace",
        "socket_timeout": REQUEST_TIMEOUT,
        "socket_connect_timeout": REQUEST_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        **login,
    }
    return Redis.from_url(url, **options)


async def command(client: Redis, *words: str | bytes | int) -> Any:
    """Send one command as it is written in Redis's own documentation, and return the raw answer."""
    return await client.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped


def without_credentials(url: str) -> str:
    """Return `url` with its user and password taken out, for showing and for handing to sessions."""
    parts = urlsplit(url)
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name not in ("username", "password")])
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{'?' + query if query else ''}"


def says_wrong_login(error: BaseException) -> bool:
    """Tell whether the server refused our name or password; redis-py has no one class for it."""
    return isinstance(error, AuthenticationError) or "username-password" in str(error)


async def require_usable(client: Redis, shown: str) -> None:
    """Check that the server has what we need and cannot be escaped from. Raises RedisUnavailable saying what to do."""
    try:
        info = await client.info("server")
        modules = {str(module["name"]) for module in await client.module_list()}
        default = await command(client, "ACL", "GETUSER", "default")
    except (RedisError, OSError) as error:
        raise RedisUnavailable(_explained(error, shown)) from error
    _require_version(str(info["redis_version"]), shown)
    _require_modules(modules, shown)
    _require_closed_default(default, shown)


def _explained(error: Exception, shown: str) -> str:
    if says_wrong_login(error):
        return f"Redis at {shown} refuses our name and password ({error}). Put the right ones into the URL."
    if isinstance(error, ResponseError):
        return f"Redis at {shown} does not let us look around ({error}). Our user needs all commands: `+@all ~* &*`."
    return f"Redis at {shown} does not answer ({error}). Is it running, is the URL right?"


def _require_version(version: str, shown: str) -> None:
    if tuple(int(part) for part in version.split(".")[:2]) < (7, 4):
        raise RedisUnavailable(f"Redis at {shown} is {version}; 7.4 or newer is needed (Redis 8 or Redis Stack 7.4).")


def _require_modules(modules: set[str], shown: str) -> None:
    missing = [name for name in MODULE_NAMES if name not in modules]
    if missing:
        raise RedisUnavailable(
            f"Redis at {shown} lacks the modules {', '.join(missing)}. Use Redis 8 or Redis Stack, "
            "or leave the URL unset to have a server started for you (extra `embedded`)."
        )


def _require_closed_default(default: dict[str, Any], shown: str) -> None:
    flags = set(default["flags"])
    if "on" in flags and "nopass" in flags:
        raise RedisUnavailable(
            f"Redis at {shown} lets its `default` user in without a password, so any terminal could escape from its "
            "own rights by RESET. Set `requirepass` and put the password into the URL, or `ACL SETUSER default off`."
        )
