"""Keep some of the disk aside, and give it up once nothing else is left: runs must be recorded and deleting needs room.

On a full disk a database can take nothing more, not even that something is to be deleted. What is given up lasts for
thousands of runs; it is taken back once there is room again.
"""

from __future__ import annotations

import os
from pathlib import Path

SIZE = 16 * 1024 * 1024
LOW = 64 * 1024 * 1024
"""Bytes free below which the disk is said to be low; the reserve is taken only from what is above."""
_LAST = 4 * 1024 * 1024
"""Bytes free below which the reserve is given up."""


class Reserve:
    """The reserve of a state directory, in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "reserve"

    def look(self) -> str:
        """Take or give up the reserve as the disk has room; return what is to be told of the disk, "" if all is well.

        Raises OSError if the directory cannot be looked at.
        """
        room = os.statvfs(self._folder)
        free = room.f_bavail * room.f_frsize
        if free < _LAST and self._held():
            os.truncate(self._path, 0)
        if free >= LOW:
            return self._take() if free >= LOW + SIZE and not self._held() else ""
        told = f"only {free // 1_048_576} MiB are free in {self._folder}"
        if self._held():
            return told
        return f"{told}, and nothing is kept in reserve; make room, or runs can no longer be recorded"

    def _held(self) -> bool:
        try:
            return self._path.stat().st_size >= SIZE
        except OSError:
            return False

    def _take(self) -> str:
        """Return why it cannot be taken."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, SIZE)
            except OSError:  # what was taken so far is given back
                os.ftruncate(descriptor, 0)
                raise
            finally:
                os.close(descriptor)
        except OSError as error:
            return f"nothing can be kept in reserve in {self._folder}: {error.strerror}"
        return ""
