"""A job as it is typed: what the texts of a form mean, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronos_tui.screens import jobdraft
from chronos_tui.screens.jobfields import DEFAULTS, FIELDS
from chronos_tui.screens.query import RunFilter, parse_run_filter
from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.retry import Retry

TEXTS = {field.id: "" for field in FIELDS} | DEFAULTS | {
    "name": "a", "command": "true", "schedule.zone": "UTC",
}  # fmt: skip


@given(
    st.builds(
        JobSpec,
        name=st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
        command=st.sampled_from(["true", "a && b | c", "for x in 1 2; do\n  echo $x\ndone"]),
        tags=st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), max_size=3).map(tuple),
        timeout_ms=st.one_of(st.none(), st.integers(1, 10**8)),
        retry=st.one_of(st.none(), st.builds(Retry, attempts=st.integers(0, 100), cap_ms=st.just(20_000))),
        env=st.dictionaries(
            st.from_regex(r"[A-Z]{1,5}", fullmatch=True), st.sampled_from(["", "x y", "it's", '"']), max_size=3
        ),
    )
)
def test_a_form_that_nobody_touched_changes_nothing(spec: JobSpec) -> None:
    problems: dict[str, str] = {}

    values = jobdraft.values_of(jobdraft.texts_of(spec), problems)

    assert (jobdraft.changes(spec, values), problems) == ({}, {})


def test_a_new_job_says_what_a_job_that_says_nothing_means() -> None:
    nothing_said = JobSpec(name="a", command="true")

    assert jobdraft.texts_of(nothing_said) == TEXTS | {"policy": "standard"}
    assert "policy" not in jobdraft.values_of(TEXTS, {})  # the server has its own default


def test_a_form_that_nobody_touched_changes_nothing_of_a_job_that_says_all_it_can() -> None:
    spec = JobSpec.model_validate(
        {
            "name": "a", "command": "b", "after": ["one", "two"], "trigger_rule": "all_done", "pool": "db",
            "priority": 9, "queue_limit": 3, "concurrency": "queue_all", "concurrency_limit": 2, "misfire": "skip",
            "misfire_grace_ms": 90_000, "run_timeout_ms": 3_600_000, "retry": {"attempts": 3, "delay_ms": 1500},
            "schedule": {
                "calendars": ["german:next", "plain"], "jitter_s": 90, "start": "2026-05-01T08:00:00+02:00",
                "end": "2026-12-31T23:59:59.5Z", "gap": "shift", "overlap": "both",
                "blackouts": ["sat,sun", {"when": "fri 22:00-06:00", "name": "it's | a = freeze"}],
            },
            "not_before": "06:00", "catchup_on_resume": True,
            "conditions": [
                {"kind": "file", "path": "/srv/a b", "absent": True},
                {"kind": "command", "command": "grep -q 'x y' /z | wc", "timeout_ms": 5000},
                {"kind": "window", "begin": "22:00", "end": "06:00", "days": ["mon", "fri"]},
                {"kind": "state", "job": "load", "states": ["succeeded", "failed"]},
                {"kind": "metric", "metric": "failed_24h", "op": "<", "value": 3},
            ],
            "policy": "quiet", "read": ["/srv/a b"], "write": ["/srv/out"], "network": {"mode": "none"},
            "limits": {
                "memory_bytes": 512 << 20, "processes": 8, "cpus": 0.25, "cpu_ms": 90_500, "open_files": 64,
                "file_bytes": 5000, "scratch_bytes": 1 << 20,
            },
            "secrets": {"TOKEN": "deploy-token"}, "artifacts": ["out/*.csv", "a b/*"], "artifact_limit_bytes": 12345,
            "output_kept": {"days": 1.5, "runs": 100, "bytes": 7},
            "on_failure": {"command": "echo 'a b'\nexit 1", "timeout_ms": 5000}, "on_cancel": {"command": "true"},
        }
    )  # fmt: skip
    problems: dict[str, str] = {}

    values = jobdraft.values_of(jobdraft.texts_of(spec), problems)

    assert (jobdraft.changes(spec, values), problems) == ({}, {})


def test_a_changed_schedule_keeps_what_the_form_does_not_show() -> None:
    spec = JobSpec.model_validate(
        {"name": "a", "command": "b", "schedule": {"expressions": ["@daily"], "zone": "UTC", "gap": "skip"}}
    )
    texts = jobdraft.texts_of(spec) | {"schedule.expressions": "@hourly | 0 9 * * 1"}

    changed = jobdraft.changes(spec, jobdraft.values_of(texts, {}))

    assert changed["schedule"]["expressions"] == ["@hourly", "0 9 * * 1"]
    assert changed["schedule"]["gap"] == "skip"


@pytest.mark.parametrize(("text", "kept"), [("5", {"attempts": 5, "delay_ms": 7}), ("", None)])
def test_a_changed_number_of_retries_keeps_the_rest_of_their_policy(text: str, kept: dict[str, int] | None) -> None:
    spec = JobSpec.model_validate({"name": "a", "command": "b", "retry": {"attempts": 2, "delay_ms": 7}})

    changed = jobdraft.changes(spec, jobdraft.values_of(jobdraft.texts_of(spec) | {"retry.attempts": text}, {}))

    assert changed.keys() == {"retry"}
    assert (changed["retry"] and {name: changed["retry"][name] for name in kept or ()}) == kept


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("timeout_ms", "soon", "length of time"),
        ("env", "x", "no assignment"),
        ("retry.attempts", "x", "no number"),
        ("env", "A='", "close what is quoted"),
        ("run_timeout_ms", "late", "length of time"),
        ("misfire_grace_ms", "", "length of time"),
        ("retry.delay_ms", "x", "length of time"),
        ("concurrency_limit", "-1", "no number"),
        ("queue_limit", "", "no number"),
        ("priority", "high", "no number"),
        ("schedule.jitter_s", "250ms", "whole seconds"),
        ("conditions", "file /srv/in", "quote each"),
        ("conditions", "'file /srv/in", "close what is quoted"),
        ("catchup_on_resume", "yes", "write skip or catch_up"),
        ("schedule.start", "20261201", "no instant"),
        ("schedule.end", "2026-12-01T08:00", "offset"),
    ],
)
def test_what_cannot_be_read_is_said_beside_its_field(field: str, text: str, said: str) -> None:
    problems: dict[str, str] = {}

    jobdraft.values_of(TEXTS | {field: text}, problems)

    assert said in problems[field]


def test_a_filter_of_runs_is_read_into_what_the_api_asks_for() -> None:
    found = parse_run_filter("status:failed,ok job:backup since:2d disk full")

    assert found == RunFilter("failed,succeeded", "backup", found.since, "disk full")
    assert found.since is not None
    assert found.since.days == 2
