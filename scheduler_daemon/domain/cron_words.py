"""Say the fields of a cron expression or calendar event in words. Plain rather than elegant; never wrong.

The sentences are our own: each is built from the fields as the matcher reads them, so the two cannot disagree.
"""

from collections.abc import Sequence
from typing import Final

from scheduler_daemon.domain.cron_days import LastDay, NearestWorkday, Special
from scheduler_daemon.domain.cron_fields import Field, Fields

MONTHS: Final = (
    "",
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
NTH: Final = ("", "first", "second", "third", "fourth", "fifth")
_ORDINAL: Final = {2: "2nd", 3: "3rd", 4: "4th", 6: "6th", 8: "8th", 12: "12th"}
_TIMES_SPELT_OUT: Final = 6


def in_words(fields: Fields) -> str:
    """Return a sentence such as `At 09:00 on Monday to Friday`, without its full stop."""
    times = [(hour, minute) for hour in fields.hour.values for minute in fields.minute.values]
    if len(times) > _TIMES_SPELT_OUT or len(fields.second.values) > 1:
        return _recurring(fields) + (f" {_days(fields)}" if _days(fields) else "")
    second = fields.second.values[0]
    tail = f":{second:02}" if second else ""
    return f"At {listed([f'{hour:02}:{minute:02}{tail}' for hour, minute in times])} {_days(fields) or 'every day'}"


def _recurring(fields: Fields) -> str:
    """Say the time of day as what recurs within minutes and hours."""
    second, minute, hour = fields.second, fields.minute, fields.hour
    if second.values != (0,):
        within = f"of {_named(minute, 'minute')}"
        if is_all(minute):
            within = "" if is_all(second) or _even(second) else "of every minute"
        each = f"{_each(second, 'second')} {within}".rstrip()
    else:
        each = _each(minute, "minute")
    by_itself = each.startswith("Every") and " of " not in each
    if is_all(hour):
        return each if by_itself or each.endswith("every minute") else f"{each} of every hour"
    first, last = hour.values[0], hour.values[-1]
    if by_itself and last - first + 1 == len(hour.values):
        return f"{each} from {first:02}:00 to {last:02}:59"
    return f"{each} of {_hours(hour)}"


def _hours(field: Field) -> str:
    if _even(field):
        return f"every {_ORDINAL[plain_step(field)]} hour from 00"
    return _named(field, "hour", "02")


def _each(field: Field, unit: str) -> str:
    if is_all(field):
        return f"Every {unit}"
    if _even(field):
        return f"Every {plain_step(field)} {unit}s"
    return f"At {_named(field, unit)}"


def _named(field: Field, unit: str, form: str = "") -> str:
    values = [f"{value:{form}}" for value in field.values]
    return f"{unit} {values[0]}" if len(values) == 1 else f"{unit}s {runs(field.values, values)}"


def _days(fields: Fields) -> str:
    """Say months, dates and weekdays, or "" for every day."""
    parts = [_dates(fields.day), _weekdays(fields.weekday)]
    if not fields.days_must_agree and "" in parts:
        parts = []  # either field is enough, and one takes every day
    days = (" and only " if fields.days_must_agree else " or ").join(part for part in parts if part)
    if is_all(fields.month):
        return days
    months = "in " + runs(fields.month.values, [MONTHS[month] for month in fields.month.values])
    return f"{months}, {days}" if days else f"every day {months}"


def _dates(field: Field) -> str:
    if is_all(field):
        return ""
    named = []
    if field.values:
        days = [str(day) for day in field.values]
        named.append(f"day {days[0]}" if len(days) == 1 else f"days {runs(field.values, days)}")
    named += [_special(special) for special in field.specials]
    return f"on {listed(named)} of the month"


def _weekdays(field: Field) -> str:
    if is_all(field):
        return ""
    named = []
    if field.values:
        week = tuple(sorted(field.values, key=lambda day: (day - 1) % 7))  # Monday first, so that runs end on Sunday
        named.append(runs(tuple((day - 1) % 7 for day in week), [WEEKDAYS[day] for day in week]))
    named += [_special(special) for special in field.specials]
    return f"on {listed(named)}"


def _special(special: Special) -> str:
    if isinstance(special, LastDay):
        place = "the last day" if not special.back else f"the day {special.back} before the last"
        if special.workday:
            return "the last workday" if not special.back else f"the workday nearest to {place}"
        return place
    if isinstance(special, NearestWorkday):
        return f"the workday nearest to day {special.day}"
    nth = "last" if special.nth is None else NTH[special.nth]
    return f"the {nth} {WEEKDAYS[special.weekday]} of the month"


def is_all(field: Field) -> bool:
    """Whether it holds every value there is."""
    return len(field.values) == field.kind.high - field.kind.low + 1


def plain_step(field: Field) -> int:
    """Return the n of a field that is `*/n`, else 0."""
    star, _, step = field.text.partition("/")
    return int(step) if star == "*" and step.isdigit() else 0


def _even(field: Field) -> bool:
    """Whether it is `*/n` with equal distances all through."""
    step = plain_step(field)
    size = field.kind.high - field.kind.low + 1
    return 1 < step < size and size % step == 0


def runs(values: Sequence[int], names: Sequence[str]) -> str:
    """List names in order, three or more in a row as `first to last`."""
    pieces: list[str] = []
    begin = 0
    for place in range(1, len(values) + 1):
        if place < len(values) and values[place] == values[place - 1] + 1:
            continue
        row = names[begin:place]
        pieces += [f"{row[0]} to {row[-1]}"] if len(row) > 2 else row
        begin = place
    return listed(pieces)


def listed(parts: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
