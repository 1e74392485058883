"""The coming day is foretold by the schedules and by what recurs, and told of where it is like no day before."""

from datetime import timedelta

import pytest

from scheduler_daemon.analyst.ahead import Ahead, at_once, look, peak, relief
from scheduler_daemon.analyst.past import Fleet, Run, Subject
from scheduler_daemon.contract.insights import Prediction
from tests.analyst.records import NOW, subject

THREE = NOW.replace(hour=3) + timedelta(days=1)
NIGHTLY = [subject("0 3 * * *", name=f"nightly {n}") for n in range(4)]
MONTHLY = [subject("0 3 5 * *", name=f"monthly {n}") for n in range(3)]


def ran(jobs: list[Subject], days: int = 28, took: float = 600) -> list[Run]:
    """Return a run a day of each at three."""
    at = [(THREE - timedelta(days=day)).timestamp() for day in range(days, 0, -1)]
    return [(job.id, start, start + took) for start in at for job in jobs]


def ahead(fleet: Fleet) -> Ahead:
    """Return what is foretold."""
    found = look(fleet, NOW)
    assert found is not None
    return found


def names(fleet: Fleet) -> dict[str, str]:
    """Return the names by id."""
    return {job.id: job.name for job in fleet.jobs}


def test_jobs_that_run_seldom_on_top_of_those_of_every_day_are_told_of_with_how_sure_it_is() -> None:
    last_month = (THREE - timedelta(days=30)).timestamp()
    fleet = Fleet([*NIGHTLY, *MONTHLY], {}, ran(NIGHTLY), [(job.id, last_month, last_month + 900) for job in MONTHLY])

    found = peak(ahead(fleet), names(fleet))

    assert found is not None
    assert (found.job_id, found.kind) == (None, "peak_ahead")
    assert found.title.startswith("7.0 runs at once are expected at 03:00 UTC")
    assert "in the last 21 days it was 4.0 on most and 4.0 at the most" in found.text
    assert found.text.endswith("Then run monthly 0, monthly 1, monthly 2 and 4 more.")
    assert found.prediction is not None
    assert found.prediction.by == THREE + timedelta(minutes=5)
    assert (found.prediction.low, found.prediction.high) == (7, 7)


def test_a_day_like_all_others_is_not_told_of() -> None:
    fleet = Fleet(NIGHTLY, {}, ran(NIGHTLY))

    assert peak(ahead(fleet), names(fleet)) is None
    assert max(ahead(fleet).load.expected) == pytest.approx(4)


def test_runs_of_no_schedule_are_foretold_by_what_recurs_and_those_of_paused_jobs_not_at_all() -> None:
    by_hand = [subject(None, name=f"by hand {n}") for n in range(3)]
    paused = [Subject(job.id, job.name, 1, job.spec, paused=True) for job in NIGHTLY]

    found = ahead(Fleet([*by_hand, *paused], {}, ran([*by_hand, *paused])))

    assert max(found.load.expected) == max(found.rest.expected) == pytest.approx(3)
    assert found.at(found.peak) in {THREE, THREE + timedelta(minutes=5)}


def test_with_less_than_a_week_nothing_is_foretold() -> None:
    assert look(Fleet(NIGHTLY, {}, ran(NIGHTLY, days=6)), NOW) is None
    assert look(Fleet(NIGHTLY, {}, []), NOW) is None


def test_a_move_lowers_the_peak_by_what_the_job_adds_to_it() -> None:
    found = ahead(Fleet(NIGHTLY, {}, ran(NIGHTLY)))

    moved = relief(found, NIGHTLY[0].id, 30)

    assert moved is not None
    assert (moved.now, moved.then) == (pytest.approx(4), pytest.approx(3))
    assert moved.low <= moved.then <= moved.high
    assert relief(found, "unknown", 30) is None


def test_what_came_is_counted_in_the_five_minutes_it_was_foretold_of() -> None:
    foretold = Prediction(metric="runs_at_once", expected=7, by=THREE + timedelta(minutes=5))
    start = THREE.timestamp()

    assert at_once(foretold, [("a", start, start + 150), ("b", start - 900, start + 900)]) == 1.5
