"""What we ask of Linux that Python does not offer, or not cheaply: subreapers, peeking at the dead, the process table.

A pid alone names nobody: it is always held together with its start time in clock ticks since boot, so that a recycled
pid is never taken for the process that had it before.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_WAITID = {"x86_64": 247, "aarch64": 95, "riscv64": 95, "ppc64le": 272, "s390x": 281}.get(os.uname().machine)
_PEEK = os.WEXITED | os.WNOHANG | os.WNOWAIT

_NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

_libc = ctypes.CDLL(None, use_errno=True)
_info = ctypes.create_string_buffer(128)
_usage = ctypes.create_string_buffer(272)
_INFO, _USAGE = struct.Struct("iiiiiIi"), struct.Struct("13l")
_BLOCK = 512
_TABLE_AGAIN = 0.01
"""Seconds until the process table is read again that could not be."""


MS_NOSUID, MS_NODEV, MS_BIND = 2, 4, 4096
_MS_REC, _MS_PRIVATE, _CLONE_NEWNS = 16384, 1 << 18, 0x20000


class Ending(NamedTuple):
    """How a child ended, as wait4(2) tells it, with the children it waited for.

    `max_rss` is in bytes, and so is what was read from disks and written to them.
    """

    pid: int
    exit_code: int | None
    signal: int | None
    cpu_us: int
    max_rss: int
    read: int
    written: int


class Process(NamedTuple):
    """One line of the process table. `ticks` is its start in clock ticks since boot."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    ticks: int

    @property
    def living(self) -> bool:
        return self.state not in "ZX"


def be_called(name: str) -> None:
    """Take a name of at most 15 characters in the process table."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def become_subreaper(name: str) -> None:
    """Make orphans below us our children, so that nothing that a job started slips away to init."""
    be_called(name)
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def leave_mounts() -> None:
    """Have a view of the file system of our own from now on: what is mounted in it is seen by nobody else."""
    if _libc.unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNS)")
    _ALONE()


def mounting(source: str, target: str, kind: str | None, flags: int, data: str | None) -> Callable[[], None]:
    """Return what mounts as mount(2) does: all is made ready here, for each page a newborn writes to has a price."""
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    words = *texts, ctypes.c_ulong(flags), None if data is None else data.encode()

    def mount() -> None:
        if _libc.mount(*words) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), target)

    return mount


_ALONE = mounting("none", "/", None, _MS_REC | _MS_PRIVATE, None)


def pass_over(*numbers: signal.Signals) -> None:
    """Let these signals do nothing to us. They are heard rather than ignored: that does not pass to a program we run,
    so no newborn has to set it right.
    """
    for number in numbers:
        signal.signal(number, lambda _number, _frame: None)


def hear_of_ended_children() -> int:
    """Return a descriptor that can be read from once children have ended; many ends at once are one piece of news."""
    heard, told = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    pass_over(signal.SIGCHLD)
    return heard


def peek_ended_child() -> Ending | None:
    """Return how the next ended child ended, leaving it a zombie, or None if none has. Reap it with `reap`.

    The zombie keeps the status until it is written down: whoever dies in between, our own parent can still read it.
    """
    if _WAITID is None:
        return _take_ended_child()
    if _libc.syscall(_WAITID, 0, 0, _info, _PEEK, _usage) != 0:
        return None
    _signo, _errno, how, _pad, pid, _uid, status = _INFO.unpack_from(_info)
    if pid == 0:
        return None
    user_s, user_us, system_s, system_us, max_rss_kib, *_others, read, written = _USAGE.unpack_from(_usage)
    code, number = (status, None) if how == os.CLD_EXITED else (None, status)
    cpu_us = (user_s + system_s) * 1_000_000 + user_us + system_us
    return Ending(pid, code, number, cpu_us, max_rss_kib * 1024, read * _BLOCK, written * _BLOCK)


def _take_ended_child() -> Ending | None:
    """The same where the number of waitid(2) is not known to us; here the zombie is gone at once."""
    try:
        pid, status, usage = os.wait4(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    if pid == 0:
        return None
    result = os.waitstatus_to_exitcode(status)
    cpu_us = int((usage.ru_utime + usage.ru_stime) * 1_000_000)
    code, number = (result, None) if result >= 0 else (None, -result)
    blocks = usage.ru_inblock * _BLOCK, usage.ru_oublock * _BLOCK
    return Ending(pid, code, number, cpu_us, usage.ru_maxrss * 1024, *blocks)


def reap(pid: int) -> None:
    """Let a zombie go; no more is known of it afterwards."""
    if _WAITID is not None:
        os.waitpid(pid, 0)


def has_living_child_in_group(group: int) -> bool:
    """Tell whether a living child of ours, born or adopted, is in this process group; its zombies do not count."""
    try:
        os.waitid(os.P_PGID, group, os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def content(path: str) -> bytes:
    """Return all of a small file. Unlike Path.read_bytes it costs next to nothing, which counts at every end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = b""
        while chunk := os.read(descriptor, 65536):
            text += chunk
        return text
    finally:
        os.close(descriptor)


def variable(pid: int, name: str) -> str:
    """Return a variable of the environment that a process was started with, "" if it has none or hides it."""
    try:
        environment = content(f"/proc/{pid}/environ")
    except OSError:
        return ""
    start = (b"\0" + environment).find(f"\0{name}=".encode())
    if start < 0:
        return ""
    value = environment[start + len(name) + 1 :]
    return value[: value.find(b"\0")].decode("ascii", "replace")


def boot_id() -> str:
    """Return the kernel's name for this boot; start times in ticks mean nothing in another."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def process(pid: int) -> Process | None:
    """Return what the process table says of this pid, zombies included, or None if there is none.

    Raises OSError if it cannot be read: who is not seen for want of a descriptor must not pass for dead.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        line = os.read(descriptor, 4096)
    except ProcessLookupError:  # it ended between open and read
        return None
    finally:
        os.close(descriptor)
    words = line[line.rindex(b")") + 2 :].split(None, 20)
    return Process(pid, chr(words[0][0]), int(words[1]), int(words[2]), int(words[3]), int(words[19]))


def ticks_now() -> int:
    """Return the time since boot in clock ticks, as start times are counted."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // _NS_PER_TICK


def ticks_of_newborn(pid: int, before: int) -> int:
    """Return the start of a child born since `before`; the process table is read only if a tick passed meanwhile.

    Where the machine has no descriptor left it is waited for: a child without its name can neither be told nor killed.
    """
    if ticks_now() == before:
        return before
    while True:
        try:
            born = process(pid)  # ours until we reap it, so it is there
        except OSError:
            time.sleep(_TABLE_AGAIN)
        else:
            return born.ticks if born else before


def processes() -> dict[int, Process]:
    """Return the whole process table by pid."""
    found = (process(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - Path costs ten times
    return {one.pid: one for one in found if one is not None}


def is_living(pid: int, ticks: int) -> bool:
    """Tell whether the very process that started at `ticks` still lives; a zombie does not."""
    one = process(pid)
    return one is not None and one.ticks == ticks and one.living


def send(pid: int, ticks: int, number: signal.Signals) -> bool:
    """Signal this very process. False if it is gone, its pid has another owner now, or we may not.

    The pidfd pins the process before its start time is compared, so no recycling can come between check and signal.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        one = process(pid)
        if one is None or one.ticks != ticks:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
