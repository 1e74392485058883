"""Simulated periods: small ones against a play by brute force, and what each rule comes to by hand."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_daemon.contract.dependencies import TriggerRule
from scheduler_daemon.contract.jobs import Concurrency
from scheduler_daemon.contract.schedule import Misfire
from scheduler_daemon.domain.concurrency import Admission, Policy, PoolRoom, Waiter, choose, decide, policy_of
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.domain.misfire import owed
from scheduler_daemon.domain.simulation import ON_TIME, Job, Outage, Plan, Tally, simulate

START = 1_777_900_000
ALLOW = Policy(Concurrency.ALLOW, None, 0)
FORBID = Policy(Concurrency.FORBID, 1, 0)


def job(*seconds: int, takes: float = 1, policy: Policy = ALLOW, key: str = "job", **fields: Any) -> Job:
    return Job(key, [START + second for second in seconds], [int(takes * 1000)], policy, **fields)


def played(*jobs: Job, **fields: Any) -> Any:
    return simulate(Plan(jobs, **fields))


def ms(second: float) -> int:
    return int((START + second) * 1000)


def test_runs_beside_each_other_are_counted_and_the_peak_is_when_it_was_first_reached() -> None:
    found = played(job(0, 10, 20, takes=15), job(12, takes=1, key="other"))

    assert (found.fleet.fires, found.fleet.started, found.fleet.overlaps) == (4, 4, 2)
    assert (found.fleet.peak, found.fleet.peak_at) == (3, ms(12))
    assert (found.jobs[0].peak, found.jobs[0].peak_at) == (2, ms(10))
    assert found.fleet.busy == 46_000


def test_a_run_that_ends_at_the_instant_of_a_fire_is_not_in_its_way() -> None:
    found = played(job(0, 10, takes=10, policy=FORBID))

    assert (found.fleet.started, found.fleet.overlaps) == (2, 0)


@pytest.mark.parametrize(
    ("policy", "started", "skipped", "replaced", "superseded"),
    [
        ({"concurrency": "forbid"}, 2, 3, 0, 0),
        ({"concurrency": "allow"}, 5, 0, 0, 0),
        ({"concurrency": "allow", "concurrency_limit": 2}, 3, 2, 0, 0),
        ({"concurrency": "replace"}, 5, 0, 4, 0),
        ({"concurrency": "queue_one"}, 3, 2, 0, 0),
        ({"concurrency": "queue_all", "queue_limit": 2}, 4, 1, 0, 0),
    ],
)
def test_each_policy_deals_with_overlaps_in_its_way(policy, started, skipped, replaced, superseded) -> None:
    tally = played(job(0, 10, 20, 30, 40, takes=35, policy=policy_of(policy))).fleet

    assert (tally.started, tally.skipped, tally.replaced, tally.superseded) == (started, skipped, replaced, superseded)


def test_a_pool_lets_wait_and_the_lateness_tells_it() -> None:
    jobs = [job(0, takes=10, key=str(number), pool="db") for number in range(4)]

    tally = played(*jobs, pools={"db": 1}).fleet

    assert tally.late == Counter({0: 1, 10_000: 1, 20_000: 1, 30_000: 1})
    assert (tally.lateness(0.5), tally.lateness(0.99), tally.peak) == (10_000, 30_000, 1)


def test_who_has_priority_goes_first_until_others_have_waited_long_enough() -> None:
    first = job(0, takes=200, key="first", pool="db")
    low = job(10, takes=1, key="low", pool="db", priority=5)
    soon = job(80, takes=1, key="soon", pool="db", priority=6)
    high = job(100, takes=1, key="high", pool="db", priority=8)

    found = played(first, low, soon, high, pools={"db": 1})

    assert [tally.late for tally in found.jobs[1:]] == [{191_000: 1}, {122_000: 1}, {100_000: 1}]


def test_a_pool_without_slots_starts_nothing_and_the_play_ends() -> None:
    tally = played(job(0, 5, pool="none", policy=policy_of({"concurrency": "replace"})), pools={"none": 0}).fleet

    assert (tally.started, tally.waiting, tally.superseded) == (0, 1, 1)


@pytest.mark.parametrize(
    ("misfire", "started", "missed"), [(Misfire.SKIP, 2, 3), (Misfire.RUN_ONCE, 3, 2), (Misfire.RUN_ALL, 5, 0)]
)
def test_the_fires_of_an_outage_run_at_its_end_or_are_missed(misfire, started, missed) -> None:
    outage = Outage(ms(5), ms(95))

    tally = played(job(0, 10, 40, 80, 100, misfire=misfire), outages=[outage]).fleet

    assert (tally.started, tally.missed) == (started, missed)


def test_what_is_older_than_its_grace_at_the_end_of_an_outage_is_missed() -> None:
    tally = played(job(10, 80, misfire=Misfire.RUN_ALL, grace=20_000), outages=[Outage(ms(5), ms(95))]).fleet

    assert tally.late == {15_000: 1}
    assert tally.missed == 1


def test_jitter_holds_a_start_which_is_no_lateness() -> None:
    tally = played(job(0, 60, takes=10, policy=FORBID, held=[55_000, 0])).fleet

    assert (tally.skipped, tally.late) == (1, {0: 1})


def test_durations_are_drawn_evenly_and_are_the_same_for_the_same_seed_only() -> None:
    many = Job("job", [START + 60 * number for number in range(5000)], [1000, 2000, 3000, 4000], ALLOW)

    once, again, other = (simulate(Plan([many], seed=seed)).fleet.busy for seed in (1, 1, 2))

    assert once == again != other
    assert abs(once / 5000 - 2500) < 50


def test_what_a_change_does_not_touch_takes_as_long_as_before() -> None:
    kept = Job("kept", [START + 60 * number for number in range(100)], [1000, 2000, 3000], ALLOW)

    alone = simulate(Plan([kept])).jobs[0]
    beside = simulate(Plan([job(*range(0, 6000, 7), key="new"), kept])).jobs[1]

    assert alone.busy == beside.busy


def test_shares_of_lateness_are_those_of_the_sorted_list() -> None:
    for count in range(1, 40):
        tally = Tally(late=Counter(range(count)))
        for share in (0.5, 0.9, 0.99, 1.0):
            below = sum(late <= tally.lateness(share) for late in range(count))
            assert below >= share * count > below - 1
    assert Tally().lateness(0.5) is None


class Instants:
    """Fires as `domain.misfire` asks for them."""

    def __init__(self, seconds: list[int]) -> None:
        self._fires = [datetime.fromtimestamp(second, UTC) for second in seconds]

    def fires(self, after: datetime, until: datetime, limit: int | None = None) -> list[datetime]:
        return [fire for fire in self._fires if after < fire <= until][:limit]


def brute_force(plan: Plan, seconds: int) -> list[dict[str, Any]]:
    """Play every second in full, with lists: durations are whole seconds."""
    names = ("fires", "started", "overlaps", "skipped", "superseded", "replaced", "missed", "waiting")
    tallies: list[dict[str, Any]] = [dict.fromkeys(names, 0) | {"late": Counter(), "busy": 0} for _ in plan.jobs]
    running: list[tuple[int, int, int]] = []  # (job, end, begin)
    waiting: list[tuple[int, int, int, int]] = []  # (turn, number, job, fire)
    number = 0

    def room(pool: str | None) -> PoolRoom | None:
        if pool not in plan.pools:
            return None
        used = sum(plan.jobs[index].pool == pool for index, *_ in running)
        waits = sum(plan.jobs[index].pool == pool for _, _, index, _ in waiting)
        return PoolRoom(pool, plan.pools[pool], used, waits)

    def start(index: int, fire: int, now: int) -> None:
        running.append((index, now + plan.jobs[index].durations[0] // 1000, now))
        tallies[index]["started"] += 1
        tallies[index]["late"][(now - fire) * 1000] += 1

    def come(index: int, fire: int, now: int) -> None:
        nonlocal number, running, waiting
        one, tally = plan.jobs[index], tallies[index]
        active = sum(each[0] == index for each in running)
        waits = sum(each[2] == index for each in waiting)
        tally["overlaps"] += active + waits > 0
        found = decide(one.policy, active, waits, plan.max_active - len(running), room(one.pool))
        if found.admission is Admission.SKIP:
            tally["skipped"] += 1
            return
        if found.replaces:
            tally["superseded"] += waits
            tally["replaced"] += active
            tally["busy"] += sum(now - begin for other, _, begin in running if other == index)
            running = [each for each in running if each[0] != index]
            waiting = [each for each in waiting if each[2] != index]
        if found.admission is Admission.START:
            start(index, fire, now)
        else:
            number += 1
            waiting.append((now - 60 * one.priority, number, index, fire))

    for now in range(START, START + seconds):
        if now > START + 75 and not running:
            break
        for index, end, begin in running:
            if end <= now:
                tallies[index]["busy"] += end - begin
        running = [each for each in running if each[1] > now]
        out = next((each for each in plan.outages if each.start <= now * 1000 < each.end), None)
        over = next((each for each in plan.outages if each.end == now * 1000), None)
        for index, one in enumerate(plan.jobs):
            tallies[index]["fires"] += now in one.fires
            if over:
                since = datetime.fromtimestamp(over.start // 1000, UTC) - timedelta(seconds=1)
                at, grace = datetime.fromtimestamp(now, UTC), timedelta(milliseconds=one.grace)
                on_time = timedelta(milliseconds=ON_TIME)
                times: Any = Instants(list(one.fires))
                due = owed(times, since, at, policy=one.misfire, grace=grace, on_time=on_time)
                tallies[index]["missed"] += len(due.missed)
                for fire in due.run:
                    come(index, int(fire.timestamp()), now)
            elif not out and now in one.fires:
                come(index, now, now)
        while not out:
            waiters = [
                Waiter(each[1], str(each[2]), plan.jobs[each[2]].policy.slots, plan.jobs[each[2]].pool)
                for each in sorted(waiting)
            ]
            rooms = {name: room(name) for name in plan.pools}
            active = Counter(str(each[0]) for each in running)
            chosen = choose(waiters, active, rooms, plan.max_active - len(running))  # type: ignore[arg-type]  # all known
            if not chosen:
                break
            for each in [each for each in sorted(waiting) if each[1] in chosen]:
                waiting.remove(each)
                start(each[2], each[3], now)
    for each in waiting:
        tallies[each[2]]["waiting"] += 1
    assert not running
    return tallies


POLICIES = [
    {"concurrency": "forbid"},
    {"concurrency": "allow"},
    {"concurrency": "allow", "concurrency_limit": 2},
    {"concurrency": "replace"},
    {"concurrency": "queue_one"},
    {"concurrency": "queue_all", "queue_limit": 3},
    {"concurrency": "queue_all", "queue_limit": 2, "concurrency_limit": 2},
]

JOBS = st.builds(
    Job,
    key=st.just("job"),
    fires=st.sets(st.integers(0, 60), max_size=12).map(lambda found: [START + second for second in sorted(found)]),
    durations=st.integers(1, 25).map(lambda length: [length * 1000]),
    policy=st.sampled_from(POLICIES).map(policy_of),
    pool=st.sampled_from([None, "db", "web", "unknown"]),
    priority=st.integers(0, 9),
    misfire=st.sampled_from(list(Misfire)),
    grace=st.sampled_from([0, 10_000, 3_600_000]),
    held=st.just(()),
    after=st.just(()),
    rule=st.just(TriggerRule.ALL_SUCCESS),
    opens=st.none(),
)


@st.composite
def outages(draw: st.DrawFn) -> list[Outage]:
    marks = sorted(draw(st.sets(st.integers(0, 70), max_size=4)))
    return [Outage(ms(first), ms(last)) for first, last in list(pairwise(marks))[::2]]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(JOBS, max_size=4),
    st.fixed_dictionaries({"db": st.integers(0, 2), "web": st.integers(1, 2)}),
    st.integers(1, 4),
    outages(),
)
def test_a_play_equals_brute_force_over_every_second(jobs, pools, max_active, outs) -> None:
    plan = Plan(jobs, pools, max_active, outs)

    found = simulate(plan)

    expected = brute_force(plan, 1500)
    for tally, wanted in zip(found.jobs, expected, strict=True):
        got = {name: getattr(tally, name) for name in wanted if name != "busy"}
        assert got == {name: value for name, value in wanted.items() if name != "busy"}
        assert tally.busy == wanted["busy"] * 1000
        ended = tally.started + tally.skipped + tally.superseded + tally.missed + tally.waiting
        assert ended == tally.fires


@st.composite
def chains(draw: st.DrawFn) -> list[Job]:
    """Return jobs of which the later ones may run after earlier ones, in nobody's way."""
    made: list[Job] = []
    for number in range(draw(st.integers(1, 8))):
        before = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        fires = [] if before else draw(st.sets(st.integers(0, 60), max_size=4))
        takes = draw(st.integers(1, 25))
        made.append(job(*sorted(fires), takes=takes, key=str(number))._replace(after=tuple(sorted(before))))
    return made


