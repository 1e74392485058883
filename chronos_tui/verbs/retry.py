"""Flags that say how a failed run is begun again, and the fields of a spec that they mean."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from chronos_tui.format import parse_duration_ms
from chronos_tui.verbs.failure import wrong_use

Retries = Annotated[int | None, typer.Option(metavar="N", help="Begin a failed run again so often; 0 for never.")]
Delay = Annotated[str | None, typer.Option("--retry-delay", metavar="LENGTH", help="Before the first retry; 10s.")]
Factor = Annotated[
    str | None, typer.Option("--retry-factor", metavar="X", help="Each wait is so many times the one before; 2.")
]
Cap = Annotated[str | None, typer.Option("--retry-cap", metavar="LENGTH", help="The longest wait; 1h.")]
Jitter = Annotated[
    str | None, typer.Option("--retry-jitter", help="none, full or equal: what chance takes off a wait.")
]
On = Annotated[
    list[str] | None,
    typer.Option("--retry-on", metavar="END", help="exit_code, signal, timed_out, spawn_failed, lost; repeatable."),
]
ExitCodes = Annotated[
    str | None, typer.Option("--retry-exit-codes", metavar="1-5,75", help="Only these; `any` for all.")
]
NotExitCodes = Annotated[str | None, typer.Option("--retry-not-exit-codes", metavar="126-127", help="But never these.")]
Signals = Annotated[str | None, typer.Option("--retry-signals", metavar="KILL,9", help="Only these; `any` for all.")]
NotSignals = Annotated[str | None, typer.Option("--retry-not-signals", metavar="SEGV", help="But never these.")]
Until = Annotated[
    str | None, typer.Option("--retry-until", metavar="LENGTH", help="No attempt begins later after the fire; `none`.")
]
Smart = Annotated[
    bool | None,
    typer.Option("--retry-smart/--no-retry-smart", help="Wait, or spare a retry, as was learnt from earlier ends."),
]
RunTimeout = Annotated[
    str | None, typer.Option(metavar="LENGTH", help="For the whole run, all attempts and waits; `none` for any.")
]


def fields(
    *,
    retries: int | None,
    delay: str | None,
    factor: str | None,
    cap: str | None,
    jitter: str | None,
    on: Sequence[str] | None,
    exit_codes: str | None,
    not_exit_codes: str | None,
    signals: str | None,
    not_signals: str | None,
    until: str | None,
    smart: bool | None,
    run_timeout: str | None,
) -> dict[str, Any]:
    """Return the fields of the spec that were given; of `retry` only what the flags say, None for no retries at all.

    Raises Failure for a value that cannot be read.
    """
    said: dict[str, Any] = {
        "attempts": retries,
        "delay_ms": _length("--retry-delay", delay),
        "factor": _number("--retry-factor", factor),
        "cap_ms": _length("--retry-cap", cap),
        "jitter": jitter,
        "smart": smart,
        "on": list(on) if on else None,
        "not_exit_codes": _list(not_exit_codes),
        "not_signals": _list(not_signals),
    }
    said = {name: value for name, value in said.items() if value is not None}
    for name, text in (("exit_codes", exit_codes), ("signals", signals)):
        if text is not None:
            said[name] = None if text == "any" else _list(text)
    if until is not None:
        said["until_ms"] = None if until == "none" else _length("--retry-until", until)
    given: dict[str, Any] = {"retry": said} if said else {}
    if retries == 0:
        given["retry"] = None
    if run_timeout is not None:
        given["run_timeout_ms"] = None if run_timeout == "none" else _length("--run-timeout", run_timeout)
    return given


def over(kept: Mapping[str, Any] | None, said: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Put what the flags say over the policy a job has."""
    return None if said is None else {**(kept or {}), **said}


def _list(text: str | None) -> list[str] | None:
    return None if text is None else [part for part in text.replace(",", " ").split() if part]


def _number(flag: str, text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        raise wrong_use(f"{flag} {text!r} is no number; write one such as 1.5") from None


def _length(flag: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise wrong_use(f"{flag} {error}") from None
