"""Forecast of load and the spreading of starts, beside last week repeated. usage: moves.py [SEED...]

The histories are those of a fleet made up here, and of a generator of others where there is one.
"""

import re
import time

import numpy as np

from benchmarks.insights.fleet import generator
from benchmarks.insights.given import by_itself
from benchmarks.report import Figure
from scheduler_daemon.domain.shifts import offsets, place
from scheduler_daemon.insights.load import WEEK_S, Known, forecast, mase, occupancy, seasonal
from scheduler_daemon.insights.spread import Starter, spread

T0 = 1_735_689_600  # 2025-01-01T00:00Z
DAYS = 119
BUCKET_S = 300
WEEK = WEEK_S // BUCKET_S
NAMED = """0 3 * * *, @daily, 0 * * * *, @hourly, 30 2 * * *, 0 1 * * *, */15 * * * *, 15 * * * *, 0 4 * * *,
30 * * * *, 0 6 * * *, 5 4 * * *, */30 * * * *, 0 0 * * *"""


def made_up(seed):
    """Yield for each of 60 jobs the starts of its runs, what they took, and its fires, None where nobody knows them."""
    random = np.random.default_rng(seed)
    for job in range(60):
        step = int(random.choice([900, 1800, 3600, 21_600, 86_400]))
        starts = np.arange(T0 + int(random.integers(step // 60)) * 60, T0 + DAYS * 86_400, step)
        usual = np.exp(random.uniform(np.log(5), np.log(min(2500, step * 0.4))))
        hour, weekend = starts % 86_400 / 3600, (starts // 86_400 + 3) % 7 >= 5
        logs = random.normal(0, random.uniform(0.05, 0.3), len(starts))
        logs += random.uniform(0, 0.6) * np.sin(2 * np.pi * (hour - random.uniform(0, 24)) / 24)
        logs += random.uniform(-0.5, 0.5) * weekend + random.uniform(0, 0.5) * (starts - T0) / (DAYS * 86_400)
        known = job % 6 != 0
        if not known:  # by hand, in working hours
            keep = (hour > 8) & (hour < 18) & ~weekend & (random.random(len(starts)) < 0.7)
            starts, logs = starts[keep] + random.integers(0, 600, keep.sum()), logs[keep]
        yield starts.astype(float), usual * np.exp(logs), starts if known else None


def of_jobgen(path, seed, variation):
    """Yield the same of the jobs of a generator in a file."""
    jobs, runs, _ = generator(path).generate(seed, DAYS + 1, variation)
    for job in jobs:
        fires = runs[runs["job"] == job["id"]]
        own = fires[~np.isnan(fires["dur"])]
        yield own["t"] + own["delay"], own["dur"], fires["t"]


def forecasts(histories):
    """Return the mean MASE of the last four weeks, one ahead each: last week repeated, median of weeks, known fires."""
    jobs, buckets = list(histories), DAYS * 86_400 // BUCKET_S
    load = sum(occupancy(starts, took, T0, BUCKET_S, buckets) for starts, took, _ in jobs)
    figures = []
    for back in range(4, 0, -1):
        cut = buckets - back * WEEK
        first, past, actual = T0 + cut * BUCKET_S, load[:cut], load[cut : cut + WEEK]
        known, rest = [], np.zeros(cut)
        for starts, took, fires in jobs:
            if fires is None:
                rest += occupancy(starts, took, T0, BUCKET_S, cut)
                continue
            recent = (starts < first) & (starts > first - 4 * WEEK_S)
            coming = fires[(fires >= first - 3600) & (fires < first + WEEK_S)]
            known.append(Known(coming, starts[recent], took[recent]))
        weekly, both = seasonal(past, WEEK, WEEK), forecast(rest, known, first, BUCKET_S, WEEK)
        within = (actual >= both.low - 1e-9) & (actual <= both.high + 1e-9)
        guesses = (past[-WEEK:], weekly.expected, both.expected)
        figures.append([mase(actual, guess, past, WEEK) for guess in guesses] + [within.mean()])
    return np.mean(figures, axis=0)


def fleet(seed, count=1000):
    """Return jobs of a usual crontab, which begin on the hour, at the quarters and by night."""
    random = np.random.default_rng(seed)
    jobs = []
    for number in range(count):
        text = str(random.choice(re.split(r",\s", NAMED)))
        allowed = np.array(offsets(text))
        first, every = -allowed.min(), 60 if len(allowed) == 60 else len(allowed)
        hour = place(text).hour
        fires = np.arange(first, 1440, every) if hour is None else np.array([hour * 60 + first])
        takes = int(np.clip(np.ceil(random.lognormal(1, 1)), 1, every))
        jobs.append(Starter(str(number), fires, takes, allowed))
    return jobs


def figures(given):
    """Measure, and print each way beside the others."""
    found = []
    sources = [("made up", seed, made_up(seed)) for seed in given.seeds]
    if jobgen := given.file("jobgen.py"):
        kinds = ("base", "hard", "quiet", "busy", "clean")
        sources += [(f"jobgen {kind}", seed, of_jobgen(jobgen, seed, kind)) for kind in kinds for seed in given.seeds]
    print("  load forecast, MASE of a week ahead, 5-minute buckets")
    for name, seed, histories in sources:
        last, median, known, within = forecasts(histories)
        guesses = f"last week {last:.3f}  median of 4 weeks {median:.3f}  with known fires {known:.3f}"
        print(f"  {name:14} seed {seed:<4} {guesses}  in the interval of 8 in 10: {within:.2f}")
        note = f"last week {last:.2f}, median of weeks {median:.2f}; {within:.0%} within the interval of 8 in 10"
        found.append(Figure(f"MASE of the load forecast, {name} {seed}", known, "", 0.9, note=note))
    print("  starts of 1,000 jobs of a usual crontab in a day")
    for seed in given.seeds:
        jobs = fleet(seed)
        before = time.process_time()
        spreading = spread(jobs, 1440)
        took = time.process_time() - before
        first = spreading.moves[0]
        less = 1 - spreading.peak_then / spreading.peak_now
        peaks = f"peak {spreading.peak_now:.0f} -> {spreading.peak_then:.0f}"
        one = f"the first takes a job from {first.beside_now:.0f} others to {first.beside_then:.0f}"
        print(f"  seed {seed:<4} {peaks}  {len(spreading.moves)} moves in {took:.2f} s of processor time; {one}")
        found.append(Figure(f"peak of 1,000 starts less by, {seed}", less, "", 0.6, at_least=True, note=peaks))
        found.append(Figure(f"to find the moves, {seed}", took, "s", 2))
    return found


if __name__ == "__main__":
    by_itself(figures, __doc__)
