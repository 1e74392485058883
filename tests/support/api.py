"""The HTTP API of a test's daemon, as a program uses it: JSON in, JSON out, and waiting for what it says."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from chronos_tui.client import Client, ServerError, Unreachable, calls
from chronos_tui.settings import Address
from scheduler_daemon.contract.executions import ACTIVE
from scheduler_daemon.contract.places import places
from tests.support.daemon import DaemonHandle, wait_until

Doc = dict[str, Any]
ACTIVE_STATES = frozenset(map(str, ACTIVE))


class Api:
    """Speaks to the daemon of one state directory; a restart of it goes unnoticed between two calls."""

    def __init__(self, state: Path) -> None:
        self.address = Address(path=places(str(state), os.getuid()).api_socket)
        self._names = itertools.count(1)

    def ask(self, call: calls.Call) -> Any:
        """Send one call on a connection of its own. Raises ServerError, Unreachable."""
        with Client(self.address) as client:
            return client.json(call)

    def raw(self, call: calls.Call) -> bytes:
        """Send one call and return the bytes of its answer."""
        with Client(self.address) as client:
            return client.raw(call)

    def create(self, command: str, *, name: str | None = None, **spec: Any) -> Doc:
        """Make a job; without a schedule it runs only when asked."""
        request = {"spec": {"name": name or f"job-{next(self._names)}", "command": command, **spec}}
        made: Doc = self.ask(calls.create_job(request))
        return made

    def run(self, command: str, **spec: Any) -> int:
        """Make a job and have it run now; return the id of its run."""
        return int(self.ask(calls.run_job(self.create(command, **spec)["id"]))["id"])

    def execution(self, run: int) -> Doc:
        """Return a run."""
        found: Doc = self.ask(calls.execution(run))
        return found

    def executions(self, job: str) -> list[Doc]:
        """Return every run of a job, oldest first."""
        found: list[Doc] = []
        cursor: str | None = None
        while True:
            page = self.ask(calls.executions(job=job, limit=500, cursor=cursor))
            found += page["items"]
            cursor = page["next"]
            if not cursor:
                return found[::-1]

    def jobs(self) -> list[Doc]:
        """Return every job."""
        found: list[Doc] = []
        cursor: str | None = None
        while True:
            page = self.ask(calls.jobs(limit=500, cursor=cursor))
            found += page["items"]
            cursor = page["next"]
            if not cursor:
                return found

    def until_final(self, run: int, *, seconds: float = 20) -> Doc:
        """Wait for the end of a run and return it."""

        def ended() -> Doc | None:
            found = self.execution(run)
            return None if found["state"] in ACTIVE_STATES else found

        found: Doc = wait_until(ended, seconds=seconds)
        return found

    def until_running(self, runs: Iterable[int], *, seconds: float = 20) -> None:
        """Wait until the given runs have a process, or have ended."""
        for run in runs:
            wait_until(partial(self._has_begun, run), seconds=seconds)

    def _has_begun(self, run: int) -> bool:
        return self.execution(run)["state"] not in {"queued", "starting"}

    def finished_log(self, run: int, *, seconds: float = 20) -> Doc:
        """Wait until every line of a run is kept, and return them all as one page."""
        wait_until(lambda: self.ask(calls.log(run, tail=1))["ended"], seconds=seconds)
        page: Doc = {"lines": [], "next": 0}
        while True:
            more: Doc = self.ask(calls.log(run, after=page["next"], limit=1000))
            page = {**more, "lines": page["lines"] + more["lines"]}
            if not more["lines"]:
                return page

    def output(self, run: int, stream: str = "stdout") -> bytes:
        """Return the bytes kept of one stream."""
        return self.raw(calls.raw_log(run, stream))

    def health(self) -> Doc:
        """Return how the daemon is, also while it starts."""
        try:
            found: Doc = self.ask(calls.health())
        except ServerError as error:
            return error.document
        return found

    def failing(self) -> dict[str, str]:
        """Return the parts that do not work, with what is said of them."""
        return {part["name"]: part["detail"] for part in self.health()["components"] if not part["ok"]}

    def until_failing(self, part: str, *, seconds: float = 5) -> str:
        """Wait until a part is said not to work, and return what is said."""
        said: str = wait_until(lambda: self.failing().get(part), seconds=seconds)
        return said

    def until_ready(self, *, seconds: float = 20) -> None:
        """Wait until everything works."""
        wait_until(lambda: self.health()["status"] == "ready", seconds=seconds)


def api_of(daemon: DaemonHandle) -> Api:
    """Return the API of a daemon."""
    return Api(daemon.state)


def retried(ask: Callable[[], Any], *, seconds: float = 30) -> Any:
    """Ask until the daemon answers, as a client that outlives its restarts does; refusals are final."""

    def once() -> list[Any]:
        with contextlib.suppress(Unreachable):
            return [ask()]
        return []

    return wait_until(once, seconds=seconds, every=0.02)[0]
