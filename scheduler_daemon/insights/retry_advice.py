"""Learn whether, and after what wait, a failed run that is begun again succeeds. Pure; what is learnt is bounded.

Counted for each kind of end (what the log said, the exit code) is how attempts went that began so long after the first
failure: retries, and also the next fires of the job. A job's own counts lean on those of all jobs with the same end,
and these on those of all ends, so that little evidence says little. Old evidence fades, and what was given up is tried
again one day.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import inf, sqrt
from typing import Any, Final, NamedTuple

WAITS_S: Final = (10, 40, 150, 600, 1800, 7200)
"""The instants after the first failure that are chosen from."""
LONGEST_PLAN: Final = 5
_INSTANTS: Final = len(WAITS_S)
_ABOUT: Final = 0.7
"""An attempt that succeeds is taken to have done so too at so much of its time, that those of a fixed policy count."""
_PRIOR: Final = 0.35
"""The chance of an attempt of which nothing is known."""
_LEAN: Final = 2.0
"""So many attempts are what is known of others worth."""
_OTHER_LOGS: Final = 8.0
_OTHER_CODES: Final = 2.0
"""As many as this is what is known of ends that differ in the log, or even in the code, worth together."""
_COST: Final = 0.05
"""Of an attempt, where a recovered run is worth 1: a retry less likely than this to succeed is not worth it."""
_IMPATIENCE: Final = 0.04
"""A run that recovers at one instant of WAITS_S later is worth so much less."""
_HALF_LIFE_S: Final = 60 * 86_400
_MOST_KEYS: Final = 20_000
_NINE_OF_TEN: Final = 1.645


class End(NamedTuple):
    """What an attempt ended with, as far as it tells causes apart."""

    code: str
    """Such as `exit 75`, `SIGKILL` or `timed_out`."""
    template: str = ""
    """What its log said, as an opaque key; "" where nobody knows."""
    again: bool = False
    """The run of the job before this one failed with the same code: it is not something that passes by itself."""


class Advice(NamedTuple):
    """What to do about an end."""

    waits_s: tuple[int, ...]
    """How long each retry waits after the end before; none at all where a retry would be wasted."""
    chance: float
    """That one of them succeeds, or without any: that one retry would."""
    low: float
    high: float
    """Nine times in ten the chance lies between."""
    seen: float
    """Failures with such an end that this rests on, old ones counting less."""


@dataclass(slots=True)
class _Counts:
    """Failures of which it is known whether they had passed by each of WAITS_S, and those that had; faded."""

    tried: list[float]
    succeeded: list[float]
    at: float

    def fade(self, now: float) -> None:
        factor = 0.5 ** (max(0.0, now - self.at) / _HALF_LIFE_S)
        self.tried = [value * factor for value in self.tried]
        self.succeeded = [value * factor for value in self.succeeded]
        self.at = max(now, self.at)


Key = tuple[str, str, str, bool]


class RetryModel:
    """What was learnt of a fleet."""

    def __init__(self) -> None:
        self._counts: OrderedDict[Key, _Counts] = OrderedDict()

    def observe(
        self, job: str, end: End, later: Iterable[tuple[float, bool]], now: float, within_s: float = inf
    ) -> None:
        """Learn how the attempts after a failure went, by the seconds since it and whether each succeeded.

        Retries, and the job's next fire. One that failed says that those before it would have too; one that succeeded
        that those behind it would have, up to `within_s`, when the job fires next: a failure that was not over by then
        says nothing of later. What lies between nobody knows, and nobody is told.
        """
        shown = [each for each in _shown(later) if WAITS_S[each[0]] <= within_s]
        for key in _levels(job, end)[: None if not end.again else -1]:
            counts = self._counts.get(key)
            if counts is None:
                counts = self._counts[key] = _Counts([0.0] * _INSTANTS, [0.0] * _INSTANTS, now)
            counts.fade(now)
            for place, healed in shown:
                counts.tried[place] += 1
                counts.succeeded[place] += healed
            self._counts.move_to_end(key)
        while len(self._counts) > _MOST_KEYS:
            self._counts.popitem(last=False)

    def forget(self, job: str, end: End | None = None) -> None:
        """Forget the counts of one job, for it was changed, those of one end or of all."""
        gone = [key for key in self._counts if key[0] == job and end in {None, End(*key[1:])}]
        for key in gone:
            del self._counts[key]

    def seen(self, job: str, end: End) -> float:
        """Return how many failures of this job with this end are known, old ones counting less."""
        counts = self._counts.get((job, *end))
        return max(counts.tried) if counts else 0.0

    def chances(self, job: str, end: End) -> list[float]:
        """Return the chance that a failure with this end has passed by each of WAITS_S."""
        chances = [_PRIOR] * _INSTANTS
        for key in reversed(_levels(job, end)):
            counts = self._counts.get(key)
            if counts is not None:
                chances = _leaning(counts, chances, _worth_of(key, end))
        return chances

    def advise(self, job: str, end: End, most: int = LONGEST_PLAN, within_s: float = inf) -> Advice:
        """Return the waits of which most can be hoped: recovered runs, less wasted attempts, less time.

        At most `most` of them, and none that ends `within_s` seconds after the first failure or later.
        """
        chances = _rising(self.chances(job, end), self._tried(job, end))
        healed = [chance for after, chance in zip(WAITS_S, chances, strict=True) if after < within_s]
        plan = max(_plans(len(healed), min(most, LONGEST_PLAN)), key=lambda plan: (_worth(plan, healed), plan))
        after = [WAITS_S[place] for place in plan]
        waits = tuple(late - early for early, late in zip([0, *after], after, strict=False))
        chance = healed[plan[-1]] if plan else max(healed, default=0.0)
        seen = self._seen_by(job, end, plan[-1] if plan else len(healed) - 1)
        low, high = _interval(chance, seen + _LEAN)
        return Advice(waits, chance, low, high, seen)

    def _seen_by(self, job: str, end: End, place: int) -> float:
        """Return of how many failures it is known whether they had passed by one of WAITS_S: the job's, or all."""
        found = [self._counts.get((whose, *end)) for whose in (job, "")]
        return max((counts.tried[place] for counts in found if counts and place >= 0), default=0.0)

    def _tried(self, job: str, end: End) -> list[float]:
        found = (self._counts.get(key) for key in ((job, *end), ("", *end)))
        counts = next((each for each in found if each is not None), None)
        return [n + _LEAN for n in counts.tried] if counts else [_LEAN] * _INSTANTS

    def known(self, enough: float) -> list[tuple[str, End]]:
        """Return of which ends at least so many failures are known, with the job, "" for all jobs together."""
        return [(key[0], End(*key[1:])) for key, c in self._counts.items() if key[1] and max(c.tried) >= enough]

    def dump(self) -> dict[str, Any]:
        """Return everything as JSON."""
        rows = [[*key, c.at, *_rounded(c.tried), *_rounded(c.succeeded)] for key, c in self._counts.items()]
        return {"version": 1, "counts": rows}

    @classmethod
    def load(cls, saved: Mapping[str, Any]) -> "RetryModel":
        """Return what `dump` returned as a model; an empty one for anything of another version."""
        model = cls()
        for row in saved.get("counts", ()) if saved.get("version") == 1 else ():
            job, code, template, again, at, *numbers = row
            counts = _Counts(list(numbers[:_INSTANTS]), list(numbers[_INSTANTS:]), at)
            model._counts[job, code, template, again] = counts
        return model


