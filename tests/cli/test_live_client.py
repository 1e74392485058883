"""The terminal app's client against a real daemon: every call gives the contract's model."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chronos_tui.client import ServerError, Unreachable
from chronos_tui.client.live import LiveClient
from chronos_tui.settings import Address, load
from scheduler_daemon.contract.executions import State
from scheduler_daemon.contract.jobs import JobCreate, JobPatch, JobSpec, SchedulePreviewRequest
from scheduler_daemon.contract.schedule import Schedule
from tests.support.daemon import DaemonHandle


@pytest.fixture
async def live(shared_daemon: DaemonHandle) -> AsyncIterator[LiveClient]:
    """A client of the shared daemon."""
    async with LiveClient(load(str(shared_daemon.state), None, shared_daemon.environ).server) as client:
        yield client


async def make(live: LiveClient, name: str, command: str = "true") -> None:
    await live.create_job(JobCreate(spec=JobSpec(name=name, command=command)), key=f"make {name}")


async def test_a_job_is_made_changed_and_found(live: LiveClient) -> None:
    daily = JobSpec(name="live/one ü", command="true", schedule=Schedule(expressions=("@daily",)))
    made = await live.create_job(JobCreate(spec=daily), key="live one")
    again = await live.create_job(JobCreate(spec=daily), key="live one")
    changed = await live.patch_job(made.name, JobPatch(version=1, changes={"timeout_ms": 1000}))
    paused = await live.pause_job(made.id)
    resumed = await live.resume_job(made.id)
    listed = await live.jobs(sort="name", limit=1000)
    versions = await live.job_versions(made.id)
    fires = await live.fires(made.id, count=3)
    explained = await live.explain(made.name)
    series = await live.series(made.id, "duration_ms")
    await live.delete_job(made.id)

    assert again.id == made.id
    assert (changed.version, changed.spec.timeout_ms) == (2, 1000)
    assert (paused.paused, resumed.paused) == (True, False)
    assert made.id in {job.id for job in listed.items}
    assert [saved.version for saved in versions.items] == [2, 1]
    assert len(fires.fires) == 3
    assert explained.job == made.name
    assert series.metric == "duration_ms"
    with pytest.raises(ServerError) as gone:
        await live.job(made.id)
    assert (gone.value.status, gone.value.kind) == (404, "not_found")


async def test_a_run_is_asked_for_watched_and_read(live: LiveClient) -> None:
    await make(live, "live talker", "echo hello; echo there >&2")

    run = await live.run_job("live talker", reason="look")
    async with asyncio.timeout(20):
        while not (run := await live.execution(run.id)).state.final:
            await asyncio.sleep(0.05)
        while not (page := await live.log(run.id)).ended:
            await asyncio.sleep(0.05)
    runs = await live.executions(job="live talker", limit=10)
    raw = await live.raw_log(run.id, "stderr")

    assert run.state is State.SUCCEEDED
    assert {line.text for line in page.lines} == {"hello", "there"}
    assert [seen.id for seen in runs.items] == [run.id]
    assert raw == b"there\n"


async def test_a_run_is_cancelled(live: LiveClient) -> None:
    await make(live, "live sleeper", "sleep 1000")

    run = await live.run_job("live sleeper")
    await live.cancel(run.id, reason="enough")
    async with asyncio.timeout(20):
        while not (run := await live.execution(run.id)).state.final:
            await asyncio.sleep(0.05)

    assert run.state is State.CANCELLED


async def test_the_server_tells_of_itself(live: LiveClient) -> None:
    status = await live.status()
    health = await live.health()
    actor = await live.whoami()
    preview = await live.preview(SchedulePreviewRequest(schedule=Schedule(expressions=("@hourly",)), count=2))
    events = await live.events(limit=5)

    assert status.pid > 0
    assert health.version == status.health.version
    assert actor.name
    assert len(preview.fires) == 2
    assert [event.id for event in events.items] == sorted(event.id for event in events.items)


async def test_a_session_hears_a_log(live: LiveClient) -> None:
    await make(live, "live heard", "echo heard")
    run = await live.run_job("live heard")

    session = await live.open_session()
    channel = await live.follow_log(run.id, session.id)
    await live.close_session(session.id)

    assert session.channels
    assert channel.channel


async def test_a_crontab_is_imported(live: LiveClient) -> None:
    report = await live.import_crontab(b"1 2 3 4 * true\n", source="live test", dry_run=True)

    assert (report.created, report.dry_run) == (1, True)


async def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    async with LiveClient(Address(path=str(tmp_path / "none.sock"))) as nobody:
        with pytest.raises(Unreachable, match="there is no such socket"):
            await nobody.status()
    async with LiveClient(Address(host="127.0.0.1", port=1)) as nobody:
        with pytest.raises(Unreachable, match="refused"):
            await nobody.status()
