"""Read a crontab as cron does, and say about every line what became of it. Pure: text in, report out.

Follows crontab(5) of Debian; what only cronie knows is taken with a warning. Whether accounts exist, and what is done
with the entries, is left to the importer; names are made by `crontab_names`, writing back is `crontab_export`.
"""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final

from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.crontab_names import name_of
from scheduler_daemon.domain.errors import BadSchedule, Invalid
from scheduler_daemon.domain.expressions import ALIASES, REBOOT
from scheduler_daemon.domain.schedule import never_fires
from scheduler_daemon.domain.schedule_words import warnings as schedule_warnings
from scheduler_daemon.domain.zones import zone as known_zone

USUAL_ACCOUNTS: Final = frozenset(
    ("root", "daemon", "nobody", "www-data", "munin", "postgres", "mysql", "nginx", "apache", "gopher")
)
"""Who the sixth column is likely to name when the importer knows no better; none is a command as well."""

_ENV: Final = re.compile(r"""(?P<quote>["']?)(?P<name>[^\s=*"'@]+)(?P=quote)[ \t]*=[ \t]*(?P<value>.*)""", re.DOTALL)
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ACCOUNT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_NOT_TEXT: Final = re.compile(r"[\ud800-\udfff]")
_EXTENSION: Final = re.compile(r"[LlWw#?H]")
_FIRST_WORD: Final = re.compile(r"[^ \t]+")
_MORE_FIELDS: Final = re.compile(r"\*(?:/[0-9]+)?(?:[ \t]|$)")
_DATE_FORMAT: Final = re.compile(r"\+\S*$|\bdate\b[^|;&]*$")


class LineKind(StrEnum):
    """What a line of a crontab is."""

    BLANK = "blank"
    COMMENT = "comment"
    ENV = "env"
    JOB = "job"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class CrontabJob:
    """One entry, with everything that cron would give it."""

    schedule: str
    """Five fields or an @alias, blanks made single."""
    command: str
    """For `shell -c`; `%` is already resolved."""
    user: str
    zone: str = "UTC"
    stdin: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    """The variables in force at this line, in order of appearance; CRON_TZ and LOGNAME are not among them."""
    shell: str = "/bin/sh"
    name: str = ""
    """Readable and unique in the file; the same at the next import."""
    key: str = ""
    """What the entry is known by at the next import: it outlives edits of the schedule and of other lines."""
    never_fires: bool = False
    """Whether no date matches; such a job should be imported paused."""


@dataclass(frozen=True, slots=True)
class CrontabLine:
    """What became of one line of the file."""

    number: int
    kind: LineKind
    text: str
    """As it stands in the file, without its line end. May hold control characters: clean it before showing it."""
    warnings: tuple[str, ...] = ()
    reason: str = ""
    """Why it is an error, else empty."""
    job: CrontabJob | None = None


@dataclass(frozen=True, slots=True)
class CrontabFile:
    """The report on a whole file: a line for each of its lines, in order."""

    source: str
    lines: tuple[CrontabLine, ...]
    warnings: tuple[str, ...] = ()
    """About the file as such: line ends, byte order mark, its format."""

    @property
    def jobs(self) -> tuple[CrontabJob, ...]:
        """The entries that can be imported."""
        return tuple(line.job for line in self.lines if line.job)

    @property
    def errors(self) -> tuple[CrontabLine, ...]:
        """The lines that cannot be."""
        return tuple(line for line in self.lines if line.kind is LineKind.ERROR)


def parse_crontab(
    content: str | bytes,
    *,
    system: bool,
    user: str,
    zone: str,
    source: str,
    accounts: Collection[str] = USUAL_ACCOUNTS,
) -> CrontabFile:
    """Read a crontab. `system` says that a user column precedes the command; otherwise all runs as `user`.

    `zone` is where the times are meant, unless the file says CRON_TZ. Only an unknown `zone` raises, Invalid; whatever
    is wrong with a line is reported in its place.
    """
    known_zone(zone)
    text = content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else content
    warnings = []
    if text.startswith("\ufeff"):
        text = text[1:]
        warnings.append("The file begins with a byte order mark, which cron would not read; it is removed.")
    if "\r\n" in text or text.endswith("\r"):
        text = text.removesuffix("\r").replace("\r\n", "\n")
        warnings.append("Lines end with CR LF, and cron would hand the CR to the command; the CRs are removed.")
    if text and not text.endswith("\n"):
        warnings.append("The last line has no newline, so Debian's cron would ignore the whole file; it is read here.")
    reader = _Reader(system=system, user=user, zone=zone, accounts=accounts)
    physical = text.removesuffix("\n").split("\n") if text else []
    lines = tuple(reader.line(number, line) for number, line in enumerate(physical, start=1))
    if reader.looks_like_system:
        warnings.append(
            "The sixth column seems to name accounts; if this is a system crontab, import it with --system."
        )
    return CrontabFile(source, lines, tuple(warnings))


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """A line cannot be taken; the message says why."""


