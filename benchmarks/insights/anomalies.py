"""Anomalies of jobs beside a robust z-score and an isolation forest. usage: anomalies.py [--jobgen FILE] [SEED...]

An event counts as found when something is told of the job from its first fire to three fires after its last; whatever
else is told is a false alarm, also what is told of failures that nobody put there.
"""

import argparse
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sklearn.ensemble import IsolationForest

from benchmarks.insights.fleet import made_up, of_file
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
    past, odd, streak = {"took": [], "output": [], "memory": []}, [], 0
    for place, (_, run) in enumerate(job.fires):
        if run is None:
            odd.append(place)
            continue
        streak = streak + 1 if run.failed else 0
        if streak >= 3 or run.delay_s > 30:
            odd.append(place)
        if run.failed:
            continue
        values = np.log(run.duration_s + 0.3), np.log(run.output_bytes + 16), np.log(run.memory_bytes + 1e6)
        for window, value in zip(past.values(), values, strict=True):
            if len(window) > 20:
                middle = np.median(window)
                spread = 1.48 * np.median(np.abs(np.array(window) - middle)) + 0.02
                if abs(value - middle) > limit * spread and (not odd or odd[-1] != place):
                    odd.append(place)
            window.append(value)
            del window[:-100]
    return once(odd)


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


def main():
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobgen", type=Path)
    parser.add_argument("--quick", action="store_true", help="without the rules it is compared with")
    parser.add_argument("seeds", type=int, nargs="*", default=[])
    given = parser.parse_args()
    print("anomalies (goal: F1 .75 at .3 false alarms a job-month, hard set .60; all missed runs told)")
    sources = [(f"made up {seed}", made_up(seed)) for seed in given.seeds or (1, 2)]
    sources += [(f"made up calm {seed}", made_up(seed, calm=True)) for seed in given.seeds or (1, 2)]
    if given.jobgen:
        for seed in given.seeds or (101, 202):
            kinds = ("base", "hard", "quiet", "busy", "clean")
            sources += [(f"jobgen {kind} {seed}", of_file(given.jobgen, seed, kind)) for kind in kinds]
    for name, fleet in sources:
        before = time.process_time()
        told = {job.number: engine(job) for job in fleet}
        us = (time.process_time() - before) / sum(len(job.fires) for job in fleet) * 1e6
        line(name, "engine", fleet, told, us)
        if not given.quick:
            line(name, "robust z, rules", fleet, {job.number: robust_z(job) for job in fleet})
            line(name, "isolation forest", fleet, {job.number: forest(job) for job in fleet})


if __name__ == "__main__":
    main()
