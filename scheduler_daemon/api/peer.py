"""Know who is at the other end of a Unix socket: the kernel says, and nobody can lie about it."""

import socket
import struct
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_UCRED = struct.Struct("3i")


class PeerProtocol(HttpToolsProtocol):
    """HTTP that puts pid, uid and gid of the peer into `scope["extensions"]["chronos.peer"]`."""

    _peer: dict[str, int] | None = None

    def connection_made(self, transport: Any) -> None:
        """Ask the kernel once for each connection."""
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family == socket.AF_UNIX:
            pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
            self._peer = {"pid": pid, "uid": uid, "gid": gid}

    def on_message_begin(self) -> None:
        """Give each request what the connection knows."""
        super().on_message_begin()
        if self._peer is not None:
            self.scope["extensions"] = {"chronos.peer": self._peer}  # type: ignore[dict-item]  # ASGI leaves extensions open
