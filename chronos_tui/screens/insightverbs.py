"""What one can do with an insight, wherever one stands on it. Which one that is, the screen says."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from chronos_tui.format import printable
from chronos_tui.insights import change
from chronos_tui.messages import OpenJob, OpenLog, OpenRun
from chronos_tui.screens.insightpanel import Target
from chronos_tui.screens.verbs import RowVerbs
from chronos_tui.widgets.confirm import AskReason, Confirm

if TYPE_CHECKING:
    from scheduler_daemon.contract.insights import Insight

INSIGHT_VERBS = (
    "insight.apply",
    "insight.undo",
    "insight.accept",
    "insight.dismiss",
    "insight.expected",
    "insight.snooze",
)
SHOWN_VERBS = tuple(each for each in INSIGHT_VERBS if each != "insight.expected")
"""In the footer; the panel names the rest where it means something."""
APPLIED = "applied; u takes it back"
SNOOZE_S = 86_400


class InsightVerbs(RowVerbs):
    """A screen that shows an insight to act on."""

    def insight_meant(self) -> Insight | None:
        """Return the insight a verb is about, None where none is shown."""
        return None

    def action_apply(self) -> None:
        if insight := self._one():
            if insight.action is None:
                self.tell("It proposes no change; v accepts it, X dismisses it")
            elif insight.source == "claude":
                self.act(partial(self._confirm, insight))
            else:
                self.act(partial(self._decide, insight, "apply", APPLIED, reason=""))

    async def _confirm(self, insight: Insight) -> None:
        """What a model made of a log, whoever wrote into that, is looked at once more."""
        lines = change(insight.model_dump(mode="json")["action"])
        asked = Confirm(f"Make this change of {insight.job}? Claude proposes it, from a log.", "\n".join(lines))
        if await self.app.push_screen_wait(asked):
            await self._decide(insight, "apply", APPLIED, reason="")

    def action_undo(self) -> None:
        if insight := self._one():
            self.act(partial(self._decide, insight, "undo", "taken back", reason=""))

    def action_accept(self) -> None:
        if insight := self._one():
            self.act(partial(self._decide, insight, "accept", "accepted", reason=""))

    def action_snooze(self) -> None:
        if insight := self._one():
            self.act(partial(self._decide, insight, "snooze", "put aside until tomorrow", for_s=SNOOZE_S))

    def action_reject(self) -> None:
        if insight := self._one():
            self.act(partial(self._dismiss, insight))

    def action_expected(self) -> None:
        if insight := self._one():
            if insight.model != "watch":
                self.tell("Only an odd figure can be usual from now on; X dismisses what was found")
            else:
                self.act(partial(self._decide, insight, "dismiss", "usual from now on", reason="", expected=True))

    async def _dismiss(self, insight: Insight) -> None:
        reason = await self.app.push_screen_wait(AskReason(f"Dismiss “{insight.title}”?"))
        if reason is not None:
            await self._decide(insight, "dismiss", "dismissed", reason=reason)

    async def _decide(
        self, insight: Insight, verb: str, done: str, *, reason: str | None = None, for_s: int | None = None,
        expected: bool | None = None,
    ) -> None:  # fmt: skip
        work = self.desk.client.decide_insight(insight.id, verb, reason=reason, for_s=for_s, expected=expected)
        saved = await self.said(work, f"{printable(insight.title)}: {done}")
        if saved is not None:
            self.desk.board.learn_insight(saved)

    def follow(self, target: Target | None) -> None:
        """Go to what a line of evidence shows."""
        if target is None:
            return
        if target.window is not None:
            self.post_message(OpenJob(target.job_id, target.window))
        elif target.line is None:
            self.post_message(OpenRun(target.run))
        else:
            self.post_message(OpenLog(target.run, line=target.line))

    def _one(self) -> Insight | None:
        insight = self.insight_meant()
        if insight is None or not self.desk.ready:
            self.tell("There is no insight here")
            return None
        return self.desk.board.insights.get(insight.id, insight)
