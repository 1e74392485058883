"""Write entries as a crontab that cron and our own import read back to the same; comment out what cannot be said."""

import re
from collections.abc import Iterable
from typing import Final

from scheduler_daemon.domain.crontab import CrontabJob, split_percent
from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.domain.expressions import REBOOT, cron_text

_BEYOND_CRON: Final = re.compile(r"[LlWw#?H]")
_NAMES: Final = re.compile(r"[A-Za-z]{3}")
_UNWRITABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def export_crontab(jobs: Iterable[CrontabJob], *, system: bool = False, zone: str = "UTC") -> str:
    """Return the text of a crontab. `system` writes the user column; `zone` is where the reading cron keeps its time.

    Entries with fewer variables come first, since cron cannot unset one. Another zone is written as CRON_TZ, which
    cronie and our import obey and Debian's cron does not.
    """
    lines: list[str] = []
    env: dict[str, str] = {}
    for job in sorted(jobs, key=lambda job: (len(job.env), job.env, job.zone != zone, job.zone)):
        reason = _unwritable(job)
        if reason:
            lines += [f"# {job.name or 'entry'} is left out: {reason}.", *(f"# {line}" for line in _shown(job))]
            continue
        wanted = dict(job.env)
        if job.shell != "/bin/sh" or "SHELL" in env:
            wanted.setdefault("SHELL", job.shell)
        if job.zone != zone or "CRON_TZ" in env:
            wanted["CRON_TZ"] = job.zone
        lines += _changes(env, wanted)
        user = f"{job.user} " if system else ""
        lines.append(f"{job.schedule} {user}{escaped(job.command, job.stdin)}")
    return "".join(f"{line}\n" for line in lines)


def escaped(command: str, stdin: str | None) -> str:
    """Join a command and its input with `%`, as `split_percent` parts them."""
    text = command.replace("%", "\\%")
    if stdin is None:
        return text
    rest = stdin[:-1]
    if stdin.endswith("\n") and rest and not rest.endswith("\n"):
        stdin = rest  # cron adds this one itself
    return text + "%" + stdin.replace("%", "\\%").replace("\n", "%")


def _changes(env: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """Return the lines that bring `env` to `wanted`, and bring it there."""
    lines = []
    for name in [name for name in env if name not in wanted and env[name]]:
        lines += [f"# cron cannot unset {name}; it is empty from here on", f'{name}=""']
        env[name] = ""
    for name, value in wanted.items():
        if env.get(name) != value:
            lines.append(f"{name}={_quoted(value)}")
            env[name] = value
    return lines


def _quoted(value: str) -> str:
    if value and value == value.strip() and value[0] not in "\"'":
        return value
    return f"'{value}'" if '"' in value else f'"{value}"'


def _unwritable(job: CrontabJob) -> str:
    try:
        text = cron_text(job.schedule)
    except BadSchedule as error:
        return error.message.rstrip(".")
    if text is None and job.schedule.lower() != REBOOT:
        return f"cron knows no `{job.schedule.split()[0]}`"
    if text is not None and (len(text.split()) != 5 or _BEYOND_CRON.search(_NAMES.sub("", text))):
        return "its schedule is more than cron's five fields can say"
    texts = [job.command, (job.stdin or "").replace("\n", ""), *(value for _, value in job.env)]
    if any(_UNWRITABLE.search(text) for text in texts):
        return "it holds a line break or control character, which an entry of cron cannot"
    stdin = job.stdin + "\n" if job.stdin and not job.stdin.endswith("\n") else job.stdin
    if split_percent(escaped(job.command, job.stdin)) != (job.command, stdin) or job.command[0] in " \t":
        return "cron would read its command or its input differently"
    return ""


def _shown(job: CrontabJob) -> list[str]:
    return f"{job.schedule} {job.command}".splitlines()
