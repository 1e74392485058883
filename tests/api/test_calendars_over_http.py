"""Calendars over HTTP: made, used, previewed, imported, refused; the engine hears of the jobs that obey them."""

import pytest

ICS = (
    b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20300101\r\n"
    b"SUMMARY:One\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


async def test_a_calendar_is_made_obeyed_changed_and_deleted(served) -> None:
    made = await served.http.put("/v1/calendars/german", json={"spec": {"rules": ["sat,sun"]}, "version": 0})
    job = await served.job(schedule={"expressions": ["0 9 * * *"], "calendars": ["german:next"]})
    served.engine.changed.clear()

    changed = await served.http.put("/v1/calendars/german", json={"spec": {"rules": ["12-24..12-26"]}})
    shown = await served.http.get("/v1/calendars/german")
    days = await served.http.get("/v1/calendars/german/days", params={"year": 2030})
    refused = await served.http.delete("/v1/calendars/german")
    await served.http.delete("/v1/jobs/job")
    deleted = await served.http.delete("/v1/calendars/german")

    assert (made.status_code, made.json()["version"], changed.headers["etag"]) == (200, 1, '"2"')
    assert served.engine.changed[0] == job["id"]
    assert shown.json()["used_by"] == ["job"]
    assert [note["day"] for note in days.json()["excluded"]] == ["2030-12-24", "2030-12-25", "2030-12-26"]
    assert (refused.status_code, "'job'" in refused.json()["detail"]) == (409, True)
    assert (deleted.status_code, (await served.http.get("/v1/calendars")).json()["items"]) == (204, [])


async def test_an_ics_file_is_the_body_of_its_import(served) -> None:
    answer = await served.http.post("/v1/calendars/works/ics", content=ICS)

    assert (answer.status_code, answer.json()["taken"]) == (200, 1)
    assert answer.json()["calendar"]["spec"]["rules"][0]["name"] == "One"


async def test_days_can_be_seen_before_anything_is_saved(served) -> None:
    answer = await served.http.post("/v1/calendars/preview", params={"year": 2026}, json={"rules": ["holidays US"]})

    assert {"day": "2026-11-26", "reason": "Thanksgiving Day"} in answer.json()["excluded"]


async def test_the_fires_of_a_job_tell_what_is_passed_over(served) -> None:
    await served.http.put("/v1/calendars/german", json={"spec": {"rules": ["2030-01-02"]}})
    await served.job(schedule={"expressions": ["0 9 * * *"], "calendars": ["german"]})

    answer = await served.http.get("/v1/jobs/job/fires", params={"after": "2030-01-01T00:00:00Z", "count": 2})

    assert answer.json()["fires"] == ["2030-01-01T09:00:00Z", "2030-01-03T09:00:00Z"]
    assert answer.json()["passed_over"] == [
        {"at": "2030-01-02T09:00:00Z", "reason": "suppressed by calendar german (2030-01-02)", "moved_to": None}
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/v1/calendars/none", None, 404, "no calendar 'none'"),
        ("GET", "/v1/calendars/none/days", None, 404, "no calendar 'none'"),
        ("DELETE", "/v1/calendars/none", None, 404, "no calendar 'none'"),
        ("PUT", "/v1/calendars/a%20b", {"spec": {}}, 422, "name"),
        ("PUT", "/v1/calendars/a", {"spec": {"rules": ["someday"]}}, 422, "write 2026-12-24"),
        ("PUT", "/v1/calendars/a", {"spec": {"rules": [{"days": "sat", "efect": "x"}]}}, 422, "no field"),
        ("PUT", "/v1/calendars/a", {"spec": {"blackouts": ["25:00-26:00"]}}, 422, "there is no time 25:00"),
        ("PUT", "/v1/calendars/a", {"spec": {}, "version": 3}, 409, "at version 0"),
        ("POST", "/v1/jobs", {"spec": {"name": "x", "command": "x", "schedule": {
            "expressions": ["@daily"], "calendars": ["none:later"]}}}, 422, "skip"),
        ("POST", "/v1/schedules/preview", {"schedule": {"expressions": ["@daily"], "calendars": ["none"]}}, 422,
         "no calendar 'none'"),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused_with_the_reason(served, method, path, body, status, said) -> None:
    answer = await served.http.request(method, path, json=body)

    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
