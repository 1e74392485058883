"""Keep the files that runs leave: have them collected when a run has ended, before its own folder goes.

All files of a run lie in one file, its pack, in the daemon's folder; SQL says what is where. It is made under another
name and put in place before SQL knows of it, so that a daemon killed at any moment collects again or leaves a pack that
nobody knows, which the sweep takes away. Which files are copied, and what is refused, is the collector's business.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import pwd
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from scheduler_daemon.contract.artifacts import DEFAULT_BYTES, MOST_FILES
from scheduler_daemon.contract.policies import Files
from scheduler_daemon.domain.errors import ChronosError, NotFound
from scheduler_daemon.engine.ending import end
from scheduler_daemon.engine.granting import current
from scheduler_daemon.engine.launch import folder_of
from scheduler_daemon.engine.probes import ended_after
from scheduler_daemon.services.runs import Start
from scheduler_daemon.storage import artifacts
from scheduler_daemon.storage.jobs import slices
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Collections at once."""
SECONDS = 60.0
"""A collection that takes longer is given up."""
RETRY_S = 1.0
ROOM_LEFT = 256 * 1024 * 1024
"""Bytes of the disk that are left alone."""
CLOCKS_S = 2.0
"""By how much the clock of a file system may be behind ours."""
_CHUNK = 1 << 20
_ASKED = 500
_COLLECTOR = (sys.executable, "-I", "-S", str(Path(__file__).with_name("collector.py")))
_BARE = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


class Source(NamedTuple):
    """Where a run worked, and as whom: a path, or an open folder. `plain`: no component of the path may be a link."""

    folder: str | None
    descriptor: int | None
    plain: bool
    account: tuple[int, int, list[int]] | None
    """uid, gid and groups; None is our own account."""


class _Unreachable(Exception):  # noqa: N818 - an answer
    """There is nothing to collect from; the text says why."""


