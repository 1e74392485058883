"""How well failures are foreseen, beside other ways. usage: failures.py [SEED...]

The regression begins with the weights it ships with and learns from run to run, each forecast before its run. What is
trained by night is trained once, on the first 70 %, and all are compared on the last 30 %. Where a generator knows the
probability it drew each failure with, that is told too: nobody who sees the past alone can do better for long.
"""

import time
from typing import NamedTuple

import numpy as np

from benchmarks.insights.fleet import made_up, of_file
from benchmarks.insights.given import by_itself
from benchmarks.report import Figure
from scheduler_daemon.insights.prediction import FailureModel
from scheduler_daemon.insights.prediction_features import FailureHistory
from scheduler_daemon.insights.prediction_nightly import HELD_BACK, choose


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


class Past(NamedTuple):
    """All runs of a fleet in the order of time."""

    rows: np.ndarray
    """Features, a row a run."""
    failed: np.ndarray
    forecast: np.ndarray
    base: np.ndarray
    counts: np.ndarray
    """Whether a run counts: not in the first days of its job."""
    truth: np.ndarray | None
    """The probability it was drawn with."""
    us: float
    """Processor time of learning from a run."""


def lived(fleet):
    """Let the regression live through all runs of a fleet."""
    order = sorted(
        ((each.at, job.number, place, each) for job in fleet for place, (_, each) in enumerate(job.fires) if each),
        key=lambda entry: entry[:2],
    )
    jobs = {job.number: job for job in fleet}
    histories = {job.number: FailureHistory() for job in fleet}
    model, rows, forecast, base = FailureModel(), [], [], []
    for _, number, _, each in order:
        history = histories[number]
        rows.append(model.features(history, each.at, parent_failed=each.parent_failed))
        base.append(history.base())
        forecast.append(model.learn(history, each))
    histories, model = {job.number: FailureHistory() for job in fleet}, FailureModel()
    before = time.process_time()
    for _, number, _, each in order[:20_000]:
        model.learn(histories[number], each)
    us = (time.process_time() - before) / min(len(order), 20_000) * 1e6
    truth = [jobs[number].truth[place] for _, number, place, _ in order] if fleet[0].truth is not None else None
    return Past(
        np.array(rows),
        np.array([float(each.failed) for *_, each in order]),
        np.array(forecast),
        np.array(base),
        np.array([place >= jobs[number].counts_from for _, number, place, _ in order]),
        None if truth is None else np.array(truth),
        us,
    )


def line(name, way, failed, p, more=""):
    """Print one line."""
    good = f"AUC {auc(failed, p):.3f}  ECE {ece(failed, p):.4f}  of the top 2 % {top(failed, p):.2f} failed"
    print(f"  {name:20} {way:30} {good}{more}", flush=True)


def fleets(given):
    """Yield name and fleet."""
    jobgen = given.file("jobgen.py")
    for seed in given.seeds:
        yield f"made up {seed}", made_up(seed)
        for kind in ("base", "hard", "quiet", "busy") if jobgen else ():
            yield f"jobgen {kind} {seed}", of_file(jobgen, seed, kind)


def figures(given):
    """Measure, and print each way beside the others."""
    found = []
    for name, fleet in fleets(given):
        past = lived(fleet)
        failed, forecast, counts = past.failed, past.forecast, past.counts
        line(name, "base rate", failed[counts], past.base[counts])
        line(name, "regression", failed[counts], forecast[counts], f"  {past.us:.0f} us a run")
        note = ""
        if past.truth is not None:
            line(name, "what it was drawn with", failed[counts], past.truth[counts])
            best = auc(failed[counts], past.truth[counts]), top(failed[counts], past.truth[counts])
            note = f"drawn with {best[0]:.3f}, {best[1]:.2f}"
        late = slice(int(len(failed) * (1 - HELD_BACK)), None)
        choice = choose(past.rows, failed, forecast)
        taken = forecast[late] if choice.rule is None else choice.rule.probabilities(past.rows[late])
        line(name, "last 30 %: regression", failed[late], forecast[late])
        line(name, f"last 30 %: {choice.rule.kind if choice.rule else 'nothing better'}", failed[late], taken)
        found += [
            Figure(f"AUC, {name}", auc(failed[counts], forecast[counts]), "", 0.76, at_least=True, note=note),
            Figure(f"expected calibration error, {name}", ece(failed[counts], forecast[counts]), "", 0.01),
            Figure(f"of the top 2 % failed, {name}", top(failed[counts], forecast[counts]), "", 0.3, at_least=True),
            Figure(f"AUC of the last 30 % with what was trained, {name}", auc(failed[late], taken), ""),
        ]
    return found


if __name__ == "__main__":
    by_itself(figures, __doc__)
