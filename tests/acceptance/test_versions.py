"""What changed between versions of a job, and the way back."""

from tests.support.daemon import DaemonHandle


def test_a_job_tells_what_changed_and_goes_back_by_a_new_version(daemon: DaemonHandle) -> None:
    daemon.json("job", "add", "turned", "--schedule", "0 3 * * *", "--memory", "64M", "--", "echo one")
    daemon.json("job", "edit", "turned", "--schedule", "0 4 * * *", "--memory", "32M", "-m", "later")
    daemon.json("job", "edit", "turned", "--", "echo two")

    last = daemon.json("job", "diff", "turned")
    first = daemon.chronos("job", "diff", "turned", "1", "2")
    back = daemon.json("job", "rollback", "turned", "1", "-m", "too late")
    same = daemon.json("job", "diff", "turned", "1", "4")
    none = daemon.chronos("job", "rollback", "turned", "9")

    assert last["changed"] == {"command": {"old": "echo one", "new": "echo two"}}
    assert "schedule.expressions  0 3 * * *  0 4 * * *" in "\n".join(first.stdout.splitlines())
    assert [line.split()[0] for line in first.stdout.splitlines()[1:]] == [
        "schedule.expressions",
        "limits.memory_bytes",
    ]
    assert (back["version"], back["spec"]["command"]) == (4, "echo one")
    assert same["changed"] == {}
    history = daemon.json("job", "history", "turned")["items"]
    assert history[0]["message"] == "back to version 1: too late"
    assert (none.returncode, "there is no version 9" in none.stderr) == (2, True)