class FileKeeper:
    """Collects of runs that are expected to leave files, and gives the files back."""

    def __init__(self, database: Database, state_dir: Path, now: Callable[[], datetime]) -> None:
        self._database = database
        self._folder = state_dir / "artifacts"
        self._spool = state_dir / "spool"
        self._now = now
        self._expected: dict[int, Start] = {}
        self._open: dict[int, asyncio.Task[None]] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._turns: dict[str, asyncio.Lock] = {}
        """One for each account: its processes may stop what collects for it, and then hold up itself alone."""
        self.done: Callable[[], None] = lambda: None
        """Is told when a collection is over."""

    def expect(self, starts: Iterable[Start]) -> None:
        """Take note of runs that are about to start, or live, of jobs that leave files."""
        self._expected.update({start.execution_id: start for start in starts if start.spec.get("artifacts")})

    def begin(self, ids: Mapping[int, datetime | None]) -> None:
        """These have ended, that had begun at such instants (None: never): collect of those expected to leave files."""
        for execution_id, began in ids.items():
            start = self._expected.pop(execution_id, None)
            if start is not None and began is not None and execution_id not in self._open:
                work = self._collect_surely(start, began)
                self._open[execution_id] = asyncio.create_task(work, name="artifacts")

    def is_open(self, execution_id: int) -> bool:
        """Tell whether the folder of a run is still needed."""
        return execution_id in self._open

    async def close(self) -> None:
        """Leave what is not done to the next start of the daemon."""
        await end(list(self._open.values()))

    async def _collect_surely(self, start: Start, began: datetime) -> None:
        try:
            while True:
                try:
                    async with self._turn_of(start), self._gate:
                        await self._collect(start, began)
                except ChronosError as error:
                    log.warning("the files of run %d are collected later: %s", start.execution_id, error.message)
                    await asyncio.sleep(RETRY_S)
                else:
                    return
        except Exception:
            log.exception("the files of run %d cannot be collected", start.execution_id)
        finally:
            del self._open[start.execution_id]
            self.done()

    def _turn_of(self, start: Start) -> asyncio.Lock:
        """Return what runs for one account wait for. What root runs in boxes for nobody has an account of its own."""
        user = start.spec["user"]
        return self._turns.setdefault(user, asyncio.Lock()) if user is not None else asyncio.Lock()

    async def _collect(self, start: Start, began: datetime) -> None:
        run = start.execution_id
        scratch = self._folder / f".{run}"
        try:
            with contextlib.ExitStack() as stack:
                pack = await asyncio.to_thread(_make, self._folder, scratch)
                stack.callback(os.close, pack)
                name = start.spec["policy"]
                kept = (await current(self._database, {name})).get(name)
                boxed = kept is None or kept.policy.files is not Files.HOST
                source = _source(start, self._spool / str(run), stack, boxed=boxed)
                found, notes = await self._run(start.spec, source, pack, began)
                files = await asyncio.to_thread(_checked, pack, found)
        except (_Unreachable, OSError) as error:
            files, notes = [], [getattr(error, "strerror", None) or str(error)]
        if not files and not notes:
            notes = ["no file fits the patterns"]
        await asyncio.to_thread(_settle, scratch, self._folder / str(run) if files else None)
        await self._database.write(partial(artifacts.put, execution_id=run, files=files, notes=notes, now=self._now()))

    async def _run(
        self, spec: Mapping[str, Any], source: Source, pack: int, began: datetime
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Have the collector fill the pack; return what it says it did."""
        most = min(spec.get("artifact_limit_bytes") or DEFAULT_BYTES, _room(self._folder))
        if most <= 0:
            raise _Unreachable("not collected: the disk of the daemon is nearly full")
        told = {
            "folder": source.folder,
            "folder_fd": source.descriptor,
            "plain": source.plain,
            "patterns": list(spec["artifacts"]),
            "pack": pack,
            "bytes": most,
            "count": MOST_FILES,
            "since_s": began.timestamp() - CLOCKS_S,
            "account": source.account,
        }
        kept = (pack,) if source.descriptor is None else (pack, source.descriptor)
        process = await asyncio.create_subprocess_exec(
            *_COLLECTOR, cwd="/", env=_BARE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, start_new_session=True, pass_fds=kept,
        )  # fmt: skip
        try:
            async with ended_after(process), asyncio.timeout(SECONDS):
                answer, trouble = await process.communicate(json.dumps(told).encode())
        except TimeoutError:
            raise _Unreachable(f"not collected: it took longer than {SECONDS:g} s") from None
        if process.returncode != 0:
            said = trouble.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise _Unreachable(f"not collected: {said[:200] or f'the collector ended with {process.returncode}'}")
        document = json.loads(answer)
        return document["files"], [str(note) for note in document["notes"]]

    async def read(self, execution_id: int, place: artifacts.Place) -> AsyncIterator[bytes]:
        """Yield the bytes of a file. Raises NotFound at once if the pack is not here."""
        try:
            pack = await asyncio.to_thread(os.open, self._folder / str(execution_id), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            raise NotFound(f"the files of run {execution_id} are not here: the daemon that ran it has them") from None
        return _parts(pack, place)

    async def sweep(self) -> None:
        """Remove the packs that SQL does not know, or no longer."""
        if not await asyncio.to_thread(self._folder.is_dir):
            return
        names = await asyncio.to_thread(os.listdir, self._folder)
        numbers = {name: int(name.lstrip(".")) for name in names if name.lstrip(".").isdigit()}
        for part in slices(sorted(numbers), _ASKED):
            ids = {numbers[name] for name in part}
            wanted = await self._database.read(partial(artifacts.wanted, ids=ids))
            stale = [
                name for name in part
                if numbers[name] not in self._open and (name.startswith(".") or numbers[name] not in wanted)
            ]  # fmt: skip
            await asyncio.to_thread(_unlink, [self._folder / name for name in stale])


async def _parts(pack: int, place: artifacts.Place) -> AsyncIterator[bytes]:
    try:
        at, left = place.start, place.size
        while left and (data := await asyncio.to_thread(os.pread, pack, min(_CHUNK, left), at)):
            yield data
            at, left = at + len(data), left - len(data)
    finally:
        os.close(pack)


def _source(start: Start, run_folder: Path, stack: contextlib.ExitStack, *, boxed: bool) -> Source:
    """Return where a run worked. Raises _Unreachable, OSError."""
    spec = start.spec
    declared = (*spec.get("read", ()), *spec.get("write", ()))
    cwd = spec["cwd"] or ""
    home = run_folder / "home"
    if not boxed and not home.is_dir():
        return Source(folder_of(spec, boxed=False), None, plain=False, account=_account(spec["user"]))
    visible = any(cwd == path or cwd.startswith(path.rstrip("/") + "/") for path in declared)
    if not home.is_dir():
        if visible and (spec["user"] is not None or os.geteuid() != 0):
            return Source(cwd, None, plain=True, account=_account(spec["user"]))
        raise _Unreachable("not collected: its folder was in memory and is gone")
    descriptor = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    owner = os.fstat(descriptor)
    account: tuple[int, int, list[int]] | None = (owner.st_uid, owner.st_gid, [])
    if owner.st_uid == os.geteuid():
        account = None
    if visible:
        return Source(cwd, None, plain=True, account=account)
    return Source(None, descriptor, plain=True, account=account)


def _account(user: str | None) -> tuple[int, int, list[int]] | None:
    """Return uid, gid and groups of an account, None for our own. Raises _Unreachable."""
    if user is None:
        return None
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise _Unreachable(f"not collected: there is no account {user}") from None
    if entry.pw_uid == os.geteuid():
        return None
    return entry.pw_uid, entry.pw_gid, os.getgrouplist(user, entry.pw_gid)


def _make(folder: Path, scratch: Path) -> int:
    folder.mkdir(mode=0o700, exist_ok=True)
    scratch.unlink(missing_ok=True)
    return os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _room(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize - ROOM_LEFT


def _checked(pack: int, found: Collection[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what lies in the pack, hashed by us: the collector ran as somebody else."""
    size, files, names = os.fstat(pack).st_size, [], set()
    for one in list(found)[:MOST_FILES]:
        start, length, name = int(one["start"]), int(one["size"]), str(one["name"])[:512].replace("\0", "")
        if min(start, length) < 0 or start + length > size or name in names:
            continue
        names.add(name)
        files.append({"name": name, "start": start, "size": length, "sha256": _hash(pack, start, length)})
    return files


def _hash(pack: int, at: int, left: int) -> str:
    digest = hashlib.sha256()
    while left and (data := os.pread(pack, min(_CHUNK, left), at)):
        digest.update(data)
        at, left = at + len(data), left - len(data)
    return digest.hexdigest()


def _settle(scratch: Path, place: Path | None) -> None:
    """Put a pack in place, or remove it."""
    if place is None:
        scratch.unlink(missing_ok=True)
    else:
        scratch.replace(place)


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
