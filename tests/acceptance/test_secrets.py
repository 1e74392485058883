"""Secrets of real jobs: given at the start, in nothing that is stored or shown, known after restarts and changes."""

import base64
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chronos_tui.client import ServerError, calls
from tests.support.api import Api
from tests.support.daemon import DaemonHandle, processes_of, wait_until

SECRET = "correct-horse/battery=42"
OTHER = "another value, 7 words"
ENCODED = base64.b64encode(SECRET.encode()).decode()
TELLING = (SECRET, ENCODED, SECRET.encode().hex(), "correct-horse%2Fbattery%3D42", "correct-horse")

PRINTS = r"""
echo "plain $TOKEN"; echo "error $TOKEN" >&2
printf %s "$TOKEN" | base64; printf 'user:%s' "$TOKEN" | base64; printf 'a:%s' "$TOKEN" | base64
printf %s "$TOKEN" | od -An -tx1 | tr -d ' \\n'; echo
printf '{"token": "correct-horse\\/battery=42", "url": "/?t=correct-horse%%2Fbattery%%3D42"}\n'
printf 'correct-'; sleep 0.4; printf 'horse/bat'; sleep 0.4; printf 'tery=42\n'
echo "::kpi $TOKEN=1"; echo "::warning $TOKEN"; set -x; : "$TOKEN"
echo "the end"; exit 3
"""


def give(api: Api, name: str, value: str) -> None:
    api.ask(calls.put_secret(name, value))


def files_of(state: Path) -> Iterator[Path]:
    """Return every file of the state, but the memory that processes share."""
    return (path for path in state.rglob("*") if path.is_file() and not path.is_symlink())


def where_it_stands(state: Path, texts: tuple[str, ...]) -> list[str]:
    """Return the files of the state and the command lines of processes that hold one of the texts."""
    found = []
    for path in files_of(state):
        with contextlib.suppress(OSError):
            data = path.read_bytes()
            found += [f"{path}: {text}" for text in texts if text.encode() in data]
    for pid in processes_of(state):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            found += [f"process {pid}: {text}" for text in texts if text.encode() in line]
    return found


@pytest.mark.parametrize("policy", ["trusted", "standard"])
def test_a_job_that_prints_its_secret_in_many_ways_leaks_it_nowhere(
    daemon: DaemonHandle, api: Api, policy: str
) -> None:
    done = daemon.chronos("secret", "set", "token", stdin=SECRET + "\n")
    assert done.returncode == 0, done.stderr
    job = api.create(PRINTS, name=f"teller-{policy}", secrets={"TOKEN": "token"}, policy=policy)
    script = 'test "$TOKEN" = "$(printf correct-horse)/battery=42"; echo "same $?"'
    gets = api.run(script, secrets={"TOKEN": "token"}, policy=policy)
    run = int(api.ask(calls.run_job(job["id"]))["id"])

    end = api.until_final(run)
    page = api.finished_log(run)

    api.until_final(gets)
    assert api.finished_log(gets)["lines"][0]["text"] == "same 0"
    assert end["exit_code"] == 3
    texts = [line["text"] for line in page["lines"]]
    assert "plain " + "*" * len(SECRET) in texts
    assert "the end" in texts
    shown = [
        str(page),
        str(end),
        api.output(run).decode(),
        api.output(run, "stderr").decode(),
        str(api.ask(calls.job(job["id"]))),
        str(api.ask(calls.execution(run))),
        str(api.ask(calls.secrets())),
        daemon.chronos("log", str(run)).stdout,
        daemon.chronos("run", "show", str(run)).stdout,
        daemon.chronos("run", "list", "--json").stdout,
        daemon.chronos("events", "--json").stdout,
        daemon.log_tail(),
    ]
    # The command itself holds some of it, as a careless author writes it; the output must not.
    assert [text for text in TELLING for part in shown[:4] + shown[7:8] if text in part] == []
    assert [part for part in shown if SECRET in part or ENCODED in part] == []
    assert where_it_stands(daemon.state, (SECRET, ENCODED, SECRET.encode().hex())) == []


