"""Every kind of expression agrees with a look at every second where clocks change by 30 minutes, 2 hours, a day."""

from datetime import datetime, timedelta

from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_daemon.contract.schedule import Gap, Overlap
from scheduler_daemon.domain.schedule import compile_schedule
from tests.support.seconds import CHANGES, HOURS, every_second
from tests.support.times import cron, utc

some_seconds = st.sampled_from([(0,), (30,), (0, 15, 59)])
some_minutes = st.sampled_from([(0,), (30,), (15, 45), tuple(range(60)), tuple(range(0, 60, 7))])
some_hours = st.lists(st.integers(0, 4) | st.integers(0, 23), min_size=1, max_size=4).map(lambda hours: {*hours})
every_hour = st.just(set(range(24)))
changes = st.sampled_from(CHANGES)


def listed(values: object) -> str:
    return ",".join(str(value) for value in sorted(values))  # type: ignore[call-overload]


def times_match(local: int, hours: set[int], minutes: tuple[int, ...], seconds: tuple[int, ...]) -> bool:
    return local // 3600 % 24 in hours and local // 60 % 60 in minutes and local % 60 in seconds


def ours(expression: str, zone: str, start: datetime, **more: object) -> list[datetime]:
    compiled = compile_schedule(cron(expression, zone=zone, **more))
    return list(compiled.fires(start, until=start + timedelta(hours=HOURS, seconds=-1)))


@settings(max_examples=30, deadline=None)
@given(changes, some_hours | every_hour, some_minutes, some_seconds, st.sampled_from(Gap), st.sampled_from(Overlap))
def test_cron_expressions_that_name_times(
    change: tuple[str, datetime],
    hours: set[int],
    minutes: tuple[int, ...],
    seconds: tuple[int, ...],
    gap: Gap,
    overlap: Overlap,
) -> None:
    expression = f"{listed(seconds)} {listed(minutes)} {listed(hours)} * * *"

    fires = ours(expression, *change, gap=gap, overlap=overlap)

    assert fires == every_second(
        *change, lambda local: times_match(local, hours, minutes, seconds), recurs=False, gap=gap, overlap=overlap
    )


@settings(max_examples=30, deadline=None)
@given(changes, some_minutes, some_seconds, st.sampled_from([1, 2, 3, 5]), st.sampled_from(Gap))
def test_cron_expressions_that_recur(
    change: tuple[str, datetime], minutes: tuple[int, ...], seconds: tuple[int, ...], step: int, gap: Gap
) -> None:
    hours = set(range(0, 24, step))

    fires = ours(f"{listed(seconds)} {listed(minutes)} */{step} * * *", *change, gap=gap)

    assert fires == every_second(
        *change,
        lambda local: times_match(local, hours, minutes, seconds),
        recurs=True,
        gap=gap,
        overlap=Overlap.FIRST,
    )


@settings(max_examples=25, deadline=None)
@given(changes, some_hours | every_hour, some_minutes, some_seconds, st.sampled_from(Gap), st.sampled_from(Overlap))
def test_calendar_events_whatever_the_job_chose(
    change: tuple[str, datetime],
    hours: set[int],
    minutes: tuple[int, ...],
    seconds: tuple[int, ...],
    gap: Gap,
    overlap: Overlap,
) -> None:
    expression = f"@calendar {listed(hours)}:{listed(minutes)}:{listed(seconds)}"

    fires = ours(expression, *change, gap=gap, overlap=overlap)

    assert fires == every_second(
        *change,
        lambda local: times_match(local, hours, minutes, seconds),
        recurs=False,
        gap=Gap.SKIP,
        overlap=Overlap.FIRST,
    )


@settings(max_examples=40, deadline=None)
@given(
    changes,
    st.sampled_from(
        [
            "FREQ=MINUTELY;INTERVAL=20",
            "FREQ=HOURLY;INTERVAL=3;BYMINUTE=15,45",
            "FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=30",
            "FREQ=DAILY;BYHOUR=0,1;BYMINUTE=0,45;BYSETPOS=1,-1",
            "FREQ=WEEKLY;BYDAY=SA,SU;BYHOUR=2;BYMINUTE=0,15",
            "FREQ=SECONDLY;INTERVAL=1000",
        ]
    ),
)
def test_recurrence_rules(change: tuple[str, datetime], rule: str) -> None:
    zone, start = change
    begin = utc(start.year, 1, 1, 0, 10)
    as_if_utc = rrulestr(rule, dtstart=begin).between(start - timedelta(days=2), start + timedelta(days=3))
    seconds = {int(time.timestamp()) for time in as_if_utc}

    fires = ours(f"@rrule DTSTART={begin:%Y%m%dT%H%M%S};{rule}", zone, start)

    assert fires == every_second(zone, start, seconds.__contains__, recurs=False, gap=Gap.SKIP, overlap=Overlap.FIRST)
