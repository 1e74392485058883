"""Every colour of the terminal app, by token, and the choice of a theme before the first frame.

Widgets name tokens (`failed`, `muted`); what a token looks like is decided here and nowhere else. A palette gives every
token a colour and, where colour is not enough, attributes; `themes()` turns palettes into Textual themes, each token
being the CSS variables `cs-<token>` and `cs-<token>-style`. Textual itself is imported only when themes are made.
"""

import os
import re
import select
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from textual.theme import Theme

Background = Literal["dark", "light"]

TEXT_TOKENS = (
    "text", "muted", "accent", "title", "ok", "running", "failed", "paused",
    "queued", "late", "blocked", "skipped", "stderr", "mark",
)  # fmt: skip
"""Drawn on `background`, `surface`, `panel` and both cursors."""
GROUND_TOKENS = ("background", "surface", "panel", "cursor", "cursor-idle")
PAIR_TOKENS = {"match-text": "match"}
"""Text drawn only on its own ground."""


@dataclass(frozen=True)
class Palette:
    """One look: a colour for every token, and attributes (`bold`, `dim`, `reverse`) for those that want them."""

    name: str
    background: Background
    colours: Mapping[str, str]
    attributes: Mapping[str, str] = field(default_factory=dict)
    ansi: bool = False
    """Uses the terminal's own sixteen colours and background."""


_BOLD = {"title": "bold", "accent": "bold", "failed": "bold", "mark": "bold"}

DARK = Palette(
    "chronos-dark",
    "dark",
    {
        "background": "#0f1419", "surface": "#151b22", "panel": "#1c242d", "cursor": "#264058",
        "cursor-idle": "#222c36",
        "border": "#3d4c5a", "text": "#d8dee6", "muted": "#9caab8", "accent": "#6cb8f6", "title": "#e8edf2",
        "ok": "#7fd08a", "running": "#6cb8f6", "failed": "#ff938c", "paused": "#d3b0f0", "queued": "#a9b8c7",
        "late": "#f0c060", "blocked": "#f2a35e", "skipped": "#9fadb9", "stderr": "#ffb3a7", "mark": "#f0c060",
        "match": "#f0c060", "match-text": "#10151a",
    },
    _BOLD,
)  # fmt: skip
LIGHT = Palette(
    "chronos-light",
    "light",
    {
        "background": "#fbfbf8", "surface": "#f3f3ee", "panel": "#e9e9e2", "cursor": "#cfe2f5",
        "cursor-idle": "#e0e4e6",
        "border": "#9aa4ad", "text": "#1d2329", "muted": "#4a545d", "accent": "#004f93", "title": "#11161b",
        "ok": "#0a5a1c", "running": "#004f93", "failed": "#a3121c", "paused": "#6a2a96", "queued": "#434f5a",
        "late": "#6e4700", "blocked": "#853900", "skipped": "#4c555d", "stderr": "#8f2117", "mark": "#6e4700",
        "match": "#ffd866", "match-text": "#1d2329",
    },
    _BOLD,
)  # fmt: skip
CONTRAST = Palette(
    "chronos-contrast",
    "dark",
    {
        "background": "#000000", "surface": "#000000", "panel": "#000000", "cursor": "#002f6c",
        "cursor-idle": "#1a1a1a",
        "border": "#ffffff", "text": "#ffffff", "muted": "#e0e0e0", "accent": "#9fd8ff", "title": "#ffffff",
        "ok": "#8dff9a", "running": "#9fd8ff", "failed": "#ffb3ad", "paused": "#ecd2ff", "queued": "#e0e0e0",
        "late": "#ffe27a", "blocked": "#ffc48a", "skipped": "#d8d8d8", "stderr": "#ffc9c4", "mark": "#ffe27a",
        "match": "#ffff00", "match-text": "#000000",
    },
    {**_BOLD, "cursor": "bold", "running": "bold", "late": "bold"},
)  # fmt: skip


def _ansi(name: str, background: Background) -> Palette:
    """Sixteen colours on the terminal's own background; a cursor is reversed, since no ground is known to differ."""
    plain = {**dict.fromkeys(TEXT_TOKENS, "ansi_default"), **dict.fromkeys(GROUND_TOKENS, "ansi_default")}
    cool = "ansi_cyan" if background == "dark" else "ansi_blue"
    warm = "ansi_yellow" if background == "dark" else "ansi_red"
    colours = {
        "border": "ansi_bright_black", "accent": cool, "ok": "ansi_green", "running": cool, "failed": "ansi_red",
        "paused": "ansi_magenta", "late": warm, "blocked": warm, "stderr": "ansi_red", "match": "ansi_yellow",
        "match-text": "ansi_black",
    }  # fmt: skip
    faint = dict.fromkeys(("muted", "skipped", "queued"), "dim")
    attributes = _BOLD | faint | {"cursor": "reverse", "cursor-idle": "underline"}
    return Palette(name, background, plain | colours, attributes, ansi=True)


