"""Start a command as another account or with more to do on the way: fork, give up root for good, only then run it.

We never wear the account's identity ourselves, not even for the instant of a spawn: its other processes could stop,
kill, slow down or pin the spawner meanwhile, which belongs to all accounts.
"""

from __future__ import annotations

import os
import pwd
import select
import signal
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from scheduler_daemon.launcher.command import Files, Unstartable, enter, run_first, tag, why_not_started
from scheduler_daemon.launcher.protocol import Message

_ACCOUNT_KEPT = 30.0
LOOK_AFTER_MS = 10
"""How long a newborn may take before it is looked whether it is stopped."""
_STOPPED = b"a process of the same account stopped it before it began"
_LONGEST_WHY = 4096
"""Bytes: as many as a pipe surely takes at once."""


class Account(NamedTuple):
    """Whom a job runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]


class Newborn(NamedTuple):
    """A process that is becoming a job. `told` reads empty once its command runs, else why it cannot; it is None where
    that is known to run.
    """

    pid: int
    told: int | None


class Steps(NamedTuple):
    """What else a newborn does on its way: before it gives up root, after, and the descriptors its command inherits."""

    before: Sequence[Callable[[], None]] = ()
    after: Sequence[Callable[[], None]] = ()
    keep: Sequence[int] = ()


_accounts: dict[str, tuple[float, Account]] = {}


def account(name: str | None) -> Account | None:
    """Return whom to become, or None to stay who we are. Raises Unstartable for an unknown or forbidden account."""
    if name is None:
        return None
    kept = _accounts.get(name)
    now = time.monotonic()
    if kept is None or now - kept[0] > _ACCOUNT_KEPT:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise Unstartable(f"user {name}: no such account") from None
        groups = tuple(os.getgrouplist(name, entry.pw_gid))
        kept = _accounts[name] = now, Account(entry.pw_uid, entry.pw_gid, groups)
    found = kept[1]
    own = os.geteuid()
    if found.uid == own:
        return None
    if own != 0:
        raise Unstartable(f"user {name}: only root may start jobs as somebody else")
    return found


def start(
    who: Account | None,
    request: Message,
    number: int | None,
    arguments: list[str],
    environment: dict[str, str],
    files: Files,
    steps: Steps = Steps(),  # noqa: B008 - it never changes
) -> Newborn:
    """Let a process begin that becomes the job, as we are if `who` is None. Raises Unstartable if there can be none."""
    told, telling = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
        if pid == 0:
            _live(telling, who, request, number, arguments, environment, files, steps)
    except OSError as error:
        os.close(told)
        raise Unstartable(why_not_started(arguments[0], error)) from None
    finally:
        os.close(telling)
    return Newborn(pid, told)


def settle(newborn: Newborn, *, stopped: bool = False) -> None:
    """Learn from a newborn that has told, or was `stopped`, what became of it. Raises Unstartable if nothing runs."""
    assert newborn.told is not None
    why = _STOPPED if stopped else os.read(newborn.told, _LONGEST_WHY)
    os.close(newborn.told)
    if why:
        os.waitpid(newborn.pid, 0)
        raise Unstartable(why.decode("utf-8", "surrogateescape"))


def give_up(newborn: Newborn) -> None:
    """Kill a newborn that does not tell, and leave it to be reaped: what it waits for may keep it even from dying."""
    assert newborn.told is not None
    os.close(newborn.told)
    os.kill(newborn.pid, signal.SIGKILL)


def wait(newborn: Newborn) -> None:
    """Wait until its command runs. Raises Unstartable if it cannot."""
    watched = select.poll()
    watched.register(newborn.told or 0, select.POLLIN)
    stopped = False
    while not stopped and not watched.poll(LOOK_AFTER_MS):
        stopped = end_if_stopped(newborn.pid)
    settle(newborn, stopped=stopped)


def end_if_stopped(pid: int) -> bool:
    """Kill a newborn if it is stopped: other processes of its account may do that before its command runs, and nobody
    waits for such a one.
    """
    if not _is_stopped(pid):
        return False
    os.kill(pid, signal.SIGKILL)
    return True


def _is_stopped(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # it has ended meanwhile, and left in the pipe what it had to say
        return False


def _live(
    telling: int,
    who: Account | None,
    request: Message,
    number: int | None,
    arguments: list[str],
    environment: dict[str, str],
    files: Files,
    steps: Steps,
) -> NoReturn:
    """In the newborn: become the job, or tell why not. Never returns into its parent's frames."""
    try:
        _become(who, request, number, files, steps)
        run_first(arguments, environment, lambda program: os.execve(program, arguments, environment))  # noqa: S606 - no shell
    except Unstartable as error:
        os.write(telling, str(error).encode("utf-8", "surrogateescape")[:_LONGEST_WHY])
    except BaseException as error:  # noqa: BLE001 - whatever it is, it must not pass for an end of the command
        os.write(telling, repr(error).encode("utf-8", "replace")[:_LONGEST_WHY])
    finally:
        os._exit(127)


def _become(who: Account | None, request: Message, number: int | None, files: Files, steps: Steps) -> None:
    """Be the account for good, in the place and with the files the job is to have."""
    os.setsid()
    given = os.open(os.devnull, os.O_RDONLY) if files[0] is None else files[0]
    for place, descriptor in enumerate((given, files[1], files[2])):
        os.dup2(descriptor, place)
    if number is not None:
        tag(number)
    for step in steps.before:
        step()
    if who is not None:
        give_up_root(who)
    for step in steps.after:
        step()
    for descriptor in steps.keep:
        os.set_inheritable(descriptor, True)
    enter(request["cwd"])
    os.umask(request["umask"])


def give_up_root(who: Account) -> None:
    """Be this account for good. Raises Unstartable."""
    try:
        os.setgroups(who.groups)
        os.setresgid(who.gid, who.gid, who.gid)
        os.setresuid(who.uid, who.uid, who.uid)
    except OSError as error:
        raise Unstartable(f"cannot become uid {who.uid}: {error.strerror}") from None
