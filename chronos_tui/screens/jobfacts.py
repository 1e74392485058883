"""What is said of a job, as facts: how it stands, what it is set to, when it fires, who changed it. Draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chronos_tui import format as fmt
from chronos_tui.screens.facts import Fact
from chronos_tui.screens.rows import is_snoozed, job_state
from chronos_tui.widgets import braille
from chronos_tui.widgets.braille import Value

if TYPE_CHECKING:
    from scheduler_daemon.contract.handlers import Handler
    from scheduler_daemon.contract.job_lines import KpiSummary
    from scheduler_daemon.contract.jobs import JobVersion, JobView, PassedOver, SchedulePreview
    from scheduler_daemon.contract.policies import PolicyView
    from scheduler_daemon.contract.schedule import Schedule
    from scheduler_daemon.contract.system import SeriesPoint

LONGEST_COMMAND = 300
KPI_BARS = 60


def summary(job: JobView, now: datetime, zone: tzinfo) -> list[Fact]:
    """How a job stands, in a few lines."""
    look = fmt.state(job_state(job, now))
    facts = [Fact("state", f"{look.glyph} {look.word}" + (f", {job.active} active" if job.active else ""), look.tone)]
    if job.last is not None:
        ended = job.last.ended_at or job.last.fire_at
        took = f", took {fmt.duration(job.last.duration_ms)}" if job.last.duration_ms is not None else ""
        facts.append(Fact("last", f"run {job.last.id}, {fmt.relative(ended, now)}{took}"))
    if job.paused:
        facts.append(Fact("next", "paused: what comes due is skipped (p goes on)", "paused"))
    elif job.snoozed_until is not None and is_snoozed(job, now):
        facts.append(
            Fact("next", f"snoozed until {fmt.stamp(job.snoozed_until, zone)}: fires before it are skipped", "paused")
        )
    elif job.next_fire_at is not None:
        facts.append(Fact("next", f"{fmt.relative(job.next_fire_at, now)}, {fmt.stamp(job.next_fire_at, zone)}"))
    facts.append(Fact("schedule", f"{job.words}  ({job.schedule})" if job.schedule else _without_schedule(job)))
    facts.append(Fact("command", _short(job.spec.command)))
    about = [job.owner, f"from {job.source}" if job.source else "", *(f"#{tag}" for tag in job.spec.tags)]
    facts.append(Fact("owner", ", ".join(filter(None, about)), "muted"))
    if job.spec.description:
        facts.append(Fact("about", job.spec.description))
    return facts


def _without_schedule(job: JobView) -> str:
    if not job.spec.after:
        return "only when someone asks"
    others = "another job" if len(job.spec.after) == 1 else f"{len(job.spec.after)} other jobs"
    return f"after {others}, by {str(job.spec.trigger_rule).replace('_', ' ')}"


def _short(command: str) -> str:
    text = command if len(command) <= LONGEST_COMMAND else command[:LONGEST_COMMAND] + fmt.ELLIPSIS
    return " ⏎ ".join(line for line in text.splitlines() if line.strip())


def configuration(job: JobView) -> list[Fact]:
    """Everything a job is set to."""
    spec = job.spec
    facts = [
        Fact("name", spec.name, "title"),
        Fact("command", spec.command),
        Fact("description", spec.description),
        Fact("tags", " ".join(spec.tags)),
        Fact("schedule", "\n".join(spec.schedule.expressions) or _without_schedule(job)),
        Fact("zone", f"{spec.schedule.zone}; skipped times: {spec.schedule.gap}, repeated: {spec.schedule.overlap}"),
        Fact("from, until", _bounds(spec.schedule)),
        Fact("calendars", "\n".join(f"{use.calendar}: {_MOVES[use.move]}" for use in spec.schedule.calendars)),
        Fact("blackouts", "\n".join(f"{each.when}  {each.name}".strip() for each in spec.schedule.blackouts)),
        Fact("jitter", f"up to {spec.schedule.jitter_s} s" if spec.schedule.jitter_s else ""),
        Fact("user", spec.user or "the server's account"),
        Fact("directory", spec.cwd or "the home directory"),
        Fact("shell", spec.shell),
        Fact("umask", f"{spec.umask:03o}"),
        Fact("environment", "\n".join(f"{name}={value}" for name, value in spec.env.items())),
        Fact("parameters", "\n".join(fmt.parameter(each.model_dump(mode="json")) for each in spec.parameters)),
        Fact("secrets", "\n".join(f"{name}={secret}" for name, secret in spec.secrets.items())),
        Fact("stdin", _short(spec.stdin) if spec.stdin else ""),
        Fact("policy", spec.policy),
        Fact("limits", fmt.limits(spec.limits.model_dump())),
        Fact("reads", "\n".join(spec.read)),
        Fact("writes", "\n".join(spec.write)),
        Fact("network", fmt.network(None if spec.network is None else spec.network.model_dump())),
        Fact("timeout", fmt.duration(spec.timeout_ms) if spec.timeout_ms else "none"),
        Fact("run timeout", f"{fmt.duration(spec.run_timeout_ms)} for all attempts" if spec.run_timeout_ms else ""),
        Fact("retries", fmt.retries(spec.retry.model_dump(mode="json")) if spec.retry else ""),
        *(Fact(kind.replace("_", " "), _handler(getattr(spec, kind))) for kind in HANDLERS),
        Fact("artifacts", ", ".join(spec.artifacts)),
        Fact("grace", f"{fmt.duration(spec.grace_ms)} from TERM to KILL"),
        Fact("concurrency", f"{spec.concurrency.replace('_', ' ')} while another run is active"),
        Fact("at once", str(spec.concurrency_limit or "")),
        Fact("pool", f"{spec.pool}, priority {spec.priority}" if spec.pool else ""),
        Fact("not before", spec.not_before or ""),
        Fact("starts if", "\n".join(fmt.conditions(each.model_dump(mode="json") for each in spec.conditions))),
        Fact(
            "misfire",
            f"{str(spec.misfire).replace('_', ' ')}, within {fmt.duration(spec.misfire_grace_ms)}"
            + (", also after a pause" if spec.catchup_on_resume else ""),
        ),
        Fact("output kept", f"{fmt.size(spec.output_limit_bytes)} of each stream"),
        Fact("kept for", fmt.kept(spec.output_kept.model_dump() if spec.output_kept else None)),
        Fact("id", job.id, "muted"),
        Fact("version", f"{job.version}, {job.source or 'made here'}", "muted"),
    ]
    return [fact for fact in facts if fact.value]


HANDLERS = ("on_failure", "on_success", "on_cancel")


def _handler(handler: Handler | None) -> str:
    return "" if handler is None else f"{_short(handler.command)}, within {fmt.duration(handler.timeout_ms)}"


_MOVES = {"skip": "days off are skipped", "next": "on the next business day", "previous": "on the business day before"}
_PASSED_OVER = 10
"""Lines for what is passed over before the fires that are shown."""


def _bounds(schedule: Schedule) -> str:
    """The instants before and after which nothing fires."""
    bounds = (("from", schedule.start), ("until", schedule.end))
    return ", ".join(f"{word} {fmt.stamp(at, UTC)}" for word, at in bounds if at)


def schedule(job: JobView, preview: SchedulePreview, now: datetime, zone: tzinfo) -> list[Fact]:
    """What the schedule means, and the coming fires."""
    found = preview_facts(preview, job.spec.schedule.zone, now, zone)
    return [found[0], Fact("written", job.schedule or "nothing"), *found[1:]]


def preview_facts(preview: SchedulePreview, own_zone: str, now: datetime, zone: tzinfo) -> list[Fact]:
    """What a schedule in `own_zone` means, what to be careful of, its next fires, and the clock changes of a year."""
    facts = [Fact("means", preview.words, "title")]
    facts += [Fact("careful", warning, "late") for warning in preview.warnings]
    facts += fires(preview.fires, own_zone, now, zone)
    passed = "\n".join(_passed_over(each, zone) for each in preview.passed_over[:_PASSED_OVER])
    notes = "\n".join(note.text for note in preview.clock_changes)
    return facts + [Fact(name, text, "late") for name, text in (("not", passed), ("clocks", notes)) if text]


def after_facts(after: Sequence[str], rule: str, not_before: str) -> list[Fact]:
    """What it means that a job runs after others."""
    gate = f", not before {not_before}" if not_before else ""
    return [
        Fact("means", f"each time after {fmt.printable(', '.join(after))}, by rule {rule}{gate}", "title"),
        Fact("next", "when they have run", "muted"),
    ]


def kpis(
    summaries: Sequence[KpiSummary], values: Mapping[str, Sequence[float]], *, ascii_only: bool = False
) -> list[Fact]:
    """The figures that a job gives of its runs, each with a bar for each of the latest; `values` are oldest first."""
    facts = []
    for each in summaries:
        drawn = values.get(each.name, ())[-KPI_BARS:]
        bars = braille.sparkline(drawn, len(drawn), ascii_only=ascii_only)
        said = f"{fmt.figure(each.last)} {each.unit}".rstrip() + f" in run {each.last_run}"
        least, mean, greatest = map(fmt.figure, (each.least, each.mean, each.greatest))
        over = f"between {least} and {greatest}, {mean} on average, in {each.runs} runs"
        facts.append(Fact(each.name, "\n".join(filter(None, (bars, said, over)))))
    none = "none: a line such as `::kpi rows=1250 unit=rows` in its output gives one of a run"
    return facts or [Fact("figures", none, "muted")]


def policy_facts(name: str, known: Sequence[PolicyView]) -> list[Fact]:
    """What a policy gives runs, and why the machine cannot give it; `name` may be empty for the default."""
    view = next((each for each in known if each.policy.name == name or (not name and each.default)), None)
    if view is None:
        return [Fact("policy", f"there is none called {name}" if known and name else "–", "muted")]
    policy = view.policy
    grants = [f"files {policy.files}", f"network {fmt.network(policy.network.model_dump(mode='json'))}"]
    grants += [f"runs as {', '.join(policy.accounts)}"] if policy.accounts else []
    most = fmt.limits(policy.limits.model_dump())
    more = f", at most {fmt.duration(policy.timeout_ms)}" if policy.timeout_ms else ""
    return [
        Fact("policy", f"{policy.name}{' (the default)' if view.default else ''}: {policy.description}".rstrip(": ")),
        Fact("grants", ", ".join(grants)),
        Fact("at most", most + more if most else more.removeprefix(", at most ")),
        *(Fact("missing", f"{what}: {why}; its runs are blocked", "failed") for what, why in view.missing.items()),
    ]


def _passed_over(passed: PassedOver, zone: tzinfo) -> str:
    """What a calendar or a blackout does to a fire."""
    moved = f" to {fmt.stamp(passed.moved_to, zone)}" if passed.moved_to else ""
    return f"{passed.at.astimezone(zone):%a} {fmt.stamp(passed.at, zone)}: {passed.reason}{moved}"


def fires(instants: Sequence[datetime], own_zone: str, now: datetime, zone: tzinfo) -> list[Fact]:
    """The coming fires, a line each; where the schedule's zone shows another time than `zone`, that too."""
    if not instants:
        return [Fact("next", "never", "muted")]
    own, lines = _zone(own_zone, zone), []
    for at in instants:
        there, here = at.astimezone(own), at.astimezone(zone)
        elsewhere = f"  ({there:%a %H:%M:%S %Z})" if there.utcoffset() != here.utcoffset() else ""
        lines.append(f"{here:%a} {fmt.stamp(at, zone)}{elsewhere}  {fmt.relative(at, now)}")
    return [Fact("next", "\n".join(lines))]


