"""Our scheduler behind the call that runs schedule vectors: `fires(expr, tz, start, n)`."""

from datetime import datetime

from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.domain.schedule import compile_schedule


def fires(expr: str, tz: str | None, start: datetime, n: int) -> list[datetime]:
    """Return at most `n` fires strictly after `start`. Raises ValueError for an expression that cannot be read."""
    try:
        compiled = compile_schedule(Schedule(expressions=(expr,), zone=tz or "UTC"))
    except BadSchedule as error:
        raise ValueError(error.message) from error
    return list(compiled.fires(start, limit=n))


def calendar_fires(expr: str, tz: str | None, start: datetime, n: int) -> list[datetime]:
    """Return the same for an OnCalendar of systemd."""
    return fires(f"@calendar {expr}", tz, start, n)
