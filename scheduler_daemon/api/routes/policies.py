"""Policies over HTTP: what each grants and requires, and what of that is not in force on the daemon's machine."""

from fastapi import APIRouter

from scheduler_daemon.api.deps import Asked
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.policies import BUILT_IN, PolicySpec, PolicyView
from scheduler_daemon.domain.errors import NotFound
from scheduler_daemon.domain.isolation import missing

router = APIRouter(prefix="/v1/policies", tags=["policies"])


@router.get("")
async def list_policies(ask: Asked) -> Page[PolicyView]:
    """List every policy."""
    await ask.read(lambda _, actor: actor)
    lacking = await ask.context.engine.protections()
    return Page(items=[_view(ask, policy, lacking) for policy in BUILT_IN.values()])


@router.get("/{name}")
async def show_policy(ask: Asked, name: str) -> PolicyView:
    """Show a policy."""
    await ask.read(lambda _, actor: actor)
    if name not in BUILT_IN:
        raise NotFound(f"there is no policy {name!r}; `chronos policy list` shows all")
    return _view(ask, BUILT_IN[name], await ask.context.engine.protections())


def _view(ask: Asked, policy: PolicySpec, lacking: dict[str, str]) -> PolicyView:
    default = policy.name == ask.context.default_policy
    return PolicyView(policy=policy, default=default, missing=missing(policy.requires, lacking))
