"""A job in full, as most verbs on jobs tell it."""

from datetime import UTC, datetime
from typing import Any

from chronos_tui import format as fmt
from chronos_tui.client import Client, ServerError, calls
from chronos_tui.verbs import handlers, output


def show_job(job: dict[str, Any], *, as_json: bool, client: Client | None = None) -> None:
    """Print a job; the client looks up the names of jobs in its conditions."""
    if as_json:
        output.document(job)
        return
    fields = job["spec"]
    schedule = fields["schedule"]
    last = job["last"]
    output.pairs(
        [
            ("name", output.Cell(job["name"], "title")),
            ("id", job["id"]),
            ("state", state_of(job)),
            ("snoozed", _snoozed(job)),
            ("command", fields["command"]),
            ("schedule", "; ".join(schedule["expressions"]) or ("" if fields.get("after") else "only when asked")),
            ("rule", _rule(job)),
            ("not before", fields.get("not_before") or ""),
            *(("starts if", each) for each in _conditions(fields, client)),
            ("means", job["words"]),
            ("zone", schedule["zone"] if schedule["expressions"] else ""),
            ("next fire", output.when(job["next_fire_at"])),
            (
                "last run",
                f"{last['id']}: {last['state']}, {output.when(last['ended_at'] or last['fire_at'])}" if last else "",
            ),
            ("description", fields["description"]),
            ("tags", ", ".join(fields["tags"])),
            ("runs as", fields["user"] or ""),
            ("directory", fields["cwd"] or ""),
            ("environment", " ".join(f"{name}={value}" for name, value in fields["env"].items())),
            ("secrets", " ".join(f"{name}={secret}" for name, secret in fields.get("secrets", {}).items())),
            *(("parameter", fmt.parameter(each)) for each in fields.get("parameters", ())),
            ("output kept", fmt.kept(fields.get("output_kept"))),
            ("timeout", output.took(fields["timeout_ms"])),
            ("run timeout", output.took(fields.get("run_timeout_ms"))),
            ("retries", fmt.retries(fields.get("retry"))),
            ("overlap", fields["concurrency"].replace("_", " ")),
            ("at once", str(fields["concurrency_limit"] or "")),
            ("pool", f"{fields['pool']}, priority {fields['priority']}" if fields["pool"] else ""),
            ("policy", fields["policy"]),
            ("limits", fmt.limits(fields.get("limits"))),
            ("reads", ", ".join(fields.get("read") or ())),
            ("writes", ", ".join(fields.get("write") or ())),
            ("network", fmt.network(fields.get("network"))),
            *handlers.shown(fields),
            ("artifacts", ", ".join(fields.get("artifacts") or ())),
            ("owner", job["owner"]),
            ("source", job["source"] or ""),
            ("version", str(job["version"])),
        ]
    )


def state_of(job: dict[str, Any]) -> output.Cell:
    """Say how a job stands."""
    if job["paused"]:
        return output.state("paused")
    if job["active"]:
        return output.state("running")
    return output.state(job["last"]["state"] if job["last"] else "never")


def _conditions(fields: dict[str, Any], client: Client | None) -> list[str]:
    """Return the conditions of a spec as --if takes them, jobs by name; by id where there is none any more."""

    def name_of(job_id: str) -> str:
        try:
            return str(client.json(calls.job(job_id))["name"]) if client else job_id
        except ServerError:
            return job_id

    return fmt.conditions(fields.get("conditions", ()), name_of)


def _rule(job: dict[str, Any]) -> str:
    """Say by which rule a job runs after others; "" where it does not."""
    fields = job["spec"]
    return f"{fields['trigger_rule']}; see `chronos job graph {job['name']}`" if fields.get("after") else ""


def _snoozed(job: dict[str, Any]) -> str:
    """Say until when fires are skipped; "" where that is over."""
    until = job.get("snoozed_until")
    return f"until {output.when(until)}" if until and datetime.fromisoformat(until) > datetime.now(UTC) else ""
