"""What a user says about time: expressions, zone, clock-change rules, bounds. Whether they parse is for the domain."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from scheduler_daemon.contract.calendars import Blackouts, CalendarUse
from scheduler_daemon.contract.instants import Instant


class Gap(StrEnum):
    """What becomes of a fixed-time fire whose local time is skipped when clocks go forward.

    Expressions with `*` in seconds, minutes or hours, `@calendar` and `@rrule` pass over skipped times whatever is
    chosen here.
    """

    RUN_AFTER = "run_after"
    """Once, at the first instant after the gap, as Debian cron does."""
    SKIP = "skip"
    SHIFT = "shift"
    """Later by the length of the gap: 02:30 becomes 03:30."""


class Overlap(StrEnum):
    """Which pass of a repeated local time fires a fixed-time expression when clocks go back.

    Expressions with `*` in seconds, minutes or hours fire in both passes whatever is chosen here; `@calendar` and
    `@rrule` in the first.
    """

    FIRST = "first"
    BOTH = "both"
    LAST = "last"


class Dialect(StrEnum):
    """Another program's way to write cron expressions."""

    QUARTZ = "quartz"
    """Seconds first, weekdays from 1 for Sunday, maybe a year last."""
    SPRING = "spring"
    """Seconds first; both day fields must match."""
    YEAR = "year"
    """A year last; seven fields begin with seconds."""


class ClockEffect(StrEnum):
    """What a change of clocks does to a fire."""

    MOVED = "moved"
    """Its local time is skipped; it fires at another."""
    DROPPED = "dropped"
    """It does not fire, or falls together with another fire."""
    DOUBLED = "doubled"
    """Its local time comes twice and it fires both times."""


class Misfire(StrEnum):
    """What becomes of fires that came due while nobody could start them."""

    SKIP = "skip"
    RUN_ONCE = "run_once"
    """One run, for the latest of them."""
    RUN_ALL = "run_all"


class Schedule(BaseModel, frozen=True, extra="forbid"):
    """When a job fires. No expression at all means: only when someone asks."""

    expressions: Annotated[tuple[Annotated[str, Field(max_length=1000)], ...], Field(max_length=100)] = ()
    """Each a cron expression of 5 fields (6: seconds first), `@daily` and its like, `@every 90s`,
    `@at 2026-12-01T08:00`, `@reboot`, `@calendar Mon..Fri 09:00` (OnCalendar of systemd.time(7)) or
    `@rrule FREQ=WEEKLY;INTERVAL=2;BYDAY=MO` (RFC 5545). The job fires when any of them does, once an instant."""
    zone: Annotated[str, Field(max_length=100)] = "UTC"
    """An IANA key, such as Europe/Berlin; expressions match the wall clock there."""
    gap: Gap = Gap.RUN_AFTER
    overlap: Overlap = Overlap.FIRST
    anchor: Instant | None = None
    """Where `@every` and `@rrule` count from; None counts from `start`, or else from 1970."""
    start: Instant | None = None
    """No fire before this instant; one at it is allowed. A calendar may move one beyond either bound."""
    end: Instant | None = None
    """No fire after this instant; one at it is allowed."""
    calendars: Annotated[tuple[CalendarUse, ...], Field(max_length=20)] = ()
    """Each by name, or as `name:next`; a day is one of the schedule's zone."""
    blackouts: Blackouts = ()
    """In none of these does a fire start anything; those of the calendars count too."""
    jitter_s: Annotated[int, Field(ge=0, le=86_400)] = 0
    """A run starts up to so many seconds after its fire, always the same for one job and fire, before the next one."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.start and self.end and self.end < self.start:
            raise ValueError(f"end {self.end:%Y-%m-%dT%H:%M:%SZ} lies before start {self.start:%Y-%m-%dT%H:%M:%SZ}")
        return self
