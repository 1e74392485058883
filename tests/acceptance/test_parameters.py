"""Parameters of real runs: whatever is said reaches the command as it is, and secret ones reach nobody else."""

import json
from typing import Any

import pytest

from chronos_tui.client import ServerError, calls
from tests.acceptance.test_secrets import where_it_stands
from tests.support.api import Api
from tests.support.daemon import DaemonHandle, wait_until

HOSTILE = {
    "substitution": "$(touch /tmp/pwned-$$) `id` ${PATH} $((1+1))",
    "quotes": "'; exit 3; \" \\' \\\" \\",
    "lines": "one\ntwo\r\n\n  three\t\n",
    "options": "--help -rf / *?[a-z]~ ! # & | > /tmp/x",
    "unicode": "ж\u202e\x1b[2J\x07é😀",
    "assignment": "A=B\nCHRONOS_PARAM_TEXT=other",
    "long": "0123456789abcdef" * 4096,
    "empty": "",
}
TEXT = {"name": "text", "required": True}
PRINTS = 'printf %s "$CHRONOS_PARAM_TEXT" | sha256sum; printf %s "$CHRONOS_PARAM_TEXT" | wc -c'
KEY = "open-sesame/7'\"42"


def say(api: Api, job: str, **more: Any) -> int:
    return int(api.ask(calls.run_job(job, **more))["id"])


def lines(api: Api, run: int) -> list[str]:
    assert api.until_final(run)["state"] == "succeeded"
    return [line["text"] for line in api.finished_log(run)["lines"]]


@pytest.mark.parametrize("policy", ["trusted", "standard"])
def test_whatever_is_said_reaches_the_command_as_it_is(api: Api, policy: str) -> None:
    job = api.create(
        'printf %s "$CHRONOS_PARAM_TEXT"',
        parameters=[TEXT],
        policy=policy,
        concurrency="allow",
        output_limit_bytes=1 << 20,
    )

    runs = {name: say(api, job["id"], parameters={"text": text}) for name, text in HOSTILE.items()}

    for name, run in runs.items():
        assert api.until_final(run)["state"] == "succeeded", name
        api.finished_log(run)
        assert api.output(run) == HOSTILE[name].encode(), name
        assert api.ask(calls.facts(run))["parameters"] == {"text": HOSTILE[name]}


def test_what_cannot_be_said_is_refused_with_its_name_and_runs_nothing(daemon: DaemonHandle, api: Api) -> None:
    count = {"name": "count", "type": "integer", "minimum": 1, "maximum": 9, "required": True}
    job = api.create("true", name="counts", parameters=[count])
    wrong: dict[str, Any] = {
        "must be given": {},
        "no whole number": {"count": "three"},
        "at most 9": {"count": 10},
        "no parameter 'cuont'; it has count": {"cuont": 1, "count": 1},
        "NUL byte": {"count": "1\0"},
    }

    for why, values in wrong.items():
        with pytest.raises(ServerError) as told:
            say(api, job["id"], parameters=values)
        assert why in told.value.document["detail"]
        assert "count" in told.value.document["detail"]
        assert told.value.document["status"] == 422
    with pytest.raises(ServerError):
        say(api, job["id"], parameters={"count": [1]})
    by_hand = daemon.chronos("run", "counts", "-p", "count=12")

    assert api.executions(job["id"]) == []
    assert by_hand.returncode == 2
    assert "parameter 'count' is '12', and must be at most 9" in by_hand.stderr


