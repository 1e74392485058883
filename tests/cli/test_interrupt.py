"""Ctrl-C gets through although the first exception is lost, and where it is ignored it stays so."""

import subprocess
import sys

LOST_ONCE = """
import os, signal, time
from chronos_tui.verbs.interrupt import insistent
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background of a shell
try:
    with insistent():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            pass  # as in a destructor
        time.sleep(20)
except KeyboardInterrupt:
    restored = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print("through", restored, signal.getitimer(signal.ITIMER_REAL))
"""
IGNORED = """
import os, signal
from chronos_tui.verbs.interrupt import insistent
signal.signal(signal.SIGINT, signal.SIG_IGN)
with insistent():
    os.kill(os.getpid(), signal.SIGINT)
print("went on")
"""


def _run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=15, check=True
    ).stdout


def test_an_interrupt_that_is_lost_is_raised_again() -> None:
    assert _run(LOST_ONCE) == "through True (0.0, 0.0)\n"


def test_where_interrupts_are_ignored_they_stay_so() -> None:
    assert _run(IGNORED) == "went on\n"
