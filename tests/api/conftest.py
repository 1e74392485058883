"""The real API on a real Unix socket and database, without loops behind it and with Redis away."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from scheduler_daemon import wiring
from scheduler_daemon.api.app import make_app
from scheduler_daemon.api.deps import Context
from scheduler_daemon.api.peer import PeerProtocol
from scheduler_daemon.contract.policies import Protection
from scheduler_daemon.contract.system import Health
from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.services import people
from scheduler_daemon.settings import ApiSettings, SecretSettings, Settings
from scheduler_daemon.storage.session import Database
from scheduler_daemon.storage.vault import Vault
from tests.support.world import HOLDER, new_id


@dataclass
class Engine:
    """Writes runs down, and notes what a daemon would do next."""

    database: Database
    changed: list[str] = field(default_factory=list)
    started: list[int] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)
    farewell: list[bool] = field(default_factory=list)
    edits: int = 0
    questions: int = 0
    status: str = "ready"

    async def jobs_changed(self, ids: Collection[str]) -> None:
        self.changed += ids

    @asynccontextmanager
    async def editing(self) -> AsyncIterator[None]:
        self.edits += 1
        yield

    async def run_now(self, work: Callable[[Any, int], tuple[Any, Any]]) -> Any:
        answer, start = await self.database.write(lambda db: work(db, 100))
        if start:
            self.started += [one.execution_id for one in start.starts]
        return answer

    async def stop(self, execution_id: int, reason: str) -> None:  # noqa: ARG002  # as the port has it
        self.stopped.append(execution_id)

    def question_asked(self) -> None:
        self.questions += 1

    async def protections(self) -> dict[str, str]:
        return dict.fromkeys(Protection, "")

    def health(self) -> Health:
        now = datetime.now(UTC)
        return Health(status=self.status, components=(), version="test", started_at=now, now=now)

    def shut_down(self, *, stop_jobs: bool) -> None:
        self.farewell.append(stop_jobs)


class NoPicture:
    """Redis is away."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def away(*args: Any, **more: Any) -> Any:
            raise Unavailable("Redis does not answer: it is away")

        return away


@dataclass
class Served:
    """The API, and what stands behind it."""

    http: httpx.AsyncClient
    engine: Engine
    database: Database
    socket: Path
    port: int
    token: str

    async def job(self, name: str = "job", **fields: Any) -> dict[str, Any]:
        """Make a job."""
        spec = {"name": name, "command": "true", "schedule": {"expressions": ["@hourly"]}} | fields
        answer = await self.http.post("/v1/jobs", json={"spec": spec})
        assert answer.status_code == 201, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def app() -> FastAPI:
    """The endpoints; making them costs more than a test."""
    return make_app(cast("Context", None), "test")


@pytest.fixture
async def served(database: Database, app: FastAPI) -> AsyncIterator[Served]:
    """The API of a database of either kind."""
    await database.write(lambda db: people.ensure_admin(db, os.getuid(), datetime.now(UTC)))
    engine = Engine(database)
    with tempfile.TemporaryDirectory(prefix="cs-api-", dir="/tmp") as folder:
        key_file = Path(folder, "keys", "master.key")
        settings = Settings(
            state=Path(folder), api=ApiSettings(tcp="127.0.0.1:0"), secrets=SecretSettings(key_file=key_file)
        )
        where = wiring.prepare(settings)
        context = Context(
            database=database, engine=engine, picture=NoPicture(), holder=HOLDER, state_dir=folder,
            token=wiring._token(settings), vault=Vault(key_file, {}), now=lambda: datetime.now(UTC), new_id=new_id,
        )  # fmt: skip
        sockets = wiring.listen(settings, where)
        app.state.context = context
        config = uvicorn.Config(app, http=PeerProtocol, ws="none", lifespan="off", log_config=None, access_log=False)
        server = wiring._Server(config)
        serving = asyncio.create_task(server.serve(sockets=sockets))
        transport = httpx.AsyncHTTPTransport(uds=where.api_socket)
        async with httpx.AsyncClient(transport=transport, base_url="http://chronos") as http:
            port = sockets[1].getsockname()[1]
            yield Served(http, engine, database, Path(where.api_socket), port, context.token)
        server.should_exit = True
        await serving
        for sock in sockets:
            sock.close()
