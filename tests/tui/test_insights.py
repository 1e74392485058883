"""What was found is listed, stands beside its job, leads to its evidence, and is applied and undone by one key."""

from __future__ import annotations

from chronos_tui.screens.log import LogScreen
from tests.support.daemon import DaemonHandle
from tests.support.findings import found, judged
from tests.tui.conftest import Driven, driving
from tests.tui.test_app import add

RETRY = {"verb": "set_retry", "value": {"attempts": 2}}


async def test_an_insight_is_applied_and_undone_by_a_key_and_the_list_follows(daemon: DaemonHandle) -> None:
    add(daemon, "flaky", "exit 3")
    async with driving(daemon) as driven:
        await driven.press("7")
        await driven.until("insights 0", "Nothing was found")
        await found(daemon, "flaky", "a", title="a retry would mend it", action=RETRY)
        await found(daemon, "flaky", "b", title="it failed", severity="critical")
        await _until_listed(driven, "insights 2")
        rows = driven.text.splitlines()
        critical, proposed = (next(row for row in rows if word in row) for word in ("it failed", "would mend it"))
        assert rows.index(critical) < rows.index(proposed)

        await driven.press("j")
        await driven.until("- retries: none", "+ retries.attempts: 2", "A apply")
        await driven.press("A")
        await driven.until("applied by root", "u undo")
        assert daemon.json("job", "show", "flaky")["version"] == 2
        await driven.press("u")
        await driven.until("taken back")

    assert daemon.json("job", "show", "flaky")["version"] == 3
    (reverted,) = daemon.json("insights", "--state", "reverted")["items"]
    assert reverted["title"] == "a retry would mend it"


async def _until_listed(driven: Driven, words: str) -> None:
    await driven.until(words, seconds=30)


async def test_what_was_found_of_a_job_stands_beside_its_row_and_leads_to_the_line_of_the_log(
    daemon: DaemonHandle,
) -> None:
    add(daemon, "talker", "for n in $(seq 1 3000); do echo line $n; done")
    add(daemon, "zzz")
    run = daemon.json("run", "talker", "--wait")["id"]
    evidence = [{"kind": "log", "run_id": run, "first_line": 700, "last_line": 701, "text": "line 700\nline 701"}]
    await found(daemon, "talker", "a", title="it talks a lot", evidence=evidence)
    async with driving(daemon) as driven:
        await driven.until("1", "Insights")
        await driven.press("2")
        await driven.until("◆ some")
        assert "What was found" not in driven.text
        await driven.press("i")
        await driven.until("it talks a lot", "lines 700-701")
        await driven.press("j")
        await driven.until("Nothing was found of this job.")
        await driven.press("k")
        await driven.until("it talks a lot")
        await driven.press("tab", "j", "j", "j", "enter")
        await driven.until("line 700", lambda: isinstance(driven.app.screen, LogScreen))
        screen = driven.app.screen
        assert isinstance(screen, LogScreen)
        assert not screen.view.following


async def test_dismissing_asks_for_a_reason_and_escape_leaves_it_open(daemon: DaemonHandle) -> None:
    add(daemon, "slow")
    await found(daemon, "slow", "a")
    async with driving(daemon, (80, 24)) as driven:
        await driven.press("7")
        await driven.until("insights 1", "it is slow")
        await driven.press("X")
        await driven.until("Dismiss “it is slow”?")
        await driven.press("escape")
        await driven.until("insights 1")
        assert len(daemon.json("insights")["items"]) == 1
        await driven.press("X")
        await driven.type("known")
        await driven.press("enter")
        await driven.until("insights 0")

    (dismissed,) = daemon.json("insights", "--state", "dismissed")["items"]
    assert (dismissed["reason"], dismissed["decided_by"]) == ("known", "root")


async def test_a_figure_leads_to_its_window_and_the_run_that_shows_it(daemon: DaemonHandle) -> None:
    add(daemon, "slow")
    runs = [daemon.json("run", "slow", "--wait")["id"] for _ in range(3)]
    shown = {"kind": "metric", "metric": "memory", "value": 9 << 20, "unit": "bytes", "run_ids": [runs[1]]}
    await found(daemon, "slow", "a", title="it grows", evidence=[shown])
    async with driving(daemon, (80, 24)) as driven:
        await driven.press("7")
        await driven.until("it grows", "→ memory: 9.0 MiB")
        await driven.press("enter", "enter")
        await driven.until(f"Memory, last 10 minutes; run {runs[1]} at", "Runs 3")
        await driven.until(lambda: getattr(driven.app.focused, "cursor_key", None) == runs[1])
        await driven.press("enter")
        await driven.until(f"run {runs[1]}")
        await driven.press("escape", "escape")
        await driven.until("→ memory: 9.0 MiB")


async def test_what_was_odd_becomes_usual_by_a_key(daemon: DaemonHandle) -> None:
    add(daemon, "slow")
    await found(daemon, "slow", "a", model="watch")
    await found(daemon, "slow", "b", title="a limit is far off", severity="info")
    async with driving(daemon) as driven:
        await driven.press("7")
        await driven.until("insights 2", "b usual now")
        await driven.press("b")
        await driven.until("usual from now on", "insights 1", "limit is far off")
        await driven.press("b")
        await driven.until("Only an odd figure")

    (dismissed,) = await judged(daemon)
    assert (dismissed.state, dismissed.expected) == ("dismissed", True)


async def test_what_claude_proposes_is_asked_about_before_it_is_applied(daemon: DaemonHandle) -> None:
    add(daemon, "flaky", "exit 3")
    await found(daemon, "flaky", "a", source="claude", model="claude-x", action=RETRY)
    async with driving(daemon) as driven:
        await driven.press("7")
        await driven.until("insights 1", "Claude (claude-x)")
        await driven.press("A")
        await driven.until("Claude proposes it, from a log.", "+ retries.attempts: 2", "y yes")
        await driven.press("n", "A")
        await driven.until("y yes")
        assert daemon.json("job", "show", "flaky")["version"] == 1
        await driven.press("y")
        await driven.until("applied by root")

    assert daemon.json("job", "show", "flaky")["version"] == 2


async def test_a_narrow_screen_shows_the_list_or_the_insight(daemon: DaemonHandle) -> None:
    add(daemon, "slow")
    await found(daemon, "slow", "a", text="far slower than it was")
    async with driving(daemon, (50, 16)) as driven:
        await driven.press("7")
        await driven.until("it is slow")
        assert "far slower" not in driven.text
        await driven.press("enter")
        await driven.until("far slower than it was")
        await driven.press("escape")
        await driven.until("Severity")
        assert "far slower" not in driven.text


async def test_a_filter_finds_what_is_no_longer_open(daemon: DaemonHandle) -> None:
    add(daemon, "slow")
    await found(daemon, "slow", "a")
    (one,) = daemon.json("insights")["items"]
    daemon.json("insight", "dismiss", one["id"])
    async with driving(daemon) as driven:
        await driven.press("7")
        await driven.until("insights 0")
        await driven.press("slash")
        await driven.type("status:all")
        await driven.until("insights 1", "dismissed")
        await driven.type(" nothing")
        await driven.until("insights 0")
