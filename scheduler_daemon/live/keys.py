"""Every name we use in Redis, and what stands under it. Nothing else in the product spells one out.

`SCHEMA` rises when the shape of a document, an index or a series changes: a picture of another schema is rebuilt.
"""

from __future__ import annotations

from scheduler_daemon.contract.channels import PREFIX as CHANNEL_PREFIX
from scheduler_daemon.contract.job_lines import KPI_METRIC

SCHEMA = 4

EPOCH = "cs:epoch"
RUN = "cs:run"
SCHEMA_KEY = "cs:schema"
REBUILD = "cs:rebuild"
JOB = "cs:job:"
EXECUTION = "cs:exec:"
RUNS = "cs:runs:"
GONE = "cs:gone:"
KPIS = "cs:kpis:"
SERIES = "cs:ts:"
LOG = "cs:log:"
SEQ = "cs:seq:"
SESSION = "cs:session:"
INDEX = "cs:idx:"
JOB_INDEX = INDEX + "job"
FAILURE = "cs:fail:"
FAILURES = "cs:fails"
FAILURE_INDEX = INDEX + "failure"
USE = "cs:use:"
SESSION_USER = "cs-s-"

DAY_MS = 86_400_000
RAW_RETENTION_MS = 7 * DAY_MS
MINUTE_RETENTION_MS = 30 * DAY_MS
HOUR_RETENTION_MS = 366 * DAY_MS

METRICS = {
    "duration_ms": "avg",
    "ok": "avg",
    "cpu_ms": "avg",
    "max_rss_bytes": "max",
    "output_bytes": "avg",
    "delay_ms": "max",
}
"""What is measured of each run, and how its minutes and hours are condensed."""

USES = {"cpu": "per cent of a processor", "memory": "bytes", "processes": "threads"}
"""What is looked at of a run while it lives."""
USE_RETENTION_MS = DAY_MS

DESCRIPTION: tuple[tuple[str, str, str], ...] = (
    (EPOCH, "string", "names this picture; absent while there is none, and nothing is projected then"),
    (RUN, "string", "run id of the server that the picture was checked on"),
    (SCHEMA_KEY, "string", f"version of this list: {SCHEMA}"),
    (REBUILD, "string", "token of the daemon that is rebuilding"),
    (JOB + "{job}", "JSON", "the job as the API shows it, with `idx` (what is searched) and `rev` (newest wins)"),
    (EXECUTION + "{execution}", "JSON", "the run as the API shows it, with `rev`; the last 200 of each job"),
    (RUNS + "{job}", "sorted set", "the executions kept of a job"),
    (GONE + "{job}", "string", "version at which a job was deleted; one day"),
    (KPIS + "{job}", "set", "the figures a job gives of its runs, as metrics; at most 50"),
    (SERIES + "{metric}:{job}", "time series", "one sample a run at its end; 7 days; labels job, metric, agg=raw"),
    (SERIES + "{metric}:{job}:1m", "time series", "condensed by minute; 30 days"),
    (SERIES + "{metric}:{job}:1h", "time series", "condensed by hour; 366 days"),
    (USE + "{execution}:{metric}", "time series", "what a run uses while it lives, every few seconds; one day"),
    (LOG + "{execution}", "stream", "the latest lines of output; the id of an entry is its last line's number"),
    (SEQ + "{channel}", "string", "sequence number of a channel"),
    (SESSION + "{name}", "string", "a session is alive; its lifetime is the session's"),
    (CHANNEL_PREFIX + "{all,user:{id},team:{id},log:{execution}}", "channel", "the live feed"),
    (FAILURE + "{execution}", "hash", "what a failed run was about, as a vector; the last 10,000"),
    (FAILURES, "sorted set", "the failures kept"),
    (JOB_INDEX, "search index", "jobs"),
    (FAILURE_INDEX, "search index", "failures by vector, pattern and owner"),
)
"""Name, kind and meaning of everything we keep in Redis, for people."""


def job(job_id: str) -> str:
    """Return the key of a job's document."""
    return JOB + job_id


def execution(execution_id: str | int) -> str:
    """Return the key of an execution's document."""
    return f"{EXECUTION}{execution_id}"


def series(metric: str, job_id: str, step: str = "") -> str:
    """Return the key of a series: raw, or condensed to `1m` or `1h`. Raises KeyError for an unknown metric."""
    aggregation(metric)
    return f"{SERIES}{metric}:{job_id}{':' + step if step else ''}"


def aggregation(metric: str) -> str:
    """Return how a metric is condensed. Raises KeyError for one that cannot be."""
    return "avg" if KPI_METRIC.match(metric) else METRICS[metric]


def failure(execution_id: int) -> str:
    """Return the key of what a failed run was about."""
    return f"{FAILURE}{execution_id}"


def use(execution_id: int, metric: str) -> str:
    """Return the key of what a run uses. Raises KeyError for an unknown metric."""
    if metric not in USES:
        raise KeyError(metric)
    return f"{USE}{execution_id}:{metric}"


def log(execution_id: str | int) -> str:
    """Return the key of an execution's live log."""
    return f"{LOG}{execution_id}"


def seq(channel: str) -> str:
    """Return the key of a channel's sequence number."""
    return SEQ + channel.removeprefix(CHANNEL_PREFIX)
