"""`chronos pool ...`, and the flags by which a job says what its runs wait for."""

from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.pools import PoolView
from tests.cli.conftest import NOON, Chronos, job_view
from tests.support.canned import Canned

DB = PoolView(
    name="db",
    slots=4,
    running=4,
    waiting=2,
    owner="ada",
    used_by=("backup", "vacuum"),
    created_at=NOON,
    updated_at=NOON,
)


def words(out: str) -> list[str]:
    return [" ".join(line.split()) for line in out.splitlines()]


def test_pools_are_listed_with_how_full_they_are(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/pools", Page(items=[DB]))

    done = chronos("pool", "list")

    assert [line.lower() for line in words(done.out)] == [
        "name slots running waiting jobs owner", "db 4 4 2 backup, vacuum ada",
    ]  # fmt: skip


def test_a_pool_is_set_to_a_number_of_slots(chronos: Chronos, canned: Canned) -> None:
    canned.answer("PUT", "/v1/pools/db", DB)

    done = chronos("pool", "set", "db", "4")

    assert canned.last.json() == {"slots": 4}
    assert done.out == "pool db: 4 of 4 slots taken, 2 runs wait\n"


def test_a_pool_is_deleted(chronos: Chronos, canned: Canned) -> None:
    canned.answer("DELETE", "/v1/pools/db", None, 204)

    assert chronos("pool", "delete", "db").out == "deleted db\n"


def test_what_limits_a_job_is_taken_away_by_none(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/jobs/backup", job_view())
    canned.answer("PATCH", f"/v1/jobs/{job_view().id}", job_view())

    chronos("job", "edit", "backup", "--pool", "none", "--concurrency-limit", "none")

    assert canned.last.json()["changes"] == {"concurrency_limit": None, "pool": None}


def test_a_limit_that_is_no_number_is_refused(chronos: Chronos) -> None:
    done = chronos("job", "edit", "backup", "--concurrency-limit", "many")

    assert done.code == 2
    assert "--concurrency-limit 'many' is no number of runs; write one such as 3, or none" in done.err
