"""A failed run explained by the real daemon: our words at once, and Claude's by the real SDK from a stand-in."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.claude import Stub, Wants, serving
from tests.support.daemon import DaemonHandle
from tests.support.injected import SECRET

ERROR = 'psql: error: connection to server at "db" failed: Connection refused'
FAILING = f"echo working; echo token {SECRET}; echo '{ERROR}' >&2; exit 3"
ANSWER = {
    "text": "The database refuses [bold]connections[/].", "fix": "Start it, see https://evil.example/x",
    "confidence": "high", "lines": [3], "action": "none", "value": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DaemonHandle, Stub]]:
    """A daemon with a key, and who answers it."""
    tmp_path = tmp_path_factory.mktemp("keyed")
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


@pytest.fixture
def keyed(asked: tuple[DaemonHandle, Stub]) -> tuple[DaemonHandle, Stub]:
    """The same, with nothing asked yet."""
    asked[1].bodies.clear()
    return asked


def _handle(folder: Path, environ: dict[str, str] | None = None) -> DaemonHandle:
    (folder / "state").mkdir(mode=0o700)
    return DaemonHandle(folder / "state", environ)


def failed_run(daemon: DaemonHandle, name: str) -> int:
    daemon.json("job", "add", name, "--schedule", "0 3 1 1 *", "--", "sh", "-c", FAILING)
    done = daemon.chronos("run", name, "--wait", "--json")
    return int(json.loads(done.stdout)["id"])


def test_a_failure_is_explained_by_our_words_and_then_by_claudes(keyed: tuple[DaemonHandle, Stub]) -> None:
    daemon, stub = keyed
    stub.behaviour = ANSWER | {"action": "set_timeout", "value": 1200}
    run = failed_run(daemon, "backup")

    said = daemon.chronos("insight", "explain", str(run)).stdout
    ledger = daemon.json("ask", "list", "--limit", "1")["items"]

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

    # What it proposes is an insight, which a person applies knowing whose it is.
    (proposed,) = daemon.json("insights", "backup")["items"]
    refused = daemon.chronos("insight", "apply", proposed["id"])
    daemon.json("insight", "apply", proposed["id"], "--yes")
    assert (proposed["source"], proposed["title"]) == ("claude", "Claude proposes another timeout for backup")
    assert (refused.returncode, "--yes agrees" in refused.stderr) == (2, True)
    assert daemon.json("job", "show", "backup")["spec"]["timeout_ms"] == 1_200_000


def test_when_claude_does_not_answer_our_words_stand(keyed: tuple[DaemonHandle, Stub]) -> None:
    daemon, stub = keyed
    stub.behaviour = "529"
    run = failed_run(daemon, "busy")

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


def test_words_become_a_schedule_that_is_shown_before_it_is_set(keyed: tuple[DaemonHandle, Stub]) -> None:
    daemon, stub = keyed
    daemon.json("job", "add", "hourly", "--schedule", "@hourly", "--", "true")

    known = daemon.chronos("ask", "schedule", "every weekday at 7", "--zone", "UTC").stdout
    stub.behaviour = {"text": "Every third hour, but not at night.", "expression": "0 6-21/3 * * *"}
    guessed = daemon.json("ask", "schedule", "each third hour but not at night", "--zone", "UTC")
    refused = daemon.chronos("ask", "schedule", "every weekday at 7", "--set", "hourly")
    daemon.chronos("ask", "schedule", "every weekday at 7", "--set", "hourly", "--yes")

    assert known.startswith("0 7 * * 1-5\n")
    assert known.count("07:00") >= 5
    assert (guessed["expression"], len(guessed["preview"]["fires"])) == ("0 6-21/3 * * *", 5)
    assert refused.returncode == 2
    assert daemon.json("job", "show", "hourly")["schedule"] == "0 7 * * 1-5"
    stub.behaviour = {"text": "Anything.", "expression": "9 9 9 9 9 9 9 9"}
    assert daemon.chronos("ask", "schedule", "on a whim").returncode == 2


def test_claude_reviews_a_job_without_tools(keyed: tuple[DaemonHandle, Stub]) -> None:
    daemon, stub = keyed
    daemon.json("job", "add", "reviewed", "--schedule", "@hourly", "--", "true")

    stub.behaviour = {"text": "Fine.", "points": ["Set a timeout."]}
    reviewed = daemon.chronos("ask", "job", "reviewed").stdout

    assert "- Set a timeout." in reviewed
    assert all("tools" not in body for body in stub.bodies)


def test_a_question_about_the_fleet_is_answered_from_facts_that_are_looked_up(
    keyed: tuple[DaemonHandle, Stub],
) -> None:
    daemon, stub = keyed
    run = failed_run(daemon, "nightly")
    tools = (("show_job", '{"name": "nightly"}'), ("run_job", '{"name": "nightly"}'))
    stub.behaviour = [Wants(tools), {"text": "Nightly failed with 3.", "facts": [4], "known": True}]

    said = daemon.chronos("ask", "fleet", "how is nightly?").stdout
    (call,) = daemon.json("ask", "list", "--limit", "1")["items"]
    stub.behaviour = Wants((("list_fires", "{}"),))
    endless = daemon.chronos("ask", "fleet", "how is nightly?").stdout
    local = daemon.json("ask", "fleet", "how is nightly?", "--local")

    assert said.splitlines()[0].startswith("nightly: ")
    assert f"Its last run ({run}) failed" in said
    assert "): Nightly failed with 3." in said
    assert f"run {run}, job nightly" in said
    assert call["answer"]["looked_up"] == [f"{name} {given}" for name, given in tools]
    assert call["tokens"] == 2400
    sent = json.dumps(stub.bodies)
    assert "there is no such tool" in sent
    assert SECRET not in sent
    assert ERROR not in sent
    assert len(daemon.json("runs", "list", "--job", "nightly")["items"]) == 1
    assert "left out, for it asks for more lookups than it may" in endless
    assert endless.startswith("nightly: ")
    assert local["claude"] is None
