"""Decide what runs after a run, and what that is told of it. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scheduler_daemon.contract.executions import State
from scheduler_daemon.contract.handlers import HandlerKind

_KINDS = {
    State.FAILED: HandlerKind.ON_FAILURE,
    State.UNKNOWN: HandlerKind.ON_FAILURE,
    State.SUCCEEDED: HandlerKind.ON_SUCCESS,
    State.CANCELLED: HandlerKind.ON_CANCEL,
}
_NOT_ITS_OWN = ("run_timeout_ms", "retry", "stdin")


def kind_for(state: State, started_at: datetime | None) -> HandlerKind | None:
    """Return which handler runs after a run that ended so. What was cancelled before it began leaves nothing to do."""
    if state is State.CANCELLED and started_at is None:
        return None
    return _KINDS.get(state)


def spec_of(spec: Mapping[str, Any], kind: str, parent: Any) -> dict[str, Any]:
    """Return the spec that a handler of a job runs by: the job's, with another command and what it is told."""
    handler = spec[kind]
    return {
        **spec,
        **dict.fromkeys(_NOT_ITS_OWN),
        **dict.fromkeys(HandlerKind),
        "command": handler["command"],
        "timeout_ms": handler["timeout_ms"],
        "conditions": [],
        "artifacts": [],
        "env": {**spec["env"], **told(kind, parent)},
    }


def told(kind: str, parent: Any) -> dict[str, str]:
    """Return the variables by which a handler knows the run that has ended."""
    return {
        "CHRONOS_JOB": parent.job,
        "CHRONOS_HANDLER": str(kind),
        "CHRONOS_PARENT_RUN": str(parent.id),
        "CHRONOS_PARENT_STATE": str(parent.state),
        "CHRONOS_PARENT_OUTCOME": str(parent.outcome or ""),
        "CHRONOS_PARENT_REASON": parent.reason.replace("\0", ""),
        "CHRONOS_PARENT_EXIT_CODE": "" if parent.exit_code is None else str(parent.exit_code),
        "CHRONOS_PARENT_SIGNAL": "" if parent.signal is None else str(parent.signal),
        "CHRONOS_PARENT_ATTEMPT": str(parent.attempt + 1),
    }
