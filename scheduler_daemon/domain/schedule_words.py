"""Say a schedule in words, and what to be careful of. Plain rather than elegant; never wrong.

The sentences are our own: each is built from the fields as the matcher reads them, so the two cannot disagree.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.cron_days import LastDay, NearestWorkday, Special
from scheduler_daemon.domain.cron_fields import Field, Fields, read
from scheduler_daemon.domain.schedule import compile_schedule, cron_text, never_fires

_MONTHS: Final = (
    "",
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_NTH: Final = ("", "first", "second", "third", "fourth", "fifth")
_OFFSET: Final = re.compile(r"(?:Z|:\d\d ?[+-]\d\d:?\d\d)\s*$", re.IGNORECASE)
_ORDINAL: Final = {2: "2nd", 3: "3rd", 4: "4th", 6: "6th", 8: "8th", 12: "12th"}
_TIMES_SPELT_OUT: Final = 6


def words(schedule: Schedule, job_id: str = "") -> str:
    """Return a sentence such as `At 09:00 on Monday to Friday, Europe/Berlin time`.

    Raises BadSchedule or Invalid as `compile_schedule` does.
    """
    compile_schedule(schedule, job_id)
    if not schedule.expressions:
        return "Only by hand"
    parts = [_expression(expression, job_id) for expression in dict.fromkeys(schedule.expressions)]
    text = "; ".join([parts[0], *(part[0].lower() + part[1:] for part in parts[1:])])
    if schedule.zone != "UTC" and any(_on_the_clock(expression) for expression in schedule.expressions):
        text += f", {schedule.zone} time"
    if schedule.start:
        text += f", from {_instant(schedule.start)}"
    if schedule.end:
        text += f", until {_instant(schedule.end)}"
    return text


def warnings(schedule: Schedule, job_id: str = "") -> list[str]:
    """Return what is legal but probably not meant, one sentence each. Raises as `compile_schedule` does."""
    compile_schedule(schedule, job_id)
    found: list[str] = []
    for expression in schedule.expressions:
        text = cron_text(expression)
        if text is not None:
            found += _cautions(expression.strip(), read(text, job_id))
            if never_fires(expression, job_id):
                found.append(f"`{expression.strip()}` never fires: no month it names has such a day.")
    if len(set(schedule.expressions)) < len(schedule.expressions):
        found.append("An expression is there twice; it counts once.")
    return list(dict.fromkeys(found))


def _cautions(expression: str, fields: Fields) -> list[str]:
    found = [f"`{expression}`: {warning}." for field in fields for warning in field.warnings]
    for field in fields:
        step = _plain_step(field)
        size = field.kind.high - field.kind.low + 1
        if step and size % step and step < size:
            again = field.kind.low
            found.append(
                f"`{expression}`: `*/{step}` begins again at {field.kind.name} {again}, so the last step is shorter."
            )
    if not fields.days_must_agree:
        found.append(f"`{expression}`: either day field is enough; it fires on the days of both.")
    if fields.hour.starred and fields.minute.text == "*" and fields.second.text == "*":
        found.append(f"`{expression}` fires every second.")
    return found


def _expression(expression: str, job_id: str) -> str:
    text = cron_text(expression)
    if text is not None:
        return _cron(read(text, job_id))
    kind, _, rest = expression.strip().partition(" ")
    if kind.lower() == "@every":
        return f"Every {rest.strip()}"
    return f"Once, at {rest.strip()}" if kind.lower() == "@at" else "Once after each boot"


def _on_the_clock(expression: str) -> bool:
    """Whether the zone matters to it."""
    kind = expression.strip().partition(" ")[0].lower()
    return kind not in {"@every", "@reboot"} and not (kind == "@at" and _OFFSET.search(expression))


def _cron(fields: Fields) -> str:
    times = [(hour, minute) for hour in fields.hour.values for minute in fields.minute.values]
    if len(times) > _TIMES_SPELT_OUT or len(fields.second.values) > 1:
        return _recurring(fields) + (f" {_days(fields)}" if _days(fields) else "")
    second = fields.second.values[0]
    tail = f":{second:02}" if second else ""
    return f"At {_listed([f'{hour:02}:{minute:02}{tail}' for hour, minute in times])} {_days(fields) or 'every day'}"


def _recurring(fields: Fields) -> str:
    """Say the time of day as what recurs within minutes and hours."""
    second, minute, hour = fields.second, fields.minute, fields.hour
    if second.values != (0,):
        within = f"of {_named(minute, 'minute')}"
        if _all(minute):
            within = "" if _all(second) or _even(second) else "of every minute"
        each = f"{_each(second, 'second')} {within}".rstrip()
    else:
        each = _each(minute, "minute")
    by_itself = each.startswith("Every") and " of " not in each
    if _all(hour):
        return each if by_itself or each.endswith("every minute") else f"{each} of every hour"
    first, last = hour.values[0], hour.values[-1]
    if by_itself and last - first + 1 == len(hour.values):
        return f"{each} from {first:02}:00 to {last:02}:59"
    return f"{each} of {_hours(hour)}"


def _hours(field: Field) -> str:
    if _even(field):
        return f"every {_ORDINAL[_plain_step(field)]} hour from 00"
    return _named(field, "hour", "02")


def _each(field: Field, unit: str) -> str:
    if _all(field):
        return f"Every {unit}"
    if _even(field):
        return f"Every {_plain_step(field)} {unit}s"
    return f"At {_named(field, unit)}"


def _named(field: Field, unit: str, form: str = "") -> str:
    values = [f"{value:{form}}" for value in field.values]
    return f"{unit} {values[0]}" if len(values) == 1 else f"{unit}s {_runs(field.values, values)}"


def _days(fields: Fields) -> str:
    """Say months, dates and weekdays, or "" for every day."""
    parts = [_dates(fields.day), _weekdays(fields.weekday)]
    if not fields.days_must_agree and "" in parts:
        parts = []  # either field is enough, and one takes every day
    days = (" and only " if fields.days_must_agree else " or ").join(part for part in parts if part)
    if _all(fields.month):
        return days
    months = "in " + _runs(fields.month.values, [_MONTHS[month] for month in fields.month.values])
    return f"{months}, {days}" if days else f"every day {months}"


def _dates(field: Field) -> str:
    if _all(field):
        return ""
    named = []
    if field.values:
        days = [str(day) for day in field.values]
        named.append(f"day {days[0]}" if len(days) == 1 else f"days {_runs(field.values, days)}")
    named += [_special(special) for special in field.specials]
    return f"on {_listed(named)} of the month"


def _weekdays(field: Field) -> str:
    if _all(field):
        return ""
    named = []
    if field.values:
        week = tuple(sorted(field.values, key=lambda day: (day - 1) % 7))  # Monday first, so that runs end on Sunday
        named.append(_runs(tuple((day - 1) % 7 for day in week), [_WEEKDAYS[day] for day in week]))
    named += [_special(special) for special in field.specials]
    return f"on {_listed(named)}"


def _special(special: Special) -> str:
    if isinstance(special, LastDay):
        place = "the last day" if not special.back else f"the day {special.back} before the last"
        if special.workday:
            return "the last workday" if not special.back else f"the workday nearest to {place}"
        return place
    if isinstance(special, NearestWorkday):
        return f"the workday nearest to day {special.day}"
    nth = "last" if special.nth is None else _NTH[special.nth]
    return f"the {nth} {_WEEKDAYS[special.weekday]} of the month"


def _all(field: Field) -> bool:
    return len(field.values) == field.kind.high - field.kind.low + 1


def _plain_step(field: Field) -> int:
    star, _, step = field.text.partition("/")
    return int(step) if star == "*" and step.isdigit() else 0


def _even(field: Field) -> bool:
    """Whether it is `*/n` with equal distances all through."""
    step = _plain_step(field)
    size = field.kind.high - field.kind.low + 1
    return 1 < step < size and size % step == 0


def _runs(values: Sequence[int], names: Sequence[str]) -> str:
    """List names in order, three or more in a row as `first to last`."""
    pieces: list[str] = []
    begin = 0
    for place in range(1, len(values) + 1):
        if place < len(values) and values[place] == values[place - 1] + 1:
            continue
        row = names[begin:place]
        pieces += [f"{row[0]} to {row[-1]}"] if len(row) > 2 else row
        begin = place
    return _listed(pieces)


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"
