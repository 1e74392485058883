"""`chronos log`: the lines of a run and nothing else. `chronos search`: those of all runs that hold a text."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any

import typer

from chronos_tui import format as fmt
from chronos_tui.client import Client, calls
from chronos_tui.format import printable
from chronos_tui.verbs import output
from chronos_tui.verbs.common import AsJson, RunId, connect, since_instant
from chronos_tui.verbs.failure import FAILED, NOT_FOUND, Failure, wrong_use

POLL_SECONDS = 0.2
PAGE_LINES = 1000

app = typer.Typer(rich_markup_mode=None, add_completion=False)
search_app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("log")
def log(
    context: typer.Context,
    run: RunId,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    search: Annotated[str | None, typer.Option(metavar="TEXT", help="Only lines that hold this text.")] = None,
    stream: Annotated[str | None, typer.Option(help="Only stdout or stderr.")] = None,
    tail: Annotated[int | None, typer.Option(min=1, max=1000, help="Only the last so many lines.")] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="14:30|10m|ISO", help="Begin with what it wrote at a time, or so long ago."),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="One stream's bytes exactly as the job wrote them.")] = False,
    to: Annotated[str | None, typer.Option("--output", "-o", metavar="FILE", help="These bytes into a file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a run wrote, both streams in the order they were read."""
    if stream not in {None, "stdout", "stderr"}:
        raise wrong_use(f"--stream {stream!r} is no stream; write stdout or stderr")
    raw = raw or bool(to)
    if raw and (follow or as_json or search or tail or at):
        raise wrong_use("--raw gives stored bytes and goes with --stream only; leave the other flags out")
    if tail and (search or stream or at):
        raise wrong_use("--tail counts the last lines of both streams; leave --search, --stream and --at out")
    client = connect(context)
    if raw:
        _download(client, run, stream or "stdout", Path(to) if to else None)
        return
    show = output.stream if as_json else _plain()
    since = _instant(at)
    for line in _lines(client, run, follow=follow, search=search, stream=stream, tail=tail, since=since):
        show(line)


def _instant(text: str | None) -> str | None:
    if text is None:
        return None
    at = fmt.moment(text, output.now().astimezone())
    if at is None:
        raise wrong_use(
            f"--at {text!r} is no time; write a time of day such as 14:30, a time such as 2026-05-01T08:00, "
            "or a length such as 10m, which is so long ago"
        )
    return at.astimezone(UTC).isoformat()


def _download(client: Client, run: int, stream: str, to: Path | None) -> None:
    """Write the bytes to a file, whole or not at all, or to stdout as they come. Raises Failure."""
    parts = client.stream(calls.raw_log(run, stream))
    first = next(parts, b"")
    if not first and (removed_at := client.json(calls.log(run, limit=1))["removed_at"]):
        raise _removed(run, removed_at)
    written = chain([first], parts)
    if to is None:
        for part in written:
            output.write_bytes(part)
        return
    scratch = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        with scratch.open("xb") as file:
            file.writelines(written)
        scratch.replace(to)
    except OSError as error:
        raise wrong_use(f"--output {to}: {(error.strerror or str(error)).lower()}; name a file you may write") from None
    finally:
        scratch.unlink(missing_ok=True)
    output.line(f"wrote {to}: {fmt.size(to.stat().st_size)} of {stream}")


@search_app.command("search")
def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Plain text; letter case does not count.")],
    *,
    job: Annotated[str | None, typer.Option(metavar="JOB", help="Only what runs of this job wrote.")] = None,
    since: Annotated[str | None, typer.Option(metavar="2d|ISO", help="Only runs from then on.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many lines.")] = 200,
    as_json: AsJson = False,
) -> None:
    """Find a text in what runs wrote, newest runs first. Exits 1 if no line holds it, as grep does."""
    client = connect(context)
    begin = since_instant(since, output.now())
    found = islice(_found(client, text, job, begin, limit), limit)
    if as_json:
        output.page(found)
        return
    clean = printable if output.tty() else str
    some = False
    for line in found:
        some = True
        output.write(f"{clean(line['job'])} {line['run']}:{line['number']}: {clean(line['text'])}\n")
    if not some:
        raise typer.Exit(FAILED)


def _found(client: Client, text: str, job: str | None, since: str | None, limit: int) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        page = client.json(calls.search_output(text, job=job, since=since, limit=min(limit, PAGE_LINES), cursor=cursor))
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def _lines(
    client: Client,
    run: int,
    *,
    follow: bool,
    search: str | None,
    stream: str | None,
    tail: int | None,
    since: str | None,
) -> Iterator[dict[str, Any]]:
    """Yield the lines that are there, and with `follow` those to come until the run has ended.

    A last line the job has not ended comes with each page until it has, so it is kept back until nothing follows.
    """
    asking = calls.log(run, limit=PAGE_LINES, search=search, stream=stream, since=since)
    if tail:
        asking = calls.log(run, tail=tail)
    page = client.json(asking)
    if page["removed_at"]:
        raise _removed(run, page["removed_at"])
    asked = -1
    while True:
        settled = [line for line in page["lines"] if line["number"] <= page["next"]]
        yield from settled
        if page["next"] == asked:
            if page["ended"] or not follow:
                yield from page["lines"][len(settled) :]
                return
            time.sleep(POLL_SECONDS)
        asked = page["next"]
        page = client.json(calls.log(run, after=asked, limit=PAGE_LINES, search=search, stream=stream))


def _removed(run: int, at: str) -> Failure:
    return Failure(
        f"the output of run {run} was removed on {at[:10]}, as [logs] in the server's chronos.toml asks; "
        f"`chronos run show {run}` tells what else is known",
        NOT_FOUND,
        kind="not_found",
        title="Removed",
    )


def _plain() -> Callable[[dict[str, Any]], None]:
    """Return what prints lines as text: to a program as they are, to a terminal without control characters."""
    clean = printable if output.tty() else str
    return lambda line: output.write(clean(line["text"]) + "\n")
