"""Our table beside Textual's DataTable, in one run: `python -m benchmarks.table`.

Ten thousand rows; the time to load them, to change one hundred visible ones, to turn the order round and to take a
hundred away; then a thousand events a second, fifty of them about rows in view, shown ten times a second, with the
delay of the event loop, the CPU used and the bytes written. Milliseconds depend on the machine; look at the ratios.
"""

import asyncio
import random
import statistics
import sys
import time
from collections.abc import Callable

from textual.app import App, ComposeResult
from textual.widgets import DataTable

from chronos_tui.theme import themes
from chronos_tui.widgets.columns import Column
from chronos_tui.widgets.line_table import Cell, LineTable, Row
from tests.support.screen import metered

ROWS, CHANGED, REMOVED = 10_000, 100, 100
EVENTS, FRAMES, SECONDS = 1_000, 10, 5
TITLES = ("State", "Name", "Owner", "Next", "Runs")
STATES = (("● ok", "ok"), ("▶ running", "running"), ("✖ failed", "failed"), ("… queued", "queued"))
Job = tuple[int, int, int]  # number, state, runs


class Ours(App[object]):
    """The rows in a LineTable."""

    def compose(self) -> ComposeResult:
        columns = [Column(t.lower(), t, 10, flex=int(t == "Name")) for t in TITLES]
        yield LineTable(columns, lambda job: [Cell(text, tone) for text, tone in _cells(job)])

    def on_mount(self) -> None:
        for theme in themes():
            self.register_theme(theme)
        self.theme = "chronos-dark"
        self.table = self.query_one(LineTable)
        self.table.focus()

    def load(self, jobs: list[Job]) -> None:
        self.table.set_rows([Row(job[0], job) for job in jobs])

    def change(self, jobs: list[Job]) -> None:
        self.table.update_rows({job[0]: job for job in jobs})

    def reverse(self) -> None:
        self.table.order(range(ROWS - 1, -1, -1))

    def drop(self, numbers: list[int]) -> None:
        self.table.remove_rows(numbers)


class Theirs(App[object]):
    """The rows in a DataTable, updated cell by cell as its documentation has it."""

    def compose(self) -> ComposeResult:
        yield DataTable(cursor_type="row")

    def on_mount(self) -> None:
        self.table: DataTable[str] = self.query_one(DataTable)
        for title in TITLES:
            self.table.add_column(title, key=title, width=20 if title == "Name" else 10)
        self.table.focus()

    def load(self, jobs: list[Job]) -> None:
        for job in jobs:
            self.table.add_row(*(text for text, _ in _cells(job)), key=str(job[0]))

    def change(self, jobs: list[Job]) -> None:
        for job in jobs:
            for title, (text, _) in zip(TITLES, _cells(job), strict=True):
                self.table.update_cell(str(job[0]), title, text)

    def reverse(self) -> None:
        self.table.sort("Name", reverse=True)

    def drop(self, numbers: list[int]) -> None:
        for number in numbers:
            self.table.remove_row(str(number))


def _cells(job: Job) -> list[tuple[str, str]]:
    number, state, runs = job
    return [STATES[state], (f"job-{number:05}", "text"), ("ann", "muted"), ("in 3m", "text"), (str(runs), "muted")]


async def measure(app: Ours | Theirs) -> dict[str, float]:
    """Return each figure by name: milliseconds, but for CPU (percent) and bytes (kB/s)."""
    async with app.run_test(size=(120, 40)) as pilot:
        meter = metered(app)
        jobs = [(n, n % 4, n) for n in range(ROWS)]
        figures = {}
        for name, work in (
            ("load 10,000 rows", lambda: app.load(jobs)),
            ("change 100 visible rows", lambda: app.change([(n, (n + 1) % 4, n + 1) for n in range(CHANGED)])),
            ("turn the order round", app.reverse),
            ("remove 100 rows", lambda: app.drop(list(range(6_000, 6_000 + REMOVED)))),
        ):
            figures[name] = await _timed(work, pilot.pause)
        await pilot.press("g")
        figures |= await _storm(app, meter.take)
        return figures


async def _timed(work: Callable[[], None], settle: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    spent = time.perf_counter() - began
    busy = time.process_time()
    await settle()
    return (spent + time.process_time() - busy) * 1000


async def _storm(app: Ours | Theirs, take: Callable[[], str]) -> dict[str, float]:
    """Change random rows as fast as events come, and show them once a frame."""
    delays: list[float] = []
    chance = random.Random(7)
    heart = asyncio.create_task(_beat(delays))
    take()
    busy, began, written, shown = time.process_time(), time.perf_counter(), 0, 0
    while (now := time.perf_counter() - began) < SECONDS:
        due = int(now * EVENTS) - shown
        shown += due
        app.change([(number, chance.randrange(4), shown) for number in {_struck(chance) for _ in range(due)}])
        await asyncio.sleep(1 / FRAMES)
        written += len(take().encode())
    heart.cancel()
    spent = time.perf_counter() - began
    return {
        "loop delay p95": statistics.quantiles(delays, n=20)[-1] * 1000,
        "CPU %": (time.process_time() - busy) / spent * 100,
        "kB/s": written / spent / 1000,
    }


def _struck(chance: random.Random) -> int:
    """Return the row an event is about: one in twenty is in view (the rows were turned round: the last come first)."""
    return ROWS - 1 - chance.randrange(30) if chance.random() < 0.05 else chance.randrange(ROWS // 2)


async def _beat(delays: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.005)
        delays.append(time.perf_counter() - began - 0.005)


def main() -> None:
    """Measure both, alternating, and print medians and their ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    results: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        results["ours"].append(asyncio.run(measure(Ours())))
        results["theirs"].append(asyncio.run(measure(Theirs())))
    print(f"{'median of ' + str(rounds):<28}{'LineTable':>12}{'DataTable':>12}{'ratio':>9}")
    for name in results["ours"][0]:
        ours, theirs = (statistics.median(r[name] for r in results[who]) for who in ("ours", "theirs"))
        print(f"{name:<28}{ours:>12.1f}{theirs:>12.1f}{ours / theirs if theirs else 0:>8.2f}x")


if __name__ == "__main__":
    main()
