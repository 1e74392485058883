"""Find in the output of a failed run the line that says why, and compare failures by their words. Pure."""

import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import sqrt
from operator import mul
from typing import NamedTuple
from zlib import crc32

from scheduler_daemon.domain.redaction import redact_lines
from scheduler_daemon.insights.templates import masked

DIMENSIONS = 256
LINES_LEARNT = 80
"""Of the end of a run's output; what went wrong is rarely said before."""
LINES_READ = 400
"""Where somebody asks why it failed."""
LINES_SENT = 120
CHARS_SENT = 24_000
_LINE = 600


class Line(NamedTuple):
    """A line of output, by its number."""

    number: int
    stream: str
    text: str


_STRONG = re.compile(
    r"\b\w*(?:Error|Exception|Failure)\b\s*(?::|$)"
    r"|\b(?:fatal|panic|segmentation fault|out of memory|oom|core dumped|killed|no space left|assertion failed"
    r"|unhandled|uncaught|abort(?:ed)?|corrupt(?:ed)?)\b|\bE(?:ACCES|NOENT|CONN\w+|TIMEDOUT)\b",
    re.IGNORECASE,
)
_WEAK = re.compile(
    r"\berr(?:or)?s?\b|\bfail(?:ed|ure|s)?\b|\b[45]\d\d\b|\busage:"
    r"|\b(?:denied|refused|timed? ?out|unreachable|cannot|can't|could not|couldn't|unable|not found|no such|invalid"
    r"|missing|unexpected|forbidden|unauthorized|rejected|conflict|expired|crash(?:ed)?|exceeded|unavailable|broken|lost"
    r"|does not exist|not permitted|violat(?:es|ed|ion)|undefined)\b",
    re.IGNORECASE,
)
_NOT = re.compile(
    r"\b(?:no|0|zero|without)\s+(?:\w+\s+)?(?:err(?:or)?s?|fail(?:ed|ures?)?|warnings?)\b"
    r"|\b(?:err(?:or)?s?|fail(?:ed|ures?)?)\s*[:=]\s*0\b|\b(?:info|debug|trace|notice)\b",
    re.IGNORECASE,
)
_FOLLOWS = re.compile(
    r"^\s*(?:traceback \(most|at\s+\S+\s*\(|file \"|\.\.\.|caused by:$|during handling|the above exception"
    r"|make(?:\[\d+\])?: \*\*\*|npm err! (?:errno|code|a complete|lifecycle|path|command)|exit(?:ing|ed)?\b"
    r"|.{0,60}\b(?:exited|returned|failed|finished) with (?:exit )?(?:code|status)|command .{0,200} returned non-zero"
    r"|error: (?:command|process|script|job|build|task)\b.{0,80}\bfail"
    r"|(?:for more|see|run) .{0,80}(?:log|detail|--help)"
    r"|rsync error: .{0,120}\(code \d+\)|build failed|job failed|script failed"
    r"|aborting|giving up|goroutine \d+|stack ?trace|note: )",
    re.IGNORECASE,
)
"""What stands around every failure and says of none why."""


_STATUS = re.compile(r"[45]\d\d")
_PARTS = (
    *(
        "err",
        "fail",
        "denied",
        "refus",
        "out",
        "unreach",
        "cannot",
        "can't",
        "could",
        "unable",
        "not",
        "no such",
        "invalid",
    ),
    *(
        "missing",
        "unexpected",
        "forbid",
        "unauth",
        "reject",
        "conflict",
        "expire",
        "crash",
        "exce",
        "unavail",
        "broken",
    ),
    *(
        "lost",
        "violat",
        "undef",
        "usage",
        "fatal",
        "panic",
        "fault",
        "memory",
        "oom",
        "core",
        "kill",
        "space",
        "assert",
    ),
    *("unhandled", "uncaught", "abort", "corrupt", "eacces", "enoent", "econn", "etime"),
)
"""One of these stands in every line that can be like an error; looking for them is far cheaper than the expressions."""
_SPOKEN = 0.25
"""What a line is the more like an error for being on stderr."""


