"""What a section is given, by the environment or at its own command line, and how it is run."""

import argparse
import importlib
import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Figure, show

SEEDS = (303,)
"""None of those that the engines were tuned on."""


@dataclass(frozen=True)
class Given:
    """The collections of others, None where there are none, and the seeds of what is made up."""

    data: Path | None
    seeds: Sequence[int]
    jobs: int = 50_000
    """With how many the analyst is measured at the most."""

    def file(self, name: str) -> Path | None:
        """Return a part of the collections, None where it is not there."""
        path = self.data / name if self.data else None
        return path if path and path.exists() else None


def from_environment() -> Given:
    """Return what CHRONOS_INSIGHTS_DATA, _SEEDS and _JOBS name; the data else lie in ../shared/insights, if at all."""
    folder = Path(os.environ.get("CHRONOS_INSIGHTS_DATA", Path(__file__).parents[3] / "shared" / "insights"))
    seeds = tuple(map(int, os.environ.get("CHRONOS_INSIGHTS_SEEDS", "").split())) or SEEDS
    jobs = int(os.environ.get("CHRONOS_INSIGHTS_JOBS", Given.jobs))
    return Given(folder if folder.is_dir() else None, seeds, jobs)


def by_itself(figures: Callable[[Given], list[Figure]], about: str | None) -> None:
    """Run a section by itself, and show what it found."""
    options = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("seeds", type=int, nargs="*", help="of what is made up")
    asked = options.parse_args()
    given = from_environment()
    show(figures(Given(given.data, asked.seeds or given.seeds, given.jobs)))


def figures_of(section: str, given: Given) -> list[Figure]:
    """Run a section here. Raises RuntimeError: other errors may not travel to our parent."""
    try:
        found: list[Figure] = importlib.import_module(f"benchmarks.insights.{section}").figures(given)
    except Exception as error:  # noqa: BLE001  # told here, passed on below
        traceback.print_exc()
        raise RuntimeError(repr(error)) from None
    return found
