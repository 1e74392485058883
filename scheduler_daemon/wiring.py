"""Open every resource, put the parts together, run them, and close everything in the opposite order."""

import asyncio
import contextlib
import ctypes
import fcntl
import gc
import logging
import os
import secrets
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn

from scheduler_daemon.api.app import make_app
from scheduler_daemon.api.deps import Context
from scheduler_daemon.api.peer import PeerProtocol
from scheduler_daemon.contract.places import Places, places
from scheduler_daemon.contract.policies import PolicySpec
from scheduler_daemon.domain.errors import Conflict, Invalid, Unavailable
from scheduler_daemon.engine.adviser import Adviser
from scheduler_daemon.engine.artifacts import FileKeeper
from scheduler_daemon.engine.asker import Asker
from scheduler_daemon.engine.daemon import Daemon
from scheduler_daemon.engine.dispatcher import Dispatcher
from scheduler_daemon.engine.doctor import lasting_differences
from scheduler_daemon.engine.ending import end
from scheduler_daemon.engine.failures import Failures
from scheduler_daemon.engine.keeper import mask_of_run
from scheduler_daemon.engine.log_sink import LogSink
from scheduler_daemon.engine.picture import LivePicture
from scheduler_daemon.engine.reaper import Reaper
from scheduler_daemon.engine.relay import FAILURES, Relay
from scheduler_daemon.engine.sampler import Sampler
from scheduler_daemon.engine.starts import Starts
from scheduler_daemon.engine.supervisor import Supervisor
from scheduler_daemon.engine.teller import Teller
from scheduler_daemon.engine.ticker import Ticker
from scheduler_daemon.engine.waits import Waits
from scheduler_daemon.insights import keys
from scheduler_daemon.live.private import private_dir, write_private_once
from scheduler_daemon.live.rebuild import Difference
from scheduler_daemon.runners.process import NoLauncherError, ProcessRunner
from scheduler_daemon.services import parameters as parameter_services
from scheduler_daemon.services import people, policies
from scheduler_daemon.services import secrets as secret_services
from scheduler_daemon.services.claude import Desk
from scheduler_daemon.services.fires import Holder
from scheduler_daemon.settings import LogSettings, Settings
from scheduler_daemon.storage.migrations import migrate
from scheduler_daemon.storage.people import all_users
from scheduler_daemon.storage.retention import Kept
from scheduler_daemon.storage.session import Database, open_database
from scheduler_daemon.storage.vault import Vault

log = logging.getLogger(__name__)

VERSION = "0.1.0"
_LONGEST_TRIAL = 60.0
"""Seconds the launcher has to try all protections."""
_IDLE_SECONDS = 60
"""Seconds a silent connection stays open: longer than a client keeps it, or a call is sent as we close it, and lost."""


class AlreadyRunning(Conflict):
    """Another daemon has this state directory."""


def utc_now() -> datetime:
    """Read the wall clock."""
    return datetime.now(UTC)


def new_job_id() -> str:
    """Return a fresh id."""
    return str(uuid.uuid4())


def prepare(settings: Settings) -> Places:
    """Make the private directories of the daemon and return where everything is."""
    private_dir(settings.state)
    where = places(str(settings.state), os.getuid())
    private_dir(Path(where.sockets))
    private_dir(Path(where.spool))
    return where


