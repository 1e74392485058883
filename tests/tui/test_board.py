"""The board knows the newest of everything, in whatever order it is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from chronos_tui import board as boards
from chronos_tui.board import Board
from scheduler_daemon.contract.events import Event
from scheduler_daemon.contract.executions import ExecutionView
from scheduler_daemon.contract.jobs import JobView

T0 = datetime(2026, 5, 1, tzinfo=UTC)


def job(name: str, revision: int) -> JobView:
    """A job whose paused flag tells its revision's parity."""
    return JobView.model_validate(
        {
            "id": name, "version": 1, "revision": revision, "name": name, "spec": {"name": name, "command": "true"},
            "paused": bool(revision % 2), "owner": "ann", "source": None, "words": "", "schedule": "",
            "next_fire_at": None, "last": None, "active": 0, "created_at": T0, "updated_at": T0,
        }
    )  # fmt: skip


def run(number: int, version: int, state: str = "running") -> ExecutionView:
    return ExecutionView.model_validate(
        {
            "id": number, "job": "a", "job_id": "a", "job_version": 1, "version": version, "state": state,
            "outcome": None, "reason": "", "fire_at": T0, "queued_at": T0, "started_at": T0, "ended_at": None,
            "duration_ms": None, "attempt": 0, "exit_code": None, "signal": None, "trigger": "schedule",
            "actor": "chronosd", "host": "h", "policy": {"requested": "trusted"}, "usage": {},
        }
    )  # fmt: skip


def said(view: JobView | ExecutionView) -> Event:
    """The event that carries a document."""
    kind, version = ("job", view.revision) if isinstance(view, JobView) else ("execution", view.version)
    at = T0 + timedelta(seconds=version)
    return Event(kind=kind, id=str(view.id), version=version, at=at, doc=view.model_dump(mode="json"))


def gone(name: str, version: int) -> Event:
    return Event(kind="job_deleted", id=name, version=version, at=T0)


EVENTS = st.lists(
    st.one_of(
        st.builds(lambda name, revision: said(job(name, revision)), st.sampled_from("abc"), st.integers(0, 6)),
        st.builds(lambda number, version: said(run(number, version)), st.integers(1, 3), st.integers(0, 6)),
        st.builds(gone, st.sampled_from("abc"), st.integers(1, 6)),
    ),
    max_size=12,
)


@given(EVENTS, st.randoms())
def test_the_order_and_number_of_times_events_arrive_in_does_not_matter(events: list[Event], chance: object) -> None:
    shuffled = events + events[::2]
    chance.shuffle(shuffled)
    one, two = Board(), Board()

    for event in events:
        one.apply(event)
    for event in shuffled:
        two.apply(event)

    assert (one.jobs, one.runs) == (two.jobs, two.runs)


@given(EVENTS)
def test_what_is_known_never_grows_older(events: list[Event]) -> None:
    board = Board()
    newest: dict[tuple[str, str], int] = {}

    for event in events:
        board.apply(event)
        for known in (*board.jobs.values(), *board.runs.values()):
            told = said(known)
            assert told.version >= newest.get((told.kind, told.id), 0)
            newest[told.kind, told.id] = told.version


def test_an_older_snapshot_does_not_undo_an_event() -> None:
    board = Board()
    board.apply(said(job("a", 5)))

    taken = board.learn_job(job("a", 4))

    assert not taken
    assert board.newest(job("a", 4)).revision == 5


def test_a_deleted_job_does_not_come_back_by_an_older_document() -> None:
    board = Board()
    board.apply(gone("a", 5))

    taken = board.apply(said(job("a", 4)))

    assert not taken
    assert board.is_gone("a")


def test_only_what_changed_is_dirty_and_only_once() -> None:
    board = Board()
    board.learn_jobs([job("a", 1), job("b", 1)])
    board.take_dirty()

    board.apply(said(job("b", 2)))
    board.apply(said(job("b", 3)))

    first, second = board.take_dirty(), board.take_dirty()
    assert (first.jobs, first.new_jobs) == ({"b"}, False)
    assert not second


def test_old_runs_are_forgotten_and_new_ones_kept() -> None:
    board = Board()

    board.learn_runs(run(number, 1) for number in range(1, int(boards.RUNS_KEPT * 1.3)))

    assert len(board.runs) <= boards.RUNS_KEPT * 1.2
    assert max(board.runs) == int(boards.RUNS_KEPT * 1.3) - 1
