"""`chronos`: the grammar of the command line. Which module holds a verb stands here; it is loaded when it is asked for.

A verb has 250 ms of CPU in all, so nothing is imported for its own sake: building every verb's flags alone would take
a fifth of that.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, NamedTuple, NoReturn, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command

from chronos_tui import settings
from chronos_tui.verbs import failure, interrupt, output
from chronos_tui.verbs.coercion import HELP_NAMES, lighten


class Verb(NamedTuple):
    """Where a verb is: a module of `chronos_tui.verbs`, the app in it, and one line of help."""

    module: str
    app: str
    help: str


VERBS = {
    "up": Verb("server", "up_app", "Start the server if none runs, then open the terminal app."),
    "down": Verb("server", "down_app", "Stop the server."),
    "status": Verb("server", "status_app", "Say how the server is and what comes next."),
    "import": Verb("moves", "import_app", "Bring jobs in: import crontab FILE|-."),
    "export": Verb("moves", "export_app", "Write every job to standard output."),
    "job": Verb("jobs", "app", "List, show, add, edit, clone, pause, resume, delete; history, diff, rollback."),
    "run": Verb("runs", "run_app", "Run a job now; `run show RUN` shows a run."),
    "runs": Verb("runs", "list_app", "List and show runs."),
    "backfill": Verb("backfill", "app", "Run the past fires of a job that did not run."),
    "cancel": Verb("runs", "cancel_app", "Stop a run."),
    "log": Verb("logs", "app", "Print what a run wrote."),
    "ask": Verb("words", "app", "Turn words into a schedule; ask Claude about jobs; see what it cost."),
    "artifact": Verb("artifacts", "app", "List and get the files that a run left."),
    "search": Verb("logs", "search_app", "Find a text in what all runs wrote."),
    "insight": Verb("insights", "app", "What was found in runs: show, judge, apply one; explain RUN, patterns."),
    "insights": Verb("insights", "list_app", "List what was found in how jobs run."),
    "secret": Verb("secrets", "app", "List, set, delete secrets: values that jobs get and nobody sees."),
    "policy": Verb("policies", "app", "List, show, create, edit, delete policies: how jobs are kept apart."),
    "pool": Verb("pools", "app", "List, set, delete pools: slots that jobs share."),
    "calendar": Verb("calendars", "app", "List, show, set, import, delete, preview calendars."),
    "next": Verb("times", "next_app", "Say when an expression fires next."),
    "simulate": Verb("simulate", "app", "Say how a period goes for all jobs, and how with changes."),
    "explain": Verb("times", "explain_app", "Say why a job did or did not run."),
    "events": Verb("events", "app", "Print what happened."),
    "doctor": Verb("server", "doctor_app", "Say which parts of the server work."),
    "whoami": Verb("server", "whoami_app", "Say who the server takes you for."),
}
BACKFILL_CANCEL = Verb("backfill", "cancel_app", "Withdraw the backfilled runs of a job.")
RUN_SHOW = Verb("runs", "show_app", "Show one run in full.")


class Verbs(TyperGroup):
    """All verbs, each loaded when named."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's signature
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - Typer's signature
        return _load(VERBS[cmd_name]) if cmd_name in VERBS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Read `run show RUN` and `backfill cancel JOB` as verbs of two words.

        A job named show is run by `run -- show` or by its id.
        """
        if args[:2] == ["run", "show"]:
            return "run show", _load(RUN_SHOW), args[2:]
        if args[:2] == ["backfill", "cancel"]:
            return "backfill cancel", _load(BACKFILL_CANCEL), args[2:]
        self.commands = cast("Any", VERBS)  # only its keys are read, to suggest one
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


def _load(verb: Verb) -> Any:
    return lighten(get_command(getattr(import_module(f"chronos_tui.verbs.{verb.module}"), verb.app)))


app = typer.Typer(
    cls=Verbs,
    name="chronos",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": HELP_NAMES, "max_content_width": 120},
)


@app.callback(invoke_without_command=True)
def chronos(
    context: typer.Context,
    *,
    state: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the embedded server keeps everything.")
    ] = None,
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="unix:///path or http://host:port of another server.")
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Manage scheduled jobs. Without a verb: open the terminal app."""
    if version:
        from importlib.metadata import version as installed

        output.line(f"chronos {installed('chronos-synapse')}")
        raise typer.Exit
    context.obj = settings.load(state, server, os.environ)
    if context.invoked_subcommand is None:
        _open(context)


def _open(context: typer.Context) -> None:
    if not output.interactive():
        raise failure.wrong_use("the terminal app needs a terminal; give a verb, such as `chronos status` (see --help)")
    from chronos_tui.verbs.common import connect
    from chronos_tui.verbs.embedded import health
    from chronos_tui.verbs.server import open_app

    health(connect(context))
    open_app(context.obj)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and exit with its code: see `verbs.failure`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # the real ones, not a test's
    code = _run(given)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        output.abandon_stdout()
    sys.exit(code)


def _run(given: list[str]) -> int:
    as_json = "--json" in (given[: given.index("--")] if "--" in given else given)
    try:
        with interrupt.insistent():
            code = lighten(get_command(app)).main(given, prog_name="chronos", standalone_mode=False)
    except KeyboardInterrupt:
        return failure.INTERRUPTED
    except Exception as error:
        judged = failure.judge(error) or _grammar(error)
        if judged is None:
            raise
        failure.report(judged[1], as_json=as_json)
        return judged[0]
    return code if isinstance(code, int) else 0


def _grammar(error: Exception) -> tuple[int, dict[str, Any]] | None:
    """Return the exit code and the Problem of a command line that cannot be read; None for any other error."""
    if isinstance(error, settings.SettingsError):
        wrong = failure.wrong_use(str(error))
        return wrong.code, wrong.problem
    if not hasattr(error, "format_message"):
        return None
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "chronos"
    said = " ".join(error.format_message().split()).rstrip(".")
    wrong = failure.wrong_use(f"{said[:1].lower()}{said[1:]}{'' if said.endswith('?') else ';'} see `{path} --help`")
    return wrong.code, wrong.problem
