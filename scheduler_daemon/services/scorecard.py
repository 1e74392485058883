"""Hold insights to account: how sure an engine must be, which kinds are muted, and how good each kind is."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.insights import Finding, InsightState, KindCard, Verdict
from scheduler_daemon.domain.scorecard import Outcome, Said, Word, asked_for, card
from scheduler_daemon.storage import insights

LOOKED_BACK = timedelta(days=183)
_DAY = timedelta(days=1)
_WORDS: dict[str, Word] = {
    InsightState.ACCEPTED: "accepted",
    InsightState.APPLIED: "applied",
    InsightState.DISMISSED: "dismissed",
    InsightState.SNOOZED: "snoozed",
    InsightState.REVERTED: "reverted",
}


def cards(db: Connection, now: datetime, kinds: Collection[str] | None = None) -> list[KindCard]:
    """Return how good kinds of insights are, by kind; all of the last half year, or these."""
    found: dict[str, list[Outcome]] = defaultdict(list)
    for row in insights.outcomes(db, now - LOOKED_BACK, kinds):
        found[row.kind].append(_outcome(row))
    return [card(kind, outcomes) for kind, outcomes in sorted(found.items())]


def shown(db: Connection, found: Sequence[Finding], now: datetime) -> list[bool]:
    """Tell of each finding whether it is to be shown: sure enough after what people said, and of no muted kind."""
    kinds = {one.kind for one in found}
    muted = {each.kind for each in cards(db, now, kinds) if each.muted}
    words: dict[tuple[str | None, str], list[Said]] = defaultdict(list)
    for row in insights.said(db, kinds, {one.job_id for one in found}, now - LOOKED_BACK):
        if row.state in _WORDS:
            words[row.job_id, row.kind].append(Said(_WORDS[row.state], (now - row.decided_at) / _DAY))
    return [
        one.kind not in muted and one.confidence >= asked_for(words.get((one.job_id, one.kind), ())) for one in found
    ]


def _outcome(row: Any) -> Outcome:
    measured = row.measured or {}
    verdict = measured.get("verdict")
    return Outcome(
        word=_WORDS.get(row.state),
        foretold=row.confidence if measured.get("came") is not None else None,
        came=measured.get("came"),
        gain=measured.get("gain"),
        kept=None if verdict in {None, Verdict.WAIT} else verdict == Verdict.KEEP,
    )
