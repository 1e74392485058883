"""What a text may hold, whatever it is for: what can be shown, given to a program, or name a place."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


# One argument of execve(2) may hold 131,072 bytes with its final NUL, and the shell gets the command as one argument.
MAX_COMMAND_BYTES = 131_071


def plain(text: str) -> str:
    """Return a text of one line that shows what it is. Raises ValueError."""
    bad = _UNPRINTABLE.search(text)
    if bad:
        raise ValueError(f"holds the unprintable character U+{ord(bad[0]):04X} at position {bad.start()}; remove it")
    if text != text.strip():
        raise ValueError("begins or ends with a blank; remove it")
    return text


def speakable(text: str) -> str:
    """Return a text that a program can be given. Raises ValueError."""
    encodable(text)
    if "\x00" in text:
        raise ValueError("holds a NUL byte, which no program can be given; remove it")
    return text


def _command(text: str) -> str:
    speakable(text)
    if not text.strip():
        raise ValueError("is empty; give the command to run")
    size = len(text.encode())
    if size > MAX_COMMAND_BYTES:
        raise ValueError(
            f"is {size:,} bytes long, and the kernel takes at most {MAX_COMMAND_BYTES:,}; "
            "put it into a script file and run that"
        )
    return text


def encodable(text: str) -> str:
    """Return a text that is whole characters. Raises ValueError."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"is not valid Unicode at position {error.start}") from None
    return text


def _absolute(path: str) -> str:
    if not speakable(path).startswith("/"):
        raise ValueError(f"{path!r} is not an absolute path; begin it with '/'")
    return path


Command = Annotated[str, AfterValidator(_command)]
AbsolutePath = Annotated[str, Field(max_length=4096), AfterValidator(_absolute)]