@settings(max_examples=200, deadline=None)
@given(chains())
def test_a_job_starts_when_the_last_of_those_before_it_has_ended(jobs: list[Job]) -> None:
    ends: dict[tuple[int, int], int] = {}
    for place, each in enumerate(jobs):
        roots = [{fire for number, fire in ends if number == upstream} for upstream in each.after]
        for fire in set.intersection(*roots) if roots else set(each.fires):
            begin = max((ends[upstream, fire] for upstream in each.after), default=fire * 1000)
            ends[place, fire] = begin + each.durations[0]

    found = simulate(Plan(jobs))

    for place, tally in enumerate(found.jobs):
        expected = Counter(
            end - jobs[place].durations[0] - fire * 1000 for (number, fire), end in ends.items() if number == place
        )
        assert (tally.late, tally.started) == (expected, expected.total())


def test_one_behind_a_skipped_fire_is_skipped_and_one_that_wants_it_so_starts() -> None:
    first = job(0, 10, takes=15, policy=FORBID, key="first")
    behind = job(takes=1, key="behind")._replace(after=(0,))
    instead = job(takes=1, key="instead")._replace(after=(0,), rule=TriggerRule.ALL_SKIPPED)

    found = played(first, behind, instead)

    assert [(tally.fires, tally.started, tally.skipped) for tally in found.jobs] == [(2, 1, 1), (2, 1, 1), (2, 1, 1)]
    assert [tally.late for tally in found.jobs[1:]] == [{15_000: 1}, {0: 1}]


