"""Say a schedule in words, and what to be careful of. How the parts of an expression read is left to `cron_words` and
`recurrence_words`.
"""

import re
from datetime import datetime
from typing import Final

from scheduler_daemon.contract.calendars import Move
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.calendar_event import read_event
from scheduler_daemon.domain.cron_fields import Fields, read
from scheduler_daemon.domain.cron_words import in_words, plain_step, runs
from scheduler_daemon.domain.expressions import Kind, sort_out
from scheduler_daemon.domain.recurrence_text import read_parts
from scheduler_daemon.domain.recurrence_words import recurrence_in_words
from scheduler_daemon.domain.schedule import compile_schedule, never_fires, why_never

_MOVES: Final = {
    Move.SKIP: "not on days off by calendar {}",
    Move.NEXT: "on days off by calendar {} on the next business day instead",
    Move.PREVIOUS: "on days off by calendar {} on the business day before instead",
}
_OFFSET: Final = re.compile(r"(?:Z|:\d\d ?[+-]\d\d:?\d\d)\s*$", re.IGNORECASE)


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
    return text + "".join(f", {condition}" for condition in _conditions(schedule))


def _conditions(schedule: Schedule) -> list[str]:
    """Say what keeps fires from their instants."""
    found = [_MOVES[use.move].format(use.calendar) for use in schedule.calendars]
    if schedule.blackouts:
        named = "; ".join(blackout.name or blackout.when for blackout in schedule.blackouts)
        found.append(f"never within {named}")
    if schedule.jitter_s:
        found.append(f"starting up to {schedule.jitter_s} s later")
    return found


def warnings(schedule: Schedule, job_id: str = "") -> list[str]:
    """Return what is legal but probably not meant, one sentence each. Raises as `compile_schedule` does."""
    compile_schedule(schedule, job_id)
    found: list[str] = []
    for expression in schedule.expressions:
        kind, text = sort_out(expression)
        if kind is Kind.CRON:
            found += _cautions(expression.strip(), read(text, job_id))
        if kind is Kind.RECURRENCE and not (schedule.anchor or schedule.start or read_parts(text).start):
            found.append(f"`{expression.strip()}` counts from 1970-01-01T00:00; give a start to count from.")
        if never_fires(expression, schedule, job_id):
            found.append(f"`{expression.strip()}` never fires: {why_never(expression)}")
    if len(set(schedule.expressions)) < len(schedule.expressions):
        found.append("An expression is there twice; it counts once.")
    return list(dict.fromkeys(found))


def _cautions(expression: str, fields: Fields) -> list[str]:
    found = [f"`{expression}`: {warning}." for field in fields for warning in field.warnings]
    for field in fields:
        step = plain_step(field)
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
    kind, text = sort_out(expression)
    if kind is Kind.CRON:
        return in_words(read(text, job_id))
    if kind is Kind.CALENDAR:
        return _calendar(text)
    if kind is Kind.RECURRENCE:
        return recurrence_in_words(read_parts(text))
    if kind is Kind.EVERY:
        return f"Every {text}"
    return f"Once, at {text}" if kind is Kind.AT else "Once after each boot"


def _calendar(text: str) -> str:
    event = read_event(text)
    said = in_words(event.fields)
    if event.years:
        said += f" in {runs(event.years, [str(year) for year in event.years])}"
    return f"{said}, {event.zone} time" if event.zone else said


def _on_the_clock(expression: str) -> bool:
    """Whether the zone of the schedule matters to it."""
    kind, text = sort_out(expression)
    if kind is Kind.AT:
        return not _OFFSET.search(text)
    return kind in {Kind.CRON, Kind.RECURRENCE} or (kind is Kind.CALENDAR and not read_event(text).zone)


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"
