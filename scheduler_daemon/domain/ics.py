"""Read an ICS file into rules of a calendar. Its grammar is left to the `icalendar` package, imported when one is read.

An event over whole days becomes a rule; one with a time of day is left out, unless days that it touches are wanted.
"""

from datetime import date, datetime, timedelta
from typing import Any, Final

from scheduler_daemon.contract.calendars import MAX_RULES, Rule
from scheduler_daemon.domain.calendar_days import read_rule
from scheduler_daemon.domain.errors import Invalid

_DAY: Final = timedelta(days=1)
_SHOWN: Final = 60
"""Characters of a summary that a report names an event by."""


def read_ics(content: bytes, *, timed: bool = False) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    """Return a rule for each event, and why the others were left out. Raises Invalid for what is no ICS file.

    With `timed`, events with a time of day count for every day that they touch on the clock they are written in.
    """
    rules: list[Rule] = []
    left_out: list[str] = []
    for event in _events(content):
        summary = _text(event.get("SUMMARY"))
        try:
            rules += _rules(event, summary, timed=timed)
        except (Invalid, ValueError, OverflowError, AttributeError, TypeError) as error:
            said = error.message if isinstance(error, Invalid) else f"it cannot be read: {error}"
            left_out.append(f"{summary[:_SHOWN] or 'an event without a summary'}: {said}")
    if len(rules) > MAX_RULES:
        raise Invalid(f"the file holds {len(rules):,} events, a calendar takes {MAX_RULES:,}", field="the body")
    return tuple(rules), tuple(left_out)


def _events(content: bytes) -> list[Any]:
    from icalendar import Calendar

    try:
        parts = Calendar.from_ical(content, multiple=True)
        events = [event for part in parts for event in part.walk("VEVENT")]
    except (ValueError, IndexError, KeyError) as error:
        raise Invalid(f"this is no ICS file: {error}", field="the body") from None
    if not parts:
        raise Invalid("this is no ICS file: it holds no VCALENDAR", field="the body")
    return events


def _rules(event: Any, summary: str, *, timed: bool) -> list[Rule]:
    if _text(event.get("STATUS")).upper() == "CANCELLED":
        raise Invalid("it is cancelled")
    if event.get("RECURRENCE-ID") is not None:
        raise Invalid("it changes one repetition of another event; leave that day out or name it by hand")
    start = event.decoded("DTSTART", None)
    if start is None:
        raise Invalid("it has no DTSTART")
    if isinstance(start, datetime) and not timed:
        raise Invalid("it has a time of day; only events over whole days are taken")
    first, last = _span(event, start)
    days = f"{first}" if last <= first else f"{first}..{last}"
    rule = Rule(
        days=days, name=summary, recurs=_recurrence(event), without=_dates(event, "EXDATE"), imported=True
    )  # fmt: skip
    if not rule.recurs:
        rule = rule.model_copy(update={"without": ()})
    read_rule(rule)
    length = last - first
    return [rule, *(_again(rule, day, length) for day in _dates(event, "RDATE"))]


def _again(rule: Rule, day: date, length: timedelta) -> Rule:
    days = f"{day}..{day + length}" if length else f"{day}"
    return rule.model_copy(update={"days": days, "recurs": "", "without": ()})


def _span(event: Any, start: date) -> tuple[date, date]:
    """Return the first and the last day of an event; the end of an ICS file is the day, or the second, behind it."""
    end = event.decoded("DTEND", None)
    if end is None:
        length = event.decoded("DURATION", None)
        end = start + (length if length is not None else _DAY if not isinstance(start, datetime) else timedelta(0))
    first = _day(start)
    last = _day(end - timedelta(microseconds=1)) if isinstance(end, datetime) else end - _DAY
    return first, max(first, last)


def _day(moment: date) -> date:
    return moment.date() if isinstance(moment, datetime) else moment


def _recurrence(event: Any) -> str:
    found = event.get("RRULE")
    if found is None:
        return ""
    if isinstance(found, list):
        raise Invalid("it has more than one RRULE")
    text = found.to_ical().decode()
    parts = [part for part in text.split(";") if not part.startswith(("BYHOUR", "BYMINUTE", "BYSECOND"))]
    return ";".join(parts)


def _dates(event: Any, key: str) -> tuple[date, ...]:
    found = event.get(key)
    lists = found if isinstance(found, list) else [found] if found is not None else []
    moments = [each.dt for listed in lists for each in listed.dts]
    return tuple(sorted({_day(moment[0] if isinstance(moment, tuple) else moment) for moment in moments}))


def _text(value: Any) -> str:
    text = "" if value is None else str(value)
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()[:200]
