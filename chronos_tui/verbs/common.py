"""What most verbs need: the settings of the call, a connection, the flags they share."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from chronos_tui.client import Client
from chronos_tui.format import parse_duration_ms
from chronos_tui.settings import Settings
from chronos_tui.verbs.failure import wrong_use

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="At most so many.")]
Cursor = Annotated[str | None, typer.Option(help="Go on from the `next` of an earlier page.")]
Search = Annotated[str | None, typer.Option(help="Only those matching this text.")]
JobRef = Annotated[str, typer.Argument(metavar="JOB", help="A job's name or id.")]
RunId = Annotated[int, typer.Argument(metavar="RUN", min=1, help="A run's number.")]


def settings(context: typer.Context) -> Settings:
    """Return the settings that the program began with."""
    found = context.find_object(Settings)
    if found is None:  # pragma: no cover - the callback of the program puts them there
        raise RuntimeError("the settings were not loaded")
    return found


def connect(context: typer.Context) -> Client:
    """Return a client for the server in the settings; it connects when first used."""
    found = settings(context)
    client = Client(found.server, found.token)
    context.call_on_close(client.close)
    return client


def since_instant(text: str | None, now: datetime) -> str | None:
    """Read `--since`: a length such as `2d`, or an ISO 8601 instant (local time where it has no offset)."""
    if text is None:
        return None
    at = _iso(text)
    if at is None:
        try:
            at = now - timedelta(milliseconds=parse_duration_ms(text))
        except (ValueError, OverflowError):
            raise wrong_use(
                f"--since {text!r} is neither a length such as 30m or 2d nor a time such as 2026-05-01T08:00"
            ) from None
    return at.astimezone(UTC).isoformat()


def iso_instant(flag: str, text: str | None) -> str | None:
    """Read a flag that takes an ISO 8601 instant; without an offset it is local time."""
    if text is None:
        return None
    at = _iso(text)
    if at is None:
        raise wrong_use(f"{flag} {text!r} is not a time; write it as 2026-05-01T08:00 or 2026-05-01T08:00+02:00")
    return at.astimezone(UTC).isoformat()


def _iso(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone() if at.tzinfo is None else at
    except (ValueError, OverflowError):
        return None
