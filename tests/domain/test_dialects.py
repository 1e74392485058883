"""Expressions of other programs: turned into ours, or refused because they would mean something else."""

import pytest

from scheduler_daemon.contract.jobs import SchedulePreviewRequest
from scheduler_daemon.contract.schedule import Dialect
from scheduler_daemon.domain.dialects import from_dialect
from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.services.schedules import preview
from scheduler_daemon.storage.session import Database
from tests.support.times import cron, utc


@pytest.mark.parametrize(
    ("dialect", "theirs", "ours"),
    [
        ("quartz", "0 15 10 ? * 2-6", "0 15 10 ? * 1-5"),
        ("quartz", "0 15 10 ? * MON-FRI *", "0 15 10 ? * MON-FRI"),
        ("quartz", "0 15 10 ? * 6L", "0 15 10 ? * 5L"),
        ("quartz", "0 15 10 ? * 6#3,1", "0 15 10 ? * 5#3,0"),
        ("quartz", "0 15 10 ? * L", "0 15 10 ? * SAT"),
        ("quartz", "0 /5 14 L-3 * ?", "0 */5 14 L-3 * ?"),
        ("spring", "0 0 9 * * MON-FRI", "0 0 9 * * MON-FRI"),
        ("spring", "0 15 12 */10 1-8 5", "0 15 12 */10 1-8 5"),
        ("spring", "@Hourly", "@hourly"),
        ("year", "0 9 * * 1 *", "0 9 * * 1"),
        ("year", "30 0 9 * * 1 *", "30 0 9 * * 1"),
    ],
)
def test_it_turns_into_ours(dialect: Dialect, theirs: str, ours: str) -> None:
    assert from_dialect(theirs, Dialect(dialect)) == ours


@pytest.mark.parametrize(
    ("dialect", "theirs", "reason"),
    [
        ("quartz", "0 0 * * * *", "just one of"),
        ("quartz", "0 0 0 ? * 0", "weekday 0"),
        ("quartz", "0 0/120 8 ? * 2", "from 1 to 59"),
        ("quartz", "0 15 10 * * ? 2005", "start on 2005-01-01 and end on 2005-12-31"),
        ("quartz", "0 15 10 * *", "6 or 7 fields"),
        ("quartz", "@reboot", "there are @yearly"),
        ("spring", "0 0 0 13 * FRI", "where both day fields match"),
        ("spring", "0 0 0 31W * ?", "passes over it"),
        ("spring", "0 0 0 32 * ?", "out of range"),
        ("year", "0 0 */2 * MON *", "either day field"),
        ("year", "0 0 1 1 * */2", "no years"),
        ("year", "*/60 * * * * *", "from 1 to 59"),
    ],
)
def test_it_is_refused_where_it_would_differ(dialect: str, theirs: str, reason: str) -> None:
    with pytest.raises(BadSchedule, match=reason):
        from_dialect(theirs, Dialect(dialect))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_preview_reads_another_dialect_and_tells_of_clock_changes(database: Database) -> None:
    asked = SchedulePreviewRequest(
        schedule=cron("0 30 2 ? * 1", zone="Europe/Berlin"), dialect=Dialect.QUARTZ, after=utc(2026, 1, 1), count=1
    )

    shown = await database.read(lambda db: preview(db, asked, utc(2026, 1, 1)))

    assert shown.expressions == ("0 30 2 ? * 0",)
    assert shown.fires == (utc(2026, 1, 4, 1, 30),)  # a Sunday
    assert [(note.at, note.kind) for note in shown.clock_changes] == [(utc(2026, 3, 29, 1), "moved")]
    assert "not the rule of quartz" in shown.warnings[-1]
