"""The verbs against a real daemon, each called as a process, as a shell would."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scheduler_daemon.contract.executions import ExecutionView
from scheduler_daemon.contract.jobs import JobView
from scheduler_daemon.contract.problems import Problem
from tests.support.daemon import DaemonHandle, wait_until

CRONTAB = 'A="x y"\n*/5 * * * * echo "$A"\n@reboot true\n61 * * * * no\n# note\n0 0 * * * cat%one%two\n'


def test_a_job_lives_from_add_to_delete(shared_daemon: DaemonHandle) -> None:
    at_nine = ("--schedule", "0 9 * * 1-5", "--zone", "Europe/Berlin", "--timeout", "5m", "--env", "A=1", "--tag", "db")
    made = shared_daemon.json("job", "add", "life/of é", *at_nine, "--", "echo", "two words")
    edited = shared_daemon.json("job", "edit", "life/of é", "--timeout", "10m", "--env", "B=2", "-m", "slower")
    snoozed = shared_daemon.json("job", "snooze", "life/of é", "--for", "2h")
    paused = shared_daemon.json("job", "pause", "life/of é")
    resumed = shared_daemon.json("job", "resume", made["id"])
    copied = shared_daemon.json("job", "clone", "life/of é", "life's copy", "--paused")
    history = shared_daemon.json("job", "history", "life/of é")
    deleted = shared_daemon.json("job", "delete", "life/of é")
    gone = shared_daemon.chronos("job", "show", "life/of é")

    assert JobView.model_validate(made).spec.command == "echo 'two words'"
    assert (made["spec"]["schedule"]["zone"], made["next_fire_at"] is not None) == ("Europe/Berlin", True)
    assert (edited["version"], edited["spec"]["timeout_ms"]) == (2, 600_000)
    assert edited["spec"]["env"] == {"A": "1", "B": "2"}
    assert snoozed["snoozed_until"] > made["created_at"]
    assert (paused["paused"], paused["next_fire_at"]) == (True, None)
    assert (resumed["paused"], resumed["next_fire_at"]) == (False, made["next_fire_at"])
    assert (copied["paused"], copied["spec"]) == (True, {**edited["spec"], "name": "life's copy"})
    assert [(saved["version"], saved["message"]) for saved in history["items"]] == [(2, "slower"), (1, "created")]
    assert deleted["deleted"] is True
    assert gone.returncode == 3


def test_two_edits_of_one_version_are_a_conflict(shared_daemon: DaemonHandle) -> None:
    shared_daemon.json("job", "add", "twice", "--", "true")
    shared_daemon.json("job", "edit", "twice", "--version", "1", "--timeout", "1m")

    second = shared_daemon.chronos("job", "edit", "twice", "--version", "1", "--timeout", "2m", "--json")

    assert (second.returncode, second.stdout) == (5, "")
    assert Problem.model_validate_json(second.stderr).kind == "conflict"


def test_a_key_makes_a_repeated_request_harmless(shared_daemon: DaemonHandle) -> None:
    first = shared_daemon.json("job", "add", "once", "--key", "k-once", "--", "true")
    second = shared_daemon.json("job", "add", "once", "--key", "k-once", "--", "true")
    runs = {shared_daemon.json("run", "once", "--key", "k-run")["id"] for _ in range(2)}

    assert first["id"] == second["id"]
    assert len(runs) == 1


def test_run_wait_tells_how_it_ended_by_its_exit_code(shared_daemon: DaemonHandle) -> None:
    shared_daemon.json("job", "add", "good", "--", "true")
    shared_daemon.json("job", "add", "ill", "--", "exit 7")

    good = shared_daemon.chronos("run", "good", "--wait", "--json")
    ill = shared_daemon.chronos("run", "ill", "--wait")

    assert (good.returncode, json.loads(good.stdout)["state"]) == (0, "succeeded")
    assert (ill.returncode, "failed (exit code 7)" in ill.stdout, ill.stderr) == (1, True, "")


def test_a_run_shows_everything_the_page_of_the_command_line_promises(shared_daemon: DaemonHandle) -> None:
    shared_daemon.json("job", "add", "shown", "--", "echo hello")
    run = shared_daemon.json("run", "shown", "--wait")

    shown = shared_daemon.json("run", "show", str(run["id"]))
    listed = shared_daemon.json("runs", "list", "--job", "shown", "--state", "succeeded", "--since", "1h")

    assert ExecutionView.model_validate(shown).exit_code == 0
    assert [shown | each for each in listed["items"]] == [shown]  # which tells of the machine too, had the run failed
    assert listed["next"] is None
    assert shown["policy"].keys() >= {"requested", "in_force", "missing"}
    assert shown["usage"]["output_bytes"] == 6


def test_a_log_is_followed_to_its_end_and_searched(shared_daemon: DaemonHandle) -> None:
    shared_daemon.json("job", "add", "talker", "--", "for n in 1 2 3; do echo out $n; echo err $n >&2; sleep 0.2; done")
    run = str(shared_daemon.json("run", "talker")["id"])

    followed = shared_daemon.chronos("log", run, "--follow")
    found = shared_daemon.chronos("log", run, "--search", "out 2")
    errors = shared_daemon.chronos("log", run, "--stream", "stderr", "--json")
    last = shared_daemon.chronos("log", run, "--tail", "1")
    raw = shared_daemon.chronos("log", run, "--raw", text=False)

    assert sorted(followed.stdout.splitlines()) == sorted(
        f"{stream} {n}" for n in (1, 2, 3) for stream in ("err", "out")
    )
    assert found.stdout == "out 2\n"
    assert [json.loads(line)["text"] for line in errors.stdout.splitlines()] == ["err 1", "err 2", "err 3"]
    assert len(last.stdout.splitlines()) == 1
    assert raw.stdout == b"out 1\nout 2\nout 3\n"


def test_a_run_is_cancelled(shared_daemon: DaemonHandle) -> None:
    shared_daemon.json("job", "add", "endless", "--", "sleep 1000")
    run = str(shared_daemon.json("run", "endless")["id"])

    ended = shared_daemon.json("cancel", run, "--reason", "enough", "--wait")
    again = shared_daemon.chronos("cancel", run)

    assert ended["state"] == "cancelled"
    assert "enough" in ended["reason"]
    assert again.returncode == 5


def test_a_job_named_show_runs(shared_daemon: DaemonHandle) -> None:
    shared_daemon.json("job", "add", "show", "--", "true")

    run = shared_daemon.chronos("run", "--wait", "--", "show")

    assert run.returncode == 0
    assert "of show: " in run.stdout


def test_a_crontab_is_imported_once(shared_daemon: DaemonHandle, tmp_path: Path) -> None:
    (tmp_path / "crontab").write_text(CRONTAB)

    tried = shared_daemon.json("import", "crontab", str(tmp_path / "crontab"), "--dry-run")
    first = shared_daemon.json("import", "crontab", str(tmp_path / "crontab"))
    second = shared_daemon.json("import", "crontab", str(tmp_path / "crontab"))
    piped = shared_daemon.json("import", "crontab", "-", "--user", "root", "--dry-run", stdin=CRONTAB)
    told = shared_daemon.chronos("import", "crontab", str(tmp_path / "crontab"))

    assert (tried["created"], tried["dry_run"]) == (3, True)
    assert (first["created"], first["refused"], len(first["lines"])) == (3, 1, 6)
    assert (second["created"], second["updated"], second["unchanged"]) == (0, 0, 3)
    assert (piped["source"], piped["created"]) == ("root", 3)
    assert told.returncode == 0
    assert told.stdout.splitlines()[-1] == "0 created, 0 updated, 3 unchanged, 1 refused"


def test_jobs_go_out_as_json_yaml_and_crontab(shared_daemon: DaemonHandle) -> None:
    shared_daemon.json("job", "add", "outward", "--schedule", "7 3 * * *", "--zone", "UTC", "--", "echo 50%")

    as_json = shared_daemon.json("export")
    as_yaml = shared_daemon.chronos("export").stdout
    as_crontab = shared_daemon.chronos("export", "--format", "crontab").stdout

    assert "outward" in {job["name"] for job in as_json["jobs"]}
    assert "name: outward" in as_yaml
    assert "7 3 * * * echo 50\\%" in as_crontab.splitlines()


def test_next_shows_fires_of_an_expression(shared_daemon: DaemonHandle) -> None:
    found = shared_daemon.json(
        "next", "30 2 * * *", "--zone", "Europe/Berlin", "--after", "2026-03-28T12:00Z", "-n", "2"
    )
    wrong = shared_daemon.chronos("next", "61 * * * *")

    assert found["fires"] == ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


def test_explain_says_why(shared_daemon: DaemonHandle) -> None:
    shared_daemon.json("job", "add", "asked for", "--", "true")

    explained = shared_daemon.json("explain", "asked for")
    told = shared_daemon.chronos("explain", "asked for", "--at", "2026-03-01T00:00Z")

    assert explained["verdict"]
    assert (told.returncode, bool(told.stdout)) == (0, True)


def test_events_tell_what_was_done(shared_daemon: DaemonHandle) -> None:
    shared_daemon.json("job", "add", "eventful", "--", "true")

    listed = shared_daemon.json("events", "--since", "1m")["items"]

    ids = [event["id"] for event in listed]
    assert ids == sorted(ids, reverse=True)
    assert any(event["doc"].get("name") == "eventful" for event in listed)


def test_events_are_followed_as_they_happen(shared_daemon: DaemonHandle) -> None:
    words = [sys.executable, "-m", "chronos_tui", "--state", str(shared_daemon.state), "events", "--follow", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=shared_daemon.environ) as following:
        assert following.stdout is not None
        shared_daemon.json("job", "add", "followed", "--", "true")

        heard = next(line for line in following.stdout if '"followed"' in line)
        following.terminate()

    assert json.loads(heard)["doc"]["name"] == "followed"


def test_status_doctor_and_whoami_answer(shared_daemon: DaemonHandle) -> None:
    wait_until(lambda: shared_daemon.chronos("doctor").returncode == 0)
    status = shared_daemon.json("status")
    doctor = shared_daemon.json("doctor")
    actor = shared_daemon.json("whoami")
    told = shared_daemon.chronos("status")

    assert (status["state_dir"], status["health"]["status"]) == (str(shared_daemon.state), "ready")
    assert {part["name"] for part in doctor["components"] if part["ok"]} >= {"redis", "database"}
    assert actor["role"] == "admin"
    assert "ready" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "nope"), 3),
        (("run", "show", "999999"), 3),
        (("log", "999999"), 3),
        (("cancel", "999999"), 3),
        (("explain", "nope"), 3),
        (("job", "add", "bad", "--schedule", "61 * * * *", "--", "true"), 2),
        (("job", "add", "bad", "--schedule", "0 0 30 2 *", "--", "true"), 2),
        (("job", "add", "bad", "--schedule", "@daily", "--zone", "Mars/Base", "--", "true"), 2),
        (("job", "add", "a\x1bb", "--", "true"), 2),
        (("job", "add", "bad", "--cwd", "here", "--", "true"), 2),
        (("job", "add", "bad", "--policy", "none", "--", "true"), 2),
        (("job", "add", "bad", "--", ""), 2),
        (("job", "add", "bad", "--", b"\xff".decode("utf-8", "surrogateescape")), 2),
        (("job", "list", "--sort", "bogus"), 2),
        (("runs", "list", "--cursor", "bogus"), 2),
    ],
    ids=repr,
)
def test_what_cannot_be_is_refused_in_one_line(
    shared_daemon: DaemonHandle, arguments: tuple[str, ...], code: int
) -> None:
    done = shared_daemon.chronos(*arguments)

    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("chronos: ")
    assert done.stderr.count("\n") == 1


def test_a_huge_command_is_refused_with_its_size(shared_daemon: DaemonHandle) -> None:
    shared_daemon.json("job", "add", "huge", "--", "true")

    changes = json.dumps({"command": "x" * 10_000_000})
    done = shared_daemon.chronos("job", "edit", "huge", "--from", "-", stdin=changes)

    assert done.returncode == 2
    assert "10,000,000 bytes" in done.stderr


def test_the_runs_of_a_job_that_fires_each_second_are_seen(shared_daemon: DaemonHandle) -> None:
    shared_daemon.json("job", "add", "ticking", "--schedule", "* * * * * *", "--zone", "UTC", "--", "true")

    runs = wait_until(lambda: shared_daemon.json("runs", "list", "--job", "ticking", "--state", "succeeded")["items"])
    shared_daemon.json("job", "delete", "ticking")

    assert runs[-1]["trigger"] == "schedule"
