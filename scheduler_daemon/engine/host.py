"""Take down how the machine is. The process table is read in a thread, folders of jobs in a process of their own."""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path

from scheduler_daemon.contract.host import DiskFacts, HostFacts, ProcessFacts
from scheduler_daemon.engine import probes, process_table
from scheduler_daemon.engine.process_table import Process

TOP = 5
"""Processes named for each reason."""
SPAN = 0.2
"""Seconds over which the use of processors is measured."""


async def take(state: str, host: str, now: datetime) -> HostFacts:
    """Return how the machine is, with the disk of the daemon's folder."""
    before = await asyncio.to_thread(process_table.read)
    begun = time.monotonic()
    await asyncio.sleep(SPAN)
    return await asyncio.to_thread(_taken, before, begun, state, host, now)


def _taken(before: Mapping[int, Process], begun: float, state: str, host: str, now: datetime) -> HostFacts:
    after = process_table.read()
    shares = _shares(before, after, time.monotonic() - begun)
    memory = _table("/proc/meminfo")
    return HostFacts(
        at=now,
        host=host,
        processors=os.cpu_count() or 1,
        load=os.getloadavg(),
        memory_total_bytes=memory.get("MemTotal"),
        memory_available_bytes=memory.get("MemAvailable"),
        swap_total_bytes=memory.get("SwapTotal"),
        swap_free_bytes=memory.get("SwapFree"),
        sockets=_sockets(),
        processes=len(after),
        disks=(_own_disk(state),),
        by_cpu=_first(after.values(), shares, key=lambda one: shares[one.pid]),
        by_memory=_first(after.values(), shares, key=lambda one: one.rss),
    )


def _shares(before: Mapping[int, Process], after: Mapping[int, Process], seconds: float) -> dict[int, float]:
    """Return per cent of a processor that each process used; one that began meanwhile used what it has used so far."""
    return {
        pid: max(0.0, one.own_s - (before[pid].own_s if pid in before else 0.0)) / seconds * 100
        for pid, one in after.items()
    }


def _first(
    found: Iterable[Process], shares: Mapping[int, float], *, key: Callable[[Process], float]
) -> tuple[ProcessFacts, ...]:
    greatest = sorted(found, key=key, reverse=True)[:TOP]
    return tuple(
        ProcessFacts(pid=one.pid, name=one.name, cpu_percent=round(shares[one.pid], 1), rss_bytes=one.rss)
        for one in greatest
        if key(one) > 0
    )


def _table(path: str) -> dict[str, int]:
    """Read `Name: 12 kB` lines as bytes."""
    pairs = (line.partition(":") for line in Path(path).read_text("ascii", "replace").splitlines())
    return {name: int(words[0]) * 1024 for name, _, rest in pairs if (words := rest.split()) and words[0].isdigit()}


def _sockets() -> int | None:
    try:
        words = Path("/proc/net/sockstat").read_text("ascii", "replace").split()
    except OSError:
        return None
    return int(words[2]) if words[:2] == ["sockets:", "used"] and words[2].isdigit() else None


def _own_disk(path: str) -> DiskFacts:
    try:
        room = os.statvfs(path)
    except OSError as error:
        return DiskFacts(path=path, fault=error.strerror or str(error))
    return DiskFacts(
        path=path,
        total_bytes=room.f_blocks * room.f_frsize,
        free_bytes=room.f_bavail * room.f_frsize,
        free_files=room.f_favail if room.f_files else None,
    )


async def disk_of(path: str) -> DiskFacts:
    """Return what is known of the file system a job's folder lies in, which may be one that does not answer."""
    found = await probes.room_at(path)
    if isinstance(found, str):
        return DiskFacts(path=path, fault=found)
    unit, total, free, files, free_files = found
    return DiskFacts(
        path=path, total_bytes=total * unit, free_bytes=free * unit, free_files=free_files if files else None
    )
