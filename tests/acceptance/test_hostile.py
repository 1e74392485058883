"""Hostile jobs as real jobs under `standard` and `strict`: the run record tells what became of them, the host is whole.

What a box refuses at its edges is shown in tests/launcher/test_box_as_root.py; here is what jobs try in daily life.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler_daemon.contract.places import places
from tests.launcher.bench import processes_called
from tests.support.api import Api, Doc
from tests.support.daemon import DaemonHandle, wait_until

SECRET = "s3cr3t-of-the-host"
WORD = "4321.125"
"""What the sleepers of these jobs sleep, by which they are found."""
TRICKS = {
    "typing for the user": (
        """perl -e '$x = "x"; for $f (*STDIN, *STDOUT) { print ioctl($f, 0x5412, $x) ? "typed\\n" : "refused\\n" }'""",
        "refused\nrefused\n",
    ),
    "descriptors": (
        """perl -e 'my @a; while (open my $f, "<", "/dev/null") { push @a, $f } print "$!\\n"'""",
        "Too many open files\n",
    ),
    "core dumps": ("ulimit -c unlimited; sh -c 'kill -SEGV $$'; ls -A /job | grep -c core", "0\n"),
    "inodes": ("i=0; while [ $i -lt 5000 ]; do : > /tmp/$i || break; i=$((i+1)); done; echo made", "made\n"),
    "links": (
        """
        ln -s /etc/shadow /job/a; ln -s {state} /job/b; ln -s /proc/1/root/root /job/c; cat /job/a /job/b/* /job/c/*
        ln {secret} /job/d; echo over
        """,
        "over\n",
    ),
    "pipes": ("mkfifo /job/a /tmp/b; (cat /job/a &); rm /tmp/b; mkfifo /tmp/b; echo over", "over\n"),
    "killing all": (
        "sh -c 'kill -9 {daemon} {launcher} 1'; perl -e 'kill 9, {daemon}, {launcher}'; echo over",
        "over\n",
    ),
    "tracing": (
        """perl -e 'print syscall(101, 16, {daemon}, 0, 0), "\\n"'; cat /proc/{daemon}/environ; echo over""",
        "-1\nover\n",
    ),
    "sockets": (
        """
        perl -MSocket -e 'for (@ARGV) { socket S, PF_UNIX, SOCK_STREAM, 0;
            print connect(S, pack_sockaddr_un($_)) ? "in\\n" : "out\\n" }' {sockets}
        """,
        "out\nout\nout\n",
    ),
    "files": ("cat {secret} {state}/*; ls -A /root /home; grep -rl {word} /job /tmp; echo over", "over\n"),
    "devices": (
        "head -c 1 /dev/mem /dev/kmsg; mknod /tmp/x b 254 0 && echo made; touch /dev/x && echo made; echo over",
        "over\n",
    ),
    "environment": ("env | grep -ci -e redis -e chronos_state -e {word}; echo over", "0\nover\n"),
    "the machine": (
        """
        (echo 1 > /proc/sys/vm/drop_caches; echo c > /proc/sysrq-trigger) && echo written
        hostname evil && echo renamed; mount -t tmpfs x /tmp && echo mounted; echo over
        """,
        "over\n",
    ),
    "namespaces": ("unshare -Ur true && echo root; perl -e 'print syscall(272, 0x10000000), qq(\\n)'", "-1\n"),
}
"""What each does, and all that it may say."""


@pytest.fixture(scope="module")
def secret() -> Iterator[Path]:
    """A file that every account of the machine may read, in a folder that no job declares."""
    path = Path(f"/srv/chronos-test-{os.getpid()}")
    path.write_text(SECRET)
    path.chmod(0o644)
    yield path
    path.unlink()


def run_under(api: Api, policy: str, command: str, **spec: object) -> tuple[Doc, int] | None:
    """Run a job to its end. None where `strict` is not to be had here, which must have run nothing and said why."""
    run = api.run(command, policy=policy, **spec)
    end = api.until_final(run, seconds=60)
    if end["state"] != "blocked":
        return end, run
    api.finished_log(run)
    assert (policy, end["outcome"], end["started_at"], api.output(run)) == ("strict", "isolation", None, b"")
    assert end["policy"]["missing"]
    assert all(f"{name}: " in end["reason"] for name in end["policy"]["missing"])
    return None


@pytest.mark.parametrize("policy", ["standard", "strict"])
def test_none_of_these_tricks_works(api: Api, daemon: DaemonHandle, secret: Path, policy: str) -> None:
    known = places(str(daemon.state), os.getuid())
    assert daemon.process is not None
    given = {
        "state": daemon.state,
        "secret": secret,
        "word": SECRET,
        "daemon": daemon.process.pid,
        "launcher": _pid_of(daemon, "launcher"),
        "sockets": " ".join([str(known.api_socket), str(known.launcher_socket), str(_redis_socket(daemon))]),
    }

    runs = {name: api.run(_filled(command, given), policy=policy) for name, (command, _) in TRICKS.items()}
    ends = {name: api.until_final(run, seconds=60) for name, run in runs.items()}

    for run in runs.values():
        api.finished_log(run)
    told = {name: api.output(run).decode("utf-8", "replace") for name, run in runs.items()}
    blocked = {name for name, end in ends.items() if end["state"] == "blocked"}
    if blocked:  # what it requires is not to be had here: then none of them may run
        assert (policy, blocked) == ("strict", set(TRICKS))
        return
    assert told == {name: wanted for name, (_, wanted) in TRICKS.items()}
    assert SECRET not in "".join(told.values())
    assert daemon.process.poll() is None
    assert _pid_of(daemon, "launcher") == given["launcher"]
    assert api.health()["status"] == "ready"


@pytest.mark.parametrize("policy", ["standard", "strict"])
def test_a_run_that_closes_its_output_ends_with_its_command_and_leaves_nothing(api: Api, policy: str) -> None:
    ran = run_under(api, policy, f"sleep {WORD} & setsid -f sleep {WORD}; exec >&- 2>&-; exit 3")

    assert ran is None or ran[0]["exit_code"] == 3
    assert processes_called(WORD) == []


@pytest.mark.parametrize("policy", ["standard", "strict"])
def test_a_job_that_hides_and_ignores_term_is_gone_after_its_timeout(api: Api, policy: str) -> None:
    away = f"setsid -f env -i sh -c 'trap \"\" TERM; sleep {WORD}9 & sleep {WORD}9'"

    ran = run_under(api, policy, f"trap '' TERM; {away}; sleep {WORD}9; sleep {WORD}9", timeout_ms=1000, grace_ms=200)

    assert ran is None or ran[0]["outcome"] == "timed_out"
    assert processes_called(f"{WORD}9") == []


@pytest.mark.parametrize("policy", ["standard", "strict"])
def test_bombs_and_hogs_end_for_their_limit(api: Api, policy: str) -> None:
    bomb = api.run("f() { f | f & }; f; sleep 0.5; exit 9", policy=policy, limits={"processes": 30})
    hogs = "for i in 1 2 3 4; do perl -e '$x = q(a) x 30_000_000; sleep 1' & done; wait; exit 9"
    many = api.run(hogs, policy=policy, limits={"memory_bytes": 64 << 20})

    ends = [api.until_final(run, seconds=60) for run in (bomb, many)]

    if not {"memory", "pids"} & {name for end in ends for name in end["policy"]["missing"]}:
        assert [end["outcome"] for end in ends] == ["pids_limit", "oom_killed"]
        assert "its limit of memory" in ends[1]["reason"]


@pytest.mark.parametrize("policy", ["standard", "strict"])
def test_what_is_written_to_harm_who_looks_is_kept_exactly(api: Api, policy: str) -> None:
    evil = b"\x1b]52;c;ZXZpbA==\x07\x1b]0;title\x07\x1b[2J\xe2\x80\xaeevil\xe2\x81\xa6 [red]x[/red] \xff\xfe\r\x08\n"
    octal = "".join(f"\\{byte:03o}" for byte in evil)

    ran = run_under(api, policy, f"printf '{octal}'; head -c 1048576 /dev/zero | tr '\\0' y; echo")
    if ran is None:
        return
    end, run = ran
    api.finished_log(run)

    assert end["state"] == "succeeded"
    assert api.output(run) == evil + b"y" * 1_048_576 + b"\n"


def test_a_strict_job_does_not_reach_an_abstract_socket_of_the_machine(api: Api) -> None:
    name = f"chronos-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(b"\0" + name.encode())
        listener.listen()
        connect = f"""perl -e 'use Socket; socket(U, PF_UNIX, SOCK_STREAM, 0);
        print connect(U, pack("S a*", 1, "\\0{name}")) ? "in" : "out"'"""

        ran = run_under(api, "strict", connect)
    if ran is None:
        return
    api.finished_log(ran[1])

    assert api.output(ran[1]) == b"out"


def _filled(command: str, given: dict[str, object]) -> str:
    for name, value in given.items():
        command = command.replace("{" + name + "}", str(value))
    return command


def _pid_of(daemon: DaemonHandle, part: str) -> int:
    return int((daemon.state / f"{part}.lock").read_text())


def _redis_socket(daemon: DaemonHandle) -> Path:
    """Where the embedded Redis listens."""
    found: Path = wait_until(lambda: next((one for one in daemon.state.rglob("*redis*.sock")), None))
    return found
