"""Decide when a job fires next. Pure: no clock, no database; the caller passes the time.

Which kind an expression is of is left to `expressions`; how it is read to `cron_fields`, `calendar_event`,
`recurrence` and `rules`; what happens when clocks change to `wall`; what is to be done about fires that nobody could
start to `misfire`; and how to say it all in words to `schedule_words`.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import Final

from scheduler_daemon.contract.schedule import Gap, Overlap, Schedule
from scheduler_daemon.domain.calendar_event import InYears, read_event
from scheduler_daemon.domain.cron import LAST_LOCAL, cron
from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.domain.expressions import Kind, sort_out
from scheduler_daemon.domain.recurrence import Recurrence
from scheduler_daemon.domain.recurrence_text import Moment, read_parts
from scheduler_daemon.domain.rules import EverySoOften, Rule, read_duration, read_instant
from scheduler_daemon.domain.wall import NEVER, OnTheWallClock
from scheduler_daemon.domain.zones import EPOCH, Zone, zone

_SECOND: Final = timedelta(seconds=1)
_TICK: Final = timedelta(microseconds=1)
_PLAIN: Final = Schedule()


class CompiledSchedule:
    """A schedule ready to be asked. Immutable and small; rules are shared between jobs that have the same."""

    __slots__ = ("_after", "_first", "_last", "_rules", "is_reboot")

    def __init__(self, rules: tuple[Rule, ...], *, first: int, last: int, is_reboot: bool) -> None:
        self._rules = rules
        self._after = rules[0].after if len(rules) == 1 else self._earliest
        self._first = first
        self._last = last
        self.is_reboot = is_reboot
        """Whether it also fires once after each boot, whatever the time."""

    def next_second(self, after: int) -> int | None:
        """Return the first fire later than the epoch second `after`, as an epoch second, or None."""
        found = self._after(after if after >= self._first else self._first - 1)
        return found if found <= self._last else None

    def next_fire(self, after: datetime) -> datetime | None:
        """Return the first fire strictly later than the aware time `after`, in UTC, or None if there is no more."""
        found = self.next_second(_second(after))
        return None if found is None else EPOCH + _SECOND * found

    def fires(self, after: datetime, until: datetime | None = None, limit: int | None = None) -> Iterator[datetime]:
        """Yield the fires with `after` < fire <= `until`, in order, at most `limit`; endless if neither is given."""
        last = self._last if until is None else min(_second(until), self._last)
        found = max(_second(after), self._first - 1)
        find = self._after
        for _ in count() if limit is None else range(limit):
            found = find(found)
            if found > last:
                return
            yield EPOCH + _SECOND * found

    def _earliest(self, after: int) -> int:
        return min((rule.after(after) for rule in self._rules), default=NEVER)


def _second(instant: datetime) -> int:
    since = instant - EPOCH
    return since.days * 86_400 + since.seconds


def compile_schedule(schedule: Schedule, job_id: str = "") -> CompiledSchedule:
    """Make a schedule ready to be asked; `job_id` fixes what `H` stands for.

    Raises BadSchedule for an expression that cannot be read, Invalid for an unknown zone. An expression that can be
    read but matches no date compiles, so that what was imported can be kept; `check_schedule` refuses it.
    """
    expressions = schedule.expressions
    seed = job_id if any("H" in expression for expression in expressions) else ""
    origin = schedule.anchor or schedule.start
    return _compiled(
        expressions, schedule.zone, schedule.gap, schedule.overlap, origin, schedule.start, schedule.end, seed
    )


@lru_cache(maxsize=16_384)
def _compiled(
    expressions: tuple[str, ...],
    zone_key: str,
    gap: Gap,
    overlap: Overlap,
    origin: datetime | None,
    start: datetime | None,
    end: datetime | None,
    seed: str,
) -> CompiledSchedule:
    """Compile what the arguments say; jobs that say the same share it."""
    zone(zone_key)
    found = [_rule(expression, zone_key, gap, overlap, origin, seed) for expression in expressions]
    rules = tuple(rule for rule in found if rule is not None)
    first = _second(start - _TICK) + 1 if start else -NEVER
    last = _second(end) if end else LAST_LOCAL
    return CompiledSchedule(rules, first=first, last=min(last, LAST_LOCAL), is_reboot=None in found)


def check_schedule(schedule: Schedule, job_id: str = "") -> CompiledSchedule:
    """Compile a schedule that someone wants to save. Also raises BadSchedule when an expression matches no date."""
    for expression in schedule.expressions:
        if never_fires(expression, schedule, job_id):
            raise BadSchedule(
                f"`{expression.strip()}` never fires: {why_never(expression)} Choose a day that exists"
                + (", or `L` for the last of the month." if sort_out(expression).kind is Kind.CRON else "."),
                expression=expression,
            )
    return compile_schedule(schedule, job_id)


def next_fire(schedule: Schedule, after: datetime, job_id: str = "") -> datetime | None:
    """Return the first fire strictly later than the aware time `after`, in UTC, or None if there is no more.

    Fields follow POSIX crontab; clock changes follow Debian cron(8), in the schedule's own zone. Raises as
    `compile_schedule` does.
    """
    return compile_schedule(schedule, job_id).next_fire(after)


def never_fires(expression: str, schedule: Schedule = _PLAIN, job_id: str = "") -> bool:
    """Tell whether an expression of a schedule matches no date of the calendar. Raises as `compile_schedule` does."""
    rule = rule_of(expression, schedule, job_id)
    return isinstance(rule, OnTheWallClock) and rule.matcher.never


def why_never(expression: str) -> str:
    """Return the reason, as a sentence, why an expression that `never_fires` does not."""
    if sort_out(expression).kind is Kind.CRON:
        return "no month it names has such a day."
    return "no date and time fits all its parts."


def rule_of(expression: str, schedule: Schedule, job_id: str = "") -> Rule | None:
    """Return what finds the fires of one expression of a schedule, or None for `@reboot`.

    Raises BadSchedule for an expression that cannot be read, Invalid for an unknown zone.
    """
    origin = schedule.anchor or schedule.start
    return _rule(expression, schedule.zone, schedule.gap, schedule.overlap, origin, job_id)


def _rule(
    expression: str, zone_key: str, gap: Gap, overlap: Overlap, origin: datetime | None, seed: str
) -> Rule | None:
    kind, text = sort_out(expression)
    if kind is Kind.REBOOT:
        return None
    if kind is Kind.EVERY:
        return EverySoOften(read_duration(expression, text), _second(origin) if origin else 0)
    if kind is Kind.AT:
        return read_instant(expression, text, zone(zone_key))
    if kind is Kind.CALENDAR:
        return _on_the_calendar(text, zone_key)
    if kind is Kind.RECURRENCE:
        return _recurring(text, zone_key, _second(origin) if origin else None)
    return _on_the_wall_clock(text, seed if "H" in text else "", zone_key, gap, overlap)


@lru_cache(maxsize=16_384)
def _on_the_wall_clock(text: str, seed: str, zone_key: str, gap: Gap, overlap: Overlap) -> OnTheWallClock:
    return OnTheWallClock(cron(text, seed), zone(zone_key), gap, overlap)


@lru_cache(maxsize=16_384)
def _on_the_calendar(text: str, zone_key: str) -> OnTheWallClock:
    event = read_event(text)
    return OnTheWallClock(_in_years(text), zone(event.zone or zone_key), Gap.SKIP, Overlap.FIRST)


@lru_cache(maxsize=4096)
def _in_years(text: str) -> InYears:
    return InYears(read_event(text))


@lru_cache(maxsize=4096)
def _recurring(text: str, zone_key: str, anchor: int | None) -> OnTheWallClock:
    here, parts = zone(zone_key), read_parts(text)
    start = 0 if anchor is None else anchor + here.span(anchor).offset
    rule = Recurrence(
        parts,
        _local(parts.start, here) if parts.start else start,
        _local(parts.until, here) if parts.until else None,
    )
    return OnTheWallClock(rule, here, Gap.SKIP, Overlap.FIRST)


def _local(moment: Moment, here: Zone) -> int:
    return here.last_local(moment.seconds) if moment.is_utc else moment.seconds
