"""What was found is recorded once, seen by whom it concerns, judged, applied as an ordinary edit, and undone."""

from datetime import timedelta
from typing import Any

import pytest

from scheduler_daemon.contract.insights import (
    Action,
    ActionVerb,
    Finding,
    Insight,
    InsightDecision,
    InsightSnooze,
    InsightState,
    LogEvidence,
    MetricEvidence,
    Severity,
)
from scheduler_daemon.contract.jobs import JobPatch, JobView
from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from scheduler_daemon.services import insights, jobs
from scheduler_daemon.storage import people
from scheduler_daemon.storage.session import Database
from tests.support.world import MINUTE, NOON, add_job, rows

LATER = NOON + 10 * MINUTE
DAY = timedelta(days=1)
BECAUSE = InsightDecision(reason="as proposed")


def finding(job: JobView | None, key: str = "a", action: Action | None = None, **fields: Any) -> Finding:
    return Finding(
        **{
            "key": key,
            "job_id": job.id if job else None,
            "kind": "slow",
            "severity": Severity.WARNING,
            "confidence": 0.9,
            "title": "it is slow",
            "action": action,
            "at": NOON,
            "expires": NOON + 7 * DAY,
            **fields,
        }
    )


async def recorded(database: Database, *found: Finding) -> list[Insight]:
    await database.write(lambda db: insights.keep(db, found, NOON))
    return [insights.view(row) for row in await database.read(_all)]


def _all(db: Any) -> list[Any]:
    from scheduler_daemon.storage import insights as stored

    return list(reversed(stored.page(db, limit=1000)))


