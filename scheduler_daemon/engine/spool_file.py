"""Read a job's output file, and give its disk space back behind what is kept. The file belongs to a hostile writer."""

import ctypes
import os
import stat
from pathlib import Path

PUNCH_STRIDE = 1024 * 1024
"""Space is given back in steps of this many bytes; a log below it costs no system call."""

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class SpoolFile:
    """An open output file; one that is missing or no plain file reads as empty."""

    def __init__(self, path: str | Path) -> None:
        self._fd = -1
        self.size = 0
        try:
            self._fd = os.open(path, _READ)
        except OSError:
            return
        seen = os.fstat(self._fd)
        if stat.S_ISREG(seen.st_mode):
            self.size = seen.st_size
        else:
            self.close()

    def read(self, start: int, size: int) -> bytes:
        """Return up to `size` bytes from `start`; fewer at the end, or where the disk cannot be read."""
        try:
            return os.pread(self._fd, size, start) if self._fd >= 0 and size > 0 else b""
        except OSError:
            return b""

    def close(self) -> None:
        """Close it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def punch(path: Path, start: int, end: int) -> bool:
    """Give the space of `start` to `end` back to the disk; the size stays. False where the file system cannot."""
    try:
        fd = os.open(path, _WRITE)
    except OSError:
        return False
    try:
        return bool(_LIBC.fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, start, end - start) == 0)
    finally:
        os.close(fd)