@contextlib.contextmanager
def only_daemon(where: Places) -> Iterator[None]:
    """Hold the state directory. Raises AlreadyRunning, naming the holder."""
    descriptor = os.open(where.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise AlreadyRunning(
                f"a daemon (pid {holder or 'unknown'}) already uses {where.state}; "
                "use that one, or choose another directory by --state"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


async def open_migrated(settings: Settings) -> Database:
    """Open the database, its tables brought up to date."""
    await asyncio.to_thread(migrate, settings.database_url)
    return open_database(settings.database_url)


@contextlib.asynccontextmanager
async def open_daemon(settings: Settings, where: Places) -> AsyncIterator[tuple[Daemon, Context]]:
    """Open every part; yield the daemon and what the API needs."""
    async with contextlib.AsyncExitStack() as stack:
        database = await open_migrated(settings)
        stack.push_async_callback(database.close)
        await database.write(lambda db: people.ensure_admin(db, os.getuid(), utc_now()))
        await database.read(lambda db: policies.require_default(db, settings.engine.default_policy))
        node = _kept(settings.state / "node", secrets.token_hex(8))
        holder = Holder(host=socket.gethostname(), fence=f"{node}.{secrets.token_hex(8)}")
        starts = Starts()
        relay = Relay(
            database,
            settings.state,
            settings.redis.url,
            keep=settings.redis.executions_kept,
            now=utc_now,
            starts=starts,
        )
        runner = await stack.enter_async_context(ProcessRunner(settings.state, Path(where.launcher_socket)))
        vault = Vault(settings.secrets.key_file, os.environ)
        await _seal_anew(database, vault)
        teller = Teller(database, relay.wake, utc_now)
        sink = LogSink(
            database,
            Path(where.spool),
            relay.publish_lines,
            utc_now,
            teller.heard,
            masks=lambda run: mask_of_run(database, vault, run),
        )
        stack.callback(sink.close)

        def look() -> None:
            dispatcher.look()

        files = FileKeeper(database, settings.state, utc_now)
        stack.push_async_callback(files.close)
        waits = Waits(database, look, utc_now)
        dispatcher = Dispatcher(
            database,
            runner,
            sink,
            vault=vault,
            holder=holder,
            max_active=settings.engine.max_active,
            recorded=relay.wake,
            now=utc_now,
            starts=starts,
            later=waits.expect,
            launched=files.expect,
        )
        stack.push_async_callback(dispatcher.close)
        sampler = Sampler(runner, relay, starts, utc_now)
        desk = Desk(settings.claude, has_key=keys.is_set_up(settings.claude, os.environ))
        failures = Failures(database, str(settings.state), holder.host, utc_now)
        supervisor = Supervisor(
            database,
            runner,
            sink,
            dispatcher,
            spool=Path(where.spool),
            holder=holder,
            recorded=relay.wake,
            now=utc_now,
            starts=starts,
            again=waits.expect,
            sampler=sampler,
            failed=failures.failed,
            files=files,
        )
        daemon = Daemon(
            database=database,
            ticker=Ticker(database, dispatcher, utc_now, settings.engine.on_time),
            dispatcher=dispatcher,
            supervisor=supervisor,
            waits=waits,
            sink=sink,
            teller=teller,
            sampler=sampler,
            failures=failures,
            files=files,
            relay=relay,
            asker=Asker(database, desk, utc_now, relay.wake),
            reaper=Reaper(database, utc_now, settings.engine.events_kept, _output_kept(settings.logs), files.sweep),
            adviser=Adviser(
                database,
                url=settings.database_url,
                learnt=settings.state / "learnt.db",
                holder=holder.node,
                recorded=relay.wake,
                edit=lambda work: daemon.edit(work),  # noqa: PLW0108 - there is no daemon yet
                now=utc_now,
                review_every=settings.insights.review_every,
                enabled=settings.insights.enabled,
            ),
            runner=runner,
            holder=holder,
            state_dir=settings.state,
            version=VERSION,
            now=utc_now,
        )
        context = Context(
            database=database,
            engine=daemon,
            picture=LivePicture(relay, database),
            holder=holder,
            state_dir=str(settings.state),
            token=_token(settings),
            vault=vault,
            now=utc_now,
            new_id=new_job_id,
            default_policy=settings.engine.default_policy,
            prices=settings.prices,
            desk=desk,
        )
        yield daemon, context
        await relay.close(stop_server=True)


async def _seal_anew(database: Database, vault: Vault) -> None:
    """Seal secrets with the first key, where one was put above the key they are sealed with."""
    try:
        count = await database.write(
            lambda db: secret_services.seal_anew(db, vault) + parameter_services.seal_anew(db, vault)
        )
    except Unavailable as error:
        log.error("secrets stay as they are sealed: %s", error.message)
    else:
        if count:
            log.info("sealed %d values of secrets with the first key of %s; the others may go", count, vault.place)


async def protections(settings: Settings) -> dict[str, str]:
    """Try every protection now, by the launcher that is there or one of our own, which goes again.

    Returns for each by name "" if it is in force, else why it is not and the remedy. Raises Unavailable.
    """
    where = prepare(settings)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(only_daemon(where))
            alone = True
        except AlreadyRunning:
            alone = False
        try:
            async with (
                asyncio.timeout(_LONGEST_TRIAL),
                ProcessRunner(settings.state, Path(where.launcher_socket)) as runner,
            ):
                found = await runner.protections(again=True)
                if alone:
                    await runner.shut_down_if_idle()
                return found
        except (NoLauncherError, TimeoutError) as error:
            why = str(error) or "it did not answer"
            raise Unavailable(f"the launcher could not try the protections: {why}") from error


async def examine(settings: Settings, *, mend: bool) -> list[Difference]:
    """Compare the live picture with SQL, beside a running daemon or without one; make it equal if asked.

    Returns what differed. Raises Unavailable.
    """
    where = prepare(settings)
    database = await open_migrated(settings)
    relay = Relay(database, settings.state, settings.redis.url, keep=settings.redis.executions_kept, now=utc_now)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(only_daemon(where))
            alone = True
        except AlreadyRunning:
            alone = False
        try:
            await relay.open()
            found = await lasting_differences(relay, database)
            if found and mend:
                await relay.reconcile()
            return found
        except FAILURES as error:
            raise Unavailable(f"the live picture cannot be read: {error}") from error
        finally:
            await relay.close(stop_server=alone)
            await database.close()


async def accounts(settings: Settings) -> list[tuple[str, str, int | None, bool]]:
    """Return (name, role, Unix uid, whether it may sign in) of every account, by name. Raises Unavailable."""
    prepare(settings)
    database = await open_migrated(settings)
    try:
        return [(row.name, row.role, row.uid, not row.disabled) for row in await database.read(all_users)]
    finally:
        await database.close()


async def own_policies(settings: Settings) -> list[PolicySpec]:
    """Return the policies that somebody here has made, by name. Raises Unavailable."""
    prepare(settings)
    database = await open_migrated(settings)
    try:
        return await database.read(policies.own)
    finally:
        await database.close()


def _output_kept(logs: LogSettings) -> Kept:
    age = None if logs.kept_days is None else timedelta(days=logs.kept_days)
    return Kept(age, logs.kept_runs, logs.kept_bytes)


def _token(settings: Settings) -> str:
    if settings.api.tcp is None:
        return ""
    return _kept(settings.state / "token", secrets.token_urlsafe(32))


def _kept(path: Path, fresh: str) -> str:
    """Return what a private file holds; `fresh`, from now on, where there is none."""
    write_private_once(path, fresh)
    return path.read_text(encoding="ascii").strip()


def listen(settings: Settings, where: Places) -> list[socket.socket]:
    """Open the API's sockets. Raises Invalid for an address that cannot be had."""
    opened = [_tcp(settings.api.tcp)] if settings.api.tcp else []
    path = Path(where.api_socket)
    path.unlink(missing_ok=True)
    local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    local.bind(str(path))
    path.chmod(0o660)
    return [local, *opened]


def _tcp(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    if host not in {"127.0.0.1", "localhost", "::1", "[::1]"} or not port.isdigit():
        raise Invalid(f"api.tcp {address!r} must be 127.0.0.1:PORT or [::1]:PORT; use SSH to reach it from elsewhere")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, the event loop sets TCP_NODELAY; without, each answer waits for a delayed ACK.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host.strip("[]"), int(port)))
    except OSError as error:
        sock.close()
        raise Invalid(f"cannot listen on {address}: {error.strerror}") from None
    return sock


class _Server(uvicorn.Server):
    """Leaves signals to the daemon."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Run the daemon until it is told to stop. Raises AlreadyRunning, Invalid, Unavailable."""
    _share_one_heap()
    where = prepare(settings)
    with only_daemon(where):
        sockets = listen(settings, where)  # an address that cannot be had is found before anything is started
        async with open_daemon(settings, where) as (daemon, context):
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, lambda: daemon.shut_down(stop_jobs=False))
            await _run(sockets, where, daemon, context, announce)


