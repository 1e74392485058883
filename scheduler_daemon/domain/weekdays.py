"""Read and say days of the week, as bits from Monday = 1."""

from typing import Final

NAMES: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NUMBERS: Final = {name.lower(): place for place, name in enumerate(NAMES)} | {
    name[:3].lower(): place for place, name in enumerate(NAMES)
}


def read_weekdays(text: str) -> int:
    """Read `sat`, `mon..fri` or `fri..mon`, or several parted by commas; 0 if it is nothing of the kind."""
    mask = 0
    for item in text.lower().split(","):
        first, dots, last = (part.strip() for part in item.partition(".."))
        if first not in _NUMBERS or (dots and last not in _NUMBERS):
            return 0
        begin = _NUMBERS[first]
        for step in range((_NUMBERS[last] - begin) % 7 + 1 if dots else 1):
            mask |= 1 << (begin + step) % 7
    return mask


def weekday_of(day: int) -> str:
    """Return the name of the weekday of a day since 1970-01-01, a Thursday."""
    return NAMES[(day + 3) % 7]
