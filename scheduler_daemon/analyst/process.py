"""The process itself: it takes what others leave of the machine, and ends with the daemon that started it."""

import asyncio
import contextlib
import gc
import logging
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from scheduler_daemon.analyst.link import Link
from scheduler_daemon.analyst.nightly import Trainer
from scheduler_daemon.analyst.review import Reviewer
from scheduler_daemon.analyst.worker import Analyst
from scheduler_daemon.domain.errors import ChronosError
from scheduler_daemon.storage.learnt import Learnt
from scheduler_daemon.storage.session import open_database

NICENESS = 15
OOM_SCORE = 500
"""Of a thousand: where memory is short, this process goes before any job."""
LOOK = 2.0
"""Seconds between looks for runs that have ended."""
RETRY = 5.0

log = logging.getLogger(__name__)


def main() -> None:
    """Work until the daemon closes our standard input."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    _be_modest()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_work(os.environ["CHRONOS_ANALYST_DATABASE"], Path(sys.argv[1])))


def _be_modest() -> None:
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")


def collect_seldom() -> None:
    """Leave what was imported out of looks for garbage, and look seldom: minds come and go, and are in no cycles."""
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


async def _work(url: str, path: Path) -> None:
    link = await Link.open()
    database = open_database(url)
    learnt = Learnt(path)
    try:
        analyst = Analyst(database, learnt, link, _now)
        every = timedelta(seconds=float(os.environ.get("CHRONOS_ANALYST_REVIEW_S", "86400")))
        reviewer = Reviewer(database, learnt, link, _now, every)
        trainer = Trainer(learnt, analyst.model, _now, every)
        collect_seldom()
        try:
            await _go_on(link, analyst, reviewer, trainer)
        finally:
            await trainer.close()
        analyst.keep()
    finally:
        learnt.close()
        await database.close()


async def _go_on(link: Link, analyst: Analyst, reviewer: Reviewer, trainer: Trainer) -> None:
    while not link.closed:
        try:
            while await analyst.step() and not link.closed:
                pass
            if not await reviewer.step():
                await trainer.step()
                await link.rest(LOOK)
        except ChronosError as error:
            if not link.closed:
                log.warning("runs are looked at later: %s", error.message)
                await link.rest(RETRY)


def _now() -> datetime:
    return datetime.now(UTC)