def likeness(line: Line) -> float:
    """Return how much a line reads like the cause of a failure; 0 is not at all."""
    text = line.text[:_LINE]
    low = text.lower()
    if not any(part in low for part in _PARTS) and not _STATUS.search(text):
        return _SPOKEN if line.stream == "stderr" and text.strip() else 0.0
    score = 2.0 if _STRONG.search(text) else 1.0 if _WEAK.search(text) else 0.0
    if score and _NOT.search(text):
        score -= 1.0
    if score and _FOLLOWS.search(text):
        score *= 0.25
    return score + (_SPOKEN if line.stream == "stderr" else 0.0)


def error_line(lines: Sequence[Line], share_of_successes: Callable[[str], float] = lambda _: 0.0) -> Line | None:
    """Return the line that says best why a run failed: like an error, rare in runs that succeed, and late.

    `share_of_successes` tells of a text in which share of the successful runs such a line stands. None if there is no
    line; where none reads like an error the last one is returned, for it is all there is.
    """
    best, most = None, 0.0
    for place, line in enumerate(lines):
        like = likeness(line)
        if like <= 0.25:
            continue
        score = like * (1 - 0.9 * share_of_successes(line.text)) + 0.5 * (place + 1) / len(lines)
        if score >= most:
            best, most = line, score
    return best or next((line for line in reversed(lines) if line.text.strip()), None)


def excerpt(lines: Sequence[Line], most: int = LINES_SENT, chars: int = CHARS_SENT) -> list[tuple[int, str]]:
    """Return lines that show a failure, redacted, by number: those like an error, those around, the last ones."""
    return excerpt_of(lines, redact_lines([cut(line.text) for line in lines]), most, chars)


def excerpt_of(
    lines: Sequence[Line], safe: Sequence[str], most: int = LINES_SENT, chars: int = CHARS_SENT
) -> list[tuple[int, str]]:
    """Return the same of lines whose redacted texts are known."""
    wanted: dict[int, None] = {}
    ranked = sorted(range(len(lines)), key=lambda at: (-likeness(lines[at]), -at))
    for at in [at for at in ranked if likeness(lines[at]) > 0.25][: most // 8]:
        wanted.update(dict.fromkeys(range(max(0, at - 2), min(len(lines), at + 3))))
    wanted.update(dict.fromkeys(reversed(range(max(0, len(lines) - most), len(lines)))))
    found: dict[int, str] = {}
    for at in list(wanted)[:most]:
        text = safe[at][:_LINE]
        chars -= len(text) + 12
        if chars < 0:
            break
        found[at] = text
    return [(lines[at].number, found[at]) for at in sorted(found)]


def cut(text: str) -> str:
    """Cut a long line between words, so that no secret is cut in two and not known any more."""
    return text if len(text) <= 4 * _LINE else text[: 4 * _LINE].rsplit(None, 1)[0][: 4 * _LINE]


def vector(texts: Iterable[str]) -> bytes:
    """Return what lines are about: hashed words, pairs and parts of words, a signed byte each; zeros for none."""
    found = [0] * DIMENSIONS
    for text in texts:
        words = re.findall(r"[A-Za-z]{2,}", re.sub(r"<\w+>", " ", masked(text)))[:60]
        lower = [word.lower() for word in words]
        grams = lower + [f"{a} {b}" for a, b in pairwise(lower)]
        grams += [word[at : at + 4] for word in lower for at in range(len(word) - 3)]
        for gram in grams:
            code = crc32(gram.encode())
            found[code % DIMENSIONS] += 1 if code & 0x8000_0000 else -1
    most = max(map(abs, found))
    return array("b", [round(value * 127 / most) for value in found] if most else found).tobytes()


def nearest(one: bytes, others: Sequence[bytes], most: int) -> list[tuple[int, float]]:
    """Return the places of the vectors most like one, with their cosine, best first."""
    mine = array("b", one)
    length = sqrt(sum(map(mul, mine, mine)))
    found: list[tuple[int, float]] = []
    for place, other in enumerate(others):
        theirs = array("b", other)
        lengths = length * sqrt(sum(map(mul, theirs, theirs)))
        found.append((place, sum(map(mul, mine, theirs)) / lengths if lengths else 0.0))
    return sorted(found, key=lambda each: (-each[1], each[0]))[:most]


def lift(failed_with: int, failed: int, succeeded_with: int, succeeded: int) -> float:
    """Return how many times likelier a line is in a failed run than in a successful one, half a run added to each."""
    return ((failed_with + 0.5) / (failed + 1)) / ((succeeded_with + 0.5) / (succeeded + 1))