async def test_a_finding_that_is_told_twice_is_one_insight_and_one_event(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    evidence = (
        MetricEvidence(metric="duration", value=90, expected=30, unit="s", run_ids=(1, 2)),
        LogEvidence(run_id=2, first_line=3, last_line=4, text="no space left"),
    )
    told = finding(job, evidence=evidence)

    first = await database.write(lambda db: insights.keep(db, [told], NOON))
    again = await database.write(lambda db: insights.keep(db, [told, finding(job, "b")], NOON))

    page = await database.read(lambda db: insights.page(db, admin, job="job"))
    events = await database.read(lambda db: rows(db, "events"))
    assert (first, again) == (1, 1)
    assert [(each.title, each.state, each.job) for each in page.items] == [("it is slow", "open", "job")] * 2
    assert evidence in [each.evidence for each in page.items]
    assert [event.kind for event in events] == ["job", "insight", "insight"]
    assert events[1].doc == next(each for each in page.items if each.evidence).model_dump(mode="json")


async def test_what_is_found_of_a_job_that_is_gone_is_dropped(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    await recorded(database, finding(job))
    await database.write(lambda db: jobs.delete(db, admin, "job", LATER))

    new = await database.write(lambda db: insights.keep(db, [finding(job, "b")], LATER))

    assert new == 0
    assert (await database.read(lambda db: insights.page(db, admin))).items == []


async def test_each_sees_and_judges_only_what_is_found_of_own_jobs(
    database: Database, admin: Actor, ada: Actor, vic: Actor
) -> None:
    mine = await database.write(lambda db: add_job(db, ada, "mine", user="ada"))
    other = await database.write(lambda db: add_job(db, admin, "other"))
    fleet, of_other, of_mine = await recorded(
        database, finding(mine, "m", at=NOON + 2 * MINUTE), finding(other, "o", at=NOON + MINUTE), finding(None, "f")
    )

    seen = {
        actor.name: [each.id for each in (await database.read(lambda db, actor=actor: insights.page(db, actor))).items]
        for actor in (admin, ada, vic)
    }

    assert seen == {"root": [of_mine.id, of_other.id, fleet.id], "ada": [of_mine.id], "vic": []}
    with pytest.raises(NotFound):
        await database.write(lambda db: insights.apply(db, ada, of_other.id, BECAUSE, LATER))
    viewer = ada.model_copy(update={"role": Role.VIEWER})
    with pytest.raises(NotAllowed):
        await database.write(lambda db: insights.judge(db, viewer, of_mine.id, InsightState.DISMISSED, BECAUSE, LATER))


async def test_a_list_goes_on_from_its_cursor_and_a_spoilt_one_is_refused(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    await recorded(database, *(finding(job, str(number), at=NOON + number % 3 * MINUTE) for number in range(7)))

    seen: list[str] = []
    cursor = None
    while cursor is not None or not seen:
        page = await database.read(lambda db, cursor=cursor: insights.page(db, admin, limit=2, cursor=cursor))
        seen += [each.id for each in page.items]
        cursor = page.next

    whole = await database.read(lambda db: insights.page(db, admin))
    assert seen == [each.id for each in whole.items]
    assert len(set(seen)) == 7
    with pytest.raises(Invalid, match="begin the list again"):
        await database.read(lambda db: insights.page(db, admin, cursor="x"))


async def test_an_insight_is_found_by_the_beginning_of_its_id_when_there_is_only_one(
    database: Database, admin: Actor
) -> None:
    (made,) = await recorded(database, finding(None))

    shown = await database.read(lambda db: insights.show(db, admin, made.id[:8]))

    assert shown == made
    with pytest.raises(NotFound, match="there is no insight 'ffff'"):
        await database.read(lambda db: insights.show(db, admin, "ffff"))


@pytest.mark.parametrize(
    ("verb", "field", "before", "value"),
    [
        (ActionVerb.SET_TIMEOUT, "timeout_ms", None, 60_000),
        (ActionVerb.SET_MEMORY_LIMIT, "limits", None, 64 << 20),
        (ActionVerb.SET_RETRY, "retry", None, {"attempts": 3}),
        (ActionVerb.SET_SCHEDULE, "schedule", {"expressions": ["* * * * *"]}, {"expressions": ["7 * * * *"]}),
    ],
)
async def test_applying_saves_a_version_that_undo_takes_back(
    database: Database, admin: Actor, verb: ActionVerb, field: str, before: Any, value: Any
) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    (made,) = await recorded(database, finding(job, action=Action(verb=verb, value=value, before=before)))

    applied = await database.write(lambda db: insights.apply(db, admin, made.id, BECAUSE, LATER))
    changed = await database.read(lambda db: jobs.show(db, admin, "job"))
    undone = await database.write(lambda db: insights.undo(db, admin, made.id, BECAUSE, LATER + DAY))
    restored = await database.read(lambda db: jobs.show(db, admin, "job"))

    assert (applied.state, applied.applied_version, applied.decided_by) == ("applied", 2, "root")
    assert applied.undo_until == LATER + timedelta(days=30)
    assert (changed.version, undone.state, restored.version) == (2, "reverted", 3)
    assert changed.spec != job.spec
    assert getattr(changed.spec, field) != getattr(job.spec, field)
    assert restored.spec == job.spec
    acts = await database.read(lambda db: people.acts(db, job.id))
    verbs = ["insight.reverted", "job.edit", "insight.applied", "job.edit", "job.create"]
    assert [act.verb for act in acts] == verbs
    assert "as proposed" in acts[3].detail["message"]


async def test_a_job_that_was_edited_since_is_left_as_it_is(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin, timeout_ms=1000))
    action = Action(verb=ActionVerb.SET_TIMEOUT, value=60_000, before=1000)
    first, second = await recorded(database, finding(job, action=action), finding(job, "b", action))
    applied = await database.write(lambda db: insights.apply(db, admin, first.id, BECAUSE, LATER))
    patch = JobPatch(version=2, changes={"timeout_ms": 5000})
    await database.write(lambda db: jobs.edit(db, admin, "job", patch, LATER))

    with pytest.raises(Conflict, match="has been changed since"):
        await database.write(lambda db: insights.apply(db, admin, second.id, BECAUSE, LATER))
    with pytest.raises(Conflict, match="has been changed since"):
        await database.write(lambda db: insights.undo(db, admin, first.id, BECAUSE, LATER))

    now = await database.read(lambda db: insights.show(db, admin, first.id))
    assert now == applied
    assert (await database.read(lambda db: jobs.show(db, admin, "job"))).spec.timeout_ms == 5000


@pytest.mark.parametrize(
    ("verb", "value"),
    [
        (ActionVerb.SET_TIMEOUT, -5),
        (ActionVerb.SET_RETRY, {"attempts": "rm -rf"}),
        (ActionVerb.SET_MEMORY_LIMIT, 1),
        (ActionVerb.SET_SCHEDULE, {"expressions": ["99 * * * *"]}),
    ],
)
async def test_what_is_proposed_is_validated_as_any_edit(
    database: Database, admin: Actor, verb: ActionVerb, value: Any
) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    before = {"expressions": ["* * * * *"]} if verb is ActionVerb.SET_SCHEDULE else None
    (made,) = await recorded(database, finding(job, action=Action(verb=verb, value=value, before=before)))

    with pytest.raises(Invalid):
        await database.write(lambda db: insights.apply(db, admin, made.id, BECAUSE, LATER))

    assert (await database.read(lambda db: jobs.show(db, admin, "job"))).version == 1
    assert (await database.read(lambda db: insights.show(db, admin, made.id))).state == "open"


async def test_pausing_is_applied_and_undone_by_resuming(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    (made,) = await recorded(database, finding(job, action=Action(verb=ActionVerb.PAUSE)))

    await database.write(lambda db: insights.apply(db, admin, made.id, BECAUSE, LATER))
    paused = await database.read(lambda db: jobs.show(db, admin, "job"))
    await database.write(lambda db: insights.undo(db, admin, made.id, BECAUSE, LATER))

    assert paused.paused
    assert not (await database.read(lambda db: jobs.show(db, admin, "job"))).paused


async def test_after_thirty_days_nothing_is_undone(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    (made,) = await recorded(database, finding(job, action=Action(verb=ActionVerb.SET_TIMEOUT, value=60_000)))
    await database.write(lambda db: insights.apply(db, admin, made.id, BECAUSE, LATER))

    with pytest.raises(Conflict, match="more than 30 days ago"):
        await database.write(lambda db: insights.undo(db, admin, made.id, BECAUSE, LATER + 31 * DAY))


async def test_an_insight_without_a_change_is_judged_and_not_applied(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    (made,) = await recorded(database, finding(job))

    with pytest.raises(Conflict, match="proposes no change"):
        await database.write(lambda db: insights.apply(db, admin, made.id, BECAUSE, LATER))
    accepted = await database.write(
        lambda db: insights.judge(db, admin, made.id, InsightState.ACCEPTED, BECAUSE, LATER)
    )
    with pytest.raises(Conflict, match="is accepted and cannot be undone"):
        await database.write(lambda db: insights.undo(db, admin, made.id, BECAUSE, LATER))

    assert (accepted.state, accepted.reason, accepted.version) == ("accepted", "as proposed", 2)


async def test_time_wakes_what_was_snoozed_and_ends_what_nobody_judged(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    (made,) = await recorded(database, finding(job))
    hour = InsightSnooze(for_s=3600)
    await database.write(lambda db: insights.snooze(db, admin, made.id, hour, NOON))

    states = []
    for now in (NOON + 59 * MINUTE, NOON + 60 * MINUTE, NOON + 7 * DAY):
        await database.write(lambda db, now=now: insights.pass_time(db, now))
        states.append((await database.read(lambda db: insights.show(db, admin, made.id))).state)

    assert states == ["snoozed", "open", "expired"]
    events = await database.read(lambda db: rows(db, "events"))
    assert [event.doc["state"] for event in events if event.kind == "insight"] == ["open", "snoozed", "open", "expired"]
    with pytest.raises(Conflict, match="is expired"):
        await database.write(
            lambda db: insights.judge(db, admin, made.id, InsightState.ACCEPTED, BECAUSE, NOON + 8 * DAY)
        )
