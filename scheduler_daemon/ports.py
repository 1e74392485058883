"""What the API may ask of the engine. The two sides stand beside each other and do not import one another."""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from scheduler_daemon.contract.insights import FailureSaid
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.system import Health, LogChannel, Series, Session


class Engine(Protocol):
    """The running daemon, as the API sees it."""

    async def jobs_changed(self, ids: Collection[str]) -> None:
        """Take up jobs that were made, changed, paused or deleted, after their commit."""

    def editing(self) -> AbstractAsyncContextManager[None]:
        """Let jobs be changed within, up to `jobs_changed`: no fire to come has been prepared as they were before."""

    async def run_now(self, work: Callable[[Any, int], tuple[Any, Any]]) -> Any:
        """Commit `work(connection, free)`, which returns (answer, what follows or None); see to what follows."""

    def room_changed(self) -> None:
        """Look whether runs that wait may start now, after the commit that may have made room for them."""

    async def stop(self, execution_id: int, reason: str) -> None:
        """Stop the process of a run that somebody has cancelled, after the commit that says so."""

    def question_asked(self) -> None:
        """Put a question to Claude, after the commit that wrote it down."""

    async def artifact(self, execution_id: int, start: int, size: int) -> AsyncIterator[bytes]:
        """Return the bytes of a file that a run left. Raises NotFound where it lies with another daemon."""

    async def protections(self) -> dict[str, str]:
        """Return for each protection "" if it is in force on this machine, else why not. Raises Unavailable."""

    def health(self) -> Health:
        """Say what works and what does not."""

    def shut_down(self, *, stop_jobs: bool) -> None:
        """Begin to stop; running jobs go on unless `stop_jobs`."""


class Picture(Protocol):
    """The live picture in Redis, as the API sees it. Each call raises Unavailable while Redis does not answer."""

    async def open_session(self, actor: Actor) -> Session:
        """Make a Redis account that hears the actor's channels and can do nothing else."""

    async def close_session(self, actor: Actor, session_id: str) -> None:
        """Take the account away; a listener on it is cut off. Raises NotFound for a session of someone else."""

    async def hear_log(self, actor: Actor, session_id: str, execution_id: int, last: int) -> LogChannel:
        """Let a session hear the lines of a run. Raises NotFound for one that has ended or is someone else's."""

    async def search_jobs(
        self, actor: Actor, text: str, *, sort: str, limit: int, cursor: str | None, now: datetime
    ) -> Page[str]:
        """Return ids of a window of the jobs a filter finds, in order. Raises Invalid for a spoilt cursor."""

    async def alike(self, actor: Actor, said: FailureSaid, most: int) -> list[tuple[int, float]]:
        """Return earlier failures of other patterns that say much the same, and how much, best first."""

    async def usage(self, execution_id: int, metric: str, *, start: datetime, end: datetime, buckets: int) -> Series:
        """Return what a run used while it ran: cpu, memory or processes."""

    async def series(self, job_id: str, metric: str, *, start: datetime, end: datetime, buckets: int) -> Series:
        """Return a metric of a job in at most `buckets` buckets."""
