"""Simulations over HTTP."""

import asyncio

from fastapi import APIRouter

from scheduler_daemon.api.deps import Asked
from scheduler_daemon.contract.simulations import Simulation, SimulationRequest
from scheduler_daemon.services import simulate

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.post("/simulations")
async def simulate_period(ask: Asked, request: SimulationRequest) -> Simulation:
    """Say how a past or coming period goes: as planned, with changes, and as it went. Nothing is changed by it."""
    now = ask.context.now()
    material = await ask.read(lambda db, actor: simulate.read(db, actor, request, now))
    return await asyncio.to_thread(simulate.play, material, request)
