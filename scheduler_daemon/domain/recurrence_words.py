"""Say a recurrence rule in words. Plain rather than elegant; never wrong."""

from typing import Final

from scheduler_daemon.domain.cron_words import MONTHS, WEEKDAYS, listed, runs
from scheduler_daemon.domain.recurrence_text import Frequency, Parts

_UNITS: Final = ("year", "month", "week", "day", "hour", "minute", "second")
_TIMES_SPELT_OUT: Final = 6


def recurrence_in_words(parts: Parts) -> str:
    """Return a sentence such as `Every 2 weeks on Monday, at 09:00`, without its full stop.

    What the rule leaves to the moment it begins at is not said.
    """
    unit = _UNITS[parts.frequency]
    said = f"Every {unit}" if parts.interval == 1 else f"Every {parts.interval} {unit}s"
    for phrase in (_months(parts), _dates(parts), _weekdays(parts)):
        said += phrase
    said += _times(parts)
    if parts.positions:
        said += f", only the {listed([_nth(place) for place in parts.positions])} of each {unit}"
    if parts.count:
        said += f", {parts.count} times" if parts.count > 1 else ", once"
    return said + (", until the end it names" if parts.until else "")


def _months(parts: Parts) -> str:
    return f" in {runs(parts.months, [MONTHS[month] for month in parts.months])}" if parts.months else ""


def _dates(parts: Parts) -> str:
    said = ""
    if parts.weeks:
        said += f" in the {listed([_nth(week) for week in parts.weeks])} week of the year"
    if parts.year_days:
        said += f" on the {listed([_nth(day) for day in parts.year_days])} day of the year"
    if parts.month_days:
        said += f" on the {listed([_nth(day) for day in parts.month_days])} day of the month"
    return said


def _weekdays(parts: Parts) -> str:
    if not parts.weekdays:
        return ""
    in_month = parts.frequency is Frequency.MONTHLY or parts.months
    every = tuple(day for nth, day in parts.weekdays if not nth)
    named = [runs(every, [_weekday(day) for day in every])] if every else []
    named += [
        f"the {_nth(nth)} {_weekday(day)} of the {'month' if in_month else 'year'}"
        for nth, day in parts.weekdays
        if nth
    ]
    return (" and only" if parts.weeks or parts.year_days or parts.month_days else "") + f" on {listed(named)}"


def _weekday(day: int) -> str:
    return WEEKDAYS[(day + 1) % 7]


def _times(parts: Parts) -> str:
    hours, minutes, seconds = parts.hours, parts.minutes, parts.seconds
    if hours and minutes and len(hours) * len(minutes) <= _TIMES_SPELT_OUT and len(seconds) <= 1:
        tail = f":{seconds[0]:02}" if seconds and seconds[0] else ""
        return f", at {listed([f'{hour:02}:{minute:02}{tail}' for hour in hours for minute in minutes])}"
    named = [
        f"{unit}{'s' if len(values) > 1 else ''} {runs(values, [str(value) for value in values])}"
        for unit, values in (("hour", hours), ("minute", minutes), ("second", seconds))
        if values
    ]
    return f", at {listed(named)}" if named else ""


def _nth(place: int) -> str:
    if place == -1:
        return "last"
    count = abs(place)
    ending = "th" if count % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{ending}" + (" from the last" if place < 0 else "")
