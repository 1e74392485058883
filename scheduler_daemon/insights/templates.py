"""Group log lines by what their program printed: Drain, with one list of masks for every kind of log. Pure.

A line is masked (numbers, addresses, paths, times and the like become placeholders), split into words, and compared
with the templates that have as many words and begin alike; what differs from the nearest becomes `<*>`. After He et
al., "Drain: An Online Log Parsing Approach with Fixed Depth Tree" (ICWS 2017). Memory is bounded: the template not
seen for longest goes first.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

MAX_CHARS = 1000
"""What follows in a line is data, not program text; and it bounds what a hostile line costs."""
MAX_WORDS = 100
ALIKE = 0.7
"""The share of equal words from which two lines are one template. Measured: .7 to .8 are as good as each other."""
FIRST_WORDS = 2
LEAF = 64
ANY = "<*>"

_CONTROL = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CLOCK = r"\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?(?![\w:])"
_DAY = (
    r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?\s+\d{1,2}(?:,?\s+\d{4})?\b"
    r"|\b\d{4}[-/]\d\d[-/]\d\d(?:[T ]" + _CLOCK + ")?"
)
_PATH = (
    r"(?:(?<![\w./])|(?<=[=:(\[,]))(?:[A-Za-z]:)?[\\/]"
    r"(?:[^\s\\/,;:'\"<>()\[\]{}=]+[\\/])*[^\s\\/,;:'\"<>()\[\]{}=]*"
)
_MASKS = tuple(
    (re.compile(pattern), mask)
    for pattern, mask in (
        (r"\"[^\"]{0,400}\"|(?<!\w)'[^']{1,400}'(?!\w)", "<text>"),
        (r"\b[a-z][a-z0-9+.-]{1,15}://[^\s\"'<>]+", "<url>"),
        (r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b", "<id>"),
        (r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},?\s+(?=\w{3,9}\s+\d|\d)", ""),
        (_DAY, "<time>"),
        (r"(?<![\w:])" + _CLOCK, "<time>"),
        (r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?!\w)", "<ip>"),
        (_PATH, "<path>"),
        (r"\b0[xX][0-9a-fA-F]+\b", "<hex>"),
        (r"(?<![A-Za-z0-9])(?=[a-fA-F]*\d)[0-9a-fA-F]{7,}(?![A-Za-z0-9])", "<hex>"),
        (r"(?<![A-Za-z0-9])-?\d+(?:[.,]\d+)*", "<num>"),
    )
)


def colourless(line: str) -> str:
    """Return the line without control sequences."""
    line = _CONTROL.sub("", line) if "\x1b" in line else line
    return line if line.isprintable() else _LEFT_OVER.sub(" ", line)


_LEFT_OVER = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What taking sequences out may leave, or put together."""


def masked(line: str) -> str:
    """Return the line without control sequences, with a placeholder for each value in it."""
    line = colourless(line[:MAX_CHARS])
    for pattern, mask in _MASKS:
        line = pattern.sub(mask, line)
    return line[:MAX_CHARS]


@dataclass(slots=True)
class Template:
    """What the lines of a group have in common. The id is made of its first line, so it lasts while the text widens."""

    id: str
    words: list[str]
    count: int = 0
    used: int = 0

    @property
    def text(self) -> str:
        """The words, `<*>` where lines differ."""
        return " ".join(self.words)


_Key = tuple[int, *tuple[str, ...]]


class Miner:
    """Templates learnt from lines, at most `limit` of them."""

    def __init__(self, limit: int = 5000) -> None:
        self.limit = limit
        self._leaves: dict[_Key, list[Template]] = {}
        self._recent: dict[str, tuple[_Key, Template]] = {}
        self._clock = 0

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, line: str) -> Template:
        """Return the template of a line, which is widened or made if need be."""
        words = masked(line).split()[:MAX_WORDS]
        key = _key(words)
        leaf = self._leaves.setdefault(key, [])
        found = _nearest(leaf, words) or self._made(key, leaf, words)
        if found.words != words:
            found.words = [a if a == b else ANY for a, b in zip(found.words, words, strict=True)]
        found.count += 1
        self._clock += 1
        found.used = self._clock
        del self._recent[found.id]
        self._recent[found.id] = (key, found)
        return found

    def find(self, line: str) -> Template | None:
        """Return the template a line belongs to, None if there is none; learn nothing."""
        words = masked(line).split()[:MAX_WORDS]
        return _nearest(self._leaves.get(_key(words), []), words)

    def get(self, template_id: str) -> Template | None:
        """Return a template by its id, None if it is not known, or no more."""
        entry = self._recent.get(template_id)
        return entry[1] if entry else None

    def dump(self) -> dict[str, Any]:
        """Return all of it as JSON values, the template not seen for longest first."""
        return {"templates": [[t.id, t.words, t.count] for _, t in self._recent.values()]}

    @classmethod
    def load(cls, state: dict[str, Any], limit: int = 5000) -> "Miner":
        """Return what was dumped, its latest `limit` templates."""
        miner = cls(limit)
        for id_, words, count in state["templates"][-limit:]:
            miner._clock += 1
            template = Template(id_, list(words), count, miner._clock)
            key = _key(template.words)
            miner._leaves.setdefault(key, []).append(template)
            miner._recent[id_] = (key, template)
        return miner

    def _made(self, key: _Key, leaf: list[Template], words: list[str]) -> Template:
        id_ = blake2b(" ".join(words).encode(), digest_size=8).hexdigest()
        if id_ in self._recent:  # it has widened so far that its first line is no longer near
            return self._recent[id_][1]
        if len(leaf) >= LEAF:
            self._forget(min(leaf, key=lambda template: template.used).id)
        elif len(self._recent) >= self.limit:
            self._forget(next(iter(self._recent)))
        made = Template(id_, words)
        self._leaves.setdefault(key, leaf).append(made)
        self._recent[id_] = (key, made)
        return made

    def _forget(self, template_id: str) -> None:
        key, template = self._recent.pop(template_id)
        leaf = self._leaves[key]
        leaf.remove(template)
        if not leaf:
            del self._leaves[key]


def _key(words: list[str]) -> _Key:
    return (len(words), *(ANY if "<" in word or any(map(str.isdigit, word)) else word for word in words[:FIRST_WORDS]))


def _nearest(leaf: list[Template], words: list[str]) -> Template | None:
    """Return the template with most equal words, the widest of equals, if it is near enough."""
    best, most = None, (0, 0)
    for template in leaf:
        equal = wide = 0
        for mine, theirs in zip(template.words, words, strict=True):
            if mine == theirs:
                equal += 1
            elif mine == ANY:
                wide += 1
        if best is None or (equal, wide) > most:
            best, most = template, (equal, wide)
    return best if best and most[0] >= ALIKE * len(words) else None
