"""What --if and --not-before make of a job, and how its conditions are shown."""

from typing import Any

import pytest

from chronos_tui import format as fmt
from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.problems import Problem
from tests.cli.conftest import Chronos, job_view
from tests.support.canned import Canned


def _sent(chronos: Chronos, canned: Canned, *flags: str) -> dict[str, Any]:
    canned.answer("POST", "/v1/jobs", job_view(), 201)
    chronos("job", "add", "x", *flags, "--", "true")
    spec: dict[str, Any] = canned.last.json()["spec"]
    return spec


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("file /a b", {"kind": "file", "path": "/a b", "absent": False}),
        ("no file /a", {"kind": "file", "path": "/a", "absent": True}),
        ("command test -s '/x y'", {"kind": "command", "command": "test -s '/x y'"}),
        ("between 22:00-06:00", {"kind": "window", "begin": "22:00", "end": "06:00", "days": []}),
        (
            "between 22:00 - 06:00:30 fri-mon",
            {"kind": "window", "begin": "22:00", "end": "06:00:30", "days": ["mon", "fri", "sat", "sun"]},
        ),
        ("between 9:00-10:00 sat,Sunday", {"kind": "window", "begin": "9:00", "end": "10:00", "days": ["sat", "sun"]}),
        ("extract succeeded", {"kind": "state", "job": "extract", "states": ["succeeded"]}),
        ("my job failed or unknown", {"kind": "state", "job": "my job", "states": ["failed", "unknown"]}),
        (
            "load.duration_ms < 60s",
            {"kind": "metric", "job": "load", "metric": "duration_ms", "op": "<", "value": 60_000},
        ),
        (
            "v1.2.cpu_ms>=5",
            {"kind": "metric", "job": "v1.2", "metric": "cpu_ms", "op": ">=", "value": 5},
        ),
        ("failed_24h == 0", {"kind": "metric", "metric": "failed_24h", "op": "==", "value": 0}),
    ],
)
def test_a_condition_is_read(chronos: Chronos, canned: Canned, text: str, meant: dict[str, Any]) -> None:
    assert _sent(chronos, canned, "--if", text)["conditions"] == [meant]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sunny", "'sunny' is no condition; write 'file /path'"),
        ("file here", "'file here' is no condition"),
        ("command ", "'command ' is no condition"),
        ("extract skipped", "'extract skipped' is no condition"),
        ("load.mood < 3", "'load.mood < 3' is no condition"),
        ("between 22:00-06:00 today", "'today' is no day of the week; write mon-fri, or sat,sun"),
        ("exit_code < one", "'one' is no number for exit_code; write one such as 3"),
        ("cpu_ms < much", "'much' is no number of ms for cpu_ms; write 60000, or 60s"),
    ],
)
def test_what_is_no_condition_is_refused_with_what_is(chronos: Chronos, canned: Canned, text: str, why: str) -> None:
    done = chronos("job", "add", "x", "--if", text, "--", "true")

    assert (done.code, canned.asked) == (2, [])
    assert why in done.err


def test_what_speaks_of_the_wall_clock_is_in_the_zone_of_this_machine(
    chronos: Chronos, canned: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")

    assert _sent(chronos, canned, "--after", "y", "--not-before", "06:30") == {
        "name": "x", "command": "true", "after": ["y"], "not_before": "06:30", "schedule": {"zone": "Europe/Berlin"},
    }  # fmt: skip
    assert _sent(chronos, canned, "--if", "between 06:00-07:00")["schedule"] == {"zone": "Europe/Berlin"}
    assert "schedule" not in _sent(chronos, canned, "--if", "file /a")


def test_editing_replaces_all_conditions_or_takes_them_out(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/jobs/backup", job_view())
    canned.answer("PATCH", f"/v1/jobs/{job_view().id}", job_view(version=4))

    chronos("job", "edit", "backup", "--if", "", "--not-before", "none")

    assert canned.last.json()["changes"] == {"conditions": [], "not_before": None}


LOAD, GONE = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
TEXTS = (
    "file /a b", "no file /a", "command test -s /x", "between 22:00-06:00 mon,tue", "between 22:00-06:00",
    "extract succeeded or failed", "load.duration_ms < 60000", "failed_24h == 0",
)  # fmt: skip


def test_a_condition_is_shown_as_it_was_asked_for(chronos: Chronos, canned: Canned) -> None:
    spec = _sent(chronos, canned, *(part for text in TEXTS for part in ("--if", text)))

    kept = JobSpec.model_validate(spec).model_dump(mode="json")

    assert tuple(fmt.conditions(kept["conditions"])) == TEXTS


def test_a_job_is_shown_with_its_conditions_and_the_names_of_other_jobs(chronos: Chronos, canned: Canned) -> None:
    wanted = [
        {"kind": "state", "job": LOAD},
        {"kind": "metric", "job": GONE, "metric": "cpu_ms", "op": "<", "value": 1},
    ]
    spec = {"name": "backup", "command": "true", "conditions": wanted, "after": [LOAD], "not_before": "06:30"}
    canned.answer("GET", "/v1/jobs/backup", job_view(spec=JobSpec.model_validate(spec)))
    canned.answer("GET", f"/v1/jobs/{LOAD}", job_view(name="load"))
    gone = Problem(kind="not_found", title="Not found", status=404, detail="there is no such job")
    canned.answer("GET", f"/v1/jobs/{GONE}", gone, 404)

    out = chronos("job", "show", "backup").out

    assert [line.split("  ")[-1].strip() for line in out.splitlines() if "starts if" in line] == [
        "load succeeded",
        f"{GONE}.cpu_ms < 1",
    ]
    assert "06:30" in out
