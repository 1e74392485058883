"""Offsets as integers agree with zoneinfo, at every change and in between."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from scheduler_daemon.domain.zones import EPOCH, Zone, nearest_zone

ZONES = [
    *("UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia"),
    *("Africa/Freetown", "America/Noronha", "Asia/Gaza", "Africa/Casablanca", "Asia/Kathmandu", "America/St_Johns"),
]


def seconds(year: int) -> int:
    return int((datetime(year, 1, 1, tzinfo=UTC) - EPOCH).total_seconds())


@pytest.mark.parametrize("key", ZONES)
def test_every_hour_of_many_years_has_the_offset_of_zoneinfo(key: str) -> None:
    zone, truth = Zone(key), ZoneInfo(key)

    for first, last in ((1938, 1941), (1999, 2003), (2010, 2013), (2025, 2041)):
        for t in range(seconds(first), seconds(last), 3 * 3600):
            assert zone.span(t).offset == datetime.fromtimestamp(t, truth).utcoffset().total_seconds()


@pytest.mark.parametrize("key", ZONES)
def test_spans_follow_each_other_and_know_the_change_between_them(key: str) -> None:
    zone = Zone(key)
    t = seconds(1996)
    span = zone.span(t)

    while span.end < seconds(2045):
        following = zone.span(span.end)
        assert zone.span(span.end - 1).offset == span.offset
        assert span.offset == (following.before if following.start == span.end else following.offset)
        assert following.start <= span.end < following.end
        span = following


def test_a_change_near_the_edge_of_a_stretch_is_known_on_both_sides() -> None:
    zone = Zone("America/New_York")
    changes = [span for stretch in range(-30, 63) for span in zone._learn(stretch) if span.before != span.offset]

    for change in changes:
        assert zone.span(change.start - 1).end == change.start
        assert zone.span(change.start - 1).calm.end == change.start - abs(change.offset - change.before)
        assert zone.span(change.start).calm.start == change.start + abs(change.offset - change.before)


@pytest.mark.parametrize(
    ("typed", "meant"), [("berlin", "Europe/Berlin"), ("Asia/Calcuta", "Asia/Calcutta"), ("xyzzy", "")]
)
def test_the_nearest_zone_is_named(typed: str, meant: str) -> None:
    assert nearest_zone(typed) == meant
