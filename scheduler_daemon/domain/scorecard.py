"""Hold the kinds of insights to account: what people said of them, what came of what they foretold, what they gained.

Decided here: how sure an engine must be for a job and a kind before it speaks, which follows what people made of what
it said before, and stays within bounds; how good a kind is; and whether it is muted, because it does worse than the
simple rule it must beat. A muted kind goes on being scored in silence, and speaks again when it does better. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, Literal, NamedTuple

from scheduler_daemon.contract.insights import KindCard

USUAL: Final = 0.5
"""How sure an engine must be before anybody has said anything."""
LOWEST: Final = 0.3
HIGHEST: Final = 0.95
_STEPS: Final = {"accepted": -0.15, "applied": -0.2, "dismissed": 0.3, "snoozed": 0.05, "reverted": 0.3}
"""How far a word moves what is asked for, as a share of the way to the bound on its side."""
_FADES_DAYS: Final = 60
"""After so many days a word counts half."""
ENOUGH: Final = 20
"""Judged or scored insights before a kind may be muted."""
_RULES_PRECISION: Final = 0.4
"""Of ten alarms that simple rules give, four are right; a kind that is surely below it is muted."""
_NINE_OF_TEN: Final = 1.645

Word = Literal["accepted", "applied", "dismissed", "snoozed", "reverted"]


class Said(NamedTuple):
    """What somebody made of an insight."""

    word: Word
    days_ago: float


def asked_for(words: Iterable[Said]) -> float:
    """Return how sure an engine must be about a job and a kind, 0 to 1, after these words, the oldest first."""
    sure = USUAL
    for word, days_ago in words:
        step = _STEPS[word] * 0.5 ** (max(0.0, days_ago) / _FADES_DAYS)
        sure += (HIGHEST - sure) * step if step > 0 else (sure - LOWEST) * step
    return sure


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one insight."""

    word: Word | None = None
    """The last thing that was said of it, None for nothing."""
    foretold: float | None = None
    """The chance it gave to what it foretold, None where it foretold nothing."""
    came: bool | None = None
    """Whether that came; None where it is not known yet."""
    gain: float | None = None
    """Of what was applied: what it gained, as a share of what was before; None where not measured yet."""
    kept: bool | None = None
    """Of what was applied and measured."""


def card(kind: str, outcomes: Sequence[Outcome]) -> KindCard:
    """Score a kind by what became of its insights."""
    words = [outcome.word for outcome in outcomes if outcome.word not in {None, "snoozed"}]
    right = sum(word in {"accepted", "applied"} for word in words)
    low, high = _interval(right, len(words))
    pairs = [(o.foretold, o.came) for o in outcomes if o.foretold is not None and o.came is not None]
    brier, base = _brier(pairs)
    measured = [outcome for outcome in outcomes if outcome.kept is not None]
    gains = [outcome.gain for outcome in measured if outcome.kept and outcome.gain is not None]
    muted, why = _verdict(len(words), high, len(pairs), brier, base)
    return KindCard(
        kind=kind,
        told=len(outcomes),
        judged=len(words),
        right=right,
        precision=right / len(words) if words else None,
        low=low,
        high=high,
        scored=len(pairs),
        brier=brier,
        base=base,
        applied=len(measured),
        kept=sum(bool(outcome.kept) for outcome in measured),
        gain=sum(gains) / len(gains) if gains else None,
        muted=muted,
        why=why,
    )


def _verdict(judged: int, high: float, scored: int, brier: float | None, base: float | None) -> tuple[bool, str]:
    if judged >= ENOUGH and high < _RULES_PRECISION:
        return True, f"of {judged} that were judged at most {high:.0%} are right, less than the rules' 40%"
    if scored >= ENOUGH and brier is not None and base is not None and brier > base:
        return True, f"what it foretells is worse than the base rate: {brier:.3f} against {base:.3f} over {scored}"
    if judged < ENOUGH and scored < ENOUGH:
        return False, f"too few are known to judge it: {judged} judged, {scored} scored of {ENOUGH}"
    return False, "it does no worse than simple rules"


def _brier(pairs: Sequence[tuple[float, bool]]) -> tuple[float | None, float | None]:
    """Return the Brier score, and that of the base rate, each case foretold from all the others."""
    if not pairs:
        return None, None
    came, count = sum(came for _, came in pairs), len(pairs)
    own = sum((foretold - came) ** 2 for foretold, came in pairs) / count
    others = [(came - seen + 1) / (count + 1) for _, seen in pairs]  # and one of each beside, for there may be none
    return own, sum((guess - seen) ** 2 for guess, (_, seen) in zip(others, pairs, strict=True)) / count


def _interval(right: int, of: int) -> tuple[float, float]:
    """Return where a share lies nine times in ten, after Wilson; all of it where nothing is known."""
    if not of:
        return 0.0, 1.0
    share, z = right / of, _NINE_OF_TEN
    centre = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(0.0, centre - half), min(1.0, centre + half)
