"""Tell which way of saying when an expression uses. What it then means is left to the reader of that kind.

A text without `@` is cron, unless it has the shape of a systemd calendar event and not the fields of a cron line.
"""

import difflib
import re
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from scheduler_daemon.domain.errors import BadSchedule

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
REBOOT: Final = "@reboot"

_CALENDAR: Final = re.compile(
    r"(?:(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*|minutely|hourly|daily|weekly|monthly|quarterly|yearly|annually"
    r"|(?:semi|bi)-?annually)(?![a-z])|[0-9*][0-9*.,/]*[:~-][0-9*])",
    re.IGNORECASE,
)


class Kind(StrEnum):
    """The ways to say when."""

    CRON = "cron"
    CALENDAR = "@calendar"
    RECURRENCE = "@rrule"
    EVERY = "@every"
    AT = "@at"
    REBOOT = "@reboot"


class Expression(NamedTuple):
    """An expression sorted out, not yet read."""

    kind: Kind
    text: str
    """What its reader is to read: the cron fields, an alias spelt out; or all that follows the @ word."""


_WORDS: Final = {kind.value: kind for kind in Kind if kind is not Kind.CRON}


@lru_cache(maxsize=16_384)
def sort_out(expression: str) -> Expression:
    """Return the kind of an expression and the text to read. Raises BadSchedule for an @ word that does not exist."""
    text = expression.strip(" \t")
    if not text.startswith("@"):
        is_calendar = _CALENDAR.match(text) and len(text.split()) < 5
        return Expression(Kind.CALENDAR, text) if is_calendar else Expression(Kind.CRON, expression)
    first, *others = text.split(maxsplit=1)
    word, rest = first.lower(), others[0] if others else ""
    if word in ALIASES and not rest:
        return Expression(Kind.CRON, ALIASES[word])
    if word in _WORDS and not (word == REBOOT and rest):
        return Expression(_WORDS[word], rest)
    raise _bad_alias(expression, word, rest)


def cron_text(expression: str) -> str | None:
    """Return the cron fields of an expression, an alias spelt out; None for every other kind.

    Raises BadSchedule for an alias that does not exist.
    """
    kind, text = sort_out(expression)
    return text if kind is Kind.CRON else None


def _bad_alias(expression: str, word: str, rest: str) -> BadSchedule:
    known = [*ALIASES, REBOOT]
    if rest and word in known:
        return BadSchedule(f"`{word}` stands alone; remove `{rest}`.", expression=expression, suggestion=word)
    near = difflib.get_close_matches(word, [*known, *_WORDS], n=1)
    others = ", ".join(kind for kind in _WORDS if kind != REBOOT)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}; and, with more after them, {others}."
    return BadSchedule(
        f"There is no alias `{word}`. {hint}",
        expression=expression,
        position=expression.index("@"),
        suggestion=near[0] if near else "",
    )
