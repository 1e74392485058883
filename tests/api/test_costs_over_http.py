"""Costs and the scorecard over HTTP: empty at first, and bad questions are refused with their reason."""


async def test_costs_and_the_scorecard_of_nothing_are_empty(served) -> None:
    costs = await served.http.get("/v1/costs", params={"by": "tag"})
    cards = await served.http.get("/v1/insights/scorecard")

    assert (costs.status_code, costs.json()["lines"], costs.json()["total"]["runs"]) == (200, [], 0)
    assert (cards.status_code, cards.json()["items"]) == (200, [])


async def test_a_period_or_a_sum_that_makes_no_sense_is_refused(served) -> None:
    backwards = await served.http.get("/v1/costs", params={"from": "2026-05-02T00:00Z", "to": "2026-05-01T00:00Z"})
    unzoned = await served.http.get("/v1/costs", params={"from": "2026-05-02T00:00"})
    colour = await served.http.get("/v1/costs", params={"by": "colour"})

    assert (backwards.status_code, unzoned.status_code, colour.status_code) == (422, 422, 422)
    assert "before it begins" in backwards.json()["detail"]
    assert "no offset" in unzoned.json()["detail"]
