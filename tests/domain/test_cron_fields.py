"""What a cron expression may be, and what the reader says about those that are none."""

from collections import Counter
from uuid import NAMESPACE_DNS, uuid5

import pytest

from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.cron_fields import read
from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.domain.schedule import check_schedule, compile_schedule, never_fires
from tests.support.times import cron, utc


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("5-5", (5,)),
        ("5-5/3", (5,)),
        ("0-10/4", (0, 4, 8)),
        ("*/25", (0, 25, 50)),
        ("*/90", (0,)),
        ("50/4", (50, 54, 58)),
        ("1,2,1", (1, 2)),
        ("007", (7,)),
        ("10-12,40,*/30", (0, 10, 11, 12, 30, 40)),
    ],
)
def test_a_minute_field_holds_these_values(text: str, values: tuple[int, ...]) -> None:
    assert read(f"{text} * * * *").minute.values == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("7", (0,)),
        ("0", (0,)),
        ("6-7", (0, 6)),
        ("FRI-SUN", (0, 5, 6)),
        ("0-7", (0, 1, 2, 3, 4, 5, 6)),
        ("1-7/2", (0, 1, 3, 5)),
        ("mOn,3,fri", (1, 3, 5)),
        ("SUN-TUE", (0, 1, 2)),
        ("sun-sun", (0,)),
    ],
)
def test_a_weekday_field_holds_these_values(text: str, values: tuple[int, ...]) -> None:
    assert read(f"* * * * {text}").weekday.values == values


@pytest.mark.parametrize(
    "expression",
    [
        *("", "*", "* * *", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *"),
        *("* * * 13 *", "* * * 0 *", "* * * * 8", "5-1 * * * *", "* * * * FRI-MON", "* * * * 5-0", "*/0 * * * *"),
        *("1,,2 * * * *", ",1 * * * *", "1, * * * *", "+1 * * * *", "-1 * * * *", "1-2-3 * * * *", "5/5/5 * * * *"),
        *("1_0 * * * *", "1.5 * * * *", "1;2 * * * *", "٣ * * * *", "１ * * * *", "0\xa00 * * * *", "5/ * * * *"),
        *("* JAN * * *", "MON * * * *", "* * * MONDAY *", "* * * * SUNDAY", "* * * * JAN", "** * * * *", "*5 * * * *"),
        *("? * * * *", "* * ?/2 * *", "* * L-31 * *", "* * W * *", "* * 32W * *", "* * 1-2W * *", "* * * L *"),
        *("L * * * *", "* * * * L", "* * * * 1#6", "* * * * 1#0", "* * * * #1", "* * * * 1#", "* * * * 5L/3"),
        *(
            "* * * * 1-2#2",
            "* * 4#1 * *",
            "H/0 * * * *",
            "H(10-5) * * * *",
            "* * H(0-0) * *",
            "H(5) * * * *",
            "R * * * *",
        ),
        *("@dail", "@@daily", "@every", "@every 1.5h", "@every 0s", "@every -5s", "@every 5", "@daily 5", "@reboot x"),
        *("@at", "@at tomorrow", "@at 2026-13-01T00:00", "@at 2026-01-01", "@at 2026-02-30T08:00", "* * * * *\n", "\t"),
        "9" * 2000,
    ],
)
def test_this_is_no_expression(expression: str) -> None:
    with pytest.raises(BadSchedule):
        compile_schedule(Schedule.model_construct(expressions=(expression,)))


@pytest.mark.parametrize(
    ("expression", "position", "suggestion", "says"),
    [
        ("0 9 * * MONDAY", 8, "0 9 * * MON", "MONDAY"),
        ("0 22-6 * * *", 2, "0 22-23,0-6 * * *", "backwards"),
        ("0 9 * * 5-1", 8, "0 9 * * 5-6,0-1", "backwards"),
        ("R * * * *", 0, "H * * * *", "restart"),
        ("0 0\xa01 * * *", 3, "0 0 1 * * *", "U+00A0"),
        ("@dayly", 0, "@daily", "no alias"),
        ("0 0 * * L", 8, "0 0 * * SATL", "FRIL"),
        ("0 24 * * *", 2, "", "0 to 23"),
        ("1,,2 * * * *", 2, "", "commas"),
    ],
)
def test_an_error_points_at_the_culprit(expression: str, position: int, suggestion: str, says: str) -> None:
    with pytest.raises(BadSchedule, match=says.replace("+", r"\+")) as caught:
        compile_schedule(cron(expression))

    assert (caught.value.position, caught.value.suggestion) == (position, suggestion)
    assert caught.value.expression == expression


@pytest.mark.parametrize(
    "expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30W 2 *", "0 0 L-30 2 *", "0 0 30-31 2 */2"]
)
def test_an_impossible_date_is_refused_at_save_and_kept_when_stored(expression: str) -> None:
    stored = compile_schedule(cron(expression))

    assert stored.next_fire(utc(2026, 1, 1)) is None
    assert never_fires(expression)
    with pytest.raises(BadSchedule, match="never fires"):
        check_schedule(cron(expression))


def test_hash_places_depend_on_the_job_and_on_nothing_else() -> None:
    daily = {f"job-{n}": read("H H * * *", f"job-{n}") for n in range(200)}

    places = {(fields.hour.values, fields.minute.values) for fields in daily.values()}

    assert len(places) > 150
    assert daily["job-7"].minute.values == (56,)  # sha256 of "job-7\0minute": the same on every machine, for ever
    assert daily["job-7"] == read("H H * * *", "job-7")


@pytest.mark.parametrize(("field", "places", "bound"), [("minute", 60, 98.3), ("hour", 24, 49.7)])
def test_hash_places_of_a_thousand_jobs_are_spread_evenly(field: str, places: int, bound: float) -> None:
    jobs = (str(uuid5(NAMESPACE_DNS, f"job {n}")) for n in range(1000))

    counts = Counter(getattr(read("H H * * *", job), field).values[0] for job in jobs)

    assert set(counts) == set(range(places))
    expected = 1000 / places
    chi_squared = sum((counts[place] - expected) ** 2 / expected for place in range(places))
    assert chi_squared < bound  # one degree less than places, p = 0.001


@pytest.mark.parametrize("job", [f"job-{n}" for n in range(40)])
def test_a_hashed_field_stays_in_its_range(job: str) -> None:
    fields = read("H(10-20) H/6 H * H", job)

    assert len(fields.minute.values) == 1
    assert 10 <= fields.minute.values[0] <= 20
    assert [b - a for a, b in zip(fields.hour.values, fields.hour.values[1:], strict=False)] == [6, 6, 6]
    assert fields.day.values[0] <= 28


def test_daily_never_becomes_hashed() -> None:
    assert compile_schedule(cron("@daily"), "job-1").next_fire(utc(2026, 1, 1)) == utc(2026, 1, 2)