async def _run(
    sockets: list[socket.socket], where: Places, daemon: Daemon, context: Context, announce: Callable[[str], None]
) -> None:
    config = uvicorn.Config(
        make_app(context, VERSION),
        http=PeerProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=_IDLE_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=sockets), name="api")
    await daemon.start()
    loops = [asyncio.create_task(daemon.keep(name, loop), name=name) for name, loop in daemon.loops().items()]
    _calm_collector()
    announce(f"ready: {where.api_socket}")
    _notify_systemd("READY=1")
    try:
        await daemon.stopping.wait()
        _notify_systemd("STOPPING=1")
        if daemon.stop_jobs:
            await daemon.stop_all_jobs()
    finally:
        server.should_exit = True
        await serving
        await end(loops)
        await daemon.runner.shut_down_if_idle()
        close_listening(where)


def _share_one_heap() -> None:
    """Have threads share one heap: each keeps what it once used, and a thread that read 100,000 jobs used a lot."""
    with contextlib.suppress(AttributeError):  # a C library without it has no such heaps
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


_M_ARENA_MAX = -8
"""As glibc's malloc.h has it."""


def _calm_collector() -> None:
    """Keep what was made at start out of every later collection, and collect less often: a burst makes much at once."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def close_listening(where: Places) -> None:
    """Take the socket's name away; uvicorn leaves it."""
    Path(where.api_socket).unlink(missing_ok=True)


def _notify_systemd(message: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    with sock, contextlib.suppress(OSError):
        sock.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)
