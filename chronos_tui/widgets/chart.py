"""Charts of numbers over time. They draw what they are given; what it means and where it comes from is not theirs."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from chronos_tui.format import cells, count
from chronos_tui.widgets import braille
from chronos_tui.widgets.braille import Value
from chronos_tui.widgets.ink import Ink, ascii_only

LEAST_FOR_LABELS = 24  # cells; narrower charts have no scale


class Chart(Widget):
    """A line or an area over time, the newest at the right, with the scale at the left."""

    DEFAULT_CSS = "Chart { height: 6; min-height: 1; background: $background; }"

    def __init__(
        self,
        values: Sequence[Value] = (),
        *,
        label: Callable[[float], str] = count,
        style: Literal["line", "area"] = "line",
        tone: str = "accent",
        limits: tuple[float, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """`label` writes a value of the scale; without `limits` the scale follows the values."""
        super().__init__(**kwargs)
        self._values = list(values)
        self._label, self._style, self._tone, self._limits = label, style, tone, limits
        self._rows: list[tuple[str, str]] = []
        self._ink = Ink(self)

    def show(self, values: Sequence[Value]) -> None:
        """Draw other values; only rows that differ are repainted."""
        self._values = list(values)
        before, self._rows = self._rows, self._make()
        if len(before) != len(self._rows):
            self.refresh()
            return
        lines = [y for y, (one, two) in enumerate(zip(before, self._rows, strict=True)) if one != two]
        if lines:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in lines))

    def relabel(self, label: Callable[[float], str], limits: tuple[float, float] | None = None) -> None:
        """Write the scale of another figure from now on."""
        self._label, self._limits = label, limits

    def on_resize(self) -> None:
        self._rows = self._make()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        if y >= len(self._rows):
            return Strip.blank(self.size.width, self._ink("text"))
        label, dots = self._rows[y]
        segments = [self._ink.segment(label, "muted"), self._ink.segment(dots, self._tone)]
        return Strip(segments).adjust_cell_length(self.size.width, self._ink("text"))

    def _make(self) -> list[tuple[str, str]]:
        """Return the label and the dots of each row."""
        width, height = self.size
        if not width or not height:
            return []
        low, high = self._limits or braille.scale(self._values)
        labels = [""] * height
        if width >= LEAST_FOR_LABELS:
            labels[0] = self._label(high)
            if height > 1:
                labels[-1] = self._label(low)
        room = max(map(cells, labels))
        margin = room + 1 if room else 0
        rows = braille.chart(
            self._values, width - margin, height, low=low, high=high, style=self._style, ascii_only=ascii_only(self)
        )
        return [(f"{label:>{room}} "[:margin], row) for label, row in zip(labels, rows, strict=True)]


class Sparkline(Widget):
    """One row of bars."""

    DEFAULT_CSS = "Sparkline { height: 1; width: 1fr; background: $background; }"

    def __init__(self, values: Sequence[Value] = (), *, tone: str = "accent", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._values, self._tone = list(values), tone
        self._ink = Ink(self)

    def show(self, values: Sequence[Value]) -> None:
        """Draw other values."""
        if list(values) != self._values:
            self._values = list(values)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        bars = braille.sparkline(self._values, width, ascii_only=ascii_only(self)) if y == 0 else ""
        return Strip([self._ink.segment(bars, self._tone)]).adjust_cell_length(width, self._ink("text"))


class OutcomeStrip(Widget):
    """The latest runs, one glyph each, the newest at the right."""

    DEFAULT_CSS = "OutcomeStrip { height: 1; width: 24; background: $background; }"

    def __init__(self, states: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._states = list(states)
        self._ink = Ink(self)

    def show(self, states: Sequence[str]) -> None:
        """Show other runs, oldest first."""
        if list(states) != self._states:
            self._states = list(states)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        glyphs = braille.outcomes(self._states, width, ascii_only=ascii_only(self)) if y == 0 else []
        segments = [Segment(glyph, self._ink(tone)) for glyph, tone in glyphs]
        return Strip(segments).adjust_cell_length(width, self._ink("text"))
