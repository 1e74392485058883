"""See what a terminal app would write and show, without a terminal."""

from textual.app import App
from textual.drivers.headless_driver import HeadlessDriver


class Meter(HeadlessDriver):
    """A terminal without a screen that keeps what was written to it."""

    written: list[str]

    @property
    def is_headless(self) -> bool:
        return False  # or Textual does not write at all

    def write(self, data: str) -> None:
        self.written.append(data)

    def take(self) -> str:
        """Return what was written since the last time."""
        taken = "".join(self.written)
        self.written.clear()
        return taken


def metered(app: App[object]) -> Meter:
    """Make a running test app write to a Meter."""
    driver = app._driver
    assert isinstance(driver, HeadlessDriver)
    driver.__class__ = Meter
    assert isinstance(driver, Meter)
    driver.written = []
    return driver


def picture(app: App[object]) -> list[str]:
    """Return the lines of text now on the screen, without what a scrollbar draws at the right edge."""
    lines = [strip.text for strip in app.screen._compositor.render_strips()]
    return [(line[:-1] if line[-1:] in "▁▂▃▄▅▆▇█" else line).rstrip() for line in lines]
