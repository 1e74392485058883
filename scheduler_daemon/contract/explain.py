"""Why a job did, did not, will or will not run at an instant."""

from datetime import datetime

from pydantic import BaseModel

from scheduler_daemon.contract.executions import ExecutionView


class Explanation(BaseModel, frozen=True):
    """The verdict in one sentence and the chain of reasons behind it, first cause first."""

    job: str
    at: datetime
    verdict: str
    reasons: tuple[str, ...]
    execution: ExecutionView | None = None
