"""Every action that has a key: its id, default keys, and words for the footer, the help and the palette.

Widgets and screens take their bindings from here by id; what an action does is theirs. Keys can be rebound by id. No
key is one that a terminal, tmux or screen takes for itself, and none needs a protocol that only some terminals have.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.binding import Binding

TAKEN = frozenset(f"ctrl+{key}" for key in ("a", "b", "s", "h", "i", "j", "m", "[", "left_square_bracket", "z"))
"""ctrl+a and ctrl+b belong to screen and tmux, ctrl+s and ctrl+z to the terminal; the others are keys in disguise."""


class KeymapError(ValueError):
    """A rebinding that cannot work, with the sentence for the user."""


@dataclass(frozen=True)
class Action:
    """One thing a key can do."""

    id: str
    """`scope.name`. Within a scope, and against the global ones, two actions never share a key."""
    keys: str
    """Comma separated, as Textual names them; the first is the one shown."""
    words: str
    """For the footer: one or two words."""
    does: str
    """The Textual action, `action_<does>` on the widget, screen or app that binds it."""
    help: str = ""
    """One line for the help; the words when empty."""
    priority: bool = False
    """Done before the next key is handed on: also while a text field has the focus, unless `check_action` gives way."""

    @property
    def scope(self) -> str:
        return self.id.partition(".")[0]


GLOBAL = frozenset({"app", "screen"})
"""Scopes whose keys work everywhere, so that no other scope may use them."""

EVERYWHERE = ("screen.*", "app.*")
"""What the app binds, and the help lists for every place."""

PLACES = dict.fromkeys(("row", "list", "move", "mark", "sort", "tabs", "insight"), "table")
PLACES |= dict.fromkeys(GLOBAL, "everywhere")
"""Scopes that are bound together; another scope is a place of its own."""

SCREENS = {
    "overview": "the overview",
    "jobs": "all jobs",
    "job": "the job last looked at",
    "executions": "all runs",
    "run": "the run last looked at",
    "log": "the log of that run",
    "insights": "what was found in how jobs run",
}

ACTIONS: dict[str, Action] = {
    action.id: action
    for action in (
        *(
            Action(f"screen.{name}", str(number), name, f"go('{name}')", does)
            for number, (name, does) in enumerate(SCREENS.items(), start=1)
        ),
        Action("app.command", ":", "command", "command", "type a command", priority=True),
        Action("app.palette", "ctrl+p", "palette", "command_palette", "search all commands", priority=True),
        Action("app.ask", "a", "ask", "ask", "ask something about the jobs"),
        Action("app.back", "escape", "back", "back", "close, or go back"),
        Action("app.help", "?,f1", "help", "help", "all keys of this place"),
        Action("app.theme", "T,ctrl+t", "theme", "next_theme", "next theme: dark, light, high contrast"),
        Action("app.freeze", "F", "freeze", "freeze", "hold the picture still; events wait"),
        Action("app.reconnect", "R", "reconnect", "reconnect", "connect again now"),
        Action("app.next_pane", "tab", "next pane", "app.focus_next", "go to the next pane"),
        Action("app.previous_pane", "shift+tab", "previous pane", "app.focus_previous", "go to the previous pane"),
        Action("tabs.previous", "[", "previous tab", "previous_tab"),
        Action("tabs.next", "]", "next tab", "next_tab"),
        Action("app.quit", "ctrl+q", "quit", "quit", "leave; jobs go on", priority=True),
        Action("move.down", "j,down", "down", "cursor_down"),
        Action("move.up", "k,up", "up", "cursor_up"),
        Action("move.first", "g,home", "first", "cursor_first", "first row"),
        Action("move.last", "G,end", "last", "cursor_last", "last row"),
        Action("move.page_down", "pagedown", "page down", "page_down"),
        Action("move.page_up", "pageup", "page up", "page_up"),
        Action("table.open", "enter", "open", "choose", "open the row"),
        Action("mark.row", "space", "mark", "mark", "mark the row"),
        Action("mark.range", "V", "mark range", "mark_range", "mark from the last mark to here"),
        Action("mark.all", "*", "mark all", "mark_all", "mark all rows, or none"),
        Action("sort.next", "o", "sort", "sort", "sort by the next column"),
        Action("sort.reverse", "O", "reverse", "reverse", "turn the order round"),
        Action("list.filter", "/", "filter", "filter", "filter as you type", priority=True),
        Action("row.run", "r", "run", "run_job", "run now"),
        Action("row.cancel", "x", "cancel", "cancel", "cancel the run"),
        Action("row.pause", "p", "pause", "pause", "pause or resume"),
        Action("row.edit", "e", "edit", "edit", "edit in a form"),
        Action("row.log", "l", "log", "log", "open its log"),
        Action("row.delete", "D", "delete", "delete", "delete, after typing its name"),
        Action("row.clone", "c", "clone", "clone", "make a copy to edit"),
        Action("row.copy", "y", "copy", "copy", "copy its name"),
        Action("row.copy_all", "Y", "copy all", "copy_all", "copy the whole row"),
        Action("row.why", "w", "why", "why", "why it will run, waits or failed"),
        Action("insight.panel", "i", "insights", "insights", "show or hide what was found of the job under the cursor"),
        Action("insight.apply", "A", "apply", "apply", "make the change that it proposes"),
        Action("insight.dismiss", "X", "dismiss", "reject", "dismiss it, with a reason"),
        Action("insight.accept", "v", "accept", "accept", "it is true; nothing is changed by that"),
        Action("insight.snooze", "s", "snooze", "snooze", "not before tomorrow"),
        Action("insight.expected", "b", "usual now", "expected", "dismiss it: what was odd is usual from now on"),
        Action("insight.undo", "u", "undo", "undo", "take back what was applied"),
        Action("log.down", "j,down", "down", "line_down"),
        Action("log.up", "k,up", "up", "line_up"),
        Action("log.left", "left", "left", "line_left"),
        Action("log.right", "right", "right", "line_right"),
        Action("log.first", "g,home", "first", "first_line", "oldest line"),
        Action("log.last", "G,end", "last", "last_line", "newest line, and follow"),
        Action("log.page_down", "pagedown,space", "page down", "page_down"),
        Action("log.page_up", "pageup", "page up", "page_up"),
        Action("log.follow", "f", "follow", "follow", "follow new lines, or stop"),
        Action("log.wrap", "w", "wrap", "wrap", "wrap long lines, or cut them"),
        Action("log.times", "t", "times", "times", "show or hide the time of each line"),
        Action("log.fold", "z", "fold", "fold", "fold the ::group at the top, or open it"),
        Action("log.fold_all", "Z", "fold all", "fold_all", "fold all groups, or open all"),
        Action("log.search", "/", "search", "search", "search in the log"),
        Action("log.at", "@", "at a time", "go_to_time", "go to what was written at a time"),
        Action("log.next", "n", "next", "next_match", "next match"),
        Action("log.previous", "N", "previous", "previous_match", "previous match"),
    )
}


def bindings(*ids: str, show: Iterable[str] = ()) -> list["Binding"]:
    """Return Textual bindings for these actions, in this order; `scope.*` stands for a whole scope.

    Those in `show` may appear in the footer; the others work and are listed in the help.
    """
    from textual.binding import Binding

    shown = set(show)
    return [
        Binding(a.keys, a.does, a.words, show=a.id in shown, id=a.id, priority=a.priority, tooltip=a.help)
        for a in actions(*ids)
    ]


def actions(*ids: str) -> list[Action]:
    """Return these actions in this order; `scope.*` stands for a whole scope. Raises KeyError for an unknown id."""
    found: list[Action] = []
    for wanted in ids:
        scope, _, name = wanted.partition(".")
        found += [a for a in ACTIONS.values() if a.scope == scope] if name == "*" else [ACTIONS[wanted]]
    return found


def overrides(wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the user's rebindings, checked, for `App.set_keymap`.

    Raises KeymapError for an unknown action, a key that is taken, or a key that would mean two things in one place.
    """
    for action, keys in wanted.items():
        if action not in ACTIONS:
            raise KeymapError(f"there is no action '{action}'")
        for key in split(keys):
            if problem := refusal(key):
                raise KeymapError(f"{action}: {problem}")
    if clash := next(iter(clashes(wanted)), ""):
        raise KeymapError(clash)
    return dict(wanted)


