"""Flags of `job add` and `job edit`, and the fields of a spec that they mean. Whether values hold is for the server."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from chronos_tui.format import parse_duration_ms
from chronos_tui.verbs.common import iso_instant
from chronos_tui.verbs.failure import wrong_use

Schedules = Annotated[
    list[str] | None,
    typer.Option(
        "--schedule",
        "-s",
        metavar="EXPR",
        help="'0 9 * * 1-5', @daily, '@every 5m', '@at 2026-12-01T08:00'; repeatable.",
    ),
]
Zone = Annotated[str | None, typer.Option(help="Time zone of the schedule, such as Europe/Berlin.")]
Calendars = Annotated[
    list[str] | None,
    typer.Option(
        "--calendar",
        metavar="NAME[:MOVE]",
        help="Obey a calendar; on days it leaves out skip, or fire on the `next` or `previous` business day.",
    ),
]
Blackouts = Annotated[
    list[str] | None,
    typer.Option("--blackout", metavar="WHEN[=NAME]", help="Start nothing in 'fri 22:00-06:00'; repeatable."),
]
Jitter = Annotated[str | None, typer.Option(metavar="LENGTH", help="Start up to so much later; `none` for not.")]
Start = Annotated[str | None, typer.Option(metavar="ISO", help="Fire at or after this instant; `none` for any.")]
End = Annotated[str | None, typer.Option(metavar="ISO", help="Fire at or before this instant; `none` for any.")]
Policy = Annotated[
    str | None, typer.Option(help="How the job is kept apart: standard, strict, trusted; see `chronos policy list`.")
]
Timeout = Annotated[
    str | None, typer.Option(metavar="LENGTH", help="Stop a run after 90s, 5m, 2h...; `none` for never.")
]
Grace = Annotated[str | None, typer.Option(metavar="LENGTH", help="From TERM to KILL.")]
Env = Annotated[list[str] | None, typer.Option("--env", metavar="K=V", help="A variable for the command; repeatable.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="T", help="A tag; repeatable.")]
User = Annotated[str | None, typer.Option(help="The account the job runs as.")]
Cwd = Annotated[str | None, typer.Option(metavar="DIR", help="Where the command starts; the home directory if absent.")]
Shell = Annotated[str | None, typer.Option(metavar="PATH", help="Called as `PATH -c COMMAND`; /bin/sh if absent.")]
Stdin = Annotated[str | None, typer.Option(metavar="FILE|-", help="What the command reads on its standard input.")]
Concurrency = Annotated[
    str | None,
    typer.Option(help="While another run is active: forbid, allow, replace, queue_one or queue_all."),
]
ConcurrencyLimit = Annotated[
    str | None, typer.Option(metavar="N", help="Runs at once, of allow, queue_one and queue_all; `none`.")
]
QueueLimit = Annotated[int | None, typer.Option(metavar="N", help="Runs that queue_all lets wait; 100 if absent.")]
Pool = Annotated[str | None, typer.Option(metavar="NAME", help="Whose slots its runs need; `none` for no pool.")]
Move = Annotated[
    str | None, typer.Option(help="never, minutes or hours: how far its start may be proposed to be moved.")
]
Priority = Annotated[int | None, typer.Option(metavar="0-9", help="Of runs that wait, 9 is first; 5 if absent.")]
After = Annotated[
    list[str] | None,
    typer.Option("--after", metavar="JOB", help="Run when this job has run; repeatable. '' for no others any more."),
]
TriggerRule = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="How those before must have ended: all_success, one_success, all_done, none_failed, always...",
    ),
]
Misfire = Annotated[str | None, typer.Option(help="skip, run_once or run_all fires that nobody could start.")]
MisfireGrace = Annotated[
    str | None, typer.Option(metavar="LENGTH", help="Fires later than this are recorded as missed.")
]
CatchUp = Annotated[
    bool | None,
    typer.Option(
        "--catch-up-on-resume/--skip-on-resume",
        help="What comes due while it is paused is left to --misfire when it is resumed, or skipped.",
        show_default=False,
    ),
]
Description = Annotated[str | None, typer.Option(help="What the job is for.")]
Command = Annotated[
    list[str] | None,
    typer.Argument(metavar="[--] COMMAND...", help="One word is shell text; several are quoted for the shell."),
]


def fields(
    *,
    schedule: Sequence[str] | None,
    zone: str | None,
    calendar: Sequence[str] | None,
    blackout: Sequence[str] | None,
    jitter: str | None,
    start: str | None,
    end: str | None,
    policy: str | None,
    timeout: str | None,
    grace: str | None,
    env: Sequence[str] | None,
    tag: Sequence[str] | None,
    user: str | None,
    cwd: str | None,
    shell: str | None,
    stdin: str | None,
    concurrency: str | None,
    concurrency_limit: str | None,
    queue_limit: int | None,
    pool: str | None,
    priority: int | None,
    move: str | None,
    after: Sequence[str] | None,
    trigger_rule: str | None,
    misfire: str | None,
    misfire_grace: str | None,
    catch_up_on_resume: bool | None,
    description: str | None,
    command: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the fields that were given, as the spec names them. `schedule` holds only what the flags say of it.

    Raises Failure for a value that cannot be read.
    """
    given: dict[str, Any] = {
        "policy": policy,
        "user": user,
        "cwd": cwd,
        "shell": shell,
        "concurrency": concurrency,
        "queue_limit": queue_limit,
        "priority": priority,
        "move": move,
        "trigger_rule": trigger_rule,
        "misfire": misfire,
        "catchup_on_resume": catch_up_on_resume,
        "description": description,
    }
    given = {name: value for name, value in given.items() if value is not None}
    moments = moments_of(
        schedule=schedule, zone=zone, calendar=calendar, blackout=blackout, jitter=jitter, start=start, end=end
    )
    if moments:
        given["schedule"] = moments
    given |= _limits(concurrency_limit, pool)
    if timeout is not None:
        given["timeout_ms"] = None if timeout == "none" else _length("--timeout", timeout)
    if grace is not None:
        given["grace_ms"] = _length("--grace", grace)
    if misfire_grace is not None:
        given["misfire_grace_ms"] = _length("--misfire-grace", misfire_grace)
    if env:
        given["env"] = dict(_assignment(text) for text in env)
    if after:
        given["after"] = [text for text in after if text]
    if tag:
        given["tags"] = [text for text in tag if text]
    if stdin is not None:
        given["stdin"] = read_text("--stdin", stdin)
    if command:
        given["command"] = command[0] if len(command) == 1 else shlex.join(command)
    return given


