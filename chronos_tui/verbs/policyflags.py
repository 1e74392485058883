"""Flags of `policy create` and `policy edit`, and the fields of a policy that they mean; those of limits are apart."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from chronos_tui.verbs import isolation, limits
from chronos_tui.verbs.failure import wrong_use

Description = Annotated[str | None, typer.Option(help="What the policy is for.")]
Files = Annotated[
    str | None, typer.Option(help="host: all the account sees; system: a box; scratch: a box with its home in memory.")
]
Read = Annotated[
    list[str] | None, typer.Option("--read", metavar="PATH", help="Jobs may ask to read it; repeatable, '' for none.")
]
Write = Annotated[
    list[str] | None, typer.Option("--write", metavar="PATH", help="Jobs may ask to write it; repeatable, '' for none.")
]
Network = Annotated[
    str | None,
    typer.Option("--network", metavar="none|host|HOST:PORT,...", help="The most that a job may ask to speak to."),
]
Account = Annotated[
    list[str] | None, typer.Option(metavar="USER", help="Jobs run as one of these; repeatable, '' for any.")
]
Env = Annotated[
    list[str] | None, typer.Option("--env", metavar="K=V", help="Every run gets it; repeatable, '' for none.")
]
Require = Annotated[
    list[str] | None,
    typer.Option(metavar="PROTECTION", help="Refuse runs without it, such as memory, pids, cpu; repeatable."),
]
Seccomp = Annotated[
    bool | None, typer.Option("--seccomp/--no-seccomp", help="Refuse dangerous system calls.", show_default=False)
]
Capability = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME", help="Each run without a box has it, such as net_bind_service; repeatable, '' for none."
    ),
]
Device = Annotated[
    list[str] | None, typer.Option(metavar="PATH", help="Each box has it, such as /dev/fuse; repeatable, '' for none.")
]
Root = Annotated[bool | None, typer.Option("--root/--no-root", help="Runs may be root's.", show_default=False)]
Admins = Annotated[
    bool | None,
    typer.Option("--admins-only/--everyone", help="Who may save jobs of it.", show_default=False),
]
Timeout = Annotated[str | None, typer.Option(metavar="LENGTH", help="Most time of each attempt; `none`.")]
Output = Annotated[
    str | None, typer.Option("--output-limit", metavar="SIZE", help="Most that is kept of each stream; `none`.")
]


def fields(
    *,
    description: str | None,
    files: str | None,
    read: Sequence[str] | None,
    write: Sequence[str] | None,
    network: str | None,
    account: Sequence[str] | None,
    env: Sequence[str] | None,
    seccomp: bool | None,
    root: bool | None,
    capability: Sequence[str] | None,
    device: Sequence[str] | None,
    admins_only: bool | None,
    timeout: str | None,
    output_limit: str | None,
    require: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the fields that were given, but for limits. A list of one empty text empties it. Raises Failure."""
    plain = {
        "description": description, "files": files, "seccomp": seccomp, "root": root, "admins_only": admins_only,
        "network": None if network is None else isolation.network_of(network),
    }  # fmt: skip
    lists = {
        "read": read,
        "write": write,
        "accounts": account,
        "requires": require,
        "capabilities": capability,
        "devices": device,
    }
    found: dict[str, Any] = {name: value for name, value in plain.items() if value is not None}
    found |= {name: [text for text in texts if text] for name, texts in lists.items() if texts}
    if env:
        found["environment"] = dict(_assignment(text) for text in env if text)
    if timeout is not None:
        found["timeout_ms"] = None if timeout == "none" else limits.length_of("--timeout", timeout)
    if output_limit is not None:
        found["output_limit_bytes"] = None if output_limit == "none" else limits.size_of("--output-limit", output_limit)
    return found


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise wrong_use(f"--env {text!r} is no assignment; write NAME=VALUE")
    return name, value
