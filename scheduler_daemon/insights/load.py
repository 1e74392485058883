"""Forecast how much of a fleet runs at once. Pure: the caller passes the runs and the fires that are to come.

Load is the mean number of runs at once in a bucket of time. What recurs is forecast as the median of the same bucket in
the last weeks; what the schedules already say is better known than that, and counted from the fires themselves.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S
BUCKET_S: Final = 300
SEASONS: Final = 4
"""Weeks looked back."""
_BESIDE: Final = 3
"""Buckets to either side whose errors tell how sure a forecast is."""
_DRAWN: Final = 32
"""Durations of a run that stand for all it may take."""
_SHORTEST_S: Final = 0.05
"""Shorter runs are taken to take so long: their logarithms would say too much."""
_HALF_LIFE_S: Final = 5 * DAY_S
_DRAWN_BY: Final = 3
"""So many runs of its own must an hour have to count as much as what is known of all hours."""
_SOME: Final = range(_DRAWN // 16, _DRAWN, _DRAWN // 8)
"""Those of them that tell how far apart they are."""
_EIGHT_OF_TEN: Final = 1.28
"""Standard deviations to either side that hold eight of ten values."""
_EPOCH_WEEKDAY: Final = 3  # a Thursday, from Monday


class Forecast(NamedTuple):
    """Runs at once, a value a bucket; eight in ten values are expected from `low` to `high`."""

    expected: Floats
    low: Floats
    high: Floats


class Known(NamedTuple):
    """A job whose coming fires are known, and what its past runs took."""

    fires: ArrayLike
    """Epoch seconds."""
    begun: ArrayLike
    """Epoch seconds at which past runs began; not empty."""
    took: ArrayLike
    """Seconds they took, in the same order."""


def occupancy(starts: ArrayLike, took: ArrayLike, first: float, bucket_s: float, buckets: int) -> Floats:
    """Return the mean number of runs at once in each of `buckets` buckets from the epoch second `first` on.

    `starts` are epoch seconds, `took` seconds, in the same order. Parts of runs outside of the buckets do not count.
    """
    begun = np.asarray(starts, np.float64)
    ended = begun + np.maximum(np.asarray(took, np.float64), 0)
    return (_since(begun, first, bucket_s, buckets) - _since(ended, first, bucket_s, buckets)) / bucket_s


def _since(points: Floats, first: float, bucket_s: float, buckets: int) -> Floats:
    """Return for each bucket the seconds of it that lie after a point, over all points."""
    places = np.maximum((points - first) / bucket_s, 0)
    places = places[places < buckets]
    index = places.astype(np.int64)
    begun = np.bincount(index, minlength=buckets)
    parts = np.bincount(index, weights=index + 1 - places, minlength=buckets)
    return np.asarray((np.cumsum(begun) - begun + parts) * bucket_s, np.float64)


def seasonal(series: ArrayLike, period: int, ahead: int, seasons: int = SEASONS) -> Forecast:
    """Forecast `ahead` values, at most one period, that follow a series which recurs after `period` values.

    Raises ValueError for less than a whole period of history, or more than one asked for.
    """
    values = np.asarray(series, np.float64)
    whole = min(seasons, len(values) // period)
    if not whole or not 0 < ahead <= period:
        raise ValueError(f"{len(values)} values are no history of a period of {period}, or {ahead} ahead is too far")
    past = values[-whole * period :].reshape(whole, period)[:, :ahead]
    expected = np.median(past, axis=0)
    low, high = _spread(past, expected)
    return Forecast(expected, np.minimum(low, expected).clip(0), np.maximum(high, expected))


def _spread(past: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Return where eight of ten values lie: by how far each past week was from the median of the others around it."""
    weeks, ahead = past.shape
    if weeks == 1:
        return past[0] * 0.5, past[0] * 2
    errors = np.stack([past[week] - np.median(np.delete(past, week, 0), axis=0) for week in range(weeks)])
    around = np.pad(errors, ((0, 0), (_BESIDE, _BESIDE)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(around, 2 * _BESIDE + 1, axis=1)
    pooled = windows.transpose(1, 0, 2).reshape(ahead, -1)
    low, high = np.quantile(pooled, (0.1, 0.9), axis=1)
    return expected + low, expected + high


def planned(known: Sequence[Known], first: float, bucket_s: float, buckets: int) -> Forecast:
    """Return the load expected of fires that are known, in runs at once a bucket from the epoch second `first` on."""
    total, variance = np.zeros(buckets), np.zeros(buckets)
    for job in known:
        fires = np.asarray(job.fires, np.float64)
        if len(fires):
            lasts = durations(fires, np.asarray(job.begun, np.float64), np.asarray(job.took, np.float64))
            own = occupancy(np.repeat(fires, _DRAWN), lasts.ravel(), first, bucket_s, buckets) / _DRAWN
            some = [occupancy(fires, lasts[:, draw], first, bucket_s, buckets) for draw in _SOME]
            total += own
            variance += np.var(some, axis=0)
    width = _EIGHT_OF_TEN * np.sqrt(variance)
    return Forecast(total, (total - width).clip(0), total + width)


def durations(fires: Floats, begun: Floats, took: Floats) -> Floats:
    """Return, for each fire, 32 equally likely durations of its run in seconds, shape (fires, 32).

    What a run takes depends on the hour and on whether it is a weekend, in UTC, as far as the past runs show it, and on
    how long runs took lately, with a half-life of five days.
    """
    logs = np.log(np.maximum(took, _SHORTEST_S))
    usual = float(np.median(logs))
    profile = _by_hour(begun, logs - usual)
    beyond = logs - usual - profile[_cells(begun)]
    weights = 0.5 ** ((begun.max() - begun) / _HALF_LIFE_S)
    level = float((weights * beyond.clip(-1, 1)).sum() / (weights.sum() + 1))
    spread = np.quantile(beyond - beyond.mean(), (np.arange(_DRAWN) + 0.5) / _DRAWN)
    expected = usual + profile[_cells(fires)] + level
    found: Floats = np.exp(expected[:, None] + spread[None, :])
    return found


def _by_hour(at: Floats, values: Floats) -> Floats:
    """Return the mean for working days and weekends by hour, shape (2, 24), drawn to that of all hours and to 0."""
    kind, hour = _cells(at)
    sums, counts = np.zeros((2, 24)), np.zeros((2, 24))
    for aside, weight in ((0, 1.0), (-1, 0.5), (1, 0.5)):
        np.add.at(sums, (kind, (hour + aside) % 24), values * weight)
        np.add.at(counts, (kind, (hour + aside) % 24), weight)
    overall = np.bincount(kind, values, 2) / (np.bincount(kind, minlength=2) + _DRAWN_BY)
    drawn: Floats = (sums + _DRAWN_BY * overall[:, None]) / (counts + _DRAWN_BY)
    return drawn


def _cells(at: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return whether each instant lies on a weekend, and its hour, in UTC."""
    weekend = ((at // DAY_S).astype(np.int64) + _EPOCH_WEEKDAY) % 7 >= 5
    return weekend.astype(np.int64), (at % DAY_S // 3600).astype(np.int64)


def forecast(rest: ArrayLike, known: Sequence[Known], first: float, bucket_s: float, ahead: int) -> Forecast:
    """Forecast `ahead` buckets from the epoch second `first` on, for at most a week.

    `rest` is the past load, up to `first`, of the runs whose fires nobody can know: by hand, behind others, or of jobs
    that are gone. Raises ValueError for less than a week of it.
    """
    others = seasonal(rest, round(WEEK_S / bucket_s), ahead)
    sure = planned(known, first, bucket_s, ahead)
    expected = others.expected + sure.expected
    below = np.hypot(others.expected - others.low, sure.expected - sure.low)
    above = np.hypot(others.high - others.expected, sure.high - sure.expected)
    return Forecast(expected, (expected - below).clip(0), expected + above)


def mase(actual: ArrayLike, forecast: ArrayLike, history: ArrayLike, period: int) -> float:
    """Return the mean absolute scaled error: below 1 is better than repeating the last period did in the history."""
    past = np.asarray(history, np.float64)
    naive = np.abs(past[period:] - past[:-period]).mean()
    return float(np.abs(np.asarray(actual, np.float64) - np.asarray(forecast, np.float64)).mean() / naive)
