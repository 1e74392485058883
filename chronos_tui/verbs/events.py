"""`chronos events`: what happened, and with --follow what happens."""

import time
from collections import deque
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from chronos_tui.client import Client, calls
from chronos_tui.verbs import output
from chronos_tui.verbs.common import AsJson, connect, since_instant

POLL_SECONDS = 0.5
PAGE_EVENTS = 1000

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("events")
def events(
    context: typer.Context,
    *,
    since: Annotated[str, typer.Option(metavar="1h|ISO", help="From then on.")] = "1h",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the latest.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Print what happened, oldest first; as one JSON list, newest first."""
    client = connect(context)
    begin = since_instant(since, output.now())
    seen = deque(_known(client, begin), maxlen=limit)
    if as_json and not follow:
        output.page(reversed(seen))
        return
    show = output.stream if as_json else _line
    for event in seen:
        show(event)
    if follow:
        for event in _coming(client, begin, seen[-1]["id"] if seen else None):
            show(event)


def _known(client: Client, begin: str | None) -> Iterator[dict[str, Any]]:
    """Yield every event since `begin` that is already recorded."""
    after = None
    while items := client.json(calls.events(since=begin, after=after, limit=PAGE_EVENTS))["items"]:
        yield from items
        after = items[-1]["id"]
        if len(items) < PAGE_EVENTS:
            return


def _coming(client: Client, begin: str | None, after: int | None) -> Iterator[dict[str, Any]]:
    """Yield events after `after` as they are recorded, for ever."""
    while True:
        items = client.json(calls.events(since=begin, after=after, limit=PAGE_EVENTS))["items"]
        yield from items
        if items:
            after = items[-1]["id"]
        else:
            time.sleep(POLL_SECONDS)


def _line(event: dict[str, Any]) -> None:
    doc = event["doc"]
    subject = f"run {event['subject']} of {doc['job']}" if "job" in doc else str(doc.get("name") or event["subject"])
    did = str(doc.get("verb") or doc.get("state") or "")
    outcome = doc.get("outcome")
    note = f" ({outcome.replace('_', ' ')})" if isinstance(outcome, str) and outcome not in {"ok", did} else ""
    output.line("  ".join(part for part in (output.brief(event["at"]), event["kind"], subject, did + note) if part))
