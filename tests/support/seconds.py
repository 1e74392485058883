"""Fires found by looking at every second of a time in a zone, in the words of the rules and nothing cleverer."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from scheduler_daemon.contract.schedule import Gap, Overlap
from tests.support.times import utc

CHANGES = [  # a zone, and a time some hours before its clocks change
    ("Europe/Berlin", utc(2026, 3, 28, 18)),
    ("Europe/Berlin", utc(2026, 10, 24, 18)),
    ("Australia/Lord_Howe", utc(2026, 4, 4, 6)),
    ("Australia/Lord_Howe", utc(2026, 10, 3, 6)),
    ("Antarctica/Troll", utc(2026, 3, 28, 18)),
    ("Antarctica/Troll", utc(2026, 10, 24, 18)),
    ("Pacific/Apia", utc(2011, 12, 30, 2)),
]
HOURS = 18
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def _walls(zone: str, start: datetime) -> list[tuple[int, int]]:
    """Each second, and what the wall clock shows then, both since 1970; offsets hold for a whole minute."""
    first = int(start.timestamp())
    found = []
    for minute in range(first, first + HOURS * 3600, 60):
        offset = datetime.fromtimestamp(minute, ZoneInfo(zone)).utcoffset()
        assert offset is not None
        found += [(t, t + int(offset.total_seconds())) for t in range(minute, minute + 60)]
    return found


def every_second(
    zone: str, start: datetime, matches: Callable[[int], bool], *, recurs: bool, gap: Gap, overlap: Overlap
) -> list[datetime]:
    """Return the fires after `start` within HOURS; `matches` is asked about seconds of the wall clock since 1970."""
    walls = _walls(zone, start)
    passes: dict[int, list[int]] = {}
    for t, local in walls:
        if matches(local):
            passes.setdefault(local, []).append(t)
    chosen = {Overlap.FIRST: slice(1), Overlap.LAST: slice(-1, None), Overlap.BOTH: slice(None)}
    fires = {t for seen in passes.values() for t in seen[chosen[Overlap.BOTH if recurs else overlap]]}
    for (_, before), (t, after) in pairwise(walls):
        if recurs or gap is Gap.SKIP:
            continue
        skipped = [local for local in range(before + 1, after) if matches(local)]
        fires |= {t + local - before - 1 if gap is Gap.SHIFT else t for local in skipped}
    return [_EPOCH + timedelta(seconds=t) for t in sorted(fires) if walls[0][0] < t <= walls[-1][0]]
