"""Read a systemd calendar event, the OnCalendar of systemd.time(7), into fields that `cron` matches.

What systemd refuses is refused. Left out are parts of seconds, for we fire on whole seconds; and its ends of the
calendar, 1970 and 2199, hold only where a year is named.
"""

import re
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from scheduler_daemon.domain import cron_fields as known
from scheduler_daemon.domain.cron import LAST_LOCAL, Cron, Rhythm
from scheduler_daemon.domain.cron_days import LastDay
from scheduler_daemon.domain.cron_fields import Field, Fields, refuse_strange_characters
from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.domain.zones import nearest_zone, zone

SHORTHANDS: Final = {
    "minutely": "*-*-* *:*:00",
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00",
    **dict.fromkeys(("semiannually", "semi-annually", "biannually", "bi-annually"), "*-01,07-01 00:00:00"),
    **dict.fromkeys(("yearly", "annually"), "*-01-01 00:00:00"),
}
YEAR: Final = known.Kind("year", 1970, 2199)

_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAME: Final = re.compile(r"[a-z]+", re.IGNORECASE)
_TIMESTAMP: Final = re.compile(r"@([0-9]{1,12})")
_DATE: Final = re.compile(r"(?:([^-~: ]+)-)?([^-~: ]+)([-~])([^-~: ]+)(?: +|$)")
_TIME: Final = re.compile(r"([^: ]+):([^: ]+)(?::([^: ]+))?$")
_PART: Final = re.compile(r"([0-9]+)(?:\.\.([0-9]+))?(?:/([0-9]+))?")
_DAYS_IN_ANY_MONTH: Final = 28
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()

Bad = Callable[[str], BadSchedule]


class CalendarFields(Fields):
    """Fields of which every one must match, the day of the month and the weekday too."""

    @property
    def days_must_agree(self) -> bool:
        """Always."""
        return True


class CalendarEvent(NamedTuple):
    """A calendar event as read."""

    fields: CalendarFields
    years: tuple[int, ...]
    """Ascending; empty for every year."""
    zone: str
    """The time zone it names, or "" to take the schedule's."""


