"""How long commits take: a disk that is slow, or a server far away, is told before it is wondered why runs are late."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

REMEMBERED = 10.0
"""Seconds for which a commit that took long is remembered."""
LONG = 0.1
"""Seconds from which on one did: the others are many, and nobody asks for them."""


class Pace:
    """The commits of one database. Written by those who commit, read by whoever asks; neither waits for the other."""

    def __init__(self) -> None:
        self._under_way: dict[object, float] = {}
        self._done: deque[tuple[float, float]] = deque(maxlen=1024)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Take note of what is committed within."""
        key, began = object(), time.monotonic()
        self._under_way[key] = began
        try:
            yield
        finally:
            del self._under_way[key]
            ended = time.monotonic()
            if ended - began >= LONG:
                self._done.append((ended, ended - began))

    def slowest(self) -> float:
        """Return the seconds of the slowest commit of late, one still under way included; 0.0 if none took long."""
        now = time.monotonic()
        took = [seconds for ended, seconds in tuple(self._done) if now - ended < REMEMBERED]
        return max(took + [now - began for began in tuple(self._under_way.values())], default=0.0)
