"""`chronos policy ...`: see, make, change and delete policies, and see whether this machine can give them."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from chronos_tui import format as fmt
from chronos_tui.client import Client, ServerError, calls
from chronos_tui.verbs import limits, output, policyflags
from chronos_tui.verbs import versions as versions_of
from chronos_tui.verbs.common import AsJson, connect
from chronos_tui.verbs.failure import wrong_use

app = typer.Typer(help="See and say how jobs are kept apart.", rich_markup_mode=None, add_completion=False)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the policy is called.")]
Why = Annotated[str, typer.Option("--message", "-m", help="Why, for the history.")]


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
            str((each["custom"] or {}).get("version", "built in")),
            ", ".join(each["missing"]) or "-",
            each["policy"]["description"],
        )
        for each in page["items"]
    ]
    output.table(("policy", "version", "missing here", "what it is"), rows)


@app.command()
def show(context: typer.Context, name: Name, *, as_json: AsJson = False) -> None:
    """Show a policy: what it grants, limits and requires, and why this machine cannot give what is missing."""
    _print(connect(context).json(calls.policy(name)), as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    name: Name,
    *,
    source: Annotated[str, typer.Option("--from", metavar="POLICY", help="The policy to begin with.")] = "standard",
    description: policyflags.Description = None,
    files: policyflags.Files = None,
    read: policyflags.Read = None,
    write: policyflags.Write = None,
    network: policyflags.Network = None,
    account: policyflags.Account = None,
    env: policyflags.Env = None,
    seccomp: policyflags.Seccomp = None,
    root: policyflags.Root = None,
    capability: policyflags.Capability = None,
    device: policyflags.Device = None,
    admins_only: policyflags.Admins = None,
    memory: limits.Memory = None,
    processes: limits.Processes = None,
    cpus: limits.Cpus = None,
    cpu_time: limits.CpuTime = None,
    open_files: limits.OpenFiles = None,
    file_size: limits.FileSize = None,
    scratch: limits.Scratch = None,
    timeout: policyflags.Timeout = None,
    output_limit: policyflags.Output = None,
    require: policyflags.Require = None,
    message: Why = "",
    as_json: AsJson = False,
) -> None:
    """Make a policy from another: chronos policy create reports --from standard --network none --memory 1G"""
    client = connect(context)
    changes = policyflags.fields(
        description=description, files=files, read=read, write=write, network=network, account=account, env=env,
        seccomp=seccomp, root=root, capability=capability, device=device, admins_only=admins_only,
        timeout=timeout, output_limit=output_limit, require=require,
    )  # fmt: skip
    most = limits.fields(
        memory=memory, processes=processes, cpus=cpus, cpu_time=cpu_time, open_files=open_files,
        file_size=file_size, scratch=scratch,
    )  # fmt: skip
    if most:
        changes["limits"] = client.json(calls.policy(source))["policy"]["limits"] | most
    request = {"name": name, "based_on": source, "changes": changes, "message": message}
    _print(client.json(calls.create_policy(request)), as_json=as_json)


@app.command()
def edit(
    context: typer.Context,
    name: Name,
    *,
    description: policyflags.Description = None,
    files: policyflags.Files = None,
    read: policyflags.Read = None,
    write: policyflags.Write = None,
    network: policyflags.Network = None,
    account: policyflags.Account = None,
    env: policyflags.Env = None,
    seccomp: policyflags.Seccomp = None,
    root: policyflags.Root = None,
    capability: policyflags.Capability = None,
    device: policyflags.Device = None,
    admins_only: policyflags.Admins = None,
    memory: limits.Memory = None,
    processes: limits.Processes = None,
    cpus: limits.Cpus = None,
    cpu_time: limits.CpuTime = None,
    open_files: limits.OpenFiles = None,
    file_size: limits.FileSize = None,
    scratch: limits.Scratch = None,
    timeout: policyflags.Timeout = None,
    output_limit: policyflags.Output = None,
    require: policyflags.Require = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Refuse if the policy has moved on from this version.")
    ] = None,
    message: Why = "",
    as_json: AsJson = False,
) -> None:
    """Save a new version of a policy; only what is named changes, and every run that starts from now on gets it."""
    changes = policyflags.fields(
        description=description, files=files, read=read, write=write, network=network, account=account, env=env,
        seccomp=seccomp, root=root, capability=capability, device=device, admins_only=admins_only,
        timeout=timeout, output_limit=output_limit, require=require,
    )  # fmt: skip
    most = limits.fields(
        memory=memory, processes=processes, cpus=cpus, cpu_time=cpu_time, open_files=open_files,
        file_size=file_size, scratch=scratch,
    )  # fmt: skip
    if not (changes or most):
        raise wrong_use("nothing to change; name a field, such as --network or --memory")
    client = connect(context)
    seen = client.json(calls.policy(name))
    if most:
        changes["limits"] = seen["policy"]["limits"] | most
    at = version or (seen["custom"] or {}).get("version", 0)
    saved = client.json(calls.patch_policy(name, {"version": at, "changes": changes, "message": message}))
    _print(saved, as_json=as_json)
    for job, why in saved["custom"]["unfit"].items():
        typer.echo(fmt.printable(f"warning: runs of {job} will be refused: {why}"), err=True)


@app.command()
def delete(context: typer.Context, name: Name, *, as_json: AsJson = False) -> None:
    """Delete a policy that no job has; its versions stay, for runs name them."""
    connect(context).json(calls.delete_policy(name))
    if as_json:
        output.document({"name": name, "deleted": True})
        return
    output.line(f"deleted {name}")


@app.command()
def versions(context: typer.Context, name: Name, *, as_json: AsJson = False) -> None:
    """List the saved versions of a policy, newest first, and what each changed."""
    page = connect(context).json(calls.policy_versions(name))
    if as_json:
        output.page(page["items"], page.get("next"))
        return
    saved = page["items"]
    rows = [
        (
            str(each["version"]),
            output.brief(each["created_at"]),
            each["author"],
            each["message"],
            ", ".join(versions_of.differences(before["policy"], each["policy"])) if before else "",
        )
        for each, before in zip(saved, [*saved[1:], None], strict=True)
    ]
    output.table(("version", "saved", "by", "why", "changed"), rows, right=(0,))


@app.command()
def diff(
    context: typer.Context,
    name: Name,
    old: Annotated[int | None, typer.Argument(metavar="[OLD]", min=1, help="A version; the last but one.")] = None,
    new: Annotated[int | None, typer.Argument(metavar="[NEW]", min=1, help="A version; the last.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Say in which fields two versions of a policy differ."""
    saved = {each["version"]: each["policy"] for each in connect(context).json(calls.policy_versions(name))["items"]}
    before, newest = versions_of.pair(saved, old, new, f"`chronos policy versions {name}`")
    found = versions_of.differences(saved[before], saved[newest])
    if as_json:
        output.document({"name": name, "old": before, "new": newest, "changed": found})
        return
    versions_of.show(found, before, newest)


