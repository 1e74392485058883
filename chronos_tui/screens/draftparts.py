"""Parts of a job as it is typed: how its runs are kept apart, what they are given, what follows them, what is kept."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from chronos_tui import limittext
from chronos_tui.screens.jobfacts import HANDLERS

T = TypeVar("T")
_LISTS = ("read", "write", "artifacts")


def texts_of(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return what stands in these fields for a spec, as the API spells it."""
    return {
        "policy": spec["policy"],
        "limits": limittext.limits_text(spec["limits"]),
        "network": _network_text(spec["network"]),
        "secrets": " ".join(f"{name}={secret}" for name, secret in spec["secrets"].items()),
        "artifact_limit_bytes": limittext.size_text(spec["artifact_limit_bytes"]),
        "output_kept": limittext.kept_text(spec["output_kept"]),
        **{name: shlex.join(spec[name]) for name in _LISTS},
        **{kind: _one_line((spec[kind] or {}).get("command", "")) for kind in HANDLERS},
    }


def values_of(texts: Mapping[str, str], problems: dict[str, str]) -> dict[str, Any]:
    """Return the spec's fields that the texts mean; what cannot be read goes into `problems` by field.

    An empty policy is none at all: then the server says which.
    """
    policy = texts["policy"].strip()
    return {
        **({"policy": policy} if policy else {}),
        "limits": _read("limits", texts, problems, limittext.limits_of),
        "network": _network_of(texts["network"].replace(",", " ").split()),
        "secrets": assignments_of("secrets", texts["secrets"], problems),
        "artifact_limit_bytes": _read("artifact_limit_bytes", texts, problems, limittext.size_of),
        "output_kept": _read("output_kept", texts, problems, limittext.kept_of),
        **{name: quoted(name, texts[name], problems) for name in _LISTS},
        **{kind: _handler_of(texts[kind]) for kind in HANDLERS},
    }


def handlers_over(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the handlers a form says, each with what of it the form does not show."""
    return {kind: after[kind] and {**(before.get(kind) or {}), **after[kind]} for kind in HANDLERS}


def quoted(field: str, text: str, problems: dict[str, str]) -> list[str]:
    """Return the texts that stand quoted beside each other."""
    try:
        return shlex.split(text)
    except ValueError as error:
        problems[field] = f"{error}; close what is quoted"
        return []


def assignments_of(field: str, text: str, problems: dict[str, str]) -> dict[str, str]:
    """Return values by their names."""
    words = quoted(field, text, problems)
    for word in words:
        if "=" not in word:
            problems[field] = f"{word!r} is no assignment; write NAME=value"
    return dict(word.partition("=")[::2] for word in words if "=" in word)


def _read(name: str, texts: Mapping[str, str], problems: dict[str, str], read: Callable[[str], T]) -> T | None:
    try:
        return read(texts[name].strip())
    except ValueError as error:
        problems[name] = str(error)
        return None


def _network_text(network: Mapping[str, Any] | None) -> str:
    if network is None:
        return ""
    return " ".join(network["allow"]) or str(network["mode"])


def _network_of(words: list[str]) -> dict[str, Any] | None:
    if not words:
        return None
    if len(words) == 1 and ":" not in words[0]:
        return {"mode": words[0], "allow": []}
    return {"mode": "allow", "allow": words}


def _one_line(command: str) -> str:
    return command.replace("\n", " ⏎ ")


def _handler_of(text: str) -> dict[str, str] | None:
    return {"command": text.replace(" ⏎ ", "\n")} if text.strip() else None
