"""Give birth to one job: its account, folder, files, environment and session, exactly as asked.

What runs as ourselves is started by posix_spawn, which is cheapest; how to become another account is left to `another`.
Paths, working directory and process limits are judged by the kernel as the job's own account.
"""

from __future__ import annotations

import os
import resource
from typing import NamedTuple

from scheduler_daemon.launcher import another
from scheduler_daemon.launcher.command import Files, Unstartable, enter, run_first, tag
from scheduler_daemon.launcher.protocol import RUN_MARK, Message
from scheduler_daemon.launcher.reuse import Folders, Kind

_TAGS_FROM = 1 << 61
"""Marks start here: as a limit on microseconds of real-time work this is 73,000 years, which is no limit at all."""


class AlreadyBegun(Exception):  # noqa: N818 - it is no error, only news
    """A spawner took this run up before; it is never started twice."""


class Mark(NamedTuple):
    """How a job's processes are recognised: by a variable, and by a number kept where programs do not clean up."""

    text: str
    number: int


def first_half(spool_path: str, run: int) -> str:
    """Return how the mark of a run begins: with its number, and with its spool's, for other daemons count runs too."""
    status = os.stat(spool_path)  # noqa: PTH116
    return f"{run}-{status.st_dev ^ (status.st_ino << 16):x}-"


def new_mark(first: str) -> Mark:
    """Return a mark nobody can guess."""
    secret = int.from_bytes(os.urandom(7), "little")
    return Mark(f"{first}{secret:014x}", _TAGS_FROM + secret)


def number_of(mark: str) -> int:
    """Return the number of the mark with this text, 0 if it is none that we made."""
    secret = mark.rpartition("-")[2]
    own = len(secret) == 14 and set(secret) <= set("0123456789abcdef")
    return _TAGS_FROM + int(secret, 16) if own else 0


def open_files(path: str, spare: Folders, *, stdin: bool, kind: Kind) -> Files:
    """Open stdout, stderr and the input, if any: ours, 0600. Raises AlreadyBegun if output is there, or Unstartable."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    opened: list[int] = []
    try:
        try:
            if spare.take(path, kind):
                flags &= ~(os.O_CREAT | os.O_EXCL)
            opened.append(os.open(f"{path}/stdout", flags, 0o600))
        except FileNotFoundError:
            os.mkdir(path, 0o700)  # noqa: PTH102
            opened.append(os.open(f"{path}/stdout", flags, 0o600))
        opened.append(os.open(f"{path}/stderr", flags, 0o600))
        if stdin:
            opened.append(os.open(f"{path}/stdin", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
    except OSError as error:
        for descriptor in opened:
            os.close(descriptor)
        if isinstance(error, FileExistsError):
            raise AlreadyBegun from None
        raise Unstartable(f"spool file {error.filename}: {error.strerror}") from None
    return opened[2] if stdin else None, opened[0], opened[1]


def spawn(request: Message, files: Files, mark: Mark, *, tagged: bool) -> another.Newborn:
    """Start the process. Raises Unstartable. `tagged` also sets the number of the mark."""
    who = another.account(request["user"])
    environment = {**request["env"], RUN_MARK: mark.text}
    number = mark.number if tagged else None
    if who is not None:
        return another.start(who, request, number, request["argv"], environment, files)
    cwd = request["cwd"]
    if cwd != "/":
        enter(cwd)
    if number is not None:
        tag(number)
    os.umask(request["umask"])
    try:
        return another.Newborn(_start(request["argv"], environment, files), None)
    finally:
        os.umask(0o077)
        if number is not None:
            tag(resource.RLIM_INFINITY)
        if cwd != "/":
            os.chdir("/")


def _start(arguments: list[str], environment: dict[str, str], files: Files) -> int:
    given, out, err = files
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0) if given is None else (os.POSIX_SPAWN_DUP2, given, 0),
        (os.POSIX_SPAWN_DUP2, out, 1),
        (os.POSIX_SPAWN_DUP2, err, 2),
    ]

    def run(program: str) -> int:
        return os.posix_spawn(
            program,
            arguments,
            environment,
            file_actions=actions,
            setsid=True,
        )

    return run_first(arguments, environment, run)
