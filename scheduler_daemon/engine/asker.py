"""Put questions to Claude, one after another, each in a process of its own that is given a time to end."""

import asyncio
import contextlib
import json
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from scheduler_daemon.contract.claude import ClaudeOutcome
from scheduler_daemon.domain.errors import ChronosError
from scheduler_daemon.insights.prompts import Prompt
from scheduler_daemon.services import claude
from scheduler_daemon.services.claude import Desk
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

GRACE = timedelta(seconds=15)
"""Beyond the time of the question: for starting Python, and the SDK."""
SHOWN_EVERY = 0.4
"""Seconds between what is kept of an answer that is being said."""
RETRY = 5.0
LOOK = 60.0
"""Seconds between looks for questions that were left behind and are old enough by now."""
_LINE = 1024 * 1024
_COMMAND = (sys.executable, "-m", "scheduler_daemon.insights.asking")


class Asker:
    """Asks while there are questions."""

    def __init__(
        self, database: Database, desk: Desk, now: Callable[[], datetime], recorded: Callable[[], None]
    ) -> None:
        """`recorded` is called when something was committed that others are to be told."""
        self._database = database
        self._recorded = recorded
        self._desk = desk
        self._now = now
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look for questions, after the commit that wrote one down."""
        self._woken.set()

    async def run(self) -> None:
        """Ask for ever."""
        if not self._desk.has_key:
            await asyncio.Event().wait()
        while True:
            self._woken.clear()
            try:
                now = self._now()
                over = now - self._desk.settings.timeout - 2 * GRACE
                await self._database.write(lambda db, o=over, n=now: claude.give_up_left_behind(db, o, n))  # type: ignore[misc]  # mypy cannot type the default
                while await self.step():
                    pass
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), LOOK)
            except ChronosError as error:
                log.warning("questions are asked later: %s", error.message)
                await asyncio.sleep(RETRY)

    async def step(self) -> bool:
        """Ask the next question; False where there is none."""
        now = self._now()
        taken = await self._database.write(lambda db: claude.claim(db, self._desk, now))
        if taken is None:
            return False
        call_id, prompt = taken
        reply = await self._ask(call_id, prompt)
        ended = self._now()
        await self._database.write(lambda db: claude.settle(db, call_id, reply, self._desk, ended))
        self._recorded()
        return True

    async def _ask(self, call_id: int, prompt: Prompt) -> dict[str, Any]:
        """Return the reply; whatever becomes of the process, there is one."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
        process = await asyncio.create_subprocess_exec(
            *_COMMAND, stdin=PIPE, stdout=PIPE, limit=_LINE, start_new_session=True, env=environ
        )
        try:
            async with asyncio.timeout((self._desk.settings.timeout + GRACE).total_seconds()):
                return await self._converse(process, call_id, prompt)
        except TimeoutError:
            return _no_reply(ClaudeOutcome.TIMEOUT, "it did not end in time")
        except (OSError, ValueError) as error:
            return _no_reply(ClaudeOutcome.CUT, f"the process that asks failed: {type(error).__name__}")
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _converse(self, process: Process, call_id: int, prompt: Prompt) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        asked = {"settings": self._desk.settings.model_dump(mode="json"), "prompt": claude.kept(prompt)}
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        shown = 0.0
        loop = asyncio.get_running_loop()
        while line := await process.stdout.readline():
            said = json.loads(line)
            if "reply" in said:
                reply: dict[str, Any] = said["reply"]
                return reply
            if "look_up" in said:
                found = await self._look_up(call_id, *said["look_up"])
                process.stdin.write(json.dumps(found).encode() + b"\n")
                continue
            if loop.time() - shown >= SHOWN_EVERY:
                text = str(said["text"])
                await self._database.write(lambda db, text=text: claude.heard(db, call_id, text))  # type: ignore[misc]  # mypy cannot type the default
                shown = loop.time()
        return _no_reply(ClaudeOutcome.CUT, f"the process that asks ended with code {await process.wait()}")

    async def _look_up(self, call_id: int, name: str, given: Any) -> Any:
        now = self._now()
        return await self._database.read(lambda db: claude.look_up(db, call_id, name, given, now))


def _no_reply(outcome: ClaudeOutcome, detail: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("answer", "input_tokens", "output_tokens"))
    return {"outcome": outcome, "detail": detail, "request_id": "", **nothing}
