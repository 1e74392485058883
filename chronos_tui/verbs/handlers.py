"""Flags that say what runs when a run of a job has ended, and the fields of a spec that they mean."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from chronos_tui.format import parse_duration_ms
from chronos_tui.verbs.failure import wrong_use

OnFailure = Annotated[
    str | None, typer.Option(metavar="COMMAND", help="Shell text to run when a run has failed for good; '' for none.")
]
OnSuccess = Annotated[str | None, typer.Option(metavar="COMMAND", help="The same, when one has succeeded.")]
OnCancel = Annotated[str | None, typer.Option(metavar="COMMAND", help="The same, when one was cancelled.")]
Timeout = Annotated[
    str | None, typer.Option(metavar="LENGTH", help="How long each of these may take; 10m if not said.")
]

KINDS = ("on_failure", "on_success", "on_cancel")


def fields(
    *, on_failure: str | None, on_success: str | None, on_cancel: str | None, timeout: str | None
) -> dict[str, Any]:
    """Return the fields that were given; a timeout alone stands under `handler_timeout_ms`. Raises Failure."""
    given: dict[str, Any] = {
        kind: {"command": text} if text else None
        for kind, text in zip(KINDS, (on_failure, on_success, on_cancel), strict=True)
        if text is not None
    }
    if timeout is not None:
        try:
            given["handler_timeout_ms"] = parse_duration_ms(timeout)
        except ValueError:
            raise wrong_use(f"--handler-timeout {timeout!r} is not a length; write it as 90s, 5m or 1h") from None
    return given


def over(kept: Mapping[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """Return what the flags say as fields of the spec, over the handlers a job has. Raises Failure."""
    timeout = said.pop("handler_timeout_ms", None)
    meant = {kind: {**(kept.get(kind) or {}), **said[kind]} for kind in KINDS if said.get(kind)}
    if timeout is not None:
        standing = {kind: kept[kind] for kind in KINDS if kept.get(kind) and kind not in said}
        meant = {kind: {**handler, "timeout_ms": timeout} for kind, handler in (standing | meant).items()}
        if not meant:
            raise wrong_use(
                "--handler-timeout is for a job with a handler; give --on-failure, --on-success or --on-cancel"
            )
    return {**said, **meant}


def shown(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the handlers of a job as names and commands."""
    return [(kind.replace("_", " "), handler["command"]) for kind in KINDS if (handler := spec.get(kind))]
