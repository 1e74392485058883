"""`chronos policy ...`: see what each policy grants and requires, and whether this machine can give it."""

from typing import Annotated, Any

import typer

from chronos_tui import format as fmt
from chronos_tui.client import Client, ServerError, calls
from chronos_tui.verbs import output
from chronos_tui.verbs.common import AsJson, connect

app = typer.Typer(help="See how jobs can be kept apart.", rich_markup_mode=None, add_completion=False)


@app.command("list")
def list_policies(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the policies, and what of each this machine cannot give."""
    page = connect(context).json(calls.policies())
    if as_json:
        output.page(page["items"], page.get("next"))
        return
    rows = [
        (
            each["policy"]["name"] + (" (default)" if each["default"] else ""),
            ", ".join(each["missing"]) or "-",
            each["policy"]["description"],
        )
        for each in page["items"]
    ]
    output.table(("policy", "missing here", "what it is"), rows)


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the policy is called.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show a policy: what it grants, limits and requires, and why this machine cannot give what is missing."""
    view = connect(context).json(calls.policy(name))
    if as_json:
        output.document(view)
        return
    policy = view["policy"]
    output.pairs(
        [
            ("name", output.Cell(policy["name"], "title")),
            ("description", policy["description"]),
            ("default", "for new jobs" if view["default"] else ""),
            ("files", policy["files"]),
            ("may read", ", ".join(policy["read"])),
            ("may write", ", ".join(policy["write"])),
            ("network", policy["network"]["mode"]),
            ("root", "yes" if policy["root"] else "no"),
            ("seccomp", "yes" if policy["seccomp"] else "no"),
            *((f"most {key}", str(value)) for key, value in policy["limits"].items() if value is not None),
            ("requires", ", ".join(policy["requires"])),
            *(("missing here", f"{key}: {why}") for key, why in view["missing"].items()),
        ]
    )


def warn(client: Client, job: dict[str, Any], *, before: str | None = None) -> None:
    """Tell on standard error that the machine cannot give what the policy of a job requires: its runs are blocked.

    Nothing is told of a policy that the job had `before`.
    """
    name = job["spec"]["policy"]
    if name == before:
        return
    try:
        lacking = client.json(calls.policy(name))["missing"]
    except ServerError:  # the job is saved, and its runs say it again
        return
    if lacking:
        each = "; ".join(f"{key}: {why}" for key, why in lacking.items())
        text = (
            f"warning: its runs will be blocked: policy {name} requires what is not in force here: {each}. "
            "Mend that, or give the job --policy trusted if it may do all that its account may."
        )
        typer.echo(fmt.printable(text), err=True)