class InYears:
    """Fields matched in some years only."""

    __slots__ = ("_cron", "_years", "never", "rhythm")

    wildcard = False  # clocks that change are met in the same way by every calendar event

    def __init__(self, event: CalendarEvent) -> None:
        self._cron = Cron(event.fields)
        self._years = event.years
        self.rhythm: Rhythm | None = None if event.years else self._cron.rhythm
        self.never = self._cron.never or self.next_local(0) >= LAST_LOCAL

    def next_local(self, local: int) -> int:
        """Return the first match at or after `local`, or LAST_LOCAL when there is none before it."""
        found = self._cron.next_local(local)
        years = self._years
        while years and found < LAST_LOCAL:
            year = date.fromordinal(found // 86_400 + _EPOCH_ORDINAL).year
            place = bisect_left(years, year)
            if place == len(years):
                return LAST_LOCAL
            if years[place] == year:
                return found
            found = self._cron.next_local((date(years[place], 1, 1).toordinal() - _EPOCH_ORDINAL) * 86_400)
        return found


@lru_cache(maxsize=4096)
def read_event(text: str) -> CalendarEvent:
    """Read a calendar event. Raises BadSchedule, or Invalid for a time zone that does not exist."""
    refuse_strange_characters(text)

    def bad(why: str, suggestion: str = "") -> BadSchedule:
        hint = f" Did you mean `{suggestion}`?" if suggestion else ""
        return BadSchedule(f"Calendar event `{text}`: {why}.{hint}", expression=text, suggestion=suggestion)

    rest, named_zone = _zone_at_the_end(text)
    if not rest.strip():
        raise bad("there is nothing to read; write something such as `Mon..Fri 09:00`")
    stamp = _TIMESTAMP.fullmatch(rest)
    if stamp:
        if int(stamp[1]) >= LAST_LOCAL:
            raise bad("this instant lies too far ahead")
        rest, named_zone = f"{datetime.fromtimestamp(int(stamp[1]), UTC):%Y-%m-%d %H:%M:%S}", "UTC"
    rest = SHORTHANDS.get(rest.lower(), rest)
    weekday, rest = _weekdays(rest, bad)
    if "." in rest.replace("..", ""):
        raise bad("it fires on whole seconds; leave out the part after the point", re.sub(r"(?<!\.)\.\d+", "", text))
    if re.search(r"\*/[0-9]", rest):
        raise bad("nothing may follow a `*`", re.sub(r"\*/(?=[0-9])", "0/", text))
    fields, years = _date_and_time(weekday, rest, bad)
    return CalendarEvent(fields, years, named_zone)


def _zone_at_the_end(text: str) -> tuple[str, str]:
    rest, blank, last = text.rpartition(" ")
    if blank and last.lower() == "utc":
        return rest, "UTC"
    if not blank or not last[:1].isalpha() or last.lower() in _WEEKDAYS:
        return text, ""
    if "/" in last or nearest_zone(last).lower() == last.lower():
        return rest, zone(last).key
    return text, ""


def _date_and_time(weekday: Field, text: str, bad: Bad) -> tuple[CalendarFields, tuple[int, ...]]:
    year, month, day = "*", "*", "*"
    from_the_end = False
    date_part = _DATE.match(text)
    if date_part:
        year, month, day = date_part[1] or "*", date_part[2], date_part[4]
        from_the_end = date_part[3] == "~"
        text = text[date_part.end() :]
    hour, minute, second = "00", "00", "00"
    if text:
        time_part = _TIME.match(text)
        if not time_part:
            raise bad(f"`{text}` is neither a date such as `*-12-24` nor a time such as `09:00`")
        hour, minute, second = time_part[1], time_part[2], time_part[3] or "00"
    fields = CalendarFields(
        _field(known.SECOND, second, bad),
        _field(known.MINUTE, minute, bad),
        _field(known.HOUR, hour, bad),
        _days_from_the_end(day, bad) if from_the_end and day != "*" else _field(known.DAY, day, bad),
        _field(known.MONTH, month, bad),
        weekday,
    )
    years = set() if year == "*" else _values(YEAR, year, bad)
    return fields, tuple(sorted(years))


def _field(kind: known.Kind, text: str, bad: Bad) -> Field:
    values = range(kind.low, kind.high + 1) if text == "*" else _values(kind, text, bad)
    return Field(kind, _as_cron(kind, values), sum(1 << value for value in values))


def _as_cron(kind: known.Kind, values: "range | set[int]") -> str:
    """Write values as a cron field, in a way that shows what recurs evenly."""
    for step in range(1, kind.high - kind.low + 1):
        if set(values) == set(range(kind.low, kind.high + 1, step)):
            return "*" if step == 1 else f"*/{step}"
    return ",".join(map(str, sorted(values)))


def _days_from_the_end(text: str, bad: Bad) -> Field:
    """Read days counted from the end of the month, the last being 1."""
    values = _values(known.DAY, text, bad, from_the_end=True)
    specials = tuple(LastDay(value - 1, workday=False) for value in sorted(values, reverse=True))
    return Field(known.DAY, f"~{text}", 0, specials)


def _values(kind: known.Kind, text: str, bad: Bad, *, from_the_end: bool = False) -> set[int]:
    found: set[int] = set()
    for item in text.split(","):
        part = _PART.fullmatch(item)
        if not part:
            raise bad(f"{kind.name} `{item}` is no number, range `a..b` or repetition `a/n`")
        first, last, step = (None if number is None else int(number[:9]) for number in part.groups())
        assert first is not None
        if kind is YEAR:
            first, last = _full_year(first), None if last is None else _full_year(last)
        high = _DAYS_IN_ANY_MONTH if from_the_end else kind.high
        for value in (first, first if last is None else last):
            if not kind.low <= value <= high:
                raise bad(f"{kind.name} {value} is out of range; it runs from {kind.low} to {high}")
        if step == 0:
            raise bad(f"{kind.name} `{item}` repeats by 0, so it would never move on")
        found |= _repeated(first, last, step, kind.low if from_the_end else high, bad)
    return found


def _repeated(first: int, last: int | None, step: int | None, end: int, bad: Bad) -> set[int]:
    """Return the values of one item; `end` is where a repetition without a last value stops, above or below `first`."""
    if last is not None:
        if first > last:
            raise bad(f"the range {first}..{last} runs backwards")
        return set(range(first, last + 1, step or 1))
    if step is None:
        return {first}
    if step > abs(end - first):
        raise bad(f"`{first}/{step}` repeats by more than is left, so it never would")
    return set(range(first, end + 1, step)) if first <= end else set(range(first, end - 1, -step))


def _full_year(year: int) -> int:
    return year + 2000 if year < 70 else year + 1900 if year < 100 else year


def _weekdays(text: str, bad: Bad) -> tuple[Field, str]:
    """Read the weekdays at the beginning, if there are any, and return them with what follows."""
    if not _NAME.match(text):
        return _field(known.WEEKDAY, "*", bad), text
    days, _, rest = text.partition(" ")
    found: set[int] = set()
    for item in days.removesuffix(",").split(","):
        ends = [_weekday(name, bad) for name in re.split(r"\.\.|-", item)]
        if len(ends) > 2 or ends[0] > ends[-1]:
            raise bad(f"`{item}` is no range of weekdays; a week begins on Monday")
        found |= set(range(ends[0], ends[-1] + 1))
    bits = sum(1 << (day + 1) % 7 for day in found)
    return Field(known.WEEKDAY, "*" if len(found) == 7 else days, bits), rest.lstrip(" ")


def _weekday(name: str, bad: Bad) -> int:
    for number, day in enumerate(_WEEKDAYS):
        if name.lower() in {day, day[:3]}:
            return number
    raise bad(f"`{name}` is no weekday, such as Mon or Monday" if name else "a weekday is missing")
