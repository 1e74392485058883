"""What a job runs when a run of it has ended: one command for each kind of end."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from scheduler_daemon.contract.texts import Command

DEFAULT_TIMEOUT_MS = 600_000


class HandlerKind(StrEnum):
    """After which ends it runs; at most one does after a run."""

    ON_FAILURE = "on_failure"
    """The last attempt failed, or nobody saw its end."""
    ON_SUCCESS = "on_success"
    ON_CANCEL = "on_cancel"
    """It was cancelled, or gave way to another run, after it had begun."""


class Handler(BaseModel, frozen=True, extra="forbid"):
    """A command that runs as the job does: account, shell, directory, environment, policy and limits.

    It is a run of its own, with its own output, is never tried again, and has no handler in turn. Its environment
    tells of the run that has ended: CHRONOS_PARENT_RUN, CHRONOS_PARENT_STATE, CHRONOS_PARENT_OUTCOME,
    CHRONOS_PARENT_REASON, CHRONOS_PARENT_EXIT_CODE and CHRONOS_PARENT_SIGNAL (empty where there is none),
    CHRONOS_PARENT_ATTEMPT (from 1), CHRONOS_JOB, CHRONOS_HANDLER (such as on_failure), and CHRONOS_FIRE_AT, which is
    that run's.
    """

    command: Command
    timeout_ms: Annotated[int, Field(ge=1, le=86_400_000)] = DEFAULT_TIMEOUT_MS
