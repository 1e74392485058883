"""`chronos calendar ...`, and the flags by which a job obeys calendars, blackouts, bounds and jitter."""

import json
from datetime import date
from pathlib import Path

import pytest

from scheduler_daemon.contract.calendars import CalendarDays, CalendarSpec, CalendarView, DayNote, IcsReport
from scheduler_daemon.contract.jobs import PassedOver, SchedulePreview
from scheduler_daemon.contract.pages import Page
from tests.cli.conftest import NOON, Chronos, job_view
from tests.support.canned import Canned

SPEC = CalendarSpec.model_validate(
    {
        "rules": ["sat,sun", {"days": "2026-05-02", "name": "worked", "effect": "except"}],
        "blackouts": [{"when": "fri 22:00-06:00", "name": "freeze"}],
    }
)
GERMAN = CalendarView(
    name="german", version=2, spec=SPEC, owner="ada", used_by=("backup",), created_at=NOON, updated_at=NOON
)


def test_a_calendar_is_set_by_flags(chronos: Chronos, canned: Canned) -> None:
    canned.answer("PUT", "/v1/calendars/german", GERMAN)

    done = chronos(
        "calendar", "set", "german", "-x", "sat,sun", "--exclude", "holidays DE-BE", "--except", "2026-05-02=worked",
        "--blackout", "fri 22:00-06:00 = freeze", "--version", "1", "-m", "why",
    )  # fmt: skip

    assert canned.last.json() == {
        "spec": {
            "description": "",
            "rules": [
                {"days": "sat,sun", "effect": "exclude"},
                {"days": "holidays DE-BE", "effect": "exclude"},
                {"days": "2026-05-02", "name": "worked", "effect": "except"},
            ],
            "blackouts": [{"when": "fri 22:00-06:00", "name": "freeze"}],
        },
        "message": "why",
        "version": 1,
    }
    shown = [" ".join(line.split()) for line in done.out.splitlines()]
    assert shown[:4] == [
        "name german", "exclude sat,sun", "except 2026-05-02 (worked)", "blackout fri 22:00-06:00 (freeze)",
    ]  # fmt: skip


def test_what_show_prints_can_be_set_again(chronos: Chronos, canned: Canned, tmp_path: Path) -> None:
    canned.answer("GET", "/v1/calendars/german", GERMAN)
    canned.answer("PUT", "/v1/calendars/copy", GERMAN)
    (tmp_path / "german.json").write_text(chronos("calendar", "show", "german", "--json").out)

    chronos("calendar", "set", "copy", "--from", str(tmp_path / "german.json"))

    assert CalendarSpec.model_validate(canned.last.json()["spec"]) == SPEC


@pytest.mark.parametrize("flags", [[], ["--from", "FILE", "-x", "sat"], ["--from", "/nowhere"]])
def test_a_calendar_without_days_is_wrong_use(chronos: Chronos, canned: Canned, flags: list[str]) -> None:
    done = chronos("calendar", "set", "german", *flags)

    assert (done.code, canned.asked) == (2, [])


