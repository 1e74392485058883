"""How long one next fire takes us, cronsim and croniter, on the same expressions in one run.

Prints microseconds (medians of interleaved rounds) and our time as a share of each. Run: python -m benchmarks.next_fire
Iterators against iterators; `anew` is our stateless call, an aware datetime in and one out, which the others lack.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.schedule import compile_schedule

START = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
ROUNDS = 5
COMMON = ("* * * * *", "*/5 * * * *", "0 * * * *", "0 9 * * *", "30 2 * * 1-5", "0 0 1 * *", "15 6,18 * * MON")
HARD = ("0 0 29 2 *", "0 0 * 2 MON#5", "0 0 LW * *", "0 0 * * 5#5", "0 0 31 12 *", "59 23 */28 2 0", "0 12 L 2 *")
COLUMNS = ("ours us", "anew", "cronsim", "croniter", "/cronsim", "/croniter")
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


def main() -> None:
    for zone in ("UTC", "Europe/Berlin"):
        report("common", zone, COMMON, 300)
        report("hard", zone, HARD, 20)


if __name__ == "__main__":
    main()
