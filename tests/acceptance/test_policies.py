"""Policies kept by the real daemon: what a job of each may reach, what ends it, and when it is not started at all."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from chronos_tui.client import ServerError, calls
from scheduler_daemon.contract.places import places
from scheduler_daemon.runners.process import ProcessRunner
from tests.support.api import Api, api_of
from tests.support.daemon import DaemonHandle, running_daemon, wait_until


def test_a_standard_job_neither_reads_the_daemons_state_nor_writes_outside(api: Api, daemon: DaemonHandle) -> None:
    database = next(daemon.state.glob("*.db"))
    run = api.run(
        f"cat {database} && echo read; touch /etc/mine && echo wrote; cd && pwd && touch kept && echo home",
        policy="standard",
    )

    end = api.until_final(run)

    assert (end["state"], end["reason"]) == ("succeeded", "")
    assert {"/job", "home"} <= (said := set(api.output(run).decode().split()))
    assert not {"read", "wrote"} & said
    assert end["policy"]["requested"] == "standard"
    assert {"files", "kill", "privileges", "processes", "seccomp"} <= set(end["policy"]["in_force"])


def test_a_job_reads_what_it_declares(api: Api) -> None:
    folder = Path("/srv/chronos-test-data")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text").write_text("declared\n")
    try:
        run = api.run(f"cat {folder}/text", policy="standard", read=[str(folder)])
        assert api.until_final(run)["state"] == "succeeded"
        assert api.output(run) == b"declared\n"
    finally:
        (folder / "text").unlink()
        folder.rmdir()


def test_a_job_without_network_sees_only_its_own_loopback(api: Api) -> None:
    run = api.run("tail -n +3 /proc/net/dev | cut -d: -f1", policy="standard", network={"mode": "none"})

    end = api.until_final(run)

    assert (end["state"], end["reason"]) == ("succeeded", "")
    assert api.output(run).decode().split() == ["lo"]
    assert "network" in end["policy"]["in_force"]


def test_a_job_speaks_to_listed_addresses_alone_and_what_is_refused_is_told(daemon: DaemonHandle, api: Api) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listed:
        place = f"127.0.0.1:{listed.getsockname()[1]}"
        command = (
            f"echo hello > /dev/tcp/{place.replace(':', '/')}; curl -s http://{place}0/; curl -s http://evil.example/"
        )
        made = daemon.json(
            "job", "add", "speaker", "--policy", "standard", "--network", f"{place},db.example:5432", "--", "true"
        )
        daemon.json("job", "edit", "speaker", "--shell", "/bin/bash", "--", command)
        run = daemon.json("run", "speaker")["id"]
        listed.settimeout(20)
        with listed.accept()[0] as heard:
            heard.settimeout(20)
            assert heard.recv(6) == b"hello\n"

    end = api.until_final(run)
    api.finished_log(run)

    assert {"addresses", "network"} <= set(end["policy"]["in_force"])
    assert made["spec"]["network"] == {"mode": "allow", "allow": [place, "db.example:5432"]}
    why = "evil.example:80 is refused: it is not among the addresses that the job may speak to"
    wait_until(lambda: api.execution(run)["warned"] == [f"network: {why}"])
    assert f"network: {why}" in daemon.chronos("run", "show", str(run)).stdout
    assert place in daemon.chronos("job", "show", "speaker").stdout


def test_a_job_beyond_its_memory_is_ended_for_that(api: Api) -> None:
    run = api.run("head -c 200M /dev/zero | tail", policy="standard", limits={"memory_bytes": 32 << 20})

    end = api.until_final(run)

    if "memory" in end["policy"]["missing"]:  # no controller is to be had here, and nothing else is said
        assert "memory" not in end["policy"]["in_force"]
        assert end["outcome"] != "oom_killed"
    else:
        assert end["outcome"] == "oom_killed"
        assert "its limit of memory" in end["reason"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"policy": "loose"}, "there is no policy 'loose'"),
        ({"policy": "strict", "limits": {"memory_bytes": 1 << 30}}, "memory_bytes 1073741824"),
        ({"policy": "strict", "network": {"mode": "allow", "allow": ["a.example:80"]}}, "grants no network"),
        ({"policy": "trusted", "network": {"mode": "allow", "allow": ["a.example:80"]}}, "puts no box"),
        ({"policy": "standard", "network": {"mode": "allow", "allow": ["127.1:80"]}}, "write it as four numbers"),
        ({"policy": "standard", "network": {"mode": "allow", "allow": ["0.0.0.0:80"]}}, "of no one machine"),
    ],
)
def test_a_wish_beyond_the_policy_is_refused_with_the_reason(api: Api, fields: dict[str, object], said: str) -> None:
    with pytest.raises(ServerError, match=said):
        api.run("true", **fields)


async def _start_launcher_without_bubblewrap(state: Path) -> None:
    """Start the launcher that the daemon of a state directory will find."""
    place = Path(places(str(state), os.getuid()).launcher_socket)
    async with ProcessRunner(state, place, options=("--bwrap", "/nowhere/bwrap")):
        pass  # it stays


def test_a_run_is_blocked_where_no_box_can_be_had_and_a_trusted_one_runs() -> None:
    with running_daemon(before=lambda state: asyncio.run(_start_launcher_without_bubblewrap(state))) as handle:
        api = api_of(handle)
        run = api.run("echo ran", policy="standard")
        assert api.until_final(api.run("true"))["state"] == "succeeded"

        end = api.until_final(run)

        assert (end["state"], end["outcome"], end["started_at"]) == ("blocked", "isolation", None)
        assert "files" in end["policy"]["missing"]
        assert end["policy"]["in_force"] == []
        assert "install bubblewrap" in end["reason"]


def test_a_strict_job_has_no_network_and_its_home_in_memory(api: Api) -> None:
    run = api.run("tail -n +3 /proc/net/dev | cut -d: -f1; pwd", policy="strict")

    end = api.until_final(run)

    if end["policy"]["missing"]:  # what it requires is not to be had here: then it must not run
        assert (end["state"], end["outcome"], end["started_at"]) == ("blocked", "isolation", None)
        assert all(name in end["reason"] for name in end["policy"]["missing"])
    else:
        assert api.output(run).decode().split() == ["lo", "/job"]


def test_a_run_tells_the_version_of_its_own_policy_and_keeps_to_it(api: Api) -> None:
    request = {"name": "quiet", "changes": {"network": {"mode": "none"}, "environment": {"TEAM": "a"}}}
    api.ask(calls.create_policy(request))
    job = api.create("echo $TEAM; sleep 0.1; tail -n +3 /proc/net/dev | cut -d: -f1; sleep 60", policy="quiet")
    api.ask(calls.patch_policy("quiet", {"version": 1, "changes": {"timeout_ms": 1500}}))

    end = api.until_final(int(api.ask(calls.run_job(job["id"]))["id"]))

    assert api.output(end["id"]).decode().split() == ["a", "lo"]
    assert (end["policy"]["requested"], end["policy"]["version"]) == ("quiet", 2)
    assert "network" in end["policy"]["in_force"]
    assert end["outcome"] == "timed_out"
    with pytest.raises(ServerError, match=f"used by '{job['name']}'"):
        api.ask(calls.delete_policy("quiet"))


def test_a_policy_without_a_box_of_ones_own_has_limits_and_no_more(api: Api) -> None:
    request = {"name": "capped", "based_on": "trusted", "changes": {"limits": {"open_files": 64}}}
    made = api.ask(calls.create_policy(request))
    run = api.run("ulimit -n; pwd", policy="capped", cwd="/tmp", artifacts=["none/*"])

    end = api.until_final(run)

    api.finished_log(run)
    assert made["policy"]["admins_only"]
    assert wait_until(lambda: api.output(run)).decode().split() == ["64", "/tmp"]  # kept behind its files
    assert "files" not in end["policy"]["in_force"]


def test_a_run_that_met_a_limit_and_ended_well_tells_of_it(api: Api) -> None:
    run = api.run("head -c 200M /dev/zero | tail | wc -c; exit 0", limits={"memory_bytes": 32 << 20})
    loud = api.run("yes | head -c 20000; exit 0", output_limit_bytes=4096)

    end, other = api.until_final(run), api.until_final(loud)

    assert (other["state"], other["usage"]["limit_hit"]) == ("succeeded", "output")
    assert "the limit of its output" in other["reason"]
    assert (end["state"], end["exit_code"]) == ("succeeded", 0)
    if "memory" in end["policy"]["missing"]:
        assert end["usage"]["limit_hit"] is None
    else:
        assert end["usage"]["limit_hit"] == "memory"
        assert "its limit of memory" in end["reason"]


def test_an_account_is_given_a_power_of_roots_by_a_policy_that_only_admins_may_use(api: Api) -> None:
    changes = {"root": False, "capabilities": ["net_bind_service"], "accounts": ["nobody"]}
    made = api.ask(calls.create_policy({"name": "low-ports", "based_on": "trusted", "changes": changes}))
    run = api.run("grep CapEff /proc/self/status", policy="low-ports", user="nobody", cwd="/")
    with pytest.raises(ServerError, match="name the account"):
        api.run("true", policy="low-ports")

    end = api.until_final(run)

    assert made["policy"]["admins_only"]
    if os.geteuid() != 0:
        assert (end["outcome"], "only root" in end["reason"]) == ("spawn_failed", True)
    else:
        assert (end["state"], end["reason"]) == ("succeeded", "")
        assert api.output(run).split() == [b"CapEff:", b"0000000000000400"]
