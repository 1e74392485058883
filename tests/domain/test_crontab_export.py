"""A crontab written by us is read back to the same entries."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_daemon.domain.crontab import CrontabJob, parse_crontab
from scheduler_daemon.domain.crontab_export import escaped, export_crontab

TEXT = """\
0 9 * * 1-5 /opt/report.sh --day $(date +\\%F)
MAILTO=""
@daily mail joe%Joe,%%50\\% of it%
SHELL=/bin/bash
GREETING='say "hi" '
*/10 * * * * echo "$GREETING" # part of it
CRON_TZ=Asia/Tokyo
@reboot run
"""


def meant(jobs: tuple[CrontabJob, ...]) -> list[CrontabJob]:
    return [replace(job, name="", key="") for job in jobs]


@pytest.mark.parametrize("system", [False, True])
def test_what_was_read_is_written_and_read_again(system: bool) -> None:
    first = parse_crontab(TEXT, system=False, user="me", zone="UTC", source="x").jobs

    text = export_crontab(first, system=system)

    again = parse_crontab(text, system=system, user="me", zone="UTC", source="x")
    assert not again.errors
    assert meant(again.jobs) == meant(first)


def test_variables_are_written_only_where_they_change() -> None:
    job = CrontabJob("@daily", "a", "me", env=(("X", "1"),))

    assert export_crontab([job, replace(job, command="b")]) == "X=1\n@daily a\n@daily b\n"


def test_fewer_variables_come_first_and_one_that_must_go_is_emptied_aloud() -> None:
    jobs = [
        CrontabJob("@daily", "two", "me", env=(("B", "1"), ("C", "2"))),
        CrontabJob("@daily", "one", "me", env=(("A", "1"),)),
    ]

    assert export_crontab(jobs).splitlines() == [
        "A=1",
        "@daily one",
        "# cron cannot unset A; it is empty from here on",
        'A=""',
        "B=1",
        "C=2",
        "@daily two",
    ]


@pytest.mark.parametrize(
    "job",
    [
        CrontabJob("*/10 * * * * *", "six fields", "me"),
        CrontabJob("@every 90s", "interval", "me"),
        CrontabJob("0 0 LW * *", "extension", "me"),
        CrontabJob("@daily", "two\nlines", "me"),
        CrontabJob("@daily", "printf '\\%d' 1", "me"),  # cron has no way to write a backslash before a percent sign
        CrontabJob("@daily", "beep", "me", stdin="\a"),
        CrontabJob("@daily", "  leading blanks", "me"),
    ],
)
def test_what_cron_cannot_say_is_commented_out(job: CrontabJob) -> None:
    text = export_crontab([job])

    assert "is left out" in text
    assert all(line.startswith("# ") for line in text.splitlines())


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="ab \\%'\"#", min_size=1, max_size=20).map(lambda text: "x" + text),
    st.none() | st.text(alphabet="ab \\%\n", max_size=20),
)
def test_any_command_comes_back_or_is_left_out(command: str, stdin: str | None) -> None:
    job = CrontabJob("@daily", command, "me", stdin=stdin)

    text = export_crontab([job])

    read = parse_crontab(text, system=False, user="me", zone="UTC", source="x").jobs
    if "is left out" in text:
        assert "\\" in command + (stdin or "")
        assert read == ()
        return
    final = None if stdin is None else stdin if stdin.endswith("\n") or not stdin else stdin + "\n"
    assert meant(read) == [replace(job, stdin=final)]


def test_percent_and_newline_are_escaped() -> None:
    assert escaped("date +%F", "50%\nmore\n") == "date +\\%F%50\\%%more"
