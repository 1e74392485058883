"""The score of the Numenta Anomaly Benchmark, standard profile. usage: nab.py

The collections have series as nab/GROUP/NAME.csv and the windows of their anomalies in nab/combined_windows.json.
The scoring follows its description: the first alarm in a window earns by how early it is, others in it nothing, one
outside costs .11, the more the further it is behind a window, a window without one costs 1; the first 15 % are no test.
100 is all windows at their beginning, 0 no alarm. NAB itself chooses the one threshold that scores best over all
series; beside that, each series is scored with the threshold that the others chose.
"""

import csv
import json
import math
import time
from datetime import datetime

import numpy as np

from benchmarks.insights.given import by_itself
from benchmarks.report import Figure
from scheduler_daemon.insights.anomaly import KPI
from scheduler_daemon.insights.anomaly_series import Series, cell_of

FALSE = 0.11
PAUSE = 300
"""After an alarm so many values need to be odder than it was to be another."""


def read(folder):
    """Yield name, instants, values, and the windows as first and last place."""
    windows = json.loads((folder / "combined_windows.json").read_text())
    for path in sorted(folder.glob("*/*.csv")):
        key = f"{path.parent.name}/{path.name}"
        if key not in windows:
            continue
        with path.open() as file:
            rows = list(csv.reader(file))[1:]
        times = [datetime.fromisoformat(row[0]) for row in rows]
        spans = []
        for first, last in windows[key]:
            begin, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
            inside = [place for place, each in enumerate(times) if begin <= each <= end]
            spans.append((inside[0], inside[-1]))
        yield path.stem, times, [float(row[1]) for row in rows], spans


def rarities(times, values):
    """Return how rare each value is for the engine."""
    series = Series(KPI.floor, KPI.relative)
    return [series.step(x, cell_of(at)).rarity for at, x in zip(times, values, strict=True)]


def surprise(times, values):
    """Return the distance of each value from the mean of the last 200 in their deviations: a simple rule beside it."""
    found, x = np.zeros(len(times)), np.array(values)
    for place in range(20, len(x)):
        window = x[max(0, place - 200) : place]
        found[place] = abs(x[place] - window.mean()) / (window.std() + 1e-9)
    return found.tolist()


def alarms(scores):
    """Return place and score of what an event would be told by: nothing for a while but what is odder still."""
    told, last, level = [], -PAUSE - 1, 0.0
    for place, score in enumerate(scores):
        if score >= 1.5 and (place - last > PAUSE or score > level):
            told.append((place, score))
            last, level = place, score
    return told


def scaled(distance):
    """Return 1 well before, 0 at and -1 well after the end of a window; distances are in lengths of it."""
    return -1.0 if distance > 3 else 2 / (1 + math.exp(5 * distance)) - 1


def points(count, spans, places):
    """Return what alarms at `places` earn in a series of `count` values."""
    found, total = set(), 0.0
    for place in sorted(places):
        if place < min(0.15 * count, 750):
            continue
        around = [span for span in spans if span[0] <= place <= span[1]]
        if around:
            first, last = around[0]
            if around[0] not in found:
                total += scaled(-(last - place + 1) / (last - first + 1)) / scaled(-1)
                found.add(around[0])
            continue
        behind = [span for span in spans if span[1] < place]
        total += FALSE * scaled((place - behind[-1][1]) / (behind[-1][1] - behind[-1][0])) if behind else -FALSE
    return total - (len(spans) - len(found))


def score(told, threshold):
    """Return the score of some series at a threshold."""
    windows = sum(len(spans) for _, spans, _ in told)
    total = sum(points(count, spans, [place for place, how in own if how >= threshold]) for count, spans, own in told)
    return 100 * (total + windows) / (2 * windows) if windows else 100 + 100 * total


def best(told):
    """Return the threshold that scores best."""
    tried = np.unique(np.round([how for _, _, own in told for _, how in own], 2))
    return max(tried[:: max(1, len(tried) // 150)], key=lambda threshold: score(told, threshold))


def figures(given):
    """Measure, and print both ways beside each other."""
    folder = given.file("nab")
    if not folder:
        print("  left out: there is no folder of its series")
        return []
    series = list(read(folder))
    found = []
    for name, way in (("engine", rarities), ("mean of 200", surprise)):
        before = time.process_time()
        scores = [way(times, values) for _, times, values, _ in series]
        us = (time.process_time() - before) / sum(len(times) for _, times, _, _ in series) * 1e6
        told = [(len(times), spans, alarms(own)) for (_, times, _, spans), own in zip(series, scores, strict=True)]
        threshold = best(told)
        others = [best(told[:place] + told[place + 1 :]) for place in range(len(told))]
        earned = [
            points(count, spans, [place for place, how in own if how >= limit])
            for (count, spans, own), limit in zip(told, others, strict=True)
        ]
        windows = sum(len(spans) for _, spans, _ in told)
        held = 100 * (sum(earned) + windows) / (2 * windows)
        chosen = f"{score(told, threshold):.1f} at {threshold:.2f}, chosen over these {len(series)} series"
        print(f"  {name:12} {chosen}; {held:.1f} with what the others chose; {us:.1f} us a value")
        for one, points_of, (_, spans, _) in zip(series, earned, told, strict=True):
            print(f"      {one[0]:40} {points_of:+.2f} of {len(spans)} with what the others chose")
        if name == "engine":
            note = f"{len(series)} series"
            found.append(Figure("NAB score", score(told, threshold), "", 45, at_least=True, note=note))
            found.append(Figure("NAB score with the threshold of the other series", held, "", 45, at_least=True))
            found.append(Figure("processor time a value", us, "us", 10))
    return found


if __name__ == "__main__":
    by_itself(figures, __doc__)