def test_calendars_are_listed_with_their_jobs_and_previewed_by_the_year(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/calendars", Page(items=[GERMAN]))
    days = CalendarDays(name="german", year=2026, excluded=(DayNote(day=date(2026, 1, 1), reason="New Year's Day"),))
    canned.answer("GET", "/v1/calendars/german/days", days)

    listed = chronos("calendar", "list")
    previewed = chronos("calendar", "preview", "german", "--year", "2026")

    assert listed.out.splitlines()[1].split()[:4] == ["german", "2", "1", "backup"]
    assert canned.last.query == {"year": "2026"}
    assert previewed.out.splitlines()[1] == "2026-01-01  New Year's Day"


def test_an_import_sends_the_file_and_tells_what_was_left_out(chronos: Chronos, canned: Canned, tmp_path: Path) -> None:
    (tmp_path / "a.ics").write_bytes(b"BEGIN:VCALENDAR")
    canned.answer("POST", "/v1/calendars/works/ics", IcsReport(calendar=None, taken=3, left_out=("Meeting: no",)))

    done = chronos("calendar", "import", "works", str(tmp_path / "a.ics"), "--dry-run")

    assert (canned.last.body, canned.last.query) == (b"BEGIN:VCALENDAR", {"timed": "false", "dry_run": "true"})
    assert done.out.splitlines() == [
        "left out: Meeting: no", "3 rules would be taken (dry run), 1 events left out",
    ]  # fmt: skip


def test_a_refused_deletion_names_the_jobs(chronos: Chronos, canned: Canned) -> None:
    problem = {"kind": "conflict", "status": 409, "title": "t", "detail": "calendar 'german' is obeyed by 'backup'"}
    canned.answer("DELETE", "/v1/calendars/german", problem, 409)

    done = chronos("calendar", "delete", "german")

    assert (done.code, "obeyed by 'backup'" in done.err) == (5, True)


def test_a_job_takes_calendars_blackouts_jitter_and_bounds(chronos: Chronos, canned: Canned) -> None:
    canned.answer("POST", "/v1/jobs", job_view())

    chronos(
        "job", "add", "backup", "-s", "0 9 * * *", "-s", "@every 5h", "--calendar", "german:next", "--calendar", "us",
        "--blackout", "fri 22:00-06:00=freeze", "--jitter", "90s", "--start", "2026-05-01T00:00Z",
        "--end", "2026-06-01T00:00+02:00", "--", "true",
    )  # fmt: skip

    assert canned.last.json()["spec"]["schedule"] == {
        "expressions": ["0 9 * * *", "@every 5h"],
        "zone": "UTC",
        "calendars": ["german:next", "us"],
        "blackouts": [{"when": "fri 22:00-06:00", "name": "freeze"}],
        "jitter_s": 90,
        "start": "2026-05-01T00:00:00+00:00",
        "end": "2026-05-31T22:00:00+00:00",
    }


def test_an_edit_takes_them_away_and_leaves_the_expressions(chronos: Chronos, canned: Canned) -> None:
    kept = job_view().spec.schedule.model_dump(mode="json")
    canned.answer("GET", "/v1/jobs/backup", job_view())
    canned.answer("PATCH", f"/v1/jobs/{job_view().id}", job_view())

    chronos("job", "edit", "backup", "--calendar", "", "--blackout", "", "--jitter", "none", "--end", "none")

    assert canned.last.json()["changes"] == {
        "schedule": kept | {"calendars": [], "blackouts": [], "jitter_s": 0, "end": None}
    }


def test_next_takes_several_expressions_and_tells_what_is_passed_over(chronos: Chronos, canned: Canned) -> None:
    passed = (
        PassedOver(at=NOON, reason="suppressed by calendar german (Monday)"),
        PassedOver(at=NOON, reason="moved by calendar us (Monday)", moved_to=NOON.replace(day=3)),
    )
    canned.answer(
        "POST", "/v1/schedules/preview", SchedulePreview(words="w", fires=(), warnings=(), passed_over=passed)
    )

    done = chronos("next", "0 9 * * *", "--also", "@every 5h", "--calendar", "german", "--zone", "UTC")

    schedule = {"expressions": ["0 9 * * *", "@every 5h"], "zone": "UTC", "calendars": ["german"]}
    assert canned.last.json()["schedule"] == schedule
    assert done.out.splitlines()[1:] == [
        "not Mon 2026-03-02 12:00:00 UTC: suppressed by calendar german (Monday)",
        "not Mon 2026-03-02 12:00:00 UTC: moved by calendar us (Monday) to 2026-03-03 12:00:00 UTC",
    ]


def test_json_is_what_the_server_said(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/calendars", Page(items=[GERMAN]))

    done = chronos("calendar", "list", "--json")

    assert json.loads(done.out)["items"][0]["name"] == "german"
