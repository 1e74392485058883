"""Keys: none that a terminal takes, none with two meanings, all of them rebindable."""

import pytest
from textual.binding import Binding

from chronos_tui import keymap


def test_no_default_key_is_one_that_a_terminal_takes() -> None:
    refused = {a.id: r for a in keymap.ACTIONS.values() for k in keymap.split(a.keys) if (r := keymap.refusal(k))}

    assert refused == {}


def test_no_default_key_means_two_things_in_one_place() -> None:
    assert keymap.clashes({}) == []


@pytest.mark.parametrize(
    "key", ["ctrl+a", "ctrl+b", "ctrl+s", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "ctrl+[", "ctrl+z", ""]
)
def test_a_key_that_never_arrives_can_not_be_bound(key: str) -> None:
    with pytest.raises(keymap.KeymapError):
        keymap.overrides({"row.run": key})


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"row.fly": "r"}, "no action"),
        ({"row.run": "ctrl+shift+a"}, "few terminals"),
        ({"row.run": "super+r"}, "few terminals"),
        ({"row.run": "x"}, "row.cancel"),
        ({"row.run": "j"}, "move.down"),
        ({"log.wrap": "1"}, "screen.overview"),
    ],
)
def test_a_rebinding_that_can_not_work_is_refused_with_a_reason(wanted, says) -> None:
    with pytest.raises(keymap.KeymapError, match=says):
        keymap.overrides(wanted)


def test_keys_may_change_places_in_one_go() -> None:
    wanted = {"row.run": "x", "row.cancel": "r"}

    assert keymap.overrides(wanted) == wanted


def test_bindings_carry_the_ids_by_which_they_are_rebound() -> None:
    made = keymap.bindings("move.*", "row.run", show=("row.run",))

    assert {b.id for b in made} == {a for a in keymap.ACTIONS if a.startswith("move.")} | {"row.run"}
    assert [b.id for b in made if b.show] == ["row.run"]
    assert list(Binding.make_bindings(made))


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("escape,q", "Esc"),
        ("ctrl+p", "^p"),
        ("f1", "F1"),
        ("?", "?"),
        ("slash", "/"),
        ("G,end", "G"),
        ("asterisk", "*"),
    ],
)
def test_keys_are_shown_as_people_write_them(keys: str, shown: str) -> None:
    assert keymap.shown_key(keys) == shown