class _Reader:
    """Goes through the lines, keeping the environment in force."""

    def __init__(self, *, system: bool, user: str, zone: str, accounts: Collection[str]) -> None:
        self.system = system
        self.user = user
        self.zone = zone
        self.accounts = accounts
        self.env: dict[str, str] = {}
        self.shell = "/bin/sh"
        self.looks_like_system = False
        self.doubt = ""  # what to tell about every job from here on
        self.names: set[str] = set()
        self.keys: Counter[str] = Counter()

    def line(self, number: int, text: str) -> CrontabLine:
        content = text.lstrip(" \t")
        if not content:
            return CrontabLine(number, LineKind.BLANK, text)
        if content.startswith("#"):
            return CrontabLine(number, LineKind.COMMENT, text)
        try:
            _refuse_unprintable(text)
            env = _ENV.match(content)
            if env:
                return CrontabLine(number, LineKind.ENV, text, tuple(self.assign(env["name"], env["value"], number)))
            job, warnings = self.entry(content)
        except _Refused as refused:
            return CrontabLine(number, LineKind.ERROR, text, reason=str(refused))
        return CrontabLine(number, LineKind.JOB, text, tuple(warnings), job=job)

    def assign(self, name: str, raw: str, number: int) -> list[str]:
        """Take a variable over for the lines that follow; return what there is to say about it."""
        if not _ENV_NAME.fullmatch(name):
            raise _Refused(f"{name!r} is no name of a variable; use letters, digits and _, not beginning with a digit")
        value, warnings = _unquoted(raw.strip(" \t"))
        if "$" in value:
            warnings.append(f"cron does not expand `$`; {name} is literally {value}")
        if name == "LOGNAME":
            return [*warnings, "LOGNAME cannot be set; it stays the name of the account"]
        if name == "CRON_TZ":
            return [*warnings, self.move_to(value, number)]
        if name == "SHELL":
            self.shell = value if value.startswith("/") else "/bin/sh"
            if self.shell != value:
                warnings.append(f"SHELL={value} is not an absolute path; /bin/sh is used")
                value = self.shell
        elif name == "TZ":
            warnings.append("TZ is for the commands alone; it does not move the times of this file")
        elif name == "RANDOM_DELAY":
            warnings.append("RANDOM_DELAY is kept as a variable, but nothing is delayed by it")
        self.env[name] = value
        return warnings

    def move_to(self, value: str, number: int) -> str:
        try:
            known_zone(value)
        except Invalid as error:
            self.doubt = f"CRON_TZ of line {number} is not known, so the time is meant in {self.zone}"
            raise _Refused(error.message) from None
        self.zone = value
        self.doubt = ""
        return f"CRON_TZ is known to cronie but not to Debian's cron; times from here on are meant in {value}"

    def entry(self, content: str) -> tuple[CrontabJob, list[str]]:
        warnings = [self.doubt] if self.doubt else []
        if content.startswith("-"):
            content = content[1:]
            warnings.append("the leading `-` (cronie: do not log) has no effect")
        schedule, rest = _split_schedule(content)
        user = self.user
        if self.system:
            user, rest = self.account(rest)
        if not rest.strip():
            raise _Refused("there is no command after the schedule" + (" and the account" if self.system else ""))
        warnings += _cautions(schedule)
        command, stdin = split_percent(rest)
        if not command.strip():
            raise _Refused("there is no command before the first `%`")
        warnings += self.doubts_about(rest, command, stdin)
        name, key = self.known_by(user, command, stdin)
        env = tuple(self.env.items())
        never = never_fires(schedule)
        return CrontabJob(schedule, command, user, self.zone, stdin, env, self.shell, name, key, never), warnings

    def account(self, rest: str) -> tuple[str, str]:
        user = _FIRST_WORD.findall(rest)[0] if rest else ""
        command = rest[len(user) :].lstrip(" \t")
        if user and not _ACCOUNT.fullmatch(user):
            raise _Refused(f"the sixth column, {user!r}, is no name of an account; a user's crontab has no such column")
        return user, command

    def doubts_about(self, rest: str, command: str, stdin: str | None) -> list[str]:
        found = []
        first = rest.split(maxsplit=1)[0]
        if not self.system and first in self.accounts:
            self.looks_like_system = True
            found.append(f"the command begins with the account {first!r}; a system crontab is imported with --system")
        if _MORE_FIELDS.match(rest):
            found.append("the command begins with `*`: cron reads five fields, seconds or years are not among them")
        if " #" in rest:
            found.append("cron knows no comment at the end of a line; `#` and what follows belong to the command")
        if stdin is not None and _DATE_FORMAT.search(command[-200:]):
            found.append("an unescaped `%` ends the command, and the rest is its input; write `\\%` for a percent sign")
        return found

    def known_by(self, user: str, command: str, stdin: str | None) -> tuple[str, str]:
        """Return an entry's name and key. The first of a name has it plain; those after add a part of their key."""
        digest = sha256("\0".join((user, command, stdin or "")).encode()).hexdigest()[:16]
        self.keys[digest] += 1
        nth = self.keys[digest]
        name = plain = name_of(command)
        if name in self.names:
            name = f"{plain}-{digest[:6]}"
        while name in self.names:
            name = f"{plain}-{digest[:6]}-{nth}"
            nth += 1
        self.names.add(name)
        return name, digest if self.keys[digest] == 1 else f"{digest}-{self.keys[digest]}"


