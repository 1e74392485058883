"""A fleet with troubles of its own, in a real daemon: advice appears, one is applied and kept, one taken back.

The past is written into the database before the daemon looks at it; what is measured are real runs.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from scheduler_daemon.storage.executions import EXECUTIONS
from scheduler_daemon.storage.session import open_database
from tests.support.daemon import DaemonHandle, running_daemon, wait_until

NIGHTLY = [f"nightly-{number}" for number in range(6)]
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def fleet() -> Iterator[DaemonHandle]:
    """Six jobs that start together, one that finds nothing to do, one that cannot be helped by retries."""
    with running_daemon({"CHRONOS_INSIGHTS": "true", "CHRONOS_REVIEW_EVERY": "PT2S"}) as daemon:
        for name in NIGHTLY:
            daemon.json("job", "add", name, "-s", "0 3 * * *", "--", "true")
        daemon.json(
            "job", "add", "watch", "-s", "* * * * *", "--paused", "--", "test", "!", "-e", str(daemon.state / "bad")
        )
        daemon.json("job", "add", "hopeless", "--retries", "2", "--retry-smart", "--", "exit 77")
        ids = {each["name"]: each["id"] for each in daemon.json("job", "list")["items"]}
        daemon.terminate()
        asyncio.run(_write_past(daemon, ids))
        daemon.start()
        yield daemon


async def _write_past(daemon: DaemonHandle, ids: dict[str, str]) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    three = now.replace(hour=3, minute=0) - DAY
    rows = [_run(ids[name], three - n * DAY) for name in NIGHTLY for n in range(40)]
    rows += [
        _run(ids["watch"], now - n * timedelta(minutes=1) - HOUR, took=1, output_bytes=0 if n % 40 else 900)
        for n in range(1, 400)
    ]
    rows += [_run(ids["hopeless"], now - n * HOUR, took=1, state="failed", exit_code=77) for n in range(1, 40)]
    rows.sort(key=lambda row: row["started_at"])
    database = open_database(f"sqlite:///{daemon.state / 'chronos.db'}")
    await database.write(lambda db: _insert(db, rows))
    await database.close()


def _insert(db: Connection, rows: list[dict[str, Any]]) -> None:
    db.execute(insert(EXECUTIONS), rows)


def _run(job_id: str, started: datetime, *, took: int = 300, **fields: Any) -> dict[str, Any]:
    return {
        "job_id": job_id, "job_version": 1, "version": 3, "fire_at": started, "attempt": 0, "attempts": 1,
        "trigger": "schedule", "state": "succeeded", "outcome": "exit_code", "reason": "", "actor": "root",
        "host": "here", "fence": "", "queued_at": started, "started_at": started,
        "ended_at": started + timedelta(seconds=took), "exit_code": 0, "cpu_ms": 100, "max_rss_bytes": 1 << 20,
        "output_bytes": 10, "policy": {}, **fields,
    }  # fmt: skip


def found(daemon: DaemonHandle, kind: str) -> Any:
    """Return the insight of a kind, when there is one."""
    items = wait_until(lambda: daemon.json("insight", "list", "--state", "all", "--kind", kind)["items"], seconds=60)
    return items[0]


def state_of(daemon: DaemonHandle, insight: Any) -> Any:
    return daemon.json("insight", "show", insight["id"])


def test_advice_is_applied_measured_and_kept_or_taken_back(fleet: DaemonHandle) -> None:
    crowd, idle = found(fleet, "collision"), found(fleet, "idle_runs")
    assert crowd["evidence"][0]["value"] == 5
    assert idle["action"]["value"]["expressions"] == ["*/12 * * * *"]

    # A moved start that runs alone from now on is kept.
    fleet.json("insight", "apply", crowd["id"])
    moved = fleet.json("job", "show", crowd["job"])
    for _ in range(8):
        fleet.chronos("run", crowd["job"], "--wait")
    kept = wait_until(lambda: _decided(fleet, crowd, "keep"), seconds=60)
    assert moved["schedule"].endswith(" 3 * * *")
    assert moved["schedule"] != "0 3 * * *"
    assert (kept["state"], kept["measured"]["before"], kept["measured"]["after"]) == ("applied", 5, 0)
    assert kept["measured"]["came"] is True

    # A rarer schedule after which the job fails is taken back, as a version of its own.
    fleet.json("insight", "apply", idle["id"])
    (fleet.state / "bad").touch()
    for _ in range(3):
        fleet.chronos("run", "watch", "--wait")
    back = wait_until(lambda: _decided(fleet, idle, "revert"), seconds=60)
    restored = fleet.json("job", "show", "watch")
    assert (back["state"], back["decided_by"]) == ("reverted", "canary")
    assert (restored["schedule"], restored["version"]) == ("* * * * *", 3)

    cards = {card["kind"]: card for card in fleet.json("insight", "scorecard")["items"]}
    assert (cards["collision"]["applied"], cards["collision"]["kept"]) == (1, 1)
    assert (cards["idle_runs"]["applied"], cards["idle_runs"]["kept"]) == (1, 0)
    assert "taken back" in fleet.chronos("insight", "show", idle["id"]).stdout


def _decided(daemon: DaemonHandle, insight: Any, verdict: str) -> Any:
    shown = state_of(daemon, insight)
    return shown if (shown["measured"] or {}).get("verdict") == verdict else None


def test_a_retry_that_was_always_wasted_is_spared(fleet: DaemonHandle) -> None:
    def spared() -> Any:
        fleet.chronos("run", "hopeless", "--wait")
        runs = fleet.json("runs", "list", "--job", "hopeless", "--limit", "1")["items"]
        return next((run for run in runs if "it would be wasted" in run["reason"]), None)

    told = wait_until(spared, seconds=60, every=1)

    assert told["reason"].startswith("exit code 77; not retried: it would be wasted: after ")


def test_costs_of_the_past_are_summed(fleet: DaemonHandle) -> None:
    told = fleet.json("insight", "cost", "--by", "job")

    assert {line["name"] for line in told["lines"]} >= {*NIGHTLY, "watch", "hopeless"}
    assert told["priced"] is False
    assert "no price list" in fleet.chronos("insight", "cost").stdout
