"""Make of ends, as they come in, what is learnt about retries: each failure with the attempts that followed it. Pure.

A failure is learnt from when the next run of its job has ended its first attempt; until then it is open, one a job at
most. A job that was changed is learnt anew: what it failed of may be mended.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from scheduler_daemon.insights.retry_advice import Advice, End, RetryModel

ENOUGH: Final = 5
"""Failures that must be known for an advice to be given."""
_HOUR_S: Final = 3600.0
_MOST_OPEN: Final = 50_000
_LONGEST_S: Final = 2 * 86_400
"""A next fire later than this tells nothing about a retry."""


class Attempt(NamedTuple):
    """An attempt that has begun and ended."""

    job: str
    version: int
    fire: float
    """What tells its run from others of the job, as an epoch second."""
    number: int
    started: float
    ended: float
    code: str
    """How it ended, such as `exit 75`; "" if it succeeded."""
    template: str = ""
    """What its log said, as an opaque key."""


@dataclass(slots=True)
class _Open:
    """The latest run of a job that failed at first."""

    version: int
    fire: float
    ended: float
    code: str
    template: str
    again: bool
    later: list[tuple[float, bool]] = field(default_factory=list)
    last: str = ""
    """How its last attempt ended so far."""


class RetryRecord:
    """What is learnt of a fleet, and the failures that are still open."""

    def __init__(self) -> None:
        self.model = RetryModel()
        self._open: dict[str, _Open] = {}

    def ended(self, attempt: Attempt) -> None:
        """Take an attempt in, in the order in which those of a job began."""
        known = self._open.get(attempt.job)
        if known and known.version != attempt.version:
            self.model.forget(attempt.job)
            self._open.pop(attempt.job)
            known = None
        if attempt.number:
            if known and known.fire == attempt.fire:
                known.later.append((attempt.started - known.ended, not attempt.code))
                known.last = attempt.code
            return
        again = False
        if known:
            self._learn(attempt, known)
            again = known.last == attempt.code
        if attempt.code:
            opened = _Open(
                attempt.version, attempt.fire, attempt.ended, attempt.code, attempt.template, again, last=attempt.code
            )
            self._open[attempt.job] = opened
            if len(self._open) > _MOST_OPEN:
                del self._open[next(iter(self._open))]

    def _learn(self, following: Attempt, known: _Open) -> None:
        del self._open[following.job]
        later = list(known.later)
        elapsed = following.started - known.ended
        if elapsed <= _LONGEST_S and not any(succeeded for _, succeeded in later):
            later.append((elapsed, not following.code))
        if later:
            end = End(known.code, known.template, known.again)
            self.model.observe(following.job, end, later, following.ended, elapsed)

    def advice(self, between_s: Mapping[str, float] = MappingProxyType({})) -> dict[tuple[str, End], Advice]:
        """Return what is known well enough, by job ("" for all) and end.

        An end with a template is among them only where its waits are others than those of its code alone.
        `between_s` are the seconds from one fire to the next, of jobs whose retries end by the next fire; of jobs of
        which nothing is known, and of all together, an hour.
        """
        found = {
            (job, end): self.model.advise(job, end, within_s=between_s.get(job, _HOUR_S))
            for job, end in self.model.known(ENOUGH)
        }
        found = {key: advice for key, advice in found.items() if advice.seen >= ENOUGH}
        return {key: advice for key, advice in found.items() if _tells(key, advice, found)}

    def dump(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            "version": 1,
            "model": self.model.dump(),
            "open": {job: asdict(each) for job, each in self._open.items()},
        }

    @classmethod
    def load(cls, saved: Mapping[str, Any]) -> "RetryRecord":
        """Return what `dump` returned; an empty one for anything of another version."""
        record = cls()
        if saved.get("version") == 1:
            record.model = RetryModel.load(saved["model"])
            for job, each in saved["open"].items():
                later = [(elapsed, succeeded) for elapsed, succeeded in each["later"]]
                record._open[job] = _Open(**{**each, "later": later})
        return record


def _tells(key: tuple[str, End], advice: Advice, found: Mapping[tuple[str, End], Advice]) -> bool:
    job, end = key
    plain = found.get((job, end._replace(template="")))
    return not end.template or plain is None or plain.waits_s != advice.waits_s
