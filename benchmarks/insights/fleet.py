"""Fleets of jobs with events in them that are known: made up here, or by a generator in a file."""

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import util
from typing import NamedTuple

import numpy as np

from scheduler_daemon.insights.observation import Observation

T0 = 1_767_225_600.0  # 2026-01-01T00:00Z
DAYS = 90
KINDS = (
    "slower once",
    "faster",
    "slower for long",
    "ever slower",
    "less output",
    "more memory",
    "failures",
    "missed",
    "late",
)


@dataclass
class Job:
    """A job, what happened at each of its fires, and from which on it counts."""

    number: int
    label: str
    step_s: int
    counts_from: int
    fires: list  # of (instant due, Observation or None where none came)
    events: list  # of (kind, first fire, last fire)
    truth: list | None = None  # by fire, with which probability the run was made to fail

    @property
    def months(self):
        """How long it is judged."""
        return (len(self.fires) - self.counts_from) * self.step_s / 86_400 / 30


class Figures(NamedTuple):
    """What a run took, in seconds and bytes."""

    took: float
    output: float
    memory: float
    delay: float
    rows: float


def observed(job, number, due, figures, *, failed, parent_failed):
    """Return a run as the engines are told of it."""
    delay = float(figures.delay)
    return Observation(
        job_id=str(job),
        run_id=str(number),
        at=datetime.fromtimestamp(due + delay, UTC),
        duration_s=float(figures.took),
        output_bytes=int(figures.output),
        memory_bytes=int(figures.memory),
        delay_s=delay,
        failed=bool(failed),
        outcome="failed" if failed else "succeeded",
        exit_code=int(failed),
        parent_failed=bool(parent_failed),
        input_size=float(figures.rows),
    )


def _times(random, shape, steps, hour, weekend, rows):
    """Return the logarithm of how much longer than usual each run takes, by the habit of the job."""
    if shape == "waves":
        return random.uniform(0.2, 0.6) * np.cos(2 * np.pi * (hour - random.uniform(0, 24)) / 24)
    if shape == "weekends":
        return random.uniform(0.3, 0.9) * weekend
    if shape == "two modes":
        return random.uniform(1.2, 2.2) * (random.random(steps) < random.uniform(0.08, 0.25))
    if shape == "wild":
        return random.standard_t(4, steps) * 0.35
    if shape == "by size":
        return np.log(rows)
    if shape == "wanders":
        return _wander(random, steps)
    return np.zeros(steps)


def _wander(random, steps):
    level, found = 0.0, np.zeros(steps)
    for place in range(steps):
        level = 0.9 * level + random.normal(0, 0.1)
        found[place] = level
    return found


@dataclass
class Plan:
    """What the runs of a job are to be, an entry a fire."""

    due: np.ndarray
    hour: np.ndarray
    usual: float
    """Seconds."""
    log_took: np.ndarray
    output: np.ndarray
    memory: np.ndarray
    delay: np.ndarray
    rows: np.ndarray
    state: np.ndarray
    """1 fails, 2 never comes."""
    free: np.ndarray
    """Whether no event is there."""
    warm: int
    events: list


