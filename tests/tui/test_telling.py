"""What a job can be told, in a form before it runs by hand."""

from __future__ import annotations

from chronos_tui.screens.telling import Telling
from tests.support.daemon import DaemonHandle, wait_until
from tests.tui.conftest import Driven

PRINTS = 'echo "$CHRONOS_PARAM_TO $CHRONOS_PARAM_N $(printf %s "$CHRONOS_PARAM_KEY" | wc -c)"'
DECLARED = (
    "to choice choices=test,live required -- Where to",
    "n integer default=3 max=9",
    "key string secret required",
)


async def test_a_run_by_hand_is_asked_what_it_is_told_and_one_like_it_is_told_the_same(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    flags = [part for text in DECLARED for part in ("--param", text)]
    made = shared_daemon.chronos("job", "add", "teller-by-hand", *flags, "--", PRINTS)
    assert made.returncode == 0, made.stderr
    await driven.press("2", "slash")
    await driven.type("teller-by-hand")
    await driven.until("jobs 1")
    await driven.press("enter", "r")
    await driven.until("Run teller-by-hand", "Where to", lambda: isinstance(driven.app.screen, Telling))

    await driven.press("enter")
    await driven.until("must be given")
    await driven.type("lif")
    await driven.until("must be one of test, live")
    await driven.press("backspace")
    await driven.type("ve")
    await driven.press("tab", "end", "9")
    await driven.until("is '39', and must be at most 9")
    await driven.press("home", "delete", "tab")
    await driven.type("sesame")
    assert "sesame" not in driven.text
    await driven.press("enter")

    await driven.until("teller-by-hand: run", "asked for")
    run = wait_until(lambda: shared_daemon.json("runs", "list", "--job", "teller-by-hand")["items"])[0]["id"]
    await driven.press("enter", "enter")
    await driven.until(f"run {run}", "told", "to=live", "key=(secret)", "live 9 6")
    await driven.press("r")
    await driven.until(f"as run {run} was told", lambda: isinstance(driven.app.screen, Telling))
    await driven.press("tab", "end", "backspace", "8", "enter")
    await driven.until("teller-by-hand: run", "asked for")
    again = wait_until(
        lambda: [
            each for each in shared_daemon.json("runs", "list", "--job", "teller-by-hand")["items"] if each["id"] != run
        ]
    )
    wait_until(lambda: "live 8 6" in shared_daemon.chronos("log", str(again[0]["id"])).stdout)
