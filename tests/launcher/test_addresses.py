"""Which address is which, where a box finds it, and whom a name may lead to."""

from __future__ import annotations

import ipaddress
import selectors
import socket
import threading
from typing import Any

import pytest

from scheduler_daemon.launcher import addresses, proxy
from scheduler_daemon.launcher.addresses import Address, Place


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("DB.Example.org.:5432", ("db.example.org", 5432)),
        ("10.0.0.5:80", ("10.0.0.5", 80)),
        ("[2001:DB8:0::1]:443", ("2001:db8::1", 443)),
        ("a:0", None),
        ("a:65536", None),
        ("a", None),
        ("a b:1", None),
        ("a@b:1", None),
        ("a:1\n", None),
        ("::1:80", None),
    ],
)
def test_an_address_is_read_in_one_spelling(text: str, address: Address | None) -> None:
    assert addresses.parse(text) == address


def test_each_listed_address_has_its_place_in_the_box() -> None:
    listed = [
        ("a.example", 443),
        ("b.example", 443),
        ("a.example", 80),
        ("localhost", 3128),
        ("10.0.0.5", 80),
        ("::1", 1),
    ]

    assert addresses.places(listed) == {
        Place("127.77.0.1", 443, added=False): ("a.example", 443),
        Place("127.77.0.2", 443, added=False): ("b.example", 443),
        Place("127.77.0.1", 80, added=False): ("a.example", 80),
        Place("127.0.0.1", 3128, added=False): ("localhost", 3128),
        Place("10.0.0.5", 80, added=True): ("10.0.0.5", 80),
    }
    assert addresses.hosts(listed).splitlines()[2:] == ["127.77.0.1 a.example", "127.77.0.2 b.example"]
    assert addresses.variables(listed)["http_proxy"] == "http://127.0.0.1:3129"


@pytest.mark.parametrize(
    ("host", "ip", "may"),
    [
        ("db.example", "10.0.0.5", True),
        ("db.example", "93.184.216.34", True),
        ("db.example", "2606:2800::1", True),
        ("db.example", "127.0.0.1", False),
        ("db.example", "::1", False),
        ("db.example", "::ffff:127.0.0.1", False),
        ("db.example", "169.254.169.254", False),
        ("db.example", "fe80::1", False),
        ("db.example", "0.0.0.0", False),
        ("db.example", "224.0.0.1", False),
        ("localhost", "127.0.0.1", True),
        ("169.254.169.254", "169.254.169.254", True),
    ],
)
def test_a_name_leads_to_no_address_that_is_this_machines_alone(host: str, ip: str, may: bool) -> None:
    assert addresses.may_lead_to(host, ipaddress.ip_address(ip)) is may


def test_a_name_that_comes_to_lead_to_the_metadata_service_is_refused_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its DNS is the one part that cannot be had here."""

    def answer(_host: bytes, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", port))]

    monkeypatch.setattr(proxy.socket, "getaddrinfo", answer)
    told: list[str] = []
    with selectors.DefaultSelector() as selector, socket.create_server(("127.0.0.1", 0)) as listener:
        served = proxy.Proxy(selector, {listener: None}, [("db.example", 80)], told.append)
        asking = threading.Thread(target=_ask, args=(listener.getsockname(), heard := []))
        asking.start()
        while asking.is_alive():
            for key, mask in selector.select(0.05):
                key.data(mask)
            served.tend()

    assert heard[0].startswith(b"HTTP/1.1 403 Forbidden")
    assert told == ["db.example:80 is refused: the name leads to 169.254.169.254, which must be listed itself"]


def _ask(where: Any, heard: list[bytes]) -> None:
    with socket.socket() as one:
        one.connect(where)
        one.sendall(b"CONNECT db.example:80 HTTP/1.1\r\n\r\n")
        heard.append(one.recv(4096))
