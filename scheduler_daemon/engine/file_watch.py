"""Hear from the kernel (inotify) that a file grew, once for each time it is armed.

A watch that fires once costs a busy writer one event, not one for each of its writes, and its queue cannot overflow.
Who is not armed (the file is not there yet, the kernel's limit is reached) must be looked at by the caller.
"""

import ctypes
import os
import struct
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_IN_MODIFY = 0x2
_IN_ONESHOT = 0x80000000
_EVENT = struct.Struct("iIII")
_LIBC = ctypes.CDLL(None, use_errno=True)


class FileWatch(Generic[K]):
    """Watches files, each under a key of the caller's. Use from one thread at a time."""

    def __init__(self) -> None:
        self._fd: int = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._keys: dict[int, K] = {}
        self._numbers: dict[K, int] = {}

    def fileno(self) -> int:
        """Return the descriptor that is readable when something changed; -1 where the kernel gave none."""
        return self._fd

    def arm(self, path: str, key: K) -> bool:
        """Report the next write to `path`; False if it cannot be watched. Read the file after this, not before."""
        if key in self._numbers:
            return True
        number = _LIBC.inotify_add_watch(self._fd, os.fsencode(path), _IN_MODIFY | _IN_ONESHOT)
        if number < 0:
            return False
        self._keys[number] = key
        self._numbers[key] = number
        return True

    def disarm(self, key: K) -> None:
        """Forget a file."""
        number = self._numbers.pop(key, None)
        if number is not None:
            self._keys.pop(number, None)
            _LIBC.inotify_rm_watch(self._fd, number)

    def changed(self) -> set[K]:
        """Return the files that were written to; they must be armed anew."""
        found: set[K] = set()
        while self._fd >= 0:
            try:
                events = os.read(self._fd, 65536)
            except BlockingIOError:
                break
            at = 0
            while at < len(events):
                number, _mask, _cookie, length = _EVENT.unpack_from(events, at)
                at += _EVENT.size + length
                key = self._keys.pop(number, None)
                if key is not None:
                    del self._numbers[key]
                    found.add(key)
        return found

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
