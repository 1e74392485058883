"""The terminal app: paints first, connects then; takes what the feed hears and shows it ten times a second at most.

Which screen shows what is the screens' matter. Here: where one goes, what is heard, how the daemon is reached.
"""

from __future__ import annotations

import asyncio
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import App
from textual.binding import BindingType
from textual.screen import Screen
from textual.timer import Timer

from chronos_tui import keymap, messages, theme
from chronos_tui.client.errors import WRONG_QUESTIONS, ServerError
from chronos_tui.screens.commands import CommandProvider, perform
from chronos_tui.screens.desk import Desk, beside, local_zone, while_here
from chronos_tui.screens.frame import Frame
from chronos_tui.screens.overview import OverviewScreen
from chronos_tui.settings import Settings
from chronos_tui.widgets.header import Connection, Header
from chronos_tui.widgets.prompt import Prompt, typing

if TYPE_CHECKING:
    from chronos_tui.feed import Link
    from scheduler_daemon.contract.events import Event

FRAME_S = 0.1
"""Least time between two repaints caused by events."""
CYCLE = ("chronos-dark", "chronos-light", "chronos-contrast")
CYCLE_WITHOUT_COLOUR = ("chronos-ansi", "chronos-ansi-light")


class ChronosApp(App[None]):
    """Everything on screen."""

    TITLE = "Chronos Synapse"
    CSS_PATH = "app.tcss"
    COMMANDS: ClassVar[set[Any]] = {CommandProvider}
    BINDINGS: ClassVar[list[BindingType]] = list(keymap.bindings(*keymap.EVERYWHERE, show=("app.command",)))

    def __init__(self, settings: Settings, *, first_theme: str = "chronos-dark", ascii_only: bool = False) -> None:
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.settings = settings
        self.ascii_only = ascii_only
        self.desk = Desk(zone=local_zone(os.environ), place=_place(settings))
        self._first_theme = first_theme
        self._frame: Timer | None = None

    def get_default_screen(self) -> Screen[Any]:
        return OverviewScreen(self.desk)

    def on_mount(self) -> None:
        for each in theme.themes():
            self.register_theme(each)
        self.theme = self._first_theme
        self.set_interval(1, self._second)
        self.call_after_refresh(self._connect)

    def _connect(self) -> None:
        beside(self, self._serve, group="feed")

    async def _serve(self) -> None:
        """Import what speaks to the daemon, off the loop, and hear it until the app ends."""
        asyncio.get_running_loop().set_exception_handler(_overlook_late_readers)
        live = await asyncio.to_thread(import_module, "chronos_tui.client.live")
        feed = await asyncio.to_thread(import_module, "chronos_tui.feed")
        async with live.LiveClient(self.settings.server, self.settings.token) as client:
            self.desk.live = client
            self.desk.feed = feed.Feed(client, self)
            await self.desk.feed.run()

    # What the feed tells

    def heard(self, event: Event) -> None:
        if self.desk.board.apply(event) and self._frame is None:
            self._frame = self.set_timer(FRAME_S, self._show)

    def link_changed(self, link: Link) -> None:
        self.desk.connection = Connection(link.kind, link.delay_ms)
        for screen in self.frames:
            screen.query_one(Header).show(connection=self.desk.connection)
            screen.greyed(stale=self.desk.stale)

    async def snapshot(self) -> None:
        """Read what is on screen again; screens below do when they come up.

        What the server refuses, such as a job that is gone, is the screen's matter and says nothing of the feed.
        """
        if not self.frames or self.desk.frozen:
            return
        top = self.frames[-1]
        async with while_here(top):
            try:
                await top.refresh_rows()
            except ServerError as error:
                if error.status not in WRONG_QUESTIONS:
                    raise
                top.complain(error)

    # Showing

    @property
    def frames(self) -> list[Frame]:
        """The screens of the stack that are ours and whole, the top one last."""
        return [screen for screen in self.screen_stack if isinstance(screen, Frame) and screen.whole]

    def _show(self) -> None:
        self._frame = None
        if self.desk.frozen or not self.frames:
            return
        if dirty := self.desk.board.take_dirty():
            self.frames[-1].changed(dirty)

    def _second(self) -> None:
        if not self.frames:
            return
        top = self.frames[-1]
        top.query_one(Header).tick(self.desk.now(), self.desk.zone)
        if not self.desk.frozen:
            self._show()
            top.second()

    # Where one goes

    @on(messages.OpenJob)
    def _open_job(self, event: messages.OpenJob) -> None:
        from chronos_tui.screens.job import JobScreen

        self._show_one(JobScreen(self.desk, event.job_id))
        if event.window is not None and isinstance(self.screen, JobScreen):
            self.screen.look_at(event.window)

    @on(messages.OpenRun)
    def _open_run(self, event: messages.OpenRun) -> None:
        from chronos_tui.screens.run import RunScreen

        self._show_one(RunScreen(self.desk, event.run))

    @on(messages.OpenLog)
    def _open_log(self, event: messages.OpenLog) -> None:
        from chronos_tui.screens.log import LogScreen

        self._show_one(LogScreen(self.desk, event.run, event.job, event.line))
        if event.line is not None and isinstance(self.screen, LogScreen):
            self.screen.go_to(event.line)

    def _show_one(self, wanted: Frame) -> None:
        """Show a screen; where one of the same thing is open below, go back to that one."""
        same = next((frame for frame in self.frames if frame.shows_same(wanted)), None)
        if same is None:
            self.push_screen(wanted)
            return
        while self.screen is not same:
            self.pop_screen()

    @on(messages.OpenList)
    def _open_list(self, event: messages.OpenList) -> None:
        self.action_go(event.screen)
        if event.filter is not None and hasattr(self.screen, "set_filter"):
            self.screen.set_filter(event.filter)

    def action_go(self, name: str) -> None:
        """Go to a screen that has a number."""
        job, run = self.desk.job, self.desk.run
        if name in {"overview", "jobs", "executions", "insights"}:
            self._go_to_list(name)
        elif name == "job" and job is not None:
            self.post_message(messages.OpenJob(job.id))
        elif name == "run" and run is not None:
            self.post_message(messages.OpenRun(run.id))
        elif name == "log" and run is not None:
            self.post_message(messages.OpenLog(run.id, run.job))
        else:
            self.notify(f"Choose a {'job' if name == 'job' else 'run'} first: 2 lists jobs, 4 runs.", timeout=4)

    def _go_to_list(self, name: str) -> None:
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if name == "overview":
            return
        if name not in self._installed_screens:
            module = import_module(f"chronos_tui.screens.{name}")
            self.install_screen(getattr(module, f"{name.capitalize()}Screen")(self.desk), name)
        self.push_screen(name)

    async def action_back(self) -> None:
        """Close what is open, or go back to where one came from."""
        prompt = self.screen.query(Prompt)
        if prompt and prompt.first().is_open:
            prompt.first().action_close()
        elif len(self.screen_stack) > 1:
            self.pop_screen()
        else:
            self.notify("This is the first screen; ctrl+q leaves.", timeout=2)

    # What works everywhere

    async def action_quit(self) -> None:
        """Leave; what was typed into a form and not saved is asked about."""
        if any(getattr(screen, "unsaved", False) for screen in self.screen_stack):
            beside(self, self._quit_if_meant, group="quit")
        else:
            self.exit()

    async def _quit_if_meant(self) -> None:
        from chronos_tui.widgets.confirm import Confirm

        if not isinstance(self.screen, Confirm) and await self.push_screen_wait(Confirm("Leave without saving?")):
            self.exit()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "command":
            return not typing(self) and isinstance(self.screen, Frame)
        return super().check_action(action, parameters)

    def action_command(self) -> None:
        if isinstance(self.screen, Frame):
            self.screen.open_prompt(":")

    def action_ask(self) -> None:
        """Open the line for a question."""
        if isinstance(self.screen, Frame):
            self.screen.open_prompt(":", "ask ")

    @on(Prompt.Submitted)
    def _command(self, event: Prompt.Submitted) -> None:
        if event.kind == ":" and event.text.strip():
            perform(self, self.desk, event.text)

    def action_help(self) -> None:
        from chronos_tui.widgets.help import Help

        if isinstance(self.screen, Frame):
            self.push_screen(Help(self.screen.places()))

    def action_next_theme(self) -> None:
        cycle = CYCLE_WITHOUT_COLOUR if "NO_COLOR" in os.environ else CYCLE
        at = cycle.index(self.theme) if self.theme in cycle else -1
        self.theme = cycle[(at + 1) % len(cycle)]
        self.notify(f"Theme {self.theme.removeprefix('chronos-')}", timeout=2)

    def action_new_job(self) -> None:
        from chronos_tui.screens.form import JobForm

        if self.desk.ready:
            self.push_screen(JobForm.new(self.desk))

    def action_freeze(self) -> None:
        self.desk.frozen = not self.desk.frozen
        for screen in self.frames:
            screen.query_one(Header).show(frozen=self.desk.frozen)
        if self.frames and not self.desk.frozen:
            self._show()
            self.frames[-1].come_up()

    def action_reconnect(self) -> None:
        if self.desk.feed is not None:
            self.desk.feed.reconnect()


def _place(settings: Settings) -> str:
    """Return the server in a word."""
    if not settings.local and settings.server.host:
        return settings.server.host
    return os.uname().nodename.partition(".")[0]


def _overlook_late_readers(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of a socket that became readable just as its request was given up: httpx's sockets cause it."""
    if not isinstance(context.get("exception"), asyncio.InvalidStateError):
        loop.default_exception_handler(context)


def run_app(settings: Settings) -> None:
    """Open the terminal app on the server of `settings`, until the user leaves."""
    background = theme.detect_background()
    first = theme.choose(background, os.environ, os.environ.get("CHRONOS_THEME", ""))
    ChronosApp(settings, first_theme=first, ascii_only="CHRONOS_ASCII" in os.environ).run()
