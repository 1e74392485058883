"""Turn numbers into characters: braille lines and areas, one-row sparklines, strips of outcomes. Pure; no colours.

Each has an ASCII form. None stands for a gap: nothing was measured there, which is not zero.
"""

from collections.abc import Sequence
from math import floor, log10
from typing import Literal

from chronos_tui.format import state

Value = float | None
MOST = 1e300  # beyond it, and where it is no number, a value is a gap
BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.-=+*%#"
_DOTS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))  # left and right column, from the bottom


def sparkline(values: Sequence[Value], width: int, *, ascii_only: bool = False) -> str:
    """Return `values` as `width` bars, the newest at the right; from the least to the greatest, or a flat middle."""
    bars = ASCII_BARS if ascii_only else BARS
    points = resample(values, width)
    low, high = extent(points)
    steps = len(bars) - 1
    drawn = []
    for value in points:
        if value is None:
            drawn.append(" ")
        else:
            drawn.append(bars[_level(value, low, high, len(bars))] if high > low else bars[steps // 2])
    return "".join(drawn).rjust(width)


def outcomes(states: Sequence[str], width: int = 24, *, ascii_only: bool = False) -> list[tuple[str, str]]:
    """Return a glyph and a tone for each of the latest runs, oldest first, the newest at the right; blanks before."""
    latest = [state(name) for name in states[-width:]] if width else []
    blanks = [(" ", "muted")] * (width - len(latest))
    return blanks + [(look.ascii if ascii_only else look.glyph, look.tone) for look in latest]


def chart(
    values: Sequence[Value],
    width: int,
    height: int,
    *,
    low: float,
    high: float,
    style: Literal["line", "area"] = "line",
    ascii_only: bool = False,
) -> list[str]:
    """Return `height` rows of `width` characters, top first, on the scale `low` to `high`."""
    if ascii_only:
        return _ascii_chart(resample(values, width), height, low, high, style)
    points = resample(values, width * 2)
    levels = height * 4
    masks = [[0] * width for _ in range(height)]
    before: int | None = None
    for x, value in enumerate(points):
        if value is None:
            before = None
            continue
        level = _level(value, low, high, levels)
        start = 0 if style == "area" else level if before is None else min(before + (level > before), level)
        end = level if style == "area" or before is None else max(level, before - (level < before))
        for dot in range(start, end + 1):
            masks[height - 1 - dot // 4][x // 2] |= _DOTS[x % 2][dot % 4]
        before = level
    return ["".join(chr(0x2800 + mask) if mask else " " for mask in row) for row in masks]


def _ascii_chart(points: Sequence[Value], height: int, low: float, high: float, style: str) -> list[str]:
    rows = [[" "] * len(points) for _ in range(height)]
    for x, value in enumerate(points):
        if value is not None:
            level = _level(value, low, high, height)
            rows[height - 1 - level][x] = "*"
            for below in range(level if style == "area" else 0):
                rows[height - 1 - below][x] = ":"
    return ["".join(row) for row in rows]


def _level(value: float, low: float, high: float, levels: int) -> int:
    share = (value - low) / (high - low) if high > low else 0.5
    return max(0, min(levels - 1, round(share * (levels - 1))))


def resample(values: Sequence[Value], width: int) -> list[Value]:
    """Return `width` values, each the greatest of its share, so that no spike is lost; fewer are stretched."""
    clean = [v if v is not None and abs(v) < MOST else None for v in values]
    if not clean or width <= 0:
        return [None] * max(width, 0)
    points: list[Value] = []
    for x in range(width):
        start = x * len(clean) // width
        end = max((x + 1) * len(clean) // width, start + 1)
        points.append(max((v for v in clean[start:end] if v is not None), default=None))
    return points


def extent(values: Sequence[Value]) -> tuple[float, float]:
    """Return the least and the greatest value; 0 and 0 if there are none."""
    known = [v for v in values if v is not None and abs(v) < MOST]
    return (min(known), max(known)) if known else (0.0, 0.0)


def scale(values: Sequence[Value], *, from_zero: bool = True) -> tuple[float, float]:
    """Return round limits that hold all values: 1, 2 or 5 times a power of ten at the top."""
    low, high = extent(values)
    if from_zero:
        low = min(low, 0.0)
    if high <= low:
        return low, low + 1.0
    power = 10.0 ** floor(log10(high - low))
    step = next(s * power for s in (0.1, 0.2, 0.5, 1, 2, 5) if s * power >= (high - low) / 2)
    return floor(low / step) * step, -floor(-high / step) * step
