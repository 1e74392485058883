"""A verb loads little: what it would cost in CPU is measured by `benchmarks/cli.py`."""

import subprocess
import sys

import pytest

HEAVY = (
    "sqlmodel",
    "sqlalchemy",
    "fastapi",
    "anthropic",
    "sklearn",
    "textual",
    "httpx",
    "redis",
    "pydantic",
    "asyncio",
)


def _loaded(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_command_line_itself_loads_nothing_heavy() -> None:
    loaded = _loaded("import chronos_tui.cli")

    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("words", ["job list --json --limit 5", "run 12 --json", "next '* * * * *' -n 3"])
def test_a_verb_that_ran_has_loaded_nothing_heavy(words: str) -> None:
    import shlex

    arguments = ["--server", "unix:///nonexistent", *shlex.split(words)]
    loaded = _loaded(
        "import contextlib\nfrom chronos_tui.cli import main\n"
        f"with contextlib.suppress(SystemExit): main({arguments!r})"
    )

    assert "chronos_tui.verbs.common" in loaded
    assert loaded.isdisjoint(HEAVY)
