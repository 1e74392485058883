"""How long one next fire takes us, cronsim and croniter, on the same expressions in one run.

Prints microseconds (medians of interleaved rounds) and our time as a share of each. Run: python -m benchmarks.next_fire
Iterators against iterators; `anew` is our stateless call, an aware datetime in and one out, which the others lack.
Last, how long it takes to say that a schedule never fires, all that is remembered of earlier schedules forgotten.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from scheduler_daemon.contract.calendars import CalendarSpec
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.calendar_days import Calendar
from scheduler_daemon.domain.occasions import timetable
from scheduler_daemon.domain.schedule import compile_schedule

START = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
ROUNDS = 5
COMMON = ("* * * * *", "*/5 * * * *", "0 * * * *", "0 9 * * *", "30 2 * * 1-5", "0 0 1 * *", "15 6,18 * * MON")
HARD = ("0 0 29 2 *", "0 0 * 2 MON#5", "0 0 LW * *", "0 0 * * 5#5", "0 0 31 12 *", "59 23 */28 2 0", "0 12 L 2 *")
COLUMNS = ("ours us", "anew", "cronsim", "croniter", "/cronsim", "/croniter")
NEVER: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("0 0 30 2 *", (), ()),
    ("0 12 * * 6", ("work",), ()),
    ("* * * * * *", ("always",), ()),
    ("* * * * * *", (), ("mon..sun",)),
    ("0 12 * * *", ("work:next",), ("12:00-13:00",)),
    ("0 12 * * 0", ("work:next",), ("12:00-13:00",)),
    ("0 3 * * 6,0", ("work:previous",), ("00:00-04:00", "11:00-15:00")),
    ("@rrule FREQ=WEEKLY;BYDAY=SU", ("sundays:next",), ("sat..mon",)),
)
"""Expression, calendars and blackouts; the calendars as RULES has them."""
RULES = {"work": ["sat,sun", "holidays DE"], "always": ["mon..sun"], "sundays": ["sun"]}
NEVER_GOAL_MS = 50.0
GOALS = {"common": 0.25, "hard": 0.1}


def ours(expression: str, zone: str, count: int) -> float:
    schedule = compile_schedule(Schedule(expressions=(expression,), zone=zone))
    found = schedule.fires(START)
    began = perf_counter()
    for _ in range(count):
        next(found)
    return (perf_counter() - began) / count


def ours_asked_anew(expression: str, zone: str, count: int) -> float:
    schedule = compile_schedule(Schedule(expressions=(expression,), zone=zone))
    began = perf_counter()
    after: datetime | None = START
    for _ in range(count):
        assert after is not None
        after = schedule.next_fire(after)
    return (perf_counter() - began) / count


def cronsims(expression: str, zone: str, count: int) -> float:
    found = CronSim(expression, START.astimezone(ZoneInfo(zone)))
    began = perf_counter()
    for _ in range(count):
        next(found)
    return (perf_counter() - began) / count


def croniters(expression: str, zone: str, count: int) -> float:
    found = croniter(expression, START.astimezone(ZoneInfo(zone)))
    began = perf_counter()
    for _ in range(count):
        found.get_next(datetime)
    return (perf_counter() - began) / count


def timed(run: Callable[[str, str, int], float], expression: str, zone: str, count: int) -> float | None:
    """Return microseconds a next fire, or None where the library cannot read the expression."""
    try:
        return run(expression, zone, count) * 1e6
    except (ValueError, KeyError, StopIteration):
        return None


def medians(expression: str, zone: str, count: int) -> list[float | None]:
    runs = (ours, ours_asked_anew, cronsims, croniters)
    rounds = [[timed(run, expression, zone, count) for run in runs] for _ in range(ROUNDS)]
    return [statistics.median(times) if None not in times else None for times in zip(*rounds, strict=True)]


def cell(value: float | None, form: str) -> str:
    return (form.format(value) if value is not None else "-").rjust(10)


def report(group: str, zone: str, expressions: tuple[str, ...], count: int) -> None:
    print(f"\n{f'{group}, {zone}':<20}" + "".join(name.rjust(10) for name in COLUMNS))
    ratios = []
    for expression in expressions:
        times = medians(expression, zone, count)
        mine = times[0]
        assert mine is not None
        of_others = [mine / other if other else None for other in times[2:]]
        ratios.append(of_others[0] or 0.0)
        cells = [cell(time, "{:.2f}") for time in times] + [cell(ratio, "{:.3f}") for ratio in of_others]
        print(f"  {expression:<18}" + "".join(cells))
    print(f"  of cronsim's time: median {statistics.median(ratios):.3f}, worst {max(ratios):.3f}; goal {GOALS[group]}")


def never_ms(schedule: Schedule) -> float:
    """Return how long (ms) it takes to find that a schedule never fires, its calendars read anew."""
    known = {name: Calendar(name, CalendarSpec.model_validate({"rules": rules})) for name, rules in RULES.items()}
    began = perf_counter()
    found = timetable(schedule, "job", known).next_fire(START)
    took = (perf_counter() - began) * 1000
    if found is not None:
        raise RuntimeError(f"{schedule.expressions[0]} with {schedule.calendars} fires at {found}")
    return took


def report_never() -> None:
    print("\nnever fires, Europe/Berlin          ms")
    worst = 0.0
    for expression, calendars, blackouts in NEVER:
        whole = {"expressions": [expression], "zone": "Europe/Berlin", "calendars": calendars, "blackouts": blackouts}
        schedule = Schedule.model_validate(whole)
        took = statistics.median(never_ms(schedule) for _ in range(ROUNDS))
        worst = max(worst, took)
        print(f"  {' '.join((expression, *calendars, *blackouts)):<48}{took:8.2f}")
    print(f"  worst {worst:.1f} ms; goal {NEVER_GOAL_MS:g} ms")


def main() -> None:
    for zone in ("UTC", "Europe/Berlin"):
        report("common", zone, COMMON, 300)
        report("hard", zone, HARD, 20)
    report_never()


if __name__ == "__main__":
    main()