def _levels(job: str, end: End) -> list[Key]:
    """Return from what evidence is taken, the closest first."""
    code, template, again = end
    found = [(job, code, template, again), (job, code, "", again)] if job else []
    found += [("", code, template, again), ("", code, "", again), ("", "", "", again), ("", "", "", False)]
    return list(dict.fromkeys(found))


def _worth_of(key: Key, end: End) -> float:
    """Return how many failures the counts of a level may be worth at most, for an end that is not quite theirs."""
    if not key[1]:
        return _OTHER_CODES
    return inf if key[2] == end.template else _OTHER_LOGS


def _leaning(counts: _Counts, chances: Sequence[float], most: float) -> list[float]:
    """Return chances drawn to the counts; how it went at all instants weighs in where one shows little."""
    factor = min(1.0, most / max(*counts.tried, 1e-9))
    tried, won = ([value * factor for value in values] for values in (counts.tried, counts.succeeded))
    expected = sum(n * chance for n, chance in zip(tried, chances, strict=True))
    ratio = (sum(won) + _LEAN * _PRIOR) / (expected + _LEAN * _PRIOR) if most == inf else 1.0
    scaled = [min(0.98, chance * ratio) for chance in chances]
    return [(w + _LEAN * chance) / (n + _LEAN) for w, n, chance in zip(won, tried, scaled, strict=True)]


