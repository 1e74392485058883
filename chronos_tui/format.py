"""How values are written for people: times, sizes, states, and text nobody vouches for.

Pure: callers pass `now` and the zone. Colours are named by token; `theme` says what they look like.
"""

import re
import shlex
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any, NamedTuple

from rich.cells import cell_len, get_character_cell_size

MINUTE, HOUR, DAY = 60, 3600, 86_400
ELLIPSIS = "…"
REPLACEMENT = "\ufffd"
MAX_MARKS = 3  # combining marks kept on one character: enough for every living script


class Look(NamedTuple):
    """How a state shows: never by colour alone."""

    glyph: str
    word: str
    ascii: str
    tone: str


STATES = {
    "succeeded": Look("●", "ok", "*", "ok"),
    "running": Look("▶", "running", ">", "running"),
    "starting": Look("▷", "starting", ">", "running"),
    "failed": Look("✖", "failed", "X", "failed"),
    "timed_out": Look("✖", "timed out", "X", "failed"),
    "queued": Look("…", "queued", ".", "queued"),
    "paused": Look("‖", "paused", "=", "paused"),
    "late": Look("?", "late", "?", "late"),
    "unknown": Look("?", "unknown", "?", "late"),
    "blocked": Look("⊘", "blocked", "#", "blocked"),
    "cancelled": Look("⊗", "cancelled", "x", "skipped"),
    "skipped": Look("○", "skipped", "o", "skipped"),
    "missed": Look("◌", "missed", "o", "late"),
    "suppressed": Look("○", "suppressed", "o", "skipped"),
    "scheduled": Look("○", "scheduled", "o", "muted"),
    "never": Look("·", "never ran", "-", "muted"),
}
STATES |= {"ok": STATES["succeeded"], "success": STATES["succeeded"]}


def state(name: str) -> Look:
    """Return how a job's or run's state shows; a name we do not know shows as itself behind a `?`."""
    return STATES.get(name) or Look("?", name.replace("_", " "), "?", "muted")


def duration(ms: float) -> str:
    """Write a length of time in at most seven cells: `840ms`, `4.2s`, `1m 04s`, `2h 05m`, `3d 04h`."""
    if ms < 0:
        return f"-{duration(-ms)}"
    if ms < 999.5:
        return f"{ms:.0f}ms"
    if ms < 9_950:
        return f"{ms / 1000:.1f}s"
    seconds = round(ms / 1000)
    if seconds < MINUTE:
        return f"{seconds}s"
    if seconds < HOUR:
        return f"{seconds // MINUTE}m {seconds % MINUTE:02}s"
    if seconds < DAY:
        return f"{seconds // HOUR}h {seconds % HOUR // MINUTE:02}m"
    return f"{seconds // DAY}d {seconds % DAY // HOUR:02}h"


_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhdw])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")


def length_text(ms: int) -> str:
    """Return milliseconds as one types them, exactly."""
    for unit, name in ((3_600_000, "h"), (60_000, "m"), (1000, "s")):
        if ms % unit == 0:
            return f"{ms // unit}{name}"
    return f"{ms}ms"


def kept(bounds: Mapping[str, Any] | None) -> str:
    """Write for how long a job's output is kept; "" where it says nothing itself."""
    found = bounds or {}
    days, runs, most = (found.get(name) for name in ("days", "runs", "bytes"))
    parts = [f"{days:g} days" if days else "", f"{runs:,} runs" if runs else "", size(most) if most else ""]
    return ", ".join(filter(None, parts))


def parameter(declared: Mapping[str, Any]) -> str:
    """Write what runs of a job can be told, as --param takes it; as the API spells it."""
    parts = [declared["name"], str(declared["type"])]
    parts += [word for word in ("required", "secret") if declared.get(word)]
    for word, key in (("default", "default"), ("min", "minimum"), ("max", "maximum"), ("pattern", "pattern")):
        if (value := declared.get(key)) is not None:
            parts.append(shlex.quote(f"{word}={str(value).lower() if isinstance(value, bool) else value}"))
    if declared.get("choices"):
        parts.append(shlex.quote(f"choices={','.join(declared['choices'])}"))
    return " ".join(parts) + (f" -- {declared['description']}" if declared.get("description") else "")


def told(values: Mapping[str, str | None]) -> list[str]:
    """Write what a run was told, a part for each value; long ones cut."""
    return [f"{name}={'(secret)' if text is None else _cut(text)}" for name, text in values.items()]


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text):,} characters)"


