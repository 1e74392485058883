"""`chronos insight scorecard`, `insight cost`, and what an insight shows of what came of it."""

from datetime import timedelta

from chronos_tui.insights import change, measured
from scheduler_daemon.contract.costs import Cost, Costs, CostsBy
from scheduler_daemon.contract.insights import KindCard
from scheduler_daemon.contract.pages import Page
from tests.cli.conftest import NOON, Chronos
from tests.support.canned import Canned

CARD = KindCard(
    kind="collision", told=9, judged=8, right=6, precision=0.75, low=0.4, high=0.9, scored=5, brier=0.1, base=0.24,
    applied=4, kept=3, gain=0.5, muted=False, why="it does no worse than simple rules",
)  # fmt: skip
SHUT = CARD.model_copy(
    update={"kind": "idle_runs", "judged": 0, "scored": 0, "applied": 0, "gain": None, "muted": True}
)


def cost(name: str, money: float, **fields: object) -> Cost:
    return Cost.model_validate({
        "name": name, "runs": 3, "cpu_s": 7200, "memory_gib_s": 1800, "figures": {"tokens": 1500.0}, "cost": money,
        "unmeasured": 0, **fields,
    })  # fmt: skip


def costs(*, priced: bool = True, unmeasured: int = 0) -> Costs:
    total = cost("total", 3.5, unmeasured=unmeasured)
    lines = (cost("backup", 2.5), cost("", 1.0))
    return Costs(
        start=NOON - timedelta(days=30),
        end=NOON,
        by=CostsBy.TAG,
        currency="EUR",
        priced=priced,
        total=total,
        lines=lines,
    )


def words(out: str) -> list[str]:
    return [" ".join(line.split()) for line in out.splitlines()]


def test_the_scorecard_says_how_good_each_kind_is(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/insights/scorecard", Page(items=[CARD, SHUT]))

    done = chronos("insight", "scorecard")

    assert words(done.out)[1:] == [
        "collision 9 6 of 8 0.100 against 0.240 3 of 4 50% it does no worse than simple rules",
        "idle_runs 9 yes it does no worse than simple rules",
    ]


def test_costs_are_listed_the_dearest_first_with_their_total(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/costs", costs())

    done = chronos("insight", "cost", "--by", "tag", "--from", "2026-05-01T00:00Z")

    assert canned.last.query["by"] == "tag"
    assert canned.last.query["from"].startswith("2026-05-01T00:00:00")
    assert words(done.out)[1:] == [
        "backup 3 2h 00m 0.50 h 1,500 2.50 EUR",
        "(none) 3 2h 00m 0.50 h 1,500 1.00 EUR",
        "total 3 2h 00m 0.50 h 1,500 3.50 EUR",
    ]


def test_without_prices_or_measurements_it_says_so(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/costs", costs(priced=False, unmeasured=2))

    done = chronos("insight", "cost", "--top", "1")

    assert "EUR" not in done.out
    assert "note: 1 more; --top lists them" in done.out
    assert "note: no price list; set [prices]" in done.out
    assert "note: 2 runs were not measured and count as nothing" in done.out


def test_costs_by_something_else_are_refused(chronos: Chronos) -> None:
    done = chronos("insight", "cost", "--by", "colour")

    assert done.code == 2
    assert "none of job, owner, tag" in done.err


def test_what_came_of_a_change_is_told_with_its_gain() -> None:
    found = {
        "verdict": "revert", "metric": "runs_beside", "before": 8.0, "after": 6.5, "gain": 0.19,
        "low": -0.1, "high": 0.4, "runs": 30, "came": False, "at": "2026-05-04T12:00:00Z",
        "why": "not shown to be better within 30 runs",
    }  # fmt: skip

    assert measured(found) == [
        "runs beside: 6.5, before 8; gain +19% (-10% to +40%); 30 runs",
        "taken back: not shown to be better within 30 runs",
        "what was foretold did not come",
    ]
    assert measured(None) == []


def test_a_proposed_change_shows_what_changes_and_nothing_else() -> None:
    schedule = {"expressions": ["0 3 * * *"], "zone": "UTC", "jitter_s": 0}
    action = {"verb": "set_schedule", "before": schedule, "value": {**schedule, "expressions": ["5 3 * * *"]}}

    assert change(action) == ["- schedule.expressions: 0 3 * * *", "+ schedule.expressions: 5 3 * * *"]
    assert change({"verb": "set_timeout", "before": None, "value": 60_000}) == ["- timeout: none", "+ timeout: 1m 00s"]
