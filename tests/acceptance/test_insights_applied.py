"""What takes weeks to show in real runs: jobs that start together, retries that never help. A move is applied and kept.

The past is written into the database before the daemon looks at it; what is measured are real runs.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from chronos_tui.client import calls
from scheduler_daemon.storage.executions import EXECUTIONS
from scheduler_daemon.storage.session import open_database
from tests.support.api import Api, api_of
from tests.support.daemon import DaemonHandle, running_daemon, wait_until

NIGHTLY = [f"nightly-{number}" for number in range(6)]
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def fleet() -> Iterator[DaemonHandle]:
    """Six jobs that start together, and one that cannot be helped by retries."""
    with running_daemon({"CHRONOS_INSIGHTS": "true", "CHRONOS_REVIEW_EVERY": "PT2S"}) as daemon:
        api = api_of(daemon)
        ids = {name: api.create("true", name=name, schedule={"expressions": ["0 3 * * *"]})["id"] for name in NIGHTLY}
        ids["hopeless"] = api.create("exit 77", name="hopeless", retry={"attempts": 2, "smart": True})["id"]
        daemon.terminate()
        asyncio.run(_write_past(daemon, ids))
        daemon.start()
        yield daemon


async def _write_past(daemon: DaemonHandle, ids: dict[str, str]) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    three = now.replace(hour=3, minute=0) - DAY
    rows = [_run(ids[name], three - n * DAY) for name in NIGHTLY for n in range(40)]
    half_past = now.replace(minute=30)  # beside none of the others
    rows += [_run(ids["hopeless"], half_past - n * HOUR, took=1, state="failed", exit_code=77) for n in range(1, 40)]
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


def test_a_start_that_is_moved_away_from_others_is_kept(fleet: DaemonHandle) -> None:
    api = api_of(fleet)
    (crowd,) = wait_until(lambda: api.ask(calls.insights(kind="collision"))["items"], seconds=60)

    api.ask(calls.decide_insight(crowd["id"], "apply", {}))
    for _ in range(8):
        api.until_final(int(api.ask(calls.run_job(crowd["job"]))["id"]))
    kept = wait_until(lambda: _kept(api, crowd["id"]), seconds=60)

    (moved,) = api.ask(calls.job(crowd["job"]))["spec"]["schedule"]["expressions"]
    assert crowd["evidence"][0]["value"] == 5
    assert moved.endswith(" 3 * * *")
    assert moved != "0 3 * * *"
    assert (kept["state"], kept["measured"]["before"], kept["measured"]["after"]) == ("applied", 5, 0)
    assert kept["measured"]["came"] is True
    (card,) = [each for each in api.ask(calls.scorecard())["items"] if each["kind"] == "collision"]
    assert (card["applied"], card["kept"]) == (1, 1)
    assert "kept: " in fleet.chronos("insight", "show", crowd["id"]).stdout


def _kept(api: Api, insight: str) -> Any:
    shown = api.ask(calls.insight(insight))
    return shown if (shown["measured"] or {}).get("verdict") == "keep" else None


def test_a_retry_that_was_always_wasted_is_spared(fleet: DaemonHandle) -> None:
    api = api_of(fleet)

    def spared() -> Any:
        run = api.until_final(int(api.ask(calls.run_job("hopeless"))["id"]))
        return run if "it would be wasted" in run["reason"] else None

    told = wait_until(spared, seconds=60, every=1)

    assert told["reason"].startswith("exit code 77; not retried: it would be wasted: after ")


def test_costs_of_the_past_are_summed(fleet: DaemonHandle) -> None:
    told = fleet.json("insight", "cost", "--by", "job")

    assert {line["name"] for line in told["lines"]} >= {*NIGHTLY, "hopeless"}
    assert told["priced"] is False
    assert "no price list" in fleet.chronos("insight", "cost").stdout
