"""Find the key for Claude: in a private file, among the credentials systemd gives, or in the keyring. Never elsewhere.

The environment is not looked at, for jobs could inherit it; the key is never logged, kept or passed on.
"""

import importlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.settings import ClaudeSettings

CREDENTIAL = "anthropic-key"
_SERVICE, _NAME = "chronos-synapse", "anthropic"


def is_set_up(settings: ClaudeSettings, environ: Mapping[str, str]) -> bool:
    """Tell whether there is a place for a key; whether it holds one is seen when it is needed."""
    return settings.key_file is not None or settings.keyring or _credential(environ) is not None


def find(settings: ClaudeSettings, environ: Mapping[str, str]) -> str | None:
    """Return the key, None where none is set up. Raises Invalid, saying why, where it cannot be had."""
    if settings.key_file is not None:
        return _private(settings.key_file)
    credential = _credential(environ)
    if credential is not None:
        return _read(credential)
    return _from_keyring() if settings.keyring else None


def _credential(environ: Mapping[str, str]) -> Path | None:
    folder = environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder, CREDENTIAL) if folder else None
    return path if path is not None and path.is_file() else None


def _private(path: Path) -> str:
    try:
        found = path.stat()
    except OSError as error:
        raise Invalid(f"claude.key_file {path} cannot be read: {error.strerror}", field="claude.key_file") from None
    if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid not in {0, os.geteuid()}:
        raise Invalid(f"claude.key_file {path} can be read by others; chmod 600 it", field="claude.key_file")
    return _read(path)


def _read(path: Path) -> str:
    try:
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise Invalid(f"the key in {path} cannot be read", field="claude.key_file") from None
    if not key or any(c.isspace() for c in key):
        raise Invalid(f"{path} must hold the key and nothing else", field="claude.key_file")
    return key


def _from_keyring() -> str | None:
    try:
        key = importlib.import_module("keyring").get_password(_SERVICE, _NAME)
    except Exception as error:  # noqa: BLE001  # each keyring fails in a way of its own
        raise Invalid(f"the keyring gives no key: {type(error).__name__}", field="claude.keyring") from None
    return str(key) if key else None
