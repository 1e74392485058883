"""Say what a schedule means before anyone saves it."""

from datetime import datetime

from scheduler_daemon.contract.jobs import ClockNote, SchedulePreview, SchedulePreviewRequest
from scheduler_daemon.domain import schedule as schedules
from scheduler_daemon.domain import schedule_words
from scheduler_daemon.domain.clock_changes import clock_changes
from scheduler_daemon.domain.dialects import from_dialect


def preview(request: SchedulePreviewRequest, now: datetime) -> SchedulePreview:
    """Return words, next fires, warnings, and the clock changes of a year that touch a fire.

    Raises BadSchedule, Invalid for an unknown zone.
    """
    schedule, dialect, after = request.schedule, request.dialect, request.after or now
    converted = tuple(from_dialect(text, dialect) for text in schedule.expressions) if dialect else ()
    if converted:
        schedule = schedule.model_copy(update={"expressions": converted})
    compiled = schedules.compile_schedule(schedule, request.job_id)
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
    )
