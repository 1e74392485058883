"""Policies over HTTP: made, used, changed with a version, refused to be lost, deleted."""

import pytest


async def test_a_policy_is_made_used_changed_and_deleted(served) -> None:
    made = await served.http.post("/v1/policies", json={"name": "quiet", "changes": {"network": {"mode": "none"}}})
    await served.job(policy="quiet")
    saved = await served.http.patch("/v1/policies/quiet", json={"version": 1, "changes": {"timeout_ms": 1000}})
    stale = await served.http.patch("/v1/policies/quiet", json={"version": 1, "changes": {"timeout_ms": 2000}})
    listed = await served.http.get("/v1/policies")
    refused = await served.http.delete("/v1/policies/quiet")
    await served.http.delete("/v1/jobs/job")
    deleted = await served.http.delete("/v1/policies/quiet")
    versions = await served.http.get("/v1/policies/quiet/versions")

    assert (made.status_code, made.json()["custom"]["version"], saved.headers["etag"]) == (201, 1, '"2"')
    assert (stale.status_code, refused.status_code, deleted.status_code) == (409, 409, 204)
    assert "'job'" in refused.json()["detail"]
    names = {each["policy"]["name"]: each["custom"] for each in listed.json()["items"]}
    assert names["strict"] is None
    assert names["quiet"]["used_by"] == ["job"]
    assert [each["version"] for each in versions.json()["items"]] == [2, 1]
    assert (await served.http.get("/v1/policies/quiet")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"name": "Bad Name"}, 422, "name"),
        ({"name": "a", "based_on": "gone"}, 422, "based_on"),
        ({"name": "a", "changes": {"colour": 1}}, 422, "changes.colour"),
        ({"name": "a", "changes": {"limits": {"cpus": "many"}}}, 422, "changes.limits.cpus"),
        ({"name": "strict"}, 409, None),
        ({"name": "a", "more": 1}, 422, "more"),
    ],
)
async def test_a_policy_that_makes_no_sense_is_refused_with_the_field(served, body, status, field) -> None:
    answer = await served.http.post("/v1/policies", json=body)

    assert answer.status_code == status, answer.text
    if field:
        assert field in answer.text
