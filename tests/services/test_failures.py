"""What is remembered of a failure holds no secret of its log."""

from types import SimpleNamespace

from scheduler_daemon.insights.failures import Line
from scheduler_daemon.insights.templates import Miner
from scheduler_daemon.services.failures import digest, written
from tests.support.world import NOON

TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ012345"


def test_a_secret_is_in_neither_the_line_nor_the_pattern_of_a_failure() -> None:
    run = SimpleNamespace(id=7, job_id="job", ended_at=NOON, queued_at=NOON)
    said = [Line(1, "stderr", f"ERROR cannot connect to 10.0.0.7:5432 token={TOKEN}")]

    found = written(run, said, Miner())

    assert found is not None
    assert "cannot connect to <ip>" in found.pattern_text
    assert not any(part in text for part in ("ghp_", "abcdefghij") for text in (found.text, found.pattern_text))


def test_a_long_line_is_cut_between_words_so_that_no_secret_loses_its_shape() -> None:
    run = SimpleNamespace(id=7, job_id="job", ended_at=NOON, queued_at=NOON)
    lines = [Line(1, "stderr", "ERROR " + "x " * 1185 + TOKEN)]

    found = digest(run, lines)

    assert found.said is not None
    shown = [found.said.text, found.said.pattern_text, *(line.text for line in found.lines), str(found.excerpt)]
    assert not any("ghp_" in text for text in shown)
