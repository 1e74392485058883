"""What the feed tells the app: events, how the daemon is heard, and when everything shown must be read again."""

from dataclasses import dataclass
from typing import Literal, Protocol

from scheduler_daemon.contract.events import Event

LinkKind = Literal["connecting", "live", "polling", "reconnecting", "stale"]


@dataclass(frozen=True)
class Link:
    """How the daemon is heard.

    `live`: every change arrives as it happens. `polling`: Redis is away and the API is asked every two seconds.
    `reconnecting`: the feed was lost a moment ago. `stale`: nobody answers, and what is shown may be old.
    """

    kind: LinkKind
    delay_ms: float | None = None
    """Of the last request, while live."""
    why: str = ""
    """One sentence, while not live."""


class Listener(Protocol):
    """Whoever hears."""

    def heard(self, event: Event) -> None:
        """Something changed. Called for every event, in the order of arrival; must be quick."""

    def link_changed(self, link: Link) -> None:
        """The daemon is heard in another way."""

    async def snapshot(self) -> None:
        """Read all that is shown again through the API: something may have been missed.

        Events that arrive meanwhile are newer or older by their version. Raises ServerError and Unreachable.
        """
