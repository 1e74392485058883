"""Schedule vectors from the test suites of other crons: we fire when their authors and our rules both say so."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("group", ["cron5", "sec6", "spring"])
def test_every_vector_that_agrees_with_our_rules_passes(shared: Path, group: str) -> None:
    vectors = shared / "vectors"
    chosen = ["--vectors", vectors / "cron.jsonl", "--group", group, "--spec", "agree", "-v", "--strict-never"]

    run = subprocess.run(
        [sys.executable, vectors / "run_vectors.py", "tests.support.vectors:fires", *chosen, "--min-rate", "100"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert int(run.stdout.split("TOTAL")[1].split()[0]) >= 50  # it did run them
