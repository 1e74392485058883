"""Give an imported command a readable name: that of the script it is about. Uniqueness is for the caller."""

import re
from typing import Final

MAX_LENGTH: Final = 60
_LOOKED_AT: Final = 2000

_SEGMENTS: Final = re.compile(r"&&|\|\||[;|{}()\n]")
_WORDS: Final = re.compile(r"\"[^\"]*\"|'[^']*'|[^\s\"']+")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=")
_REDIRECTION: Final = re.compile(r"\d*(?:>>?|<)&?")
_ENDING: Final = re.compile(r"\.(?:sh|bash|py|php|pl|rb|js|jar)$")
_UNFIT: Final = re.compile(r"[^\w.-]+")

_PREPARES: Final = frozenset(
    (
        "cd",
        "test",
        "[",
        "[[",
        "export",
        "if",
        "then",
        "else",
        "fi",
        "set",
        "source",
        ".",
        "umask",
        "sleep",
        ":",
        "exit",
        "for",
        "case",
        "esac",
        "done",
        "in",
        "true",
        "false",
    )
)
_WRAPS: Final = frozenset(
    (
        "sudo",
        "nice",
        "ionice",
        "nohup",
        "env",
        "exec",
        "time",
        "chronic",
        "command",
        "then",
        "else",
        "setsid",
        "!",
        "do",
        "while",
        "until",
        "timeout",
        "flock",
    )
)
_INTERPRETS: Final = frozenset(
    ("sh", "bash", "dash", "zsh", "ksh", "php", "perl", "ruby", "node", "java", "run-parts", "source")
)
_PYTHON: Final = re.compile(r"python[\d.]*")


def name_of(command: str) -> str:
    """Return a name of letters, digits, `_`, `-` and `.`, at most MAX_LENGTH long; "job" where nothing speaks."""
    for segment in _SEGMENTS.split(command[:_LOOKED_AT]):
        name = _UNFIT.sub("-", _of_segment(segment)).strip("-.")[:MAX_LENGTH].rstrip("-.")
        if name:
            return name
    return "job"


def _of_segment(segment: str) -> str:
    words = [word.strip("\"'") for word in _WORDS.findall(segment)]
    while words and (words[0] in _WRAPS or words[0].isdigit() or words[0][:1] == "-" or _ASSIGNMENT.match(words[0])):
        words.pop(0)
    if not words or words[0] in _PREPARES or _REDIRECTION.match(words[0]):
        return ""
    program = _basename(words[0])
    if program not in _INTERPRETS and not _PYTHON.fullmatch(program):
        return _ENDING.sub("", program)
    script = next((word for word in words[1:] if not word.startswith("-") and not _REDIRECTION.match(word)), "")
    return _ENDING.sub("", _basename(script)) or program


def _basename(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
