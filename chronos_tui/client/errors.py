"""What can go wrong between this program and the server, and how an answer's body becomes an error."""

import json
from typing import Any

WRONG_QUESTIONS = frozenset({400, 404, 409, 422})
"""Statuses that speak of what was asked; others say that the server cannot tell us anything."""


class ServerError(Exception):
    """The server refused, and said why. `problem` is the contract's Problem as JSON; `document` what it really sent."""

    def __init__(self, problem: dict[str, Any], status: int, document: dict[str, Any] | None = None) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        self.problem = problem
        self.status = status
        self.document = problem if document is None else document

    @property
    def kind(self) -> str:
        """The stable word for what went wrong, such as `not_found`."""
        return str(self.problem.get("kind", ""))


class Unreachable(Exception):  # noqa: N818 - a state of the world, said as such
    """Nobody answers at the address, or what answers is no Chronos server."""

    def __init__(self, address: object, why: str) -> None:
        super().__init__(f"no server answers at {address}: {why}")
        self.address = str(address)
        self.why = why


def refusal(status: int, body: bytes) -> ServerError:
    """Return the error of an answer with `status` >= 400; a body that is no Problem is quoted in one."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {}
    if "detail" in document and "kind" in document:
        return ServerError(document, status)
    text = " ".join(body[:300].decode("utf-8", "replace").split()) or "no explanation"
    quoted = {"type": "about:blank", "kind": "unexpected", "title": f"HTTP {status}", "status": status, "detail": text}
    return ServerError(quoted, status, document)
