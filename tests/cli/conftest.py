"""What the tests of the command line share: a prepared server, the program in this process, views to answer with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from chronos_tui import cli
from scheduler_daemon.contract.executions import ExecutionView, PolicyInForce, State, Trigger, Usage
from scheduler_daemon.contract.jobs import JobSpec, JobView
from tests.support.canned import Canned, canned_server
from tests.support.daemon import shared_daemon  # noqa: F401 - a fixture

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Done:
    """What a call of the program came to."""

    code: int
    out: str
    err: str


Chronos = Callable[..., Done]


@pytest.fixture
def canned() -> Iterator[Canned]:
    """A server with prepared answers."""
    with canned_server() as server:
        yield server


@pytest.fixture
def chronos(
    canned: Canned, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> Chronos:
    """The program, speaking to the prepared server."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    for name in ("CHRONOS_STATE", "CHRONOS_SERVER", "CHRONOS_CONFIG", "CHRONOS_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str, server: str | None = None) -> Done:
        with pytest.raises(SystemExit) as ended:
            cli.main(["--server", server or f"unix://{canned.socket}", *arguments])
        said = capsys.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, said.out, said.err)

    return call


def job_view(**changes: Any) -> JobView:
    """Return a job as the server shows it."""
    spec = JobSpec(name="backup", command="true")
    view = JobView(
        id="0b8d6a52-5c1e-4a57-9f0e-0c6f2b1d7a11", version=3, revision=9, name="backup", spec=spec, paused=False,
        owner="ada", source=None, words="every day at 3:00", schedule="0 3 * * *", next_fire_at=NOON, last=None,
        active=0, created_at=NOON, updated_at=NOON,
    )  # fmt: skip
    return JobView.model_validate(view.model_dump() | changes)


def execution(**changes: Any) -> ExecutionView:
    """Return a run as the server shows it."""
    view = ExecutionView(
        id=12, job="backup", job_id="0b8d6a52-5c1e-4a57-9f0e-0c6f2b1d7a11", job_version=3, version=1,
        state=State.QUEUED, outcome=None, reason="", fire_at=NOON, queued_at=NOON, started_at=None, ended_at=None,
        duration_ms=None, attempt=0, exit_code=None, signal=None, trigger=Trigger.MANUAL, actor="ada", host="here",
        policy=PolicyInForce(requested="trusted"), usage=Usage(),
    )  # fmt: skip
    return ExecutionView.model_validate(view.model_dump() | changes)