def moment(text: str, now: datetime) -> datetime | None:
    """Read a time of the past: a time of day, its latest before `now` and in its zone; a date and time; or 10m ago.

    None where it is none of these.
    """
    try:
        clock = time.fromisoformat(text)
    except ValueError:
        pass
    else:
        at = datetime.combine(now.date(), clock.replace(tzinfo=clock.tzinfo or now.tzinfo))
        return at - timedelta(days=1) if at > now else at
    try:
        at = datetime.fromisoformat(text)
        return at if at.tzinfo else at.replace(tzinfo=now.tzinfo)
    except ValueError:
        pass
    try:
        return now - timedelta(milliseconds=parse_duration_ms(text))
    except (ValueError, OverflowError):
        return None


def parse_duration_ms(text: str) -> int:
    """Read `90s`, `5m`, `1h30m`, `1.5d` or `250ms` as milliseconds. Raises ValueError with what to write instead."""
    if not _WHOLE.fullmatch(text := text.strip()):
        raise ValueError(f"{text!r} is not a length of time; write 250ms, 90s, 5m, 1h30m, 2d or 1w")
    return round(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))


def span(delta: timedelta) -> str:
    """Write a length of time with its one largest unit: `0s`, `45s`, `4m`, `7h`, `12d`. The sign is left out."""
    seconds = int(abs(delta.total_seconds()))
    for unit, letter in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m")):
        if seconds >= unit:
            return f"{seconds // unit}{letter}"
    return f"{seconds}s"


def relative(at: datetime, now: datetime) -> str:
    """Write an instant as seen from `now`, both with a zone: `in 4m`, `3s ago`, `now` within one second."""
    delta = at - now
    if abs(delta) < timedelta(seconds=1):
        return "now"
    return f"in {span(delta)}" if delta > timedelta(0) else f"{span(delta)} ago"


def clock(at: datetime, now: datetime, zone: tzinfo) -> str:
    """Write an instant as briefly as `zone` allows: `12:04:31` today, `Tue 12:04` within six days, else a date."""
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    days = abs((local.date() - today).days)
    if days == 0:
        return f"{local:%H:%M:%S}"
    return f"{local:%a %H:%M}" if days <= 6 else f"{local:%Y-%m-%d %H:%M}"


def stamp(at: datetime, zone: tzinfo) -> str:
    """Write an instant in full, with the abbreviation its zone then uses: `2026-03-29 03:00:00 CEST`."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def parse_instant(text: str, zone: tzinfo) -> datetime:
    """Read `2026-05-01T08:00`, in `zone` unless it says an offset. Raises ValueError with what to write instead."""
    try:
        at = datetime.fromisoformat(text.strip())
        at = at.replace(tzinfo=zone) if at.tzinfo is None else at
        at.astimezone(UTC)
    except (ValueError, OverflowError):
        message = f"{text.strip()!r} is not a time; write it as 2026-05-01T08:00 or 2026-05-01T08:00+02:00"
        raise ValueError(message) from None
    return at


def size(count: float) -> str:
    """Write a number of bytes in at most eight cells, in powers of 1024: `512 B`, `1.4 KiB`, `23 MiB`."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        count /= 1024
        if count < 1023.5 or unit == "TiB":
            break
    return f"{count:.1f} {unit}" if count < 9.95 else f"{count:.0f} {unit}"


