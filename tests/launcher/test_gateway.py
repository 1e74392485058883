"""A job that may speak to listed addresses: what it reaches, what it does not, and what is left when it has ended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from scheduler_daemon.launcher import kernel
from scheduler_daemon.runners.process import LaunchRequest
from scheduler_daemon.runners.requests import Box, Limits
from tests.launcher.bench import Bench, shell

BASH = "say() { exec 3<>/dev/tcp/$1/$2 && cat <&3; }; "
"""Opens a connection and prints what it is told there."""
LIMITS = Limits(memory_bytes=64 << 20, processes=8)


@asynccontextmanager
async def telling(text: str, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server that says a text to whoever connects, and then what it is told, and its port."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{text}\n".encode())
        if text == "echo":
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def web(said: list[bytes]) -> AsyncIterator[int]:
    """A server that keeps the head of each request and answers "seen"."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nseen\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def allowed(run: int, script: str, *addresses: str, **more: object) -> LaunchRequest:
    return shell(
        run, "", **{"argv": ("/bin/bash", "-c", script), "box": Box(network=addresses), "limits": LIMITS, **more}
    )


def gateways(bench: Bench) -> set[int]:
    """The gateways of this bench's runs that live."""
    found = set()
    for pid, one in kernel.processes().items():
        try:
            if one.living and Path(f"/proc/{pid}/comm").read_text("ascii") == "chronos-gateway\n":
                opened = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
                found |= {pid} if any(name.startswith(f"{bench.state}/") for name in opened) else set()
        except OSError:
            continue
    return found


def told(bench: Bench, run: int) -> list[str]:
    """What a run was warned of."""
    lines = bench.out(run, "stderr").decode().splitlines()
    return [line.removeprefix("::warning network: ") for line in lines if line.startswith("::warning network: ")]


async def test_what_is_listed_is_reached_and_nothing_else(any_bench: Bench) -> None:
    bench = any_bench
    async with telling("listed") as port, telling("other") as other:
        script = f"""{BASH} say 127.0.0.1 {port}
        (say 127.0.0.1 {other}) 2>/dev/null || echo "no other port"
        (say 192.0.2.1 80) 2>/dev/null || echo "no other machine"
        (say example.org 80) 2>/dev/null || echo "no name"
        tail -n +3 /proc/net/dev | cut -d: -f1; exit 4"""
        end = await bench.run(allowed(1, script, f"127.0.0.1:{port}"))

    assert end.exit_code == 4
    assert bench.out(1).decode().split("\n")[:5] == ["listed", "no other port", "no other machine", "no name", "    lo"]
    assert gateways(bench) == set()
    assert end.leftover == 0
    assert end.processes is None or 1 <= end.processes <= 4


async def test_a_listed_name_leads_to_where_it_lies(bench: Bench) -> None:
    async with telling("by name") as port:
        script = f"{BASH} say localhost {port}; cat /etc/hosts; (echo x > /etc/hosts) 2>/dev/null || echo closed"
        await bench.run(
            allowed(1, script, f"localhost:{port}", "db.example.org:5432", "db.example.org:1", "b.example:1")
        )

    assert bench.out(1).decode().splitlines() == [
        "by name",
        "127.0.0.1 localhost",
        "::1 localhost",
        "127.77.0.1 db.example.org",
        "127.77.0.2 b.example",
        "closed",
    ]


async def test_a_program_that_knows_proxies_is_let_through_or_told_why_not(bench: Bench) -> None:
    said: list[bytes] = []
    async with web(said) as port, web(said) as other:
        curl = "curl -sS --noproxy '' -m 20 -w '%{http_code}\\n'"
        script = f"""
        {curl} -H 'Proxy-Authorization: x' 'http://127.0.0.1:{port}/a?b#c'
        {curl} -p 'http://127.0.0.1:{port}/tunnel'
        {curl} 'http://127.0.0.1:{other}/'
        {curl} -p 'http://127.0.0.1:{other}/' 2>&1
        {curl} 'http://evil.example/'
        """
        await bench.run(allowed(1, script, f"127.0.0.1:{port}"))

    lines = bench.out(1).decode().splitlines()
    assert lines[:4] == ["seen", "200", "seen", "200"]
    assert lines[4:6] == ["chronos: it is not among the addresses that this job may speak to", "403"]
    assert "403" in lines[6]
    assert lines[-1] == "403"
    heads = [head.decode().split("\r\n") for head in said]
    assert [head[0] for head in heads] == ["GET /a?b HTTP/1.1", "GET /tunnel HTTP/1.1"]
    assert "Connection: close" in heads[0]
    assert not any(line.lower().startswith("proxy-") for line in heads[0])
    why = "is refused: it is not among the addresses that the job may speak to"
    assert told(bench, 1) == [f"127.0.0.1:{other} {why}", f"evil.example:80 {why}"]


