"""Policies over HTTP: what each grants and requires, and what of that is not in force on the daemon's machine."""

from fastapi import APIRouter, Response

from scheduler_daemon.api.deps import Ask, Asked
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.policies import PolicyCreate, PolicyPatch, PolicyVersion, PolicyView
from scheduler_daemon.domain.isolation import missing, needs
from scheduler_daemon.services import policies
from scheduler_daemon.services.policies import Shown

router = APIRouter(prefix="/v1/policies", tags=["policies"])


@router.get("")
async def list_policies(ask: Asked) -> Page[PolicyView]:
    """List every policy."""
    found = await ask.read(policies.page)
    lacking = await ask.context.engine.protections()
    return Page(items=[_view(ask, each, lacking) for each in found])


@router.post("", status_code=201)
async def create_policy(ask: Asked, response: Response, request: PolicyCreate) -> PolicyView:
    """Make a policy from another. What grants more than that one is for an admin to make."""
    now, lacking = ask.context.now(), await ask.context.engine.protections()
    made = await ask.write(lambda db, actor: policies.create(db, actor, request, now))
    return _answer(ask, response, made, lacking)


@router.get("/{name}/versions")
async def policy_versions(ask: Asked, name: str) -> Page[PolicyVersion]:
    """List every saved version of a policy, newest first; those of a deleted one stay."""
    return Page(items=await ask.read(lambda db, _actor: policies.history(db, name)))


@router.get("/{name}")
async def show_policy(ask: Asked, response: Response, name: str) -> PolicyView:
    """Show a policy."""
    shown = await ask.read(lambda db, actor: policies.show(db, actor, name))
    return _answer(ask, response, shown, await ask.context.engine.protections())


@router.patch("/{name}")
async def edit_policy(ask: Asked, response: Response, name: str, patch: PolicyPatch) -> PolicyView:
    """Save a new version of a policy, which holds for every run that starts from now on."""
    now, lacking = ask.context.now(), await ask.context.engine.protections()
    return _answer(
        ask, response, await ask.write(lambda db, actor: policies.edit(db, actor, name, patch, now)), lacking
    )


@router.delete("/{name}", status_code=204)
async def delete_policy(ask: Asked, name: str) -> None:
    """Delete a policy that no job has."""
    now, default = ask.context.now(), ask.context.default_policy
    await ask.write(lambda db, actor: policies.delete(db, actor, name, now, default=default))


def _answer(ask: Ask, response: Response, shown: Shown, lacking: dict[str, str]) -> PolicyView:
    if shown.custom is not None:
        response.headers["ETag"] = f'"{shown.custom.version}"'
    return _view(ask, shown, lacking)


def _view(ask: Ask, shown: Shown, lacking: dict[str, str]) -> PolicyView:
    policy = shown.policy
    default = policy.name == ask.context.default_policy
    return PolicyView(policy=policy, default=default, missing=missing(needs(policy), lacking), custom=shown.custom)
