"""Anomalies of jobs beside a robust z-score and an isolation forest. usage: anomalies.py [SEED...]

An event counts as found when something is told of the job from its first fire to three fires after its last; whatever
else is told is a false alarm, also what is told of failures that nobody put there.
"""

import time
from collections import Counter
from datetime import UTC, datetime

import numpy as np
from sklearn.ensemble import IsolationForest

from benchmarks.insights.fleet import made_up, of_file
from benchmarks.insights.given import by_itself
from benchmarks.report import Figure
from scheduler_daemon.insights.anomaly import JobWatch

SLACK = 3
QUIET = 5


def engine(job):
    """Return the fires at which the engine tells something, in the way the worker asks it."""
    watch, told = JobWatch(str(job.number)), []
    for place, (due, run) in enumerate(job.fires):
        instant = datetime.fromtimestamp(due, UTC)
        if watch.missed(instant, instant) if run is None else watch.observe(run):
            told.append(place)
    return told


def once(places):
    """Return the first of fires that follow closely on each other."""
    told, last = [], -100
    for place in places:
        if place - last > QUIET:
            told.append(place)
        last = place
    return told


def robust_z(job, limit=6):
    """Return the fires told by the distance from the median of 100 runs, three failures in a row, and missing runs."""
    odd, streak = set(), 0
    for place, (_, run) in enumerate(job.fires):
        streak = 0 if run is None else streak + 1 if run.failed else 0
        if run is None or streak >= 3 or run.delay_s > 30:
            odd.add(place)
    good = [(place, run) for place, (_, run) in enumerate(job.fires) if run is not None and not run.failed]
    values = np.log([[run.duration_s + 0.3, run.output_bytes + 16, run.memory_bytes + 1e6] for _, run in good])
    for series in values.T:
        odd.update(good[place][0] for place in np.flatnonzero(distances(series) > limit))
    return once(sorted(odd))


def distances(series, window=100, least=21):
    """Return how far each value is from the median of those before it, in their median distances."""
    found = np.zeros(len(series))
    for place in range(least, min(window, len(series))):
        found[place] = _far(series[None, :place], series[place : place + 1])[0]
    if len(series) > window:
        before = np.lib.stride_tricks.sliding_window_view(series, window)[:-1]
        found[window:] = _far(before, series[window:])
    return found


def _far(before, values):
    middle = np.median(before, axis=1)
    spread = 1.48 * np.median(np.abs(before - middle[:, None]), axis=1) + 0.02
    return np.abs(values - middle) / spread


def forest(job, share=0.002):
    """Return the fires told by an isolation forest that was trained on the runs before they count; and missing runs."""
    rows, places, odd = [], [], []
    for place, (_, run) in enumerate(job.fires):
        if run is None:
            odd.append(place)
            continue
        rows.append(
            [
                np.log(run.duration_s + 0.3),
                np.log(run.output_bytes + 16),
                np.log(run.memory_bytes + 1e6),
                np.log(run.delay_s + 2),
                run.failed,
                run.at.hour,
            ]
        )
        places.append(place)
    rows, places = np.array(rows), np.array(places)
    before = places < job.counts_from
    trained = IsolationForest(n_estimators=100, random_state=0).fit(rows[before])
    scores = -trained.score_samples(rows)
    limit = np.quantile(scores[before], 1 - share)
    return once(sorted([*odd, *places[(scores > limit) & ~before].tolist()]))


def judged(fleet, told):
    """Return F1, precision, recall, false alarms a job-month, missed runs told of all, and found of each kind."""
    found, false, kinds, missed, missed_told = 0, 0, Counter(), 0, 0
    for job in fleet:
        own = [place for place in told[job.number] if place >= job.counts_from]
        spans = [(first, last + SLACK) for _, first, last in job.events]
        false += sum(not any(first <= place <= last for first, last in spans) for place in own)
        for kind, first, last in job.events:
            hit = any(first <= place <= last + SLACK for place in own)
            found += hit
            kinds[kind, hit] += 1
        gone = {place for place, (_, run) in enumerate(job.fires) if run is None}
        missed += len(gone)
        missed_told += len(gone & set(told[job.number]))
    events = sum(len(job.events) for job in fleet)
    recall, precision = found / max(1, events), found / max(1, found + false)
    f1 = 2 * recall * precision / max(1e-9, recall + precision)
    return f1, precision, recall, false / sum(job.months for job in fleet), (missed_told, missed), kinds


def line(name, way, fleet, told, us=None):
    """Print one line, and what was found of each kind where the time is known."""
    f1, precision, recall, false, (gone_told, gone), kinds = judged(fleet, told)
    text = f"  {name:20} {way:17} F1 {f1:.2f}  precision {precision:.2f}  recall {recall:.2f}"
    print(
        text
        + f"  false a job-month {false:.2f}"
        + f"  missed runs told {gone_told}/{gone}"
        + (f"  {us:.0f} us a run" if us else ""),
        flush=True,
    )
    if us and kinds:
        names = sorted({kind for kind, _ in kinds})
        print(
            "      "
            + ", ".join(f"{kind} {kinds[kind, True]}/{kinds[kind, True] + kinds[kind, False]}" for kind in names)
        )


def fleets(given):
    """Yield name, goal of F1 and fleet."""
    jobgen = given.file("jobgen.py")
    for seed in given.seeds:
        yield f"made up {seed}", 0.75, made_up(seed)
        yield f"made up calm {seed}", None, made_up(seed, calm=True)
        for kind, goal in (("base", 0.75), ("hard", 0.6), ("quiet", 0.75), ("busy", 0.75), ("clean", None)):
            if jobgen:
                yield f"jobgen {kind} {seed}", goal, of_file(jobgen, seed, kind)


def figures(given):
    """Measure, and print each way beside the others."""
    found = []
    for name, goal, fleet in fleets(given):
        before = time.process_time()
        told = {job.number: engine(job) for job in fleet}
        us = (time.process_time() - before) / sum(len(job.fires) for job in fleet) * 1e6
        line(name, "engine", fleet, told, us)
        line(name, "robust z, rules", fleet, {job.number: robust_z(job) for job in fleet})
        line(name, "isolation forest", fleet, {job.number: forest(job) for job in fleet})
        f1, _, _, false, (gone_told, gone), _ = judged(fleet, told)
        if goal:
            found.append(Figure(f"F1, {name}", f1, "", goal, at_least=True))
        found.append(Figure(f"false alarms a job-month, {name}", false, "", 0.3))
        if gone:
            found.append(Figure(f"missed runs told, {name}", gone_told / gone, "", 1, at_least=True))
    return found


if __name__ == "__main__":
    by_itself(figures, __doc__)
