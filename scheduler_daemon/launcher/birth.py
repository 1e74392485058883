"""Give birth to one job: its account, folder, files, environment and session, exactly as asked.

What runs as ourselves is started by posix_spawn, which is cheapest; how to become another account is left to `another`.
Paths, working directory and process limits are judged by the kernel as the job's own account.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from scheduler_daemon.launcher import another
from scheduler_daemon.launcher.command import Unstartable, enter, run_first, tag
from scheduler_daemon.launcher.protocol import RUN_MARK, Message
from scheduler_daemon.launcher.reuse import Folders

_ALL_SIGNALS = tuple(int(number) for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
_TAGS_FROM = 1 << 61
"""Marks start here: as a limit on microseconds of real-time work this is 73,000 years, which is no limit at all."""


class AlreadyBegun(Exception):  # noqa: N818 - it is no error, only news
    """A spawner took this run up before; it is never started twice."""


class Mark(NamedTuple):
    """How a job's processes are recognised: by a variable, and by a number kept where programs do not clean up."""

    text: str
    number: int


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
    who = another.account(request["user"])
    environment = {os.fsencode(name): os.fsencode(value) for name, value in request["env"].items()}
    environment[RUN_MARK.encode()] = mark.text.encode()
    arguments = [os.fsencode(text) for text in request["argv"]]
    number = mark.number if tagged else None
    if who is None:
        with _surroundings(request["cwd"], request["umask"], number):
            return _start(arguments, environment, files)
    return another.start(who, request, number, arguments, environment, files)


def _start(arguments: list[bytes], environment: dict[bytes, bytes], files: tuple[int, int, int]) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, descriptor, place) for place, descriptor in enumerate(files)]

    def run(program: bytes) -> int:
        return os.posix_spawn(
            program,
            arguments,
            environment,
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=_ALL_SIGNALS,
        )

    return run_first(arguments, environment, run)


@contextmanager
def _surroundings(cwd: str, umask: int, number: int | None) -> Iterator[None]:
    enter(cwd)
    tag(number)
    os.umask(umask)
    try:
        yield
    finally:
        os.umask(0o077)
        os.chdir("/")
        if number is not None:
            tag(resource.RLIM_INFINITY)
