"""Fleets of jobs with events in them that are known: made up here, or by a generator in a file."""

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import util

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

    @property
    def months(self):
        """How long it is judged."""
        return (len(self.fires) - self.counts_from) * self.step_s / 86_400 / 30


def observed(job, number, due, took, output, memory, delay, rows, failed, parent_failed):
    """Return a run as the engines are told of it."""
    return Observation(
        job_id=str(job),
        run_id=str(number),
        at=datetime.fromtimestamp(due + delay, UTC),
        duration_s=float(took),
        output_bytes=int(output),
        memory_bytes=int(memory),
        delay_s=float(delay),
        failed=bool(failed),
        outcome="failed" if failed else "succeeded",
        exit_code=int(failed),
        parent_failed=bool(parent_failed),
        input_size=float(rows),
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


def _disturb(random, kind, span, log_took, output, memory, delay, state):
    """Put an event of a kind at the fires of `span`."""
    length = span.stop - span.start
    if kind == "slower once":
        log_took[span] += np.log(random.uniform(3, 8))
    elif kind == "faster":
        log_took[span] -= np.log(random.uniform(4, 15))
        output[span] *= random.uniform(0, 0.4)
    elif kind == "slower for long":
        log_took[span] += np.log(random.uniform(1.6, 3))
    elif kind == "ever slower":
        log_took[span] += np.linspace(0, np.log(random.uniform(2, 3)), length)
    elif kind == "less output":
        output[span] *= random.uniform(0, 0.15)
    elif kind == "more memory":
        memory[span] *= random.uniform(2, 4)
    elif kind == "failures":
        state[span] = 1
    elif kind == "missed":
        state[span] = 2
    else:
        delay[span] += random.uniform(40, 400)


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
        due = np.arange(T0 + random.integers(0, 60) * 60, T0 + DAYS * 86_400, step)
        steps, hour, weekend = len(due), due % 86_400 / 3600, (due // 86_400 + 3) % 7 >= 5
        rows = np.exp(random.normal(0, 0.8 if shape == "by size" else 0.1, steps))
        noise, usual = random.uniform(0.04, 0.14), np.exp(random.uniform(1, np.log(step * 0.2)))
        log_took = random.normal(0, noise, steps) + _times(random, shape, steps, hour, weekend, rows)
        output = np.exp(random.uniform(7, 15) + random.normal(0, 0.1, steps)) * rows
        memory = 1e6 * np.exp(random.uniform(3, 7) + random.normal(0, 0.06, steps))
        delay, state = random.gamma(1.3, 1.2, steps), np.zeros(steps, int)
        warm, events, free = max(40, 14 * 86_400 // step), [], np.ones(steps, bool)
        for kind in random.choice(KINDS, 0 if calm else random.poisson(1.3 * DAYS / 30)):
            length = int(random.integers(*LENGTHS[kind]))
            for start in random.integers(warm, steps - length - 5, 20):
                if free[start - 15 : start + length + 15].all():
                    span = slice(int(start), int(start) + length)
                    free[span] = False
                    _disturb(random, kind, span, log_took, output, memory, delay, state)
                    events.append((str(kind), int(start), int(start) + length - 1))
                    break
        parent = int(random.integers(0, number)) if trouble == "after a parent" else None
        fires = _run(
            random,
            number,
            trouble,
            due,
            hour,
            spells,
            ends,
            parent,
            usual,
            log_took,
            output,
            memory,
            delay,
            rows,
            state,
            free,
            events,
            warm,
            calm,
        )
        fleet.append(Job(number, f"{shape}, fails {trouble}", step, int(warm), fires, events))
    return fleet


def _run(
    random,
    number,
    trouble,
    due,
    hour,
    spells,
    ends,
    parent,
    usual,
    log_took,
    output,
    memory,
    delay,
    rows,
    state,
    free,
    events,
    warm,
    calm,
):
    """Let the runs of a job succeed or fail, one after the other."""
    fires, leak, first = [], 0, 0
    own_ends = ends[number] = (due, np.zeros(len(due), bool))
    for place, instant in enumerate(due.tolist()):
        if state[place] == 2:
            fires.append((instant, None))
            continue
        parent_failed = False
        if parent is not None:
            before = int(np.searchsorted(ends[parent][0], instant)) - 1
            parent_failed = before >= 0 and bool(ends[parent][1][before])
        share = {"hardly ever": 0.002, "now and then": 0.025, "spells": 0.03}.get(trouble, 0.008)
        if trouble == "spells" and any(begin <= instant <= end for begin, end in spells):
            share = 0.85
        if trouble == "by night" and 1 <= hour[place] < 4:
            share = 0.15
        if parent_failed:
            share = 0.5
        if trouble == "with leaks" and not calm:
            if not leak and place > warm and free[place : place + 25].all() and random.random() < 0.004:
                leak, first = 1, place
            if leak:
                log_took[place] += 0.05 * leak
                memory[place] *= 1 + 0.07 * leak
                share = max(share, min(0.8, 0.12 * (leak - 6)))
                leak += 1
        failed = state[place] == 1 or random.random() < share
        if failed and leak:
            events.append(("leak", first, place))
            leak = 0
        if failed:
            log_took[place] -= random.uniform(0, 1.5)
            output[place] *= random.uniform(0, 0.6)
        own_ends[1][place] = failed
        took = usual * np.exp(log_took[place])
        fires.append(
            (
                instant,
                observed(
                    number,
                    place,
                    instant,
                    took,
                    output[place],
                    memory[place],
                    delay[place],
                    rows[place],
                    failed,
                    parent_failed,
                ),
            )
        )
    return fires


def of_file(path, seed, variation):
    """Return the fleet of a generator in a file."""
    spec = util.spec_from_file_location("jobgen", path)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    jobs, runs, events = module.generate(seed, 120, variation)
    own = {job["id"]: runs[runs["job"] == job["id"]] for job in jobs}
    fleet = []
    for job in jobs:
        fires = []
        for run in own[job["id"]]:
            if run["status"] == 2:
                fires.append((float(run["t"]), None))
                continue
            parent_failed = False
            if job["parent"] >= 0:
                parent = own[job["parent"]]
                before = int(np.searchsorted(parent["t"], run["t"])) - 1
                parent_failed = before >= 0 and parent["status"][before] == 1
            number, due, took, output, memory, delay, rows = (
                float(run[name]) for name in ("k", "t", "dur", "out", "mem", "delay", "rows")
            )
            failed = run["status"] == 1
            one = observed(job["id"], int(number), due, took, output, memory * 1e6, delay, rows, failed, parent_failed)
            fires.append((due, one))
        mine = [(str(each["type"]), each["k0"], each["k1"]) for each in events if each["job"] == job["id"]]
        fleet.append(Job(job["id"], job["archetype"], job["step"], job["warm"], fires, mine))
    return fleet
