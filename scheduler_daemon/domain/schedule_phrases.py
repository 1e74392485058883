"""Turn words such as "every weekday at 7" into an expression. A small grammar: what it does not know it refuses. Pure.

The expression is read by the same parser as any other before anybody uses it; nothing here says when a job fires.
"""

import re
from typing import NamedTuple

_UNITS = {"second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h", "hr": "h", "day": "d", "week": "w"}
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4}
_NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10, "twelve": 12, "fifteen": 15,
    "twenty": 20, "thirty": 30, "other": 2, "half": 30, "quarter": 15,
}  # fmt: skip

_USUAL = {"night": "2", "nightly": "2", "morning": "7"}
_TIME = r"(?:noon|midnight|\d{1,2}(?:[:.h]\d{2})?\s*(?:[ap]\.?m\.?)?(?:\s*o'?clock)?)"
_DAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:days?)?"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*"
_NTH = r"\d{1,2}(?:st|nd|rd|th)?"


class Understood(NamedTuple):
    """An expression and what was read into the words, for the person to see."""

    expression: str
    note: str = ""


class _Clock(NamedTuple):
    hours: str
    minutes: str


def understand(words: str) -> Understood | None:
    """Return the expression for a description of a schedule in English; None if any of its words is not understood."""
    text = _normal(words)
    for rule in (_interval, _hourly, _monthly_weekday, _monthly, _yearly, _days):
        found = rule(text)
        if found is not None:
            return found
    return None


def _normal(words: str) -> str:
    text = re.sub(r"\s+", " ", words.strip().lower().replace("–", "-").replace(",", " , "))
    text = re.sub(r"\b(?:please|run|it|job|this|the|a|an|on)\b", " ", text).replace(".m.", "m")
    text = re.sub(r"\b(?:each|once per|once|per)\b", "every", text)
    text = re.sub(r"\bevery every\b", "every", re.sub(r"\s+", " ", text))
    return text.strip().rstrip(".").strip()


def _interval(text: str) -> Understood | None:
    """Read every 90 seconds, every 5 minutes, every half hour, every other hour."""
    match = re.fullmatch(
        rf"every (?:(\d+|{'|'.join(_NUMBERS)}) )?(seconds?|secs?|minutes?|mins?|hours?|hrs?)(?: between (.+))?", text
    )
    if match is None:
        return None
    number, unit, between = match.groups()
    short = _UNITS[unit.removesuffix("s")]
    count = 1 if number is None else _NUMBERS.get(number) or int(number)
    if number in {"half", "quarter"}:
        if short != "h":
            return None
        short = "m"
    if count == 0:
        return None
    hours = _between(between) if between else "*"
    if hours is None or (short == "s" and between):
        return None
    return _stepped(count, short, hours)


def _stepped(count: int, unit: str, hours: str) -> Understood | None:
    if unit == "m" and 60 % count == 0 and hours != "*" and count < 60:
        first, last = hours.split("-")  # the last hour named is where it ends
        until = f"until {int(last) - 1}:{60 - count:02}"
        return Understood(f"{'*' if count == 1 else f'*/{count}'} {first}-{int(last) - 1} * * *", until)
    if unit == "m" and 60 % count == 0:
        return Understood(f"{'*' if count == 1 else '0' if count == 60 else f'*/{count}'} {hours} * * *")
    if unit == "h" and 24 % count == 0 and hours == "*":
        return Understood(f"0 {'*' if count == 1 else '0' if count == 24 else f'*/{count}'} * * *")
    if unit == "h" and hours != "*":
        first, last = hours.split("-")
        return Understood(f"0 {first}-{last}/{count} * * *" if count > 1 else f"0 {hours} * * *")
    return Understood(f"@every {count}{unit}") if hours == "*" else None


