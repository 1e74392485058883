"""The launcher's clients: who may speak, what they said, and what waits to be sent. A slow client costs only itself."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable

from scheduler_daemon.launcher.protocol import MAX_BACKLOG, BadMessage, Lines, encode, peer_uid

_CHUNK = 1 << 20


class Client:
    """One connection. It hears events once it has subscribed."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.subscribed = False
        self.closed = False
        self.lines = Lines()
        self.waiting = bytearray()

    def say(self, line: bytes) -> None:
        """Put a line in the queue of this client; it is sent when the loop comes round."""
        self.waiting += line


class Clients:
    """All connections of a listening socket. `hear` is called with each line that arrives."""

    def __init__(
        self, listener: socket.socket, selector: selectors.BaseSelector, hear: Callable[[Client, bytes], None]
    ) -> None:
        self._listener = listener
        self._selector = selector
        self._hear = hear
        self._all: list[Client] = []
        self._allowed = {0, os.geteuid()}
        selector.register(listener, selectors.EVENT_READ, self._accept)

    def __len__(self) -> int:
        return len(self._all)

    def broadcast(self, line: bytes) -> None:
        """Queue a line for every subscriber."""
        for client in self._all:
            if client.subscribed:
                client.waiting += line

    def flush(self) -> None:
        """Send what can be sent now, and drop those who let too much pile up."""
        for client in [one for one in self._all if one.waiting]:
            self._send(client)

    def _accept(self, _mask: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if peer_uid(connection) not in self._allowed:
            connection.close()
            return
        connection.setblocking(False)
        client = Client(connection)
        self._all.append(client)
        self._selector.register(connection, selectors.EVENT_READ, lambda mask: self._ready(client, mask))

    def _ready(self, client: Client, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._send(client)
        if mask & selectors.EVENT_READ and not client.closed:
            self._receive(client)

    def _receive(self, client: Client) -> None:
        try:
            data = client.connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        try:
            lines = client.lines.feed(data)
        except BadMessage as error:
            client.say(encode({"event": "error", "reason": str(error)}))
            self._send(client)
            data, lines = b"", []
        for line in lines:
            self._hear(client, line)
        if not data:
            self._drop(client)

    def _send(self, client: Client) -> None:
        if client.closed:
            return
        had_backlog = bool(self._selector.get_key(client.connection).events & selectors.EVENT_WRITE)
        try:
            sent = client.connection.send(client.waiting) if client.waiting else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(client)
            return
        del client.waiting[:sent]
        if len(client.waiting) > MAX_BACKLOG:
            self._drop(client)
        elif bool(client.waiting) != had_backlog:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.waiting else 0)
            key = self._selector.get_key(client.connection)
            self._selector.modify(client.connection, events, key.data)

    def _drop(self, client: Client) -> None:
        if client.closed:
            return
        client.closed = True
        self._selector.unregister(client.connection)
        client.connection.close()
        self._all.remove(client)