@pytest.mark.parametrize(
    "asked",
    [
        "CONNECT 127.1:{port} HTTP/1.1",
        "CONNECT 0x7f000001:{port} HTTP/1.1",
        "CONNECT [::ffff:127.0.0.1]:{port} HTTP/1.1",
        "CONNECT 127.0.0.1:0{port}0 HTTP/1.1",
        "CONNECT user@127.0.0.1:{port} HTTP/1.1",
        "CONNECT evil.example:{port}@127.0.0.1:{port} HTTP/1.1",
        "GET http://127.0.0.1:{port}@evil.example/ HTTP/1.1",
        "GET http://evil.example#127.0.0.1:{port} HTTP/1.1",
        "GET ftp://127.0.0.1:{port}/ HTTP/1.1",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}",
        "\x1b[2J garbage \x00\x01",
        "CONNECT 127.0.0.1:{port}",
    ],
)
async def test_no_other_spelling_leads_anywhere(bench: Bench, asked: str) -> None:
    async with telling("in") as port:
        request = (
            asked.format(port=port)
            .replace("\r", "\\r")
            .replace("\n", "\\n")
            .replace("\x1b", "\\e")
            .replace("\0", "\\0")
        )
        script = f"exec 3<>/dev/tcp/127.0.0.1/3128; printf '{request}\\r\\n\\r\\n' >&3; head -1 <&3"
        await bench.run(allowed(1, script, f"127.0.0.1:{port}"))

    assert bench.out(1)[:12] in {b"HTTP/1.1 403", b"HTTP/1.1 400"}
    assert b"\x1b" not in bench.out(1, "stderr")


async def test_much_goes_through_both_ways_whole_and_in_little_memory(bench: Bench) -> None:
    async with telling("echo") as port:
        script = f"""exec 3<>/dev/tcp/127.0.0.1/{port}; read -r hello <&3
        head -c 30000000 /dev/zero >&3 & head -c 30000000 <&3 | sha256sum; head -c 30000000 /dev/zero | sha256sum"""
        end = await bench.run(allowed(1, script, f"127.0.0.1:{port}"))

    first, second = bench.out(1).splitlines()
    assert first == second
    assert end.exit_code == 0


async def test_a_job_that_opens_too_many_connections_harms_but_itself(bench: Bench) -> None:
    async with telling("echo") as port:
        many = f"for i in $(seq 1 200); do exec {{f}}<>/dev/tcp/127.0.0.1/{port} || break; done"
        script = f"""({many}) 2>/dev/null & sleep 1; kill $!; wait
        exec 3<>/dev/tcp/127.0.0.1/{port}; read -r hello <&3; echo $hello"""
        await bench.run(allowed(1, script, f"127.0.0.1:{port}"))

    assert bench.out(1) == b"echo\n"
    assert gateways(bench) == set()


async def test_two_jobs_have_nothing_in_common_but_what_is_listed(bench: Bench) -> None:
    async with telling("for one") as one, telling("for two") as two:
        script = f"""{BASH} say 127.0.0.1 {one}; say 127.0.0.1 {two}
        exec 4<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT 127.0.0.1:%d HTTP/1.1\\r\\n\\r\\n' {one} >&4; head -1 <&4"""
        await bench.run(
            allowed(1, f"{script} 2>/dev/null", f"127.0.0.1:{one}"),
            allowed(2, f"{script} 2>/dev/null", f"127.0.0.1:{two}"),
        )

    assert bench.out(1).splitlines() == [b"for one", b"HTTP/1.1 200 Connection established"]
    assert bench.out(2).splitlines() == [b"for two", b"HTTP/1.1 403 Forbidden"]


@pytest.mark.parametrize("by", ["cancel", "timeout", "kill -9 of all"])
async def test_a_killed_run_leaves_no_gateway(any_bench: Bench, by: str) -> None:
    bench = any_bench
    async with telling("echo") as port:
        script = f"trap '' TERM; exec 3<>/dev/tcp/127.0.0.1/{port}; read -r x <&3; echo $x; while :; do sleep 60; done"
        timeout = timedelta(seconds=1) if by == "timeout" else None
        await bench.start(allowed(1, script, f"127.0.0.1:{port}", timeout=timeout))
        await bench.says(1, "echo")
        assert by == "timeout" or len(gateways(bench)) == 1

        if by == "cancel":
            await bench.runner.cancel(1, "enough", timedelta(seconds=0.2))
        if by.startswith("kill"):
            spawner, launcher = bench.spawner_of(1), bench.runner.launcher_pid
            assert launcher is not None
            for pid in (launcher, spawner, bench.started[1].pid):
                os.kill(pid, signal.SIGKILL)
        await bench.until(lambda: 1 in bench.ended, 60)

        assert by.startswith("kill") or gateways(bench) == set()
        await bench.until(lambda: gateways(bench) == set())


async def test_a_gateway_that_dies_leaves_its_job_without_a_network(bench: Bench) -> None:
    async with telling("listed") as port:
        script = f"{BASH} say 127.0.0.1 {port}; until test -e /job/go; do sleep 0.05; done; say 127.0.0.1 {port}"
        await bench.start(allowed(1, script, f"127.0.0.1:{port}"))
        await bench.says(1, "listed")

        for pid in gateways(bench):
            os.kill(pid, signal.SIGKILL)
        await bench.until(lambda: gateways(bench) == set())
        (bench.state / "spool" / "1" / "home" / "go").touch()
        await bench.until(lambda: 1 in bench.ended, 60)

    assert bench.out(1) == b"listed\n"
    assert bench.ended[1].exit_code != 0


async def test_a_launcher_that_is_nobody_opens_the_same_way(humble: Bench) -> None:
    async with telling("listed") as port, telling("other") as other:
        script = f"{BASH} say 127.0.0.1 {port}; (say 127.0.0.1 {other}) 2>/dev/null || echo no"
        await humble.run(allowed(1, script, f"127.0.0.1:{port}"))

    assert humble.out(1) == b"listed\nno\n"