def count(number: float) -> str:
    """Write a count in at most five cells: `980`, `9.8k`, `120k`, `3.1M`."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.1f}{letter}" if number < 9.95 * unit else f"{number / unit:.0f}{letter}"
    return f"{number:.0f}"


def usage(used: Mapping[str, Any]) -> list[str]:
    """Write what a run used, a part for each figure that was measured; what was only looked at is marked by `~`."""
    sampled = used.get("sampled") or ()
    written = [
        ("cpu_ms", "CPU", duration),
        ("max_rss_bytes", "memory", size),
        ("processes", "processes", "{:.0f}".format),
        ("read_bytes", "read", size),
        ("write_bytes", "written", size),
        ("output_bytes", "output", size),
    ]
    parts = [
        f"{word} {'~' if name in sampled else ''}{write(used[name])}"
        for name, word, write in written
        if used.get(name) is not None
    ]
    hit = used.get("limit_hit")
    return parts + ([f"met its limit of {_MET.get(hit, hit)}"] if hit else [])


_MET = {"pids": "processes", "cpu_time": "processor time", "file_size": "a file's size"}


def counted_by(used: Mapping[str, Any]) -> str:
    """Say who counted what a run used; "" where nobody did."""
    sources = {"cgroup": "by its control group", "rusage": "by the kernel for what it waited for"}
    parts = [sources.get(used.get("source") or "", ""), "~ seen every few seconds" if used.get("sampled") else ""]
    return "; ".join(filter(None, parts))


def host_facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Write how the machine was at a failure, as names and values."""
    memory = ""
    if facts["memory_total_bytes"] is not None and facts["memory_available_bytes"] is not None:
        memory = f"{size(facts['memory_available_bytes'])} of {size(facts['memory_total_bytes'])} available"
    if facts["swap_total_bytes"]:
        memory += f", swap {size(facts['swap_free_bytes'] or 0)} of {size(facts['swap_total_bytes'])} free"
    load = " ".join(f"{each:.2f}" for each in facts["load"])
    sockets = "" if facts["sockets"] is None else f", {facts['sockets']} sockets"
    return [
        ("load", f"{load} on {facts['processors']} processors, {facts['processes']} processes{sockets}"),
        ("free memory", memory.removeprefix(", ")),
        *(("disk", _disk(each)) for each in facts["disks"]),
        ("top CPU", ", ".join(f"{each['name']} {each['cpu_percent']:.0f}%" for each in facts["by_cpu"])),
        ("top memory", ", ".join(f"{each['name']} {size(each['rss_bytes'])}" for each in facts["by_memory"])),
    ]


def _disk(disk: Mapping[str, Any]) -> str:
    if disk["fault"]:
        return f"{disk['path']}: {disk['fault']}"
    files = "" if disk["free_files"] is None else f", {disk['free_files']} more files"
    return f"{disk['path']}: {size(disk['free_bytes'])} of {size(disk['total_bytes'])} free{files}"


def figure(value: float) -> str:
    """Write a figure that a job gave: `1250`, `12.5`, `1.3e+09`."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e9 else f"{value:.5g}"


def kpi(name: str, value: float, unit: str) -> str:
    """Write a figure with its name: `rows 1250`, `took 12.5 ms`."""
    return f"{name} {figure(value)}{' ' if unit else ''}{unit}"


def bar(per_cent: int, width: int, *, ascii_only: bool = False) -> str:
    """Draw how much is done, and say it: `█████░░░░░  50%`."""
    full = per_cent * width // 100
    done, left = ("#", "-") if ascii_only else ("█", "░")
    return f"{done * full}{left * (width - full)} {per_cent:>3}%"


def percent(share: float) -> str:
    """Write a share of one: `97 %`. Only a true 1 is `100 %`, and only a true 0 is `0 %`."""
    if 0.995 <= share < 1:
        return f"{min(share * 100, 99.9):.1f} %"
    if 0 < share < 0.005:
        return "<1 %"
    return f"{share * 100:.0f} %"


# ESC sequences as ECMA-48 forms them: string commands (OSC, DCS, APC, PM, SOS) up to ST or BEL, CSI, then short ones.
_ESCAPES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|(?=\x1b)|$)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*(?:[@-~]|$)"
    r"|\x1b[ -/]*[0-~]?"
)


class _Shown(dict[int, str | None]):
    """What `str.translate` puts for each character, decided once for each: None drops it."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        shown: str | None = char
        category = unicodedata.category(char)
        if category in {"Cs", "Cn"}:
            shown = REPLACEMENT
        elif category in {"Zs", "Zl", "Zp"} or char == "\r":
            shown = " "
        elif category in {"Cc", "Cf"} or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
            shown = None  # controls, direction marks, joiners and selectors: what is measured must be what is drawn
        self[code] = shown
        return shown


_SHOWN = _Shown()


