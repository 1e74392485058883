"""What a job prints, and what it is called, cannot act on the terminal of whoever looks: the real program in tmux."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from chronos_tui.client import calls
from tests.support.api import Api
from tests.support.daemon import DaemonHandle
from tests.support.terminal import Terminal, terminal

HOSTILE = (
    rb"\033]52;c;b3duZWQ=\007", rb"\033]0;owned\007", rb"\033]2;owned\033\\", rb"\033[2J\033[H", rb"\033[?1049h",
    rb"\033[31m", rb"\033P+q544e\033\\", rb"\302\2335m", rb"\302\235\060;owned\302\234",
    rb"\342\200\256drow", rb"\342\201\246",
    rb"\r\010\010\177", rb"[bold]no[/bold] [@click=app.quit]go[/] [/", rb"\000",
)  # fmt: skip
"""As printf takes it."""
FORBIDDEN = (
    b"\x1b]52", b"owned\x07", b"\x1b]0;owned", b"\x1b]2;owned", b"\x1bP+q", b"\xc2\x9b", b"\xc2\x9d", b"\xe2\x80\xae",
    b"\xe2\x81\xa6",
)  # fmt: skip
NAME = "[red]a[/] [@b=c]d"


@pytest.fixture(scope="module")
def run(api: Api) -> int:
    """A run that did its worst and failed, of a job that is named for it."""
    words = b"".join(HOSTILE).decode()
    text = f"printf 'before\\n{words}\\nwarm {words} words\\n::warning {words}\\n::progress 40 {words}\\nafter\\n'"
    job = api.create(f"{text}; {text} >&2; exit 3", name=NAME, description="[blink]look[/] [", tags=["x"])
    number = int(api.ask(calls.run_job(job["id"]))["id"])
    api.until_final(number)
    api.finished_log(number)
    return number


@pytest.fixture
def window(daemon: DaemonHandle) -> Iterator[Terminal]:
    """A shell in a terminal."""
    environ = {name: value for name, value in daemon.environ.items() if name != "NO_COLOR"}
    with terminal(["sh"], environ) as opened:
        opened.tmux("set-option", "-g", "set-clipboard", "on")
        opened.tmux("select-pane", "-t", "app", "-T", "mine")
        yield opened


def harmless(window: Terminal) -> None:
    """Nothing hostile reached the terminal, and nothing came of it."""
    written = window.output.read_bytes()
    assert [words for words in FORBIDDEN if words in written] == []
    assert window.tmux("display-message", "-p", "-t", "app", "#{pane_title}") != "owned\n"
    assert "owned" not in window.tmux("list-buffers")


def test_the_app_shows_it_as_plain_words(daemon: DaemonHandle, run: int, window: Terminal) -> None:
    window.type(f"{sys.executable} -m chronos_tui --state {daemon.state}\n")
    window.until("● live", "overview")
    for key, title in (("2", "jobs 1"), ("4", "runs 1")):
        window.press(key)
        window.until(title, NAME)
        harmless(window)
    window.press("Enter")
    window.until(f"run {run}", "exit code 3")
    window.press("l")
    window.until("before", "warm", "words", "after", "[bold]no[/bold] [@click=app.quit]go[/] [/")

    harmless(window)
    window.press("t")
    window.press("w")
    window.type("@")
    window.type("1h\n")
    window.until("before")
    window.press("Escape")
    window.press("Escape")
    window.until(NAME)
    harmless(window)


def test_verbs_print_it_as_plain_words(daemon: DaemonHandle, run: int, window: Terminal) -> None:
    program = f"{sys.executable} -m chronos_tui --state {daemon.state}"
    for number, (verb, wanted) in enumerate(
        (
            (f"log {run}", "words"),
            (f"log {run} --search warm --json", '"number"'),
            (f"log {run} --tail 4", "after"),
            ("search warm", "words"),
            ("job list", NAME),
            ("runs list", NAME),
            (f"run show {run}", "exit code 3"),
            (f"run show {run} --json", "exit_code"),
            (f"job show '{NAME}'", "[blink]look[/]"),
            ("events", "job"),
        )
    ):
        before = window.output.stat().st_size
        window.type(f"clear; {program} {verb}; echo en'd'ed-{number}-$?\n")
        window.until(f"ended-{number}-0")
        assert wanted.encode() in window.output.read_bytes()[before:], verb
        harmless(window)


def test_raw_bytes_are_what_the_job_wrote(daemon: DaemonHandle, api: Api, run: int) -> None:
    piped = daemon.chronos("log", str(run), "--raw", text=False)
    into = daemon.state / "out file"
    saved = daemon.chronos("log", str(run), "--stream", "stderr", "-o", str(into))

    assert piped.stdout == api.output(run)
    assert b"\x1b]52;c;b3duZWQ=\x07" in piped.stdout
    assert saved.returncode == 0, saved.stderr
    assert into.read_bytes() == api.output(run, "stderr")
