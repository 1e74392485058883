"""Secrets over HTTP: values go in and never come out."""

from typing import Annotated

from fastapi import APIRouter, Path

from scheduler_daemon.api.deps import Asked
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.secrets import SecretPut, SecretView
from scheduler_daemon.services import secrets

router = APIRouter(prefix="/v1/secrets", tags=["secrets"])

Name = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


@router.get("")
async def list_secrets(ask: Asked) -> Page[SecretView]:
    """List the secrets one may see, and the jobs that use them; no value is told."""
    return Page(items=await ask.read(secrets.page))


@router.put("/{name}")
async def put_secret(ask: Asked, name: Name, request: SecretPut) -> SecretView:
    """Make a secret or give it another value; runs that start from now on get it."""
    context = ask.context
    return await ask.write(
        lambda db, actor: secrets.put(
            db, actor, name, request, vault=context.vault, now=context.now(), new_id=context.new_id
        )
    )


@router.delete("/{name}", status_code=204)
async def delete_secret(ask: Asked, name: Name, force: bool = False) -> None:
    """Take a secret away that no job uses, or with `force` any."""
    now = ask.context.now()
    await ask.write(lambda db, actor: secrets.delete(db, actor, name, now, force=force))
