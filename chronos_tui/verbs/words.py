"""`chronos insight explain`, `patterns`, `pattern` and `chronos ask`: words, our own first, then Claude's if any."""

import os
import time
from typing import Annotated, Any

import typer

from chronos_tui import format as fmt
from chronos_tui.client import Client, calls
from chronos_tui.verbs import output, spec
from chronos_tui.verbs.common import AsJson, Cursor, JobRef, Limit, RunId, connect, since_instant
from chronos_tui.verbs.failure import FAILED, Failure, wrong_use

app = typer.Typer(
    help="Turn words into a schedule; ask Claude; see what it cost.", rich_markup_mode=None, add_completion=False
)

PAUSE, LONGEST_WAIT_S = 0.3, 100.0
OUTCOMES = {
    "no_budget": "Claude was not asked: {detail}",
    "no_price": "Claude was not asked: {detail}",
    "no_key": "Claude was not asked: {detail}",
    "bad_key": "Claude was asked in vain: {detail}",
    "invalid": "Claude's answer was left out, for it {detail}",
}

Local = Annotated[bool, typer.Option("--local", help="Our own words alone; Claude is not asked.")]
PatternRef = Annotated[str, typer.Argument(metavar="PATTERN", help="Its id, or the beginning of it.")]


def explain(context: typer.Context, run: RunId, *, local: Local = False, as_json: AsJson = False) -> None:
    """Say why a run failed: at once in our own words, then in Claude's where there is a key."""
    client = connect(context)
    found = client.json(calls.explain_failure(run, local=local))
    if as_json:
        output.document({**found, "claude": _answer(client, found["claude"])})
        return
    _show_failure(found)
    _show_answer(_answer(client, found["claude"]))


def _show_failure(found: dict[str, Any]) -> None:
    output.write(
        fmt.printable(f"run {found['run']} of {found['job']}: ")
        + output.paint(fmt.printable(found["title"]), "error")
        + "\n"
    )
    output.line(found["text"])
    if found["error_line"]:
        output.line(f"see line {found['error_line']['number']}: chronos log {found['run']}")
    if found["pattern"]:
        output.line(f"this error: chronos insight pattern {found['pattern']['id'][:8]}")
    for line in found["tail"]:
        output.line(f"  {line['number']:>6}  {line['text']}")
    for other in found["similar"]:
        output.line(f"like run {other['run']} of {other['job']}, {output.when(other['at'])} ({other['alike']:.0%})")


def _answer(client: Client, call: dict[str, Any] | None) -> dict[str, Any] | None:
    """Wait until a question has come to an end."""
    until = time.monotonic() + LONGEST_WAIT_S
    while call is not None and call["state"] != "done" and time.monotonic() < until:
        time.sleep(PAUSE)
        call = client.json(calls.claude_call(call["id"]))
    return call


def _show_answer(call: dict[str, Any] | None) -> None:
    if call is None:
        return
    output.line()
    answer = call["answer"]
    if answer is None:
        how = OUTCOMES.get(call["outcome"] or "", "Claude did not answer ({outcome})")
        output.line(how.format(**call))
        return
    output.line(f"Claude ({call['model']}): {answer['text']}")
    if answer.get("fix"):
        output.line(f"To do: {answer['fix']}")
    for point in answer.get("points", ()):
        output.line(f"- {point}")
    if answer.get("lines"):
        output.line("It refers to lines " + ", ".join(map(str, answer["lines"])))
    if answer.get("action", "none") != "none":
        output.line(f"It proposes: {answer['action'].replace('_', ' ')} {answer['value'] or ''}".rstrip())


