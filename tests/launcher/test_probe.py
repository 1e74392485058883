"""What is in force is found by trying, told by name, and told again only if asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scheduler_daemon.contract.policies import Protection
from scheduler_daemon.launcher import probe, seccomp
from scheduler_daemon.launcher.protocol import BadMessage, check_start
from scheduler_daemon.runners.requests import Box, Limits
from tests.launcher.bench import Bench, shell

START = {"argv": ["true"], "env": {}, "cwd": "/", "umask": 0, "user": None, "stdin": False, "timeout_ms": None}
START |= {"grace_ms": 0}
BOX = {"files": "system", "read": [], "write": [], "network": "none", "seccomp": True, "scratch_bytes": None}
LIMITS = dict.fromkeys(("memory_bytes", "processes", "cpus", "cpu_ms", "open_files", "file_bytes"))


async def test_each_protection_is_told(bench: Bench) -> None:
    told = await bench.runner.protections()

    assert list(told) == list(Protection)
    assert told["files"] == told["seccomp"] == told["kill"] == told["process_limits"] == ""


async def test_a_trial_leaves_nothing_and_can_be_repeated(bench: Bench) -> None:
    first = await bench.runner.protections()

    again = await bench.runner.protections(again=True)

    assert again == first
    assert not (bench.state / "spool" / ".probe").exists()


async def test_without_groups_the_limits_of_whole_runs_are_missing(bench: Bench, tmp_path: Path) -> None:
    assert bench.runner.connected
    (tmp_path / "other").mkdir()

    told = probe.missing(str(tmp_path / "other"), None, {})

    assert "Delegate=yes" in told["memory"]
    assert "Delegate=yes" in told["pids"]
    assert told["kill"] == ""


async def test_a_launcher_that_knows_no_boxes_is_given_no_boxed_job(bench: Bench) -> None:
    bench.runner._keeps_apart = False  # as the greeting of an older one leaves it

    await bench.run(shell(1, "echo ran", box=Box()), shell(2, "echo ran", limits=Limits(processes=9)), shell(3, "true"))

    assert "older version" in (bench.ended[1].blocked or "")
    assert "older version" in (bench.ended[2].blocked or "")
    assert bench.ended[3].exit_code == 0
    assert not (bench.state / "spool" / "1").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make control groups here")
def test_a_limit_that_does_not_hold_is_not_said_to(tmp_path: Path) -> None:
    folder = tmp_path / "no-controller"
    folder.mkdir()

    assert probe._try_limit("cpu", {"cpu": str(folder)}) != ""


def test_a_start_without_box_or_limits_is_as_good_as_ever() -> None:
    check_start(dict(START))
    check_start({**START, "box": None, "limits": None})
    check_start({**START, "box": BOX, "limits": LIMITS})


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"box": []}, "box: must be an object"),
        ({"box": {**BOX, "files": "host"}}, "box.files"),
        ({"box": {**BOX, "read": ["etc"]}}, "box.read"),
        ({"box": {**BOX, "write": ["/a\0b"]}}, "NUL"),
        ({"box": {**BOX, "network": None}}, "box.network"),
        ({"box": {**BOX, "more": 1}}, "box.more: is not known"),
        ({"limits": {**LIMITS, "memory_bytes": 0}}, "limits.memory_bytes"),
        ({"limits": {**LIMITS, "cpus": True}}, "limits.cpus"),
    ],
)
def test_a_box_that_is_not_whole_is_refused_by_name(changed: dict[str, object], named: str) -> None:
    with pytest.raises(BadMessage, match=named.replace(".", r"\.")):
        check_start({**START, **changed})


@pytest.mark.parametrize("machine", [seccomp._X86_64, seccomp._AARCH64])
def test_a_filter_is_one_the_kernel_takes_and_names_each_call_once(machine: seccomp._Machine) -> None:
    program = seccomp._program(machine)

    assert len(program) % 8 == 0
    assert len(program) // 8 <= 4096
    assert len(set(machine.refused)) == len(machine.refused) == len(seccomp._X86_64.refused)
