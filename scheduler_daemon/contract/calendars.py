"""What a user says about days: which ones a calendar leaves out, when nothing may start, what becomes of a fire.

Whether the texts can be read is for the domain.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

MAX_RULES = 2000


def _plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds an unprintable character; remove it")
    return text


def _from_text(key: str) -> BeforeValidator:
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


CalendarName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Label = Annotated[str, Field(max_length=200), AfterValidator(_plain)]


class Effect(StrEnum):
    """What a rule makes of the days it names."""

    EXCLUDE = "exclude"
    """They are left out."""
    INCLUDE = "include"
    """Only these are business days, as far as they are not excluded."""
    EXCEPT = "except"
    """They are business days whatever the other rules say, such as a Saturday worked before a bridge day."""


class Rule(BaseModel, frozen=True, extra="forbid"):
    """Some days, and what the calendar makes of them."""

    days: Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(_plain)]
    """`2026-12-24`, `2026-12-24..2027-01-02`, each year `12-24` or `12-24..01-02`, `sat,sun`, `mon..fri`, or
    `holidays DE` with a subdivision as in `holidays DE-BE`. Several are parted by commas."""
    name: Label = ""
    """What such a day is called in reasons; holidays have names of their own."""
    effect: Effect = Effect.EXCLUDE
    recurs: Annotated[str, Field(max_length=1000)] = ""
    """An RRULE of RFC 5545 that repeats the one date, or range of dates, in `days`."""
    without: Annotated[tuple[date, ...], Field(max_length=1000)] = ()
    """First days of repetitions that are left out."""
    imported: bool = False
    """It came from an ICS file; the next import into this calendar replaces it."""


class Blackout(BaseModel, frozen=True, extra="forbid"):
    """A time in which nothing starts but what a person starts."""

    when: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]
    """`fri 22:00-06:00 Europe/Berlin`, `22:00-06:00`, `sat,sun`: each week, on the wall clock of the zone, or of the
    schedule's where none is named; or `2026-12-24T18:00/2026-12-27T08:00`, once. The end itself is not part of it."""
    name: Label = ""


Rules = Annotated[tuple[Annotated[Rule, _from_text("days")], ...], Field(max_length=MAX_RULES)]
Blackouts = Annotated[tuple[Annotated[Blackout, _from_text("when")], ...], Field(max_length=100)]


class CalendarSpec(BaseModel, frozen=True, extra="forbid"):
    """Days by rules whose order does not matter, and blackouts that jobs share by naming the calendar."""

    description: Annotated[str, Field(max_length=4000)] = ""
    rules: Rules = ()
    blackouts: Blackouts = ()


class Move(StrEnum):
    """What becomes of a fire on a day that a calendar leaves out."""

    SKIP = "skip"
    NEXT = "next"
    """The same time of day on the next business day."""
    PREVIOUS = "previous"


class CalendarUse(BaseModel, frozen=True, extra="forbid"):
    """A calendar that a schedule obeys. A business day is one that no calendar of the schedule leaves out."""

    calendar: CalendarName
    move: Move = Move.SKIP

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, value: Any) -> Any:
        """Read `german:next`."""
        if not isinstance(value, str):
            return value
        name, colon, move = value.partition(":")
        return {"calendar": name, "move": move} if colon else {"calendar": name}


class CalendarView(BaseModel, frozen=True):
    """A calendar as everyone reads it."""

    name: str
    version: int
    spec: CalendarSpec
    owner: str
    used_by: tuple[str, ...]
    """Names of the jobs that obey it, as far as the reader may see them."""
    created_at: datetime
    updated_at: datetime


class CalendarPut(BaseModel, frozen=True, extra="forbid"):
    """A request to make or replace a calendar. With `version`, only if it is still the one the editor saw (0: none)."""

    spec: CalendarSpec
    version: Annotated[int, Field(ge=0)] | None = None
    message: Annotated[str, Field(max_length=400), AfterValidator(_plain)] = ""


class DayNote(BaseModel, frozen=True):
    """A day and why it is left out."""

    day: date
    reason: str


class CalendarDays(BaseModel, frozen=True):
    """The days of a year that a calendar leaves out."""

    name: str
    year: int
    excluded: tuple[DayNote, ...]


class IcsReport(BaseModel, frozen=True):
    """What an import of an ICS file took over."""

    calendar: CalendarView | None
    """None for a dry run."""
    taken: int
    """How many rules the events became."""
    left_out: tuple[str, ...]
    """The events that were not taken over, each with the reason."""
