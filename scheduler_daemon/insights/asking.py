"""Ask one question in a process of its own: `python -m scheduler_daemon.insights.asking`.

Reads settings and prompt from the first line of standard input; writes a line of JSON each time more was said, or a
fact is to be looked up, which the next line of input tells; and the reply at last. The key is found here, and goes with
the process.
"""

import asyncio
import json
import os
import sys
from dataclasses import asdict
from typing import Any

from scheduler_daemon.contract.claude import ClaudeOutcome
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.insights import keys
from scheduler_daemon.insights.claude import Claude
from scheduler_daemon.insights.heard import Reply
from scheduler_daemon.insights.prompts import ANSWERS, Prompt
from scheduler_daemon.settings import ClaudeSettings


def main() -> None:
    """Ask what standard input says."""
    os.nice(10)
    given = json.loads(sys.stdin.readline())
    settings = ClaudeSettings.model_validate(given["settings"])
    kept = given["prompt"]
    prompt = Prompt(**{**kept, "answer": ANSWERS[kept["answer"]], "citable": frozenset(kept["citable"])})
    try:
        key = keys.find(settings, os.environ)
    except Invalid as error:
        _write({"reply": _told(Reply(ClaudeOutcome.NO_KEY, detail=error.message))})
        return
    reply = asyncio.run(_ask(Claude(settings, key), prompt))
    _write({"reply": _told(reply)})


async def _ask(claude: Claude, prompt: Prompt) -> Reply:
    try:
        return await claude.ask(prompt, lambda text: _write({"text": text}), _look_up)
    finally:
        await claude.close()


async def _look_up(name: str, given: Any) -> Any:
    _write({"look_up": [name, given]})
    return json.loads(await asyncio.to_thread(sys.stdin.readline))


def _told(reply: Reply) -> dict[str, Any]:
    return asdict(reply) | {"answer": reply.answer.model_dump(mode="json") if reply.answer else None}


def _write(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
