"""What a benchmark found, beside its goal. Ratios carry over from machine to machine, milliseconds do not."""

import importlib
import statistics
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `goal` None: told for itself, nothing is asked of it."""

    name: str
    value: float
    unit: str = "x"
    goal: float | None = None
    at_least: bool = False
    """The goal is a floor; else it is a ceiling."""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def figures_of(name: str, *, quick: bool) -> list[Figure]:
    """Run the benchmark module of this name here. Raises RuntimeError: other errors may not travel to our parent."""
    try:
        found: list[Figure] = importlib.import_module(f"benchmarks.{name}").figures(quick=quick)
    except Exception as error:  # noqa: BLE001  # told above, passed on below
        traceback.print_exc()
        raise RuntimeError(repr(error)) from None
    return found


def show(figures: Iterable[Figure]) -> None:
    """Print figures, one a line."""
    for figure in figures:
        verdict = {True: "met", False: "NOT MET", None: ""}[figure.met]
        goal = "" if figure.goal is None else f"{'>=' if figure.at_least else '<='} {_number(figure.goal)}"
        print(f"  {figure.name:<58}{_number(figure.value):>11} {figure.unit:<8}{goal:<12}{verdict:<9}{figure.note}")


def _number(value: float) -> str:
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.2f}"


def percentile(samples: Sequence[float], share: int) -> float:
    """Return the value below which `share` percent of the samples lie."""
    if len(samples) < 2:
        return samples[0]
    return statistics.quantiles(samples, n=100, method="inclusive")[share - 1]