def test_one_behind_a_run_that_was_replaced_does_not_start() -> None:
    first = job(0, 10, takes=15, policy=policy_of({"concurrency": "replace"}), key="first")

    found = played(first, job(key="behind")._replace(after=(0,)))

    assert (found.jobs[1].started, found.jobs[1].skipped) == (1, 1)


def test_one_whose_set_is_done_in_an_outage_starts_at_its_end_and_none_before_its_gate() -> None:
    first = job(0, takes=10, key="first")
    behind = job(takes=1, key="behind")._replace(after=(0,))
    gated = behind._replace(key="gated", opens=lambda fire: (fire + 300) * 1000)

    found = played(first, behind, gated, outages=[Outage(ms(5), ms(95))])

    assert [tally.late for tally in found.jobs[1:]] == [{95_000: 1}, {300_000: 1}]


def test_a_gate_that_opens_in_an_outage_lets_start_at_its_end_and_too_many_runs_are_refused() -> None:
    first = job(0, takes=10, key="first")
    gated = job(takes=1, key="gated")._replace(after=(0,), opens=lambda fire: (fire + 50) * 1000)

    found = played(first, gated, outages=[Outage(ms(40), ms(95))])

    assert found.jobs[1].late == {95_000: 1}
    with pytest.raises(Invalid, match="more than 1 runs of jobs"):
        played(job(0, 60, key="first"), job(key="behind")._replace(after=(0,)), most_runs=1)


def test_one_that_always_runs_begins_with_those_before_it() -> None:
    found = played(job(0, takes=50), job(key="beside")._replace(after=(0,), rule=TriggerRule.ALWAYS))

    assert found.jobs[1].late == {0: 1}


def test_a_day_of_a_thousand_jobs_is_played_whole() -> None:
    steps = (5, 15, 60, 60, 1440)
    fires = [[START + number % 60 * 60 + 60 * at for at in range(0, 1440, steps[number % 5])] for number in range(1000)]
    jobs = [
        Job(
            str(number), each, [500, 30_000, 70_000], policy_of(POLICIES[number % 7]), pool="db" if number % 4 else None
        )
        for number, each in enumerate(fires)
    ]

    found = simulate(Plan(jobs, {"db": 100}))

    assert found.fleet.fires == sum(map(len, fires)) > 80_000
