"""Each rung of what keeps runs apart taken away in turn: what requires it is refused with the reason, the rest runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler_daemon.contract.places import places
from scheduler_daemon.runners.process import ProcessRunner
from tests.support.api import Api, Doc, api_of
from tests.support.daemon import DaemonHandle, running_daemon
from tests.support.masks import start_launcher_without_namespaces


def _socket(state: Path) -> Path:
    return Path(places(str(state), os.getuid()).launcher_socket)


async def _start_launcher(state: Path, *options: str) -> None:
    """Start the launcher that the daemon of a state directory will find."""
    async with ProcessRunner(state, _socket(state), options=options):
        pass  # it stays


def _without_bubblewrap(state: Path) -> None:
    asyncio.run(_start_launcher(state, "--bwrap", "/nowhere/bwrap"))


def _without_groups(state: Path) -> None:
    asyncio.run(_start_launcher(state, "--no-groups"))


def _without_namespaces(state: Path) -> None:
    start_launcher_without_namespaces(state, _socket(state))


RUNGS = {
    "bubblewrap": (_without_bubblewrap, "files", "apt-get install bubblewrap", {"standard", "strict"}),
    "user namespaces": (_without_namespaces, "files", "unshare -Ur true", {"standard", "strict"}),
    "control groups": (_without_groups, "memory", "Delegate=yes", {"strict"}),
}


@pytest.fixture(params=RUNGS)
def masked(request: pytest.FixtureRequest) -> Iterator[tuple[DaemonHandle, str]]:
    with running_daemon(before=RUNGS[request.param][0]) as handle:
        yield handle, request.param


def _ran(api: Api, policy: str) -> tuple[Doc, bytes]:
    run = api.run("echo ran", policy=policy)
    end = api.until_final(run)
    api.finished_log(run)
    return end, api.output(run)


def test_what_requires_a_missing_rung_is_refused_with_the_remedy(masked: tuple[DaemonHandle, str]) -> None:
    handle, rung = masked
    _, protection, remedy, refused = RUNGS[rung]
    api = api_of(handle)

    found = {policy: _ran(api, policy) for policy in ("trusted", "standard", "strict")}

    assert found["trusted"][0]["state"] == "succeeded"
    assert {policy for policy, (end, _) in found.items() if end["state"] == "blocked"} == refused
    for policy in refused:
        end, said = found[policy]
        assert (end["outcome"], end["started_at"], said) == ("isolation", None, b"")
        assert protection in end["policy"]["missing"]
        assert f"{protection}: " in end["reason"]
        assert remedy in end["reason"]
    for policy in {"standard", "strict"} - refused:
        end, said = found[policy]
        assert (end["state"], said) == ("succeeded", b"ran\n")
        assert protection not in end["policy"]["in_force"]