def patterns(
    context: typer.Context,
    *,
    job: Annotated[str | None, typer.Option(help="Only errors of this job.")] = None,
    since: Annotated[str | None, typer.Option(help="Only errors seen since then, such as 7d.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List the errors that runs fail with, the latest first."""
    page = connect(context).json(calls.patterns(job=job, since=since_instant(since, output.now()), limit=limit))
    if as_json:
        output.page(page["items"], page.get("next"))
        return
    rows = [
        (
            each["id"][:8],
            str(each["count"]),
            "" if each["lift"] is None else f"{each['lift']:g}x",
            output.brief(each["first_seen"]),
            output.brief(each["last_seen"]),
            ", ".join(each["jobs"][:3]) + (" …" if len(each["jobs"]) > 3 else ""),
            each["name"] or each["text"],
        )
        for each in page["items"]
    ]
    output.table(("id", "count", "lift", "first", "last", "jobs", "error"), rows, right=(1, 2))


def pattern(
    context: typer.Context,
    ref: PatternRef,
    *,
    name: Annotated[bool, typer.Option("--name", help="Have Claude name it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show an error: where it came, how often, and what ended it."""
    client = connect(context)
    call = _answer(client, client.json(calls.name_pattern(ref))) if name else None
    found = client.json(calls.pattern(ref))
    if as_json:
        output.document(found)
        return
    output.pairs(
        [
            ("error", output.Cell(found["text"], "title")),
            ("name", _by_claude(found["name"])),
            ("means", _by_claude(found["meaning"])),
            ("what helps", _by_claude(found["fix"])),
            ("failures", str(found["count"])),
            ("lift", "" if found["lift"] is None else f"{found['lift']:g} times likelier in a failed run"),
            ("first", output.when(found["first_seen"])),
            ("last", f"{output.when(found['last_seen'])} (run {found['last_run']})"),
            ("jobs", ", ".join(found["jobs"])),
            ("hosts", ", ".join(found["hosts"])),
            ("goes on in", ", ".join(found["going_on"])),
            *(("ended", _ended(each)) for each in found["ended"]),
        ]
    )
    if name and (call is None or call["answer"] is None):
        _show_answer(call) if call else output.line("Claude was not asked: there is no key")


def _by_claude(text: str) -> str:
    return f"{text} (generated by Claude)" if text else ""


def _ended(end: dict[str, Any]) -> str:
    how = f"version {end['version']}: {end['change']}" if end["version"] else "with no change of the job"
    return f"in {end['job']} {output.when(end['at'])}, {how}; {end['successes']} successes since"


@app.command("schedule")
def schedule(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="WORDS", help="Such as: every weekday at 7.")],
    *,
    zone: Annotated[str | None, typer.Option(help="Time zone; this machine's if absent.")] = None,
    job: Annotated[
        str | None, typer.Option("--set", metavar="JOB", help="Give it to this job, once you agree.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Agree now.")] = False,
    as_json: AsJson = False,
) -> None:
    """Turn words into a schedule, and show when it fires next."""
    client, key = connect(context), zone or spec.local_zone(os.environ)
    guess = client.json(calls.ask_schedule(" ".join(words), key))
    answered = _answer(client, guess["claude"])
    if answered is not None and answered["answer"]:
        guess |= {"expression": answered["answer"]["expression"], "note": answered["answer"]["text"]}
        request = {"schedule": {"expressions": [guess["expression"]], "zone": key}, "count": 5}
        guess["preview"] = client.json(calls.preview(request))  # our own parser has the last word
    guess["claude"] = answered
    if guess["expression"] is None:
        raise wrong_use(
            "these words are not understood; write them as `every weekday at 7`, `hourly between 9 and 17`, `last"
            " friday of the month at 18:30`, or write the expression itself: see `chronos next --help`"
        )
    if as_json:
        output.document(guess)
    else:
        _show_guess(guess, key)
    if job is not None:
        _set_schedule(client, job, guess["expression"], yes=yes)


def _show_guess(guess: dict[str, Any], zone: str) -> None:
    by = f" (Claude: {guess['note']})" if guess["claude"] else f" ({guess['note']})" if guess["note"] else ""
    output.line(f"{guess['expression']}{by}")
    output.line(f"{guess['preview']['words']} ({zone})")
    for fire in guess["preview"]["fires"]:
        output.line(f"  {output.when(fire)}")
    for warning in guess["preview"]["warnings"]:
        output.line(f"careful: {warning}")


def _set_schedule(client: Client, job: str, expression: str, *, yes: bool) -> None:
    view = client.json(calls.job(job))
    if not yes and not (output.interactive() and typer.confirm(f"Is this to be the schedule of {view['name']}?")):
        raise wrong_use("nothing was changed; give --yes to agree where there is no terminal")
    changes = {"schedule": {**view["spec"]["schedule"], "expressions": [expression]}}
    saved = client.json(calls.patch_job(view["id"], {"version": view["version"], "changes": changes}))
    output.line(f"{saved['name']}: version {saved['version']}, {saved['words']}")


@app.command("fleet")
def fleet(
    context: typer.Context,
    question: Annotated[list[str], typer.Argument(metavar="QUESTION", help="Such as: what failed most this week?")],
    *,
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Answer a question about the jobs from facts: at once in our own words, then in Claude's where there is a key."""
    client = connect(context)
    told = client.json(calls.ask_fleet(" ".join(question), local=local))
    if as_json:
        output.document({**told, "claude": _answer(client, told["claude"])})
        return
    for line in told["text"].splitlines():
        output.line(line)
    answered = _answer(client, told["claude"])
    _show_answer(answered)
    for fact in ((answered or {}).get("answer") or {}).get("rests_on", ()):
        output.line("  " + ", ".join(f"{name} {value}" for name, value in fact.items() if value is not None))


@app.command("job")
def review(context: typer.Context, job: JobRef, *, as_json: AsJson = False) -> None:
    """Have a job's settings reviewed by Claude, with what its runs show."""
    client = connect(context)
    _put(client, client.json(calls.ask_job(job)), as_json=as_json)


def _put(client: Client, call: dict[str, Any] | None, *, as_json: bool) -> None:
    if call is None:
        raise Failure("there is no key for Claude; set claude.key_file in the settings of the server")
    answered = _answer(client, call)
    if as_json:
        output.document(answered)
    else:
        _show_answer(answered)
    if answered is None or answered["answer"] is None:
        raise typer.Exit(FAILED)


@app.command("list")
def list_calls(context: typer.Context, *, limit: Limit = 20, cursor: Cursor = None, as_json: AsJson = False) -> None:
    """List what Claude was asked, what came of it and what it cost; then the budget of the day."""
    client = connect(context)
    page = client.json(calls.claude_calls(limit=limit, cursor=cursor))
    if as_json:
        output.page(page["items"], page.get("next"))
        return
    rows = [
        (
            str(each["id"]),
            output.brief(each["at"]),
            each["actor"],
            f"{each['purpose']} {each['subject'][:12]}".strip(),
            (each["outcome"] or each["state"]).replace("_", " "),
            f"{each['tokens']:,}",
            f"${each['cost_dollars']:.4f}",
        )
        for each in page["items"]
    ]
    output.table(("id", "at", "by", "about", "came to", "tokens", "cost"), rows, right=(5, 6))
    budget = client.json(calls.claude_budget())
    if not budget["configured"]:
        output.line("there is no key for Claude; see claude.key_file in the settings")
    output.line(
        f"today: {budget['tokens']:,} of {budget['tokens_most']:,} tokens, ${budget['dollars']:.2f} of"
        f" ${budget['dollars_most']:.2f}; of you: {budget['my_tokens']:,} of {budget['my_tokens_most']:,},"
        f" ${budget['my_dollars']:.2f} of ${budget['my_dollars_most']:.2f}"
    )
