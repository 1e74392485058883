"""Spread starts by a delay that is the same for a job and a fire on every machine, and need not be stored."""

from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final

from scheduler_daemon.domain.zones import EPOCH

_MILLISECOND: Final = timedelta(milliseconds=1)


def jitter(job_id: str, fire: datetime, window: timedelta, following: datetime | None, seed: str = "") -> timedelta:
    """Return how much later than its fire a run starts: whole milliseconds, less than `window`, before `following`.

    The fire itself stays what it is. `following` is the next fire of the job, if there is one.
    """
    room = window if following is None else min(window, following - fire)
    size = room // _MILLISECOND
    if size <= 1:
        return timedelta(0)
    words = f"{seed}\n{job_id}\n{(fire - EPOCH) // _MILLISECOND}".encode()
    return int.from_bytes(blake2b(words, digest_size=8).digest(), "big") % size * _MILLISECOND
