"""Find the hours of the day in which a job fails, and one in which it would fail less. Pure.

Hours are compared by what was seen in them and by nothing else: the job's own runs where there are enough in both, or
else the runs of its peers, such as jobs of the same pool. An hour that nobody has tried is never proposed.
"""

from collections.abc import Iterable
from math import sqrt
from typing import Final, NamedTuple

ENOUGH: Final = 30
"""Runs that must have been seen in an hour."""
_TIMES_BETTER: Final = 2
_NINE_OF_TEN: Final = 1.645


class Seen(NamedTuple):
    """What was seen in an hour."""

    runs: int = 0
    failures: int = 0

    @property
    def rate(self) -> float:
        """The share of runs that failed; 0 where there were none."""
        return self.failures / self.runs if self.runs else 0.0

    def interval(self) -> tuple[float, float]:
        """Return where the true rate lies nine times in ten, after Wilson."""
        return wilson(self.failures, self.runs)


class Better(NamedTuple):
    """An hour that is better, and what both comparisons rest on."""

    hour: int
    now: Seen
    then: Seen
    peers: bool
    """Whether these are runs of other jobs."""


def wilson(hits: float, of: float, z: float = _NINE_OF_TEN) -> tuple[float, float]:
    """Return the interval of a share that was seen as `hits` of `of`; all of 0 to 1 where nothing was seen."""
    if of <= 0:
        return 0.0, 1.0
    share = hits / of
    centre = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(0.0, centre - half), min(1.0, centre + half)


def by_hour(runs: Iterable[tuple[int, bool]]) -> list[Seen]:
    """Count runs, each with the hour of its start, 0 to 23, and whether it failed."""
    counts, failures = [0] * 24, [0] * 24
    for hour, failed in runs:
        counts[hour] += 1
        failures[hour] += failed
    return [Seen(*both) for both in zip(counts, failures, strict=True)]


def better(own: list[Seen], peers: list[Seen], hour: int) -> Better | None:
    """Return the best hour to move to from `hour`, None where it is not a failing one or no other is surely better.

    Failing: even the lower end of its rate is twice the upper end of the other's. Of those hours, the nearest.
    """
    for seen, of_peers in ((own, False), (peers, True)):
        now = seen[hour]
        if now.runs < ENOUGH:
            continue
        limit = now.interval()[0] / _TIMES_BETTER
        good = [at for at in range(24) if seen[at].runs >= ENOUGH and seen[at].interval()[1] <= limit]
        if good:
            best = min(good, key=lambda at: (abs(at - hour), at))
            return Better(best, now, seen[best], of_peers)
    return None
