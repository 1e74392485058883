"""Take the pictures of the README: the real app on a real daemon whose jobs really ran.

`python -m scripts.screenshots [NAME...]` starts a daemon on a directory of its own, gives it the example's crontab and
some jobs that run every few seconds, waits until there is a history to see, drives the app by its keys, and writes
`screenshots/<name>.png`. Needs rsvg-convert and the DejaVu fonts.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from textual.keys import _character_to_key as character_to_key
from textual.pilot import Pilot

from chronos_tui.app import ChronosApp
from chronos_tui.settings import Settings, load
from tests.support.screen import picture

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "screenshots"
HISTORY_S = float(os.environ.get("SCREENSHOT_HISTORY_S", "75"))
"""How long jobs run before the first picture."""
READY_S, SHOWN_S = 120.0, 30.0

POLL = """\
now=$(date +%s); last=$(cat mailbox 2>/dev/null || echo $now); echo $now > mailbox; echo '::kpi mails=0'
test $((now - last)) -le 8 || { echo 'mailbox full: mails were refused' >&2; exit 4; }"""
LIMITS = {"scale-thumbnails": ("--memory", "512M"), "poll-mailbox": ("--policy", "trusted", "--cwd", "{state}")}
WAVERING = "$(( $(date +%s) % 9 ))"
JOBS = (
    ("nightly-backup", "*/20 * * * * *", "database,nightly", f"sleep 0.{WAVERING}; echo '41 tables, 2.3 GiB'"),
    ("sync-inventory", "*/7 * * * * *", "shop", f'sleep 0.{WAVERING}; echo "{WAVERING}2 articles changed"'),
    ("send-invoices", "*/11 * * * * *", "shop,mail", "sleep 0.2; echo queue empty"),
    (
        "check-certificates",
        "*/13 * * * * *",
        "security",
        "test $(( $(date +%s) % 3 )) -ne 0 || { echo 'shop.example: expires in 6 days' >&2; exit 2; }",
    ),
    ("rotate-logs", "*/9 * * * * *", "system", "echo rotated; sleep 0.05"),
    ("refresh-search", "*/6 * * * * *", "shop", "test $(( $(date +%s) - __NOW__ )) -lt 45 || exit 1"),
    ("scale-thumbnails", "* * * * * *", "shop", "echo 12 pictures scaled"),
    ("poll-mailbox", "* * * * * *", "mail", POLL),
    ("train-forecast", "30 2 * * *", "science", "make -C models forecast"),
)  # fmt: skip
STREAM = """\
i=0; while [ $i -lt 4000 ]; do i=$((i+1))
case $((i % 17)) in 0) echo "worker $((i % 4)): slow answer from replica-2 ($((300 + i % 90)) ms)" >&2;;
*) echo "worker $((i % 4)): batch $i, $((i * 37 % 900 + 100)) rows in $((i * 7 % 40 + 3)) ms";; esac
sleep 0.15; done"""


class Shot(NamedTuple):
    """One picture: the size of the terminal, and the keys that lead there from the overview."""

    name: str
    size: tuple[int, int]
    keys: tuple[str, ...]
    theme: str = "chronos-dark"
    settle: float = 2.0


SHOTS = (
    Shot("overview", (120, 34), ("@nightly-backup",)),
    Shot("jobs", (120, 24), ("2", "@nightly-backup", "j", "j")),
    Shot("job", (120, 36), ("2", "@nightly-backup", "/", "=sync", "@jobs 1 ", "enter", "enter", "@Runs")),
    Shot(
        "run",
        (120, 26),
        ("4", "@schedule", "/", "=status:failed", "@/status:failed", "enter", "@exit code 2", "enter", "@used"),
    ),
    Shot("log", (120, 28), ("2", "@nightly-backup", "/", "=import", "@jobs 1 ", "enter", "l", "@worker"), settle=4.0),
    Shot(
        "form",
        (120, 30),
        ("2", "@nightly-backup", "/", "=nightly", "@jobs 1 ", "enter", "e", "@means", "end", "= | 30 2 * * 1-5"),
    ),
    Shot("insights", (120, 24), ("7", "@times in", "g", "@in a row")),
    Shot("advice", (120, 30), ("7", "@taken back", "@kept", "G", "@gain")),
    Shot("narrow", (60, 18), ("2", "@nightly-backup")),
    Shot("light", (120, 34), ("@nightly-backup",), theme="chronos-light"),
)  # fmt: skip


@contextlib.contextmanager
def running_daemon() -> Iterator[Settings]:
    """Run a daemon on a temporary state directory, and take everything away afterwards."""
    state = tempfile.mkdtemp(prefix="chronos-pictures-")
    settings = load(state, None, os.environ)
    process = subprocess.Popen(
        [sys.executable, "-m", "scheduler_daemon", "serve", "--state", state], stderr=subprocess.DEVNULL, cwd=ROOT,
        env={**os.environ, "CHRONOS_REVIEW_EVERY": "PT2S"},
    )  # fmt: skip
    try:
        _wait_until_ready(state)
        yield settings
    finally:
        _chronos(state, "down", "--now", check=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()
        shutil.rmtree(state, ignore_errors=True)


def _chronos(state: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chronos_tui", "--state", state, *words]
    return subprocess.run(command, capture_output=True, text=True, check=check, cwd=ROOT)


def _wait_until_ready(state: str) -> None:
    deadline = time.monotonic() + READY_S
    while _chronos(state, "status", check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise SystemExit("the daemon did not come up")
        time.sleep(0.2)


def prepare(state: str) -> None:
    """Make jobs that run every few seconds, and one that runs for long."""
    _chronos(state, "import", "crontab", "examples/crontab")
    for name, schedule, tags, command in JOBS:
        flags = [word for tag in tags.split(",") for word in ("--tag", tag)]
        text = command.replace("__NOW__", str(int(time.time())))
        flags += [word.format(state=state) for word in LIMITS.get(name, ())]
        _chronos(state, "job", "add", name, "--schedule", schedule, *flags, "--", text)
    _chronos(state, "job", "add", "import-orders", "--tag", "shop", "--", STREAM)
    _chronos(state, "job", "pause", "rotate-logs")
    _chronos(state, "run", "import-orders")


def follow_advice(state: str) -> None:
    """Apply what is proposed to two jobs, and wait until one change is kept and the other taken back."""
    for kind in ("memory_limit", "idle_runs"):
        _chronos(state, "insight", "apply", _insight(state, kind, "open")["id"])
    _insight(state, "idle_runs", "reverted")
    while (_insight(state, "memory_limit", "applied")["measured"] or {}).get("verdict") != "keep":
        time.sleep(1)


def _insight(state: str, kind: str, wanted: str) -> dict[str, Any]:
    """Wait for the insight of a kind to be in a state."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        found = _chronos(state, "insights", "--kind", kind, "--state", wanted, "--json").stdout
        for each in json.loads(found)["items"]:
            if each["job"] in LIMITS:
                return dict(each)
        time.sleep(1)
    raise SystemExit(f"no insight {kind} comes to be {wanted}")


