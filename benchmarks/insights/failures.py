"""How well failures are foreseen, beside other ways. usage: failures.py [--jobgen FILE] [SEED...]

The regression begins with the weights it ships with and learns from run to run, each forecast before its run. Where
scikit-learn trains by night, that is done once, on the first 70 %, and all are compared on the last 30 %.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmarks.insights.fleet import made_up, of_file
from scheduler_daemon.insights.prediction import FailureModel
from scheduler_daemon.insights.prediction_features import FailureHistory
from scheduler_daemon.insights.prediction_nightly import HELD_BACK, train


def auc(failed, p):
    """Return the share of pairs of a failed and a good run of which the failed one was held likelier to fail."""
    _, place, counts = np.unique(p, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    bad = failed.sum()
    return (ranks[failed > 0].sum() - bad * (bad + 1) / 2) / (bad * (len(failed) - bad))


def ece(failed, p, bins=10):
    """Return how far the share that failed is from what was forecast, over tenths of the runs by forecast."""
    parts = np.array_split(np.argsort(p), bins)
    return sum(abs(failed[part].mean() - p[part].mean()) * len(part) for part in parts) / len(p)


def top(failed, p, share=0.02):
    """Return the share that failed of the runs that were held likeliest to."""
    return failed[np.argsort(-p, kind="stable")[: max(1, int(len(p) * share))]].mean()


def lived(fleet):
    """Return features, failed, forecast, base rate and whether it counts, of all runs in the order of time; and us."""
    order = sorted(
        (
            (run.at, job.number, run, place >= job.counts_from)
            for job in fleet
            for place, (_, run) in enumerate(job.fires)
            if run
        ),
        key=lambda each: each[:2],
    )
    histories = {job.number: FailureHistory() for job in fleet}
    model, rows, forecast, base = FailureModel(), [], [], []
    for _, number, run, _ in order:
        history = histories[number]
        rows.append(model.features(history, run.at, parent_failed=run.parent_failed))
        base.append(history.base())
        forecast.append(model.learn(history, run))
    histories, model = {job.number: FailureHistory() for job in fleet}, FailureModel()
    before = time.process_time()
    for _, number, run, _ in order[:20_000]:
        model.learn(histories[number], run)
    us = (time.process_time() - before) / min(len(order), 20_000) * 1e6
    failed, counts = (np.array(list(each)) for each in ((run.failed for _, _, run, _ in order), (c for *_, c in order)))
    return np.array(rows), failed.astype(float), np.array(forecast), np.array(base), counts, us


def line(name, way, failed, p, more=""):
    """Print one line."""
    good = f"AUC {auc(failed, p):.3f}  ECE {ece(failed, p):.4f}  of the top 2 % {top(failed, p):.2f} failed"
    print(f"  {name:20} {way:30} {good}{more}", flush=True)


def main():
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobgen", type=Path)
    parser.add_argument("seeds", type=int, nargs="*", default=[])
    given = parser.parse_args()
    print("failures foreseen, on jobs never seen before (goal: AUC .76, ECE .01, of the top 2 % .30 failed)")
    sources = [(f"made up {seed}", made_up(seed)) for seed in given.seeds or (1, 2)]
    if given.jobgen:
        for seed in given.seeds or (101, 202):
            kinds = ("base", "hard", "quiet", "busy")
            sources += [(f"jobgen {kind} {seed}", of_file(given.jobgen, seed, kind)) for kind in kinds]
    for name, fleet in sources:
        rows, failed, forecast, base, counts, us = lived(fleet)
        line(name, "base rate", failed[counts], base[counts])
        line(name, "regression", failed[counts], forecast[counts], f"  {us:.0f} us a run")
        cut = int(len(failed) * (1 - HELD_BACK))
        late = slice(cut, None)
        network = train(rows, failed, forecast)
        boosted = HistGradientBoostingClassifier(max_iter=80, learning_rate=0.06, max_leaf_nodes=15, random_state=0)
        boosted.fit(rows[:cut], failed[:cut])
        line(name, "last 30 %: regression", failed[late], forecast[late])
        line(name, "last 30 %: gradient boosting", failed[late], boosted.predict_proba(rows[late])[:, 1])
        if network:
            line(name, "last 30 %: network, taken", failed[late], network.probabilities(rows[late]))
        else:
            print(f"  {name:20} the network did not do better, and is not taken")


if __name__ == "__main__":
    main()