def split_percent(text: str) -> tuple[str, str | None]:
    """Split what follows the schedule into command and standard input, as cron does at the first unescaped `%`.

    The input is None without a `%`; otherwise each further `%` is a newline, and cron adds a last one.
    """
    if "%" not in text:
        return text, None
    place = 0
    while place < len(text) and text[place] != "%":
        place += 2 if text[place] == "\\" else 1
    command = re.sub(r"\\(.)", lambda match: "%" if match[1] == "%" else match[0], text[:place], flags=re.DOTALL)
    if place >= len(text):
        return command, None
    stdin = re.sub(r"\\?%", lambda match: "\n" if match[0] == "%" else "%", text[place + 1 :])
    return command, stdin if not stdin or stdin.endswith("\n") else stdin + "\n"


def _refuse_unprintable(text: str) -> None:
    control = _CONTROL.search(text)
    if control:
        raise _Refused(f"column {control.start() + 1} holds the control character U+{ord(control[0]):04X}; remove it")
    broken = _NOT_TEXT.search(text)
    if broken:
        raise _Refused(f"column {broken.start() + 1} is not valid UTF-8; save the file as UTF-8")


def _unquoted(value: str) -> tuple[str, list[str]]:
    if len(value) < 2 or value[0] not in "\"'" or value[-1] != value[0]:
        return value, []
    inner = value[1:-1]
    if value[0] in inner:
        return inner, ["quotes within quotes: cron would refuse this line; the outer ones are removed"]
    return inner, []


def _split_schedule(content: str) -> tuple[str, str]:
    """Return the schedule, its blanks made single, and everything after it verbatim."""
    count = 1 if content.startswith("@") else 5
    match = re.match(rf"(?:[^ \t]+[ \t]+){{{count - 1}}}[^ \t]+", content)
    if not match:
        raise _Refused("this is neither a variable nor an entry of five fields and a command")
    schedule = " ".join(match[0].split())
    if count == 1 and schedule.lower() not in {*ALIASES, REBOOT}:
        raise _Refused(f"cron knows no `{schedule}`; there are {', '.join([*ALIASES, REBOOT])}")
    return schedule, content[match.end() :].lstrip(" \t")


@lru_cache(maxsize=4096)
def _cautions(schedule: str) -> tuple[str, ...]:
    try:
        found = schedule_warnings(Schedule(expressions=(schedule,)))
    except (BadSchedule, ValueError) as error:
        raise _Refused(error.message if isinstance(error, BadSchedule) else "the schedule is too long") from None
    if not schedule.startswith("@") and any(_EXTENSION.search(day) for day in _beyond_names(schedule)):
        found.append(f"`{schedule}` uses L, W, #, ? or H, which cron does not know; they are taken as extensions")
    return tuple(found)


def _beyond_names(schedule: str) -> list[str]:
    return [re.sub(r"[A-Za-z]{3}", "", field) for field in schedule.split()]
