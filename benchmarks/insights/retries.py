"""Learnt retries beside a fixed policy, on a made-up fleet whose failures' ends are known. usage: retries.py [SEED...]

Each failure heals at an instant that its cause draws; a retry before it is wasted. Both ways see the same failures and
may retry as often. Told for a model that knows what the log said, and for one that knows the exit code alone.
"""

import numpy as np

from benchmarks.insights.given import by_itself
from benchmarks.report import Figure
from scheduler_daemon.insights.retry_advice import End, Failed, RetryModel, Tally, judge, replay

FIXED_S = (10, 20, 40)
"""Three retries, from 10 s on, each wait twice the one before."""
MONTHS = 4


def heals(random, cause):
    """Draw after how many seconds a failure is gone."""
    return {
        "refused": lambda: random.lognormal(np.log(4), 0.8),
        "dns": lambda: random.lognormal(np.log(15), 1),
        "rate limit": lambda: random.uniform(60, 120),
        "database down": lambda: random.lognormal(np.log(600), 0.8),
        "lock held": lambda: random.lognormal(np.log(150), 0.7),
        "disk full": lambda: random.lognormal(np.log(20_000), 1),
        "no such file": lambda: random.exponential(40_000) + 3600,
        "bad credentials": lambda: random.exponential(20_000) + 3600,
        "syntax error": lambda: random.exponential(60_000) + 7200,
        "killed": lambda: random.lognormal(np.log(3), 1.5),
    }[cause]()


CODES = {
    **dict.fromkeys(("refused", "dns", "database down", "disk full", "no such file"), "exit 1"),
    **dict.fromkeys(("rate limit", "lock held"), "exit 75"),
    "bad credentials": "exit 77",
    "syntax error": "exit 2",
    "killed": "SIGKILL",
}


def fleet(seed):
    """Return failures in the order of time as (job, cause, again, at, heals, period)."""
    random = np.random.default_rng(seed)
    causes = list(CODES)
    found = []
    for job in range(60):
        period = int(random.choice([900, 3600, 86_400], p=[0.3, 0.5, 0.2]))
        share = random.dirichlet(np.full(len(causes), 0.4))
        at, end = 0.0, MONTHS * 30 * 86_400
        while True:
            at += random.exponential(3 * 86_400)
            if at >= end:
                break
            cause = str(random.choice(causes, p=share))
            gone, fired = heals(random, cause), 0.0
            while True:  # each fire until it is gone fails in the same way
                found.append((f"job {job}", cause, fired > 0, at + fired, gone - fired, period))
                fired += period
                if fired >= min(gone, 20 * period):
                    break
            at += fired
    return sorted(found, key=lambda failure: failure[3])


def seen(gone, waits, period):
    """Return how the retries with some waits went, and the next fire."""
    later, elapsed = [], 0.0
    for wait in waits:
        elapsed += wait
        if elapsed >= period:
            break
        later.append((elapsed, elapsed >= gone))
        if elapsed >= gone:
            break
    if not later or not later[-1][1]:
        later.append((float(period), period >= gone))
    return tuple(later)


def play(failures, *, template):
    """Return the tallies of both, each judged by when the failure was really gone, and learning from its own doing."""
    model, fixed, smart = RetryModel(), Tally(), Tally()
    for job, cause, again, at, gone, period in failures:
        end = End(CODES[cause], cause if template else "", again)
        truth = Failed(job, end, at, ((max(gone, 0.0), True), (max(gone - 0.001, 0.0), False)), period)
        waits = model.advise(job, end, len(FIXED_S), period).waits_s
        fixed = Tally(*map(sum, zip(fixed, judge(truth, FIXED_S), strict=True)))
        smart = Tally(*map(sum, zip(smart, judge(truth, waits), strict=True)))
        model.observe(job, end, seen(gone, waits, period), at, period)
    return fixed, smart


def line(name, fixed, smart):
    """Print both beside each other; return the shares of recoveries kept and of wasted retries spared."""
    for way, tally in (("fixed", fixed), ("learnt", smart)):
        told = f"  not told by the record {tally.untold:,}" if tally.untold else ""
        counts = f"retries {tally.retries:6,}  recovered {tally.recovered:6,}  wasted {tally.wasted:6,}"
        print(f"  {name:34} {way:7} {counts}{told}")
    return smart.recovered / max(1, fixed.recovered), 1 - smart.wasted / max(1, fixed.wasted)


def figures(given):
    """Measure, and print both beside each other."""
    found = []
    for seed in given.seeds:
        failures = fleet(seed)
        print(f"  seed {seed}: {len(failures):,} failures of 60 jobs in {MONTHS} months, fixed waits {FIXED_S} s")
        record = [
            Failed(job, End(CODES[cause], cause, again), at, seen(gone, FIXED_S, period), period)
            for job, cause, again, at, gone, period in failures
        ]
        for name, both in (
            ("by log and code", play(failures, template=True)),
            ("by code", play(failures, template=False)),
            ("by replay of what the fixed ones saw", replay(record, FIXED_S)),
        ):
            kept, spared = line(name, *both)
            found.append(Figure(f"runs recovered, {name}, {seed}", kept, "x fixed"))
            found.append(Figure(f"wasted retries spared, {name}, {seed}", spared, "x fixed"))
    return found


if __name__ == "__main__":
    by_itself(figures, __doc__)
