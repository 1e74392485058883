"""The gateway of a box whose job may speak to listed addresses: a process of its own that is the only way out.

It is begun before the box and waits for it to be made, has listeners made inside, lets the command begin, and serves
them from outside. It runs as the job's account, in the job's control groups, and goes with the box: what it does for
the job counts as the job's, an end of the job reaches it, and nobody else's box leads to it.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from scheduler_daemon.launcher import addresses, cgroups, kernel, netns
from scheduler_daemon.launcher.addresses import Address
from scheduler_daemon.launcher.another import Account, give_up_root
from scheduler_daemon.launcher.command import Unstartable, tag
from scheduler_daemon.launcher.controllers import Groups
from scheduler_daemon.launcher.protocol import Message
from scheduler_daemon.launcher.proxy import Proxy

PROCESSES = 3
"""Processes and threads of a gateway, at most."""
_MOST_FILES = 512
_LONGEST_INFO = 65_536
_TEND_EVERY = 1.0
_BACKLOG = 32


class Lead(NamedTuple):
    """What a box needs that has a gateway: words for bubblewrap, variables, and the text of its /etc/hosts."""

    words: Sequence[str]
    variables: dict[str, str]
    hosts: str


def wanted(box: Message) -> bool:
    """Tell whether a box is to have a gateway."""
    return isinstance(box["network"], list)


def open_for(
    box: Message, stderr: int, who: Account | None, groups: Groups, number: int | None, keep: list[int]
) -> Lead:
    """Begin the gateway of a box. Adds to `keep` the descriptors that bubblewrap needs. Raises Unstartable, OSError."""
    listed = [address for text in box["network"] if (address := addresses.parse(text)) is not None]
    if len(listed) != len(box["network"]):
        raise Unstartable("box: an address of its network is none; write HOST:PORT")
    heard, told = os.pipe2(os.O_CLOEXEC)
    blocking, release = os.pipe2(os.O_CLOEXEC)
    keep += [told, blocking]
    try:
        if os.fork() == 0:
            _live(listed, (heard, release, stderr), lambda: _become(who, groups, number))
    finally:
        os.close(heard)
        os.close(release)
    words = ("--info-fd", str(told), "--block-fd", str(blocking))
    return Lead(words, addresses.variables(listed), addresses.hosts(listed))


def _live(listed: Sequence[Address], ends: tuple[int, int, int], become: Callable[[], None]) -> NoReturn:
    """In the newborn. Never returns into its parent's frames."""
    heard, release, stderr = ends

    def tell(what: str) -> None:
        shown = "".join(character if " " <= character <= "~" else "?" for character in what)[:400]
        os.write(stderr, f"::warning network: {shown}\n".encode())

    try:
        _leave_all_but(ends)
        box = _hear(heard)
        if box is not None:
            _serve(listed, box, release, become, tell)
    except BaseException as error:  # noqa: BLE001 - see above
        tell(f"the gateway cannot go on, so there is no network: {error}")
    finally:
        os._exit(0)


class _Box(NamedTuple):
    pid: int
    network: int
    pinned: int
    """A pidfd of its first process."""


def _leave_all_but(ends: tuple[int, int, int]) -> None:
    """Keep nothing of who forked us but these."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)  # it goes with the box, which may still speak when it is asked to go
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    before = 0
    for descriptor in (*sorted(ends), os.sysconf("SC_OPEN_MAX")):
        os.closerange(before, descriptor)
        before = descriptor + 1
    nothing = os.open(os.devnull, os.O_RDWR)
    for place in range(3):
        if place not in ends and place != nothing:
            os.dup2(nothing, place)
    os.chdir("/")
    kernel.be_called("chronos-gateway")


def _hear(heard: int) -> _Box | None:
    """Wait for the box. None if none was made."""
    text = b""
    while len(text) < _LONGEST_INFO and (part := os.read(heard, 4096)):
        text += part
    os.close(heard)
    if not text:
        return None
    info = json.loads(text)
    return _Box(info["child-pid"], info["net-namespace"], os.pidfd_open(info["child-pid"]))


def _become(who: Account | None, groups: Groups, number: int | None) -> None:
    """Be the job's, in all that counts."""
    if number is not None:
        tag(number)
    for path in groups.values():
        cgroups.join(path)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(_MOST_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if who is not None:
        give_up_root(who)


def _serve(
    listed: Sequence[Address], box: _Box, release: int, become: Callable[[], None], tell: Callable[[str], None]
) -> None:
    """Open the way, let the command begin, and serve until the box is gone."""
    leads = {(place.ip, place.port): address for place, address in addresses.places(listed).items()}
    own = ("127.0.0.1", addresses.proxy_port(listed))
    try:
        _, descriptors = netns.within(box.pid, box.network, lambda: (b"", _listeners(listed, own)))
        become()
    except BaseException:
        signal.pidfd_send_signal(box.pinned, signal.SIGKILL)  # the command must not begin
        raise
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    listeners = {one: leads.get(one.getsockname()) for one in sockets}
    with selectors.DefaultSelector() as selector:
        proxy = Proxy(selector, listeners, listed, tell)
        selector.register(box.pinned, selectors.EVENT_READ, lambda _mask: os._exit(0))
        os.write(release, b"1")
        os.close(release)
        while True:
            for key, mask in selector.select(_TEND_EVERY if proxy.hurried else None):
                key.data(mask)
            proxy.tend()


def _listeners(listed: Sequence[Address], own: tuple[str, int]) -> list[int]:
    """In the network of the box: return what listens there."""
    found = []
    for place in addresses.places(listed):
        if place.added:
            netns.add_address(place.ip)
        found.append(_listener(place.ip, place.port))
    return [*found, _listener(*own)]


def _listener(ip: str, port: int) -> int:
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((ip, port))
    one.listen(_BACKLOG)
    return one.detach()
