"""What surrounds a screen: header, footer, prompt, tiles, questions, help."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot

from chronos_tui import keymap
from chronos_tui.theme import themes
from chronos_tui.widgets.columns import Column
from chronos_tui.widgets.confirm import Confirm, TypedConfirm
from chronos_tui.widgets.footer import Footer
from chronos_tui.widgets.header import Connection, Header
from chronos_tui.widgets.help import Help
from chronos_tui.widgets.line_table import LineTable
from chronos_tui.widgets.prompt import Prompt, typing
from chronos_tui.widgets.tiles import Tile
from tests.support.screen import metered, picture


class FrameApp(App[object]):
    BINDINGS = keymap.bindings("app.help", "list.filter", "row.run", "row.log", show=("row.run", "row.log"))

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Message] = []
        self.answer: bool | None = None
        self.ran = False

    def compose(self) -> ComposeResult:
        yield Header(("prod", "jobs", "nightly-report"))
        yield Tile("Running", id="running")
        yield LineTable([Column("name", "Name", 10)])
        yield Prompt()
        yield Footer()

    def on_mount(self) -> None:
        for theme in themes():
            self.register_theme(theme)
        self.theme = "chronos-dark"
        self.query_one(LineTable).focus()

    def on_prompt_changed(self, message: Prompt.Changed) -> None:
        self.heard.append(message)

    def on_prompt_submitted(self, message: Prompt.Submitted) -> None:
        self.heard.append(message)

    def on_prompt_closed(self, message: Prompt.Closed) -> None:
        self.heard.append(message)

    def on_tile_chosen(self, message: Tile.Chosen) -> None:
        self.heard.append(message)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 -- Textual's
        return not (action == "filter" and typing(self))

    def action_filter(self) -> None:
        self.query_one(Prompt).open("/")

    def action_run_job(self) -> None:
        self.ran = True

    def ask(self, question: Confirm | TypedConfirm) -> None:
        self.push_screen(question, lambda answer: setattr(self, "answer", answer))


@asynccontextmanager
async def shown(size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[FrameApp, Pilot[object]]]:
    app = FrameApp()
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        (Connection("live", 42), "● live 42ms"),
        (Connection("reconnecting"), "◌ reconnecting"),
        (Connection("stale"), "✖ stale"),
        (Connection("connecting"), "◌ connecting"),
    ],
)
async def test_the_header_says_in_words_how_the_daemon_is_heard(connection: Connection, words: str) -> None:
    async with shown() as (app, pilot):
        app.query_one(Header).show(connection=connection)
        app.query_one(Header).tick(datetime(2026, 7, 31, 10, 4, 31, tzinfo=UTC), ZoneInfo("Europe/Zurich"))
        await pilot.pause()

        assert picture(app)[0] == f" prod › jobs › nightly-report{f'{words}  12:04:31 CEST ':>51}".rstrip()


async def test_a_narrow_header_keeps_the_last_crumb_and_the_connection() -> None:
    async with shown((40, 10)) as (app, pilot):
        app.query_one(Header).show(
            connection=Connection("stale"), crumbs=("prod", "jobs", "a-job-with-a-very-long-name")
        )
        await pilot.pause()

        assert picture(app)[0].startswith(" a-job-with-a-very-long-")
        assert picture(app)[0].endswith("✖ stale")


async def test_a_header_told_nothing_new_writes_nothing() -> None:
    async with shown() as (app, pilot):
        header, now = app.query_one(Header), datetime(2026, 7, 31, tzinfo=UTC)
        header.tick(now, UTC)
        await pilot.pause()
        meter = metered(app)

        header.tick(now, UTC)
        header.show(crumbs=("prod", "jobs", "nightly-report"))
        await pilot.pause()

        assert meter.take() == ""


async def test_the_footer_lists_the_keys_of_the_focused_pane_and_help_last() -> None:
    async with shown() as (app, pilot):
        in_table = picture(app)[-1]
        app.query_one(Tile).focus()
        await pilot.pause()

        assert in_table == " Enter open  r run  l log  ? help"
        assert picture(app)[-1] == " Enter open  r run  l log  ? help"


async def test_a_narrow_footer_drops_whole_keys_but_never_help() -> None:
    async with shown((26, 10)) as (app, _pilot):
        assert picture(app)[-1] == " Enter open  ? help"


async def test_a_rebound_key_is_the_one_that_is_shown_and_works() -> None:
    async with shown() as (app, pilot):
        app.set_keymap(keymap.overrides({"row.run": "ctrl+r"}))
        await pilot.pause()

        assert "^r run" in picture(app)[-1]


async def test_while_typing_the_footer_lists_no_key_that_would_be_typed() -> None:
    async with shown() as (app, pilot):
        app.query_one(Prompt).open(":")
        await pilot.pause()

        assert picture(app)[-1] == " Esc close  F1 help"


async def test_the_prompt_is_there_only_while_open_and_tells_what_is_typed() -> None:
    async with shown() as (app, pilot):
        closed = picture(app)[-2]
        app.query_one(Prompt).open("/")
        await pilot.press("d", "b")
        await pilot.pause()
        opened = picture(app)[-2]
        await pilot.press("enter")
        await pilot.pause()

        assert (closed.strip(), opened) == ("", "/ db")
        assert [type(m).__name__ for m in app.heard] == ["Changed", "Changed", "Submitted"]
        assert picture(app)[-2].strip() == ""


async def test_what_is_typed_ahead_lands_in_the_line_and_does_not_act_on_rows() -> None:
    async with shown() as (app, pilot):
        for character in "/r/":
            app.post_message(events.Key("slash" if character == "/" else character, character))
        await pilot.pause()

        assert picture(app)[-2] == "/ r/"
        assert not app.ran


async def test_the_prompt_remembers_each_kind_of_line_by_itself() -> None:
    async with shown() as (app, pilot):
        prompt = app.query_one(Prompt)
        for kind, keys in ((":", ["o", "n", "e"]), (":", ["t", "w", "o"]), ("/", ["x"])):
            prompt.open(kind)
            await pilot.press(*keys, "enter")
        prompt.open(":", "draft")
        await pilot.pause()
        seen = []
        for key in ("up", "up", "up", "down", "down"):
            await pilot.press(key)
            seen.append(picture(app)[-2])

        assert seen == [": two", ": one", ": one", ": two", ": draft"]


async def test_escape_closes_the_prompt_and_says_so() -> None:
    async with shown() as (app, pilot):
        app.query_one(Prompt).open("/", "old")
        await pilot.press("escape")
        await pilot.pause()

        assert [type(m).__name__ for m in app.heard] == ["Closed"]
        assert not app.query_one(Prompt).is_open


async def test_a_tile_shows_its_figure_and_opens_on_enter() -> None:
    async with shown() as (app, pilot):
        tile = app.query_one(Tile)
        tile.show("3", tone="failed", note="of 812", values=[1, 2, 3])
        tile.focus()
        await pilot.press("enter")
        await pilot.pause()
        lines = picture(app)[1:4]

        assert lines[0].endswith("Running")
        assert lines[1] == "▌ 3 of 812"
        assert lines[2].startswith("▌ ▁")
        assert len(app.heard) == 1


@pytest.mark.parametrize(("key", "answer"), [("y", True), ("n", False), ("escape", False)])
async def test_a_question_is_answered_by_one_key(key: str, answer: bool) -> None:
    async with shown() as (app, pilot):
        app.ask(Confirm("Cancel run [b]8812[/b]?", "It has run for 4m."))
        await pilot.pause()
        asked = "\n".join(picture(app))
        await pilot.press(key)
        await pilot.pause()

        assert "Cancel run [b]8812[/b]?" in asked
        assert app.answer is answer


async def test_a_deletion_goes_on_only_when_the_name_is_typed_exactly() -> None:
    async with shown((40, 10)) as (app, pilot):
        app.ask(TypedConfirm("Delete db?", "db", "Its 812 runs go with it."))
        await pilot.pause()
        await pilot.press("d", "enter")
        await pilot.pause()
        wrong = (app.answer, "\n".join(picture(app)))
        await pilot.press("b", "enter")
        await pilot.pause()

        assert wrong[0] is None
        assert "another name" in wrong[1]
        assert app.answer is True


async def test_help_lists_every_key_of_a_place_as_rebound() -> None:
    async with shown((80, 40)) as (app, pilot):
        app.push_screen(Help([("Rows", ["row.*"]), ("Everywhere", ["app.quit"])], {"row.run": "ctrl+r"}))
        await pilot.pause()
        text = "\n".join(picture(app))
        await pilot.press("escape")
        await pilot.pause()

        assert "^r          run now" in text
        assert all(a.help in text for a in keymap.actions("row.*"))
        assert not isinstance(app.screen, Help)
