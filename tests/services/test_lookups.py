"""Facts of the fleet are told by numbers and names, to each of what they may see; questions are answered from them."""

import json
from datetime import timedelta
from typing import Any

import pytest

from scheduler_daemon.contract.claude import Purpose
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.errors import Invalid, NotFound
from scheduler_daemon.insights import prompts
from scheduler_daemon.insights.lookups import MOST_CHARS, ROUNDS, offered
from scheduler_daemon.services import claude, fleet_words, lookups
from scheduler_daemon.services.claude import Desk
from scheduler_daemon.settings import ClaudeSettings
from scheduler_daemon.storage.session import Database
from tests.support.world import MINUTE, NOON, add_job, end, fire

LATER = NOON + 3 * MINUTE
DESK = Desk(ClaudeSettings(), has_key=True)
SECRET = "hunter2-the-command"
NO_REPLY = {"answer": None, "detail": "", "request_id": "", "input_tokens": 0, "output_tokens": 0}


@pytest.fixture
async def fleet(database: Database, admin: Actor, ada: Actor) -> Database:
    """Root's backup has failed once in two runs; ada's report never ran."""

    def work(db: Any) -> None:
        backup = add_job(db, admin, "backup", command=f"false {SECRET}", description=SECRET)
        add_job(db, ada, "report", schedule="0 9 * * *", user="ada")
        for number, code in enumerate((3, 0), start=1):
            started = fire(db, backup, NOON + number * MINUTE).starts
            end(db, *(start.execution_id for start in started), at=NOON + (number + 0.5) * MINUTE, exit_code=code)

    await database.write(work)
    return database


async def look_up(database: Database, actor: Actor, tool: str, **given: Any) -> lookups.Facts:
    return await database.read(lambda db: lookups.look_up(db, actor, tool, given, LATER))


async def test_every_tool_tells_facts_and_nothing_that_somebody_wrote(fleet: Database, admin: Actor) -> None:
    told = {
        "list_jobs": await look_up(fleet, admin, "list_jobs"),
        "show_job": await look_up(fleet, admin, "show_job", name="backup"),
        "list_runs": await look_up(fleet, admin, "list_runs", state="failed"),
        "count_runs": await look_up(fleet, admin, "count_runs"),
        "list_fires": await look_up(fleet, admin, "list_fires"),
        "list_insights": await look_up(fleet, admin, "list_insights"),
    }

    assert told["list_jobs"][0] == {"jobs_in_all": 2}
    assert [fact["job"] for fact in told["list_jobs"][1:]] == ["backup", "report"]
    assert (told["show_job"][0]["job"], len(told["show_job"])) == ("backup", 3)
    assert [(fact["job"], fact["exit_code"]) for fact in told["list_runs"]] == [("backup", 3)]
    assert [(fact["job"], fact["runs"], fact["failed"]) for fact in told["count_runs"]] == [("backup", 2, 1)]
    assert {fact["job"] for fact in told["list_fires"]} == {"backup", "report"}
    assert told["list_insights"] == []
    assert SECRET not in str(told)


async def test_nobody_looks_up_what_they_may_not_see(fleet: Database, ada: Actor) -> None:
    assert [fact.get("job") for fact in await look_up(fleet, ada, "list_jobs")] == [None, "report"]
    assert await look_up(fleet, ada, "count_runs") == []
    assert await look_up(fleet, ada, "list_runs") == []
    assert [fact["job"] for fact in await look_up(fleet, ada, "list_fires")] == ["report"]
    with pytest.raises(NotFound):
        await look_up(fleet, ada, "show_job", name="backup")
    with pytest.raises(Invalid, match="which only read"):
        await look_up(fleet, ada, "run_job", name="report")


