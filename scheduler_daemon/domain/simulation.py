"""Play a period of a whole fleet: which fires start, wait, are skipped or missed, and how much runs at once.

Pure, and the same for the same plan and seed: the duration of a run is drawn by a hash of seed, job and fire, so what a
change of plan does not touch stays as it was. Runs are decided on by `domain.concurrency`, as they are in earnest, and
the fires of an outage by the rules of `domain.misfire`; jobs that run after others come up by `domain.dependencies`.
Three things are simpler than they are: what runs succeeds at its first attempt unless it is replaced, a run that is
replaced ends at once, and nothing is active when the period begins. Time is in milliseconds since 1970; when a schedule
fires, and how long runs take, is for the caller to know.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final, NamedTuple
from zlib import crc32

from scheduler_daemon.contract.dependencies import TriggerRule
from scheduler_daemon.contract.schedule import Misfire
from scheduler_daemon.domain import dependencies
from scheduler_daemon.domain.concurrency import STEP, Admission, Policy, PoolRoom, decide
from scheduler_daemon.domain.dependencies import Answer, End
from scheduler_daemon.domain.errors import Invalid

ON_TIME: Final = 5_000
"""A fire of an outage that is no later than this, in ms, runs whatever the misfire policy says."""
NAMED_AT_MOST: Final = 1000
"""Of the fires of an outage only so many of a job, the latest, may run."""
_STEP: Final = int(STEP.total_seconds() * 1000)
_NEVER: Final = 1 << 62
_MASK: Final = (1 << 64) - 1


class Job(NamedTuple):
    """A job, as far as it matters when and how long its runs run."""

    key: str
    fires: Sequence[int]
    """Epoch seconds, ascending, each once."""
    durations: Sequence[int]
    """What its runs may take, in ms; one is drawn for each. Not empty."""
    policy: Policy
    pool: str | None = None
    priority: int = 5
    misfire: Misfire = Misfire.RUN_ONCE
    grace: int = 3_600_000
    """How late, in ms, a fire of an outage may still run."""
    held: Sequence[int] = ()
    """By how many ms jitter holds each start, in the order of the fires; empty for none."""
    after: Sequence[int] = ()
    """The places in the plan of the jobs it runs after, for each of their fires by `rule`; it has no own fires then."""
    rule: TriggerRule = TriggerRule.ALL_SUCCESS
    opens: Callable[[int], int] | None = None
    """Before which ms the run after a fire, an epoch second, does not start; None for no such gate."""


class Outage(NamedTuple):
    """From one ms to another, both included, nobody starts anything; what runs, runs on."""

    start: int
    end: int


class Plan(NamedTuple):
    """Everything that decides how a period goes."""

    jobs: Sequence[Job]
    pools: Mapping[str, int] = {}
    """How many slots each has. A pool that is not named here holds nobody back."""
    max_active: int = 1000
    outages: Sequence[Outage] = ()
    """In order, and apart."""
    seed: int = 0
    most_runs: int = 2_000_000
    """Of jobs behind others; more are not played."""


@dataclass(slots=True)
class Tally:
    """How a period went, for one job or for all.

    Each fire is in one of started, skipped, superseded, missed and waiting.
    """

    fires: int = 0
    started: int = 0
    overlaps: int = 0
    """Fires that came while another run of the job was active, whatever became of them."""
    skipped: int = 0
    superseded: int = 0
    """Waited, and gave way to a later run of the job before they began."""
    replaced: int = 0
    """Began, and gave way to a later run of the job."""
    missed: int = 0
    waiting: int = 0
    """Never began: there was never room."""
    peak: int = 0
    """Most runs at once."""
    peak_at: int | None = None
    """When that was first reached."""
    busy: int = 0
    """What the runs took together, in ms."""
    late: Counter[int] = field(default_factory=Counter)
    """How many began so many ms after their fires, jitter not counted; what ran before them in a set is."""

    def lateness(self, share: float) -> int | None:
        """Return by how many ms at most this share of what began was late, None if nothing began."""
        left = max(1, -int(-share * self.late.total() // 1)) if self.late else 0
        for late in sorted(self.late):
            left -= self.late[late]
            if left <= 0:
                return late
        return None

    def add(self, other: "Tally") -> None:
        """Count another job's fires too; its peak is not that of both."""
        for name in ("fires", "started", "overlaps", "skipped", "superseded", "replaced", "missed", "waiting", "busy"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.late.update(other.late)


class Played(NamedTuple):
    """How a period went."""

    fleet: Tally
    jobs: list[Tally]
    """In the order of the plan's."""


def simulate(plan: Plan) -> Played:
    """Play the fires of a plan until nothing runs any more that may end."""
    return _Play(plan).run()


class _Waiter(NamedTuple):
    """A run that waits, in the order of turns."""

    turn: int
    number: int
    job: int
    fire: int


class _Play:
    """A period as it is played."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._jobs = plan.jobs
        self._tallies = [Tally() for _ in plan.jobs]
        self._salts = [crc32(f"{plan.seed}/{job.key}".encode()) << 32 for job in plan.jobs]
        self._held = [dict(zip(job.fires, job.held, strict=False)) for job in plan.jobs]
        self._running: list[dict[int, tuple[int, int]]] = [{} for _ in plan.jobs]
        """By job: its begun runs, when each ends, and its fire."""
        self._waiting: list[dict[int, int]] = [{} for _ in plan.jobs]
        """By job: its runs that wait, and the fire of each."""
        self._parked: list[list[_Waiter]] = [[] for _ in plan.jobs]
        """By job: those of its runs that wait for its own ones."""
        self._queues: dict[str | None, list[_Waiter]] = {}
        self._taken: Counter[str] = Counter()
        self._pool_waiting: Counter[str] = Counter()
        self._ends: list[tuple[int, int, int]] = []
        self._fleet = Tally()
        self._active = 0
        self._numbers = 0
        self._to_serve = False
        self._owed: dict[int, list[int]] = {}
        self._behind: dict[int, list[int]] = {}
        """By job: those that run after it."""
        for index, job in enumerate(plan.jobs):
            for upstream in job.after:
                self._behind.setdefault(upstream, []).append(index)
        self._sets: dict[tuple[int, int], dict[int, End] | None] = {}
        """By job and fire: how those before it ended so far; None once it is decided on."""
        self._news: deque[tuple[int, int, End | None]] = deque()
        """Job, fire and end of what those behind it have not heard yet; without an end, that it has come up."""
        self._gated: list[tuple[int, int, int]] = []
        """When a gate or the end of an outage lets a job come up, the job and the fire."""
        self._away_until = 0
        self._decided = 0

    def run(self) -> Played:
        coming = [(job.fires[0] * 1000, index, 0) for index, job in enumerate(self._jobs) if job.fires]
        heapify(coming)
        outages = iter([*self._plan.outages, Outage(_NEVER, _NEVER)])
        outage = next(outages)
        while coming or self._ends or self._gated or self._owed or self._to_serve:
            now = min(heap[0][0] if heap else _NEVER for heap in (coming, self._ends, self._gated))
            now = min(now, outage.end)
            self._away_until = outage.end if outage.start <= now < outage.end else 0
            self._end_runs(now)
            while coming and coming[0][0] == now:
                _, index, place = coming[0]
                fires = self._jobs[index].fires
                self._come(index, fires[place], now, held=now >= outage.start)
                if place + 1 < len(fires):
                    heapreplace(coming, (fires[place + 1] * 1000, index, place + 1))
                else:
                    heappop(coming)
            if now >= outage.end:
                self._catch_up(now)
                outage = next(outages)
                self._to_serve = True
            while self._gated and self._gated[0][0] <= now:
                _, index, fire = heappop(self._gated)
                if self._away_until > now:  # its gate opens in an outage
                    heappush(self._gated, (self._away_until, index, fire))
                else:
                    self._come_up(index, fire, now)
            self._spread(now)
            if self._to_serve and now < outage.start:
                self._serve(now)
        return self._result()

    def _come(self, index: int, fire: int, now: int, *, held: bool) -> None:
        self._tallies[index].fires += 1
        if held:
            self._owed.setdefault(index, []).append(fire)
        else:
            self._fire(index, fire, now)

    def _catch_up(self, now: int) -> None:
        for index in sorted(self._owed):
            fires = self._owed[index]
            run = _caught_up(self._jobs[index], fires, now)
            self._tallies[index].missed += len(fires) - len(run)
            chosen = set(run)
            self._tell(index, (fire for fire in fires if fire not in chosen), End.SKIPPED)
            for fire in run:
                self._fire(index, fire, now)
        self._owed.clear()

    def _tell(self, index: int, fires: Iterable[int], end: End | None) -> None:
        """Let those behind a job hear how its runs ended, or that they have come up."""
        if index in self._behind:
            self._news.extend((index, fire, end) for fire in fires)

    def _spread(self, now: int) -> None:
        """Decide on the jobs behind what has ended or come up, and on those behind them."""
        while self._news:
            index, fire, end = self._news.popleft()
            for behind in self._behind[index]:
                ends = self._sets.setdefault((behind, fire), {})
                if ends is None:
                    continue
                if end is not None:
                    ends[index] = end
                self._decide(behind, fire, ends, now)

    def _decide(self, index: int, fire: int, ends: Mapping[int, End], now: int) -> None:
        job = self._jobs[index]
        answer = _answer(job.rule, tuple(ends.get(upstream) for upstream in job.after))
        if answer is Answer.WAIT:
            return
        self._sets[index, fire] = None
        self._decided += 1
        if self._decided > self._plan.most_runs:
            raise Invalid(
                f"the period holds more than {self._plan.most_runs:,} runs of jobs behind others; ask for less of it",
                field="to",
            )
        if answer is Answer.START:
            opens = max(self._away_until, job.opens(fire) if job.opens else 0)
            if opens > now:
                heappush(self._gated, (opens, index, fire))
            else:
                self._come_up(index, fire, now)
            return
        self._tallies[index].fires += 1
        self._tallies[index].skipped += 1
        self._tell(index, [fire], End.UPSTREAM_FAILED if answer is Answer.UPSTREAM_FAILED else End.SKIPPED)

    def _come_up(self, index: int, fire: int, now: int) -> None:
        self._tallies[index].fires += 1
        self._fire(index, fire, now)

    def _fire(self, index: int, fire: int, now: int) -> None:
        self._tell(index, [fire], None)
        job, tally = self._jobs[index], self._tallies[index]
        running, waiting = len(self._running[index]), len(self._waiting[index])
        tally.overlaps += running + waiting > 0
        free = self._plan.max_active - self._active
        if job.pool is None and not waiting and free > 0 and (job.policy.slots is None or running < job.policy.slots):
            self._start(index, fire, now)
            return
        decision = decide(job.policy, running, waiting, free, self._room(job.pool))
        if decision.admission is Admission.SKIP:
            tally.skipped += 1
            self._tell(index, [fire], End.SKIPPED)
            return
        if decision.replaces:
            self._make_way(index, now)
        if decision.admission is Admission.START:
            self._start(index, fire, now)
            return
        self._numbers += 1
        self._waiting[index][self._numbers] = fire
        self._pool_waiting[job.pool or ""] += 1
        waiter = _Waiter(now - job.priority * _STEP, self._numbers, index, fire)
        heappush(self._queues.setdefault(job.pool, []), waiter)
        self._to_serve = True

    def _room(self, pool: str | None) -> PoolRoom | None:
        if pool is None or pool not in self._plan.pools:
            return None
        return PoolRoom(pool, self._plan.pools[pool], self._taken[pool], self._pool_waiting[pool])

    def _make_way(self, index: int, now: int) -> None:
        tally = self._tallies[index]
        tally.superseded += len(self._waiting[index])
        self._pool_waiting[self._jobs[index].pool or ""] -= len(self._waiting[index])
        self._tell(index, self._waiting[index].values(), End.SKIPPED)
        self._waiting[index].clear()
        for number, (end, _) in list(self._running[index].items()):
            tally.replaced += 1
            tally.busy -= end - now
            self._end(index, number, End.FAILED)

    def _start(self, index: int, fire: int, now: int) -> None:
        job, tally = self._jobs[index], self._tallies[index]
        self._numbers += 1
        duration = self._draw(index, fire) + (self._held[index].get(fire, 0) if job.held else 0)
        tally.started += 1
        tally.late[now - fire * 1000] += 1
        tally.busy += duration
        self._running[index][self._numbers] = now + duration, fire
        heappush(self._ends, (now + duration, self._numbers, index))
        if job.pool is not None:
            self._taken[job.pool] += 1
        self._active += 1
        if self._active > self._fleet.peak:
            self._fleet.peak, self._fleet.peak_at = self._active, now
        if len(self._running[index]) > tally.peak:
            tally.peak, tally.peak_at = len(self._running[index]), now

    def _draw(self, index: int, fire: int) -> int:
        durations = self._jobs[index].durations
        if len(durations) == 1:
            return durations[0]
        mixed = (self._salts[index] + fire * 0x9E3779B97F4A7C15) & _MASK
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
        return durations[(mixed ^ mixed >> 31) % len(durations)]

    def _end_runs(self, now: int) -> None:
        ends = self._ends
        while ends and ends[0][0] <= now:
            _, number, index = heappop(ends)
            if number in self._running[index]:
                self._end(index, number, End.SUCCESS)

    def _end(self, index: int, number: int, end: End) -> None:
        _, fire = self._running[index].pop(number)
        self._tell(index, [fire], end)
        pool = self._jobs[index].pool
        if pool is not None:
            self._taken[pool] -= 1
        self._active -= 1
        if self._parked[index]:
            queue = self._queues[pool]
            for waiter in self._parked[index]:
                heappush(queue, waiter)
            self._parked[index].clear()
        self._to_serve = True

    def _serve(self, now: int) -> None:
        """Start what waits, in turn, as far as there is room."""
        self._to_serve = False
        while self._active < self._plan.max_active:
            heads = [queue[0] for pool, queue in self._queues.items() if self._has_room(pool) and self._tidy(queue)]
            if not heads:
                return
            chosen = min(heads)
            pool = self._jobs[chosen.job].pool
            heappop(self._queues[pool])
            del self._waiting[chosen.job][chosen.number]
            self._pool_waiting[pool or ""] -= 1
            self._start(chosen.job, chosen.fire, now)

    def _has_room(self, pool: str | None) -> bool:
        slots = self._plan.pools.get(pool) if pool is not None else None
        return slots is None or self._taken[pool or ""] < slots

    def _tidy(self, queue: list[_Waiter]) -> bool:
        """Take away from the head of a queue what may not start; tell whether anything is left."""
        while queue:
            head = queue[0]
            slots = self._jobs[head.job].policy.slots
            if head.number not in self._waiting[head.job]:
                heappop(queue)
            elif slots is not None and len(self._running[head.job]) >= slots:
                self._parked[head.job].append(heappop(queue))
            else:
                return True
        return False

    def _result(self) -> Played:
        for tally, waiting in zip(self._tallies, self._waiting, strict=True):
            tally.waiting = len(waiting)
            self._fleet.add(tally)
        return Played(self._fleet, self._tallies)


@lru_cache(maxsize=4096)
def _answer(rule: TriggerRule, ends: tuple[End | None, ...]) -> Answer:
    return dependencies.decide(rule, {str(place): end for place, end in enumerate(ends)}).answer


def _caught_up(job: Job, fires: Sequence[int], now: int) -> list[int]:
    """Return which of the fires that came due in an outage run at its end, as `domain.misfire` decides it."""
    latest = fires[-NAMED_AT_MOST:]
    late_by = {fire: now - fire * 1000 for fire in latest}
    punctual = [fire for fire in latest if late_by[fire] <= ON_TIME]
    late = [fire for fire in latest if ON_TIME < late_by[fire] <= job.grace]
    if job.misfire is Misfire.RUN_ALL:
        return late + punctual
    if job.misfire is Misfire.RUN_ONCE and not punctual:
        return late[-1:]
    return punctual
