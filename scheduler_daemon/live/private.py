"""Directories and files nobody else on the machine may read or replace: made 0700 and 0600, owner checked."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path


def private_dir(path: Path, widest: int = 0o700) -> Path:
    """Make `path` (and its parents) a directory of mode 0700 that belongs to us, and return it.

    An existing directory of ours keeps its mode, less what exceeds `widest`. Raises PermissionError if it is a link, is
    no directory or belongs to someone else: under /tmp a stranger could have made it first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{path} is not a directory (a link is refused as well)")
    if found.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to uid {found.st_uid}, not to us (uid {os.geteuid()})")
    mode = stat.S_IMODE(found.st_mode)
    if mode & ~widest:
        path.chmod(mode & widest)
    return path


def write_private(path: Path, text: str) -> None:
    """Replace the file `path` with `text`, mode 0600, whole or not at all."""
    _scratch(path, text).replace(path)


def write_private_once(path: Path, text: str) -> None:
    """Make the file `path` with `text`, mode 0600, unless it is there: the first of several writers wins."""
    scratch = _scratch(path, text)
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(scratch)
    scratch.unlink()


def _scratch(path: Path, text: str) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(name)
