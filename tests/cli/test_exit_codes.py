"""Exit codes 0 to 6, and one line that says what, why and what to do."""

import json
import socket
from pathlib import Path

import pytest

from scheduler_daemon.contract.problems import FieldError, Problem
from tests.cli.conftest import Chronos, execution
from tests.support.canned import Canned

BY_STATUS = [(400, 2), (422, 2), (404, 3), (401, 4), (403, 4), (409, 5), (412, 5), (503, 6), (500, 1), (418, 1)]


@pytest.mark.parametrize(("status", "code"), BY_STATUS)
def test_the_servers_status_decides_the_exit_code(chronos: Chronos, canned: Canned, status: int, code: int) -> None:
    problem = Problem(kind="some", title="Some", status=status, detail="it is so; do otherwise")
    canned.answer("GET", "/v1/whoami", problem, status)

    done = chronos("whoami")

    assert (done.code, done.out) == (code, "")
    assert done.err == "chronos: it is so; do otherwise\n"


def test_with_json_a_problem_stands_on_stderr_and_stdout_stays_empty(chronos: Chronos, canned: Canned) -> None:
    problem = Problem(kind="not_found", title="No", status=404, detail="there is no job 'x'", suggestion="y")
    canned.answer("GET", "/v1/jobs/x", problem, 404)

    done = chronos("job", "show", "x", "--json")

    assert (done.code, done.out) == (3, "")
    assert Problem.model_validate_json(done.err) == problem


def test_the_line_names_field_position_and_suggestion(chronos: Chronos, canned: Canned) -> None:
    wrong = (FieldError(field="spec.cwd", message="is not absolute"),)
    problem = Problem(
        kind="bad_schedule", title="No", status=422, detail="minute 61\nis too large", position=3,
        suggestion="1 * * * *", errors=wrong,
    )  # fmt: skip
    canned.answer("POST", "/v1/schedules/preview", problem, 422)

    done = chronos("next", "61 * * * *")

    assert done.err == ("chronos: minute 61 is too large; spec.cwd: is not absolute (at position 3); try '1 * * * *'\n")


def test_control_characters_of_an_error_do_not_reach_the_terminal(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/whoami", Problem(kind="k", title="t", status=404, detail="a\x1b]0;evil\x07b\nc"), 404)

    done = chronos("whoami")

    assert done.err == "chronos: ab c\n"


def test_an_answer_that_is_no_problem_is_quoted(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/whoami", b"<h1>Bad gateway</h1>", 502)

    done = chronos("whoami")

    assert (done.code, done.err) == (1, "chronos: <h1>Bad gateway</h1>\n")


def test_no_socket_is_exit_6_and_says_how_to_start(chronos: Chronos, tmp_path: Path) -> None:
    done = chronos("status", server=f"unix://{tmp_path}/none.sock")

    assert done.code == 6
    assert "there is no such socket" in done.err
    assert "chronos up" in done.err
    assert done.err.count("\n") == 1


def test_a_socket_nobody_listens_on_is_exit_6(chronos: Chronos, tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "left.sock"))
    left.close()

    done = chronos("status", "--json", server=f"unix://{tmp_path}/left.sock")

    assert done.code == 6
    assert json.loads(done.err)["kind"] == "unreachable"


def test_something_else_that_answers_is_exit_6(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/status", b"hello")

    done = chronos("status")

    assert done.code == 6
    assert "not a Chronos server" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("job",),
        ("job", "lst"),
        ("job", "add"),
        ("job", "add", "x"),
        ("job", "add", "x", "--timeout", "soon", "--", "true"),
        ("job", "add", "x", "--env", "=v", "--", "true"),
        ("job", "add", "x", "--stdin", "/does/not/exist", "--", "cat"),
        ("job", "edit", "x"),
        ("job", "edit", "x", "--from", "/dev/null"),
        ("job", "list", "--limit", "0"),
        ("job", "list", "--limit", "many"),
        ("job", "list", "--bogus"),
        ("run",),
        ("run", "show"),
        ("run", "show", "first"),
        ("run", "a", "b"),
        ("cancel", "0"),
        ("log", "1", "--stream", "both"),
        ("log", "1", "--raw", "--follow"),
        ("runs", "list", "--since", "yesterday"),
        ("explain", "x", "--at", "noon"),
        ("next",),
        ("export", "--format", "xml"),
        ("import", "crontab", "/does/not/exist"),
        ("up", "extra"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_2_in_one_line_before_the_server_is_asked(
    chronos: Chronos, canned: Canned, arguments: tuple[str, ...]
) -> None:
    done = chronos(*arguments)

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("chronos: ")
    assert done.err.count("\n") == 1
    assert canned.asked == []


def test_wrong_use_with_json_is_a_problem(chronos: Chronos) -> None:
    done = chronos("runs", "list", "--json", "--since", "yesterday")

    assert done.code == 2
    assert Problem.model_validate_json(done.err).kind == "invalid"


def test_a_wrong_server_address_is_exit_2(chronos: Chronos) -> None:
    done = chronos("status", server="ftp://elsewhere")

    assert done.code == 2
    assert "unix:///path" in done.err


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("failed", 1), ("cancelled", 1), ("missed", 1)])
def test_run_wait_fails_unless_the_run_succeeded(chronos: Chronos, canned: Canned, state: str, code: int) -> None:
    canned.answer("POST", "/v1/jobs/backup/run", execution(), 202)
    canned.answer("GET", "/v1/executions/12", execution(state="running"))
    canned.answer("GET", "/v1/executions/12", execution(state=state, exit_code=0 if code == 0 else 4, duration_ms=1200))

    done = chronos("run", "backup", "--wait", "--json")

    assert done.code == code
    assert json.loads(done.out)["state"] == state