def split(keys: str) -> list[str]:
    """Return the keys of a comma separated list."""
    return [key.strip() for key in keys.split(",")]


def refusal(key: str) -> str:
    """Return why `key` can not be bound, or nothing."""
    if not key:
        return "an empty key"
    if key.lower() in TAKEN:
        return f"{key} never reaches us, or means another key, in a terminal"
    modifiers = set(key.split("+")[:-1]) if len(key) > 1 else set()
    if modifiers & {"super", "hyper", "meta"} or {"ctrl", "shift"} <= modifiers:
        return f"{key} works in a few terminals only"
    return ""


def clashes(wanted: Mapping[str, str]) -> list[str]:
    """Return a sentence for each key that would mean two things in one place, or in a place and everywhere."""
    owners: dict[tuple[str, str], str] = {}
    problems = []
    for action in sorted(ACTIONS.values(), key=lambda a: a.scope not in GLOBAL):
        for key in split(wanted.get(action.id, action.keys)):
            place = PLACES.get(action.scope, action.scope)
            owner = owners.get(("everywhere", key)) or owners.setdefault((place, key), action.id)
            if owner != action.id:
                problems.append(f"{key} would mean both {owner} and {action.id}")
    return problems


_GLYPHS = {
    "escape": "Esc", "enter": "Enter", "space": "Space", "tab": "Tab", "shift+tab": "S-Tab", "pagedown": "PgDn",
    "pageup": "PgUp", "up": "Up", "down": "Down", "left": "Left", "right": "Right", "home": "Home", "end": "End",
}  # fmt: skip


def shown_key(keys: str) -> str:
    """Return the first of `keys` as people write it: `Esc`, `^p`, `F1`, `/`."""
    from textual.keys import format_key

    key = split(keys)[0]
    if key.startswith("ctrl+"):
        return f"^{key[5:]}"
    if key[0] == "f" and key[1:].isdigit():
        return key.upper()
    return _GLYPHS.get(key) or format_key(key)
