"""Decide whether and when a run is begun again after an attempt has failed. Pure: the caller passes clock and history.

Decided here: how long retry n waits, which ends are retried, and what ends the trying: the number of attempts, the
job's own limit, the time the whole run may take, and the job's next fire, which no attempt may delay unless the job
allows its runs to overlap. Who writes the next attempt down and who starts it is left to services and engine.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final

from scheduler_daemon.contract.executions import Outcome
from scheduler_daemon.contract.retry import Jitter, Retry
from scheduler_daemon.domain.lifecycle import signal_name

_MILLISECOND: Final = timedelta(milliseconds=1)
_ENDS: Final = {
    Outcome.EXIT_CODE: "failed by its exit code",
    Outcome.SIGNAL: "was killed by a signal",
    Outcome.TIMED_OUT: "timed out",
    Outcome.SPAWN_FAILED: "could not be started",
    Outcome.LOST: "ended unseen",
    Outcome.CONDITION: "had a condition that could not be told",
    Outcome.OOM_KILLED: "met its limit of memory",
    Outcome.PIDS_LIMIT: "met its limit of processes",
    Outcome.CPU_LIMIT: "met its limit of processor time",
    Outcome.DISK_LIMIT: "met its limit of a file's size",
}


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt that has ended, and the run it belongs to."""

    run_id: int
    """The id of the run's first attempt."""
    number: int
    """0 for the first attempt."""
    outcome: Outcome
    exit_code: int | None
    signal: int | None
    cancelled: bool
    """Somebody has asked for the run to stop, also where it ended before it was told."""
    fire_at: datetime
    ended_at: datetime
    run_ends_at: datetime | None = None
    """By when the run as a whole is to be over; None if it may take as long as it will."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What is known of attempts after an end of this kind."""

    waits_ms: tuple[int, ...]
    """How long each retry waits; those that are not here are not worth it."""
    chance: float
    """Of one of these retries to succeed, or where there is none, of any."""
    seen: int
    """How many failures tell so."""


@dataclass(frozen=True, slots=True)
class Decision:
    """When the next attempt begins, None for never, and why in a few words."""

    at: datetime | None
    why: str


def decide(
    policy: Retry | None, tried: Tried, *, now: datetime, next_fire: datetime | None, learnt: Learnt | None = None
) -> Decision:
    """Say whether a run that has not succeeded is tried again. `next_fire` is None where nothing would be in the way.

    An attempt whose time has passed while nobody looked begins now. What was learnt counts where the policy is smart.
    """
    if tried.cancelled or tried.outcome is Outcome.CANCELLED:
        return Decision(None, "not retried: it was cancelled")
    if policy is None or not policy.attempts:
        return Decision(None, "")
    refused = _refusal(policy, tried)
    if refused:
        return Decision(None, f"not retried: {refused}")
    number = tried.number + 1
    if number > policy.attempts:
        return Decision(None, f"not retried: {_used_up(policy.attempts)}")
    known = learnt if policy.smart else None
    if known and tried.number >= len(known.waits_ms):
        return Decision(None, f"not retried: {_hopeless(known)}")
    wait = delay(policy, tried.run_id, number, known.waits_ms[tried.number] if known else None)
    at = max(now, tried.ended_at + wait)
    passed = _limit_passed(policy, tried, at, next_fire)
    if passed:
        return Decision(None, f"not retried: attempt {number + 1} would begin at {_utc(at)}, {passed}")
    why = f", for that helped after such ends ({known.chance:.0%} of {known.seen})" if known else ""
    return Decision(at, f"attempt {number + 1} of {policy.attempts + 1} begins at {_utc(at)}{why}")


def delay(policy: Retry, run_id: int, number: int, learnt_ms: int | None = None) -> timedelta:
    """Return how long after the end of an attempt retry `number`, from 1, begins: whole ms, always the same.

    `learnt_ms` takes the place of what the policy says; its cap and its jitter hold for it too.
    """
    wanted = policy.delay_ms * policy.factor ** (number - 1) if learnt_ms is None else learnt_ms
    whole = min(float(policy.cap_ms), wanted)
    if policy.jitter is Jitter.FULL:
        whole *= _chance(run_id, number)
    elif policy.jitter is Jitter.EQUAL:
        whole *= 0.5 + _chance(run_id, number) / 2
    return int(whole) * _MILLISECOND


