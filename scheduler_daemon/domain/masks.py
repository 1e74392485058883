"""Cover secrets in bytes that a job wrote, also where they are spelled in another way. Pure: bytes in, bytes out.

A covered byte becomes `*`, so that offsets and line ends stay as they were. Of a value of several lines each line is a
secret of its own; lines shorter than four bytes are not covered.

A spelling is found by an automaton in one pass whatever their number: an alternation of `re` tries them one after the
other at every byte, and a search for each passes over the bytes as often as there are spellings.
"""

import base64
import json
import re
from bisect import bisect_left
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote_from_bytes

MIN_BYTES: Final = 4
"""What is shorter is not covered: it stands everywhere by chance."""

_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")
_DENSE_BYTES = 65_536
"""Spellings of so many bytes in all get the automaton that is three times as fast and takes many times the memory."""
_SLICE = 16_384
"""Bytes looked at at once."""
_WRAPS = (64, 76)
"""Columns at which programs break lines of base64."""


class Mask:
    """What must not be shown of a run's output."""

    def __init__(self, secrets: Collection[bytes]) -> None:
        from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

        plain = {spelling for secret in secrets for spelling in _whole(secret)}
        mixed = {spelling for secret in secrets for spelling in _base64_cores(secret)} - plain
        spellings = sorted(plain) + sorted(mixed)
        self.spellings = tuple(spellings)
        self._sorted = sorted(spellings)
        self._first_mixed = len(plain)
        self._starts = {spelling[:MIN_BYTES] for spelling in spellings}
        self._longest = max(map(len, spellings), default=0)
        dense = sum(map(len, spellings)) <= _DENSE_BYTES
        kind = Implementation.DFA if dense else Implementation.ContiguousNFA
        self._automaton: Any = BytesAhoCorasick(spellings, matchkind=MatchKind.Standard, implementation=kind)

    @property
    def reach(self) -> int:
        """How many bytes around a part must be known to cover it."""
        return self._longest + 1

    def begun(self, known: bytes) -> int:
        """Return where in `known` something begins that may become a secret with what comes; its end if nothing."""
        end = len(known)
        for at in range(max(0, end - self._longest + 1), end):
            if (end - at < MIN_BYTES or known[at : at + MIN_BYTES] in self._starts) and self._begins(known[at:]):
                return at
        return end

    def covered(self, known: bytes, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` to `end` with all covered that is of a secret in `known`.

        The beginning of a secret at the very end of `known` is covered too, if it is no shorter than MIN_BYTES.
        """
        out: bytearray | None = None
        for first, last in self._spans(known):
            low, high = max(first, begin), min(last, end)
            if low < high:
                out = bytearray(known[begin:end]) if out is None else out
                out[low - begin : high - begin] = b"*" * (high - low)
        return known[begin:end] if out is None else bytes(out)

    def _spans(self, known: bytes) -> Iterator[tuple[int, int]]:
        for start in range(0, len(known), _SLICE):  # each with its own list of matches, which may be many
            since = max(0, start - self._longest)
            part = known[since : start + _SLICE]
            for index, low, high in self._automaton.find_matches_as_indexes(part, overlapping=True):
                first, last = since + low, since + high
                if last <= start:
                    continue
                if index >= self._first_mixed:  # the characters beside it hold bits of it too
                    before = first > 0 and known[first - 1] in _BASE64
                    yield first - before, last + (known[last : last + 1] in _SINGLES)
                else:
                    yield first, last
        begun = self.begun(known)
        if len(known) - begun >= MIN_BYTES:
            yield begun, len(known)

    def _begins(self, text: bytes) -> bool:
        """Tell whether a spelling begins with `text` and is longer."""
        at = bisect_left(self._sorted, text)
        if at < len(self._sorted) and self._sorted[at] == text:
            at += 1
        return at < len(self._sorted) and self._sorted[at].startswith(text)


class Blackout(Mask):
    """Covers everything but line ends: for output that may hold secrets that nobody knows any more."""

    def __init__(self) -> None:
        super().__init__(())

    def begun(self, known: bytes) -> int:
        """Nothing needs to be waited for."""
        return len(known)

    def covered(self, known: bytes, begin: int, end: int) -> bytes:
        """Cover it all."""
        return re.sub(rb"[^\n]", b"*", known[begin:end])


@lru_cache(maxsize=16)
def mask_of(secrets: frozenset[bytes]) -> Mask | None:
    """Return what covers these values; None where there is nothing to cover."""
    return Mask(secrets) if secrets else None


_SINGLES = frozenset(bytes([byte]) for byte in _BASE64)


def _whole(secret: bytes) -> set[bytes]:
    """Return the spellings that stand apart from what is around them."""
    text = secret.decode(errors="surrogateescape")
    found: set[bytes] = set()
    for line in {secret, *secret.splitlines()}:
        found |= {line, line.strip(), line.replace(b"'", b"'\\''"), line.hex().encode(), line.hex().upper().encode()}
        for safe in ("", "/"):
            found |= _urls(quote_from_bytes(line, safe=safe))
    for ascii_only in (True, False):
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode(errors="surrogateescape")
        found |= {escaped, escaped.replace(b"/", b"\\/")}
    encoded = base64.b64encode(secret)
    for width in _WRAPS:
        if len(encoded) > width:
            found |= {encoded[at : at + width] for at in range(0, len(encoded), width)}
    return {spelling for spelling in found if len(spelling) >= MIN_BYTES and b"\n" not in spelling}


def _urls(upper: str) -> set[bytes]:
    lower = re.sub("%..", lambda match: match[0].lower(), upper)
    return {form.encode() for text in (upper, lower) for form in (text, text.replace("%20", "+"))}


def _base64_cores(secret: bytes) -> Iterator[bytes]:
    """Yield the characters that base64 of a text with this in it has for certain, at each of three alignments."""
    for line in {secret, *secret.splitlines()}:
        for before in range(3):
            encoded = base64.b64encode(bytes(before) + line)
            first = -(-before * 8 // 6)
            last = (before + len(line)) * 8 // 6
            core = encoded[first:last]
            if len(core) >= MIN_BYTES:
                yield core
                yield core.translate(bytes.maketrans(b"+/", b"-_"))
