"""Pass connections from a box on to the addresses its job may speak to, and to no others. One thread, nobody waits.

Some listeners lead to one address each; one takes `CONNECT host:port` and plain requests for http:// addresses. What
is not listed is answered with 403 and told. All is bounded: connections, what is buffered of each, and what is told.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from functools import partial

from scheduler_daemon.launcher.addresses import Address, literal, may_lead_to, parse

MOST_CONNECTIONS = 64
_BUFFER = 65_536
"""Bytes kept in each direction while the other side does not take them."""
_LONGEST_HEAD = 16_384
_PATIENCE = 30.0
"""Seconds for a head, for finding an address, and for a connection to come about."""
_MOST_TRIED = 4
_MOST_TOLD = 20
_REQUEST = re.compile(rb"([A-Z]{1,20}) ([\x21-\x7e]{1,8000}) (HTTP/1\.[01])\Z")
_TO = re.compile(r"http://([^/?#@\\]{1,300})([/?][^#]*)?(?:#.*)?\Z")
_HOP = (b"connection:", b"proxy-connection:", b"proxy-authorization:", b"keep-alive:")

_Found = list[tuple[socket.AddressFamily, tuple[str, int]]]


class Resolver(threading.Thread):
    """Finds the addresses of names, one after another, beside the loop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._wanted: deque[tuple[Connection, Address]] = deque()
        self._there = threading.Semaphore(0)
        self.answers: deque[tuple[Connection, _Found]] = deque()
        self.woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def ask(self, connection: Connection, address: Address) -> None:
        """Find where this address lies; the answer comes when `woken` can be read from."""
        self._wanted.append((connection, address))
        self._there.release()

    def run(self) -> None:
        while True:
            self._there.acquire()
            connection, (host, port) = self._wanted.popleft()
            if connection.over:
                continue
            try:
                found = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)  # text is another codec's
            except OSError:
                found = []
            answer: _Found = [(family, (str(where[0]), port)) for family, _, _, _, where in found]
            self.answers.append((connection, answer))
            os.write(self._wake, b"1")


class Connection:
    """One connection of the job's and, once it is let through, ours to where it leads."""

    def __init__(self, inner: socket.socket, leads_to: Address | None) -> None:
        """`leads_to` is None for one that says itself where it is to lead."""
        self.inner, self.leads_to = inner, leads_to
        self.outer: socket.socket | None = None
        self.head = bytearray()
        self.until: float | None = time.monotonic() + _PATIENCE
        """By when it must have come about."""
        self.answer = b""
        """What the job is told once it has."""
        self.tries: _Found = []
        self.ahead: dict[socket.socket, bytearray] = {}
        """What each side is still to be sent."""
        self.ended: set[socket.socket] = set()
        """The sides that will say nothing more."""
        self.told_end: set[socket.socket] = set()
        """The sides that know that nothing more comes."""
        self.over = False

    def other(self, side: socket.socket) -> socket.socket:
        """Return the side opposite."""
        assert self.outer is not None
        return self.outer if side is self.inner else self.inner


