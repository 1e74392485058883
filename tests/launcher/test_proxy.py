"""What the proxy of a gateway does with connections, by itself."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from scheduler_daemon.launcher.addresses import Address
from scheduler_daemon.launcher.proxy import Proxy


@contextmanager
def served(address: Address | None, *allowed: Address) -> Iterator[tuple[str, int]]:
    """A proxy that serves one listener, and where that is."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, selectors.DefaultSelector() as selector:
        Proxy(selector, {listener: address}, allowed, lambda _line: None)

        def serve() -> None:
            while not over.is_set() or len(selector.get_map()) > 1:  # what is open is closed as its ends are heard of
                for key, mask in selector.select(0.1):
                    key.data(mask)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()
        over.set()
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[Address]:
    """A server that answers one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            one, _ = listener.accept()
            with one:
                answer(one)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()


def all_of(one: socket.socket) -> bytes:
    return b"".join(iter(lambda: one.recv(65536), b""))


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_who_has_said_all_still_hears_all(size: int) -> None:
    def answer(one: socket.socket) -> None:
        all_of(one)
        one.sendall(b"x" * size)

    with server(answer) as there, served(there, there) as here, socket.create_connection(here, 20) as ours:
        ours.sendall(b"all I have to say")
        ours.shutdown(socket.SHUT_WR)

        assert len(all_of(ours)) == size


def test_an_address_that_the_kernel_has_no_sockets_for_ends_no_other_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OnlyIPv4(socket.socket):
        def __init__(self, family: int = -1, *more: int, **named: int) -> None:
            if family == socket.AF_INET6:
                raise OSError(97, "Address family not supported by protocol")
            super().__init__(family, *more, **named)

    monkeypatch.setattr(socket, "socket", OnlyIPv4)
    with server(lambda one: one.sendall(b"hello")) as there, served(None, there, ("::1", 80)) as here:
        said = []
        for host, port in (("[::1]", 80), there):
            with socket.create_connection(here, 20) as ours:
                ours.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
                said.append(all_of(ours).split(b"\r\n")[0])

    assert said == [b"HTTP/1.1 502 Bad Gateway", b"HTTP/1.1 200 Connection established"]
