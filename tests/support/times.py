"""Short ways to write schedules and instants in tests."""

from datetime import UTC, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.schedule import compile_schedule


def cron(*expressions: str, zone: str = "UTC", **more: Any) -> Schedule:
    """A schedule of the given expressions."""
    return Schedule(expressions=expressions, zone=zone, **more)


def utc(*parts: int) -> datetime:
    """An instant from year, month, day, hour, ..."""
    year, month, day, hour, minute, second = (*parts, 0, 0, 0)[:6]
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def wall(schedule: Schedule, after: str, count: int) -> list[str]:
    """The next fires after a wall-clock time of the schedule's zone, as that wall clock shows them with its offset."""
    zone = ZoneInfo(schedule.zone)
    start = datetime.fromisoformat(after).replace(tzinfo=zone)
    fires = islice(compile_schedule(schedule).fires(start.astimezone(UTC)), count)
    return [
        fire.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S%z").replace(":00+", "+").replace(":00-", "-")
        for fire in fires
    ]
