"""`chronos pool ...`: see, make, resize and delete the pools whose slots jobs share."""

from typing import Annotated, Any

import typer

from chronos_tui.client import calls
from chronos_tui.verbs import output
from chronos_tui.verbs.common import AsJson, connect

app = typer.Typer(help="See, make, resize and delete pools.", rich_markup_mode=None, add_completion=False)

PoolName = Annotated[str, typer.Argument(metavar="NAME", help="What the pool is called.")]


@app.command("list")
def list_pools(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the pools, how full they are, and the jobs that use them."""
    page = connect(context).json(calls.pools())
    if as_json:
        output.page(page["items"], page.get("next"))
        return
    rows = [
        (
            pool["name"],
            str(pool["slots"]),
            str(pool["running"]),
            str(pool["waiting"]),
            ", ".join(pool["used_by"]),
            pool["owner"],
        )
        for pool in page["items"]
    ]
    output.table(("name", "slots", "running", "waiting", "jobs", "owner"), rows, right=(1, 2, 3))


@app.command("set")
def put(
    context: typer.Context,
    name: PoolName,
    slots: Annotated[int, typer.Argument(min=0, help="Runs at once; with 0 all of them wait.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Make a pool, or give it another number of slots; what runs in it runs on."""
    pool: dict[str, Any] = connect(context).json(calls.put_pool(name, {"slots": slots}))
    if as_json:
        output.document(pool)
        return
    output.line(f"pool {pool['name']}: {pool['running']} of {pool['slots']} slots taken, {pool['waiting']} runs wait")


@app.command()
def delete(context: typer.Context, name: PoolName, *, as_json: AsJson = False) -> None:
    """Delete a pool that no job uses."""
    connect(context).json(calls.delete_pool(name))
    if as_json:
        output.document({"name": name, "deleted": True})
        return
    output.line(f"deleted {name}")
