"""The fixture that starts real daemons keeps its word: it leaves nothing behind."""

import json
from pathlib import Path

from tests.support.daemon import processes_of, running_daemon, wait_until


def test_a_killed_daemon_is_cleared_away_with_its_jobs_launcher_and_redis(tmp_path: Path) -> None:
    with running_daemon() as daemon:
        daemon.json("job", "add", "left", "--", f"echo $$ > {tmp_path}/pid; exec sleep 1000")
        daemon.json("run", "left")
        job = int(wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))

        daemon.kill9()
        lived_on = Path(f"/proc/{job}").exists()

    assert lived_on
    wait_until(lambda: not Path(f"/proc/{job}").exists() and not processes_of(daemon.state), seconds=5)
    assert not daemon.state.exists()


def test_a_daemon_is_started_again_on_what_it_left() -> None:
    with running_daemon() as daemon:
        made = daemon.json("job", "add", "kept", "--", "true")

        daemon.kill9()
        daemon.restart()

        assert json.loads(daemon.chronos("job", "show", "kept", "--json").stdout)["id"] == made["id"]
