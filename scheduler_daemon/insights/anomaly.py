"""Watch the runs of one job: say which is odd and beside what, and say it once per event. Pure; no clock of its own.

An event is open from its alarm until some runs in a row were usual again; while it is open nothing else is told of the
job, but that runs are missing. What comes back from an event to what was usual before is no event.
"""

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from math import exp, inf, log
from typing import Final, NamedTuple

from scheduler_daemon.insights.anomaly_failures import PACKED as STREAKS
from scheduler_daemon.insights.anomaly_failures import Streaks
from scheduler_daemon.insights.anomaly_series import ALARM, PREDICTORS, Judged, Series, cell_of
from scheduler_daemon.insights.anomaly_series import PACKED as SERIES
from scheduler_daemon.insights.observation import Observation

KPIS: Final = 6
"""Figures of its own that are watched of a job: the first so many."""
_YOUNG: Final = 12
"""Of a job of fewer runs nothing is told but that they are missing, or fail."""
_QUIET: Final = 5
"""So many usual runs in a row end an event."""
_LONGEST: Final = 60
_STILL: Final = 0.6
"""An event goes on with a run of this part of what opens one."""
_LARGEST: Final = 1e15
_SHARE: Final = 0.01
"""Of the values on either side so many are outside of what is called usual."""
_JOINT_SLACK: Final = 1.0
_JOINT_LIMIT: Final = 8.0
_USEFUL, _USELESS = -0.25, 0.5
_BARS: Final = (-1.0, 3.0)
"""How far feedback moves what is worth an alarm."""


class Scale(NamedTuple):
    """How a figure is compared: as a logarithm, or as it is where `shift` is None."""

    unit: str
    shift: float | None
    floor: float
    relative: float = 0.0


