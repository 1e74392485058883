"""Our scheduler behind the call that runs schedule vectors: `fires(expr, tz, start, n)`."""

from datetime import datetime

from scheduler_daemon.contract.schedule import Dialect, Schedule
from scheduler_daemon.domain.dialects import from_dialect
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


def quartz_fires(expr: str, tz: str | None, start: datetime, n: int) -> list[datetime]:
    """Return the same for an expression of Quartz."""
    return _converted(expr, Dialect.QUARTZ, tz, start, n)


def spring_fires(expr: str, tz: str | None, start: datetime, n: int) -> list[datetime]:
    """Return the same for an expression of Spring."""
    return _converted(expr, Dialect.SPRING, tz, start, n)


def year_fires(expr: str, tz: str | None, start: datetime, n: int) -> list[datetime]:
    """Return the same for an expression that ends with a year."""
    return _converted(expr, Dialect.YEAR, tz, start, n)


def _converted(expr: str, dialect: Dialect, tz: str | None, start: datetime, n: int) -> list[datetime]:
    try:
        return fires(from_dialect(expr, dialect), tz, start, n)
    except BadSchedule as error:
        raise ValueError(error.message) from error
