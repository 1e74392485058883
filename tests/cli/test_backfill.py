"""`chronos backfill`: what it asks for, and what it tells of the answer."""

from datetime import timedelta

from scheduler_daemon.contract.backfills import Backfill, BackfillCancelled, LeftOut
from tests.cli.conftest import NOON, Chronos, job_view
from tests.support.canned import Canned

HOUR = timedelta(hours=1)
ANSWER = Backfill(
    job="backup",
    job_id=job_view().id,
    dry_run=True,
    fires=(NOON, NOON + 2 * HOUR),
    left_out=(LeftOut(at=NOON + HOUR, why="it ran and succeeded", run=7),),
    left_out_count=1,
)
RANGE = ("--from", "2026-03-02T12:00Z", "--to", "2026-03-02T14:00:00+00:00")


def test_a_dry_run_lists_the_fires_and_what_is_left_out(chronos: Chronos, canned: Canned) -> None:
    canned.answer("POST", "/v1/jobs/backup/backfill", ANSWER)

    done = chronos("backfill", "backup", *RANGE, "--dry-run")

    assert canned.last.json() == {
        "from": "2026-03-02T12:00:00+00:00",
        "to": "2026-03-02T14:00:00+00:00",
        "dry_run": True,
        "limit": 1000,
        "at_once": 1,
        "reason": "",
    }
    assert done.out.splitlines() == [
        "2026-03-02 12:00:00 UTC  would run",
        "2026-03-02 14:00:00 UTC  would run",
        "2026-03-02 13:00:00 UTC  left out: it ran and succeeded (run 7)",
        "backup: 2 fires would run, 1 left out",
    ]


def test_a_backfill_names_the_run_of_each_fire(chronos: Chronos, canned: Canned) -> None:
    queued = ANSWER.model_copy(update={"dry_run": False, "runs": (8, 9), "left_out_count": 1500})
    canned.answer("POST", "/v1/jobs/backup/backfill", queued, 202)

    done = chronos("backfill", "backup", *RANGE, "--at-once", "3", "--limit", "5", "--reason", "why")

    asked = canned.last.json()
    assert (asked["at_once"], asked["limit"], asked["reason"]) == (3, 5, "why")
    assert done.out.splitlines()[:2] == ["2026-03-02 12:00:00 UTC  run 8", "2026-03-02 14:00:00 UTC  run 9"]
    assert done.out.splitlines()[-1] == "backup: 2 fires queued, 1500 left out; 1499 of them not listed"


def test_a_backfill_is_withdrawn_as_a_whole(chronos: Chronos, canned: Canned) -> None:
    answer = BackfillCancelled(job="backup", job_id=job_view().id, withdrawn=(8, 9), stopped=(7,))
    canned.answer("POST", "/v1/jobs/backup/backfill/cancel", answer, 202)

    done = chronos("backfill", "cancel", "backup", "--reason", "wrong range")

    assert canned.last.json() == {"reason": "wrong range"}
    assert done.out == "backup: 2 runs withdrawn, 1 being stopped\n"


def test_a_job_named_cancel_is_backfilled_behind_two_dashes(chronos: Chronos, canned: Canned) -> None:
    canned.answer("POST", "/v1/jobs/cancel/backfill", ANSWER)

    assert chronos("backfill", *RANGE, "--", "cancel").code == 0


def test_a_range_without_an_end_is_refused(chronos: Chronos) -> None:
    done = chronos("backfill", "backup", "--from", "2026-03-02T12:00Z")

    assert done.code == 2
    assert "--to" in done.err
