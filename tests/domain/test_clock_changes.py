"""When jobs fire while clocks change: Debian's rule, the other choices, and zones that change in odd ways."""

import pytest

from tests.support.times import cron, utc, wall

BERLIN_SPRING, BERLIN_AUTUMN = "2026-03-28T12:00", "2026-10-24T12:00"


@pytest.mark.parametrize(
    ("expression", "zone", "after", "fires"),
    [
        # fixed times in a gap run once, right after it
        ("30 2 * * *", "Europe/Berlin", BERLIN_SPRING, ["2026-03-29 03:00+0200", "2026-03-30 02:30+0200"]),
        ("0,15,30 2 * * *", "Europe/Berlin", BERLIN_SPRING, ["2026-03-29 03:00+0200", "2026-03-30 02:00+0200"]),
        ("30 2,3 * * *", "Europe/Berlin", BERLIN_SPRING, ["2026-03-29 03:00+0200", "2026-03-29 03:30+0200"]),
        ("0 3 * * *", "Europe/Berlin", BERLIN_SPRING, ["2026-03-29 03:00+0200", "2026-03-30 03:00+0200"]),
        ("30 1 * * *", "Europe/Berlin", BERLIN_SPRING, ["2026-03-29 01:30+0100", "2026-03-30 01:30+0200"]),
        # recurring ones just go on
        ("*/30 2 * * *", "Europe/Berlin", BERLIN_SPRING, ["2026-03-30 02:00+0200"]),
        ("30 * * * *", "Europe/Berlin", "2026-03-29T01:00", ["2026-03-29 01:30+0100", "2026-03-29 03:30+0200"]),
        ("* 30 2 * * *", "Europe/Berlin", BERLIN_SPRING, ["2026-03-30 02:30+0200"]),
        # fixed times in an overlap run in the first pass, recurring ones in both
        ("30 2 * * *", "Europe/Berlin", BERLIN_AUTUMN, ["2026-10-25 02:30+0200", "2026-10-26 02:30+0100"]),
        ("30 * 25 * *", "Europe/Berlin", "2026-10-25T01:59", ["2026-10-25 02:30+0200", "2026-10-25 02:30+0100"]),
        ("0 3 * * *", "Europe/Berlin", BERLIN_AUTUMN, ["2026-10-25 03:00+0100"]),
        # half an hour, two hours, at midnight, a whole day
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["2026-10-04 02:30+1100", "2026-10-05 02:15+1100"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", ["2026-04-05 01:45+1100", "2026-04-06 01:45+1030"]),
        ("*/15 1 5 4 *", "Australia/Lord_Howe", "2026-04-05T01:20",
         ["2026-04-05 01:30+1100", "2026-04-05 01:45+1100", "2026-04-05 01:30+1030", "2026-04-05 01:45+1030"]),
        ("30 2 * * *", "Antarctica/Troll", "2026-03-28T12:00", ["2026-03-29 03:00+0200", "2026-03-30 02:30+0200"]),
        ("30 1,2 * * *", "Antarctica/Troll", "2026-03-28T12:00", ["2026-03-29 03:00+0200", "2026-03-30 01:30+0200"]),
        ("30 2 * * *", "Antarctica/Troll", "2026-10-24T12:00", ["2026-10-25 02:30+0200", "2026-10-26 02:30+0000"]),
        ("@daily", "America/Havana", "2026-03-07T12:00", ["2026-03-08 01:00-0400", "2026-03-09 00:00-0400"]),
        ("@daily", "America/Havana", "2026-10-31T12:00", ["2026-11-01 00:00-0400", "2026-11-02 00:00-0500"]),
        ("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00",
         ["2011-12-29 12:00-1000", "2011-12-31 00:00+1400", "2011-12-31 12:00+1400"]),
        ("@hourly", "Pacific/Apia", "2011-12-29T22:30", ["2011-12-29 23:00-1000", "2011-12-31 00:00+1400"]),
    ],
)  # fmt: skip
def test_it_fires_then_by_the_rule_of_debian(expression: str, zone: str, after: str, fires: list[str]) -> None:
    assert wall(cron(expression, zone=zone), after, len(fires)) == fires


@pytest.mark.parametrize(
    ("choice", "after", "fires"),
    [
        ({"gap": "skip"}, BERLIN_SPRING, ["2026-03-30 02:30+0200"]),
        ({"gap": "shift"}, BERLIN_SPRING, ["2026-03-29 03:30+0200", "2026-03-30 02:30+0200"]),
        (
            {"overlap": "both"},
            BERLIN_AUTUMN,
            ["2026-10-25 02:30+0200", "2026-10-25 02:30+0100", "2026-10-26 02:30+0100"],
        ),
        ({"overlap": "last"}, BERLIN_AUTUMN, ["2026-10-25 02:30+0100", "2026-10-26 02:30+0100"]),
    ],
)
def test_a_job_may_choose_otherwise(choice: dict[str, str], after: str, fires: list[str]) -> None:
    assert wall(cron("30 2 * * *", zone="Europe/Berlin", **choice), after, len(fires)) == fires


def test_shifted_times_keep_their_order_among_the_others() -> None:
    shifted = cron("10,50 2,3 29 3 *", zone="Europe/Berlin", gap="shift")

    assert wall(shifted, BERLIN_SPRING, 2) == ["2026-03-29 03:10+0200", "2026-03-29 03:50+0200"]


def test_a_repeated_time_is_found_though_the_next_is_a_year_away() -> None:
    both = cron("30 2 25 10 *", zone="Europe/Berlin", overlap="both")

    assert wall(both, "2026-10-25T02:30", 2) == ["2026-10-25 02:30+0100", "2027-10-25 02:30+0200"]


def test_asking_just_before_the_gap_ends_finds_the_run_after_it() -> None:
    nightly = cron("30 2 * * *", zone="Europe/Berlin")

    assert wall(nightly, "2026-03-29T01:59:59", 1) == ["2026-03-29 03:00+0200"]


def test_recurring_jobs_ignore_the_choice() -> None:
    plain = cron("*/20 * * * *", zone="Europe/Berlin")
    chosen = cron("*/20 * * * *", zone="Europe/Berlin", gap="shift", overlap="last")

    for after in ("2026-03-29T01:00", "2026-10-25T01:00"):
        assert wall(chosen, after, 12) == wall(plain, after, 12)


def test_bounds_cut_a_run_after_the_gap() -> None:
    nightly = cron("30 2 * * *", zone="Europe/Berlin", end=utc(2026, 3, 29, 0, 59, 59))

    assert wall(nightly, BERLIN_SPRING, 1) == []
