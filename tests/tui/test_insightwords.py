"""How insights are written: figures in their units, evidence, predictions, and changes as differences."""

from datetime import timedelta
from typing import Any

import pytest

from chronos_tui import insights as words
from chronos_tui.screens.query import InsightFilter, parse_insight_filter
from tests.support.times import utc


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (90, "s", "1m 30s"),
        (12 << 20, "bytes", "12 MiB"),
        (0.5, "ratio", "50%"),
        (0.012, "ratio", "1.2%"),
        (1250, "rows", "1,250 rows"),
        (0.1234, "", "0.123"),
    ],
)
def test_a_figure_is_written_in_its_unit(value: float, unit: str, text: str) -> None:
    assert words.figure(value, unit) == text


def test_evidence_says_what_was_expected_and_which_runs_show_it() -> None:
    metric: dict[str, Any] = {
        "kind": "metric", "metric": "duration", "value": 90, "expected": 30, "low": 20, "high": 45, "unit": "s",
        "run_ids": list(range(1, 11)),
    }  # fmt: skip
    log = {"kind": "log", "run_id": 7, "first_line": 3, "last_line": 4, "text": "a\nb"}

    assert words.evidence(metric) == [
        "duration: 1m 30s, expected 30s (20s to 45s); runs 1, 2, 3, 4, 5, 6, 7, 8 …",
    ]
    assert words.evidence(log) == ["run 7, lines 3-4", "  a", "  b"]


@pytest.mark.parametrize(
    ("action", "lines"),
    [
        ({"verb": "pause", "value": None, "before": None}, ["pause the job"]),
        (
            {"verb": "set_timeout", "value": 90_000, "before": None},
            ["- timeout: none", "+ timeout: 1m 30s"],
        ),
        (
            {"verb": "set_memory_limit", "value": 64 << 20, "before": 512 << 20},
            ["- memory limit: 512 MiB", "+ memory limit: 64 MiB"],
        ),
        (
            {
                "verb": "set_schedule",
                "value": {"expressions": ["7 3 * * *"], "zone": None},
                "before": {"expressions": ["0 3 * * *"], "zone": None},
            },
            ["- schedule.expressions: 0 3 * * *", "+ schedule.expressions: 7 3 * * *"],
        ),
        (None, []),
    ],
)
def test_a_change_is_written_as_a_difference(action: dict[str, Any] | None, lines: list[str]) -> None:
    assert words.change(action) == lines


def test_a_filter_without_a_status_means_what_is_open_or_tried() -> None:
    assert parse_insight_filter("") == InsightFilter()
    assert parse_insight_filter("status:all job:x kind:slow severity:Critical Two words") == InsightFilter(
        states=(), lately=False, job="x", kind="slow", severity="critical", words=("two", "words")
    )
    assert parse_insight_filter("status:applied,open").states == ("applied", "open")


@pytest.mark.parametrize(
    ("state", "verdict", "proposes", "text"),
    [
        ("open", None, False, "open"),
        ("open", None, True, "proposed"),
        ("applied", None, True, "applied"),
        ("applied", "wait", True, "on trial"),
        ("applied", "keep", True, "kept"),
        ("reverted", "revert", True, "taken back"),
        ("snoozed", None, True, "snoozed"),
    ],
)
def test_the_list_says_how_far_an_insight_has_come(state: str, verdict: str | None, proposes: bool, text: str) -> None:
    assert words.stage(state, verdict, proposes=proposes)[0] == text


def test_what_is_tried_stays_listed_until_a_day_after_it_was_decided() -> None:
    now = utc(2026, 5, 4, 12)
    yesterday, today = now - timedelta(hours=25), now - timedelta(hours=23)

    assert words.is_current("open", None, None, now)
    assert words.is_current("applied", "wait", yesterday, now)
    assert [words.is_current("applied", "keep", at, now) for at in (today, yesterday)] == [True, False]
    assert [words.is_current("reverted", "revert", at, now) for at in (today, yesterday)] == [True, False]
    assert not words.is_current("dismissed", None, today, now)


@pytest.mark.parametrize(
    ("title", "job", "text"),
    [
        ("backup took 3 s, far longer than usual", "backup", "Took 3 s, far longer than usual"),
        ("The memory limit of backup is nearly reached", "backup", "The memory limit is nearly reached"),
        ("Several jobs fail with one error: x", "", "Several jobs fail with one error: x"),
    ],
)
def test_a_headline_does_not_repeat_the_name_beside_it(title: str, job: str, text: str) -> None:
    assert words.headline(title, job) == text


@pytest.mark.parametrize(
    ("metric", "kind", "series"),
    [
        ("duration", "duration_high", "duration_ms"),
        ("memory_bytes", "change_point", "max_rss_bytes"),
        ("failures_in_a_row", "failure_streak", "ok"),
        ("rows", "kpi_low", "kpi.rows"),
        ("runs_beside", "collision", None),
    ],
)
def test_evidence_names_the_series_that_shows_it(metric: str, kind: str, series: str | None) -> None:
    assert (words.series(metric, kind) or (None,))[0] == series
