"""What runs are told: judge it, keep it, secrets sealed, and give it to every attempt and handler of the run.

Only what somebody gave is kept, with the defaults of that moment beside it; the defaults of other runs stand in the
version of the job that they are pinned to.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from scheduler_daemon.contract.parameters import Parameter, Value
from scheduler_daemon.domain import parameters as rules
from scheduler_daemon.domain.errors import Invalid, Unavailable
from scheduler_daemon.services import secrets
from scheduler_daemon.storage import executions, jobs, parameters
from scheduler_daemon.storage.vault import Sealed, Vault

_AUDITED = 200
"""Characters of a value that the audit tells."""


class Told(NamedTuple):
    """What a run is told."""

    values: Mapping[str, str]
    """In clear."""
    secret: Mapping[str, str]

    @property
    def shown(self) -> dict[str, str | None]:
        """What everyone reads."""
        return {**self.values, **dict.fromkeys(self.secret)}

    @property
    def audited(self) -> dict[str, str | None]:
        """The same, cut."""
        return {name: text if text is None else text[:_AUDITED] for name, text in self.shown.items()}


class Kept(NamedTuple):
    """What a run was told, as it is kept."""

    values: Mapping[str, str]
    """In clear."""
    sealed: int | None = None
    """Under which run its secrets are kept; None if there are none."""


class Wishes(NamedTuple):
    """What somebody says who asks for a run."""

    given: Mapping[str, Value]
    like: int | None
    """The run whose values it gets where `given` says no other."""
    vault: Vault


def judge(db: Connection, job: Any, wishes: Wishes | None) -> Told | None:
    """Return what a run that somebody asks for is told; None where the job declares nothing.

    Raises Invalid, naming the parameter, and Unavailable where a secret of the run it is to be like cannot be opened.
    """
    declared = rules.declared(job.spec)
    given = {} if wishes is None else dict(wishes.given)
    hidden = {one.name for one in declared if one.secret}
    if wishes is not None and wishes.like is not None:
        before = _of_run_before(db, wishes.vault, job, wishes.like)
        hidden |= before.secret.keys() - given.keys()  # given in secret, whatever the job declares by now
        given = {**before.values, **before.secret, **given}
    if not declared and not given:
        return None
    values = rules.values_of(declared, given)
    secret = {name: text for name, text in values.items() if name in hidden}
    for name, text in secret.items():
        secrets.require_apart(text, field=f"parameters.{name}")
    return Told({name: text for name, text in values.items() if name not in hidden}, secret)


def keep(db: Connection, run: int, told: Told, wishes: Wishes | None) -> Kept:
    """Write down what a run is told. Raises Unavailable where there is no key to seal secrets with."""
    secret = json.dumps(told.secret).encode()
    sealed = wishes.vault.seal(_record_id(run), secret) if told.secret and wishes is not None else None
    parameters.keep(db, run, told.shown, sealed.key_id if sealed else None, sealed.data if sealed else None)
    return Kept(told.values, run if sealed else None)


def of_starts(db: Connection, rows: Sequence[Any], specs: Mapping[tuple[str, int], Any]) -> dict[int, Kept]:
    """Return what runs were told that somebody asked for, by their ids; a handler is told what its run was."""
    firsts = _firsts(db, [row for row in rows if specs[row.job_id, row.job_version].get("parameters")])
    kept = parameters.of_runs(db, set(firsts.values()))
    return {run: _kept(kept[first]) for run, first in firsts.items() if first in kept}


def shown(db: Connection, row: Any) -> dict[str, str | None]:
    """Return what a run was told as everyone reads it: its secrets are None."""
    key = (row.job_id, row.job_version)
    spec = jobs.specs(db, {key})[key]
    if not spec.get("parameters"):
        return {}
    first = _firsts(db, [row])[row.id]
    kept = parameters.of_runs(db, [first])
    return kept[first].given if first in kept else {**rules.defaults(rules.declared(spec))}


def given(
    db: Connection, vault: Vault, job_id: str, spec: Mapping[str, Any], sealed: int | None
) -> secrets.Given | str:
    """Return all secrets that a run gets, its job's and those it was told, or why it cannot have them."""
    found = secrets.given(db, vault, job_id, spec.get("secrets") or {})
    if isinstance(found, str) or sealed is None:
        return found
    try:
        told = _opened(vault, parameters.of_runs(db, [sealed])[sealed])
    except Unavailable as error:
        return f"a secret that it was told cannot be opened: {error.message}"
    env = rules.environment(rules.declared(spec), told)
    return secrets.Given({**found.env, **env}, found.values | {text.encode() for text in told.values()})


def known_to(db: Connection, vault: Vault, execution_id: int) -> frozenset[bytes]:
    """Return every secret that a run may have been given. Raises Unavailable where one cannot be opened."""
    rows = executions.by_ids(db, [execution_id])
    kept = parameters.of_runs(db, list(_firsts(db, rows).values()))
    told = frozenset(text.encode() for row in kept.values() for text in _opened(vault, row).values())
    return told | secrets.known_to(db, vault, execution_id)


def seal_anew(db: Connection, vault: Vault) -> int:
    """Seal with the first key what another key sealed; return of how many runs. Raises Unavailable."""
    stale = [row for row in parameters.every_sealed(db) if vault.stale(row.key_id)]
    for row in stale:
        record_id = _record_id(row.execution_id)
        sealed = vault.seal(record_id, vault.open(record_id, Sealed(row.key_id, row.sealed)))
        parameters.seal_anew(db, row.execution_id, sealed.key_id, sealed.data)
    return len(stale)


def environment(spec: Mapping[str, Any], values: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables of a run; `values` of None are the defaults."""
    declared: tuple[Parameter, ...] = rules.declared(spec)
    return rules.environment(declared, rules.defaults(declared) if values is None else values)


def _of_run_before(db: Connection, vault: Vault, job: Any, like: int) -> Told:
    row = executions.find(db, like)
    if row is None or row.job_id != job.id:
        raise Invalid(f"run {like} is none of {job.name!r}; name a run of the same job", field="like")
    told = shown(db, row)
    found = {name: text for name, text in told.items() if text is not None}
    if len(found) == len(told):
        return Told(found, {})
    first = _firsts(db, [row])[row.id]
    return Told(found, _opened(vault, parameters.of_runs(db, [first])[first]))


def _firsts(db: Connection, rows: Sequence[Any]) -> dict[int, int]:
    """Return under which run what each run was told is kept: the first attempt, of the run that a handler is of."""
    parents = {row.id: row for row in executions.by_ids(db, [row.parent_id for row in rows if row.parent_id])}
    meant = {row.id: parents.get(row.parent_id, row) for row in rows}
    return {run: row.first_id or row.id for run, row in meant.items()}


def _kept(row: Any) -> Kept:
    values = {name: text for name, text in row.given.items() if text is not None}
    return Kept(values, row.execution_id if row.sealed is not None else None)


def _opened(vault: Vault, row: Any) -> dict[str, str]:
    if row.sealed is None:
        return {}
    opened: dict[str, str] = json.loads(vault.open(_record_id(row.execution_id), Sealed(row.key_id, row.sealed)))
    return opened


def _record_id(run: int) -> str:
    return f"parameters of run {run}"
