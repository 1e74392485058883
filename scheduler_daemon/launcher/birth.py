"""Give birth to one job: its account, folder, files, environment and session, exactly as asked.

To run as another account, root lays down its effective and real identity around the spawn and takes it up again; exec
makes the loss final in the child. So no second exec and no fork of a Python is needed, and paths, working directory and
process limits are judged by the kernel as that account's own.
"""

from __future__ import annotations

import errno
import os
import pwd
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from scheduler_daemon.launcher.protocol import RUN_MARK, Message
from scheduler_daemon.launcher.reuse import Folders

_DEFAULT_PATH = "/usr/bin:/bin"
_ALL_SIGNALS = tuple(int(number) for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
_ACCOUNT_KEPT = 30.0
_NO_LIMIT = resource.RLIM_INFINITY
_TAGS_FROM = 1 << 61
"""Marks start here: as a limit on microseconds of real-time work this is 73,000 years, which is no limit at all."""


class Unstartable(Exception):  # noqa: N818 - named as what the user is told
    """The job could not be started; the text says what and why. Nothing of it ran."""


class AlreadyBegun(Exception):  # noqa: N818 - it is no error, only news
    """A spawner took this run up before; it is never started twice."""


class Account(NamedTuple):
    """Whom a job runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]


class Mark(NamedTuple):
    """How a job's processes are recognised: by a variable, and by a number kept where programs do not clean up."""

    text: str
    number: int


_accounts: dict[str, tuple[float, Account]] = {}
_own_uid = os.geteuid()


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
    if found.uid == _own_uid:
        return None
    if _own_uid != 0:
        raise Unstartable(f"user {name}: only root may start jobs as somebody else")
    return found


def new_mark(run: int) -> Mark:
    """Return a mark nobody can guess."""
    secret = int.from_bytes(os.urandom(7), "little")
    return Mark(f"{run}-{secret:014x}", _TAGS_FROM + secret)


def open_files(path: str, spare: Folders, *, stdin: bool) -> tuple[int, int, int]:
    """Open stdin, stdout and stderr, ours and 0600. Raises AlreadyBegun if output is there, or Unstartable."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    opened: list[int] = []
    try:
        try:
            if spare.take(path):
                flags &= ~(os.O_CREAT | os.O_EXCL)
            opened.append(os.open(f"{path}/stdout", flags, 0o600))
        except FileNotFoundError:
            os.mkdir(path, 0o700)  # noqa: PTH102
            opened.append(os.open(f"{path}/stdout", flags, 0o600))
        opened.append(os.open(f"{path}/stderr", flags, 0o600))
        opened.append(os.open(f"{path}/stdin" if stdin else "/dev/null", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
    except OSError as error:
        for descriptor in opened:
            os.close(descriptor)
        if isinstance(error, FileExistsError):
            raise AlreadyBegun from None
        raise Unstartable(f"spool file {error.filename}: {error.strerror}") from None
    return opened[2], opened[0], opened[1]


def spawn(request: Message, files: tuple[int, int, int], mark: Mark, *, tagged: bool) -> int:
    """Start the process and return its pid. Raises Unstartable. `tagged` also sets the number of the mark."""
    who = account(request["user"])
    environment = {os.fsencode(name): os.fsencode(value) for name, value in request["env"].items()}
    environment[RUN_MARK.encode()] = mark.text.encode()
    arguments = [os.fsencode(text) for text in request["argv"]]
    with _identity(who), _surroundings(request["cwd"], request["umask"], mark.number if tagged else None):
        return _start(arguments, environment, files)


def _start(arguments: list[bytes], environment: dict[bytes, bytes], files: tuple[int, int, int]) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, descriptor, place) for place, descriptor in enumerate(files)]
    failure: OSError | None = None
    for program in _candidates(arguments[0], environment):
        try:
            return os.posix_spawn(
                program,
                arguments,
                environment,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=_ALL_SIGNALS,
            )
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.EACCES}:
                raise Unstartable(_why_not_started(program, error)) from None
            failure = failure if failure is not None and failure.errno == errno.EACCES else error
    raise Unstartable(_why_not_started(arguments[0], failure or FileNotFoundError(errno.ENOENT, "not found")))


def _candidates(name: bytes, environment: dict[bytes, bytes]) -> list[bytes]:
    """Return where a program may lie: the job's own PATH is searched, never ours."""
    if b"/" in name:
        return [name]
    return [os.path.join(folder, name) for folder in environment.get(b"PATH", _DEFAULT_PATH.encode()).split(b":")]  # noqa: PTH118


def _why_not_started(program: bytes, error: OSError) -> str:
    name = os.fsdecode(program)
    if error.errno == errno.ENOENT:
        return f"command {name}: not found, or the interpreter it names is missing"
    if error.errno == errno.EAGAIN:
        return f"command {name}: no more processes are allowed (EAGAIN)"
    if error.errno == errno.E2BIG:
        return f"command {name}: arguments and environment are too long for the kernel (E2BIG)"
    return f"command {name}: {error.strerror}"


@contextmanager
def _identity(who: Account | None) -> Iterator[None]:
    if who is None:
        yield
        return
    groups = os.getgroups()
    try:
        os.setgroups(who.groups)
        os.setresgid(who.gid, who.gid, 0)
        os.setresuid(who.uid, who.uid, 0)
        yield
    except OSError as error:
        raise Unstartable(f"cannot become uid {who.uid}: {error.strerror}") from None
    finally:
        os.setresuid(0, 0, 0)  # whoever cannot become root again must not go on: this raises, and the spawner ends
        os.setresgid(0, 0, 0)
        if os.getgroups() != groups:
            os.setgroups(groups)


@contextmanager
def _surroundings(cwd: str, umask: int, number: int | None) -> Iterator[None]:
    try:
        os.chdir(os.fsencode(cwd))
    except OSError as error:
        raise Unstartable(f"working directory {cwd}: {error.strerror}") from None
    if number is not None:
        resource.setrlimit(resource.RLIMIT_RTTIME, (number, resource.getrlimit(resource.RLIMIT_RTTIME)[1]))
    os.umask(umask)
    try:
        yield
    finally:
        os.umask(0o077)
        os.chdir("/")
        if number is not None:
            hard = resource.getrlimit(resource.RLIMIT_RTTIME)[1]
            resource.setrlimit(resource.RLIMIT_RTTIME, (_NO_LIMIT if hard == _NO_LIMIT else hard, hard))
