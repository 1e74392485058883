"""Bound what one request may make the daemon hold in memory."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 20 * 1024 * 1024
"""More than the largest crontab that is taken, and far more than the largest job."""


class BodyLimit:
    """Refuses a body beyond MOST_BYTES while it comes in, whatever length it claimed to have."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MOST_BYTES:
                raise HTTPException(413, f"the body is longer than {MOST_BYTES:,} bytes, the limit of a request")
            return message

        await self._app(scope, counted, send)
