"""Which changes of clocks in the coming year are told of, and that those are the ones that matter."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_daemon.contract.schedule import Gap, Overlap
from scheduler_daemon.domain.clock_changes import clock_changes
from scheduler_daemon.domain.schedule import compile_schedule
from tests.support.times import cron, utc

BERLIN, HOWE, TROLL, APIA = "Europe/Berlin", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia"


def told(expression: str, zone: str = BERLIN, **more: object) -> list[str]:
    after = utc(2011, 6, 1) if zone == APIA else utc(2026, 1, 1)
    return [f"{change.kind} {change.text}" for change in clock_changes(cron(expression, zone=zone, **more), after)]


@pytest.mark.parametrize(
    ("expression", "zone", "notes"),
    [
        ("30 2 * * *", BERLIN, ["moved 2026-03-29 02:30: is skipped and fires at 03:00"]),
        ("30 4 * * *", BERLIN, []),
        ("0 2,3 * * *", BERLIN, ["dropped 2026-03-29 02:00: is skipped and falls together with the fire at 03:00"]),
        ("*/5 2 * * *", BERLIN, ["dropped 2026-03-29 02:00 and 11 more: is skipped and does not fire",
                                 "doubled 2026-10-25 02:00 and 11 more: fires in both passes"]),
        ("*/5 * * * *", BERLIN, []),  # it keeps its pace
        ("15 2 * * *", HOWE, ["moved 2026-10-04 02:15: is skipped and fires at 02:30"]),
        ("0 * * * *", HOWE, ["dropped 2026-10-04 02:00: is skipped and does not fire"]),
        ("30 * * * *", HOWE, ["doubled 2026-04-05 01:30: fires in both passes"]),
        ("30 1,2 * * *", TROLL, ["moved 2026-03-29 01:30 and 1 more: is skipped and fires at 03:00"]),
        ("0 12 * * *", APIA, ["moved 2011-12-30 12:00: is skipped and fires at 00:00"]),
        ("@hourly", APIA, []),
        ("@calendar hourly", BERLIN, ["dropped 2026-10-25 02:00: not in the second pass of the repeated hour"]),
        ("Mon..Sun 02:15", BERLIN, ["dropped 2026-03-29 02:15: is skipped and does not fire"]),
        ("daily UTC", BERLIN, []),
        ("@rrule FREQ=DAILY;BYHOUR=2;BYMINUTE=30", BERLIN, ["dropped 2026-03-29 02:30: is skipped and does not fire"]),
        ("@at 2026-03-29T02:30", BERLIN, ["moved 2026-03-29 02:30: is skipped and fires at 03:00"]),
        ("@at 2026-03-29T03:00", BERLIN, []),
        ("@every 1h", BERLIN, []),
        ("@reboot", BERLIN, []),
    ],
)  # fmt: skip
def test_it_tells(expression: str, zone: str, notes: list[str]) -> None:
    assert told(expression, zone) == notes


def test_it_follows_the_choices_of_the_job() -> None:
    assert told("30 2 * * *", gap="skip", overlap="last") == ["dropped 2026-03-29 02:30: is skipped and does not fire"]
    assert told("30 2 * * *", gap="shift", overlap="both") == [
        "moved 2026-03-29 02:30: is skipped and fires at 03:30",
        "doubled 2026-10-25 02:30: fires in both passes",
    ]


def test_it_keeps_to_the_bounds() -> None:
    assert told("30 2 * * *", end=utc(2026, 3, 29)) == []
    assert told("30 2 * * *", start=utc(2026, 3, 30)) == []
    assert len(clock_changes(cron("30 2 * * *", zone=BERLIN), utc(2026, 1, 1), days=3 * 366)) == 3


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.integers(0, 5), min_size=1, max_size=3),
    st.sets(st.sampled_from([0, 15, 30, 45]), min_size=1, max_size=2),
    st.sampled_from([BERLIN, HOWE, TROLL]),
    st.sampled_from(Gap),
    st.sampled_from(Overlap),
)
def test_where_it_tells_of_nothing_each_day_has_its_fires(
    hours: set[int], minutes: set[int], zone: str, gap: Gap, overlap: Overlap
) -> None:
    expression = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *"
    schedule = cron(expression, zone=zone, gap=gap, overlap=overlap)
    wanted = sorted(f"{hour:02}:{minute:02}" for hour in hours for minute in minutes)

    fires = compile_schedule(schedule).fires(utc(2026, 1, 1), utc(2027, 1, 2))

    days: dict[date, list[str]] = {date(2026, 1, 2) + timedelta(days=n): [] for n in range(363)}
    for fire in (found.astimezone(ZoneInfo(zone)) for found in fires):
        days.get(fire.date(), []).append(f"{fire:%H:%M}")
    odd = {day for day, times in days.items() if sorted(times) != wanted}
    noted = {change.at.astimezone(ZoneInfo(zone)).date() for change in clock_changes(schedule, utc(2026, 1, 2))}
    assert odd == noted
