"""Lengths of time as people type them. Pure."""

import re

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhdw])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration_ms(text: str) -> int:
    """Read `90s`, `5m`, `1h30m`, `1.5d` or `250ms` as milliseconds. Raises ValueError with what to write instead."""
    if not _WHOLE.fullmatch(text := text.strip()):
        raise ValueError(f"{text!r} is not a length of time; write 250ms, 90s, 5m, 1h30m, 2d or 1w")
    return round(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
