"""Decide when a job fires next. Pure: no clock, no database; the caller passes the time.

How expressions are read is left to `cron_fields` and `rules`, what a day item means to `cron_days`, what is to be done
about fires that nobody could start to `misfire`, and how to say it all in words to `schedule_words`.
"""

import difflib
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import Final

from scheduler_daemon.contract.schedule import Gap, Overlap, Schedule
from scheduler_daemon.domain.cron import LAST_LOCAL, cron
from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.domain.rules import NEVER, EverySoOften, Once, OnTheWallClock, Rule, read_duration, read_instant
from scheduler_daemon.domain.zones import EPOCH, zone

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
REBOOT: Final = "@reboot"
_SECOND: Final = timedelta(seconds=1)
_TICK: Final = timedelta(microseconds=1)


class CompiledSchedule:
    """A schedule ready to be asked. Immutable and small; rules are shared between jobs that have the same."""

    __slots__ = ("_first", "_last", "_rules", "is_reboot")

    def __init__(self, rules: tuple[Rule, ...], *, first: int, last: int, is_reboot: bool) -> None:
        self._rules = rules
        self._first = first
        self._last = last
        self.is_reboot = is_reboot
        """Whether it also fires once after each boot, whatever the time."""

    def next_second(self, after: int) -> int | None:
        """Return the first fire later than the epoch second `after`, as an epoch second, or None."""
        if after < self._first:
            after = self._first - 1
        rules = self._rules
        found = rules[0].after(after) if len(rules) == 1 else min((rule.after(after) for rule in rules), default=NEVER)
        return found if found <= self._last else None

    def next_fire(self, after: datetime) -> datetime | None:
        """Return the first fire strictly later than the aware time `after`, in UTC, or None if there is no more."""
        found = self.next_second(_second(after))
        return None if found is None else EPOCH + _SECOND * found

    def fires(self, after: datetime, until: datetime | None = None, limit: int | None = None) -> Iterator[datetime]:
        """Yield the fires with `after` < fire <= `until`, in order, at most `limit`; endless if neither is given."""
        last = NEVER if until is None else _second(until)
        found = self.next_second(_second(after))
        for _ in count() if limit is None else range(limit):
            if found is None or found > last:
                return
            yield EPOCH + _SECOND * found
            found = self.next_second(found)


def _second(instant: datetime) -> int:
    since = instant - EPOCH
    return since.days * 86_400 + since.seconds


def compile_schedule(schedule: Schedule, job_id: str = "") -> CompiledSchedule:
    """Make a schedule ready to be asked; `job_id` fixes what `H` stands for.

    Raises BadSchedule for an expression that cannot be read, Invalid for an unknown zone. An expression that can be
    read but matches no date compiles, so that what was imported can be kept; `check_schedule` refuses it.
    """
    here = zone(schedule.zone)
    rules: list[Rule] = []
    is_reboot = False
    for expression in schedule.expressions:
        word, rest = _first_word(expression)
        if word == REBOOT and not rest:
            is_reboot = True
        elif word == "@every":
            rules.append(EverySoOften(read_duration(expression, rest), _anchor(schedule)))
        elif word == "@at":
            rules.append(Once(read_instant(expression, rest, here)))
        else:
            seed = job_id if "H" in expression else ""
            rules.append(_on_the_wall_clock(expression, seed, schedule.zone, schedule.gap, schedule.overlap))
    first = _second(schedule.start - _TICK) + 1 if schedule.start else -NEVER
    last = _second(schedule.end) if schedule.end else LAST_LOCAL
    return CompiledSchedule(tuple(rules), first=first, last=min(last, LAST_LOCAL), is_reboot=is_reboot)


def check_schedule(schedule: Schedule, job_id: str = "") -> CompiledSchedule:
    """Compile a schedule that someone wants to save. Also raises BadSchedule when an expression matches no date."""
    for expression in schedule.expressions:
        if never_fires(expression, job_id):
            raise BadSchedule(
                f"`{expression.strip()}` never fires: no month it names has such a day. "
                "Choose a day that exists, or `L` for the last of the month.",
                expression=expression,
            )
    return compile_schedule(schedule, job_id)


def next_fire(schedule: Schedule, after: datetime, job_id: str = "") -> datetime | None:
    """Return the first fire strictly later than the aware time `after`, in UTC, or None if there is no more.

    Fields follow POSIX crontab; clock changes follow Debian cron(8), in the schedule's own zone. Raises as
    `compile_schedule` does.
    """
    return compile_schedule(schedule, job_id).next_fire(after)


def cron_text(expression: str) -> str | None:
    """Return the cron fields of an expression, an alias spelt out; None for @every, @at and @reboot.

    Raises BadSchedule for an alias that does not exist.
    """
    word, rest = _first_word(expression)
    if not word.startswith("@"):
        return expression
    if word in ALIASES and not rest:
        return ALIASES[word]
    if word in {"@every", "@at"} or (word == REBOOT and not rest):
        return None
    raise _bad_alias(expression, word, rest)


def never_fires(expression: str, job_id: str = "") -> bool:
    """Tell whether a cron expression matches no date of the calendar. Raises BadSchedule if it cannot be read."""
    text = cron_text(expression)
    return text is not None and cron(text, job_id).never


def _first_word(expression: str) -> tuple[str, str]:
    """Return the first word of an @ expression in lower case and the rest of it; other expressions as they are."""
    if not expression.lstrip(" \t").startswith("@"):
        return expression, ""
    word, *rest = expression.strip(" \t").split(maxsplit=1)
    return word.lower(), rest[0] if rest else ""


def _bad_alias(expression: str, word: str, rest: str) -> BadSchedule:
    known = [*ALIASES, REBOOT]
    if rest and word in known:
        return BadSchedule(f"`{word}` stands alone; remove `{rest}`.", expression=expression, suggestion=word)
    near = difflib.get_close_matches(word, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}, @every and @at."
    return BadSchedule(
        f"There is no alias `{word}`. {hint}",
        expression=expression,
        position=expression.index("@"),
        suggestion=near[0] if near else "",
    )


def _anchor(schedule: Schedule) -> int:
    origin = schedule.anchor or schedule.start
    return _second(origin) if origin else 0


@lru_cache(maxsize=16_384)
def _on_the_wall_clock(expression: str, seed: str, zone_key: str, gap: Gap, overlap: Overlap) -> OnTheWallClock:
    return OnTheWallClock(cron(cron_text(expression) or "", seed), zone(zone_key), gap, overlap)
