"""Say what a schedule means before anyone saves it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection

from scheduler_daemon.contract.jobs import ClockNote, PassedOver, SchedulePreview, SchedulePreviewRequest
from scheduler_daemon.domain import schedule_words
from scheduler_daemon.domain.clock_changes import clock_changes
from scheduler_daemon.domain.dialects import from_dialect
from scheduler_daemon.domain.occasions import Occasion, Times, Timetable, instant
from scheduler_daemon.services import calendars

_YEAR = timedelta(days=366)
_TOLD = 200
"""Instants passed over that are told of at most; a job of each second may pass over a whole day."""


def preview(db: Connection, request: SchedulePreviewRequest, now: datetime) -> SchedulePreview:
    """Return words, next fires and what is passed over, warnings, and the clock changes of a year that touch a fire.

    Raises BadSchedule, Invalid for an unknown zone or calendar.
    """
    schedule, dialect, after = request.schedule, request.dialect, request.after or now
    converted = tuple(from_dialect(text, dialect) for text in schedule.expressions) if dialect else ()
    if converted:
        schedule = schedule.model_copy(update={"expressions": converted})
    compiled = calendars.times_of(db, schedule, request.job_id)
    fires = tuple(compiled.fires(after, limit=request.count))
    warnings = schedule_words.warnings(schedule, request.job_id)
    if schedule.expressions and not fires and not compiled.is_reboot:
        warnings.append("never fires")
    if dialect:
        warnings.append(
            f"When clocks change it follows the gap and overlap of its schedule, not the rule of {dialect}."
        )
    changes = clock_changes(schedule, after, job_id=request.job_id)
    return SchedulePreview(
        words=schedule_words.words(schedule, request.job_id),
        fires=fires,
        warnings=tuple(warnings),
        expressions=converted,
        clock_changes=tuple(ClockNote(at=change.at, kind=change.kind, text=change.text) for change in changes),
        passed_over=_passed_over(compiled, after, fires),
    )


def _passed_over(times: Times, after: datetime, fires: Sequence[datetime]) -> tuple[PassedOver, ...]:
    if not isinstance(times, Timetable):
        return ()
    return tuple(_told(each) for each in islice(times.passed_over(after, fires[-1] if fires else after + _YEAR), _TOLD))


def _told(occasion: Occasion) -> PassedOver:
    if occasion.why:
        return PassedOver(at=instant(occasion.at), reason=f"suppressed by {occasion.reason}")
    assert occasion.moved_from is not None
    return PassedOver(
        at=instant(occasion.moved_from), reason=f"moved by {occasion.reason}", moved_to=instant(occasion.at)
    )
