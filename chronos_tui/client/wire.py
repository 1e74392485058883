"""The verbs' client: one connection, synchronous, on http.client, because a verb has 250 ms of CPU in all."""

import http.client
import json
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from chronos_tui.client.calls import Call
from chronos_tui.client.errors import Unreachable, refusal
from chronos_tui.settings import Address

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 120.0
"""A large import is one request; no other takes more than a moment."""


_PART_BYTES = 256 * 1024


class _UnixConnection(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_SECONDS)
        self.sock.connect(self._path)
        self.sock.settimeout(ANSWER_SECONDS)


class Client:
    """Speaks to the server at `address`. Connects at the first call and keeps the connection."""

    def __init__(self, address: Address, token: str = "") -> None:
        self.address = address
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection: http.client.HTTPConnection = (
            _UnixConnection(address.path)
            if address.path
            else http.client.HTTPConnection(address.host, address.port, timeout=ANSWER_SECONDS)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connection go; the next call makes another."""
        self._connection.close()

    def json(self, call: Call) -> Any:
        """Send `call` and return the answer's JSON, or None for an answer without a body.

        Raises ServerError when the server refuses, Unreachable when nobody answers.
        """
        body = self.raw(call)
        if not body:
            return None
        try:
            return json.loads(body)
        except ValueError:
            raise Unreachable(self.address, "what answers there is not a Chronos server") from None

    def raw(self, call: Call) -> bytes:
        """Send `call` and return the answer's body as it came. Raises as `json` does."""
        status, body = self._exchange(call)
        if status >= 400:
            raise refusal(status, body)
        return body

    def stream(self, call: Call) -> Iterator[bytes]:
        """Send `call` and yield the answer's body part by part, as it comes. Raises as `json` does."""
        try:
            self._connection.request(call.method, call.target, call.body, {**self._headers, **call.headers})
            response = self._connection.getresponse()
            if response.status >= 400:
                raise refusal(response.status, response.read())
            while part := response.read(_PART_BYTES):
                yield part
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(self.address, _why(error)) from error
        finally:
            self.close()

    def _exchange(self, call: Call) -> tuple[int, bytes]:
        """Send and receive. A kept connection that the server closed meanwhile is made anew, once, for reads."""
        kept = self._connection.sock is not None
        try:
            return self._once(call)
        except Unreachable:
            if not (kept and call.method == "GET"):
                raise
            return self._once(call)

    def _once(self, call: Call) -> tuple[int, bytes]:
        try:
            self._connection.request(call.method, call.target, call.body, {**self._headers, **call.headers})
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(self.address, _why(error)) from error
        except BaseException:
            self.close()
            raise


def _why(error: OSError | http.client.HTTPException) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such socket"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(error, http.client.HTTPException):
        return "what answers there is not a Chronos server"
    return (error.strerror or str(error) or type(error).__name__).lower()
