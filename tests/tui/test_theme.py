"""Themes: readable by computation, complete, without colours where none are wanted, chosen by the terminal."""

import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from textual.color import Color

from chronos_tui import theme

ROOT = Path(__file__).parents[2]
COLOURED = [p for p in theme.PALETTES.values() if not p.ansi]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in Color.parse(colour).normalized]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", COLOURED, ids=lambda p: p.name)
def test_all_text_can_be_read_on_every_ground(palette: theme.Palette) -> None:
    least = 7.0 if palette is theme.CONTRAST else 4.5
    pairs = [(text, ground) for text in theme.TEXT_TOKENS for ground in theme.GROUND_TOKENS]

    weak = {
        pair: round(ratio, 2)
        for pair in [*pairs, *theme.PAIR_TOKENS.items()]
        if (ratio := contrast(palette.colours[pair[0]], palette.colours[pair[1]])) < least
    }

    assert weak == {}


def test_every_palette_names_every_token() -> None:
    names = {frozenset(p.colours) for p in theme.PALETTES.values()}

    assert len(names) == 1
    assert {*theme.TEXT_TOKENS, *theme.GROUND_TOKENS, *theme.PAIR_TOKENS, "border"} <= next(iter(names))


def test_no_colour_is_named_outside_the_themes() -> None:
    literal = re.compile(r"#[0-9a-fA-F]{6}\b|\bansi_(?!color\b)\w+|\brgb\(")

    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in (ROOT / "chronos_tui").rglob("*.*css")
        for line in path.read_text().splitlines()
        if literal.search(line)
    ] + [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in (ROOT / "chronos_tui").rglob("*.py")
        for line in path.read_text().splitlines()
        if path.name != "theme.py" and literal.search(line.replace('"ansi_default"', ""))
    ]

    assert found == []


@pytest.mark.parametrize(
    ("background", "environ", "wanted", "chosen"),
    [
        ("dark", {}, "", "chronos-dark"),
        ("light", {}, "", "chronos-light"),
        ("light", {}, "chronos-contrast", "chronos-contrast"),
        ("dark", {}, "gone", "chronos-dark"),
        ("light", {"NO_COLOR": "1"}, "chronos-dark", "chronos-ansi-light"),
    ],
)
def test_the_first_theme_follows_the_terminal(background, environ, wanted, chosen) -> None:
    assert theme.choose(background, environ, wanted) == chosen


@pytest.mark.parametrize(
    ("answer", "colour"),
    [
        (b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\", (1, 1, 1)),
        (b"\x1b]11;rgb:00/00/00\x07\x1b[?62c", (0, 0, 0)),
        (b"\x1b[?62;4c", None),
        (b"", None),
    ],
)
def test_answers_of_terminals_are_read(answer, colour) -> None:
    assert theme.parse_answer(answer) == colour


@pytest.mark.parametrize(
    ("answer", "environ", "found"),
    [
        (b"\x1b]11;rgb:fafa/fafa/f0f0\x1b\\\x1b[?62c", {}, "light"),
        (b"\x1b]11;rgb:1010/1010/1010\x07\x1b[?62c", {"COLORFGBG": "0;15"}, "dark"),
        (b"\x1b[?62c", {"COLORFGBG": "0;15"}, "light"),
        (b"", {"COLORFGBG": "15;0"}, "dark"),
    ],
)
def test_a_real_terminal_is_asked_for_its_background(answer, environ, found) -> None:
    ours, theirs = pty.openpty()
    script = (
        "import sys, chronos_tui.theme as theme; sys.stderr.write(theme.detect_background(0.25)); "
        "assert 'textual' not in sys.modules"
    )
    with subprocess.Popen(
        [sys.executable, "-c", f"import os, fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {script}"],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", **environ},
    ) as process:
        asked = _answer(ours, answer)
        _, said = process.communicate(timeout=20)
    os.close(theirs)
    os.close(ours)

    assert asked == b"\x1b]11;?\x1b\\\x1b[c"
    assert (said.decode(), process.returncode) == (found, 0)


def _answer(terminal: int, answer: bytes) -> bytes:
    """Read the question and answer it as a terminal would."""
    question = b""
    watchdog = threading.Timer(20, os.write, (terminal, b"\x04"))
    watchdog.start()
    while not question.endswith(b"\x1b[c"):
        question += os.read(terminal, 64)
    watchdog.cancel()
    os.write(terminal, answer)
    return question


def test_without_a_terminal_nothing_is_asked() -> None:
    assert theme.detect_background(environ={"COLORFGBG": "0;7"}) == "light"
    assert theme.detect_background(environ={}) == "dark"
