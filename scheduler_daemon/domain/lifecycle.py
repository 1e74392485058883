"""Decide how a run ended: what the launcher's report means."""

import signal as signals
from dataclasses import dataclass
from typing import Literal

from scheduler_daemon.contract.executions import Outcome, State


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of a process that is no more. `unknown` where nobody saw it end."""

    exit_code: int | None = None
    signal: int | None = None
    killed_by: Literal["timeout", "cancel"] | None = None
    cancelled_by: str | None = None
    cancel_reason: str = ""
    """Why it was killed, also for a timeout."""
    replaced_by: int | None = None
    """The run it was to give way to, if it was killed for that."""
    spawn_error: str | None = None
    blocked: str | None = None
    secretless: str | None = None
    """It was not to start, for its policy requires what is not in force: what, and the remedy."""
    unknown: bool = False
    unmet: str | None = None
    """It was not to start: which condition did not hold, and what was found."""
    untold: str | None = None
    """It was not to start: of which condition it could not be told whether it holds, and why."""
    limit_hit: str | None = None
    """The limit that is known to have struck, as the launcher names it."""
    note: str = ""
    """What else must be said of the exit code."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The final state, why in a word, and why in a sentence."""

    state: State
    outcome: Outcome
    reason: str


def verdict(report: Report) -> Verdict:
    """Say how a run ended. The exit code is never invented: what nobody saw is unknown."""
    if not_started := _not_started(report):
        return not_started
    if report.killed_by == "timeout":
        return Verdict(State.FAILED, Outcome.TIMED_OUT, report.cancel_reason or "timed out")
    if report.killed_by == "cancel" and report.replaced_by is not None:
        return Verdict(State.CANCELLED, Outcome.SUPERSEDED, f"replaced by run {report.replaced_by}")
    if report.killed_by == "cancel":
        by = report.cancelled_by or "the daemon"
        why = f": {report.cancel_reason}" if report.cancel_reason else ""
        return Verdict(State.CANCELLED, Outcome.CANCELLED, f"cancelled by {by}{why}")
    if report.unknown:
        return Verdict(State.UNKNOWN, Outcome.LOST, "its end was not seen: the launcher and the process were both gone")
    return _own_end(report)


def _own_end(report: Report) -> Verdict:
    """A run that met a limit and still ended well has ended well; its reason tells of the limit."""
    outcome, limit = _LIMITS.get(report.limit_hit or "", (None, ""))
    if report.exit_code == 0:
        return Verdict(State.SUCCEEDED, Outcome.OK, f"it met {limit}, and went on" if limit else "")
    if report.signal is not None:
        own, how = Outcome.SIGNAL, f"killed by {signal_name(report.signal)}"
    else:
        own, how = Outcome.EXIT_CODE, _exit(report)
    return Verdict(State.FAILED, outcome or own, f"it met {limit}: {how}" if limit else how)


_LIMITS: dict[str, tuple[Outcome | None, str]] = {
    "output": (None, "the limit of its output, of which the middle is not kept"),
    "memory": (Outcome.OOM_KILLED, "its limit of memory"),
    "pids": (Outcome.PIDS_LIMIT, "its limit of processes"),
    "cpu_time": (Outcome.CPU_LIMIT, "its limit of processor time"),
    "file_size": (Outcome.DISK_LIMIT, "its limit of a file's size"),
}


def _exit(report: Report) -> str:
    note = f" ({report.note})" if report.note else ""
    return f"exit code {report.exit_code}{note}{_shell_hint(report.exit_code)}"


def _not_started(report: Report) -> Verdict | None:
    if report.unmet is not None:
        return Verdict(State.SKIPPED, Outcome.CONDITION, f"condition does not hold: {report.unmet}")
    if report.untold is not None:
        return Verdict(State.FAILED, Outcome.CONDITION, f"condition cannot be told: {report.untold}")
    if report.blocked is not None:
        return Verdict(State.BLOCKED, Outcome.ISOLATION, report.blocked)
    if report.secretless is not None:
        return Verdict(State.BLOCKED, Outcome.SECRET, report.secretless)
    if report.spawn_error is not None:
        return Verdict(State.FAILED, Outcome.SPAWN_FAILED, f"could not be started: {report.spawn_error}")
    return None


def signal_name(number: int) -> str:
    """Return `SIGKILL` for 9; the number where it has no name."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _shell_hint(code: int | None) -> str:
    if code == 127:
        return ": the shell did not find the command"
    if code == 126:
        return ": the shell may not run the command"
    return ""