PALETTES = {
    p.name: p for p in (DARK, LIGHT, CONTRAST, _ansi("chronos-ansi", "dark"), _ansi("chronos-ansi-light", "light"))
}


def choose(background: Background, environ: Mapping[str, str], wanted: str = "") -> str:
    """Return the theme to start with: the wanted one, else by the terminal. Under NO_COLOR only an ansi theme will do.

    With NO_COLOR the app must also be made with `ansi_color=True`, or Textual writes greys instead of no colour.
    """
    ansi = "chronos-ansi" if background == "dark" else "chronos-ansi-light"
    if "NO_COLOR" in environ:
        return ansi
    if wanted in PALETTES:
        return wanted
    return DARK.name if background == "dark" else LIGHT.name


def themes() -> list["Theme"]:
    """Make a Textual theme of every palette."""
    return [_theme(palette) for palette in PALETTES.values()]


def _theme(palette: Palette) -> "Theme":
    from textual.theme import Theme

    c = palette.colours
    variables = {f"cs-{token}": colour for token, colour in c.items()}
    variables |= {f"cs-{token}-style": style for token, style in palette.attributes.items()}
    if palette.ansi:
        dark = palette.background == "dark"
        variables["ansi-background"], variables["ansi-foreground"] = (
            ("ansi_black", "ansi_white") if dark else ("ansi_white", "ansi_black")
        )
    return Theme(
        name=palette.name,
        dark=palette.background == "dark",
        ansi=palette.ansi,
        primary=c["accent"],
        secondary=c["running"],
        accent=c["accent"],
        warning=c["late"],
        error=c["failed"],
        success=c["ok"],
        foreground=c["text"],
        background=c["background"],
        surface=c["surface"],
        panel=c["panel"],
        variables=variables
        | {
            "text-muted": c["muted"],
            "border": c["accent"],
            "border-blurred": c["border"],
            "block-cursor-background": c["cursor"],
            "block-cursor-foreground": c["text"],
            "block-cursor-text-style": "reverse" if palette.ansi else "bold",
            "block-cursor-blurred-background": c["cursor-idle"],
            "block-cursor-blurred-foreground": c["text"],
            "input-selection-background": c["match"],
            "input-selection-foreground": c["match-text"],
            "scrollbar": c["border"],
            "scrollbar-hover": c["muted"],
            "scrollbar-active": c["accent"],
            "scrollbar-background": c["surface"],
            "scrollbar-background-hover": c["surface"],
            "scrollbar-background-active": c["surface"],
        },
    )


def detect_background(timeout: float = 0.25, environ: Mapping[str, str] | None = None) -> Background:
    """Find out whether the terminal is dark or light, within `timeout` seconds; dark if nothing tells.

    Asks the terminal (OSC 11), then COLORFGBG. Call it before the app starts: from then on Textual reads the terminal.
    """
    colour = _ask_terminal(timeout)
    if colour is not None:
        return "dark" if _luminance(colour) < 0.5 else "light"
    ground = (os.environ if environ is None else environ).get("COLORFGBG", "").rpartition(";")[2]
    return "light" if ground in {"7", "15"} else "dark"


def parse_answer(answer: bytes) -> tuple[float, float, float] | None:
    """Return red, green and blue (0 to 1) from an OSC 11 answer, or None if there is none in it."""
    found = re.search(rb"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})", answer)
    if not found:
        return None
    red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in found.groups())
    return red, green, blue


def _luminance(colour: tuple[float, float, float]) -> float:
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _ask_terminal(timeout: float) -> tuple[float, float, float] | None:
    """Ask for the background and then for the device, which every terminal answers, so silence costs no waiting."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") in {"dumb", "linux"}:
        return None
    import termios
    import tty

    try:
        terminal = os.open(Path("/dev/tty"), os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return None
    try:
        if os.tcgetpgrp(terminal) != os.getpgrp():  # reading from the background would stop us
            return None
        before = termios.tcgetattr(terminal)
        try:
            tty.setcbreak(terminal, termios.TCSANOW)
            os.write(terminal, b"\x1b]11;?\x1b\\\x1b[c")
            return parse_answer(_read_answer(terminal, time.monotonic() + timeout))
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
    except (OSError, termios.error):
        return None
    finally:
        os.close(terminal)


def _read_answer(terminal: int, deadline: float) -> bytes:
    answer = b""
    while not re.search(rb"\x1b\[\?[0-9;]*c", answer) and (left := deadline - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            answer += os.read(terminal, 1024)
    return answer
