"""Read the fields of a cron expression, or say exactly what is wrong with them. When they match is left to `cron`.

Accepted beyond POSIX: seconds first when there are six fields; names of months and weekdays; steps; `n/s`;
`L`, `L-n`, `LW`, `nW` for days; `nL`, `n#k` for weekdays; `?` for `*` in both; `H` for a place that the job's id fixes.
"""

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from scheduler_daemon.domain.cron_days import LastDay, NearestWorkday, NthWeekday, Special
from scheduler_daemon.domain.errors import BadSchedule

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MAX_LENGTH = 1000

_BLANKS_APART = re.compile(r"[^ \t]+")
_DIGITS = re.compile(r"[0-9]+")
_HASHED = re.compile(r"H(?:\(([^()]*)\))?")
_LAST_DAY = re.compile(r"L(?:-([0-9]+))?(W?)", re.IGNORECASE)
_NEAREST = re.compile(r"([0-9]+)W", re.IGNORECASE)


class Kind(NamedTuple):
    """What a field may hold."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    hash_high: int | None = None
    """`H` never goes above this, so that it never names a day some months lack."""


SECOND = Kind("second", 0, 59)
MINUTE = Kind("minute", 0, 59)
HOUR = Kind("hour", 0, 23)
DAY = Kind("day of month", 1, 31, hash_high=28)
MONTH = Kind("month", 1, 12, MONTHS)
WEEKDAY = Kind("day of week", 0, 6, WEEKDAYS)
KINDS = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)


@dataclass(frozen=True, slots=True)
class Field:
    """One field as read: the values as bits, and the items that depend on the month."""

    kind: Kind
    text: str
    bits: int
    specials: tuple[Special, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def starred(self) -> bool:
        """Whether it begins with `*`, which decides the day rule and the rules at clock changes."""
        return self.text[0] in "*?"

    @property
    def values(self) -> tuple[int, ...]:
        """The plain values, ascending."""
        return tuple(value for value in range(self.kind.low, self.kind.high + 1) if self.bits >> value & 1)


class Fields(NamedTuple):
    """A whole expression; `second` is 0 where five fields were written."""

    second: Field
    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    @property
    def wildcard(self) -> bool:
        """Whether it recurs with the clock rather than naming times of day: what cron(8) asks at clock changes."""
        return self.second.starred or self.minute.starred or self.hour.starred

    @property
    def days_must_agree(self) -> bool:
        """Whether a day must match both day fields; otherwise either is enough."""
        return self.day.starred or self.weekday.starred


def read(expression: str, job_id: str = "") -> Fields:
    """Read five or six fields. `job_id` fixes what `H` stands for. Raises BadSchedule."""
    refuse_strange_characters(expression)
    words = list(_BLANKS_APART.finditer(expression))
    if len(words) not in {5, 6}:
        raise _wrong_count(expression, [word[0] for word in words])
    first = len(KINDS) - len(words)
    try:
        fields = [_shared(first + n, word[0], job_id if "H" in word[0] else "") for n, word in enumerate(words)]
    except BadSchedule:  # read again by one who knows the columns
        fields = [
            _Reader(expression, KINDS[first + n], word.start(), job_id).field(word[0]) for n, word in enumerate(words)
        ]
    return Fields(*fields) if len(words) == 6 else Fields(_ON_THE_MINUTE, *fields)


@lru_cache(maxsize=4096)
def _shared(kind: int, text: str, job_id: str) -> Field:
    return _Reader(text, KINDS[kind], 0, job_id).field(text)


_ON_THE_MINUTE = Field(SECOND, "0", 1)


def refuse_strange_characters(expression: str) -> None:
    """Raise BadSchedule if the expression is too long or holds anything but printable ASCII, blanks and tabs."""
    if len(expression) > MAX_LENGTH:
        raise BadSchedule(
            f"The expression is {len(expression):,} characters long; at most {MAX_LENGTH:,} are read. Split it.",
            expression=expression[:80] + "…",
        )
    for position, char in enumerate(expression):
        if char == "\t" or " " <= char <= "~":
            continue
        plain = " " if char.isspace() else str(int(char)) if char.isdecimal() else ""
        suggestion = expression[:position] + plain + expression[position + 1 :] if plain else ""
        raise BadSchedule(
            f"Column {position + 1} holds the character U+{ord(char):04X}; write plain ASCII.",
            expression=expression,
            position=position,
            suggestion=suggestion if suggestion.isascii() and suggestion.isprintable() else "",
        )


def _wrong_count(expression: str, words: list[str]) -> BadSchedule:
    if not words:
        return BadSchedule(
            "The expression is empty. Write five fields such as `0 9 * * MON-FRI`, or none at all to run by hand.",
            expression=expression,
        )
    count = f"{len(words)} field{'s' if len(words) > 1 else ''}"
    rule = "it takes 5 (minute, hour, day, month, weekday) or 6 (seconds first)"
    if len(words) == 7:
        return BadSchedule(
            f"The expression has {count}; {rule}. Years are not supported.",
            expression=expression,
            suggestion=" ".join(words[:6]),
        )
    return BadSchedule(f"The expression has {count}; {rule}.", expression=expression)


class _Reader:
    """Reads one field; knows where it stands, so that errors can point at the culprit."""

    def __init__(self, expression: str, kind: Kind, start: int, job_id: str) -> None:
        self.expression = expression
        self.kind = kind
        self.start = start
        self.job_id = job_id
        self.warnings: list[str] = []
        self.specials: list[Special] = []

    def field(self, text: str) -> Field:
        bits = 0
        position = self.start
        for item in text.split(","):
            bits |= self.item(item, position, alone=item == text)
            position += len(item) + 1
        return Field(self.kind, text, bits, tuple(self.specials), tuple(self.warnings))

    def item(self, item: str, position: int, *, alone: bool) -> int:
        if not item:
            raise self.bad("there is nothing between two commas, or beside one", position)
        if item == "?" and self.kind in {DAY, WEEKDAY}:
            if not alone:
                raise self.bad("`?` must stand alone", position)
            return self.every(self.kind.low, self.kind.high)
        special = self.special(item, position)
        if special:
            self.specials.append(special)
            return 0
        base, slash, step_text = item.partition("/")
        step = self.step(step_text, position + len(base) + 1) if slash else 1
        hashed = _HASHED.fullmatch(base)
        if hashed:
            return self.hashed(hashed, step if slash else None, position)
        low, high = self.range(base, position, open_ended=bool(slash))
        if slash and low != high and step > high - low:
            self.warnings.append(f"{self.kind.name} `{item}`: a step of {step} leaves only {low}")
        return self.every(low, high, step)

    def every(self, low: int, high: int, step: int = 1) -> int:
        bits = sum(1 << value for value in range(low, high + 1, step))
        return bits & 0x7F | bits >> 7 if self.kind is WEEKDAY else bits  # 7 is Sunday again

    def range(self, base: str, position: int, *, open_ended: bool) -> tuple[int, int]:
        if base == "*":
            return self.kind.low, self.kind.high
        first, dash, last = base.partition("-")
        low = self.value(first, position)
        if not dash:
            if not open_ended:
                return low, low
            high = max(self.kind.high, low)
            self.warnings.append(
                f"{self.kind.name} `{base}/…` means `{low}-{high}/…`, which other crons refuse; write that"
            )
            return low, high
        high = self.value(last, position + len(first) + 1)
        if self.kind is WEEKDAY and high == 0 and low > 0 and last.lower() == "sun":
            high = 7
        if low > high:
            raise self.backwards(base, low, high, position)
        return low, high

    def value(self, text: str, position: int) -> int:
        kind = self.kind
        if text.lower() in kind.names:
            return kind.low + kind.names.index(text.lower())
        if not _DIGITS.fullmatch(text):
            raise self.unreadable(text, position)
        value = int(text)
        top = 7 if kind is WEEKDAY else kind.high
        if not kind.low <= value <= top:
            raise self.bad(f"{value} is out of range; it runs from {kind.low} to {top}", position)
        return value

    def step(self, text: str, position: int) -> int:
        if not _DIGITS.fullmatch(text):
            raise self.bad(f"the step {text!r} is not a number" if text else "the step after `/` is missing", position)
        if int(text) == 0:
            raise self.bad("a step of 0 would never move on", position)
        return int(text)

    def hashed(self, match: re.Match[str], step: int | None, position: int) -> int:
        low, high = self.kind.low, self.kind.hash_high or self.kind.high
        if match[1] is not None:
            if "-" not in match[1]:
                raise self.bad(f"`{match[0]}` needs a range, such as H(0-29)", position)
            low, high = self.range(match[1], position + 2, open_ended=False)
        place = int.from_bytes(sha256(f"{self.job_id}\0{self.kind.name}".encode()).digest()[:8], "big")
        if step is None:
            return self.every(low + place % (high - low + 1), low + place % (high - low + 1))
        return self.every(low + place % min(step, high - low + 1), high, step)

    def special(self, item: str, position: int) -> Special | None:
        if self.kind is DAY:
            return self.special_day(item, position)
        if self.kind is WEEKDAY:
            return self.special_weekday(item, position)
        return None

    def special_day(self, item: str, position: int) -> Special | None:
        last = _LAST_DAY.fullmatch(item)
        if last:
            back = int(last[1] or 0)
            if back > 30:
                raise self.bad(f"no month has a day {back} before its last; L-30 is the furthest", position)
            return LastDay(back, workday=bool(last[2]))
        near = _NEAREST.fullmatch(item)
        return NearestWorkday(self.value(near[1], position)) if near else None

    def special_weekday(self, item: str, position: int) -> Special | None:
        day, mark, nth = item.partition("#")
        if mark:
            if nth not in {"1", "2", "3", "4", "5", "L", "l"}:
                raise self.bad(f"after `#` comes 1 to 5, or L for the last, not {nth!r}", position + len(day) + 1)
            return NthWeekday(self.value(day, position) % 7, None if nth in "Ll" else int(nth))
        if item in {"L", "l"}:
            raise self.bad(
                "`L` alone is no weekday; say which is the last one, such as FRIL", position, replace=(item, "SATL")
            )
        if item[-1] in "Ll":
            return NthWeekday(self.value(item[:-1], position) % 7, None)
        return None

    def unreadable(self, text: str, position: int) -> BadSchedule:
        if not text:
            return self.bad("a value is missing", position)
        if text == "R" or text.startswith("R("):
            return self.bad(
                "`R` would change at every restart; `H` is as scattered, and stays", position, replace=("R", "H")
            )
        wanted = f"a number from {self.kind.low} to {self.kind.high}"
        if not self.kind.names:
            return self.bad(f"{text!r} is not {wanted}", position)
        near = difflib.get_close_matches(text.lower()[:3], self.kind.names, n=1)
        wanted += f" or a name such as {self.kind.names[1].upper()}"
        return self.bad(f"{text!r} is not {wanted}", position, replace=(text, near[0].upper()) if near else None)

    def backwards(self, base: str, low: int, high: int, position: int) -> BadSchedule:
        def span(first: int, last: int) -> str:
            return str(first) if first == last else f"{first}-{last}"

        both = f"{span(low % 7 if self.kind is WEEKDAY else low, self.kind.high)},{span(self.kind.low, high)}"
        return self.bad(f"the range {base} runs backwards; name its two parts", position, replace=(base, both))

    def bad(self, why: str, position: int, *, replace: tuple[str, str] | None = None) -> BadSchedule:
        suggestion = ""
        if replace:
            old, new = replace
            rest = self.expression[position:]
            suggestion = self.expression[:position] + rest.replace(old, new, 1)
        hint = f" Did you mean `{suggestion}`?" if suggestion else ""
        return BadSchedule(
            f"{self.kind.name.capitalize()} (column {position + 1}): {why}.{hint}",
            expression=self.expression,
            position=position,
            suggestion=suggestion,
        )
