"""Crontabs from public repositories: every line is accounted for, as the index of the collection counts them."""

import json
from collections import Counter
from typing import Any

import pytest

from scheduler_daemon.domain.crontab import CrontabFile, LineKind, parse_crontab
from scheduler_daemon.domain.crontab_export import export_crontab
from tests.reference.conftest import SHARED

COLLECTION = SHARED / "crontabs"
INDEX: list[dict[str, Any]] = json.loads((COLLECTION / "INDEX.json").read_text())
WRITTEN_BY_US = {  # entries, errors and variables of the files the index does not count
    "SYNTHETIC_crlf": (4, 0, 2),
    "SYNTHETIC_percent_stdin": (3, 0, 1),
    "SYNTHETIC_system_user_column": (9, 1, 0),
}
NOT_ALL_ENTRIES = {  # lines of prose, counted as entries by the index
    "705arun__linuxscripts__crontab.txt": 23,
    "AntoineAresu__backup__crontab.txt": 2,
    "aptible__supercronic__integration_invalid.crontab": 1,
}


def read(item: dict[str, Any]) -> CrontabFile:
    content = (COLLECTION / item["file"]).read_bytes()
    return parse_crontab(
        content, system=item["format"].startswith("system"), user="importer", zone="UTC", source=item["file"]
    )


def test_the_collection_is_whole() -> None:
    assert len(INDEX) == 43


@pytest.mark.parametrize("item", INDEX, ids=lambda item: item["file"])
def test_each_line_is_what_the_index_says(item: dict[str, Any]) -> None:
    report = read(item)

    kinds = Counter(line.kind for line in report.lines)
    found = (kinds[LineKind.JOB], kinds[LineKind.ERROR], kinds[LineKind.ENV])
    errors = NOT_ALL_ENTRIES.get(item["file"], 0)
    assert found == WRITTEN_BY_US.get(item["file"], ((item["jobs"] or 0) - errors, errors, item["env"]))
    lines = (COLLECTION / item["file"]).read_bytes().decode().replace("\r\n", "\n").removesuffix("\n").split("\n")
    assert [line.text for line in report.lines] == lines


@pytest.mark.parametrize("item", INDEX, ids=lambda item: item["file"])
def test_each_feature_of_the_index_is_seen(item: dict[str, Any]) -> None:
    report = read(item)

    said = " ".join([*report.warnings, *(warning for line in report.lines for warning in line.warnings)])
    seen = {
        "CRLF": "CR LF" in said,
        "no-final-newline": "no newline" in said,
        "dash-prefix": "leading `-`" in said,
        "@alias": any(job.schedule.startswith("@") for job in report.jobs),
        "percent": any(job.stdin is not None for job in report.jobs),
        "escaped-percent": any("%" in job.command for job in report.jobs),
        "MAILTO": any("MAILTO" in dict(job.env) for job in report.jobs),
        "names": any(any(c.isalpha() for c in job.schedule.lstrip("@")) for job in report.jobs) or "MAILTO" in said,
    }
    missing = [feature for feature in item["features"] if not seen.get(feature, True)]
    assert missing == []


@pytest.mark.parametrize("item", INDEX, ids=lambda item: item["file"])
def test_a_second_import_knows_every_entry_again(item: dict[str, Any]) -> None:
    first, second = read(item), read(item)

    assert first == second
    assert len({job.key for job in first.jobs}) == len({job.name for job in first.jobs}) == len(first.jobs)


@pytest.mark.parametrize("item", INDEX, ids=lambda item: item["file"])
def test_it_comes_back_from_an_export(item: dict[str, Any]) -> None:
    system = item["format"].startswith("system")
    jobs = read(item).jobs

    text = export_crontab(jobs, system=system)

    again = parse_crontab(text, system=system, user="importer", zone="UTC", source=item["file"])
    meant = [(job.schedule, job.user, job.command, job.stdin, job.env, job.shell) for job in jobs]
    assert [(job.schedule, job.user, job.command, job.stdin, job.env, job.shell) for job in again.jobs] == meant
