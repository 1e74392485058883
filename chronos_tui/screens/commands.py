"""What can be typed after `:` and found in the palette: one list for both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.command import DiscoveryHit, Hit, Hits, Provider

from chronos_tui import theme
from chronos_tui.messages import OpenJob, OpenList, OpenLog, OpenRun
from chronos_tui.screens.desk import Desk
from chronos_tui.screens.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Command:
    """One command: its names, what it does, and the action it is; one with an argument is not in the palette."""

    names: tuple[str, ...]
    words: str
    action: str = ""
    takes: str = ""


COMMANDS = (
    Command(("overview", "o"), "Open the overview", "go('overview')"),
    Command(("jobs", "j"), "List jobs, filtered if words follow", "go('jobs')", takes="[FILTER]"),
    Command(
        ("runs", "executions", "ex"), "List runs, with a filter if one follows", "go('executions')", takes="[FILTER]"
    ),
    Command(("insights",), "List what was found in runs, with a filter", "go('insights')", takes="[FILTER]"),
    Command(("job",), "Open a job by name", takes="NAME"),
    Command(("run",), "Open a run by number", takes="NUMBER"),
    Command(("log",), "Open the log of a run by number", takes="NUMBER"),
    Command(("ask",), "Answer a question about the jobs", "ask", takes="QUESTION"),
    Command(("new", "add"), "Make a new job", "new_job"),
    Command(("theme",), "Change the theme: the next, or the one named", "next_theme", takes="[NAME]"),
    Command(("freeze",), "Hold the picture still, or let it go on", "freeze"),
    Command(("reconnect",), "Connect again now", "reconnect"),
    Command(("help", "keys", "h"), "All keys of this place", "help"),
    Command(("back",), "Close, or go back", "back"),
    Command(("quit", "q", "q!", "exit"), "Leave; jobs go on", "quit"),
)
MOST_DIGITS = 15
"""Of a run's number; the API takes no longer one."""
ROW_ACTIONS = {
    "run now": "run_job", "cancel": "cancel", "pause or resume": "pause", "edit": "edit", "clone": "clone",
    "delete": "delete", "open the log": "log", "why": "why", "copy the name": "copy", "filter": "filter",
    "insights": "insights", "apply": "apply", "dismiss": "reject", "accept": "accept", "snooze": "snooze",
    "undo": "undo",
}  # fmt: skip
"""In the palette where the screen knows them."""


def find(name: str) -> Command | None:
    """Return a command by name or alias, or by a beginning that only one has."""
    exact = next((command for command in COMMANDS if name in command.names), None)
    begun = [command for command in COMMANDS if any(each.startswith(name) for each in command.names)]
    return exact or (begun[0] if len(begun) == 1 else None)


def perform(app: App[Any], desk: Desk, text: str) -> None:
    """Do what was typed; say so if it means nothing."""
    name, _, rest = text.strip().removeprefix(":").strip().partition(" ")
    rest = rest.strip()
    command = find(name.lower())
    if command is None:
        app.notify(f"There is no command {name!r}; ctrl+p lists all.", severity="warning", timeout=4, markup=False)
    elif rest and command.takes:
        _with_argument(app, desk, command.names[0], rest)
    elif command.action:
        app.call_later(app.screen.run_action, _resolved(app, command.action))
    else:
        app.notify(f":{name} needs {command.takes}", severity="warning", timeout=4, markup=False)


def _with_argument(app: App[Any], desk: Desk, name: str, rest: str) -> None:
    screen = app.screen
    if name in {"run", "log"}:
        if not (rest.isascii() and rest.isdecimal() and len(rest) <= MOST_DIGITS):
            app.notify(f"{rest!r} is no number of a run", severity="warning", timeout=4, markup=False)
            return
        screen.post_message(OpenRun(int(rest)) if name == "run" else OpenLog(int(rest)))
    elif name in {"jobs", "runs", "insights"}:
        screen.post_message(OpenList({"runs": "executions"}.get(name, name), rest))
    elif name == "job" and isinstance(screen, Frame) and desk.ready:
        screen.attempt(partial(_open_job, screen, rest))
    elif name == "ask" and desk.ready:
        from chronos_tui.screens.answer import Answer

        app.push_screen(Answer(desk, rest))
    elif name == "theme":
        _change_theme(app, rest)


async def _open_job(screen: Frame, name: str) -> None:
    job = await screen.desk.client.job(name)
    screen.desk.board.learn_job(job)
    screen.post_message(OpenJob(job.id))


def _change_theme(app: App[Any], name: str) -> None:
    wanted = name if name in theme.PALETTES else f"chronos-{name}"
    if wanted in theme.PALETTES:
        app.theme = wanted
    else:
        known = ", ".join(each.removeprefix("chronos-") for each in theme.PALETTES)
        app.notify(f"There is no theme {name!r}; there are {known}", severity="warning", timeout=6, markup=False)


def _resolved(app: App[Any], action: str) -> str:
    """Name the screen's action if it has one, else the app's."""
    own = getattr(app.screen, f"action_{action.partition('(')[0]}", None)
    return action if own is not None else f"app.{action}"


class CommandProvider(Provider):
    """The palette's list: commands, and the verbs of the screen one is on."""

    def _offers(self) -> Iterable[tuple[str, str, Callable[[], Any]]]:
        screen = self.screen
        for command in COMMANDS:
            if command.action:
                yield command.words, f":{command.names[0]}", partial(self._do, command.action)
        for words, action in ROW_ACTIONS.items():
            if hasattr(screen, f"action_{action}"):
                yield f"This row: {words}", "", partial(self._do, action)
        for name in theme.PALETTES:
            yield f"Theme: {name.removeprefix('chronos-')}", "", partial(_change_theme, self.app, name)

    def _do(self, action: str) -> None:
        self.app.call_later(self.screen.run_action, _resolved(self.app, action))

    async def discover(self) -> Hits:
        for words, help_text, callback in self._offers():
            yield DiscoveryHit(words, callback, help=help_text or None)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for words, help_text, callback in self._offers():
            if (score := matcher.match(f"{words} {help_text}")) > 0:
                yield Hit(score, matcher.highlight(words), callback, help=help_text or None)