async def take(shot: Shot, settings: Settings) -> None:
    """Drive the app to where the picture is, and write it."""
    app = ChronosApp(settings, first_theme=shot.theme)
    async with app.run_test(size=shot.size) as pilot:
        await _until(lambda: app.desk.connection.kind == "live", "live", app)
        for step in shot.keys:
            await _step(app, pilot, step)
        await asyncio.sleep(shot.settle)
        await pilot.pause()
        svg = app.export_screenshot(title="chronos")
    _write(shot.name, svg)


async def _step(app: ChronosApp, pilot: Pilot[None], step: str) -> None:
    """Press a key; `@text` waits until the text is on the screen, `=text` types it."""
    if step.startswith("@"):
        await _until(lambda: any(step[1:] in line for line in picture(app)), step, app)
    elif step.startswith("="):
        await pilot.press(*(character_to_key(character) for character in step[1:]))
    else:
        await pilot.press(step)
        await pilot.pause()


async def _until(done: Callable[[], bool], wanted: str, app: ChronosApp) -> None:
    deadline = time.monotonic() + SHOWN_S
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"{wanted} does not come; there is:\n" + "\n".join(picture(app)))
        await asyncio.sleep(0.1)


CELL_PX, DEJAVU_ADVANCE = 12.2, 0.60205
"""The width of a cell in the picture, and of a DejaVu Sans Mono character in its size."""
_TEXT = re.compile(r'<text ([^>]*) x="([0-9.]+)"([^>]*) textLength="([0-9.]+)"([^>]*)>([^<]*)</text>')


def _place(found: re.Match[str]) -> str:
    """Put each character that may come from another font into its own cell: rsvg-convert knows no textLength."""
    before, left, middle, _, after, escaped = found.groups()
    text = html.unescape(escaped)
    if all(ord(character) < 0x100 for character in text):
        return found[0]
    return "".join(
        f'<text {before} x="{float(left) + at * CELL_PX:.1f}"{middle}{after}>{html.escape(character)}</text>'
        for at, character in enumerate(text)
        if not character.isspace()
    )


def _write(name: str, svg: str) -> None:
    """Turn the SVG into a PNG that is small and needs no font from the net."""
    svg = svg.replace("<text ", '<text xml:space="preserve" ')  # or blanks at a beginning are dropped
    svg = _TEXT.sub(_place, svg).replace("font-size: 20px", f"font-size: {CELL_PX / DEJAVU_ADVANCE:.3f}px")
    svg = re.sub(r"@font-face\s*\{[^}]*\}", "", svg).replace("Fira Code", "DejaVu Sans Mono")
    target = OUT / f"{name}.png"
    with tempfile.NamedTemporaryFile("w", suffix=".svg") as source:
        source.write(svg)
        source.flush()
        subprocess.run(["rsvg-convert", "--width", "1000", "--output", str(target), source.name], check=True)
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size // 1024} KiB")


def main() -> None:
    """Take the pictures named, or all."""
    wanted = [shot for shot in SHOTS if not sys.argv[1:] or shot.name in sys.argv[1:]]
    OUT.mkdir(exist_ok=True)
    with running_daemon() as settings:
        prepare(settings.state)
        began = time.monotonic()
        follow_advice(settings.state)
        time.sleep(max(0.0, began + HISTORY_S - time.monotonic()))
        asyncio.run(_take_all(wanted, settings))


async def _take_all(shots: list[Shot], settings: Settings) -> None:
    for shot in shots:
        await take(shot, settings)


if __name__ == "__main__":
    main()