def test_a_live_reader_sees_stars(daemon: DaemonHandle, api: Api) -> None:
    give(api, "token", SECRET)
    run = api.run('echo "now $TOKEN"; sleep 60', secrets={"TOKEN": "token"})

    wait_until(lambda: api.ask(calls.log(run, tail=1))["lines"])

    assert api.ask(calls.log(run, tail=1))["lines"][0]["text"] == "now " + "*" * len(SECRET)
    assert where_it_stands(daemon.state / "redis", (SECRET,)) == []
    spool = daemon.state / "spool" / str(run)
    assert (spool.stat().st_mode & 0o777, (spool / "stdout").stat().st_mode & 0o777) == (0o700, 0o600)
    api.ask(calls.cancel(run))
    api.until_final(run)
    api.finished_log(run)
    wait_until(lambda: where_it_stands(daemon.state, (SECRET,)) == [])  # also of the file the job wrote to


def test_a_run_whose_secret_was_taken_away_is_refused_with_the_reason(daemon: DaemonHandle, api: Api) -> None:
    give(api, "token", SECRET)
    job = api.create("echo never", secrets={"TOKEN": "token"})
    refused = daemon.chronos("secret", "delete", "token")
    forced = daemon.chronos("secret", "delete", "token", "--force")

    end = api.until_final(int(api.ask(calls.run_job(job["id"]))["id"]))

    assert refused.returncode == 5
    assert "is used by" in refused.stderr
    assert forced.returncode == 0
    assert (end["state"], end["outcome"]) == ("blocked", "secret")
    assert "secret 'token' is not there for this job; set it with `chronos secret set token`" in end["reason"]


def test_a_secret_that_was_changed_is_hidden_in_runs_of_before_and_after_also_by_the_next_daemon(
    daemon: DaemonHandle, api: Api
) -> None:
    give(api, "token", SECRET)
    go = daemon.state / "go"
    script = f'echo first; until test -e {go}; do sleep 0.05; done; echo "$TOKEN"; echo "{OTHER}"'
    job = api.create(script.replace(OTHER, "$(cat " + str(daemon.state / "note") + ")"), secrets={"TOKEN": "token"})
    run = int(api.ask(calls.run_job(job["id"]))["id"])
    api.until_running([run])

    give(api, "token", OTHER)
    daemon.kill9()
    daemon.start()
    (daemon.state / "note").write_text(OTHER)
    go.touch()

    api.until_final(run)
    lines = [line["text"] for line in api.finished_log(run)["lines"]]
    assert lines == ["first", "*" * len(SECRET), "*" * len(OTHER)]
    after = int(api.ask(calls.run_job(job["id"]))["id"])
    api.until_final(after)
    assert [line["text"] for line in api.finished_log(after)["lines"]] == ["first", *["*" * len(OTHER)] * 2]


def test_without_the_master_key_nothing_starts_and_nothing_is_shown(fresh_daemon: DaemonHandle, fresh_api: Api) -> None:
    daemon, api = fresh_daemon, fresh_api
    give(api, "token", SECRET)
    key = Path(daemon.environ["CHRONOS_CONFIG"]).with_name("master.key")
    go = daemon.state / "go"
    running = api.run(
        f'until test -e {go}; do sleep 0.05; done; echo "is $TOKEN"',
        secrets={"TOKEN": "token"},
        name="early",
        concurrency="allow",
    )
    api.until_running([running])
    key.rename(key.with_suffix(".away"))
    daemon.kill9()
    daemon.start()
    go.touch()

    late = api.until_final(int(api.ask(calls.run_job("early"))["id"]))

    assert late["state"] == "blocked"
    assert re.search(r"cannot be opened: the key .* is not in .*master.key; put that file back", late["reason"])
    api.until_final(running)
    assert [line["text"] for line in api.finished_log(running)["lines"]] == ["*" * (3 + len(SECRET))]
    key.with_suffix(".away").rename(key)
    again = int(api.ask(calls.run_job("early"))["id"])
    assert api.until_final(again)["state"] == "succeeded"


def test_a_value_that_is_refused_is_not_told_back(api: Api) -> None:
    with pytest.raises(ServerError) as told:
        api.ask(calls.put_secret("token", "ab\tc\0d-s3cret"))

    assert "s3cret" not in str(told.value.document)
