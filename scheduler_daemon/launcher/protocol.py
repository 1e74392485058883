"""What travels between the daemon, the launcher and its spawners: one JSON object a line.

Decided here: framing, size limits, what a start request must look like, and how a socket with a long path is reached.
Left to others: what a request does (server) and what is kept on disk (spool).
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scheduler_daemon.launcher import capabilities

MAX_LINE = 16 * 1024 * 1024
"""The longest line taken from a peer, in bytes; whoever sends more is cut off."""
MAX_BACKLOG = 32 * 1024 * 1024
"""Bytes kept for a client that does not read; beyond it the client is dropped and finds its events again by `list`."""
RUN_MARK = "CHRONOS_RUN"
"""The environment variable `<execution id>-<spool>-<random>` by which a job's processes are recognised."""

Message = dict[str, Any]


class BadMessage(Exception):  # noqa: N818 - named as what the peer is told
    """The peer sent something that is not a request we know; the text says what."""


_dump = json.JSONEncoder(separators=(",", ":")).encode
_load = json.JSONDecoder().raw_decode


def encode(message: Message) -> bytes:
    """Return the message as one line. Bytes that are no UTF-8 travel as the surrogates of `os.fsdecode`."""
    return _dump(message).encode("ascii") + b"\n"


def announce(event: str, record: bytes) -> bytes:
    """Return the event line of an encoded record, which is not encoded again for it."""
    return b'{"event":"' + event.encode() + b'",' + record[1:]


def decode(line: bytes) -> Message:
    """Return the object of one line. Raises BadMessage if it is not a JSON object."""
    try:
        text = line.decode().strip()
        message, end = _load(text)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"not JSON: {error}") from None
    if end != len(text):
        raise BadMessage(f"not JSON: something follows at character {end}")
    if not isinstance(message, dict):
        raise BadMessage("not a JSON object")
    return message


class Lines:
    """Cuts a stream of bytes into lines. Raises BadMessage when a line grows beyond MAX_LINE."""

    __slots__ = ("_rest", "_seen")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._seen = 0

    def feed(self, data: bytes) -> list[bytes]:
        rest = self._rest
        rest += data
        end = rest.rfind(b"\n", self._seen)
        if end < 0:
            self._seen = len(rest)
            if self._seen > MAX_LINE:
                raise BadMessage(f"a line is longer than {MAX_LINE} bytes")
            return []
        whole = bytes(rest[:end])
        del rest[: end + 1]
        self._seen = len(rest)
        return whole.split(b"\n")


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(text, str) and name != "" and "=" not in name for name, text in value.items()
    )


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def _is_count(value: Any, most: int = 1 << 62) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


_START: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("argv", "a list of texts, not empty", _is_text_list),
    ("env", "a map of names to texts", _is_text_map),
    ("cwd", "an absolute path", lambda value: isinstance(value, str) and value.startswith("/")),
    ("umask", "a number from 0 to 0777", lambda value: _is_count(value, 0o777)),
    ("user", "an account name or null", lambda value: value is None or isinstance(value, str)),
    ("stdin", "true or false", lambda value: isinstance(value, bool)),
    ("timeout_ms", "milliseconds or null", lambda value: value is None or _is_count(value)),
    ("grace_ms", "milliseconds", _is_count),
    ("not_before_ns", "nanoseconds since 1970 or null", lambda value: value is None or _is_count(value)),
)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1 << 20


def _are_paths(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and one.startswith("/") for one in value)


def _are_devices(value: Any) -> bool:
    return _are_paths(value) and all(one.startswith("/dev/") and "/../" not in f"{one}/" for one in value)


_BOX: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("files", "system or scratch", lambda value: value in {"system", "scratch"}),
    ("read", "a list of absolute paths", _are_paths),
    ("write", "a list of absolute paths", _are_paths),
    ("network", "host, none or a list of HOST:PORT", lambda value: _is_text_list(value) or value in ("host", "none")),
    ("seccomp", "true or false", lambda value: isinstance(value, bool)),
    ("scratch_bytes", "bytes or null", lambda value: value is None or (_is_count(value) and value > 0)),
    ("devices", "a list of paths below /dev, or left out", lambda value: value is None or _are_devices(value)),
)
_LIMITS: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    *(
        (name, "a number from 1 or null", lambda value: value is None or (_is_count(value) and value > 0))
        for name in ("memory_bytes", "processes", "cpu_ms", "open_files", "file_bytes")
    ),
    ("cpus", "a number above 0 or null", lambda value: value is None or _is_number(value)),
)


def _are_capabilities(value: Any) -> bool:
    return isinstance(value, list) and all(one in capabilities.NAMES for one in value)


def request_id(message: Message) -> int:
    """Return the execution id of a request. Raises BadMessage: only a plain number may become the name of a folder."""
    number = message.get("id")
    if not _is_count(number):
        raise BadMessage("id: must be a number from 0")
    return int(message["id"])


def grace_of(message: Message) -> float:
    """Return the grace of a cancel in seconds. Raises BadMessage."""
    grace = message.get("grace_ms")
    if not _is_count(grace):
        raise BadMessage("grace_ms: must be milliseconds")
    return float(message["grace_ms"]) / 1000


def check_start(message: Message) -> None:
    """Raise BadMessage, naming the field, unless this is a whole start request."""
    for name, wanted, fits in _START:
        if not fits(message.get(name)):
            raise BadMessage(f"{name}: must be {wanted}")
    if not _are_capabilities(message.get("capabilities") or []):
        raise BadMessage("capabilities: must be a list of names such as net_bind_service")
    for part, fields in (("box", _BOX), ("limits", _LIMITS)):
        _check_part(part, message.get(part), fields)
    box = message.get("box") or {"read": (), "write": ()}
    texts = (
        *message["argv"],
        *message["env"],
        *message["env"].values(),
        message["cwd"],
        message["user"] or "",
        *box["read"],
        *box["write"],
        *(box.get("devices") or ()),
    )
    if any("\0" in text for text in texts):
        raise BadMessage("a text holds a NUL byte")
    try:
        os.fsencode("".join(texts))
    except UnicodeEncodeError:
        raise BadMessage("a text holds half a character (a lone surrogate)") from None


def _check_part(part: str, given: Any, fields: tuple[tuple[str, str, Callable[[Any], bool]], ...]) -> None:
    """Raise BadMessage unless this part is left out or is whole and holds nothing that we would pass over."""
    if given is None:
        return
    if not isinstance(given, dict):
        raise BadMessage(f"{part}: must be an object or null")
    for name, wanted, fits in fields:
        if not fits(given.get(name)):
            raise BadMessage(f"{part}.{name}: must be {wanted}")
    unknown = sorted(given.keys() - {name for name, _, _ in fields})
    if unknown:
        raise BadMessage(f"{part}.{unknown[0]}: is not known")


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Give a name for this socket that fits the kernel's 107 bytes, however deep the state directory lies."""
    if len(os.fsencode(path)) <= 100:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def peer_uid(connection: socket.socket) -> int:
    """Return the uid the kernel vouches for at the other end of a unix socket."""
    _pid, uid, _gid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)
