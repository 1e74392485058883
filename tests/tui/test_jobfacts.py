"""What a job's facts say of calendars, blackouts, bounds and jitter."""

from datetime import UTC, datetime

from chronos_tui.screens import jobfacts
from scheduler_daemon.contract.job_lines import KpiSummary
from scheduler_daemon.contract.jobs import JobSpec, PassedOver, SchedulePreview
from scheduler_daemon.contract.schedule import Schedule
from tests.cli.conftest import NOON, job_view


def test_a_job_shows_what_keeps_its_fires_from_their_instants() -> None:
    end = datetime(2026, 6, 1, tzinfo=UTC)
    schedule = Schedule(
        expressions=("0 9 * * *",), calendars=("german:next",), blackouts=("sat",), jitter_s=5, end=end
    )  # fmt: skip
    job = job_view(spec=JobSpec(name="a", command="b", schedule=schedule))

    facts = {fact.name: fact.value for fact in jobfacts.configuration(job)}

    assert {name: facts[name] for name in ("from, until", "calendars", "blackouts", "jitter")} == {
        "from, until": "until 2026-06-01 00:00:00 UTC",
        "calendars": "german: on the next business day",
        "blackouts": "sat",
        "jitter": "up to 5 s",
    }


def test_a_job_shows_what_must_hold_for_a_start() -> None:
    wanted = ({"kind": "file", "path": "/a"}, {"kind": "window", "begin": "22:00", "end": "06:00", "days": ["mon"]})
    spec = {"name": "a", "command": "b", "after": ["c"], "not_before": "06:30", "conditions": wanted}

    facts = {fact.name: fact.value for fact in jobfacts.configuration(job_view(spec=JobSpec.model_validate(spec)))}

    assert facts["starts if"] == "file /a\nbetween 22:00-06:00 mon"
    assert facts["not before"] == "06:30"


def test_a_preview_tells_what_is_passed_over_and_why() -> None:
    passed = PassedOver(at=NOON, reason="moved by calendar german (Monday)", moved_to=NOON.replace(day=3))
    preview = SchedulePreview(words="w", fires=(), warnings=(), passed_over=(passed,))

    facts = jobfacts.preview_facts(preview, "UTC", NOON, UTC)

    assert facts[-1] == jobfacts.Fact(
        "not", "Mon 2026-03-02 12:00:00 UTC: moved by calendar german (Monday) to 2026-03-03 12:00:00 UTC", "late"
    )


def test_figures_of_runs_are_drawn_beside_what_they_come_to() -> None:
    rows = KpiSummary(name="rows", unit="rows", runs=3, last=7, least=1, mean=3.5, greatest=7, last_run=9)
    odd = KpiSummary(name="odd", unit="", runs=1, last=0.25, least=0.25, mean=0.25, greatest=0.25, last_run=4)

    facts = jobfacts.kpis([rows, odd], {"rows": [1.0, 2.5, 7.0]})

    assert [fact.name for fact in facts] == ["rows", "odd"]
    assert facts[0].value.splitlines() == ["▁▃█", "7 rows in run 9", "between 1 and 7, 3.5 on average, in 3 runs"]
    assert facts[1].value.splitlines()[0] == "0.25 in run 4"  # its runs are older than those drawn
    assert "::kpi" in jobfacts.kpis([], {})[0].value