def moments_of(
    *,
    schedule: Sequence[str] | None,
    zone: str | None,
    calendar: Sequence[str] | None,
    blackout: Sequence[str] | None,
    jitter: str | None,
    start: str | None,
    end: str | None,
) -> dict[str, Any]:
    """Return the fields of a schedule that were given. A list of one empty text empties it; Raises Failure."""
    found: dict[str, Any] = {}
    if schedule:
        found["expressions"] = list(schedule)
    if zone is not None:
        found["zone"] = zone
    if calendar:
        found["calendars"] = [text for text in calendar if text]
    if blackout:
        found["blackouts"] = [named("when", text) for text in blackout if text]
    if jitter is not None:
        found["jitter_s"] = 0 if jitter == "none" else _length("--jitter", jitter) // 1000
    for flag, text in (("start", start), ("end", end)):
        if text is not None:
            found[flag] = None if text == "none" else iso_instant(f"--{flag}", text)
    return found


def named(key: str, text: str) -> dict[str, str]:
    """Read `TEXT=NAME`, where the name may be absent."""
    value, equals, name = text.partition("=")
    return {key: value.strip(), "name": name.strip()} if equals else {key: text}


def local_zone(environ: Mapping[str, str]) -> str:
    """Return the IANA key of the zone this machine lives in, "UTC" if it cannot be told."""
    named = environ.get("TZ", "").removeprefix(":")
    if not named:
        try:
            named = os.readlink("/etc/localtime")  # noqa: PTH115 - a text is wanted
        except OSError:
            named = ""
    key = named.rpartition("zoneinfo/")[2].removeprefix("Etc/")
    return key if "/" in key and not key.startswith("/") else "UTC"


def read_text(flag: str, name: str) -> str:
    """Read a whole text file, or standard input for `-`."""
    try:
        content = read_bytes(flag, name).decode()
    except UnicodeDecodeError as error:
        raise wrong_use(f"{flag} {name}: byte {error.start} is not UTF-8; convert the file") from None
    return content


def read_bytes(flag: str, name: str) -> bytes:
    """Read a whole file, or standard input for `-`."""
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise wrong_use(
            f"{flag} {name}: {why.lower()}; name a file that you may read, or - for standard input"
        ) from None


def _limits(at_once: str | None, pool: str | None) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if at_once is not None:
        given["concurrency_limit"] = None if at_once == "none" else _count(at_once)
    if pool is not None:
        given["pool"] = None if pool == "none" else pool
    return given


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise wrong_use(f"--concurrency-limit {text!r} is no number of runs; write one such as 3, or none")
    return int(text)


def _length(flag: str, text: str) -> int:
    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise wrong_use(f"{flag} {error}") from None


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise wrong_use(f"--env {text!r} is no assignment; write NAME=VALUE")
    return name, value
