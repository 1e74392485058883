"""What a policy gives besides: devices in a box, and powers of root's to an account that is not root."""

from __future__ import annotations

import pwd
from pathlib import Path

from scheduler_daemon.contract import policies
from scheduler_daemon.launcher import capabilities
from scheduler_daemon.runners.requests import Box, Limits
from tests.launcher.bench import Bench, shell

NOBODY = pwd.getpwuid(65534).pw_name
_SET = "grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status | cut -f2 | sort -u"


def test_both_sides_know_the_same_capabilities_and_the_kernel_no_more() -> None:
    assert frozenset(capabilities.NAMES) == policies._CAPABILITIES
    assert int(Path("/proc/sys/kernel/cap_last_cap").read_text("ascii")) <= len(capabilities.NAMES) - 1


async def test_an_account_has_the_capabilities_it_is_given_and_what_it_runs_has_them_too(bench: Bench) -> None:
    given = ("net_bind_service", "checkpoint_restore")

    end = await bench.run(shell(1, f"id -u; {_SET}", user=NOBODY, capabilities=given, limits=Limits()))
    await bench.run(shell(2, _SET, user=NOBODY, limits=Limits()))

    assert end.exit_code == 0
    assert bench.out(1).split() == [b"65534", b"0000010000000400"]
    assert bench.out(2).split() == [b"0000000000000000"]


async def test_a_box_has_the_devices_it_is_given_and_no_other(bench: Bench) -> None:
    look = "ls /dev | tr '\\n' ' '; (echo > /dev/x) 2>/dev/null || echo closed"

    await bench.run(shell(1, look, box=Box(devices=("/dev/kmsg",))))
    await bench.run(shell(2, look, box=Box()))
    end = await bench.run(shell(3, "true", box=Box(devices=("/dev/there-is-none",))))

    assert b"kmsg" in bench.out(1).split()
    assert b"kmsg" not in bench.out(2).split()
    assert bench.out(1).endswith(b"closed\n")
    assert "/dev/there-is-none" in (end.spawn_error or "")


async def test_a_capability_nobody_knows_is_refused(bench: Bench) -> None:
    end = await bench.run(shell(1, "true", capabilities=("fly",)))

    assert "capabilities: must be a list of names" in (end.spawn_error or "")
