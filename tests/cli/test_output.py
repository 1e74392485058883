"""How things are printed, to programs and to people."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from chronos_tui.format import cells
from scheduler_daemon.contract.executions import FoundLine, LogLine, LogPage, RunFacts
from scheduler_daemon.contract.imports import Action, ImportLine, ImportReport
from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.system import EventRecord
from tests.cli.conftest import NOON, Chronos, execution, job_view
from tests.support.canned import Canned


def test_a_list_in_json_is_items_and_next(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/executions", Page(items=[execution(), execution(id=11)], next="11", total=2))

    done = chronos("runs", "list", "--json")

    document = json.loads(done.out)
    assert [item["id"] for item in document["items"]] == [12, 11]
    assert (document.keys(), document["next"]) == ({"items", "next"}, "11")


def test_columns_line_up_by_what_the_terminal_shows(chronos: Chronos, canned: Canned) -> None:
    names = ["日本語のジョブ", "plain", "e\u0301clair"]
    jobs = [job_view(name=name, spec=JobSpec(name=name, command="true")) for name in names]
    canned.answer("GET", "/v1/jobs", Page(items=jobs))

    done = chronos("job", "list")

    starts = {cells(line[: line.index("every day")]) for line in done.out.splitlines()[1:]}
    assert len(starts) == 1


def test_control_characters_are_removed_for_people_and_escaped_in_json(chronos: Chronos, canned: Canned) -> None:
    spec = JobSpec(name="backup", command="echo '\x1b[2J\x9b31m\u202e'")
    canned.answer("GET", "/v1/jobs/backup", job_view(spec=spec))

    told = chronos("job", "show", "backup")
    document = chronos("job", "show", "backup", "--json")

    assert not any(char in told.out + document.out for char in "\x1b\x9b\u202e")
    assert json.loads(document.out)["spec"]["command"] == spec.command


def test_an_empty_list_prints_nothing_for_people(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/jobs", Page[int](items=[]))

    assert chronos("job", "list").out == ""


def line(number: int, text: str, stream: str = "stdout") -> LogLine:
    return LogLine(number=number, stream=stream, at=NOON, text=text)


def test_a_log_is_the_jobs_lines_and_nothing_else(chronos: Chronos, canned: Canned) -> None:
    lines = (line(1, "one"), line(2, "\x1b[31mtwo", "stderr"), line(3, ""))
    canned.answer("GET", "/v1/executions/12/log", LogPage(lines=lines, next=3, ended=True))
    canned.answer("GET", "/v1/executions/12/log", LogPage(lines=(), next=3, ended=True))

    done = chronos("log", "12")

    assert done.out == "one\n\x1b[31mtwo\n\n"


def test_a_log_in_json_is_a_document_a_line(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/executions/12/log", LogPage(lines=(line(1, "a"), line(2, "b")), next=2, ended=True))
    canned.answer("GET", "/v1/executions/12/log", LogPage(lines=(), next=2, ended=True))

    done = chronos("log", "12", "--json")

    documents = [LogLine.model_validate_json(text) for text in done.out.splitlines()]
    assert [(said.number, said.stream, said.text) for said in documents] == [(1, "stdout", "a"), (2, "stdout", "b")]


def test_following_a_log_goes_on_until_the_run_has_ended(chronos: Chronos, canned: Canned) -> None:
    path = "/v1/executions/12/log"
    canned.answer("GET", path, LogPage(lines=(line(1, "first"),), next=1, ended=False))
    canned.answer("GET", path, LogPage(lines=(), next=1, ended=False))
    canned.answer("GET", path, LogPage(lines=(line(2, "second"),), next=2, ended=False))
    canned.answer("GET", path, LogPage(lines=(), next=2, ended=True))

    done = chronos("log", "12", "--follow")

    assert done.out == "first\nsecond\n"
    assert [asked.query.get("after") for asked in canned.asked] == [None, "1", "1", "2"]


def test_raw_bytes_of_a_log_are_not_touched(canned: Canned) -> None:
    canned.answer("GET", "/v1/executions/12/log/raw", b"\xff\x00\x1b[0m\r\n")

    done = _program(canned, "log", "12", "--raw", "--stream", "stderr")

    assert done.stdout == b"\xff\x00\x1b[0m\r\n"
    assert canned.last.query == {"stream": "stderr"}


def test_raw_bytes_go_into_a_file_whole_or_not_at_all(chronos: Chronos, canned: Canned, tmp_path: Path) -> None:
    canned.answer("GET", "/v1/executions/12/log/raw", b"\xff\x00" * 400_000)

    done = chronos("log", "12", "-o", str(tmp_path / "out"))
    refused = chronos("log", "12", "-o", str(tmp_path / "no" / "out"))

    assert (tmp_path / "out").read_bytes() == b"\xff\x00" * 400_000
    assert done.out == f"wrote {tmp_path / 'out'}: 781 KiB of stdout\n"
    assert refused.code == 2
    assert "no such file or directory; name a file you may write" in refused.err
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("text", "asked"),
    [("2026-03-02T08:30", "2026-03-02T08:30:00+00:00"), ("2026-03-02T08:30+02:00", "2026-03-02T06:30:00+00:00")],
)
def test_a_log_begins_at_a_time(chronos: Chronos, canned: Canned, text: str, asked: str) -> None:
    canned.answer("GET", "/v1/executions/12/log", LogPage(lines=(line(7, "then"),), next=7, ended=True))
    canned.answer("GET", "/v1/executions/12/log", LogPage(lines=(), next=7, ended=True))

    done = chronos("log", "12", "--at", text)

    assert done.out == "then\n"
    assert canned.asked[0].query["since"] == asked
    assert "since" not in canned.last.query


def test_a_time_that_cannot_be_read_is_refused(chronos: Chronos) -> None:
    done = chronos("log", "12", "--at", "noonish")

    assert done.code == 2
    assert "--at 'noonish' is no time; write a time of day such as 14:30" in done.err


def test_events_are_told_oldest_first_and_listed_newest_first(chronos: Chronos, canned: Canned) -> None:
    events = [EventRecord(id=n, at=NOON, kind="job.edit", subject=f"job {n}", doc={"version": n}) for n in (1, 2, 3)]
    canned.answer("GET", "/v1/events", Page(items=events, next="3"))

    told = chronos("events", "--limit", "2")
    listed = chronos("events", "--json")

    assert [text.split("  ")[2] for text in told.out.splitlines()] == ["job 2", "job 3"]
    assert [item["id"] for item in json.loads(listed.out)["items"]] == [3, 2, 1]


def test_an_import_reports_each_line_and_fails_if_nothing_could_be_taken(chronos: Chronos, canned: Canned) -> None:
    lines = (
        ImportLine(number=1, kind="comment", text="# hello", action=Action.NOTED),
        ImportLine(
            number=2, kind="error", text="61 * * * * x", action=Action.REFUSED, reason="minute 61", warnings=("odd",)
        ),
    )
    report = ImportReport(source="x", dry_run=True, created=0, updated=0, unchanged=0, refused=1, lines=lines)
    canned.answer("POST", "/v1/imports/crontab", report)

    done = chronos("import", "crontab", "/dev/null", "--dry-run", "--user", "ada", "--system", "--zone", "UTC")

    assert done.code == 1
    told = done.out.splitlines()
    assert told[1].split() == ["1", "noted", "#", "hello"]
    assert "minute 61" in told[2]
    assert told[3] == "careful, line 2: odd"
    assert told[4] == "0 created, 0 updated, 0 unchanged, 1 refused; nothing was written (dry run)"
    assert canned.last.query == {
        "source": "/dev/null", "system": "true", "user": "ada", "dry_run": "true", "zone": "UTC",
    }  # fmt: skip


def test_times_are_shown_where_the_reader_is(chronos: Chronos, canned: Canned, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    canned.answer("GET", "/v1/executions/12", execution())
    canned.answer("GET", "/v1/executions/12/facts", RunFacts())

    done = chronos("run", "show", "12")
    monkeypatch.undo()
    time.tzset()

    assert "2026-03-02 21:00:00 JST" in done.out


def test_colour_is_for_terminals_only(canned: Canned) -> None:
    canned.answer(
        "GET", "/v1/executions/12", execution(state="failed", outcome="exit_code", exit_code=3, ended_at=NOON)
    )

    canned.answer("GET", "/v1/executions/12/facts", RunFacts())
    piped = _program(canned, "run", "show", "12").stdout
    shown = _on_terminal(canned, "run", "show", "12")
    refused = _on_terminal(canned, "run", "show", "12", NO_COLOR="1")

    assert b"\x1b" not in piped
    assert "\x1b[1;31m✖ failed (exit code 3)\x1b[0m" in shown
    assert "\x1b" not in refused


def test_a_reader_that_leaves_ends_the_program_quietly(canned: Canned) -> None:
    lines = tuple(line(number, "x" * 1000) for number in range(1, 1001))
    canned.answer("GET", "/v1/executions/12/log", LogPage(lines=lines, next=1000, ended=False))

    program = subprocess.Popen(
        _words(canned, "log", "12", "--follow"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environ()
    )
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.readline()
    program.stdout.close()
    said = program.stderr.read()
    program.stderr.close()

    assert (program.wait(20), said) == (141, b"")


def test_ctrl_c_is_exit_130_without_a_word(canned: Canned) -> None:
    import signal

    canned.answer("GET", "/v1/executions/12/log", LogPage(lines=(line(1, "here"),), next=1, ended=False))
    canned.answer("GET", "/v1/executions/12/log", LogPage(lines=(), next=1, ended=False))

    hearing = ["env", "--default-signal=INT"]  # whatever a run in the background has us ignore
    words = [*hearing, *_words(canned, "log", "12", "--follow")]
    program = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environ())
    assert program.stdout is not None
    program.stdout.readline()
    program.send_signal(signal.SIGINT)
    out, said = program.communicate(timeout=20)

    assert (program.returncode, out, said) == (130, b"", b"")


def _words(canned: Canned, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "chronos_tui", "--server", f"unix://{canned.socket}", *arguments]


def _environ(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    return {**kept, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "XDG_CONFIG_HOME": "/nonexistent", **changes}


def _program(canned: Canned, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(_words(canned, *arguments), capture_output=True, env=_environ(), timeout=30, check=False)


def _on_terminal(canned: Canned, *arguments: str, **environ: str) -> str:
    """Run the program with a terminal as its stdout and return what it drew."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        _words(canned, *arguments), stdout=theirs, stdin=subprocess.DEVNULL, env=_environ(**environ)
    ) as program:
        os.close(theirs)
        drawn = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            drawn += part
        program.wait(20)
    os.close(ours)
    return drawn.decode()


