"""Words for a schedule become an expression our own parser reads, or nothing."""

from datetime import UTC, datetime

import pytest

from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.schedule import next_fire
from scheduler_daemon.domain.schedule_phrases import understand

SAID = {
    "every weekday at 7": "0 7 * * 1-5",
    "hourly between 9 and 17": "0 9-17 * * *",
    "last friday of the month at 18:30": "30 18 * * 5L",
    "every 5 minutes": "*/5 * * * *",
    "every minute": "* * * * *",
    "every 90 seconds": "@every 90s",
    "every 7 minutes": "@every 7m",
    "every half hour": "*/30 * * * *",
    "every other hour": "0 */2 * * *",
    "every 15 minutes between 9 and 17": "*/15 9-16 * * *",
    "daily at noon": "0 12 * * *",
    "Every day at 6:30 PM.": "30 18 * * *",
    "mondays and thursdays at 8:15": "15 8 * * 1,4",
    "Monday to Friday at 9am": "0 9 * * 1-5",
    "at 03:00 on Sundays": "0 3 * * 0",
    "every Sunday at 3 a.m.": "0 3 * * 0",
    "on the 1st and 15th of each month at 6am": "0 6 1,15 * *",
    "monthly": "0 0 1 * *",
    "on the last day of the month at 23:59": "59 23 L * *",
    "first monday of every month at 9": "0 9 * * 1#1",
    "every second tuesday of the month at 10:00": "0 10 * * 2#2",
    "last weekday of the month at 17:00": "0 17 LW * *",
    "every night": "0 2 * * *",
    "once per hour": "0 * * * *",
    "hourly at :15": "15 * * * *",
    "hourly between 9 and 5 on weekdays": "0 9-17 * * 1-5",
    "quarterly at 8": "0 8 1 1,4,7,10 *",
    "on december 24th at 18:00": "0 18 24 12 *",
    "every weekday at 9 and 17": "0 9,17 * * 1-5",
    "every monday, wednesday and friday at 5:45 am": "45 5 * * 1,3,5",
    "every fri-mon at 4": "0 4 * * 5-6,0-1",
    "once a day at 4": "0 4 * * *",
}


@pytest.mark.parametrize(("words", "expression"), SAID.items())
def test_words_become_an_expression(words: str, expression: str) -> None:
    found = understand(words)

    assert found is not None
    assert found.expression == expression
    assert next_fire(Schedule(expressions=(found.expression,)), datetime(2026, 1, 1, tzinfo=UTC)) is not None


@pytest.mark.parametrize(
    "words",
    [
        "when the moon is full", "every 5 minutes except sunday", "every 0 minutes", "at 25:00", "at 7:75",
        "twice a day", "every weekday at 7 and 8:30", "", "at", "every", "* * * * *",
        "every 32nd of the month", "daily at 13 pm",
        "hourly between 17 and 17", "every 5 minutes until friday", "rm -rf /", "every " * 50,
    ],
)  # fmt: skip
def test_what_is_not_understood_is_not_guessed(words: str) -> None:
    assert understand(words) is None


def test_what_was_not_said_is_told() -> None:
    assert understand("weekly").note == "no time was said: read as 0:00"  # type: ignore[union-attr]
    assert understand("every night").note == "no time was said: read as 2:00"  # type: ignore[union-attr]
    assert understand("every 15 minutes between 9 and 17").note == "until 16:45"  # type: ignore[union-attr]
