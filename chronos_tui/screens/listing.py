"""A table that is filtered as one types: what jobs and runs have in common. Which rows a filter finds is theirs."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Any, ClassVar

from textual import on

from chronos_tui.client.errors import WRONG_QUESTIONS, ServerError
from chronos_tui.messages import sentence
from chronos_tui.screens.desk import Desk
from chronos_tui.screens.verbs import RowVerbs
from chronos_tui.widgets.line_table import LineTable
from chronos_tui.widgets.prompt import Prompt

TYPING_S = 0.12
"""How long the filter waits for the next key."""
RESORT_S = 1.0
"""Membership and order are asked for at most so often."""


class Listing(RowVerbs):
    """One table under a filter. Escape clears the filter first, then goes back."""

    table_type: ClassVar[type[LineTable]] = LineTable

    def __init__(self, desk: Desk, **kwargs: Any) -> None:
        super().__init__(desk, **kwargs)
        self.filter = ""
        self.refused = ""
        """What the server says against the filter."""
        self._filter_before = ""
        self._filter_shown = ""

    @property
    def table(self) -> LineTable:
        return self.query_one(self.table_type)

    @property
    def settled(self) -> bool:
        return self._filter_shown == self.filter

    def crumbs(self) -> tuple[str, ...]:
        count = f"{self.name_in_crumbs} {self.counted()}" if self.composed and self.desk.ready else self.name_in_crumbs
        said = (f"/{self.filter}", self.refused) if self.filter else ()
        return tuple(filter(None, (self.desk.place, count, *said)))

    def counted(self) -> str:
        """Return how many rows there are."""
        return str(self.table.total)

    @abstractmethod
    async def read_rows(self) -> None:
        """Read and show what the filter finds, unless it is another by then. Raises ServerError and Unreachable."""

    def show_nothing(self) -> None:
        """Show no rows: nothing can be found by this filter."""
        self.table.set_rows([])

    def on_mount(self) -> None:
        super().on_mount()
        self.table.focus()

    def focus_body(self) -> None:
        self.table.focus()

    def second(self) -> None:
        self.table.repaint_cells()

    def greyed(self, *, stale: bool) -> None:
        self.table.stale = stale

    async def read(self) -> None:
        wanted, refused = self.filter, ""
        try:
            await self.read_rows()
        except ServerError as error:
            if not wanted or error.status not in WRONG_QUESTIONS:
                raise
            refused = sentence(error)
        if wanted != self.filter:
            return
        self._filter_shown, self.refused = wanted, refused
        if refused:
            self.show_nothing()
        self.show_place()

    def set_filter(self, text: str) -> None:
        """Show the rows that a filter finds."""
        if text.strip() == self.filter:
            return
        self.filter, self.refused = text.strip(), ""
        if not self.composed:
            return
        self.table.unmark()
        self.show_place()
        if self.desk.ready:
            self.attempt(self._read_soon)

    async def _read_soon(self) -> None:
        await asyncio.sleep(TYPING_S)
        await self.refresh_rows()

    def action_filter(self) -> None:
        self._filter_before = self.filter
        self.open_prompt("/", self.filter)

    @on(Prompt.Changed)
    @on(Prompt.Submitted)
    def _typed(self, event: Prompt.Changed | Prompt.Submitted) -> None:
        """Filter as one types; of what was typed ahead of the screen only the whole line with its Enter is heard."""
        if event.kind == "/":
            self.set_filter(event.text)

    @on(Prompt.Closed)
    def _typed_for_nothing(self, event: Prompt.Closed) -> None:
        if event.kind == "/":
            self.set_filter(self._filter_before)

    def action_back(self) -> None:
        """Clear the filter; without one, go back."""
        if self.filter:
            self.set_filter("")
        else:
            self.app.call_later(self.app.action_back)
