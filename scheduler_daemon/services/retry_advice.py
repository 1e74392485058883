"""Keep what was learnt about retries, for the decisions that are made when a run has failed."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from scheduler_daemon.contract.insights import LearntRetry
from scheduler_daemon.storage import retry_advice


def keep(db: Connection, learnt: Sequence[LearntRetry], now: datetime) -> None:
    """Put it into the place of what was known before."""
    retry_advice.replace(db, [{**one.model_dump(), "waits_ms": list(one.waits_ms), "at": now} for one in learnt])
