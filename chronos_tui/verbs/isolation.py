"""Flags that say what a run may reach, and the fields of a spec that they mean."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from chronos_tui.verbs.failure import wrong_use

Read = Annotated[list[str] | None, typer.Option("--read", metavar="PATH", help="A run may read it; repeatable.")]
Write = Annotated[list[str] | None, typer.Option("--write", metavar="PATH", help="A run may write it; repeatable.")]
Net = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="none|host|HOST:PORT,...",
        help="Whom a run may speak to: nobody, everybody, or who is listed; `policy` for what the policy gives.",
    ),
]


def fields(
    *, limits: Mapping[str, Any], read: Sequence[str] | None, write: Sequence[str] | None, network: str | None
) -> dict[str, Any]:
    """Return the fields that were given; of `limits` only what the flags say. A list of one empty text empties it."""
    given: dict[str, Any] = {"limits": dict(limits)} if limits else {}
    if read:
        given["read"] = [path for path in read if path]
    if write:
        given["write"] = [path for path in write if path]
    if network is not None:
        given["network"] = network_of(network)
    return given


def network_of(text: str) -> dict[str, Any] | None:
    """Read `policy` as None, a mode, or the addresses it may speak to. Exits for wrong use."""
    if ":" in text:
        return {"mode": "allow", "allow": [part.strip() for part in text.split(",") if part.strip()]}
    if text not in {"policy", "none", "host"}:
        raise wrong_use(f"--network {text!r} is neither none nor host, nor an address; write HOST:PORT with its port")
    return None if text == "policy" else {"mode": text}


def over(kept: Mapping[str, Any] | None, said: Mapping[str, Any]) -> dict[str, Any]:
    """Put what the flags say over the limits a job has."""
    return dict(kept or {}) | dict(said)