def test_a_scheduled_run_takes_the_defaults_and_a_run_by_hand_what_is_said(daemon: DaemonHandle, api: Api) -> None:
    prints = 'echo "$CHRONOS_PARAM_TO $CHRONOS_PARAM_N ${CHRONOS_PARAM_DAY-unset}"'
    made = daemon.chronos(
        *("job", "add", "told", "--schedule", "@every 1s", "--json"),
        *("--param", "to choice default=test choices=test,live -- Where to", "--param", "n integer default=3 min=1"),
        *("--param", "day date", "--", prints),
    )
    assert made.returncode == 0, made.stderr
    job = json.loads(made.stdout)["id"]

    run = wait_until(lambda: [each for each in api.executions(job) if each["state"] == "succeeded"])[0]["id"]
    api.ask(calls.pause_job(job))
    wait_until(lambda: not api.ask(calls.job(job))["active"])
    hand = daemon.chronos("run", "told", "--param", "to=live", "-p", "day=2026-05-01", "--wait", "--json")

    assert lines(api, run) == ["test 3 unset"]
    assert api.ask(calls.facts(run))["parameters"] == {"to": "test", "n": "3"}
    number = json.loads(hand.stdout)["id"]
    assert lines(api, number) == ["live 3 2026-05-01"]
    shown = daemon.chronos("run", "show", str(number)).stdout
    assert "told" in shown
    assert "day=2026-05-01" in shown
    assert "to choice default=test choices=test,live -- Where to" in daemon.chronos("job", "show", "told").stdout
    asked = daemon.chronos("job", "edit", "told", "--param", "day date required")
    assert asked.returncode == 2
    assert "'day' is required and has no default, and the job has a schedule" in asked.stderr


def test_a_secret_that_a_run_was_told_stays_one_for_a_run_like_it_whatever_its_job_declares_by_now(
    daemon: DaemonHandle, api: Api
) -> None:
    job = api.create('printf %s "$CHRONOS_PARAM_KEY" | wc -c', parameters=[{"name": "key", "secret": True}])
    first = say(api, job["id"], parameters={"key": KEY})
    api.until_final(first)
    changes = {"version": job["version"], "changes": {"parameters": [{"name": "key"}]}}
    api.ask(calls.patch_job(job["id"], changes))

    second = say(api, job["id"], like=first)

    api.until_final(second)
    assert lines(api, second) == [str(len(KEY))]
    assert api.ask(calls.facts(second))["parameters"] == {"key": None}
    assert KEY not in daemon.chronos("events", "--json").stdout
    assert where_it_stands(daemon.state, (KEY,)) == []


def test_retries_handlers_and_runs_alike_are_told_the_same_secrets_included_and_nobody_else_is(
    daemon: DaemonHandle, api: Api
) -> None:
    prints = 'printf "%s %s\\n" "$CHRONOS_PARAM_TO" "$CHRONOS_PARAM_KEY"; printf %s "$CHRONOS_PARAM_KEY" | sha256sum'
    declared = [{"name": "to", "default": "here"}, {"name": "key", "secret": True, "required": True}]
    job = api.create(
        f"{prints}; exit 1",
        name="teller",
        parameters=declared,
        retry={"attempts": 1, "delay_ms": 1, "jitter": "none"},
        on_failure={"command": prints},
    )
    told = daemon.chronos("run", "teller", "-p", "to=there", "--param-file", "key=-", "--json", stdin=KEY)
    assert told.returncode == 0, told.stderr
    first = json.loads(told.stdout)["id"]

    runs = wait_until(lambda: (found := api.executions(job["id"])) and len(found) == 3 and found)
    daemon.kill9()
    daemon.start()
    runs += [{"id": say(api, job["id"], like=first)}]
    wait_until(lambda: len(api.executions(job["id"])) == 6)
    runs = api.executions(job["id"])

    written = []
    for run in runs:
        api.until_final(run["id"])
        written.append([line["text"] for line in api.finished_log(run["id"])["lines"]])
        assert api.ask(calls.facts(run["id"]))["parameters"] == {"to": "there", "key": None}
    assert len({tuple(each) for each in written}) == 1
    assert written[0][0] == "there " + "*" * len(KEY)
    for missing in ({}, {"to": "there"}):
        with pytest.raises(ServerError, match="'key' must be given"):
            say(api, job["id"], parameters=missing)
    with pytest.raises(ServerError, match="name a run of the same job"):
        say(api, api.create("true", parameters=declared)["id"], like=first)
    shown = [
        daemon.chronos("run", "show", str(first)).stdout,
        daemon.chronos("events", "--json").stdout,
        daemon.log_tail(),
    ]
    assert [part for part in shown if KEY in part] == []
    assert "key=(secret)" in shown[0]
    assert where_it_stands(daemon.state, (KEY, json.dumps(KEY)[1:-1])) == []
