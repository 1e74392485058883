"""The daemon dies or is restarted while jobs run: they run on, and nothing of them is lost."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.api import Api, Doc, api_of
from tests.support.daemon import DaemonHandle, running_daemon, wait_until

COUNTING = """
i=0
while [ $i -lt 160 ]; do
  i=$((i+1)); echo "line $i of {n}" | tee -a {copy}.out
  [ $((i % 7)) = 0 ] && echo "error $i of {n}" | tee -a {copy}.err >&2
  [ $((i % 10)) = 0 ] && sleep 0.1
done
exit {n}
"""
BYTES = """
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
  head -c 20000 /dev/urandom | tee -a {copy}.out
  printf 'no end \\377\\376 of line' | tee -a {copy}.err >&2
  sleep 0.15
done
"""
WAITING = "echo $$ > {copy}.pid; echo begun | tee -a {copy}.out; while [ ! -e {copy}.go ]; do sleep 0.05; done; "
LEAVING_A_CHILD = WAITING + "(setsid sh -c 'sleep 0.5; echo late' | tee -a {copy}.out &) ; sleep 1; exit 0"


def _cron(expression: str) -> Doc:
    return {"expressions": [expression]}


def _written(copy: Path, stream: str) -> bytes:
    file = copy.with_name(f"{copy.name}.{stream[3:]}")
    return file.read_bytes() if file.exists() else b""


def _assert_all_kept(api: Api, run: int, copy: Path) -> None:
    lines = api.finished_log(run)["lines"]
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
    for stream in ("stdout", "stderr"):
        assert api.output(run, stream) == _written(copy, stream), (run, stream)


def test_a_daemon_that_was_killed_adopts_ten_running_jobs(daemon: DaemonHandle, api: Api, tmp_path: Path) -> None:
    copies = [tmp_path / str(n) for n in range(10)]
    counting = [api.run(COUNTING.format(n=n, copy=copies[n])) for n in range(4)]
    binary = [api.run(BYTES.format(copy=copies[n])) for n in (4, 5)]
    exits_7 = api.run(WAITING.format(copy=copies[6]) + f"echo last | tee -a {copies[6]}.out; exit 7")
    is_killed = api.run(WAITING.format(copy=copies[7]))
    leaves_a_child = api.run(LEAVING_A_CHILD.format(copy=copies[8]))
    runs_on = api.run(WAITING.format(copy=copies[9]) + f"echo adopted | tee -a {copies[9]}.out; exit 9")
    runs = [*counting, *binary, exits_7, is_killed, leaves_a_child, runs_on]
    api.create(f"date >> {tmp_path}/fired", name="each-second", schedule=_cron("* * * * * *"))
    api.until_running(runs)
    wait_until(lambda: all(copies[n].with_suffix(".out").exists() for n in range(10)))

    daemon.kill9()
    copies[6].with_suffix(".go").touch()
    copies[8].with_suffix(".go").touch()
    os.kill(int(copies[7].with_suffix(".pid").read_text()), signal.SIGKILL)
    wait_until(lambda: b"last" in _written(copies[6], "stdout"))
    daemon.start()
    copies[9].with_suffix(".go").touch()

    ends = [api.until_final(run) for run in runs]
    assert [end["exit_code"] for end in ends] == [0, 1, 2, 3, 0, 0, 7, None, 0, 9]
    assert [end["signal"] for end in ends] == [None] * 7 + [signal.SIGKILL] + [None] * 2
    assert ends[7]["outcome"] == "signal"
    for run, copy in zip(runs, copies, strict=True):
        _assert_all_kept(api, run, copy)
    _assert_every_second_has_one_run(api.executions("each-second"))


def test_fires_that_came_due_while_the_daemon_was_dead_are_caught_up_once(tmp_path: Path) -> None:
    with running_daemon(settings="[engine]\non_time = 1\n") as daemon:
        api = api_of(daemon)
        api.create(f"echo x >> {tmp_path}/each-second", name="each-second", schedule=_cron("* * * * * *"))
        due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
        api.create(f"echo x >> {tmp_path}/once", name="once", schedule=_cron(f"@at {due:%Y-%m-%dT%H:%M:%S}"))
        daemon.kill9()
        wait_until(lambda: datetime.now(UTC) > due + timedelta(seconds=1.5))

        daemon.start()

        wait_until(lambda: any(run["state"] == "succeeded" for run in api.executions("each-second")[-3:]))
        [once] = wait_until(lambda: api.executions("once"))
        assert api.until_final(once["id"])["state"] == "succeeded"
        assert (once["trigger"], datetime.fromisoformat(once["fire_at"])) == ("catch_up", due)
        assert (tmp_path / "once").read_text() == "x\n"
        runs = api.executions("each-second")
        assert any(run["state"] == "missed" for run in runs)
        _assert_every_second_has_one_run(runs)


def _assert_every_second_has_one_run(runs: list[Doc]) -> None:
    instants = sorted(datetime.fromisoformat(run["fire_at"]).timestamp() for run in runs)
    assert instants == [instants[0] + n for n in range(len(instants))]


def test_a_polite_restart_adopts_too(daemon: DaemonHandle, api: Api, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    run = api.run(COUNTING.format(n=3, copy=copy))
    api.until_running([run])

    daemon.restart()

    assert daemon.process is not None
    assert api.until_final(run)["exit_code"] == 3
    _assert_all_kept(api, run, copy)
