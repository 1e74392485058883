"""How a recorded period is counted, in the terms of a simulated one."""

from datetime import UTC, datetime, timedelta

from scheduler_daemon.domain.observation import Recorded, observed

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def ran(fire: float, begin: float, end: float, *, job: str = "a", outcome: str = "ok") -> Recorded:
    return Recorded(job, at(fire), "succeeded" if outcome == "ok" else "cancelled", outcome, at(begin), at(end))


def never(fire: float, state: str, outcome: str | None = None) -> Recorded:
    return Recorded("a", at(fire), state, outcome, None, at(fire) if outcome else None)


def test_each_fire_is_counted_by_what_became_of_it() -> None:
    record = [
        ran(0, 0.25, 1),
        ran(10, 10, 11, outcome="superseded"),
        never(20, "missed", "misfire"),
        never(30, "skipped", "overlap"),
        never(40, "skipped", "superseded"),
        never(50, "queued"),
    ]

    tally = observed(["a"], record).fleet

    assert (tally.fires, tally.started, tally.replaced) == (6, 2, 1)
    assert (tally.missed, tally.skipped, tally.superseded, tally.waiting) == (1, 1, 1, 1)
    assert tally.late == {250: 1, 0: 1}
    assert tally.busy == 1750


def test_overlaps_are_fires_within_an_earlier_run_of_the_same_job() -> None:
    record = [ran(0, 0, 25), ran(5, 5, 6, job="b"), ran(10, 10, 12), ran(20, 20, 21), ran(25, 25, 26)]

    found = observed(["a", "b"], record)

    assert [tally.overlaps for tally in found.jobs] == [2, 0]
    assert (found.fleet.peak, found.fleet.peak_at) == (2, NOON_MS + 5000)
    assert (found.jobs[0].peak, found.jobs[0].peak_at) == (2, NOON_MS + 10_000)


def test_one_that_ends_as_another_begins_is_not_beside_it_and_one_that_runs_still_is() -> None:
    first = Recorded("a", at(0), "running", None, at(0), None)

    assert observed(["a"], [ran(0, 0, 10), ran(10, 10, 20)]).fleet.peak == 1
    assert observed(["a"], [first, ran(10, 10, 20)]).fleet.peak == 2


def test_other_jobs_are_left_out() -> None:
    assert observed(["b"], [ran(0, 0, 1)]).fleet.fires == 0
