"""Compare saved versions of a thing, for the verbs that show what changed."""

from collections.abc import Mapping
from typing import Any

from chronos_tui.verbs import output
from chronos_tui.verbs.failure import wrong_use

_IN_PARTS = frozenset({"limits", "schedule", "retry", "output_kept"})
"""Fields of which each part is compared for itself."""


def pair(saved: Mapping[int, Any], old: int | None, new: int | None, hint: str) -> tuple[int, int]:
    """Return which two versions are meant: the last and the one before it, unless told. Raises Failure."""
    newest = max(saved) if new is None else new
    before = max((version for version in saved if version < newest), default=newest) if old is None else old
    for version in (before, newest):
        if version not in saved:
            raise wrong_use(f"there is no version {version}; {hint} lists them")
    return before, newest


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the old and the new value of each field that differs."""
    before, after = _flat(old), _flat(new)
    return {
        field: {"old": before.get(field), "new": after.get(field)}
        for field in dict.fromkeys((*before, *after))
        if before.get(field) != after.get(field)
    }


def show(found: Mapping[str, Mapping[str, Any]], before: int, newest: int) -> None:
    """Print differences as a table."""
    rows = [(field, _told(each["old"]), _told(each["new"])) for field, each in found.items()]
    output.table(("field", f"version {before}", f"version {newest}"), rows)


def _flat(spec: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, value in spec.items():
        if field in _IN_PARTS and isinstance(value, dict):
            found |= {f"{field}.{name}": part for name, part in value.items()}
        else:
            found[field] = value
    return found


def _told(value: Any) -> str:
    if value is None or value in ([], {}, ""):
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{key}={_told(each)}" for key, each in value.items())
    return ", ".join(map(_told, value)) if isinstance(value, list) else str(value)
