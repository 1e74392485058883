"""Ctrl-C ends a verb, always: the exception it raises is lost if it falls into a destructor, so it is raised again."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

AGAIN = 0.1
"""Seconds until it is raised again if the program goes on."""


@contextmanager
def insistent() -> Iterator[None]:
    """Raise KeyboardInterrupt at Ctrl-C, again and again until it gets through. Where Ctrl-C is ignored it stays so."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGALRM) is _interrupt:
            signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def as_usual() -> None:
    """Leave Ctrl-C to who comes next, such as the app."""
    if signal.getsignal(signal.SIGINT) is _interrupt:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(_number: int, _frame: Any) -> NoReturn:
    signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, AGAIN)
    raise KeyboardInterrupt
