"""Turn cron expressions of other programs into ours, where they mean the same; refuse the others and say why.

What happens when clocks change is not part of an expression; each job chooses it by `gap` and `overlap`.
"""

import re
from typing import Final

from scheduler_daemon.contract.schedule import Dialect
from scheduler_daemon.domain.cron_fields import read
from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.domain.expressions import ALIASES

_LARGEST_STEPS: Final = (59, 59, 23, 31, 12, 7)
_EVERY_YEAR: Final = {"*", "?", "*/1"}
_LATE_WORKDAY: Final = re.compile(r"(?:^|,)(?:2[89]|3[01])W", re.IGNORECASE)


def from_dialect(expression: str, dialect: Dialect) -> str:
    """Return our expression for one of another program. Raises BadSchedule where ours cannot say the same."""
    text = expression.strip(" \t")
    if text.startswith("@"):
        if text.lower() not in ALIASES:
            raise _bad(expression, dialect, f"there are {', '.join(ALIASES)}")
        return text.lower()
    fields = text.split()
    least, most = {Dialect.QUARTZ: (6, 7), Dialect.SPRING: (6, 6), Dialect.YEAR: (6, 7)}[dialect]
    if not least <= len(fields) <= most:
        raise _bad(expression, dialect, f"it takes {least}{f' or {most}' if most > least else ''} fields")
    if dialect is Dialect.YEAR or len(fields) == 7:
        _refuse_some_years(expression, dialect, fields.pop())
    if dialect is not Dialect.SPRING:
        _refuse_long_steps(expression, dialect, fields)
    if dialect is Dialect.QUARTZ:
        fields = _quartz(expression, fields)
    else:
        _refuse_other_days(expression, dialect, *fields[-3::2])
    converted = " ".join(fields)
    read(converted)
    return converted


def _refuse_some_years(expression: str, dialect: Dialect, year: str) -> None:
    if year in _EVERY_YEAR:
        return
    hint = f"start on {year}-01-01 and end on {year}-12-31" if re.fullmatch(r"\d{4}", year) else "start and end"
    raise _bad(
        expression, dialect, f"we keep no years in an expression; leave out `{year}` and let the job {hint} instead"
    )


def _refuse_long_steps(expression: str, dialect: Dialect, fields: list[str]) -> None:
    for field, most in zip(fields, _LARGEST_STEPS[-len(fields) :], strict=True):
        for step in re.findall(r"/(\d*)", field):
            if not step or int(step[:9]) > most:
                raise _bad(expression, dialect, f"the step in `{field}` must be from 1 to {most}")


def _refuse_other_days(expression: str, dialect: Dialect, day: str, weekday: str) -> None:
    if dialect is Dialect.SPRING and _LATE_WORKDAY.search(day):
        raise _bad(expression, dialect, f"where day {day[:2]} is a Sunday and its month's last, Spring passes over it")
    if "*" in {day, weekday} or "?" in {day, weekday}:
        return
    starred = day.startswith("*") or weekday.startswith("*")
    if dialect is Dialect.SPRING and not starred:
        raise _bad(expression, dialect, "it fires where both day fields match; ours where either does")
    if dialect is Dialect.YEAR and starred:
        raise _bad(expression, dialect, "others fire where either day field matches; ours, with a `*/n`, where both do")


def _quartz(expression: str, fields: list[str]) -> list[str]:
    if (fields[3] == "?") == (fields[5] == "?"):
        raise _bad(expression, Dialect.QUARTZ, "just one of day of month and day of week must be `?`")
    fields = [re.sub(r"(^|,)/", r"\1*/", field) for field in fields]
    weekdays = [_quartz_weekday(expression, item) for item in fields[5].split(",")]
    return [*fields[:5], ",".join(weekdays)]


def _quartz_weekday(expression: str, item: str) -> str:
    """Return a weekday item counted from Sunday = 0; Quartz counts from Sunday = 1."""
    days, rest = re.fullmatch(r"([^/#]*)(.*)", item, re.DOTALL).groups()  # type: ignore[union-attr]  # matches any text
    if days.upper() == "L":
        return "SAT"
    for number in re.findall(r"\d+", days):
        if number not in "1234567":
            raise _bad(expression, Dialect.QUARTZ, f"weekday {number} is none; they run from 1, Sunday, to 7")
    return re.sub(r"\d", lambda digit: str(int(digit[0]) - 1), days) + rest


def _bad(expression: str, dialect: Dialect, why: str) -> BadSchedule:
    return BadSchedule(f"`{expression.strip()}` as {dialect}: {why}.", expression=expression)
