"""Tell errors: one table from kind to status, one body for all (contract.problems.Problem)."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import DataError, IntegrityError
from starlette.exceptions import HTTPException

from scheduler_daemon.contract.problems import FieldError, Problem
from scheduler_daemon.domain import errors

log = logging.getLogger(__name__)

_KINDS: Mapping[type[errors.ChronosError], tuple[str, int, str]] = {
    errors.Invalid: ("invalid", 422, "This makes no sense as written"),
    errors.BadSchedule: ("bad_schedule", 422, "This is no schedule"),
    errors.NotFound: ("not_found", 404, "There is no such thing"),
    errors.NotAllowed: ("not_allowed", 403, "You may not do this"),
    errors.Conflict: ("conflict", 409, "Something else was first"),
    errors.Unavailable: ("unavailable", 503, "A part of the service does not answer"),
}
_HTTP = {400: "invalid", 404: "not_found", 405: "invalid", 413: "invalid"}


def problem_response(problem: Problem) -> Response:
    """Return the one error body."""
    body = json.dumps(problem.model_dump(mode="json", exclude_none=True))  # echoed lone surrogates are escaped
    return Response(body, status_code=problem.status, media_type="application/problem+json")


def _expected(_request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.ChronosError)
    kind, status, title = next(_KINDS[cls] for cls in type(error).__mro__ if cls in _KINDS)
    problem = Problem(kind=kind, status=status, title=title, detail=error.message)
    if isinstance(error, errors.BadSchedule):
        problem = problem.model_copy(update={"position": error.position, "suggestion": error.suggestion or None})
    if isinstance(error, errors.Invalid) and error.field:
        problem = problem.model_copy(update={"errors": (FieldError(field=error.field, message=error.message),)})
    return problem_response(problem)


def _malformed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if found and found[0]["type"] == "json_invalid":
        detail = f"the body is not JSON: {found[0].get('ctx', {}).get('error', 'it cannot be read')}"
        return problem_response(Problem(kind="invalid", status=400, title="This cannot be read", detail=detail))
    fields = tuple(FieldError(field=_path(item["loc"]), message=_message(item)) for item in found[:20])
    detail = "; ".join(f"{item.field} {item.message}" for item in fields[:3])
    title = "This makes no sense as written"
    return problem_response(Problem(kind="invalid", status=422, title=title, detail=detail, errors=fields))


def _path(loc: tuple[Any, ...]) -> str:
    parts = [str(part) for part in loc if part not in {"body", "query", "path"}]
    return ".".join(parts) or "the body"


def _message(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "is no field of this request; remove it"
    if item["type"] == "missing":
        return "is missing"
    text = str(item["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = _HTTP.get(error.status_code, "failed")
    return problem_response(
        Problem(kind=kind, status=error.status_code, title=str(error.detail), detail=str(error.detail))
    )


def _raced(_request: Request, error: Exception) -> Response:
    log.info("a unique constraint decided a race: %s", error)
    detail = "someone else made the same thing at this moment; look at what is there and try again"
    return problem_response(Problem(kind="conflict", status=409, title="Something else was first", detail=detail))


def _unstorable(_request: Request, error: Exception) -> Response:
    log.info("the database cannot hold what was asked: %s", error)
    detail = "the request holds text or a number that the database cannot; look for NUL bytes and broken Unicode"
    return problem_response(Problem(kind="invalid", status=422, title="This makes no sense as written", detail=detail))


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    detail = "this is a fault of the program; its log has the details"
    return problem_response(Problem(kind="failed", status=500, title="The daemon failed", detail=detail))


def install(app: FastAPI) -> None:
    """Make every error of the app a Problem."""
    app.add_exception_handler(errors.ChronosError, _expected)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(IntegrityError, _raced)
    app.add_exception_handler(DataError, _unstorable)
    app.add_exception_handler(UnicodeEncodeError, _unstorable)
    app.add_exception_handler(Exception, _unexpected)
