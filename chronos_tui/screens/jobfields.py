"""The fields of the form of a job, in their order: what each is called, what may stand there, what a new job says."""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """One line of the form."""

    id: str
    """As the spec names it; `schedule.` fields belong to its schedule, and so on."""
    label: str
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    """What may stand there, and what each means; none where it is written freely."""


_RULES = (
    ("all_success", "each of them has succeeded"),
    ("all_done", "each is over, however it ended"),
    ("all_done_min_one_success", "each is over, and one has succeeded"),
    ("all_failed", "each has failed"),
    ("all_skipped", "each was skipped"),
    ("one_success", "as soon as one has succeeded"),
    ("one_failed", "as soon as one has failed"),
    ("one_done", "as soon as one has succeeded or failed"),
    ("none_failed", "each is over, and none has failed"),
    ("none_failed_min_one_success", "the same, and one has succeeded"),
    ("none_skipped", "each is over, and none was skipped"),
    ("always", "as soon as one comes up"),
)
_NETWORKS = (("", "as its policy says"), ("none", "it speaks to nobody"), ("host", "as the machine does"))
_OVERLAPS = (
    ("forbid", "a fire while a run is active is skipped"),
    ("allow", "runs are active beside each other"),
    ("replace", "the earlier run is stopped"),
    ("queue_one", "one waits, further ones are skipped"),
    ("queue_all", "they wait in their order"),
)
_MISFIRES = (
    ("skip", "what nobody could start is missed"),
    ("run_once", "one run for the latest of what nobody could start"),
    ("run_all", "a run for each"),
)
_RESUMED = (("skip", "what came due while it was paused is skipped"), ("catch_up", "it is left to misfire"))
_GAPS = (
    ("run_after", "at the first instant after the gap"),
    ("skip", "not at all"),
    ("shift", "later by the length of the gap"),
)
_TWICE = (("first", "at the first pass"), ("both", "at both"), ("last", "at the last"))

KEPT_APART = ("policy", "limits", "read", "write", "network")
"""Fields that say how runs are kept apart."""
FIELDS = (
    Field("name", "Name"),
    Field("command", "Command", "shell text, as in a crontab"),
    Field(
        "schedule.expressions", "Schedule", "*/5 * * * * or @daily or @every 90s; several parted by |; empty: on call"
    ),
    Field("schedule.zone", "Zone", "Europe/Berlin"),
    Field("after", "After", "names of jobs it runs after, parted by |; then it has no schedule"),
    Field("trigger_rule", "Rule", "all_success, all_done, one_failed, none_failed, always, ...", _RULES),
    Field("not_before", "Not before", "of a job after others, such as 06:00; empty: as soon as they have ended"),
    Field("conditions", "Only if", "'file /srv/in' 'between 22:00-06:00 mon-fri' 'load succeeded'; all must hold"),
    Field("description", "About"),
    Field("tags", "Tags", "parted by blanks"),
    Field("timeout_ms", "Timeout", "90s, 5m, 2h; empty: none"),
    Field("retry.attempts", "Retries", "how many more times a failed run is tried; empty: never"),
    Field("retry.delay_ms", "Retry wait", "before the first retry, such as 30s; empty: as it was"),
    Field("run_timeout_ms", "Run timeout", "for all attempts together; empty: none"),
    Field("policy", "Policy", "standard, strict, trusted, your own (F3); empty: the default"),
    Field("limits", "Limits", "memory=512M processes=64 cpus=0.5 cpu-time=2m open-files=256 file-size=1G"),
    Field("read", "Reads", "paths it may read, parted by blanks"),
    Field("write", "Writes", "paths it may write and read"),
    Field("network", "Network", "none, host or HOST:PORT...; empty: the policy's", _NETWORKS),
    Field("concurrency", "Overlap", "forbid, allow, replace, queue_one or queue_all", _OVERLAPS),
    Field("concurrency_limit", "At once", "runs at once at most; empty: no limit of its own"),
    Field("queue_limit", "Queue limit", "runs that queue_all lets wait at most"),
    Field("pool", "Pool", "whose slots its runs need; empty: none"),
    Field("priority", "Priority", "0 to 9; the highest starts first"),
    Field("misfire", "Misfire", "skip, run_once or run_all", _MISFIRES),
    Field("misfire_grace_ms", "Grace", "fires older than this are missed"),
    Field("catchup_on_resume", "Resumed", "what came due while paused: skip, or catch_up as misfire says", _RESUMED),
    Field("schedule.calendars", "Calendars", "german or german:next; several parted by blanks"),
    Field("schedule.blackouts", "Blackouts", "'fri 22:00-06:00=freeze' 'sat,sun'; nothing starts in them"),
    Field("schedule.jitter_s", "Jitter", "start up to so much later, such as 90s; empty: none"),
    Field("schedule.start", "From", "no fire before, such as 2026-05-01T08:00Z"),
    Field("schedule.end", "Until", "no fire after, such as 2026-12-31T23:59Z"),
    Field("schedule.gap", "Skipped", "times that clocks skip: run_after, skip or shift", _GAPS),
    Field("schedule.overlap", "Repeated", "times that come twice: first, both or last", _TWICE),
    Field("cwd", "Directory", "empty: the home directory"),
    Field("user", "User", "empty: the server's account"),
    Field("env", "Environment", "NAME=value NAME='two words'"),
    Field("secrets", "Secrets", "NAME=secret: the variable and the secret it is given"),
    Field("on_failure", "On failure", "shell text to run when a run has failed for good; empty: none"),
    Field("on_success", "On success", "the same, when one has succeeded"),
    Field("on_cancel", "On cancel", "the same, when one was cancelled"),
    Field("artifacts", "Artifacts", "files kept with each run, such as out/*.csv **/*.log"),
    Field("artifact_limit_bytes", "Most of them", "of all these of a run together, such as 100M"),
    Field("output_kept", "Keeps output", "days, runs, size, such as 30d 100 2G; empty: as the server says"),
)


DEFAULTS = {
    "concurrency": "forbid",
    "misfire": "run_once",
    "misfire_grace_ms": "1h",
    "catchup_on_resume": "skip",
    "trigger_rule": "all_success",
    "queue_limit": "100",
    "priority": "5",
    "artifact_limit_bytes": "100M",
    "schedule.gap": "run_after",
    "schedule.overlap": "first",
}
"""What a new job says in the fields that cannot be empty."""