class Proxy:
    """Serves the listeners of one box."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        listeners: Mapping[socket.socket, Address | None],
        allowed: Collection[Address],
        tell: Callable[[str], None],
    ) -> None:
        """`tell` hears of what was refused, a line each. Listeners with no address are the proxy's."""
        self._selector = selector
        self._listeners = listeners
        self._allowed = frozenset(allowed)
        self._tell = tell
        self._told: set[str] = set()
        self._open: set[Connection] = set()
        self._listening = False
        self._resolver: Resolver | None = None
        for listener in listeners:
            listener.setblocking(False)
        self._listen()

    @property
    def hurried(self) -> bool:
        """Whether a connection has yet to come about, within its time."""
        return any(one.until is not None for one in self._open)

    def tend(self) -> None:
        """Give up what has taken too long; to be called once a second or so, while `hurried`."""
        now = time.monotonic()
        for connection in [one for one in self._open if one.until is not None and one.until < now]:
            self._fail(connection, "504 Gateway Timeout", "took too long")

    def _listen(self) -> None:
        """Take new connections as long as there is room; others wait in the kernel, which refuses beyond its own."""
        wanted = len(self._open) < MOST_CONNECTIONS
        if wanted == self._listening:
            return
        self._listening = wanted
        for listener, leads_to in self._listeners.items():
            if wanted:
                self._selector.register(listener, selectors.EVENT_READ, partial(self._accept, listener, leads_to))
            else:
                self._selector.unregister(listener)

    def _accept(self, listener: socket.socket, leads_to: Address | None, _mask: int) -> None:
        if len(self._open) >= MOST_CONNECTIONS:
            return
        try:
            inner, _ = listener.accept()
        except OSError:
            return
        inner.setblocking(False)
        connection = Connection(inner, leads_to)
        self._open.add(connection)
        self._listen()
        if leads_to is None:
            self._watch(inner, selectors.EVENT_READ, lambda _mask: self._hear_head(connection))
        else:
            self._find(connection, leads_to)

    def _hear_head(self, connection: Connection) -> None:
        try:
            data = connection.inner.recv(_LONGEST_HEAD)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        connection.head += data
        end = connection.head.find(b"\r\n\r\n")
        if end >= 0:
            self._selector.unregister(connection.inner)
            self._take_head(connection, bytes(connection.head[:end]), bytes(connection.head[end + 4 :]))
        elif len(connection.head) > _LONGEST_HEAD:
            self._fail(connection, "431 Request Header Fields Too Large", "")

    def _take_head(self, connection: Connection, head: bytes, rest: bytes) -> None:
        lines = head.split(b"\r\n")
        asked = _REQUEST.match(lines[0])
        if asked is None:
            self._fail(connection, "400 Bad Request", "")
            return
        method, target = asked[1], asked[2].decode("ascii")
        if method == b"CONNECT":
            text, connection.answer = target, b"HTTP/1.1 200 Connection established\r\n\r\n"
            connection.head = bytearray(rest)
        else:
            found = _TO.match(target)
            if found is None:
                self._fail(connection, "400 Bad Request", "")
                return
            text = found[1] if re.search(r":[0-9]+\Z", found[1]) else f"{found[1]}:80"
            path = found[2] or "/"
            first = method + b" " + (path if path.startswith("/") else f"/{path}").encode() + b" " + asked[3]
            kept = [line for line in lines[1:] if not line.lower().startswith(_HOP)]
            connection.head = bytearray(b"\r\n".join([first, *kept, b"Connection: close", b"", rest]))
        address = parse(text)
        if address is None or address not in self._allowed:
            self._refuse(connection, text)
            return
        self._find(connection, address)

    def _refuse(self, connection: Connection, text: str) -> None:
        self._say(f"{text} is refused: it is not among the addresses that the job may speak to")
        self._fail(connection, "403 Forbidden", "it is not among the addresses that this job may speak to")

    def _say(self, what: str) -> None:
        """Tell of each thing once, and of so many at most."""
        if what in self._told or len(self._told) > _MOST_TOLD:
            return
        self._told.add(what)
        self._tell(what if len(self._told) <= _MOST_TOLD else "there was more like this, which is not told")

    def _find(self, connection: Connection, address: Address) -> None:
        connection.leads_to = address
        one = literal(address[0])
        if one is not None:
            family = socket.AF_INET if isinstance(one, ipaddress.IPv4Address) else socket.AF_INET6
            connection.tries = [(family, (str(one), address[1]))]
            self._try(connection)
            return
        if self._resolver is None:
            self._resolver = Resolver()
            self._resolver.start()
            self._selector.register(self._resolver.woken, selectors.EVENT_READ, self._hear_resolver)
        self._resolver.ask(connection, address)

    def _hear_resolver(self, _mask: int) -> None:
        assert self._resolver is not None
        os.read(self._resolver.woken, 4096)
        while self._resolver.answers:
            connection, found = self._resolver.answers.popleft()
            if connection.over or connection.leads_to is None:
                continue
            host, port = connection.leads_to
            may = [one for one in found if may_lead_to(host, ipaddress.ip_address(one[1][0].partition("%")[0]))]
            if found and not may:
                self._say(f"{host}:{port} is refused: the name leads to {found[0][1][0]}, which must be listed itself")
                self._fail(connection, "403 Forbidden", "the name leads to an address that must be listed itself")
                continue
            connection.tries = may[:_MOST_TRIED]
            self._try(connection)

    def _try(self, connection: Connection) -> None:
        """Begin to connect to the next place."""
        while connection.tries:
            family, where = connection.tries.pop(0)
            try:
                outer = socket.socket(family, socket.SOCK_STREAM)
            except OSError:  # a kernel without IPv6 finds its addresses all the same
                continue
            outer.setblocking(False)
            try:
                outer.connect(where)
            except BlockingIOError:
                pass
            except OSError:
                outer.close()
                continue
            connection.outer = outer
            self._watch(outer, selectors.EVENT_WRITE, lambda _mask: self._connected(connection))
            return
        self._fail(connection, "502 Bad Gateway", "it does not answer")

    def _connected(self, connection: Connection) -> None:
        outer = connection.outer
        assert outer is not None
        if outer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._selector.unregister(outer)
            outer.close()
            connection.outer = None
            self._try(connection)
            return
        connection.until = None
        connection.ahead = {connection.inner: bytearray(connection.answer), outer: connection.head}
        self._selector.unregister(outer)
        self._heed(connection)

    def _heed(self, connection: Connection) -> None:
        """Watch both sides for what each can do now."""
        for side in (connection.inner, connection.other(connection.inner)):
            room = len(connection.ahead[connection.other(side)]) < _BUFFER
            mask = selectors.EVENT_READ if side not in connection.ended and room else 0
            mask |= selectors.EVENT_WRITE if connection.ahead[side] else 0
            self._watch(side, mask, partial(self._pump, connection, side))

    def _pump(self, connection: Connection, side: socket.socket, mask: int) -> None:
        other = connection.other(side)
        try:
            if mask & selectors.EVENT_WRITE:
                sent = side.send(connection.ahead[side])
                del connection.ahead[side][:sent]
            if mask & selectors.EVENT_READ:
                data = side.recv(_BUFFER - len(connection.ahead[other]) or 1)
                connection.ahead[other] += data
                if not data:
                    connection.ended.add(side)
            for one in (side, other):
                over = connection.other(one) in connection.ended and not connection.ahead[one]
                if over and one not in connection.told_end:  # a second time is an error once its own end has come
                    one.shutdown(socket.SHUT_WR)
                    connection.told_end.add(one)
        except BlockingIOError:
            pass
        except OSError:
            self._close(connection)
            return
        if len(connection.ended) == 2 and not any(connection.ahead.values()):
            self._close(connection)
        else:
            self._heed(connection)

    def _fail(self, connection: Connection, status: str, why: str) -> None:
        """End what cannot come about; who asked the proxy is told why."""
        if connection.outer is None and (connection.head or connection.answer):
            body = f"chronos: {why or status}\n".encode()
            head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}"
            with contextlib.suppress(OSError):
                connection.inner.send(head.encode() + b"\r\n\r\n" + body)
        self._close(connection)

    def _watch(self, side: socket.socket, mask: int, act: Callable[[int], None]) -> None:
        known = side in self._selector.get_map()
        if mask and known:
            self._selector.modify(side, mask, act)
        elif mask:
            self._selector.register(side, mask, act)
        elif known:
            self._selector.unregister(side)

    def _close(self, connection: Connection) -> None:
        if connection.over:
            return
        connection.over = True
        for side in (connection.inner, connection.outer):
            if side is not None:
                self._watch(side, 0, lambda _mask: None)
                side.close()
        self._open.discard(connection)
        self._listen()