def _print(view: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.document(view)
        return
    policy, custom = view["policy"], view["custom"] or {}
    most = policy["output_limit_bytes"]
    output.pairs(
        [
            ("name", output.Cell(policy["name"], "title")),
            ("description", policy["description"]),
            ("default", "for new jobs" if view["default"] else ""),
            ("files", policy["files"]),
            ("may read", ", ".join(policy["read"])),
            ("may write", ", ".join(policy["write"])),
            ("network", fmt.network(policy["network"])),
            ("runs as", ", ".join(policy["accounts"])),
            ("root", "yes" if policy["root"] else "no"),
            ("environment", " ".join(f"{name}={value}" for name, value in policy["environment"].items())),
            ("seccomp", "yes" if policy["seccomp"] else "no"),
            ("capabilities", ", ".join(policy["capabilities"])),
            ("devices", ", ".join(policy["devices"])),
            ("most", fmt.limits(policy["limits"])),
            ("timeout", output.took(policy["timeout_ms"])),
            ("output", "" if most is None else f"{fmt.size(most)} of each stream"),
            ("requires", ", ".join(policy["requires"])),
            ("for", "admins only" if policy["admins_only"] else ""),
            *(("missing here", f"{key}: {why}") for key, why in view["missing"].items()),
            ("made from", custom.get("based_on", "")),
            ("jobs", _jobs(custom)),
            ("owner", custom.get("owner", "")),
            ("version", str(custom.get("version", "built in"))),
            ("changed", output.when(custom.get("updated_at"))),
        ]
    )


def _jobs(custom: Mapping[str, Any]) -> str:
    named = list(custom.get("used_by", ()))
    more = custom.get("jobs", 0) - len(named)
    return ", ".join(named + ([f"{more} more"] if more else []))


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
