"""Call our server-side functions (`functions.lua`), putting them on the server where they are missing.

The library's name carries its version: two daemons of different releases do not replace each other's.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from scheduler_daemon.live.client import command
from scheduler_daemon.live.errors import PictureMissing, RebuildInProgress


async def load_functions(client: Redis) -> None:
    """Put our functions on the server, replacing the same version of them."""
    source = files(__package__).joinpath("functions.lua").read_text(encoding="utf-8")
    await command(client, "FUNCTION", "LOAD", "REPLACE", source)


async def call(client: Redis, function: str, *args: str | bytes | int) -> Any:
    """Call one of our functions, loading them first where they are missing.

    Raises PictureMissing while the picture is absent, RebuildInProgress if a rebuild was taken over.
    """
    for attempt in (1, 2):
        try:
            return await command(client, "FCALL", function, 0, *args)
        except ResponseError as error:
            said = str(error)
            if "NOEPOCH" in said:
                raise PictureMissing(said.partition("NOEPOCH ")[2]) from error
            if "NOTOKEN" in said:
                raise RebuildInProgress(said.partition("NOTOKEN ")[2]) from error
            if attempt == 2 or "Function not found" not in said:
                raise
            await load_functions(client)
    raise AssertionError  # both rounds return or raise
