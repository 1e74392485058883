"""What ended runs said: of failed ones the line that says why; of some successful ones which of such lines they have.

Reading output costs more than all else here, so that of a failed run only the end is read, and of a job that succeeds
at most one run in a while.
"""

import json
from collections import Counter, OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from scheduler_daemon.contract.executions import State
from scheduler_daemon.contract.insights import FailureSaid, Finding, LogEvidence, RunsSaid, Severity
from scheduler_daemon.insights.failures import Line
from scheduler_daemon.insights.templates import Miner
from scheduler_daemon.services import failures
from scheduler_daemon.storage.session import Database

TEMPLATES = 2000
LOOK_AGAIN = timedelta(hours=1)
"""Between successful runs of one job that are looked at."""
JOBS = 4000
PATTERNS = 500
TOGETHER = timedelta(hours=1)
"""Jobs that fail with one error within this have it in common."""
SHARED_BY = 3
_SHOWN = timedelta(days=2)
_AT_ONCE = 50
"""Runs whose lines are in memory at once."""


class Reader:
    """Reads what runs said, and knows the templates of error lines."""

    def __init__(self, database: Database, kept: str | None) -> None:
        """`kept` is what `dump` returned."""
        self._database = database
        self._miner = Miner.load(json.loads(kept), TEMPLATES) if kept else Miner(TEMPLATES)
        self._looked: OrderedDict[str, datetime] = OrderedDict()
        self._recent: OrderedDict[str, dict[str, FailureSaid]] = OrderedDict()
        self.changed = False

    def dump(self) -> str:
        """Return what is to be kept."""
        self.changed = False
        return json.dumps(self._miner.dump(), separators=(",", ":"))

    async def read(self, rows: Sequence[Any]) -> tuple[RunsSaid, list[Finding]]:
        """Return what these runs of `storage.ended` said, and what several jobs have in common."""
        said: list[FailureSaid] = []
        found: list[Finding] = []
        seen: Counter[str] = Counter()
        looked_at = 0
        for start in range(0, len(rows), _AT_ONCE):
            part = [row for row in rows[start : start + _AT_ONCE] if row.state == State.FAILED or self._is_time(row)]
            lines = await self._lines(part) if part else {}
            for row in part:
                if row.state != State.FAILED:
                    looked_at += 1
                    seen.update(self._patterns(lines[row.id]))
                elif (one := failures.written(row, lines[row.id], self._miner)) is not None:
                    self.changed = True
                    said.append(one)
                    found += self._shared(row, one)
        return RunsSaid(failures=tuple(said), looked_at=looked_at, successes_with=dict(seen)), found

    async def _lines(self, rows: Sequence[Any]) -> dict[int, list[Line]]:
        """Return the last lines of these runs; none of those that wrote nothing."""
        wrote = [row.id for row in rows if row.output_bytes != 0]
        found = await self._database.read(lambda db: {run: failures.lines_of(db, run) for run in wrote})
        return {row.id: found.get(row.id, []) for row in rows}

    def _is_time(self, row: Any) -> bool:
        last = self._looked.get(row.job_id)
        if row.state != State.SUCCEEDED:
            return False
        if not len(self._miner) or (last is not None and abs(row.ended_at - last) < LOOK_AGAIN):
            return False
        self._looked[row.job_id] = row.ended_at
        self._looked.move_to_end(row.job_id)
        if len(self._looked) > JOBS:
            self._looked.popitem(last=False)
        return True

    def _patterns(self, lines: Sequence[Line]) -> set[str]:
        """Return the patterns whose lines stand in a successful run."""
        found = (self._miner.find(line.text) for line in lines)
        return {template.id for template in found if template is not None}

    def _shared(self, row: Any, said: FailureSaid) -> list[Finding]:
        """Return what is found if several jobs fail with the same error at about one time."""
        at_once = self._recent.setdefault(said.pattern_id, {})
        self._recent.move_to_end(said.pattern_id)
        if len(self._recent) > PATTERNS:
            self._recent.popitem(last=False)
        at_once[row.job] = said
        for job in [job for job, other in at_once.items() if said.at - other.at > TOGETHER]:
            del at_once[job]
        if len(at_once) < SHARED_BY:
            return []
        while len(at_once) > 2 * SHARED_BY:
            del at_once[next(iter(at_once))]
        first = min(at_once.values(), key=lambda other: other.at)
        return [
            Finding(
                key=f"shared_error:{said.pattern_id}:{said.at:%Y-%m-%d}",
                job_id=None,
                kind="shared_error",
                severity=Severity.CRITICAL,
                confidence=0.9,
                title=f"Several jobs fail with one error: {said.pattern_text}"[:200],
                text=(
                    f"{', '.join(at_once)} have failed with it since {first.at:%Y-%m-%d %H:%M} UTC. What they share (a"
                    " host, a service, a file system) is the first place to look."
                ),
                evidence=tuple(
                    LogEvidence(run_id=other.run_id, first_line=other.line, last_line=other.line, text=other.text)
                    for other in at_once.values()
                ),
                model="templates",
                at=said.at,
                expires=said.at + _SHOWN,
            )
        ]
