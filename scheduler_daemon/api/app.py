"""Put the endpoints together."""

from fastapi import FastAPI

from scheduler_daemon.api import errors
from scheduler_daemon.api.deps import Context
from scheduler_daemon.api.limits import BodyLimit
from scheduler_daemon.api.routes import (
    backfills,
    calendars,
    claude,
    costs,
    executions,
    insights,
    jobs,
    policies,
    pools,
    secrets,
    simulations,
    system,
)


def make_app(context: Context, version: str) -> FastAPI:
    """Return the API over the given parts."""
    app = FastAPI(title="Chronos Synapse", version=version, docs_url=None, redoc_url=None)
    app.state.context = context
    app.add_middleware(BodyLimit)
    errors.install(app)
    app.include_router(system.router)
    app.include_router(backfills.router)
    app.include_router(executions.router)  # before jobs: /v1/jobs/{name with slashes}/run
    app.include_router(calendars.router)
    app.include_router(policies.router)
    app.include_router(pools.router)
    app.include_router(secrets.router)
    app.include_router(simulations.router)
    app.include_router(costs.router)
    app.include_router(insights.router)
    app.include_router(claude.router)
    app.include_router(jobs.router)
    return app
