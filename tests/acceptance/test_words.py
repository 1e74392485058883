"""A failed run explained by the real daemon: our words at once, and Claude's by the real SDK from a stand-in."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.claude import serving
from tests.support.daemon import DaemonHandle
from tests.support.injected import SECRET

ERROR = 'psql: error: connection to server at "db" failed: Connection refused'
FAILING = f"echo working; echo token {SECRET}; echo '{ERROR}' >&2; exit 3"
ANSWER = {
    "text": "The database refuses [bold]connections[/].", "fix": "Start it, see https://evil.example/x",
    "confidence": "high", "lines": [3], "action": "none", "value": 0,
}  # fmt: skip


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[tuple[DaemonHandle, Any]]:
    """A daemon with a key, and who answers it."""
    with serving() as stub:
        key = tmp_path / "key"
        key.write_text("sk-made-up\n", encoding="ascii")
        key.chmod(0o600)
        config = tmp_path / "chronos.toml"
        config.write_text(f'[claude]\nkey_file = "{key}"\nbase_url = "{stub.url}"\n', encoding="utf-8")
        daemon = _handle(tmp_path, {"CHRONOS_CONFIG": str(config)})
        daemon.start()
        try:
            yield daemon, stub
        finally:
            daemon.stop()


def _handle(folder: Path, environ: dict[str, str] | None = None) -> DaemonHandle:
    (folder / "state").mkdir(mode=0o700)
    return DaemonHandle(folder / "state", environ)


def failed_run(daemon: DaemonHandle, name: str) -> int:
    daemon.json("job", "add", name, "--schedule", "0 3 1 1 *", "--", "sh", "-c", FAILING)
    done = daemon.chronos("run", name, "--wait", "--json")
    return int(json.loads(done.stdout)["id"])


def test_a_failure_is_explained_by_our_words_and_then_by_claudes(keyed: tuple[DaemonHandle, Any]) -> None:
    daemon, stub = keyed
    stub.behaviour = ANSWER
    run = failed_run(daemon, "backup")

    said = daemon.chronos("insight", "explain", str(run)).stdout
    ledger = daemon.json("ask", "list")["items"]

    assert "psql: error: connection to server" in said.splitlines()[0]
    assert "exit code 3" in said
    assert "Claude (claude-sonnet-5-5): The database refuses connections." in said
    assert "evil.example" not in said
    assert "refers to lines 3" in said
    assert SECRET not in said + json.dumps(stub.bodies)
    assert [(each["outcome"], each["tokens"], each["actor"]) for each in ledger] == [
        ("answered", 1200, ledger[0]["actor"])
    ]
    assert "sk-made-up" not in daemon.log.read_text()


def test_when_claude_does_not_answer_our_words_stand(keyed: tuple[DaemonHandle, Any]) -> None:
    daemon, stub = keyed
    stub.behaviour = "529"
    run = failed_run(daemon, "backup")

    said = daemon.chronos("insight", "explain", str(run)).stdout

    assert "psql: error: connection to server" in said.splitlines()[0]
    assert "Claude did not answer (busy)" in said


def test_without_a_key_the_same_error_is_remembered(tmp_path: Path) -> None:
    daemon = _handle(tmp_path)
    daemon.start()
    try:
        first, second = failed_run(daemon, "backup"), failed_run(daemon, "report")
        daemon.chronos("insight", "explain", str(first))

        found = daemon.json("insight", "explain", str(second))
        patterns = daemon.json("insight", "patterns")["items"]

        assert found["claude"] is None
        assert [(one["run"], one["job"], one["alike"]) for one in found["similar"]] == [(first, "backup", 1.0)]
        assert "come 2 times" in found["text"]
        assert [(each["count"], each["jobs"]) for each in patterns] == [(2, ["backup", "report"])]
        assert daemon.chronos("insight", "explain", "999").returncode == 3
    finally:
        daemon.stop()


def test_words_become_a_schedule_that_is_shown_before_it_is_set(keyed: tuple[DaemonHandle, Any]) -> None:
    daemon, stub = keyed
    daemon.json("job", "add", "backup", "--schedule", "@hourly", "--", "true")

    known = daemon.chronos("ask", "schedule", "every weekday at 7", "--zone", "UTC").stdout
    stub.behaviour = {"text": "Every third hour, but not at night.", "expression": "0 6-21/3 * * *"}
    guessed = daemon.json("ask", "schedule", "each third hour but not at night", "--zone", "UTC")
    refused = daemon.chronos("ask", "schedule", "every weekday at 7", "--set", "backup")
    daemon.chronos("ask", "schedule", "every weekday at 7", "--set", "backup", "--yes")

    assert known.startswith("0 7 * * 1-5\n")
    assert known.count("07:00") >= 5
    assert (guessed["expression"], len(guessed["preview"]["fires"])) == ("0 6-21/3 * * *", 5)
    assert refused.returncode == 2
    assert daemon.json("job", "show", "backup")["schedule"] == "0 7 * * 1-5"
    stub.behaviour = {"text": "Anything.", "expression": "9 9 9 9 9 9 9 9"}
    assert daemon.chronos("ask", "schedule", "on a whim").returncode == 2


def test_claude_reviews_a_job_and_answers_about_the_fleet_without_tools(keyed: tuple[DaemonHandle, Any]) -> None:
    daemon, stub = keyed
    daemon.json("job", "add", "backup", "--schedule", "@hourly", "--", "true")

    stub.behaviour = {"text": "Fine.", "points": ["Set a timeout."]}
    reviewed = daemon.chronos("ask", "job", "backup").stdout
    stub.behaviour = {"text": "One job.", "facts": [2], "known": True}
    told = daemon.chronos("ask", "fleet", "how many jobs are there?").stdout

    assert "- Set a timeout." in reviewed
    assert "One job." in told
    assert all("tools" not in body for body in stub.bodies)