def _planned(random, shape, step, *, calm):
    due = np.arange(T0 + random.integers(0, 60) * 60, T0 + DAYS * 86_400, step)
    steps, hour, weekend = len(due), due % 86_400 / 3600, (due // 86_400 + 3) % 7 >= 5
    rows = np.exp(random.normal(0, 0.8 if shape == "by size" else 0.1, steps))
    noise, usual = random.uniform(0.04, 0.14), np.exp(random.uniform(1, np.log(step * 0.2)))
    log_took = random.normal(0, noise, steps) + _times(random, shape, steps, hour, weekend, rows)
    output = np.exp(random.uniform(7, 15) + random.normal(0, 0.1, steps)) * rows
    memory = 1e6 * np.exp(random.uniform(3, 7) + random.normal(0, 0.06, steps))
    delay, warm = random.gamma(1.3, 1.2, steps), max(40, 14 * 86_400 // step)
    plan = Plan(
        due, hour, usual, log_took, output, memory, delay, rows, np.zeros(steps, int), np.ones(steps, bool), warm, []
    )
    for kind in random.choice(KINDS, 0 if calm else random.poisson(1.3 * DAYS / 30)):
        _place(random, str(kind), plan)
    return plan


def _place(random, kind, plan):
    """Put an event of a kind where there is room, if there is any."""
    length = int(random.integers(*LENGTHS[kind]))
    for start in map(int, random.integers(plan.warm, len(plan.due) - length - 5, 20)):
        if plan.free[start - 15 : start + length + 15].all():
            span = slice(start, start + length)
            plan.free[span] = False
            _disturb(random, kind, span, plan)
            plan.events.append((kind, start, start + length - 1))
            return


def _disturb(random, kind, span, plan):
    """Put an event of a kind at the fires of `span`."""
    if kind == "slower once":
        plan.log_took[span] += np.log(random.uniform(3, 8))
    elif kind == "faster":
        plan.log_took[span] -= np.log(random.uniform(4, 15))
        plan.output[span] *= random.uniform(0, 0.4)
    elif kind == "slower for long":
        plan.log_took[span] += np.log(random.uniform(1.6, 3))
    elif kind == "ever slower":
        plan.log_took[span] += np.linspace(0, np.log(random.uniform(2, 3)), span.stop - span.start)
    elif kind == "less output":
        plan.output[span] *= random.uniform(0, 0.15)
    elif kind == "more memory":
        plan.memory[span] *= random.uniform(2, 4)
    elif kind == "failures":
        plan.state[span] = 1
    elif kind == "missed":
        plan.state[span] = 2
    else:
        plan.delay[span] += random.uniform(40, 400)


LENGTHS = {
    "slower once": (1, 2),
    "faster": (1, 2),
    "slower for long": (10, 40),
    "ever slower": (25, 60),
    "less output": (1, 4),
    "more memory": (1, 6),
    "failures": (4, 9),
    "missed": (1, 4),
    "late": (1, 5),
}
SHAPES = ("steady", "waves", "weekends", "two modes", "wild", "by size", "wanders")
TROUBLES = ("hardly ever", "now and then", "spells", "by night", "after a parent", "with leaks")


def made_up(seed, *, calm=False, jobs=42):
    """Return a fleet; a calm one has no events."""
    random = np.random.default_rng(seed)
    spells = [
        (start, start + random.uniform(1800, 10_000)) for start in T0 + np.sort(random.uniform(0, DAYS * 86_400, 10))
    ]
    fleet, ends = [], {}
    for number in range(jobs):
        shape, trouble = SHAPES[number % len(SHAPES)], TROUBLES[number % len(TROUBLES)]
        step = int(random.choice([1800, 3600, 3600, 21_600]))
        plan = _planned(random, shape, step, calm=calm)
        parent = ends[int(random.integers(0, number))] if trouble == "after a parent" else None
        ends[number] = plan.due, np.zeros(len(plan.due), bool)
        own_spells = spells if trouble == "spells" else []
        life = _Life(random, trouble, own_spells, parent, leaks=trouble == "with leaks" and not calm)
        fires, truth = _run(random, number, plan, life, ends[number][1])
        fleet.append(Job(number, f"{shape}, fails {trouble}", step, plan.warm, fires, plan.events, truth))
    return fleet


class _Life:
    """What makes the runs of a job fail, one after the other."""

    def __init__(self, random, trouble, spells, parent, *, leaks):
        self._random, self._spells, self._parent, self._leaks = random, spells, parent, leaks
        self._usual = {"hardly ever": 0.002, "now and then": 0.025, "spells": 0.03}.get(trouble, 0.008)
        self._night = trouble == "by night"
        self._leak = self._first = 0

    def parent_failed(self, instant):
        """Tell whether the last run of the parent failed."""
        if self._parent is None:
            return False
        due, failed = self._parent
        before = int(np.searchsorted(due, instant)) - 1
        return before >= 0 and bool(failed[before])

    def share(self, plan, place, *, parent_failed):
        """Return how likely a run fails; where memory leaks it takes its part."""
        share = self._usual
        if any(begin <= plan.due[place] <= end for begin, end in self._spells):
            share = 0.85
        if self._night and 1 <= plan.hour[place] < 4:
            share = 0.15
        if parent_failed:
            share = 0.5
        return max(share, self._leaked(plan, place)) if self._leaks else share

    def _leaked(self, plan, place):
        if (
            not self._leak
            and place > plan.warm
            and plan.free[place : place + 25].all()
            and self._random.random() < 0.004
        ):
            self._leak, self._first = 1, place
        if not self._leak:
            return 0.0
        plan.log_took[place] += 0.05 * self._leak
        plan.memory[place] *= 1 + 0.07 * self._leak
        self._leak += 1
        return min(0.8, 0.12 * (self._leak - 7))

    def failed(self, plan, place):
        """Begin anew after a failure."""
        if self._leak:
            plan.events.append(("leak", self._first, place))
            self._leak = 0


def _run(random, number, plan, life, failures):
    """Let the runs of a job succeed or fail, one after the other; return its fires, and how likely each was to fail."""
    fires, truth = [], []
    for place, instant in enumerate(plan.due.tolist()):
        if plan.state[place] == 2:
            fires.append((instant, None))
            truth.append(0.0)
            continue
        parent_failed = life.parent_failed(instant)
        share = life.share(plan, place, parent_failed=parent_failed)
        failed = plan.state[place] == 1 or random.random() < share
        if failed:
            life.failed(plan, place)
            plan.log_took[place] -= random.uniform(0, 1.5)
            plan.output[place] *= random.uniform(0, 0.6)
        failures[place] = failed
        truth.append(share)
        fires.append((instant, _observed(number, place, plan, failed=failed, parent_failed=parent_failed)))
    return fires, truth


def _observed(number, place, plan, *, failed, parent_failed):
    due, took = float(plan.due[place]), plan.usual * np.exp(plan.log_took[place])
    figures = Figures(took, plan.output[place], plan.memory[place], plan.delay[place], plan.rows[place])
    return observed(number, place, due, figures, failed=failed, parent_failed=parent_failed)


def generator(path):
    """Return the module of a generator in a file."""
    spec = util.spec_from_file_location("jobgen", path)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of_file(path, seed, variation):
    """Return the fleet of a generator in a file."""
    jobs, runs, events = generator(path).generate(seed, 120, variation)
    own = {job["id"]: runs[runs["job"] == job["id"]] for job in jobs}
    fleet = []
    for job in jobs:
        fires = []
        for run in own[job["id"]]:
            due = float(run["t"])
            if run["status"] == 2:
                fires.append((due, None))
                continue
            parent_failed = False
            if job["parent"] >= 0:
                parent = own[job["parent"]]
                before = int(np.searchsorted(parent["t"], run["t"])) - 1
                parent_failed = before >= 0 and parent["status"][before] == 1
            figures = Figures(run["dur"], run["out"], run["mem"] * 1e6, run["delay"], run["rows"])
            failed = run["status"] == 1
            fires.append(
                (due, observed(job["id"], int(run["k"]), due, figures, failed=failed, parent_failed=parent_failed))
            )
        mine = [(str(each["type"]), each["k0"], each["k1"]) for each in events if each["job"] == job["id"]]
        truth = own[job["id"]]["p_true"].tolist()
        fleet.append(Job(job["id"], job["archetype"], job["step"], job["warm"], fires, mine, truth))
    return fleet
