"""Run the command of a job: where its program lies, what surrounds it, and why it could not be run."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Mapping

Files = tuple[int | None, int, int]
"""What becomes stdin (None: an empty one of its own), stdout and stderr."""
_DEFAULT_PATH = "/usr/bin:/bin"


class Unstartable(Exception):  # noqa: N818 - named as what the user is told
    """The job could not be started; the text says what and why. Nothing of it ran."""


def run_first(arguments: list[str], environment: Mapping[str, str], run: Callable[[str], int]) -> int:
    """Call `run` with each place the program may lie at until one can be run; return what it returns.

    Raises Unstartable, with what stands in the way of the likeliest place.
    """
    failure: OSError = FileNotFoundError(errno.ENOENT, "not found")
    for program in _candidates(arguments[0], environment):
        try:
            return run(program)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.EACCES}:
                raise Unstartable(why_not_started(program, error)) from None
            failure = failure if failure.errno == errno.EACCES else error
    raise Unstartable(why_not_started(arguments[0], failure))


def _candidates(name: str, environment: Mapping[str, str]) -> list[str]:
    """Return where a program may lie: the job's own PATH is searched, never ours."""
    if "/" in name:
        return [name]
    return [os.path.join(folder, name) for folder in environment.get("PATH", _DEFAULT_PATH).split(":")]  # noqa: PTH118


def why_not_started(name: str, error: OSError) -> str:
    """Return why this program cannot be started, for people."""
    if error.errno == errno.ENOENT:
        return f"command {name}: not found, or the interpreter it names is missing"
    if error.errno == errno.EAGAIN:
        return f"command {name}: no more processes are allowed (EAGAIN)"
    if error.errno == errno.E2BIG:
        return f"command {name}: arguments and environment are too long for the kernel (E2BIG)"
    return f"command {name}: {error.strerror}"


def enter(cwd: str) -> None:
    """Go to a job's working directory. Raises Unstartable."""
    try:
        os.chdir(cwd)
    except OSError as error:
        raise Unstartable(f"working directory {cwd}: {error.strerror}") from None


def tag(number: int) -> None:
    """Keep the number of a mark as the limit of real-time work. Where that is limited in earnest, it is left alone."""
    hard = resource.getrlimit(resource.RLIMIT_RTTIME)[1]
    if hard == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_RTTIME, (number, hard))
