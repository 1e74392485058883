"""Do something in the network of a box: a child of ours goes there by the namespaces that the box's own process tells.

A socket stays in the network it was made in, whoever holds it: so one that listens in a box can be served from outside,
and nothing in the box needs to be trusted, or even to be there, for that.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Callable

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_NS_GET_USERNS = 0xB701
_MOST = 1 << 16
_NEW_ADDRESS, _REQUEST_ACK_CREATE = 20, 0x1 | 0x4 | 0x400
_NETLINK_ERROR, _IFA_LOCAL = 2, 2
_LOOPBACK = 1
"""The number of `lo` in every network."""

_libc = ctypes.CDLL(None, use_errno=True)

Told = tuple[bytes, list[int]]
"""Some text, and descriptors that come with it."""


def within(pid: int, network: int, act: Callable[[], Told]) -> Told:
    """Have a child do this in the network of a process, and return what it tells. Raises OSError.

    `network` is the inode of that network's namespace: the process must be in it, or it is another's pid by now.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        _go(pid, network, act, theirs)
    theirs.close()
    try:
        text, descriptors, _, _ = socket.recv_fds(ours, _MOST, 250)
    finally:
        ours.close()
        os.waitpid(child, 0)
    if text[:1] != b"+":
        for descriptor in descriptors:
            os.close(descriptor)
        raise OSError(0, text[1:].decode("utf-8", "replace") or "it ended before it could tell")
    return text[1:], list(descriptors)


def _go(pid: int, network: int, act: Callable[[], Told], telling: socket.socket) -> None:
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _enter(pid, network)
        text, descriptors = act()
        socket.send_fds(telling, [b"+" + text], descriptors)
    except BaseException as error:  # noqa: BLE001 - a forked child must never return into its parent's frames
        telling.send(f"-{error}".encode("utf-8", "replace")[:_MOST])
    finally:
        os._exit(0)


def _enter(pid: int, network: int) -> None:
    """Go where the process is: first to whom its network belongs, who may go into it."""
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if os.fstat(there).st_ino != network:
        raise OSError(0, "the box is gone")
    owner = fcntl.ioctl(there, _NS_GET_USERNS)
    for descriptor, kind in ((owner, _CLONE_NEWUSER), (there, _CLONE_NEWNET)):
        if _libc.setns(descriptor, kind) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"setns: {os.strerror(number)}")
        os.close(descriptor)


def add_address(address: str) -> None:
    """Make an IPv4 address one of this network's own, on its loopback. Raises OSError."""
    packed = socket.inet_aton(address)
    body = struct.pack("BBBBi", socket.AF_INET, 32, 0, 0, _LOOPBACK) + struct.pack("HH4s", 8, _IFA_LOCAL, packed)
    header = struct.pack("IHHII", 16 + len(body), _NEW_ADDRESS, _REQUEST_ACK_CREATE, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:  # 0: NETLINK_ROUTE
        link.send(header + body)
        answer = link.recv(4096)
    kind = struct.unpack_from("H", answer, 4)[0]
    number = -struct.unpack_from("i", answer, 16)[0] if kind == _NETLINK_ERROR else 0
    if number:
        raise OSError(number, f"address {address}: {os.strerror(number)}")
