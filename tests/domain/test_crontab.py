"""What an import makes of each line of a crontab."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_daemon.domain.crontab import CrontabFile, CrontabJob, CrontabLine, LineKind, parse_crontab, split_percent
from scheduler_daemon.domain.crontab_names import name_of
from scheduler_daemon.domain.errors import Invalid


def read(text: str | bytes, *, system: bool = False, zone: str = "UTC") -> CrontabFile:
    return parse_crontab(text, system=system, user="me", zone=zone, source="test")


def entry(line: str, *, system: bool = False) -> CrontabJob:
    (job,) = read(f"{line}\n", system=system).jobs
    return job


def only(text: str, *, system: bool = False) -> CrontabLine:
    (line,) = read(f"{text}\n", system=system).lines
    return line


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", LineKind.BLANK),
        (" \t ", LineKind.BLANK),
        ("# 0 9 * * * date", LineKind.COMMENT),
        ("  \t# indented", LineKind.COMMENT),
        ("NAME=value", LineKind.ENV),
        ("  NAME \t= value", LineKind.ENV),
        ("'NAME' = value", LineKind.ENV),
        ("NAME=", LineKind.ENV),
        ("0 9 * * * date", LineKind.JOB),
        (" \t0\t9 * *   * date", LineKind.JOB),
        ("@daily date", LineKind.JOB),
        ("@REBOOT date", LineKind.JOB),
        ("0 9 * * * A=1 run", LineKind.JOB),
        ("@daily A=1 run", LineKind.JOB),
        ("oops", LineKind.ERROR),
        ("0 9 * * *", LineKind.ERROR),
        ("0 9 * * * %input", LineKind.ERROR),
        ("61 9 * * * date", LineKind.ERROR),
        ("0 3 * * 5-1 date", LineKind.ERROR),
        ("@every 5m date", LineKind.ERROR),
        ("@daily", LineKind.ERROR),
        ("1X=2", LineKind.ERROR),
        ("0 9 * * * echo \x00", LineKind.ERROR),
        ("0 9 * * * echo \x1b[2J", LineKind.ERROR),
        ("// 0 9 * * * date", LineKind.ERROR),
    ],
)
def test_a_line_is_of_this_kind(text: str, kind: LineKind) -> None:
    line = only(text)

    assert line.kind is kind
    assert line.text == text
    assert bool(line.reason) == (kind is LineKind.ERROR)


def test_everything_after_the_fields_is_the_command_verbatim() -> None:
    job = entry("*/5  *\t* * MON   echo  'a  b'  # not a comment ")

    assert job.schedule == "*/5 * * * MON"
    assert job.command == "echo  'a  b'  # not a comment "


def test_a_system_crontab_has_a_user_column() -> None:
    job = entry("17 *\t* * *\twww-data\tcd / && run", system=True)

    assert (job.user, job.command) == ("www-data", "cd / && run")
    assert entry("@hourly root date", system=True).user == "root"


@pytest.mark.parametrize(
    "text", ["0 9 * * * root", "@daily root", "0 9 * * * [ -x /bin/x ] && x", "0 9 * * * /bin/x -y"]
)
def test_a_system_line_without_account_or_command_is_an_error(text: str) -> None:
    assert only(text, system=True).kind is LineKind.ERROR


def test_the_format_is_not_guessed_but_doubted_aloud() -> None:
    report = read("0 9 * * * root run\n")

    assert report.jobs[0].command == "root run"
    assert "--system" in report.lines[0].warnings[0]
    assert "--system" in report.warnings[0]


def test_variables_apply_to_the_entries_after_them() -> None:
    report = read("@daily a\nSHELL = /bin/bash\nX=1\nMAILTO=\"\"\n@daily b\nX='two  words '\n@daily c\n")

    first, second, third = report.jobs
    assert (first.env, first.shell) == ((), "/bin/sh")
    assert second.env == (("SHELL", "/bin/bash"), ("X", "1"), ("MAILTO", ""))
    assert second.shell == "/bin/bash"
    assert dict(third.env)["X"] == "two  words "


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("PATH=$HOME/bin:/bin", "does not expand"),
        ("TZ=Asia/Tokyo", "commands alone"),
        ("RANDOM_DELAY=30", "nothing is delayed"),
        ("LOGNAME=other", "cannot be set"),
        ("SHELL=bash", "not an absolute path"),
        ("CRON_TZ=Asia/Tokyo", "Debian"),
        ('X="a "b""', "quotes within quotes"),
        ("-*/10 * * * * quiet", "leading `-`"),
        ("5/15 * * * * run", "5-59"),
        ("0 0 L * * run", "extensions"),
        ("0 0 30 2 * run", "never fires"),
        ("* * * * * * * run", "five fields"),
        ("@daily run # nightly", "no comment"),
        ("@daily tar cf /b/$(date +%F).tar /etc", "unescaped `%`"),
    ],
)
def test_it_warns(text: str, says: str) -> None:
    line = only(text)

    assert says in " ".join(line.warnings)


def test_cron_tz_moves_what_follows_and_tz_does_not() -> None:
    report = read("@daily a\nTZ=Asia/Tokyo\n@daily b\nCRON_TZ=America/Lima\n@daily c\n", zone="Europe/Berlin")

    assert [job.zone for job in report.jobs] == ["Europe/Berlin", "Europe/Berlin", "America/Lima"]
    assert dict(report.jobs[2].env) == {"TZ": "Asia/Tokyo"}


def test_an_unknown_cron_tz_is_an_error_that_casts_doubt_on_what_follows() -> None:
    report = read("CRON_TZ=Mars/Base\n@daily a\n")

    assert report.lines[0].kind is LineKind.ERROR
    assert "line 1" in report.lines[1].warnings[0]


def test_an_unknown_zone_of_the_whole_file_is_refused() -> None:
    with pytest.raises(Invalid):
        read("", zone="Mars/Base")


@pytest.mark.parametrize(
    ("text", "command", "stdin"),
    [
        ("date", "date", None),
        ("mail joe%Joe,%%Where?%", "mail joe", "Joe,\n\nWhere?\n"),
        ("cat%x", "cat", "x\n"),
        ("cat%", "cat", ""),
        (r"date +\%F", "date +%F", None),
        (r"cat%50\% of%it", "cat", "50% of\nit\n"),
        (r"echo \n\%\\", "echo \\n%\\\\", None),
        (r"echo \\%in", r"echo \\", "in\n"),
        ("echo \\", "echo \\", None),
    ],
)
def test_percent_parts_command_and_input(text: str, command: str, stdin: str | None) -> None:
    assert split_percent(text) == (command, stdin)


def test_an_impossible_date_is_imported_to_be_paused() -> None:
    assert entry("0 0 30 2 * run").never_fires
    assert not entry("0 0 29 2 * run").never_fires


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\ufeff@daily a\n", "byte order mark"),
        ("@daily a\r\n\r\n@hourly b\r\n", "CR LF"),
        ("@daily a", "no newline"),
    ],
)
def test_odd_files_are_read_with_a_warning(text: str, says: str) -> None:
    for content in (text, text.encode()):
        report = read(content)

        assert says in " ".join(report.warnings)
        assert report.jobs[0].command == "a"
        assert not report.errors


def test_bytes_that_are_no_text_spoil_only_their_line() -> None:
    report = read(b"# caf\xe9\n@daily caf\xe9\n@daily fine\n")

    assert [line.kind for line in report.lines] == [LineKind.COMMENT, LineKind.ERROR, LineKind.JOB]
    assert "UTF-8" in report.lines[1].reason


def test_an_empty_file_has_no_lines() -> None:
    assert read("") == CrontabFile("test", (), ())


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/opt/bin/backup.sh --all >> /var/log/backup.log 2>&1", "backup"),
        ("cd /srv/app && php artisan schedule:run", "artisan"),
        ("python3.11 -u /home/pi/weather.py", "weather"),
        ("test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )", "cron.daily"),
        ("if [ -x /bin/updates ]; then /bin/updates; fi", "updates"),
        ("LANG=C nice -n 10 sudo /usr/bin/report", "report"),
        ('"/path with blanks/tool" x', "tool"),
        ("$(wget -qO - http://x)", "wget"),
        (":", "job"),
        ("日報を送る", "日報を送る"),
        ("x" * 200, "x" * 60),
    ],
)
def test_a_command_is_named_after_its_script(command: str, name: str) -> None:
    assert name_of(command) == name


def test_names_and_keys_are_unique_and_outlive_edits_of_schedules() -> None:
    before = read("0 1 * * * a.sh\n0 2 * * * a.sh\n0 3 * * * a.sh -v\n").jobs
    after = read("# new\n5 1 * * * a.sh\n5 2 * * * a.sh\n0 3 * * * a.sh -v\n0 4 * * * b.sh\n").jobs

    assert len({job.name for job in after}) == len({job.key for job in after}) == 4
    assert [(job.name, job.key) for job in after[:3]] == [(job.name, job.key) for job in before]
    assert before[0].name == "a"


@pytest.mark.timeout(60)  # what grows with the square of its length takes much longer
@pytest.mark.parametrize("piece", ["+", "date ", "\"'", "a=", " ", "\\", "%", "* ", "x"])
def test_a_hostile_line_is_read_to_its_end(piece: str) -> None:
    for line in (piece * 300_000, f"@daily {piece * 300_000}", f"@daily {piece * 300_000} ;%"):
        assert len(read(f"{line}\n").lines) == 1


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("*/0159-,@=#% \t\\\"'abcTZ\n\r\x00é"), max_size=200), st.booleans())
def test_no_line_is_ever_dropped(text: str, system: bool) -> None:
    report = read(text, system=system)

    body = text.replace("\r\n", "\n").removesuffix("\r")
    assert [line.text for line in report.lines] == (body.removesuffix("\n").split("\n") if body else [])
    assert [line.number for line in report.lines] == list(range(1, len(report.lines) + 1))
    assert all((line.job is not None) == (line.kind is LineKind.JOB) for line in report.lines)
    assert len({job.name for job in report.jobs}) == len(report.jobs)