def printable(text: str, tab: int = 8) -> str:
    """Return `text` as it may safely be drawn: no control characters, escape sequences, direction marks or tabs.

    Every character left has a width of its own, so cell widths add up. Markup is not touched: draw it as plain text.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _ESCAPES.sub("", text.rstrip("\r\n")).expandtabs(tab)
    if text.isascii():
        return text if text.isprintable() else text.translate(_SHOWN)
    return _thin_marks(text.translate(_SHOWN))


def _thin_marks(text: str) -> str:
    """Drop combining marks heaped on one character beyond MAX_MARKS."""
    kept: list[str] = []
    run = 0
    for char in text:
        run = run + 1 if get_character_cell_size(char) == 0 else 0
        if run <= MAX_MARKS:
            kept.append(char)
    return "".join(kept)


def cells(text: str) -> int:
    """Return how many terminal cells printable `text` takes."""
    return len(text) if text.isascii() else cell_len(text)


def retries(policy: Mapping[str, Any] | None) -> str:
    """Say in a line how failed runs are begun again; "" for never. The policy is as the API spells it."""
    if not policy or not policy["attempts"]:
        return ""
    waits = duration(policy["delay_ms"])
    if policy["factor"] != 1:
        waits += f", each {policy['factor']:g} times the last, at most {duration(policy['cap_ms'])}"
    parts = [f"{policy['attempts']} times after {waits}", f"on {', '.join(policy['on'])}".replace("_", " ")]
    if policy["jitter"] != "none":
        parts.append(f"{policy['jitter']} jitter")
    for name, what in (("exit_codes", "exit codes"), ("signals", "signals")):
        if policy[name] is not None:
            parts.append(f"only {what} {', '.join(policy[name])}")
        if policy[f"not_{name}"]:
            parts.append(f"not {what} {', '.join(policy[f'not_{name}'])}")
    if policy["until_ms"] is not None:
        parts.append(f"until {duration(policy['until_ms'])} after the fire")
    if policy.get("smart"):
        parts.append("as was learnt from earlier ends")
    return "; ".join(parts)


def shorten(text: str, width: int, ellipsis: str = ELLIPSIS) -> str:
    """Cut printable `text` to at most `width` cells, never through a character; a cut is marked by the ellipsis."""
    if cells(text) <= width:
        return text
    return cut(text, max(width - cells(ellipsis), 0)) + cut(ellipsis, width)


def cut(text: str, width: int, start: int = 0) -> str:
    """Return what cells `start` to `start + width` of printable `text` show; half a wide character is a space."""
    if text.isascii():
        return text[start : start + width]
    kept: list[str] = []
    at, end = 0, start + width
    for char in text:
        step = get_character_cell_size(char)
        if at >= end and step:
            break
        if at >= start and at + step <= end:
            if step or kept:
                kept.append(char)
        elif width > 0 and at + step > start:
            kept.append(" ")
        at += step
    return "".join(kept)


def fit(text: str, width: int, align: str = "left") -> str:
    """Clean, cut and pad any text to exactly `width` cells."""
    text = shorten(printable(text), width)
    pad = " " * (width - cells(text))
    return pad + text if align == "right" else text + pad


def conditions(kept: Iterable[dict[str, Any]], name_of: Callable[[str], str] = str) -> list[str]:
    """Return the conditions of a spec as they are given to --if; `name_of` knows the names of jobs by id."""
    return [_CONDITIONS[each["kind"]](each, name_of) for each in kept]


def _window(each: dict[str, Any], _: Callable[[str], str]) -> str:
    return " ".join(filter(None, (f"between {each['begin']}-{each['end']}", ",".join(each["days"]))))


def _figure(each: dict[str, Any], name_of: Callable[[str], str]) -> str:
    of = f"{name_of(each['job'])}." if each["job"] else ""
    return f"{of}{each['metric']} {each['op']} {each['value']}"


_CONDITIONS: dict[str, Callable[[dict[str, Any], Callable[[str], str]], str]] = {
    "file": lambda each, _: f"{'no ' if each['absent'] else ''}file {each['path']}",
    "command": lambda each, _: f"command {each['command']}",
    "window": _window,
    "state": lambda each, name_of: f"{name_of(each['job'])} {' or '.join(each['states'])}",
    "metric": _figure,
}


_SIZES = {"memory_bytes": "memory", "file_bytes": "of each file", "scratch_bytes": "scratch space"}
_COUNTS = {"processes": "processes", "cpus": "cpus", "open_files": "open files"}


def limits(most: Mapping[str, Any] | None) -> str:
    """Say in a line how much a run may use; "" for no limit. The limits are as the API spells them."""
    found = {name: value for name, value in (most or {}).items() if value is not None}
    parts = [f"{size(found[name])} {word}" for name, word in _SIZES.items() if name in found]
    parts += [f"{found[name]:g} {word}" for name, word in _COUNTS.items() if name in found]
    return ", ".join(parts + ([f"{duration(found['cpu_ms'])} processor time"] if "cpu_ms" in found else []))


def network(wish: Mapping[str, Any] | None) -> str:
    """Say whom a run may speak to; "" where its policy decides."""
    if not wish:
        return ""
    return f"only {', '.join(wish['allow'])}" if wish.get("allow") else str(wish["mode"])
