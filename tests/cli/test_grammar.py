"""What the words of the command line make the server do."""

import json
from pathlib import Path

import pytest

from scheduler_daemon.contract.executions import RunFacts
from scheduler_daemon.contract.jobs import JobSpec, SchedulePreview
from scheduler_daemon.contract.pages import Page
from tests.cli.conftest import NOON, Chronos, execution, job_view
from tests.support.canned import Canned

EMPTY = Page[int](items=[])


def test_run_show_shows_a_run(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/executions/12", execution())
    canned.answer("GET", "/v1/executions/12/facts", RunFacts())

    done = chronos("run", "show", "12", "--json")

    assert json.loads(done.out)["id"] == 12


@pytest.mark.parametrize(
    "arguments", [("run", "--", "show"), ("run", "--reason", "why", "show"), ("run", "--json", "--", "show")]
)
def test_a_job_named_show_can_be_run(chronos: Chronos, canned: Canned, arguments: tuple[str, ...]) -> None:
    canned.answer("POST", "/v1/jobs/show/run", execution(job="show"), 202)

    done = chronos(*arguments)

    assert done.code == 0
    assert canned.last.path == "/v1/jobs/show/run"


@pytest.mark.parametrize("name", ["a/b c", "ü%2F?#", "--help", "日本"])
def test_any_name_of_a_job_reaches_the_server_whole(chronos: Chronos, canned: Canned, name: str) -> None:
    canned.answer("POST", f"/v1/jobs/{name}/run", execution(job=name), 202)

    done = chronos("run", "--", name)

    assert done.code == 0
    assert canned.last.path == f"/v1/jobs/{name}/run"
    assert name in done.out


def test_each_run_is_asked_for_under_a_key_of_its_own(chronos: Chronos, canned: Canned) -> None:
    canned.answer("POST", "/v1/jobs/backup/run", execution(), 202)

    chronos("run", "backup")
    chronos("run", "backup")

    keys = {asked.headers["Idempotency-Key"] for asked in canned.asked}
    assert len(keys) == 2


def test_job_add_turns_every_flag_into_a_field(chronos: Chronos, canned: Canned, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("fed\n")
    canned.answer("POST", "/v1/jobs", job_view(), 201)

    done = chronos(
        "job", "add", "backup", "--schedule", "0 3 * * *", "-s", "@every 5m", "--zone", "Europe/Berlin",
        "--policy", "trusted", "--timeout", "1h30m", "--grace", "500ms", "--env", "A=1", "--env", "B=x=y",
        "--tag", "db", "--tag", "night", "--user", "ada", "--cwd", "/srv", "--shell", "/bin/bash",
        "--stdin", str(tmp_path / "in"), "--concurrency", "queue_all", "--concurrency-limit", "3", "--queue-limit", "7",
        "--pool", "db", "--priority", "9", "--misfire", "skip", "--misfire-grace", "2d", "--catch-up-on-resume",
        "--description", "nightly", "--paused", "--", "tar -cf - /home | wc",
    )  # fmt: skip

    assert done.code == 0
    sent = canned.last.json()
    assert sent["paused"] is True
    assert JobSpec.model_validate(sent["spec"]).model_dump(mode="json", exclude_defaults=True) == {
        "name": "backup",
        "policy": "trusted",
        "command": "tar -cf - /home | wc",
        "schedule": {"expressions": ["0 3 * * *", "@every 5m"], "zone": "Europe/Berlin"},
        "timeout_ms": 5_400_000,
        "grace_ms": 500,
        "env": {"A": "1", "B": "x=y"},
        "tags": ["db", "night"],
        "user": "ada",
        "cwd": "/srv",
        "shell": "/bin/bash",
        "stdin": "fed\n",
        "concurrency": "queue_all",
        "concurrency_limit": 3,
        "queue_limit": 7,
        "pool": "db",
        "priority": 9,
        "misfire": "skip",
        "misfire_grace_ms": 172_800_000,
        "catchup_on_resume": True,
        "description": "nightly",
    }


def test_several_words_of_a_command_are_quoted_for_the_shell(chronos: Chronos, canned: Canned) -> None:
    canned.answer("POST", "/v1/jobs", job_view(), 201)

    chronos("job", "add", "x", "--", "echo", "two words", "--json", "it's")

    assert canned.last.json()["spec"]["command"] == """echo 'two words' --json 'it'"'"'s'"""


def test_a_job_without_a_zone_gets_this_machines(
    chronos: Chronos, canned: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    canned.answer("POST", "/v1/jobs", job_view(), 201)

    chronos("job", "add", "x", "--schedule", "@daily", "--", "true")

    assert canned.last.json()["spec"]["schedule"]["zone"] == "Asia/Tokyo"


def test_job_edit_changes_only_what_is_named(chronos: Chronos, canned: Canned) -> None:
    spec = JobSpec.model_validate(
        {
            "name": "backup",
            "command": "true",
            "env": {"A": "1", "B": "2"},
            "schedule": {"expressions": ["@daily"], "zone": "UTC"},
        }
    )
    canned.answer("GET", "/v1/jobs/backup", job_view(spec=spec))
    canned.answer("PATCH", f"/v1/jobs/{job_view().id}", job_view(version=4))

    chronos(
        "job",
        "edit",
        "backup",
        "--zone",
        "Asia/Tokyo",
        "--env",
        "C=3",
        "--unset-env",
        "A",
        "--timeout",
        "none",
        "-m",
        "moved",
    )

    sent = canned.last.json()
    assert (sent["version"], sent["message"]) == (3, "moved")
    assert sent["changes"].keys() == {"schedule", "env", "timeout_ms"}
    assert sent["changes"]["env"] == {"B": "2", "C": "3"}
    assert sent["changes"]["timeout_ms"] is None
    assert (sent["changes"]["schedule"]["zone"], sent["changes"]["schedule"]["expressions"]) == (
        "Asia/Tokyo",
        ["@daily"],
    )


def test_job_edit_takes_fields_from_a_file(chronos: Chronos, canned: Canned, tmp_path: Path) -> None:
    (tmp_path / "changes.json").write_text('{"timeout_ms": 60000, "tags": ["a"]}')
    canned.answer("GET", "/v1/jobs/backup", job_view())
    canned.answer("PATCH", f"/v1/jobs/{job_view().id}", job_view())

    chronos("job", "edit", "backup", "--from", str(tmp_path / "changes.json"), "--tag", "b", "--version", "2")

    assert canned.last.json() == {"version": 2, "message": "", "changes": {"timeout_ms": 60_000, "tags": ["b"]}}


def test_job_list_speaks_the_filter_language(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/jobs", Page(items=[job_view()], next="~200"))

    done = chronos(
        "job", "list", "--search", "back up", "--state", "failed", "--tag", "db", "--sort", "-next", "--json"
    )

    assert canned.last.query == {"q": "back up status:failed tag:db", "sort": "-next", "limit": "100"}
    assert json.loads(done.out)["next"] == "~200"


def test_since_takes_a_length_or_an_instant(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/executions", EMPTY)

    chronos("runs", "list", "--since", "2026-03-02T13:00+01:00", "--job", "backup", "--state", "failed")

    assert canned.last.query == {
        "since": "2026-03-02T12:00:00+00:00",
        "job": "backup",
        "state": "failed",
        "limit": "50",
    }


def test_next_joins_its_words_and_shows_the_zone(chronos: Chronos, canned: Canned) -> None:
    canned.answer(
        "POST", "/v1/schedules/preview", SchedulePreview(words="every five minutes", fires=(NOON,), warnings=("w",))
    )

    done = chronos("next", "@every", "5m", "--zone", "Asia/Tokyo", "-n", "1", "--after", "2026-01-01T00:00Z")

    assert canned.last.json() == {
        "schedule": {"expressions": ["@every 5m"], "zone": "Asia/Tokyo"},
        "count": 1,
        "after": "2026-01-01T00:00:00+00:00",
    }
    lines = done.out.splitlines()
    assert lines[0] == "every five minutes (Asia/Tokyo)"
    assert lines[1].startswith("Mon 2026-03-02 21:00:00 JST")
    assert lines[2] == "careful: w"


def test_a_token_goes_with_every_request_over_tcp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from chronos_tui import settings

    (tmp_path / "token").write_text("from-file\n")

    from_file = settings.load(str(tmp_path), "http://127.0.0.1:80", {"HOME": "/nowhere"})
    from_env = settings.load(str(tmp_path), "http://127.0.0.1:80", {"HOME": "/nowhere", "CHRONOS_TOKEN": "from-env"})
    on_socket = settings.load(str(tmp_path), None, {"HOME": "/nowhere", "CHRONOS_TOKEN": "from-env"})

    assert (from_file.token, from_env.token, on_socket.token) == ("from-file", "from-env", "")


def test_the_state_directory_named_nearest_decides_the_server(tmp_path: Path) -> None:
    from chronos_tui import settings

    (tmp_path / "chronos.toml").write_text('state = "/toml"\nserver = "http://toml:1"\n')
    environ = {"HOME": "/nowhere", "CHRONOS_CONFIG": str(tmp_path / "chronos.toml")}

    from_file = settings.load(None, None, environ)
    from_env = settings.load(None, None, {**environ, "CHRONOS_STATE": "/env"})
    from_flag = settings.load("/flag", None, {**environ, "CHRONOS_SERVER": "http://env:1"})

    assert (from_file.state, str(from_file.server), from_file.local) == ("/toml", "http://toml:1", False)
    assert (from_env.state, str(from_env.server), from_env.local) == ("/env", "unix:///env/api.sock", True)
    assert (from_flag.state, str(from_flag.server)) == ("/flag", "unix:///flag/api.sock")


@pytest.mark.parametrize("text", ["unix://relative", "http://", "http://h/path", "http://h:99999", "", "localhost:1"])
def test_an_address_that_names_no_server_is_refused(text: str) -> None:
    from chronos_tui import settings

    with pytest.raises(settings.SettingsError, match="unix:///path"):
        settings.parse_address(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("250ms", 250), ("90s", 90_000), ("1h30m", 5_400_000), ("1.5d", 129_600_000), ("2w", 1_209_600_000)],
)
def test_lengths_of_time_are_read_as_typed(text: str, ms: int) -> None:
    from chronos_tui.format import parse_duration_ms

    assert parse_duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "1h30", "5y", "٣m"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    from chronos_tui.format import parse_duration_ms

    with pytest.raises(ValueError, match="not a length of time"):
        parse_duration_ms(text)
