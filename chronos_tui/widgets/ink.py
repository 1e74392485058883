"""Turn a theme's tokens into the styles a line is drawn with. Which tokens there are is decided in `theme`."""

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.widget import Widget

from chronos_tui.theme import GROUND_TOKENS

STAND_INS = {
    "accent": "accent", "title": "foreground", "ok": "success", "running": "primary", "failed": "error",
    "paused": "secondary", "late": "warning", "blocked": "warning", "stderr": "error", "mark": "accent",
    "match": "warning", "match-text": "background", "cursor": "primary-muted", "cursor-idle": "panel",
    "border": "primary", "background": "background", "surface": "surface", "panel": "panel",
}  # fmt: skip
"""What a theme that is not ours offers instead; the foreground where nothing is named."""


class Ink:
    """The styles of one widget. Remembers each until the theme changes."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._variables: dict[str, str] | None = None
        self._styles: dict[tuple[str, str], Style] = {}

    def __call__(self, tone: str, ground: str = "") -> Style:
        """Return the style of `tone`, upon the ground tone if one is named, else upon what the widget has."""
        if self._variables is not self._widget.app.theme_variables:
            self._variables = self._widget.app.theme_variables
            self._styles.clear()
        style = self._styles.get((tone, ground))
        if style is None:
            style = self._styles[tone, ground] = self._make(tone, ground)
        return style

    def _make(self, tone: str, ground: str) -> Style:
        style = Style(color=self._colour(tone).rich_color) + self._attributes(tone)
        if ground:
            return style + Style(bgcolor=self._colour(ground).rich_color) + self._attributes(ground)
        own = self._widget.background_colors[1]  # unless it is said, the terminal's own shows through
        return Style(bgcolor=own.rich_color) + style

    def _colour(self, tone: str) -> Color:
        variables = self._variables or {}
        value = variables.get(f"cs-{tone}")
        if value is None and self._foreign_ansi and tone in GROUND_TOKENS:
            value = "ansi_default"
        value = value or variables.get(STAND_INS.get(tone, ""), "") or variables.get("foreground", "ansi_default")
        return Color.parse(value.partition(" ")[0])  # without a share such as "50%", which is for CSS

    def _attributes(self, tone: str) -> Style:
        attributes = (self._variables or {}).get(f"cs-{tone}-style", "")
        return Style.parse("reverse" if self._foreign_ansi and tone == "cursor" else attributes)

    @property
    def _foreign_ansi(self) -> bool:
        """Whether the theme is one of sixteen colours and not ours, so that no ground differs from another."""
        return self._widget.app.current_theme.ansi and "cs-cursor" not in (self._variables or {})

    def segment(self, text: str, tone: str = "text", ground: str = "") -> Segment:
        """Return `text` in the style of `tone`."""
        return Segment(text, self(tone, ground))


def ascii_only(widget: Widget) -> bool:
    """Say whether the app was asked to draw with ASCII alone (its attribute `ascii_only`)."""
    return bool(getattr(widget.app, "ascii_only", False))
