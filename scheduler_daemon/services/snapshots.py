"""How the machine was when runs failed: kept once for those of a second that work in one folder."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.host import DiskFacts, HostFacts
from scheduler_daemon.storage import executions, jobs, snapshots


def specs(db: Connection, ids: Collection[int]) -> dict[int, Mapping[str, Any]]:
    """Return what each of these runs is pinned to, by run."""
    rows = executions.by_ids(db, ids)
    found = jobs.specs(db, {(row.job_id, row.job_version) for row in rows})
    return {row.id: found[row.job_id, row.job_version] for row in rows}


def attach(db: Connection, facts: HostFacts, folders: Mapping[int, str], disks: Mapping[str, DiskFacts]) -> None:
    """Let these runs have what was seen, each with the disk of its folder."""
    by_folder: dict[str, list[int]] = {}
    for execution_id, folder in folders.items():
        by_folder.setdefault(folder, []).append(execution_id)
    for folder, ids in by_folder.items():
        whole = facts
        if folder in disks:
            whole = facts.model_copy(update={"disks": (*facts.disks, disks[folder])})
        snapshots.attach(db, snapshots.add(db, facts.at, whole.model_dump(mode="json")), ids)


def of_run(db: Connection, row: Any) -> HostFacts | None:
    """Return how the machine was when a run failed; None if it did not, or that is not kept any more."""
    found = None if row.snapshot_id is None else snapshots.find(db, row.snapshot_id)
    return None if found is None else HostFacts.model_validate(found)