def _hourly(text: str) -> Understood | None:
    """Read hourly between 9 and 17, hourly at :15, every hour from 9 to 5 pm."""
    match = re.fullmatch(
        r"(?:hourly|every hour)(?: at :?(\d{1,2})(?: minutes?)?(?: past)?)?(?: between (.+?))?"
        rf"(?: ((?:every )?{_WHICH}))?",
        text,
    )
    if match is None:
        return None
    minute, between, which = match.groups()
    hours = _between(between) if between else "*"
    days = _weekdays(which.removeprefix("every ")) if which else "*"
    if hours is None or days is None or int(minute or 0) > 59:
        return None
    return Understood(f"{int(minute or 0)} {hours} * * {days}")


def _monthly_weekday(text: str) -> Understood | None:
    """Read last friday of month at 18:30, every second monday of month, last weekday of month."""
    match = re.fullmatch(
        rf"(?:every )?(last|{'|'.join(_ORDINALS)}) ({_DAY}|weekday|working day|business day) (?:of|in) (?:every )?"
        rf"(?:month|({_MONTH}))(?: (.+))?",
        text,
    )
    if match is None:
        return None
    nth, day, month, rest = match.groups()
    clock = _at(rest)
    if clock is None:
        return None
    where = _month(month) if month else "*"
    if day.endswith("day") and not re.fullmatch(_DAY, day):
        return Understood(f"{clock.minutes} {clock.hours} LW {where} *") if nth == "last" else None
    which = "L" if nth == "last" else f"#{_ORDINALS[nth]}"
    return Understood(f"{clock.minutes} {clock.hours} * {where} {_day(day)}{which}", _unsaid(rest))


def _monthly(text: str) -> Understood | None:
    """Read monthly at 9, every month 15th, 1st and 15th of every month at 6am, last day of month."""
    days = rf"{_NTH}(?: ?(?:,|and|, and) ?{_NTH})*|first day|last day|first|last"
    for pattern in (
        rf"(?:every )?(?:day )?({days}) (?:day )?(?:of|in) (?:every )?(?:months?)(?: (.+))?",
        rf"(?:monthly|every month)(?: ({days}))?(?: (at .+|{_TIME}))?",
    ):
        match = re.fullmatch(pattern, text)
        clock = _at(match[2]) if match else None
        if match is not None and clock is not None:
            which = _month_days(match[1] or "first")
            return (
                None if which is None else Understood(f"{clock.minutes} {clock.hours} {which} * *", _unsaid(match[2]))
            )
    return None


def _yearly(text: str) -> Understood | None:
    """Read every year, yearly, every 24 december at 18:00, january 1st, quarterly."""
    match = re.fullmatch(r"(quarterly|every quarter|yearly|annually|every year)(?: (at .+))?", text)
    if match is not None:
        clock = _at(match[2])
        months = "1,4,7,10" if "quarter" in match[1] else "1"
        return None if clock is None else Understood(f"{clock.minutes} {clock.hours} 1 {months} *", _unsaid(match[2]))
    match = re.fullmatch(
        rf"(?:(?:every )?(?:year )?)?(?:({_NTH})(?: of)? ({_MONTH})|({_MONTH}) ({_NTH}))(?: (at .+))?", text
    )
    if match is None:
        return None
    clock = _at(match[5])
    day, month = _month_days(match[1] or match[4]), _month(match[2] or match[3])
    if clock is None or day is None:
        return None
    return Understood(f"{clock.minutes} {clock.hours} {day} {month} *", _unsaid(match[5]))


def _days(text: str) -> Understood | None:
    """Read every weekday at 7, daily at noon, mondays and thursdays at 8:15, at 6:00, every night."""
    match = re.fullmatch(rf"(?:at )?({_TIME}) (?:every )?(.+)", text)
    if match is not None and (days := _weekdays(match[2])) is not None and (clock := _at("at " + match[1])) is not None:
        return Understood(f"{clock.minutes} {clock.hours} * * {days}")
    match = re.fullmatch(rf"(?:every )?({_WHICH})(?: (.+))?", text) or re.fullmatch(r"()(at .+)", text)
    if match is None:
        return None
    days = _weekdays(match[1]) if match[1] else "*"
    usual = _USUAL.get(match[1].removesuffix("s"), "0")
    clock = _at(match[2], usual)
    if days is None or clock is None:
        return None
    return Understood(f"{clock.minutes} {clock.hours} * * {days}", _unsaid(match[2], usual))


