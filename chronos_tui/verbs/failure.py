"""What an error means to whoever called: one line on stderr, or a Problem with --json, and an exit code."""

import json
import sys
from typing import Any

from chronos_tui.client import ServerError, Unreachable
from chronos_tui.format import printable

FAILED, WRONG_USE, NOT_FOUND, NOT_ALLOWED, CONFLICT, UNREACHABLE, INTERRUPTED = 1, 2, 3, 4, 5, 6, 130

_EXIT_BY_STATUS = {
    400: WRONG_USE,
    413: WRONG_USE,
    422: WRONG_USE,
    404: NOT_FOUND,
    401: NOT_ALLOWED,
    403: NOT_ALLOWED,
    409: CONFLICT,
    412: CONFLICT,
    503: UNREACHABLE,
}


class Failure(Exception):  # noqa: N818 - the word for it
    """The verb cannot do what was asked; `detail` says what, why and what to do, in one sentence."""

    def __init__(self, detail: str, code: int = FAILED, *, kind: str = "failed", title: str = "It failed") -> None:
        super().__init__(detail)
        self.code = code
        self.problem: dict[str, Any] = {
            "type": "about:blank",
            "kind": kind,
            "title": title,
            "status": next((status for status, exit_code in _EXIT_BY_STATUS.items() if exit_code == code), 500),
            "detail": detail,
        }


def wrong_use(detail: str) -> Failure:
    """Return the failure of a flag or argument that makes no sense."""
    return Failure(detail, WRONG_USE, kind="invalid", title="Wrong use")


def judge(error: Exception) -> tuple[int, dict[str, Any]] | None:
    """Return the exit code and the Problem of an error we expect, None for any other."""
    if isinstance(error, Failure):
        return error.code, error.problem
    if isinstance(error, ServerError):
        return _EXIT_BY_STATUS.get(error.status, FAILED), error.problem
    if isinstance(error, Unreachable):
        unreachable = Failure(
            f"{error}; start it with `chronos up` or name another with --server or --state",
            UNREACHABLE,
            kind="unreachable",
            title="Server unreachable",
        )
        return unreachable.code, unreachable.problem
    return None


def sentence(problem: dict[str, Any]) -> str:
    """Return a Problem as one line: what is wrong, where, and what to do."""
    text = str(problem.get("detail") or problem.get("title") or "unknown error").rstrip()
    for wrong in problem.get("errors") or ():
        said = f"{wrong.get('field')}: {wrong.get('message')}"
        if str(wrong.get("message")) not in text:
            text += f"; {said}"
    position = problem.get("position")
    if position is not None and "position" not in text and "column" not in text:
        text += f" (at position {position})"
    suggestion = problem.get("suggestion")
    if suggestion and str(suggestion) not in text:
        text += f"; try {suggestion!r}"
    return printable(" ".join(text.split()))


def report(problem: dict[str, Any], *, as_json: bool) -> None:
    """Write a Problem to stderr: as JSON on one line, or as a sentence."""
    line = json.dumps(problem) if as_json else f"chronos: {sentence(problem)}"
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
