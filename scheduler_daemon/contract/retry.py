"""When a failed run is begun again: what a user may ask for, checked. What follows from it is domain.retry's."""

import re
import signal
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

MAX_ATTEMPTS = 100
DEFAULT_DELAY_MS = 10_000
DEFAULT_CAP_MS = 3_600_000
_MONTH_MS = 31 * 86_400_000
_YEAR_MS = 366 * 86_400_000
_CODES = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?\Z", re.ASCII)
_LAST_SIGNAL = 64
_SHOWN = 40
"""Characters of what cannot be read that are repeated."""


class Jitter(StrEnum):
    """How much of a wait is left to chance, which is the same on every daemon and at every reading."""

    NONE = "none"
    FULL = "full"
    """Anything from nothing to the whole wait."""
    EQUAL = "equal"
    """Half the wait, and anything from nothing to the other half."""


RetryOn = Literal["exit_code", "signal", "timed_out", "spawn_failed", "lost"]
"""How an attempt may have ended. `lost` is an end that nobody saw: the command may have done its work."""


def _codes(given: Any) -> Any:
    text = str(given).strip()
    found = _CODES.match(text)
    if found is None:
        raise ValueError(f"{text[:_SHOWN]!r} is no exit code; write one such as 75, or a range such as 1-5")
    first, last = int(found[1]), int(found[2] or found[1])
    if not 1 <= first <= last <= 255:
        raise ValueError(f"{text!r} holds no codes of a failure, which are 1 to 255, the lower first")
    return str(first) if first == last else f"{first}-{last}"


def _signal(given: Any) -> Any:
    text = str(given).strip().upper()
    if text.isascii() and text.isdigit() and len(text) < _SHOWN:
        number = int(text)
        if not 1 <= number <= _LAST_SIGNAL:
            raise ValueError(f"there is no signal {number}; they are 1 to {_LAST_SIGNAL}")
        return signal.Signals(number).name if number in set(signal.Signals) else str(number)
    name = text if text.startswith("SIG") else f"SIG{text}"
    if name not in signal.Signals.__members__:
        raise ValueError(f"there is no signal {text[:_SHOWN]!r}; write one such as KILL, SIGSEGV or 9")
    return signal.Signals[name].name


ExitCodes = Annotated[str, BeforeValidator(_codes)]
"""A code, `75`, or a range of them, `1-5`."""
SignalName = Annotated[str, BeforeValidator(_signal)]
"""`SIGKILL`; `KILL` and 9 are understood. A number where a signal has no name."""


class Retry(BaseModel, frozen=True, extra="forbid"):
    """How a failed run is begun again. Retry n waits min(cap, delay * factor ** (n - 1)), less what jitter takes."""

    attempts: Annotated[int, Field(ge=0, le=MAX_ATTEMPTS)]
    """How many more times after the first; 0 is never."""
    delay_ms: Annotated[int, Field(ge=0, le=_MONTH_MS)] = DEFAULT_DELAY_MS
    factor: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] = 2.0
    cap_ms: Annotated[int, Field(ge=0, le=_MONTH_MS)] = DEFAULT_CAP_MS
    jitter: Jitter = Jitter.NONE
    on: Annotated[tuple[RetryOn, ...], Field(min_length=1)] = ("exit_code", "signal", "timed_out", "spawn_failed")
    exit_codes: Annotated[tuple[ExitCodes, ...], Field(min_length=1, max_length=100)] | None = None
    """Of the exit codes only these; None for all."""
    not_exit_codes: Annotated[tuple[ExitCodes, ...], Field(max_length=100)] = ()
    """But never these."""
    signals: Annotated[tuple[SignalName, ...], Field(min_length=1, max_length=64)] | None = None
    not_signals: Annotated[tuple[SignalName, ...], Field(max_length=64)] = ()
    until_ms: Annotated[int, Field(ge=1, le=_YEAR_MS)] | None = None
    """No attempt begins later than this after the fire."""
    smart: bool = False
    """Where it was learnt how retries after such an end go, that says how long to wait, up to the cap, and whether to
    retry at all; never more often, nor after other ends, than is said here."""

    @model_validator(mode="after")
    def _agree(self) -> "Retry":
        if self.cap_ms < self.delay_ms:
            raise ValueError(
                f"cap_ms {self.cap_ms} is less than delay_ms {self.delay_ms}; raise it or shorten the delay"
            )
        for kind, filters in (
            ("exit_code", (self.exit_codes, self.not_exit_codes)),
            ("signal", (self.signals, self.not_signals)),
        ):
            if any(filters) and kind not in self.on:
                raise ValueError(f"{kind}s are named, but `on` does not hold {kind}; add it there, or name none")
        return self
