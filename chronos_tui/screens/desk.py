"""What every screen works with: the client, the board, the zone, how the daemon is heard. Filled once connected."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from textual.css.query import NoMatches
from textual.screen import Screen

from chronos_tui.board import Board
from chronos_tui.widgets.header import Connection

if TYPE_CHECKING:
    from textual.dom import DOMNode

    from chronos_tui.client.live import LiveClient
    from chronos_tui.feed import Feed
    from scheduler_daemon.contract.executions import ExecutionView
    from scheduler_daemon.contract.jobs import JobView


@dataclass
class Desk:
    """Shared by the screens of one app."""

    zone: tzinfo
    place: str
    """Which server, in a word: the first crumb."""
    board: Board = field(default_factory=Board)
    connection: Connection = field(default_factory=lambda: Connection("connecting"))
    live: LiveClient | None = None
    feed: Feed | None = None
    job: JobView | None = None
    """The last one looked at."""
    run: ExecutionView | None = None
    """The last one looked at."""
    frozen: bool = False
    """The picture is held still; what is heard meanwhile waits on the board."""
    complaint: str = ""
    complained_at: float = 0.0
    """What was complained of last, and when."""

    @property
    def client(self) -> LiveClient:
        """The connection to the API. Raises RuntimeError before the first frame is out; screens wait for `ready`."""
        if self.live is None:
            raise RuntimeError("not connected yet")
        return self.live

    @property
    def ready(self) -> bool:
        return self.live is not None

    @property
    def stale(self) -> bool:
        return self.connection.kind == "stale"

    def now(self) -> datetime:
        return datetime.now(UTC)


def beside(node: DOMNode, work: Callable[[], Coroutine[Any, Any, None]], *, group: str, exclusive: bool = True) -> None:
    """Do `work` beside everything else, until the node goes; if `exclusive`, a later one of the group replaces it."""

    async def working() -> None:
        async with while_here(node):
            await work()

    node.run_worker(cast("Any", working), group=group, exclusive=exclusive)  # mypy cannot solve Textual's type of work


@asynccontextmanager
async def while_here(node: DOMNode) -> AsyncIterator[None]:
    """Let work that waits for the server find its widgets gone: whoever left the screen does not miss it."""
    try:
        yield
    except NoMatches:
        screen_left = isinstance(node, Screen) and node not in node.app.screen_stack
        if not screen_left and node.is_attached and node.app.is_running:
            raise


def local_zone(environ: Mapping[str, str]) -> tzinfo:
    """Return the zone this machine lives in, with its clock changes where they can be known."""
    named = environ.get("TZ", "").removeprefix(":")
    if not named:
        try:
            named = os.readlink("/etc/localtime")  # noqa: PTH115 - a text is wanted
        except OSError:
            named = ""
    key = named.rpartition("zoneinfo/")[2]
    try:
        return ZoneInfo(key or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return datetime.now().astimezone().tzinfo or UTC
