"""Simulations asked of a real daemon: what comes back, and what is refused."""

import pytest

from chronos_tui.client import ServerError, calls
from tests.support.api import Api

DAY = {"from": "2027-03-28T00:00:00+01:00", "to": "2027-03-29T00:00:00+02:00"}


def test_a_day_on_which_clocks_change_is_played_with_and_without_a_change(api: Api) -> None:
    schedule = {"expressions": ["30 * * * *"], "zone": "Europe/Berlin"}
    job = api.create("true", name="hourly at half past", schedule=schedule)
    change = {"job": job["id"], "changes": {"schedule": {"expressions": ["*/30 * * * *"]}}, "duration_ms": 2_700_000}

    found = api.ask(calls.simulate({**DAY, "changes": [change]}))

    (told,) = (each for each in found["jobs"] if each["job"] == "hourly at half past")
    assert (told["plan"]["fires"], told["plan"]["skipped"]) == (23, 0)
    assert (told["changed"]["fires"], told["changed"]["skipped"]) == (46, 23)
    assert told["actual"] is None
    assert api.ask(calls.job(job["id"]))["spec"]["schedule"]["expressions"] == ["30 * * * *"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"to": DAY["from"]}, "the period ends before it begins"),
        ({"to": "2037-03-28T00:00:00Z"}, "longer than 366 days"),
        ({"changes": [{"job": "nobody"}]}, "there is no job 'nobody'"),
        ({"outages": [DAY, DAY]}, "the outages overlap"),
        ({"pools": {"db": -1}}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_played_is_refused(api: Api, changes, said) -> None:
    with pytest.raises(ServerError, match=said):
        api.ask(calls.simulate({**DAY, **changes}))
