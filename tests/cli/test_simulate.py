"""`chronos simulate`: what its flags ask for, and the figures side by side."""

from typing import Any

from scheduler_daemon.contract.simulations import Figures, JobFigures, Simulation
from tests.cli.conftest import NOON, Chronos
from tests.support.canned import Canned

RANGE = ("--from", "2026-03-02T12:00Z", "--to", "2026-03-03T12:00Z")


def figures(**changes: Any) -> Figures:
    plain = dict.fromkeys(
        ("fires", "started", "overlaps", "skipped", "superseded", "replaced", "missed", "waiting", "peak", "busy_ms"), 0
    )
    return Figures.model_validate(
        {**plain, "peak_at": NOON, "late_p50_ms": 0, "late_p99_ms": 1500, "busy_ms": 60_000, **changes}
    )


def answer(names: tuple[str, ...] = ("backup",), **sides: Any) -> Simulation:
    found = {"plan": figures(fires=24, started=24, peak=2), "changed": None, "actual": None} | sides
    told = tuple(JobFigures(job=name, job_id=name, **found) for name in names)
    return Simulation(start=NOON, end=NOON, seed=0, jobs=told, notes=("3 paused jobs are left out",), **found)


def words(out: str) -> list[str]:
    return [" ".join(line.split()).lower() for line in out.splitlines()]


def test_every_flag_becomes_a_field(chronos: Chronos, canned: Canned) -> None:
    canned.answer("POST", "/v1/simulations", answer())

    chronos(
        "simulate", *RANGE, "--job", "a", "--job", "b", "--schedule", "@hourly", "--schedule", "0 9 * * *",
        "--concurrency", "allow", "--pool", "none", "--priority", "7", "--takes", "5m", "--slots", "db=4",
        "--max-active", "9", "--seed", "3", "--outage", "2026-03-02T13:00Z/2026-03-02T14:00Z",
    )  # fmt: skip

    change = {
        "changes": {
            "schedule": {"expressions": ["@hourly", "0 9 * * *"]},
            "concurrency": "allow",
            "priority": 7,
            "pool": None,
        },
        "duration_ms": 300_000,
    }
    assert canned.last.json() == {
        "from": "2026-03-02T12:00:00+00:00",
        "to": "2026-03-03T12:00:00+00:00",
        "seed": 3,
        "changes": [change | {"job": "a"}, change | {"job": "b"}],
        "pools": {"db": 4},
        "max_active": 9,
        "outages": [{"from": "2026-03-02T13:00:00+00:00", "to": "2026-03-02T14:00:00+00:00"}],
    }


def test_planned_changed_and_actual_stand_side_by_side(chronos: Chronos, canned: Canned) -> None:
    changed, actual = figures(fires=48, started=40, skipped=8, peak=5), figures(fires=24, started=23, missed=1)
    canned.answer("POST", "/v1/simulations", answer(changed=changed, actual=actual))

    said = words(chronos("simulate", *RANGE, "--job", "backup", "--schedule", "@hourly").out)

    assert said[0] == "planned changed actual"
    assert "fires 24 48 24" in said
    assert "skipped 0 8 0" in said
    assert "backup 24/0/0 48/8/0 24/0/1 1.5s 5" in said
    assert said[-1] == "note: 3 paused jobs are left out"


def test_what_changes_most_is_listed_first_and_no_more_than_asked_for(chronos: Chronos, canned: Canned) -> None:
    found = answer(("a", "b", "c"))
    most = found.jobs[2].model_copy(update={"changed": figures(fires=99)})
    canned.answer("POST", "/v1/simulations", found.model_copy(update={"jobs": (*found.jobs[:2], most)}))

    said = words(chronos("simulate", *RANGE, "--top", "1").out)

    assert [line.split()[0] for line in said if "/" in line and "job" not in line] == ["c"]


def test_a_change_without_a_job_and_pieces_that_cannot_be_read_are_refused(chronos: Chronos) -> None:
    for flags, said in (
        (("--schedule", "@hourly"), "--job NAME"),
        (("--slots", "db"), "POOL=N"),
        (("--outage", "2026-03-02T13:00Z"), "ISO/ISO"),
        (("--job", "a", "--takes", "long"), "--takes"),
    ):
        done = chronos("simulate", *RANGE, *flags)

        assert done.code == 2
        assert said in done.err
