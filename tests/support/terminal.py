"""The real program in a real terminal: a tmux server of its own, keys in, screen out, resized and counted."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

WAIT_SECONDS = 15.0


class Terminal:
    """One window running one command."""

    def __init__(self, socket: Path, output: Path) -> None:
        self._socket = socket
        self.output = output
        """Every byte the program wrote."""

    def tmux(self, *words: str) -> str:
        """Run a tmux command on this server and return what it printed."""
        done = subprocess.run(["tmux", "-S", str(self._socket), *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names, such as `Enter`, `Escape`, `j`."""
        self.tmux("send-keys", "-t", "app", *keys)

    def type(self, text: str) -> None:
        """Type text as it is."""
        self.tmux("send-keys", "-t", "app", "-l", text)

    def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        self.tmux("resize-window", "-t", "app", "-x", str(width), "-y", str(height))

    @property
    def lines(self) -> list[str]:
        """What stands on the screen now."""
        return self.tmux("capture-pane", "-p", "-t", "app").splitlines()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def until(self, *wanted: str, seconds: float = WAIT_SECONDS) -> float:
        """Wait until all texts stand on the screen at once; return how long that took."""
        began = time.monotonic()
        while not all(text in self.text for text in wanted):
            waited = time.monotonic() - began
            assert waited < seconds, f"no {wanted} after {seconds} s in:\n{self.text}"
            time.sleep(0.02)
        return time.monotonic() - began

    def until_gone(self, unwanted: str, seconds: float = WAIT_SECONDS) -> None:
        """Wait until a text no longer stands on the screen."""
        deadline = time.monotonic() + seconds
        while unwanted in self.text:
            assert time.monotonic() < deadline, f"{unwanted!r} is still there after {seconds} s:\n{self.text}"
            time.sleep(0.02)

    def row(self, name: str) -> str:
        """Return the first line that holds a text."""
        return next(line for line in self.lines if name in line)

    @property
    def ended(self) -> bool:
        """Whether the program has left."""
        return self.tmux("display-message", "-p", "-t", "app", "#{pane_dead}").strip() == "1"


@contextlib.contextmanager
def terminal(
    command: list[str], environ: Mapping[str, str], *, width: int = 120, height: int = 40
) -> Iterator[Terminal]:
    """Run a command in a terminal of this size, and end it with everything in it."""
    with tempfile.TemporaryDirectory(prefix="chronos-tmux-") as folder:
        window = Terminal(Path(folder) / "tmux.sock", Path(folder) / "output")
        window.output.touch()
        inner = {name: value for name, value in environ.items() if name not in {"TMUX", "TERM", "COLUMNS", "LINES"}}
        words = ["env", "-i", *(f"{name}={value}" for name, value in inner.items()), "TERM=tmux-256color", *command]
        start = ["-f", "/dev/null", "new-session", "-d", "-s", "app", "-x", str(width), "-y", str(height)]
        window.tmux(*start, "-e", f"PATH={os.environ['PATH']}", "sleep 86400")
        try:
            window.tmux("set-option", "-g", "remain-on-exit", "on")
            window.tmux("pipe-pane", "-t", "app", f"cat >> {shlex.quote(str(window.output))}")
            window.tmux("respawn-pane", "-k", "-t", "app", shlex.join(words))
            yield window
        finally:
            with contextlib.suppress(AssertionError):
                window.tmux("kill-server")
