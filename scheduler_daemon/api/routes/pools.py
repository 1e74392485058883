"""Pools over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path

from scheduler_daemon.api.deps import Asked
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.pools import PoolPut, PoolView
from scheduler_daemon.services import pools

router = APIRouter(prefix="/v1/pools", tags=["pools"])

Name = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


@router.get("")
async def list_pools(ask: Asked) -> Page[PoolView]:
    """List every pool, how full it is and the jobs that use it."""
    return Page(items=await ask.read(pools.page))


@router.get("/{name}")
async def show_pool(ask: Asked, name: Name) -> PoolView:
    """Show a pool."""
    return await ask.read(lambda db, actor: pools.show(db, actor, name))


@router.put("/{name}")
async def put_pool(ask: Asked, name: Name, request: PoolPut) -> PoolView:
    """Make a pool or give it another number of slots; what runs in it runs on."""
    now = ask.context.now()
    view = await ask.write(lambda db, actor: pools.put(db, actor, name, request, now))
    ask.context.engine.room_changed()
    return view


@router.delete("/{name}", status_code=204)
async def delete_pool(ask: Asked, name: Name) -> None:
    """Delete a pool that no job uses."""
    now = ask.context.now()
    await ask.write(lambda db, actor: pools.delete(db, actor, name, now))
    ask.context.engine.room_changed()
