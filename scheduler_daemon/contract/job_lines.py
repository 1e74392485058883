"""What a job may say of itself by lines of its output, and what is known of a run from those it has said.

A line counts if it begins with `::` at its first character and reads exactly as below; any other is simply output.

    ::progress 40               a whole or decimal number of per cent from 0 to 100
    ::kpi rows=1250 unit=rows   a figure of this run; the last one of a name counts; the unit may be left out
    ::warning TEXT              counted, and the first few are kept with the run
    ::group TITLE, ::endgroup   mark what belongs together, for who looks at the output
"""

from __future__ import annotations

import re

from pydantic import BaseModel

MOST_KPIS = 20
"""Names of figures that one run may give; further names are simply output."""
MOST_WARNINGS = 1_000_000
"""Warnings of one run that are counted."""
WARNINGS_KEPT = 5
"""Warnings of one run whose text is kept with it; the output has all."""
LONGEST_WARNING = 200
"""Characters of such a text."""
KPI = "kpi."
"""What the name of a figure is preceded by where it stands beside what we measure, such as `duration_ms`."""
KPI_METRIC = re.compile(r"kpi\.[A-Za-z][A-Za-z0-9_.-]{0,39}\Z", re.ASCII)


class Kpi(BaseModel, frozen=True):
    """A figure that a run gave of itself."""

    name: str
    value: float
    unit: str = ""


class KpiSummary(BaseModel, frozen=True):
    """A figure over the latest runs of a job that gave it."""

    name: str
    unit: str
    """Of the last run that gave it."""
    runs: int
    last: float
    least: float
    mean: float
    greatest: float
    last_run: int
    """The id of the last run that gave it."""
