"""The addresses a job may speak to, as its gateway sees them: what is the same, and where each is found in the box.

A name in the list leads, inside, to an address of the box's own loopback, and a listed address is one of the box
itself: so a program that knows nothing of proxies reaches what is allowed, and nothing else.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple

Address = tuple[str, int]
"""A host as it was listed, in small letters, and a port."""
Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_LISTED = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})\Z")
_OWN = "127.77.{}.{}"
_LOCAL = "localhost"
_PROXY_PORT = 3128


class Place(NamedTuple):
    """Where in the box an address listens. `added` where it is none of the loopback's own."""

    ip: str
    port: int
    added: bool


def parse(text: str) -> Address | None:
    """Read HOST:PORT; None if it is none."""
    found = _LISTED.match(text)
    if found is None or not 1 <= int(found[2]) <= 65535:
        return None
    host = found[1].lower().rstrip(".")
    one = literal(host)
    return (str(one) if one is not None else host), int(found[2])


def literal(host: str) -> Ip | None:
    """Return the address that a host is, None if it is a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def may_lead_to(host: str, ip: Ip) -> bool:
    """Tell whether a listed host may lead to this address.

    An address leads to itself. Whom a name leads to is for its DNS to say, but never to what is this machine's alone:
    its loopback, unless the name is localhost, and link-local addresses, where machines are told their secrets.
    """
    if literal(host) is not None:
        return True
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback:
        return host == _LOCAL
    return not (ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved)


def places(listed: Iterable[Address]) -> dict[Place, Address]:
    """Return where in the box each listed address is found. One of IPv6 is found by the proxy alone."""
    own: dict[str, str] = {}
    found: dict[Place, Address] = {}
    for host, port in listed:
        one = literal(host)
        if isinstance(one, ipaddress.IPv6Address):
            continue
        if one is not None:
            found[Place(str(one), port, not one.is_loopback)] = host, port
        elif host == _LOCAL:
            found[Place("127.0.0.1", port, added=False)] = host, port
        else:
            number = len(own) + 1
            ip = own.setdefault(host, _OWN.format(number // 256, number % 256))
            found[Place(ip, port, added=False)] = host, port
    return found


def proxy_port(listed: Iterable[Address]) -> int:
    """Return the port of the proxy on 127.0.0.1 in the box, one that no listed address has there."""
    taken = {place.port for place in places(listed)}
    return next(port for port in range(_PROXY_PORT, 65536) if port not in taken)


def hosts(listed: Iterable[Address]) -> str:
    """Return the /etc/hosts of the box."""
    names = {address[0]: place.ip for place, address in places(listed).items() if literal(address[0]) is None}
    lines = [f"{ip} {host}" for host, ip in names.items() if host != _LOCAL]
    return "".join(f"{line}\n" for line in ("127.0.0.1 localhost", "::1 localhost", *lines))


def variables(listed: Iterable[Address]) -> dict[str, str]:
    """Return the variables by which programs find the proxy; what listens in the box is reached without."""
    proxy = f"http://127.0.0.1:{proxy_port(listed)}"
    found = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"), proxy)
    return found | dict.fromkeys(("no_proxy", "NO_PROXY"), "localhost,127.0.0.1,::1")