async def test_claude_looks_up_with_the_rights_of_who_asked_and_only_while_it_is_asked(
    fleet: Database, ada: Actor
) -> None:
    def look(call: int, name: str = "show_job", given: Any = None) -> Any:
        return fleet.read(lambda db: claude.look_up(db, call, name, given or {"name": "report"}, LATER))

    call = await fleet.write(lambda db: claude.ask_about_fleet(db, ada, "what?", DESK, NOON))
    assert call is not None
    early = await look(call.id)
    taken = await fleet.write(lambda db: claude.claim(db, DESK, NOON))
    seen = await look(call.id)
    unseen = await look(call.id, given={"name": "backup"})
    other = await fleet.write(
        lambda db: claude.ask(db, ada, Purpose.FAILURE, "1", prompts.explain_failure({}, [(1, "x")], "aa"), DESK, NOON)
    )
    await fleet.write(lambda db: claude.claim(db, DESK, NOON))

    assert taken is not None
    assert taken[1].lookups
    assert seen[0]["job"] == "report"
    assert "there is no job" in unseen
    assert early == await look(other.id) == "nothing may be looked up for this question"


async def test_a_question_with_lookups_sets_aside_what_all_its_rounds_may_cost(fleet: Database, ada: Actor) -> None:
    await fleet.write(lambda db: claude.ask_about_fleet(db, ada, "what?", DESK, NOON))
    taken = await fleet.write(lambda db: claude.claim(db, DESK, NOON))
    assert taken is not None
    prompt = taken[1]
    asked = len(prompt.system + prompt.content + json.dumps(offered()))
    resaid = sum(range(ROUNDS + 1)) * prompt.max_tokens

    budget = await fleet.read(lambda db: claude.budget(db, ada, DESK, NOON))

    sent = ((ROUNDS + 1) * asked + ROUNDS * MOST_CHARS) / claude.CHARS_A_TOKEN + resaid
    assert sent + (ROUNDS + 1) * prompt.max_tokens <= budget.my_tokens < 80_000


async def test_nobody_is_answered_from_what_another_asked(fleet: Database, admin: Actor, ada: Actor) -> None:
    fact = {"job": "backup", "state": "failed"}
    answer = {"text": "backup fails", "facts": [3], "known": True}
    reply = {"outcome": "answered", "answer": answer, "detail": "", "request_id": "", "facts": (fact,)}
    prompt = prompts.answer_about_fleet([{"jobs": 1}], "what fails?", "aa")

    def ask(actor: Actor) -> Any:
        return fleet.write(lambda db: claude.ask(db, actor, Purpose.FLEET, "", prompt, DESK, NOON))

    first = await ask(admin)
    waiting = await ask(ada)
    await fleet.write(lambda db: claude.claim(db, DESK, NOON))
    await fleet.write(
        lambda db: claude.settle(db, first.id, {**reply, "input_tokens": 1, "output_tokens": 1}, DESK, LATER)
    )
    await fleet.write(lambda db: claude.settle(db, waiting.id, {**NO_REPLY, "outcome": "cut"}, DESK, LATER))
    later = await ask(ada)

    assert waiting.actor == later.actor == "ada"
    assert (later.state, later.answer) == ("queued", None)


async def test_a_name_that_no_job_can_have_is_refused_and_not_looked_for(fleet: Database, admin: Actor) -> None:
    with pytest.raises(Invalid, match="name"):
        await look_up(fleet, admin, "show_job", name="back\0up")


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("why does backup fail?", ["backup: Every minute", "of the last 2, 1 failed"]),
        ("what failed this week?", ["No job's last run failed.", "backup 1 of 2 runs"]),
        ("what comes next?", ["Next: backup at 2026-"]),
        ("which insights are open?", ["No insight is open."]),
        ("what needs the most cpu?", ["Processor time of the last 7 days: backup"]),
        ("how is it going", ["There are 2 jobs, 0 of them paused", "1 failed, 0 missed", "Next: "]),
    ],
)
async def test_a_question_is_answered_in_our_own_words(
    fleet: Database, admin: Actor, question: str, told: list[str]
) -> None:
    text = await fleet.read(lambda db: fleet_words.answer(db, admin, question, LATER))

    assert [each for each in told if each not in text] == []


async def test_our_words_tell_nobody_of_what_they_may_not_see(fleet: Database, vic: Actor) -> None:
    text = await fleet.read(lambda db: fleet_words.answer(db, vic, "how is backup", LATER + timedelta(days=1)))

    assert "Every minute" not in text
    assert "There are 0 jobs" in text
