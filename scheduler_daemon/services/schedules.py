"""Say what a schedule means before anyone saves it."""

from datetime import datetime

from scheduler_daemon.contract.jobs import SchedulePreview, SchedulePreviewRequest
from scheduler_daemon.domain import schedule as schedules
from scheduler_daemon.domain import schedule_words


def preview(request: SchedulePreviewRequest, now: datetime) -> SchedulePreview:
    """Return words, next fires and warnings. Raises BadSchedule, Invalid for an unknown zone."""
    compiled = schedules.compile_schedule(request.schedule, request.job_id)
    fires = tuple(compiled.fires(request.after or now, limit=request.count))
    warnings = list(schedule_words.warnings(request.schedule))
    if request.schedule.expressions and not fires and not compiled.is_reboot:
        warnings.append("never fires")
    return SchedulePreview(words=schedule_words.words(request.schedule), fires=fires, warnings=tuple(warnings))
