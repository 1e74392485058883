"""Whatever is asked badly gets a clear Problem with the right status, and nothing is changed by it."""

import json
from urllib.parse import quote

import pytest

from tests.support.world import rows

GOOD = {"name": "job", "command": "true", "schedule": {"expressions": ["@hourly"]}}
LONG_AGO, FAR_AWAY = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"

BAD_SPECS = {
    "unknown zone": ({"schedule": {"expressions": ["@daily"], "zone": "Mars/Olympus"}}, "Mars/Olympus"),
    "zone with a path": ({"schedule": {"expressions": ["@daily"], "zone": "../../etc/passwd"}}, "zone"),
    "zone with a surrogate": ({"schedule": {"expressions": ["@daily"], "zone": "\ud800"}}, "zone"),
    "impossible date": ({"schedule": {"expressions": ["0 0 31 2 *"]}}, "never fires"),
    "no expression": ({"schedule": {"expressions": ["every now and then"]}}, "expression"),
    "seven fields": ({"schedule": {"expressions": ["0 0 0 1 1 * 2030"]}}, "field"),
    "hostile expression": ({"schedule": {"expressions": ["*" + ",*" * 499]}}, ""),
    "expression with a NUL": ({"schedule": {"expressions": ["* * * * \u0000"]}}, ""),
    "expression with a surrogate": ({"schedule": {"expressions": ["\udfff * * * *"]}}, ""),
    "expression too long": ({"schedule": {"expressions": ["1" * 1001]}}, "1000"),
    "too many expressions": ({"schedule": {"expressions": ["@daily"] * 101}}, "100"),
    "anchor before time": ({"schedule": {"expressions": ["@every 1h"], "anchor": LONG_AGO}}, "1970"),
    "start after time": ({"schedule": {"expressions": ["@daily"], "start": FAR_AWAY}}, "9000"),
    "naive start": ({"schedule": {"expressions": ["@daily"], "start": "2026-05-01T08:00:00"}}, "timezone"),
    "end before start": (
        {"schedule": {"expressions": ["@daily"], "start": "2027-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}},
        "lies before",
    ),
    "empty command": ({"command": "  "}, "empty"),
    "command of 10 MB": ({"command": "x" * 10_000_000}, "131,071"),
    "command with a NUL": ({"command": "a\u0000b"}, "NUL"),
    "name with a line end": ({"name": "a\nb"}, "U+000A"),
    "name with an escape": ({"name": "\u001b[31mred"}, "U+001B"),
    "name with a turned direction": ({"name": "a\u202eb"}, "U+202E"),
    "name with a surrogate": ({"name": "a\ud800"}, "name"),
    "empty name": ({"name": ""}, "name"),
    "long name": ({"name": "n" * 81}, "80"),
    "unknown field": ({"colour": "red"}, "colour"),
    "unknown policy": ({"policy": "lenient"}, "policy"),
    "negative timeout": ({"timeout_ms": -1}, "timeout_ms"),
    "retries without a number": ({"retry": {"delay_ms": 5}}, "attempts"),
    "too many retries": ({"retry": {"attempts": 101}}, "100"),
    "an exit code of success": ({"retry": {"attempts": 1, "exit_codes": [0]}}, "retry.exit_codes"),
    "endless exit code": ({"retry": {"attempts": 1, "exit_codes": ["9" * 100_000]}}, "exit code"),
    "unknown signal": ({"retry": {"attempts": 1, "signals": ["S" * 100_000]}}, "signal"),
    "cap below the delay": ({"retry": {"attempts": 1, "delay_ms": 5000, "cap_ms": 1}}, "cap_ms"),
    "no time for the run": ({"run_timeout_ms": 0}, "run_timeout_ms"),
    "bad variable": ({"env": {"A-B": "1"}}, "A-B"),
    "relative directory": ({"cwd": "tmp"}, "absolute"),
    "tag with a blank": ({"tags": ["a b"]}, "tags"),
}


def problem(answer, status: int) -> dict:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert (answer.status_code, body["status"]) == (status, status), body
    assert body["kind"]
    assert body["detail"]
    return body


@pytest.mark.parametrize("name", BAD_SPECS)
async def test_a_job_that_makes_no_sense_is_refused_with_its_reason(served, name: str) -> None:
    changes, culprit = BAD_SPECS[name]
    body = json.dumps({"spec": GOOD | changes})

    answer = await served.http.post("/v1/jobs", content=body, headers={"content-type": "application/json"})

    told = problem(answer, 422)
    assert culprit in json.dumps(told, ensure_ascii=False)
    assert len(answer.content) < 4000
    assert await served.database.read(lambda db: rows(db, "jobs")) == []
    assert served.engine.changed == []


@pytest.mark.parametrize("body", [b"", b"{", b"name=job", b"\xff\xfe", b"[" * 100_000, b'{"spec": NaN'])
async def test_a_body_that_is_not_json_is_told_so(served, body: bytes) -> None:
    answer = await served.http.post("/v1/jobs", content=body, headers={"content-type": "application/json"})

    assert answer.status_code in {400, 422}
    assert problem(answer, answer.status_code)["kind"] == "invalid"


@pytest.mark.parametrize("body", ["[]", "null", '"text"', "7", "{}", '{"spec": null}', '{"spec": {}, "more": 1}'])
async def test_json_of_the_wrong_shape_is_told_so(served, body: str) -> None:
    answer = await served.http.post("/v1/jobs", content=body, headers={"content-type": "application/json"})

    assert problem(answer, 422)["errors"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/jobs/none", 404),
        ("GET", "/v1/jobs/%FF%FE", 404),
        ("GET", "/v1/executions/0", 422),
        ("GET", "/v1/executions/99999999999999999999", 422),
        ("GET", "/v1/executions/7", 404),
        ("GET", "/v1/executions/x", 422),
        ("GET", "/v1/executions/7/log", 404),
        ("GET", "/v1/executions/7/log/raw", 404),
        ("POST", "/v1/executions/7/cancel", 404),
        ("GET", "/v1/executions?cursor=x", 422),
        ("GET", "/v1/executions?cursor=9999999999999999999999", 422),
        ("GET", "/v1/executions?state=asleep", 422),
        ("GET", "/v1/executions?since=yesterday", 422),
        ("GET", "/v1/executions?since=2026-05-01T08:00:00", 422),
        ("GET", "/v1/executions?since=" + quote(LONG_AGO), 422),
        ("GET", "/v1/executions?limit=0", 422),
        ("GET", "/v1/executions?limit=100000", 422),
        ("GET", "/v1/executions?job=none", 404),
        ("GET", "/v1/jobs?sort=colour", 422),
        ("GET", "/v1/jobs?cursor=%7E-1", 422),
        ("GET", "/v1/events?after=-1", 422),
        ("GET", "/v1/events?after=99999999999999999999", 422),
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/jobs", 405),
        ("GET", "/v1/exports?format=xml", 422),
        ("POST", "/v1/shutdown?jobs=maybe", 422),
        ("POST", "/v1/sessions", 503),
        ("POST", "/v1/imports/crontab", 422),
        ("POST", "/v1/imports/crontab?source=x&zone=Mars/Olympus", 422),
    ],
)
async def test_each_wrong_address_has_its_status(served, method: str, path: str, status: int) -> None:
    answer = await served.http.request(method, path)

    problem(answer, status)


async def test_a_name_that_no_job_can_have_finds_none(served) -> None:
    answer = await served.http.get("/v1/jobs/" + quote("a\u0000b"))

    assert answer.status_code in {404, 422}  # Postgres refuses to look for it
    problem(answer, answer.status_code)


@pytest.mark.parametrize("text", ["a\u0000b", "'; drop table jobs; --", "%_\\", "\u202e", "(" * 500])
async def test_hostile_searches_find_nothing_and_break_nothing(served, text: str) -> None:
    await served.job()

    jobs = await served.http.get("/v1/jobs", params={"q": text})
    runs = await served.http.get("/v1/executions", params={"q": text})

    for answer in (jobs, runs):
        assert answer.status_code in {200, 422}, answer.text
        assert answer.status_code == 422 or answer.json()["items"] == []


@pytest.mark.parametrize("reason", ["a\u0000b", "\ud800", "r" * 401])
async def test_a_reason_that_cannot_be_kept_is_refused(served, reason: str) -> None:
    await served.job()
    body, headers = json.dumps({"reason": reason}), {"content-type": "application/json"}

    answer = await served.http.post("/v1/jobs/job/run", content=body, headers=headers)

    assert problem(answer, 422)["errors"][0]["field"] == "reason"
    assert served.engine.started == []


@pytest.mark.parametrize(
    "request_body",
    [
        {"schedule": {"expressions": ["@daily"]}, "after": "2026-05-01T08:00:00"},
        {"schedule": {"expressions": ["@daily"]}, "after": LONG_AGO},
        {"schedule": {"expressions": ["@daily"]}, "count": 100_000},
        {"schedule": {"expressions": ["@dayly"]}},
    ],
)
async def test_a_preview_of_nonsense_is_refused(served, request_body: dict) -> None:
    answer = await served.http.post("/v1/schedules/preview", json=request_body)

    problem(answer, 422)


async def test_a_misspelt_schedule_says_where_and_what_else(served) -> None:
    answer = await served.http.post("/v1/schedules/preview", json={"schedule": {"expressions": ["@dayly"]}})

    told = problem(answer, 422)
    assert (told["kind"], told["position"], told["suggestion"]) == ("bad_schedule", 0, "@daily")


@pytest.mark.parametrize("at", ["2026-05-01", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "now"])
async def test_an_instant_that_is_none_cannot_be_explained(served, at: str) -> None:
    await served.job()

    problem(await served.http.get("/v1/jobs/job/explain", params={"at": at}), 422)


async def test_a_body_without_end_is_cut_off(served) -> None:
    async def endless():
        for _ in range(64):
            yield b"x" * 1_048_576

    answer = await served.http.post("/v1/jobs", content=endless(), headers={"content-type": "application/json"})

    assert problem(answer, 413)["detail"]
