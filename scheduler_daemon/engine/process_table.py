"""Read the process table: who lives, below whom, what each has used. Blocks for some ms: never in the event loop."""

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
HELPERS = frozenset({"bwrap", "chronos-gateway"})
"""Processes that hold a box together and are not the job's."""


class Process(NamedTuple):
    """One line of the table. `cpu_s` counts the children it has waited for, `own_s` does not; it chooses its name."""

    pid: int
    name: str
    parent: int
    session: int
    cpu_s: float
    threads: int
    rss: int
    """Bytes in memory, what it shares with others included."""
    own_s: float = 0.0


class Use(NamedTuple):
    """What the processes of one run use at a moment."""

    cpu_s: float
    """So far, of those that live and those they have waited for."""
    rss: int
    processes: int
    """Threads included."""


def read() -> dict[int, Process]:
    """Return the processes we may see, by pid."""
    found = (_process(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - Path costs ten times
    return {one.pid: one for one in found if one is not None}


def _process(name: str) -> Process | None:
    try:
        descriptor = os.open(f"/proc/{name}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        line = os.read(descriptor, 4096)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    begin, end = line.index(b"(") + 1, line.rindex(b")")
    words = line[end + 2 :].split(None, 22)
    ticks = [int(word) for word in words[11:15]]
    return Process(
        pid=int(name),
        name=line[begin:end].decode("utf-8", "replace"),
        parent=int(words[1]),
        session=int(words[3]),
        cpu_s=sum(ticks) / TICKS,
        threads=int(words[17]),
        rss=int(words[21]) * PAGE,
        own_s=(ticks[0] + ticks[1]) / TICKS,
    )


def uses(table: Mapping[int, Process], mains: Mapping[int, int]) -> dict[int, Use]:
    """Return what runs use now, by run; `mains` gives the first process of each. Those that are gone are left out."""
    below: dict[int, list[int]] = {}
    of_session: dict[int, list[int]] = {}
    for one in table.values():
        below.setdefault(one.parent, []).append(one.pid)
        of_session.setdefault(one.session, []).append(one.pid)
    found = {}
    for run, main in mains.items():
        if main in table:
            members = (table[pid] for pid in _members(main, below, of_session))
            own = [one for one in members if one.name not in HELPERS]
            found[run] = Use(sum(o.cpu_s for o in own), sum(o.rss for o in own), sum(o.threads for o in own))
    return found


def _members(main: int, below: Mapping[int, list[int]], of_session: Mapping[int, list[int]]) -> Iterator[int]:
    """Yield the pids of the first process, of its session, and of all below them."""
    seen: set[int] = set()
    waiting = [main, *of_session.get(main, ())]
    while waiting:
        pid = waiting.pop()
        if pid not in seen:
            seen.add(pid)
            waiting += below.get(pid, ())
            yield pid
