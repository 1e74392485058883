"""`chronos next` with expressions of other programs, and with the clock changes it warns of."""

from datetime import UTC, datetime

from scheduler_daemon.contract.jobs import ClockNote, SchedulePreview
from tests.cli.conftest import Chronos
from tests.support.canned import Canned

CHANGE = ClockNote(at=datetime(2026, 3, 29, 1, tzinfo=UTC), kind="moved", text="2026-03-29 02:30: is skipped")


def test_next_reads_another_dialect_and_names_the_clock_changes(chronos: Chronos, canned: Canned) -> None:
    shown = SchedulePreview(
        words="At 02:30 every day", fires=(), warnings=(), expressions=("0 30 2 * * ?",), clock_changes=(CHANGE,)
    )
    canned.answer("POST", "/v1/schedules/preview", shown)

    done = chronos("next", "0 30 2 * * ?", "--dialect", "quartz", "--zone", "Europe/Berlin")

    assert canned.last.json()["dialect"] == "quartz"
    assert done.out.splitlines()[1:] == ["here: 0 30 2 * * ?", "clock change, moved: 2026-03-29 02:30: is skipped"]
