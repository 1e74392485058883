"""Train what foresees failures, once a day, in a process of its own that is bounded in time and memory.

usage: python -m scheduler_daemon.analyst.nightly. Standard input is rows of 4-byte floats, `COUNT` features, what the
regression believed, and whether the run failed; standard output the choice as JSON.
"""

import asyncio
import contextlib
import json
import logging
import os
import resource
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.insights.prediction import FailureModel
from scheduler_daemon.insights.prediction_features import COUNT
from scheduler_daemon.storage.learnt import Learnt

SECONDS: Final = 60
"""Of processor time."""
MEMORY: Final = 1 << 30
PATIENCE: Final = timedelta(hours=2)
"""Where others need the machine it may take long; then it is tried again the next day."""
AGAIN: Final = timedelta(hours=1)
"""Between looks whether there are runs enough."""
_SPOILT: Final = (KeyError, ValueError, TypeError)

log = logging.getLogger(__name__)


class Trainer:
    """Has a model trained beside the analyst's work, and takes it where it does better."""

    def __init__(self, learnt: Learnt, model: FailureModel, now: Callable[[], datetime], every: timedelta) -> None:
        self._learnt = learnt
        self._model = model
        self._now = now
        self._every = every
        self._process: Process | None = None
        self._answer: asyncio.Task[tuple[bytes, bytes]] | None = None
        kept = json.loads(learnt.fact("nightly") or "{}")
        self._next = datetime.fromisoformat(kept["at"]) + every if kept else now()
        self._ends = now()
        self._take(kept)

    async def step(self) -> None:
        """Begin with a training when it is time, or take what one has found; never wait for it."""
        now = self._now()
        if self._answer is None:
            if now >= self._next:
                await self._begin(now)
        elif self._answer.done():
            self._finish(now)
        elif now >= self._ends:
            await self.close()

    async def close(self) -> None:
        """End a training that is under way."""
        process, answer = self._process, self._answer
        self._process = self._answer = None
        if process is not None and answer is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.gather(answer, return_exceptions=True)

    async def _begin(self, now: datetime) -> None:
        from scheduler_daemon.insights.prediction_nightly import LEAST_RUNS

        rows = self._learnt.samples()
        if len(rows) < LEAST_RUNS * ROW:
            self._next = now + min(AGAIN, self._every)
            return
        self._next, self._ends = now + self._every, now + PATIENCE
        environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        command = (sys.executable, "-m", "scheduler_daemon.analyst.nightly")
        try:
            self._process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=environ)
        except OSError as error:
            raise Unavailable(f"nothing can be trained: {error}") from error
        self._answer = asyncio.create_task(self._process.communicate(rows))

    def _finish(self, now: datetime) -> None:
        assert self._process is not None
        assert self._answer is not None
        ended, failed = self._process.returncode, self._answer.exception()
        text = b"" if failed else self._answer.result()[0]
        self._process = self._answer = None
        if ended or failed or not text:
            log.warning("training for failures ended with code %s, and is tried again in %s", ended, self._every)
            return
        found = {"at": now.isoformat(), **json.loads(text)}
        self._learnt.commit({"nightly": json.dumps(found)}, {})
        self._take(found)
        losses = ", ".join(f"{name} {loss:.4f}" for name, loss in found["losses"].items())
        log.info(
            "failures are foreseen by the %s; log loss on %d runs held back: %s",
            self._model.by,
            found["held_back"],
            losses,
        )

    def _take(self, kept: dict[str, object]) -> None:
        from scheduler_daemon.insights.prediction_nightly import load

        rule = kept.get("rule")
        try:
            self._model.better = load(rule) if isinstance(rule, dict) else None
        except _SPOILT:
            self._model.better = None


ROW: Final = 4 * (COUNT + 2)
"""Bytes of a sample."""


def main() -> None:
    """Train on what stands at standard input."""
    resource.setrlimit(resource.RLIMIT_CPU, (2 * SECONDS, 2 * SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    import numpy as np

    from scheduler_daemon.insights.prediction_nightly import HELD_BACK, choose

    rows = np.frombuffer(sys.stdin.buffer.read(), np.float32).reshape(-1, COUNT + 2).astype(np.float64)
    found = choose(rows[:, :COUNT], rows[:, COUNT + 1], rows[:, COUNT], seconds=SECONDS)
    rule = found.rule.dump() if found.rule else None
    held_back = len(rows) - int(len(rows) * (1 - HELD_BACK))
    json.dump({"rule": rule, "losses": dict(found.losses), "runs": len(rows), "held_back": held_back}, sys.stdout)


if __name__ == "__main__":
    main()
