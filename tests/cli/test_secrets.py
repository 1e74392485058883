"""`chronos secret ...`: a value comes from standard input or a file, never from an argument, and is never printed."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.secrets import SecretView
from tests.cli.conftest import NOON, Chronos, job_view
from tests.support.canned import Canned

TOKEN = SecretView(name="token", version=2, owner="ada", used_by=("deploy",), created_at=NOON, updated_at=NOON)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Say what is on standard input."""

    def type_in(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return type_in


def test_secrets_are_listed_without_values(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/secrets", Page(items=[TOKEN]))

    first, second = chronos("secret", "list").out.lower().splitlines()

    assert first.split() == ["name", "version", "set", "jobs", "owner"]
    assert second.split()[:2] == ["token", "2"]
    assert second.split()[-2:] == ["deploy", "ada"]


@pytest.mark.parametrize("text", ["s3cret\n", "s3cret", "s3cret\r\n"])
def test_a_value_is_read_from_standard_input_without_its_line_end(
    chronos: Chronos, canned: Canned, typed: Callable[[str], None], text: str
) -> None:
    typed(text)
    canned.answer("PUT", "/v1/secrets/token", TOKEN)

    done = chronos("secret", "set", "token")

    assert canned.last.json() == {"value": "s3cret"}
    assert done.out == "secret token: version 2 is set\n"


def test_a_value_is_read_from_a_file(chronos: Chronos, canned: Canned, tmp_path: Path) -> None:
    canned.answer("PUT", "/v1/secrets/token", TOKEN)
    (tmp_path / "value").write_text("two\nlines\n")

    chronos("secret", "set", "token", "--from", str(tmp_path / "value"))

    assert canned.last.json() == {"value": "two\nlines"}


def test_a_value_as_an_argument_is_refused(chronos: Chronos) -> None:
    done = chronos("secret", "set", "token", "s3cret")

    assert done.code == 2


def test_a_secret_is_deleted_by_force_only_when_asked(chronos: Chronos, canned: Canned) -> None:
    canned.answer("DELETE", "/v1/secrets/token", None, 204)

    assert chronos("secret", "delete", "token").out == "deleted token\n"
    assert canned.last.query == {}
    chronos("secret", "delete", "token", "--force")
    assert canned.last.query == {"force": "true"}


def test_a_job_names_secrets_by_variables(chronos: Chronos, canned: Canned) -> None:
    spec = JobSpec(name="backup", command="true", secrets={"OLD": "old", "KEPT": "kept"})
    kept = job_view(spec=spec.model_dump())
    canned.answer("GET", "/v1/jobs/backup", kept)
    canned.answer("PATCH", f"/v1/jobs/{kept.id}", kept)

    done = chronos("job", "edit", "backup", "--secret", "TOKEN=token", "--secret", "OLD=")

    assert canned.last.json()["changes"] == {"secrets": {"KEPT": "kept", "TOKEN": "token"}}
    assert "KEPT=kept" in done.out


def test_a_secret_that_is_no_assignment_is_refused(chronos: Chronos) -> None:
    done = chronos("job", "add", "x", "--secret", "token", "--", "true")

    assert done.code == 2
    assert "--secret 'token' is no assignment; write ENV=NAME, such as TOKEN=deploy-token" in done.err