SCALES: Final = {
    "duration": Scale("s", 1.0, 0.04),
    "output": Scale("bytes", 16.0, 0.03),
    "memory": Scale("bytes", 1e6, 0.03),
    "cpu": Scale("s", 0.1, 0.05),
    "delay": Scale("s", 2.0, 0.15),
}
KPI: Final = Scale("", None, 1e-9, 0.005)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A figure beside what was expected of it."""

    metric: str
    value: float
    expected: float
    low: float
    high: float
    """What would have been usual: all but one in a hundred of the job's own runs."""
    unit: str
    predictor: str
    """What the expectation goes by, in words."""
    runs: int
    """Runs it was learnt from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """What is told of an event. The same `event` is the same event, however often it is told."""

    event: str
    job_id: str
    run_id: str | None
    """None for a run that is missing."""
    at: datetime
    kind: str
    """`duration_high` and so on by metric, `degradation`, `failure_burst` or `missed_run`."""
    rarity: float
    """Minus the base-10 logarithm of how often such a run is expected."""
    confidence: float
    evidence: tuple[Measure, ...]

    @property
    def metric(self) -> str:
        """What was odd in the first place."""
        return self.evidence[0].metric

    @property
    def text(self) -> str:
        """One sentence with the figures and what they are compared with."""
        return " ".join(
            f"{each.metric} {each.value:.4g} {each.unit}".rstrip()
            + f", where {each.low:.4g} to {each.high:.4g} is usual by {each.predictor} ({each.runs} runs)."
            for each in self.evidence
        )


class _Odd(NamedTuple):
    rarity: float
    kind: str
    metrics: tuple[str, ...]


class _Seen(NamedTuple):
    value: float
    judged: Judged
    series: Series

    @property
    def up(self) -> bool:
        return self.series.up >= self.series.down if self.judged.creep > self.judged.rarity else self.judged.z > 0


class JobWatch:
    """All that is known of one job: some hundred bytes to a figure, 6 KiB as text at the most."""

    __slots__ = (
        "bars",
        "job_id",
        "joint",
        "joint_peak",
        "missed_due",
        "missing",
        "n",
        "opened",
        "quiet",
        "series",
        "streaks",
    )

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.series: dict[str, Series] = {}
        self.streaks = Streaks()
        self.bars: dict[str, float] = {}
        self.n = self.opened = self.quiet = self.missing = 0
        self.missed_due = ""
        self.joint = self.joint_peak = 0.0

    def observe(self, run: Observation, *, counted: bool = False) -> list[Anomaly]:
        """Learn from a run; return what is to be told of it: nothing, or one event that begins with it.

        `counted` says that `streaks`, which others may count with too, know of the run already.
        """
        self.n += 1
        self.missing = 0
        if not counted:
            self.streaks.step(run.at.hour, failed=run.failed, parent_failed=run.parent_failed)
        surprise = self.streaks.odd
        seen = self._figures(run)
        odd = max(self._oddities(seen, surprise), key=lambda each: each.rarity, default=None)
        if self.opened:
            self._follow(odd)
            return []
        if odd is None or odd.rarity < ALARM or (self.n < _YOUNG and odd.kind != "failure_burst"):
            return []
        self.opened, self.quiet = 1, 0
        if odd.kind == "failure_burst":
            share = self.streaks.expected(run.at.hour, parent_failed=run.parent_failed)
            evidence: tuple[Measure, ...] = (
                _plain("failures in a row", self.streaks.streak, share, "its failures so far", self.n),
            )
        else:
            evidence = tuple(_measure(metric, seen[metric]) for metric in odd.metrics)
        event = f"{odd.kind}:{self.job_id}:{run.run_id}"
        return [self._anomaly(event, run.run_id, run.at, odd, evidence)]

    def missed(self, due: datetime, now: datetime) -> list[Anomaly]:
        """Tell that the run due at `due` has not begun by `now`; runs missing one after the other are one event."""
        instant = due.isoformat()
        if self.missing and instant == self.missed_due.rpartition(" ")[2]:
            return []
        first = self.missed_due.partition(" ")[0] if self.missing else instant
        self.missing += 1
        self.missed_due = f"{first} {instant}"
        late = max(0.0, (now - due).total_seconds())
        evidence = (
            _plain("missed runs", self.missing, 0, "its schedule", self.n),
            _plain("late", late, 0, "its schedule", self.n, "s"),
        )
        odd = _Odd(12.0, "missed_run", ())
        return [self._anomaly(f"missed_run:{self.job_id}:{first}", None, due, odd, evidence)]

    def expected_from_now(self, metric: str) -> None:
        """Take what `metric` was last for usual from now on, and end the event; `failures` ends a streak."""
        series = self.series.get(metric)
        if series:
            series.rebase()
        if metric == "failures":
            self.streaks.forgive()
        self.joint = self.joint_peak = 0.0
        self.opened = self.quiet = 0

    def heed(self, kind: str, *, useful: bool) -> None:
        """Take a user's word on what was told: more of that kind, or less, within bounds."""
        bar = self.bars.get(kind, 0.0) + (_USEFUL if useful else _USELESS)
        if kind in self.bars or len(self.bars) < 2 * (len(SCALES) + KPIS) + 3:
            self.bars[kind] = min(_BARS[1], max(_BARS[0], bar))

    def _figures(self, run: Observation) -> dict[str, _Seen]:
        """Judge and learn each figure of a run; of one that failed only how late it was."""
        at, size = run.at, run.input_size
        cell = cell_of(at)
        size = None if size is None or not -inf < size < inf else log(min(max(size, 0.0), _LARGEST) + 1)
        values: dict[str, float | None] = {"delay": run.delay_s}
        if not run.failed:
            values |= {
                "duration": run.duration_s,
                "output": run.output_bytes,
                "memory": run.memory_bytes,
                "cpu": run.cpu_s,
            }
        seen: dict[str, _Seen] = {}
        for metric, value in values.items():
            if value is not None and -inf < value < inf:  # a number, and none that an integer may be as large as
                seen[metric] = self._judge(metric, SCALES[metric], value, cell, None if metric == "delay" else size)
        for name, value in {} if run.failed else run.kpis.items():
            known = f"kpi {name}" in self.series or len(self.series) < len(SCALES) + KPIS
            if known and -inf < value < inf:
                seen[f"kpi {name}"] = self._judge(f"kpi {name}", KPI, value, cell, size)
        return seen

    def _judge(self, metric: str, scale: Scale, value: float, cell: int, size: float | None) -> _Seen:
        value = min(_LARGEST, max(-_LARGEST if scale.shift is None else 0.0, value))
        series = self.series.get(metric)
        if series is None:
            series = self.series[metric] = Series(scale.floor, scale.relative)
        x = value if scale.shift is None else log(value + scale.shift)
        return _Seen(value, series.step(x, cell, size), series)

    def _oddities(self, seen: dict[str, _Seen], surprise: float) -> Iterator[_Odd]:
        if surprise:
            yield self._odd(surprise, "failure_burst", ())
        for metric, each in seen.items():
            rarity = max(each.judged.rarity, each.judged.creep)
            if rarity > 1:
                yield from self._one(metric, each, rarity)
        low = [name for name in ("duration", "output") if name in seen and seen[name].judged.z < -1.5]
        if len(low) == 2 and min(seen[name].judged.rarity for name in low) > 1.2:
            yield self._odd(sum(seen[name].judged.rarity - 0.5 for name in low), "duration_low", ("duration", "output"))
        if "duration" in seen and "memory" in seen and self.n > 15:
            rarity = self._degrading(seen["duration"].judged.z, seen["memory"].judged.z)
            yield self._odd(rarity, "degradation", ("duration", "memory"))

    def _one(self, metric: str, each: _Seen, rarity: float) -> Iterator[_Odd]:
        side = "high" if each.up else "low"
        kind = "kpi" if metric.startswith("kpi ") else metric
        if (kind, side) == ("delay", "low"):
            return
        if (kind, side) in {("memory", "low"), ("output", "high")}:
            rarity *= 0.8  # of less harm, so it is to be rarer
        yield self._odd(rarity, f"{kind}_{side}", (metric,))

    def _odd(self, rarity: float, kind: str, metrics: tuple[str, ...]) -> _Odd:
        return _Odd(rarity - self.bars.get(kind, 0.0), kind, metrics)

    def _degrading(self, duration: float, memory: float) -> float:
        """Sum up how far runs take both longer and more memory, from run to run."""
        both = min(3.0, max(-3.0, duration)) + min(3.0, max(-3.0, memory))
        self.joint = max(0.0, self.joint + both / 2**0.5 - _JOINT_SLACK)
        limit = max(_JOINT_LIMIT, 1.3 * self.joint_peak)
        if self.joint == 0:
            self.joint_peak *= 0.99
        elif not self.opened and self.joint < limit:
            self.joint_peak = max(self.joint_peak, self.joint)
        self.joint = min(self.joint, 4 * limit)
        return ALARM * self.joint / limit

    def _follow(self, odd: _Odd | None) -> None:
        """Count how long the open event goes on, and end it."""
        self.opened += 1
        still = (odd is not None and odd.rarity >= _STILL * ALARM) or self.streaks.streak > 1
        self.quiet = 0 if still else self.quiet + 1
        if self.quiet >= _QUIET or self.opened > _LONGEST:
            self.opened = self.quiet = 0

    def _anomaly(
        self, event: str, run_id: str | None, at: datetime, odd: _Odd, evidence: tuple[Measure, ...]
    ) -> Anomaly:
        confidence = 1 - 0.2 * 10 ** (-max(0.0, odd.rarity - ALARM) / 3)
        return Anomaly(
            event=event, job_id=self.job_id, run_id=run_id, at=at, kind=odd.kind, rarity=odd.rarity,
            confidence=confidence, evidence=evidence,
        )  # fmt: skip

    def pack(self) -> bytes:
        """Return what `unpack` takes: some KiB at the most."""
        words = b""
        if self.missed_due or self.bars or (*self.series,) != _USUAL:
            words = json.dumps([list(self.series), self.missed_due, self.bars]).encode()
        numbers = _HEAD.pack(len(words), self.n, self.opened, self.quiet, self.missing, self.joint, self.joint_peak)
        return b"".join((numbers, words, self.streaks.pack(), *(series.pack() for series in self.series.values())))

    @classmethod
    def unpack(cls, job_id: str, kept: bytes) -> "JobWatch":
        """Return what was packed. Raises ValueError or struct.error for anything else."""
        watch = cls(job_id)
        long, watch.n, watch.opened, watch.quiet, watch.missing, watch.joint, watch.joint_peak = _HEAD.unpack_from(kept)
        begin = _HEAD.size + long
        names: Iterable[str] = _USUAL
        if long:
            names, watch.missed_due, watch.bars = json.loads(kept[_HEAD.size : begin])
        watch.streaks = Streaks.unpack(kept[begin : begin + STREAKS])
        begin += STREAKS
        for name in names:
            watch.series[name] = Series.unpack(kept, begin)
            begin += SERIES
        return watch


_HEAD: Final = struct.Struct("<5i2d")
_USUAL: Final = ("delay", "duration", "output", "memory", "cpu")
"""The figures of most jobs, in the order in which they are judged; others are kept with their names."""


def _measure(metric: str, seen: _Seen) -> Measure:
    judged, series = seen.judged, seen.series
    low, high = (judged.expected + far * judged.error for far in series.usual(_SHARE, judged.z))
    scale, expected = SCALES.get(metric, KPI), judged.expected
    if scale.shift is not None:
        low, high, expected = (max(0.0, exp(min(x, 40.0)) - scale.shift) for x in (low, high, expected))
    return Measure(
        metric=metric.removeprefix("kpi "), value=seen.value, expected=expected, low=low, high=high, unit=scale.unit,
        predictor=PREDICTORS[judged.predictor], runs=series.n,
    )  # fmt: skip


def _plain(metric: str, value: float, expected: float, predictor: str, runs: int, unit: str = "") -> Measure:
    return Measure(
        metric=metric, value=value, expected=expected, low=0, high=expected, unit=unit, predictor=predictor, runs=runs
    )