def _shown(later: Iterable[tuple[float, bool]]) -> list[tuple[int, float]]:
    """Return the places in WAITS_S by which attempts show whether the failure had passed, and whether it had."""
    attempts = list(later)
    healed = min((elapsed * _ABOUT for elapsed, succeeded in attempts if succeeded), default=inf)
    broken = max((elapsed for elapsed, succeeded in attempts if not succeeded), default=-1.0)
    return [
        (place, float(after >= healed)) for place, after in enumerate(WAITS_S) if after >= healed or after <= broken
    ]


def _rising(chances: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return chances that never fall with time, as near to these as may be: what has healed stays so."""
    blocks: list[tuple[float, float, int]] = []
    for chance, weight in zip(chances, weights, strict=True):
        block = (chance, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, heavy, size = blocks.pop()
            whole = heavy + block[1]
            block = ((mean * heavy + block[0] * block[1]) / whole, whole, size + block[2])
        blocks.append(block)
    return [chance for chance, _, size in blocks for _ in range(size)]


@lru_cache(maxsize=64)
def _plans(places: int, most: int) -> tuple[tuple[int, ...], ...]:
    """Return every choice of at most `most` of so many instants, each in order, the empty one first."""
    return tuple(plan for size in range(most + 1) for plan in combinations(range(places), size))


def _worth(plan: Sequence[int], healed: Sequence[float]) -> float:
    worth, before = 0.0, 0.0
    for place in plan:
        worth += max(0.0, healed[place] - before) * (1 - _IMPATIENCE * place) - _COST * (1 - before)
        before = max(before, healed[place])
    return worth


def _interval(chance: float, seen: float) -> tuple[float, float]:
    half = _NINE_OF_TEN * sqrt(max(chance * (1 - chance), 0.01) / (seen + 1))
    return max(0.0, chance - half), min(1.0, chance + half)


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(value, 6) for value in values]


class Failed(NamedTuple):
    """A failed run of a record, and how attempts after it went."""

    job: str
    end: End
    at: float
    """Epoch second of its end."""
    later: tuple[tuple[float, bool], ...]
    """Elapsed seconds since, and whether it succeeded, of each attempt after it: retries, then the job's next fire."""
    next_fire_s: float
    """No retry begins later."""


class Tally(NamedTuple):
    """How a way to retry went."""

    retries: int = 0
    recovered: int = 0
    wasted: int = 0
    """Retries that failed too, as the record tells."""
    untold: int = 0
    """Retries of which it does not: after the last known failure, and before the first known success."""


def judge(failed: Failed, waits_s: Sequence[float]) -> Tally:
    """Say how retries with these waits would have gone: what failed stays failed until the first known success."""
    healed = min((elapsed for elapsed, succeeded in failed.later if succeeded), default=float("inf"))
    broken = max((elapsed for elapsed, succeeded in failed.later if not succeeded and elapsed < healed), default=0.0)
    elapsed, wasted, untold = 0.0, 0, 0
    for wait in waits_s:
        elapsed += wait
        if elapsed >= failed.next_fire_s:
            break
        if elapsed >= healed:
            return Tally(wasted + untold + 1, 1, wasted, untold)
        wasted += elapsed <= broken
        untold += elapsed > broken
    return Tally(wasted + untold, 0, wasted, untold)


def replay(record: Iterable[Failed], fixed_s: Sequence[float]) -> tuple[Tally, Tally]:
    """Return how fixed waits went over a record, and how the model's would have: it knows only what came before.

    The model makes at most as many retries as the fixed policy.
    """
    model, fixed, smart = RetryModel(), Tally(), Tally()
    for failed in record:
        fixed = _sum(fixed, judge(failed, fixed_s))
        smart = _sum(
            smart, judge(failed, model.advise(failed.job, failed.end, len(fixed_s), failed.next_fire_s).waits_s)
        )
        model.observe(failed.job, failed.end, failed.later, failed.at, failed.next_fire_s)
    return fixed, smart


def _sum(one: Tally, other: Tally) -> Tally:
    return Tally(*(a + b for a, b in zip(one, other, strict=True)))