def test_the_examples_of_a_newcomer_are_read_as_cron_would() -> None:
    from scheduler_daemon.domain.crontab import parse_crontab

    content = (Path(__file__).parents[2] / "examples" / "crontab").read_bytes()

    parsed = parse_crontab(content, system=False, user="ada", zone="UTC", source="examples")

    jobs = [said.job for said in parsed.lines if said.job is not None]
    assert len(jobs) == 9
    assert all(said.kind != "error" and not said.warnings for said in parsed.lines)
    assert sum(job.stdin is not None for job in jobs) == 1


@pytest.mark.parametrize("flags", [(), ("--raw",), ("--follow",), ("--json",)])
def test_output_that_is_not_kept_any_more_is_said_to_be_gone(
    canned: Canned, chronos: Chronos, flags: tuple[str, ...]
) -> None:
    canned.answer("GET", "/v1/executions/12/log", LogPage(lines=(), next=0, ended=True, removed_at=NOON))
    canned.answer("GET", "/v1/executions/12/log/raw", b"")

    done = chronos("log", "12", *flags)

    assert (done.code, done.out) == (3, "")
    assert "the output of run 12 was removed on 2026-03-02" in done.err


def test_a_search_goes_on_over_empty_pages_and_exits_as_grep_does(canned: Canned, chronos: Chronos) -> None:
    line = FoundLine(run=7, job="backup", fire_at=NOON, number=3, stream="stderr", at=NOON, text="an error")
    canned.answer("GET", "/v1/output", Page[FoundLine](items=[], next="9.4"))
    canned.answer("GET", "/v1/output", Page[FoundLine](items=[line]))
    canned.answer("GET", "/v1/output", Page[FoundLine](items=[]))

    found = chronos("search", "error", "--job", "backup", "--since", "2d")
    nothing = chronos("search", "error")

    assert (found.code, found.out) == (0, "backup 7:3: an error\n")
    assert [request.query.get("cursor") for request in canned.asked] == [None, "9.4", None]
    assert canned.asked[0].query["job"] == "backup"
    assert (nothing.code, nothing.out) == (1, "")
