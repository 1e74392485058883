"""Schedule vectors from the test suites of other crons: we fire when their authors and our rules both say so."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def rate(shared: Path, function: str, group: str, *chosen: str) -> tuple[float, int, str]:
    """Run a group of vectors; return the share that passes in percent, how many there were, and what was printed."""
    vectors = shared / "vectors"
    command = [sys.executable, vectors / "run_vectors.py", f"tests.support.vectors:{function}"]
    options = ["--vectors", vectors / "cron.jsonl", "--group", group, "-v", "--strict-never", *chosen]
    run = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    passed, failed = (int(number) for number in run.stdout.split("TOTAL")[1].split()[:2])
    return 100 * passed / (passed + failed), passed + failed, run.stdout + run.stderr


@pytest.mark.parametrize("group", ["cron5", "sec6", "spring"])
def test_every_vector_that_agrees_with_our_rules_passes(shared: Path, group: str) -> None:
    passed, count, output = rate(shared, "fires", group, "--spec", "agree")

    assert passed == 100, output
    assert count >= 50


def test_calendar_events_fire_as_systemd_has_them_but_for_parts_of_seconds(shared: Path) -> None:
    passed, count, output = rate(shared, "calendar_fires", "systemd")

    assert passed >= 95, output
    assert count >= 60
    assert all(".42" in line for line in output.splitlines() if line.startswith("FAIL"))


@pytest.mark.parametrize(
    ("group", "dialect", "but_for"),
    [  # what is refused, and the one that differs by the job's choice about skipped times
        ("quartz6,quartz7", "quartz", ("? 20",)),  # a year
        ("rust7", "year", ()),
        ("spring", "spring", ("31W", "13 * FRI", "6#1", "0 10 2 * * *")),
        ("year", "year", ("1-9999/2", "2024,2026,2028", "1980'", "2018'", "2012'", "*/2'")),
    ],
)
def test_what_other_programs_mean_is_kept_or_refused(
    shared: Path, group: str, dialect: str, but_for: tuple[str, ...]
) -> None:
    _, count, output = rate(shared, f"{dialect}_fires", group)

    failed = [line for line in output.splitlines() if line.startswith("FAIL")]
    assert [line for line in failed if not any(reason in line for reason in but_for)] == []
    assert all("rejected-valid" in line or "0 10 2" in line for line in failed)
    assert count >= 9
