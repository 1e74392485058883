"""Calendar events of systemd: read as systemd.time(7) has them, with or without the word in front."""

import pytest

from scheduler_daemon.domain.errors import BadSchedule, Invalid
from scheduler_daemon.domain.schedule import check_schedule, compile_schedule
from scheduler_daemon.domain.schedule_words import words
from tests.support.times import cron, utc, wall


@pytest.mark.parametrize(
    ("event", "fires"),
    [  # after 2026-11-22T20:52, as systemd-analyze calendar of systemd 252 lists them
        ("*-*~1", ["2026-11-30 00:00", "2026-12-31 00:00", "2027-01-31 00:00"]),
        ("Mon *-05~07/1", ["2027-05-31 00:00", "2028-05-29 00:00", "2029-05-28 00:00"]),
        ("*-*~03..05", ["2026-11-26 00:00", "2026-11-27 00:00", "2026-11-28 00:00"]),
        ("*-*~1..10/3", ["2026-11-24 00:00", "2026-11-27 00:00", "2026-11-30 00:00"]),
        ("*-*~28", ["2026-12-04 00:00", "2027-01-04 00:00", "2027-02-01 00:00"]),
        ("1~1", ["2027-01-31 00:00", "2028-01-31 00:00"]),
        ("0..4/5:00", ["2026-11-23 00:00", "2026-11-24 00:00"]),
        ("Mon..Fri,", ["2026-11-23 00:00", "2026-11-24 00:00"]),
        ("mon..fri  09:00", ["2026-11-23 09:00", "2026-11-24 09:00"]),
        ("DAILY Europe/Berlin", ["2026-11-22 23:00", "2026-11-23 23:00"]),
        ("Mon 12:00 Europe/Berlin", ["2026-11-23 11:00", "2026-11-30 11:00"]),
        ("*:0/15,1", ["2026-11-22 21:00", "2026-11-22 21:01", "2026-11-22 21:15"]),
        ("*-*-1..10/3 0:0", ["2026-12-01 00:00", "2026-12-04 00:00", "2026-12-07 00:00"]),
        ("69-1-1", ["2069-01-01 00:00"]),
        ("bi-annually", ["2027-01-01 00:00", "2027-07-01 00:00", "2028-01-01 00:00"]),
        ("quarterly", ["2027-01-01 00:00", "2027-04-01 00:00"]),
        ("weekly", ["2026-11-23 00:00", "2026-11-30 00:00"]),
        ("2027,2030-2-29", []),
        ("2028..2036/4-2-29 12:00", ["2028-02-29 12:00", "2032-02-29 12:00", "2036-02-29 12:00"]),
    ],
)
@pytest.mark.parametrize("word", ["", "@calendar ", "@Calendar  "])
def test_it_fires_then(word: str, event: str, fires: list[str]) -> None:
    found = wall(cron(word + event), "2026-11-22T20:52:44", len(fires) or 1)

    assert found == [f"{fire}+0000" for fire in fires]


def test_a_second_since_the_epoch_is_one_event() -> None:
    assert wall(cron("@calendar @1893456000", zone="Asia/Tokyo"), "2026-01-01", 3) == ["2030-01-01 09:00+0900"]


@pytest.mark.parametrize(
    "event",
    ["7", "Mon *", "Monday..", "Mon-", "Mon,,Tue", "Fri..Mon", "Mon..Wed..Fri", "Mon~1", "24:00", "23:60", "*:*:60",
     "20/4:00", "4/24:00", "00:00/60", "00/0:00", "5..3:00", "*-*~29", "*-*~05..03", "2200-1-1", "100-1-1", "1969-1-1",
     "*:4,30:*,5", "*:4,30:*\n", "2016- 11- 24 12: 30: 00", "2026-01-01T09:00", "121212:1:2", "00:00:2300", " utc", ""],
)  # fmt: skip
def test_it_refuses_what_systemd_refuses(event: str) -> None:
    with pytest.raises(BadSchedule):
        compile_schedule(cron(f"@calendar {event}"))


@pytest.mark.parametrize(
    ("event", "reason", "suggestion"),
    [
        ("*:*/5", "nothing may follow a `\\*`", "*:0/5"),
        ("*:*:00.5", "whole seconds", "*:*:00"),
        ("09:00 Europe/Berln", "Europe/Berlin", ""),
        ("*-02-40", "day of month 40 is out of range", ""),
    ],
)
def test_a_refusal_says_why(event: str, reason: str, suggestion: str) -> None:
    with pytest.raises(Invalid, match=reason) as refused:
        compile_schedule(cron(f"@calendar {event}"))

    assert getattr(refused.value, "suggestion", "") == suggestion


def test_one_that_names_no_date_never_fires() -> None:
    for event in ("*-02-30", "2027-02-29", "2100-02-29"):
        with pytest.raises(BadSchedule, match="never fires"):
            check_schedule(cron(event))


def test_four_fields_of_cron_are_not_taken_for_an_event() -> None:
    with pytest.raises(BadSchedule, match="4 fields"):
        compile_schedule(cron("0 9 * *"))


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ("Mon..Fri 09:00", "At 09:00 on Monday to Friday"),
        ("*:0/15", "Every 15 minutes"),
        ("hourly", "At minute 0 of every hour"),
        ("Mon *-*-1..7 08:00", "At 08:00 on days 1 to 7 of the month and only on Monday"),
        ("*-*~1 12:00 Asia/Tokyo", "At 12:00 on the last day of the month, Asia/Tokyo time"),
        ("2027..2029-12-24 18:00", "At 18:00 in December, on day 24 of the month in 2027 to 2029"),
    ],
)
def test_it_reads_in_words(event: str, sentence: str) -> None:
    assert words(cron(event)) == sentence
    assert words(cron("daily", zone="Asia/Tokyo", end=utc(2027, 1, 1))).startswith(
        "At 00:00 every day, Asia/Tokyo time"
    )