def end_code(outcome: Outcome, exit_code: int | None, signal: int | None) -> str:
    """Return how an attempt ended as a word that what is learnt is kept under: `exit 75`, `SIGKILL` or `timed_out`."""
    if outcome is Outcome.EXIT_CODE and exit_code is not None:
        return f"exit {exit_code}"
    if outcome is Outcome.SIGNAL and signal is not None:
        return signal_name(signal)
    return str(outcome)


def run_limit(run_timeout_ms: int | None, started_at: datetime | None) -> datetime | None:
    """Return by when a run whose first attempt began at an instant is to be over."""
    if run_timeout_ms is None or started_at is None:
        return None
    return started_at + run_timeout_ms * _MILLISECOND


def attempt_timeout(
    timeout_ms: int | None, run_timeout_ms: int | None, ends_at: datetime | None, now: datetime
) -> int | None:
    """Return the milliseconds an attempt that begins now may take, at least 1; None for as long as it will.

    `ends_at` is when the run as a whole is to be over; None for its first attempt, whose time begins now.
    """
    left = run_timeout_ms if ends_at is None else max(1, -((now - ends_at) // _MILLISECOND))
    return min((limit for limit in (timeout_ms, left) if limit is not None), default=None)


def _chance(run_id: int, number: int) -> float:
    """Return a number from 0 up to, but not, 1, even and unrelated from one retry to another."""
    digest = blake2b(f"retry\n{run_id}\n{number}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def _refusal(policy: Retry, tried: Tried) -> str:
    """Say why the job does not want this end retried; "" if it does."""
    if tried.outcome not in policy.on:
        return f"the job retries no run that {_ENDS.get(tried.outcome, str(tried.outcome))}"
    if tried.outcome is Outcome.EXIT_CODE and tried.exit_code is not None:
        wanted = policy.exit_codes is None or _holds(policy.exit_codes, tried.exit_code)
        if not wanted or _holds(policy.not_exit_codes, tried.exit_code):
            return f"exit code {tried.exit_code} is not one the job retries"
    if tried.outcome is Outcome.SIGNAL and tried.signal is not None:
        names = {signal_name(tried.signal), str(tried.signal)}
        if names.intersection(policy.not_signals) or not (policy.signals is None or names.intersection(policy.signals)):
            return f"{signal_name(tried.signal)} is not a signal the job retries"
    return ""


def _holds(ranges: Iterable[str], code: int) -> bool:
    for text in ranges:
        first, _, last = text.partition("-")
        if int(first) <= code <= int(last or first):
            return True
    return False


def limit_passed(policy: Retry, fire_at: datetime, run_ends_at: datetime | None, at: datetime) -> str:
    """Name the limit of its own run that an attempt beginning at `at` would pass; "" if none."""
    until = None if policy.until_ms is None else fire_at + policy.until_ms * _MILLISECOND
    if until is not None and at > until:
        return f"the job retries until {_utc(until)}"
    if run_ends_at is not None and at >= run_ends_at:
        return f"the whole run had to be over by {_utc(run_ends_at)}"
    return ""


def _limit_passed(policy: Retry, tried: Tried, at: datetime, next_fire: datetime | None) -> str:
    if own := limit_passed(policy, tried.fire_at, tried.run_ends_at, at):
        return f"and {own}"
    if next_fire is not None and at >= next_fire:
        return f"and the job fires at {_utc(next_fire)}"
    return ""


def _hopeless(learnt: Learnt) -> str:
    seen = f"{learnt.seen} such failure{'s' if learnt.seen != 1 else ''}"
    if learnt.waits_ms:
        return f"further retries would be wasted, as {seen} told"
    return f"it would be wasted: after {seen} a retry helps in {learnt.chance:.0%}"


def _used_up(attempts: int) -> str:
    return "its one retry is used up" if attempts == 1 else f"all {attempts} retries are used up"


def _utc(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"
