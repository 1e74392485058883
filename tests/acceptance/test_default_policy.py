"""What a job that names no policy gets, what an import gets, and what is told where the machine cannot give it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonHandle, running_daemon


@pytest.fixture(scope="module")
def plain() -> Iterator[DaemonHandle]:
    """A daemon with the default settings."""
    with running_daemon({"CHRONOS_DEFAULT_POLICY": ""}) as handle:
        yield handle


def test_a_new_job_is_kept_apart_and_an_imported_one_is_as_with_cron(plain: DaemonHandle, tmp_path: Path) -> None:
    crontab = tmp_path / "crontab"
    crontab.write_text("0 3 * * * echo nightly\n")

    added = plain.json("job", "add", "new", "--", "echo", "hello")
    plain.chronos("import", "crontab", str(crontab))
    jobs = {job["name"]: job["spec"]["policy"] for job in plain.json("job", "list")["items"]}
    run = plain.json("run", "new", "--wait")

    assert added["spec"]["policy"] == "standard"
    assert sorted(jobs.values()) == ["standard", "trusted"]
    assert run["policy"]["requested"] == "standard"
    assert run["state"] in {"succeeded", "blocked"}
    assert (run["state"] == "blocked") is bool(plain.json("policy", "show", "standard")["missing"])


def test_a_policy_the_machine_cannot_give_is_told_when_a_job_gets_it(plain: DaemonHandle) -> None:
    policies = {each["policy"]["name"]: each for each in plain.json("policy", "list")["items"]}
    strict = policies["strict"]["missing"]

    added = plain.chronos("job", "add", "shut in", "--policy", "strict", "--", "true")
    trusted = plain.chronos("job", "add", "free", "--policy", "trusted", "--", "true")

    assert [name for name, each in policies.items() if each["default"]] == ["standard"]
    assert (added.returncode, "its runs will be blocked" in added.stderr) == (0, bool(strict))
    assert all(name in added.stderr for name in strict)
    assert trusted.stderr == ""


def test_a_policy_that_there_is_not_is_named(plain: DaemonHandle) -> None:
    shown = plain.chronos("policy", "show", "lax")

    assert shown.returncode != 0
    assert "there is no policy 'lax'" in shown.stderr


def test_a_default_that_there_is_not_is_refused_at_the_start_and_one_of_ones_own_is_kept() -> None:
    with running_daemon({"CHRONOS_DEFAULT_POLICY": ""}) as handle:
        handle.json("policy", "create", "quiet", "--network", "none")
        handle.stop()
        handle.environ["CHRONOS_DEFAULT_POLICY"] = "lax"
        with pytest.raises(AssertionError, match="there is no policy 'lax'"):
            handle.start()
        handle.environ["CHRONOS_DEFAULT_POLICY"] = "quiet"
        handle.start()

        added = handle.json("job", "add", "new", "--", "true")
        handle.chronos("job", "delete", "new")
        refused = handle.chronos("policy", "delete", "quiet")

    assert added["spec"]["policy"] == "quiet"
    assert (refused.returncode, "what new jobs get" in refused.stderr) == (5, True)