_RANGE = rf"{_DAY}(?: ?(?:-|to|through|until) ?{_DAY})?"
_WHICH = (
    r"days?|daily|nightly|night|mornings?|weekdays?|working days?|business days?|workdays?|weekends?|weekly|weeks?"
    rf"|{_RANGE}(?: ?(?:, and|,|and|&|or) ?{_RANGE})*"
)


def _weekdays(text: str) -> str | None:
    text = text.strip()
    if re.fullmatch(r"days?|daily|nightly|night|mornings?", text):
        return "*"
    if re.fullmatch(r"weekdays?|working days?|business days?|workdays?", text):
        return "1-5"
    if re.fullmatch(r"weekends?", text):
        return "0,6"
    if re.fullmatch(r"weekly|weeks?", text):
        return "1"
    found: list[str] = []
    for part in re.split(r" ?(?:, and|,|\band\b|&|\bor\b) ?", text):
        match = re.fullmatch(rf"({_DAY})(?: ?(?:-|to|through|until) ?({_DAY}))?", part.strip())
        if match is None:
            return None
        found.append(_day(match[1]) if match[2] is None else _span(_day(match[1]), _day(match[2])))
    return ",".join(found)


def _span(first: str, last: str) -> str:
    """Write a range of weekdays; one over Sunday ends at 7."""
    if int(first) < int(last):
        return f"{first}-{last}"
    return f"{first}-7" if last == "0" else f"{first}-6,0-{last}"


def _day(text: str) -> str:
    return str(next(at for at, name in enumerate(_DAYS) if name.startswith(text[:3])))


def _month(text: str) -> str:
    return str(next(at for at, name in enumerate(_MONTHS, start=1) if name.startswith(text[:3])))


def _month_days(text: str) -> str | None:
    if text in {"last", "last day"}:
        return "L"
    if text in {"first", "first day"}:
        return "1"
    days = [int(each) for each in re.findall(r"\d+", text)]
    return ",".join(map(str, days)) if days and all(1 <= day <= 31 for day in days) else None


def _at(text: str | None, usual: str = "0") -> _Clock | None:
    """Return the hours and minute of `at 7`, `at 7:30 and 19:30`; midnight, or `usual`, where nothing is said."""
    if text is None:
        return _Clock(usual, "0")
    text = re.sub(r"^(?:at|by|around) ", "", text.strip())
    times = [_time(part) for part in re.split(r" ?(?:, and|,|\band\b|&) ?", text)]
    known = [each for each in times if each is not None]
    if len(known) < len(times) or len({minute for _, minute in known}) != 1:
        return None
    return _Clock(",".join(str(hour) for hour in sorted({hour for hour, _ in known})), str(known[0][1]))


def _time(text: str) -> tuple[int, int] | None:
    text = text.strip()
    if text in {"noon", "midday"}:
        return 12, 0
    if text == "midnight":
        return 0, 0
    match = re.fullmatch(r"(\d{1,2})(?:[:.h](\d{2}))?\s*([ap])?\.?m?\.?(?:\s*o'?clock)?", text)
    if match is None:
        return None
    hour, minute, half = int(match[1]), int(match[2] or 0), match[3]
    if half is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "p" else 0)
    return (hour, minute) if hour < 24 and minute < 60 else None


def _between(text: str) -> str | None:
    match = re.fullmatch(rf"({_TIME}) ?(?:and|to|-|until|till) ?({_TIME})", text.strip())
    first, last = (_time(match[1]), _time(match[2])) if match else (None, None)
    if first is None or last is None or first[1] or last[1]:
        return None
    if last[0] <= first[0]:
        last = (last[0] + 12, 0) if last[0] + 12 > first[0] and last[0] <= 11 else last
    return f"{first[0]}-{last[0]}" if first[0] < last[0] < 24 else None


def _unsaid(rest: str | None, usual: str = "0") -> str:
    return "" if rest else f"no time was said: read as {usual}:00"
