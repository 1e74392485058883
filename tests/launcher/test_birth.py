"""A job gets exactly what was asked, and nothing of ours; what cannot start says why."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scheduler_daemon.launcher import birth
from tests.launcher.bench import Bench, shell


async def test_a_job_gets_its_environment_and_only_that(bench: Bench) -> None:
    request = replace(shell(1, ""), argv=("/usr/bin/env", "-0"), env={"NAME": "a b\nc", "EMPTY": "", "UML": "ä"})

    await bench.run(request)

    given = dict(word.split(b"=", 1) for word in bench.out(1).rstrip(b"\0").split(b"\0"))
    assert given.pop(b"CHRONOS_RUN").startswith(b"1-")
    assert given == {b"NAME": b"a b\nc", b"EMPTY": b"", b"UML": "ä".encode()}


async def test_a_job_gets_its_directory_umask_and_input(bench: Bench) -> None:
    folder = bench.state / "its place"
    folder.mkdir()

    await bench.run(shell(1, "pwd; umask; cat", cwd=str(folder), umask=0o137, stdin=b"line\n\0\xff no end"))

    assert bench.out(1) == os.fsencode(folder) + b"\n0137\nline\n\0\xff no end"


async def test_without_input_a_job_reads_the_null_device(bench: Bench) -> None:
    end = await bench.run(shell(1, "readlink /proc/$$/fd/0; cat | wc -c"))

    assert bench.out(1).split() == [b"/dev/null", b"0"]
    assert end.exit_code == 0


async def test_a_job_sees_three_descriptors_a_session_of_its_own_and_default_signals(bench: Bench) -> None:
    script = "cut -d' ' -f1,6 /proc/$$/stat; grep -E 'SigBlk|SigIgn' /proc/self/status; exec ls /proc/self/fd"

    await bench.run(shell(1, script))

    words = bench.out(1).split()
    assert words[0] == words[1]
    assert int(words[3], 16) == 0
    assert int(words[5], 16) & ~(3 << 31) == 0  # glibc ignores its own 32 and 33 in whatever it spawns
    assert words[6:] == [b"0", b"1", b"2", b"3"]  # the last is what ls reads


async def test_output_files_are_appended_and_private(bench: Bench) -> None:
    await bench.run(shell(1, "umask 0; echo out; echo err >&2; grep flags /proc/$$/fdinfo/1"))

    output = bench.state / "spool" / "1" / "stdout"
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert bench.out(1, "stderr") == b"err\n"
    assert int(bench.out(1).split()[-1], 8) & os.O_APPEND


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"argv": ("/no/such/shell", "-c", "true")}, ("/no/such/shell", "not found")),
        ({"argv": ("no-such-command",)}, ("no-such-command", "not found")),
        ({"argv": ("/etc/passwd",)}, ("/etc/passwd", "ermission denied")),
        ({"argv": ("/bin/sh", "-c", "#" * 3_000_000)}, ("too long",)),
        ({"cwd": "/no/such/place"}, ("/no/such/place", "No such file")),
        ({"user": "no-such-account"}, ("no-such-account", "no such account")),
        ({"argv": ("/bin/true", "\0")}, ("NUL",)),
        ({"cwd": "relative"}, ("cwd", "absolute")),
        ({"env": {"A=B": "c"}}, ("env",)),
        ({"argv": ()}, ("argv",)),
    ],
)
async def test_what_cannot_start_ends_with_the_reason(
    bench: Bench, change: dict[str, object], words: tuple[str, ...]
) -> None:
    end = await bench.run(replace(shell(1, "true"), **change))

    assert end.spawn_error is not None
    assert all(word in end.spawn_error for word in words)
    assert end.exit_code is end.signal is None
    assert not end.unknown


async def test_the_job_finds_commands_by_its_own_path(bench: Bench) -> None:
    tool = bench.state / "mytool"
    tool.write_text("#!/bin/sh\necho mine\n")
    tool.chmod(0o755)

    await bench.run(replace(shell(1, ""), argv=("mytool",), env={"PATH": f"/nowhere:{bench.state}"}))

    assert bench.out(1) == b"mine\n"


async def test_an_execution_is_started_once_however_often_it_is_asked(bench: Bench) -> None:
    await bench.run(shell(1, "echo once"))

    await bench.runner.launch([shell(1, "echo twice")])
    await bench.run(shell(2, "true"))

    assert bench.out(1) == b"once\n"


async def test_a_deep_state_directory_still_gets_its_socket(open_bench: Callable[..., Bench], state: object) -> None:
    bench = open_bench()
    deep = bench.state.joinpath(*["a-long-folder-name"] * 7)
    deep.mkdir(parents=True)
    from scheduler_daemon.runners.process import ProcessRunner

    async with Bench(ProcessRunner(deep), deep) as far:
        end = await far.run(shell(1, "exit 3"))

    assert end.exit_code == 3


async def test_a_run_whose_input_cannot_be_written_ends_and_the_others_run(bench: Bench) -> None:
    (bench.state / "spool" / "1").touch()

    await bench.run(shell(1, "true", stdin=b"x"), shell(2, "cat", stdin=b"y"))

    assert "input could not be written" in (bench.ended[1].spawn_error or "")
    assert bench.out(2) == b"y"


def test_a_mark_begins_otherwise_in_another_spool(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()

    one, other = (birth.first_half(str(tmp_path / name), 1) for name in ("one", "other"))

    assert one != other
    assert one.startswith("1-")
    assert birth.new_mark(one).text.startswith(one)


def test_the_number_of_a_mark_is_told_by_its_text(tmp_path: Path) -> None:
    mark = birth.new_mark(birth.first_half(str(tmp_path), 1))

    assert birth.number_of(mark.text) == mark.number
    assert birth.number_of("1-forged") == 0
