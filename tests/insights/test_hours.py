"""An hour is proposed only where it was seen to be surely better, by own runs or else by those of peers."""

from scheduler_daemon.insights.hours import Seen, better, by_hour, wilson

NOTHING = [Seen()] * 24


def day(**seen: tuple[int, int]) -> list[Seen]:
    return [Seen(*seen.get(f"h{hour}", (0, 0))) for hour in range(24)]


def test_the_nearest_hour_that_is_surely_better_is_taken() -> None:
    own = day(h22=(60, 20), h20=(60, 1), h4=(200, 0))

    found = better(own, NOTHING, 22)

    assert found is not None
    assert (found.hour, found.now.rate, found.peers) == (20, 20 / 60, False)


def test_a_few_runs_prove_nothing() -> None:
    assert better(day(h22=(60, 20), h4=(29, 0)), NOTHING, 22) is None
    assert better(day(h22=(29, 20), h4=(100, 0)), NOTHING, 22) is None


def test_an_hour_that_is_a_little_better_is_no_reason() -> None:
    assert better(day(h22=(100, 8), h4=(100, 5)), NOTHING, 22) is None


def test_a_job_that_only_ever_ran_at_one_hour_learns_from_its_peers() -> None:
    peers = day(h22=(300, 90), h5=(300, 3))

    found = better(day(h22=(60, 20)), peers, 22)

    assert found is not None
    assert (found.hour, found.peers) == (5, True)
    assert better(day(h22=(60, 20)), day(h22=(300, 1), h5=(300, 0)), 22) is None  # peers do well at 22


def test_hours_are_counted_from_runs() -> None:
    seen = by_hour([(3, True), (3, False), (23, False)])

    assert seen[3] == Seen(2, 1)
    assert seen[3].rate == 0.5
    assert seen[23] == Seen(1, 0)
    assert seen[0].interval() == (0.0, 1.0)


def test_the_interval_holds_the_share() -> None:
    low, high = wilson(3, 30)

    assert 0.03 < low < 0.1 < high < 0.25
