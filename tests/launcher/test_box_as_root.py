"""Hostile jobs in a box, started by root: what they must not see, reach, take or leave behind."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from scheduler_daemon.launcher import accounts, boxes, controllers, kernel, spool, startup
from scheduler_daemon.runners.process import LaunchRequest
from scheduler_daemon.runners.requests import Box, Limits
from tests.launcher.bench import Bench, processes_called, processes_marked, shell

NOW = timedelta(0)
SHORT = timedelta(seconds=0.2)


def boxed(run: int, script: str, **more: object) -> LaunchRequest:
    return shell(run, script, **{"box": Box(), **more})


def perl(run: int, program: str, **more: object) -> LaunchRequest:
    return boxed(run, "", **{"argv": ("perl", "-e", program), **more})


async def test_neither_secrets_nor_the_daemons_files_are_seen(bench: Bench) -> None:
    script = f"cat /etc/shadow; ls {bench.state}; ls /root /home /var /run /sys; ls /proc/1/root/job; exit 5"

    end = await bench.run(boxed(1, script))

    assert end.exit_code == 5
    assert bench.out(1) == b""
    assert bench.out(1, "stderr").count(b"No such file") >= 7


async def test_nothing_can_be_written_but_home_and_tmp(bench: Bench) -> None:
    script = """
    for f in /x /usr/x /etc/x /dev/x /dev/shm/../x /proc/sys/kernel/hostname /proc/sysrq-trigger; do
        if (echo x > $f) 2>/dev/null; then echo "wrote $f"; fi
    done
    echo mine > /job/file && echo mine > /tmp/file && cat /job/file /tmp/file
    """

    await bench.run(boxed(1, script))

    assert bench.out(1) == b"mine\nmine\n"
    assert (bench.state / "spool" / "1" / "home" / "file").stat().st_uid == accounts.of(1, str(bench.state / "spool"))


async def test_its_folders_go_with_the_run_however_they_are_left(bench: Bench) -> None:
    outside = bench.state / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    deep = "i=0; while [ $i -lt 1500 ]; do mkdir d && cd d; i=$((i+1)); done"
    script = f"ln -s {outside} /job/link; ln -s /proc/1/root /tmp/root; mkdir /job/shut; echo x > /job/shut/f; "

    await bench.run(boxed(1, f"{script} chmod 000 /job/shut; cd /tmp; {deep}"))
    await bench.runner.forget([1])
    await bench.until(lambda: not list((bench.state / "spool").glob("*")))

    assert (outside / "kept").read_text() == "kept"


async def test_scratch_space_is_bounded_and_leaves_nothing_on_disk(bench: Bench) -> None:
    box = Box(files="scratch", scratch_bytes=1 << 20)
    script = "head -c 600k /dev/zero > /tmp/a && echo fits; head -c 600k /dev/zero > /job/b || echo full; ls -d /tmp/a"

    await bench.run(boxed(1, script, box=box))

    assert bench.out(1) == b"fits\nfull\n/tmp/a\n"
    assert not (bench.state / "spool" / "1" / "home").exists()


async def test_no_other_process_is_seen_or_signalled(bench: Bench) -> None:
    script = f"ls -d /proc/[0-9]* | wc -l; kill -0 {os.getpid()} || kill -0 {bench.runner.launcher_pid}"

    end = await bench.run(boxed(1, script))

    assert int(bench.out(1)) <= 5
    assert end.exit_code != 0


async def test_it_has_no_right_and_no_way_to_gain_one(bench: Bench) -> None:
    script = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; id -u; id -G; ls /proc/self/fd | wc -l"

    await bench.run(boxed(1, script))

    lines = [line.split() for line in bench.out(1).decode().splitlines()]
    told = {words[0]: words[1] for words in lines if len(words) == 2}
    assert {int(value, 16) for name, value in told.items() if name.startswith("Cap")} == {0}
    assert (told["NoNewPrivs:"], told["Seccomp:"]) == ("1", "2")
    assert lines[-3] == ["65534"]
    assert lines[-1] == ["4"]  # the three, and that of `ls`


async def test_root_is_refused_a_box_and_other_accounts_have_theirs(bench: Bench) -> None:
    await bench.run(boxed(1, "id -u", user="root"))
    await bench.run(boxed(2, "id -un", user="nobody"))

    assert "never root's" in (bench.ended[1].spawn_error or "")
    assert bench.out(2) == b"nobody\n"


CALLS = {
    "unshare": "syscall(272, 0x10000000)",
    "clone": "syscall(56, 0x10000000 | 17, 0, 0, 0, 0)",
    "clone3": "syscall(435, 0, 0)",
    "setns": "syscall(308, 0, 0)",
    "mount": "syscall(165, 0, 0, 0, 0, 0)",
    "ptrace": "syscall(101, 0, 0, 0, 0)",
    "keyctl": "syscall(250, 0, 0, 0, 0, 0)",
    "bpf": "syscall(321, 0, 0, 0)",
    "io_uring": "syscall(425, 1, 0)",
    "perf": "syscall(298, 0, 0, 0, 0, 0)",
    "vsock": "syscall(41, 40, 1, 0)",
    "process_vm_readv": "syscall(310, 0, 0, 0, 0, 0, 0)",
    "x32": "syscall(0x40000000 + 39)",
    "TIOCSTI": "syscall(16, 0, 0x5412, 0)",
    "TIOCSTI, high bits set": "syscall(16, 0, 0x100005412, 0)",
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
async def test_dangerous_calls_are_refused(bench: Bench) -> None:
    script = "; ".join(f'$r = {call}; print "{name}: ", $r, " ", $!+0, "\\n"' for name, call in CALLS.items())
    plain = '; print "socket: ", syscall(41, 2, 1, 0) >= 0, "\\n"; print "fork: ", system("true"), "\\n"'

    await bench.run(perl(1, script + plain))

    told = dict(line.split(": ") for line in bench.out(1).decode().splitlines())
    assert told.pop("socket") == "1"
    assert told.pop("fork") == "0"
    assert told.pop("clone3") == "-1 38"
    assert told == dict.fromkeys(CALLS.keys() - {"clone3"}, "-1 1")


async def test_without_network_not_even_this_machine_is_reached(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as abstract:
        port = listener.getsockname()[1]
        name = f"chronos-test-{os.getpid()}"
        abstract.bind(b"\0" + name.encode())
        abstract.listen()
        connect = f"""use Socket; socket(S, PF_INET, SOCK_STREAM, 0);
        print connect(S, pack_sockaddr_in({port}, inet_aton("127.0.0.1"))) ? "in" : "out";
        socket(U, PF_UNIX, SOCK_STREAM, 0);
        print connect(U, pack("S a*", 1, "\\0{name}")) ? " in" : " out";"""

        await bench.run(perl(1, connect), perl(2, connect, box=Box(network="host")))

    assert bench.out(1) == b"out out"
    assert bench.out(2).startswith(b"in")


def _open_to_all(folder: Path) -> None:
    for one in (folder, *folder.parents):
        if one.stat().st_mode & 0o055 != 0o055:
            one.chmod(0o755)


async def test_declared_paths_are_seen_as_declared(bench: Bench) -> None:
    place = bench.state.with_name(f"{bench.state.name}-shown")
    place.mkdir()
    for name in ("read", "write", "neither"):
        (place / name).mkdir()
        (place / name / "file").write_text(name)
        (place / name).chmod(0o777)
    _open_to_all(place)
    (place / "link").symlink_to(place / "neither")
    box = Box(read=(str(place / "read"),), write=(str(place / "write"),))
    script = "cat */file; (echo x > read/new) 2>/dev/null || echo refused; echo x > write/new"

    await bench.run(boxed(2, f"cd {place}; {script}", box=box))
    await bench.run(boxed(3, "true", box=Box(read=(str(place / "link"),))))
    await bench.run(boxed(4, "true", box=Box(read=(str(place / "missing"),))))
    await bench.run(boxed(5, "true", box=Box(read=("/proc/1",))))
    await bench.run(boxed(6, "true", box=Box(read=("/",))))
    await bench.run(boxed(7, "true", box=Box(read=(str(bench.state / "spool" / "6"),))))

    assert bench.out(2) == b"readwriterefused\n"
    assert (place / "write" / "new").read_text() == "x\n"
    assert "symbolic link" in (bench.ended[3].spawn_error or "")
    assert str(place / "missing") in (bench.ended[4].spawn_error or "")
    assert "/proc/1 cannot be shown" in (bench.ended[5].spawn_error or "")
    assert "/ cannot be shown" in (bench.ended[6].spawn_error or "")
    assert "the daemon's own" in (bench.ended[7].spawn_error or "")


async def test_whole_folders_of_the_system_may_be_declared_but_hide_the_daemons(bench: Bench) -> None:
    await bench.run(boxed(1, "cat /etc/passwd >/dev/null; cat /etc/shadow; exit 3", box=Box(read=("/etc",))))
    _open_to_all(bench.state)
    above = str(bench.state.parent)
    for files in ("system", "scratch"):
        await bench.run(boxed(2, f"ls -A {bench.state}; echo x > $TMPDIR/x; exit 3", box=Box(files, read=(above,))))

    assert bench.ended[1].exit_code == 3
    assert b"ermission denied" in bench.out(1, "stderr")
    assert bench.ended[2].exit_code == 3
    assert bench.out(2) == b""


async def test_secrets_of_the_environment_are_in_no_command_line(bench: Bench) -> None:
    environment = {"PATH": "/usr/bin:/bin", "TOKEN": "s3cr3t-7781"}
    await bench.start(boxed(1, 'echo "$TOKEN"; sleep 30', env=environment))
    await bench.says(1, "s3cr3t-7781")

    lines = [_read(f"/proc/{pid}/cmdline") for pid in kernel.processes()]

    assert not any(b"s3cr3t-7781" in line for line in lines)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


async def test_a_fork_bomb_stays_within_its_limit(bench: Bench) -> None:
    count = "n=0; while [ $n -lt 300000 ]; do n=$((n + 1)); done"  # the shell itself forks once only, first
    bomb = f"f() {{ f | f & }}; (f) & {count}; exit 9"

    end = await bench.run(boxed(1, bomb, limits=Limits(processes=20)))

    assert end.limit_hit == "pids"
    assert end.exit_code == 9
    assert (end.processes or 0) <= 20


async def test_a_memory_hog_is_killed_and_the_limit_named(bench: Bench) -> None:
    hog = '$x = "a" x 200_000_000; print "had it"'

    await bench.run(perl(1, hog, limits=Limits(memory_bytes=32 << 20)))
    await bench.run(shell(2, "", argv=("perl", "-e", hog), limits=Limits(memory_bytes=32 << 20)))
    files = boxed(
        3,
        "head -c 100M /dev/zero > /tmp/x",
        box=Box(files="scratch", scratch_bytes=1 << 30),
        limits=Limits(memory_bytes=32 << 20),
    )
    await bench.run(files)

    for run in (1, 2, 3):
        assert bench.ended[run].limit_hit == "memory"
        assert bench.ended[run].usage_source == "cgroup"
        assert b"had it" not in bench.out(run)
    assert (bench.ended[1].exit_code, bench.ended[2].signal) == (137, 9)
    assert bench.ended[1].note == "128+9: SIGKILL inside the box or an exit with that code"


async def test_processor_time_of_the_whole_run_is_limited(bench: Bench) -> None:
    spin = "(while :; do :; done) & (while :; do :; done) & wait"

    end = await bench.run(boxed(1, spin, limits=Limits(cpu_ms=200)))
    other = await bench.run(shell(2, spin, limits=Limits(cpu_ms=200)))

    for one in (end, other):
        assert one.limit_hit == "cpu_time"
        assert one.killed_by is None
        assert one.cpu_ms is not None
        assert one.cpu_ms >= 200
    assert processes_marked(bench.state, 1) == []


async def test_one_process_beyond_the_processor_time_is_ended_for_that_and_by_nobody_else(bench: Bench) -> None:
    end = await bench.run(boxed(1, "ulimit -t; while :; do :; done", limits=Limits(cpu_ms=1000)))

    assert bench.out(1) == b"unlimited\n"  # the kernel's limit of each process would end it without saying so
    assert end.limit_hit == "cpu_time"


async def test_files_and_descriptors_are_limited_process_by_process(bench: Bench) -> None:
    limits = Limits(open_files=16, file_bytes=8192)

    await bench.run(boxed(1, "ulimit -n; ulimit -c; exec head -c 9000 /dev/zero > /tmp/x", limits=limits))
    end = await bench.run(shell(2, f"exec head -c 9000 /dev/zero > {bench.state}/x", limits=limits))
    await bench.run(boxed(3, "head -c 8000 /dev/zero > /tmp/x; exit 153", limits=limits))
    await bench.run(boxed(4, "trap '' XFSZ; head -c 9000 /dev/zero > /tmp/x", limits=limits))
    await bench.run(boxed(5, "head -c 9000 /dev/zero > /tmp/x; exit 0", limits=limits))

    assert bench.out(1) == b"16\n0\n"
    assert bench.ended[1].exit_code == 128 + signal.SIGXFSZ
    assert bench.ended[1].limit_hit == end.limit_hit == "file_size"
    assert bench.ended[3].exit_code == 153
    assert bench.ended[3].limit_hit is None  # an exit with that code is no proof
    assert (bench.ended[4].exit_code, bench.ended[4].limit_hit) == (1, "file_size")
    assert (bench.ended[5].exit_code, bench.ended[5].limit_hit) == (0, None)  # not looked for where it ended well


async def test_a_cancel_reaches_what_hides_in_a_box(any_bench: Bench) -> None:
    word = f"300.{random.randrange(10**9)}"
    hide = f"trap '' TERM; setsid -f env -i sh -c \"trap '' TERM; sleep {word} & sleep {word}\"; sleep {word}; :"
    await any_bench.start(boxed(1, hide))
    await any_bench.until(lambda: len(processes_called(word)) >= 3)

    await any_bench.runner.cancel(1, "enough", SHORT)
    await any_bench.until(lambda: 1 in any_bench.ended)

    assert processes_called(word) == []
    assert any_bench.ended[1].killed_by == "cancel"
    assert any_bench.ended[1].survivors == 0


async def test_a_boxed_job_that_goes_at_term_tells_its_exit_code(any_bench: Bench) -> None:
    await any_bench.start(boxed(1, "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.01; done"))
    await any_bench.says(1, "ready")

    await any_bench.runner.cancel(1, "enough", timedelta(seconds=20))
    await any_bench.until(lambda: 1 in any_bench.ended)

    assert any_bench.ended[1].exit_code == 9
    assert any_bench.out(1) == b"ready\nbye\n"


async def test_early_cancels_of_boxes_leave_nothing(any_bench: Bench) -> None:
    chance = random.Random(5)
    word = f"77.{random.randrange(10**9)}"
    forking = f"setsid -f sh -c 'sleep {word} & sleep {word}'; (sleep {word} &); sleep {word}"

    async def cancel_soon(run: int) -> None:
        await asyncio.sleep(chance.random() * 0.05)
        await any_bench.runner.cancel(run, "early", NOW)

    await any_bench.runner.launch([boxed(run, forking, limits=Limits(processes=50)) for run in range(50)])
    await asyncio.gather(*[cancel_soon(run) for run in range(50)])
    await any_bench.until(lambda: len(any_bench.ended) == 50, 60)

    assert processes_called(word) == []
    assert [run for run in range(50) if processes_marked(any_bench.state, run)] == []
    assert {end.killed_by for end in any_bench.ended.values()} == {"cancel"}


async def test_nothing_stays_in_a_box_whose_command_has_ended(any_bench: Bench) -> None:
    word = f"300.{random.randrange(10**9)}"

    end = await any_bench.run(boxed(1, f"setsid -f sleep {word}; sleep {word} & exit 4"))

    assert end.exit_code == 4
    assert end.leftover == 0
    assert processes_called(word) == []


async def test_nothing_stays_in_a_box_whose_keeper_is_killed(any_bench: Bench) -> None:
    word = f"300.{random.randrange(10**9)}"
    await any_bench.start(boxed(1, f"sleep {word}; :"))
    await any_bench.until(lambda: processes_called(word) != [])

    os.kill(any_bench.started[1].pid, signal.SIGKILL)
    await any_bench.until(lambda: 1 in any_bench.ended)

    assert any_bench.ended[1].signal == signal.SIGKILL
    assert processes_called(word) == []


async def test_a_box_is_closed_when_all_in_it_have_gone(any_bench: Bench) -> None:
    script = "for n in $(seq 150); do sleep 300 & done; readlink /proc/self/ns/pid; wait"
    await any_bench.start(boxed(1, script))
    await any_bench.until(lambda: any_bench.out(1).endswith(b"\n"))
    namespace, path = any_bench.out(1).decode().strip(), any_bench.state / "spool" / "1"
    start = spool.load(str(path), spool.START)
    assert start is not None

    boxes.close_wholly(boxes.told(str(path)), start["mark"], None)

    assert [pid for pid, one in kernel.processes().items() if one.living and _namespace(pid) == namespace] == []


def _namespace(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


@pytest.mark.parametrize(
    "line",
    ["[1]", "5", "null", "[" * 100_000, '{"child-pid": "1"}', '{"child-pid": 1099511627776, "pid-namespace": 1}',
     '{"child-pid": [1], "exit-code": 2.5}', '{"exit-code": "x"}', '{"exit-code": true}', '{"exit-code": 256}',
     '{"child-pid": -1}', '{"pid-namespace": 1e999}'],
)  # fmt: skip
def test_a_box_that_notes_nonsense_has_noted_nothing(line: str, tmp_path: Path) -> None:
    (tmp_path / "status").write_text(f"{line}\n")

    box = boxes.told(str(tmp_path))
    boxes.close_wholly(box, "1-", None)

    assert box.exit_code is None


async def test_what_its_account_writes_into_the_notes_of_a_box_kills_nobody_else(bench: Bench) -> None:
    other = await asyncio.create_subprocess_exec("sleep", "60")
    notes = {"child-pid": other.pid, "pid-namespace": Path("/proc/self/ns/pid").stat().st_ino}
    await bench.runner.launch([boxed(1, "echo begun; sleep 0.5; exit 3")])
    await bench.until(lambda: 1 in bench.started and bench.out(1) == b"begun\n")

    with (bench.state / "spool" / "1" / "status").open("r+b") as file:  # as who takes bubblewrap's descriptor could
        room = len(file.readline()) - 1
        file.seek(0)
        file.write(json.dumps(notes).encode().ljust(room))
    await bench.until(lambda: 1 in bench.ended)

    assert bench.ended[1].exit_code == 3
    assert other.returncode is None
    assert Path(f"/proc/{other.pid}/stat").read_text().split()[2] == "S"
    other.kill()
    await other.wait()


async def test_the_exit_code_outlives_the_spawner(any_bench: Bench) -> None:
    await any_bench.start(boxed(1, "echo up; sleep 0.5; exit 7"))
    await any_bench.says(1, "up")

    os.kill(any_bench.spawner_of(1), signal.SIGKILL)
    await any_bench.until(lambda: 1 in any_bench.ended)

    assert any_bench.ended[1].exit_code == 7


async def test_the_exit_code_outlives_launcher_and_spawners(bench: Bench) -> None:
    await bench.start(boxed(1, "echo up; sleep 0.7; exit 7", limits=Limits(processes=20)))
    await bench.says(1, "up")
    launcher = bench.runner.launcher_pid
    assert launcher is not None

    for pid in (launcher, *bench.spawners()):
        os.kill(pid, signal.SIGKILL)
    await bench.until(lambda: 1 in bench.ended)

    assert bench.ended[1].exit_code == 7
    assert not bench.ended[1].unknown


async def test_what_cannot_begin_in_a_box_says_why(bench: Bench) -> None:
    await bench.run(boxed(1, "", argv=("no-such-program",)))
    await bench.run(boxed(2, "", env={f"N{number}": "x" for number in range(3000)}))

    assert "no-such-program" in (bench.ended[1].spawn_error or "")
    assert "too many" in (bench.ended[2].spawn_error or "")


async def test_without_bubblewrap_nothing_runs_and_the_remedy_is_told(open_bench: object) -> None:
    async with open_bench("--bwrap", "/nonexistent/bwrap") as bench:  # type: ignore[operator]
        told = await bench.runner.protections()
        end = await bench.run(boxed(1, "echo ran"))

        assert "apt-get install bubblewrap" in told["files"]
        assert told["kill"] == ""
        assert "apt-get install bubblewrap" in (end.spawn_error or "")
        assert bench.out(1) == b""


async def test_the_groups_of_ended_runs_are_gone(bench: Bench) -> None:
    await bench.run(
        *[boxed(run, "sleep 0.05 & exit 0", limits=Limits(processes=9, memory_bytes=64 << 20)) for run in range(20)]
    )
    found = controllers.find_parents(startup.group_name(bench.state))
    parents = [Path(parent) for parent in found.values() if Path(parent).is_dir()]

    await bench.until(lambda: not any(one.is_dir() for parent in parents for one in parent.iterdir()))

    assert parents


async def test_the_groups_of_a_run_go_once_what_it_left_has_gone(bench: Bench) -> None:
    await bench.run(shell(1, "sleep 0.5 & exit 0", limits=Limits(processes=9)))
    parents = controllers.find_parents(startup.group_name(bench.state))
    kept = any(Path(parent, "1").is_dir() for parent in parents.values())

    await bench.until(lambda: not any(Path(parent, "1").is_dir() for parent in parents.values()))

    assert kept