def _zone(name: str, fallback: tzinfo) -> tzinfo:
    """Return a zone by name; `fallback` for one this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return fallback


def versions(items: Sequence[JobVersion], zone: tzinfo) -> list[Fact]:
    """Who saved what, newest first: each with what it changed."""
    facts = []
    for at, version in enumerate(items):
        before = items[at + 1].spec.model_dump(mode="json") if at + 1 < len(items) else None
        changes = _changes(before, version.spec.model_dump(mode="json"))
        said = f"  {version.message}" if version.message else ""
        lines = [f"{fmt.stamp(version.created_at, zone)}  {version.author}{said}", *changes]
        facts.append(Fact(f"version {version.version}", "\n".join(lines)))
    return facts


def _changes(before: dict[str, Any] | None, after: dict[str, Any]) -> list[str]:
    if before is None:
        return ["made"]
    changed = []
    for name, value in after.items():
        old = before.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            changed += [f"{name}: {line}" for line in _changes(old, value)]
            changed += [f"{name}: {gone} is gone" for gone in old.keys() - value.keys()]
        elif value != old:
            changed.append(f"{name}: {_brief(old)} → {_brief(value)}")
    return changed


def _brief(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return fmt.shorten(fmt.printable(text), 60) or "nothing"


def buckets(points: Sequence[SeriesPoint], now: datetime, seconds: int, count: int) -> list[Value]:
    """Return `count` values over the last `seconds`, oldest first; None where nothing was measured."""
    values: list[Value] = [None] * count
    for point in points:
        at = count - 1 - int((now - point.at).total_seconds() * count // seconds)
        if 0 <= at < count:
            values[at] = point.value if values[at] is None else max(point.value, values[at] or 0.0)
    return values
