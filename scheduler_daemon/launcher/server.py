"""The launcher's loop: clients ask, spawners start, jobs end. One thread, no waiting on anybody.

Decided here: which spawner takes which job, who hears of it, when a timeout strikes, and what becomes of a dead
spawner's jobs. How jobs are started (spawner), found (sweep), killed (jobs) and taken over (adoption) is elsewhere.
"""

from __future__ import annotations

import heapq
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from scheduler_daemon.launcher import boxes, cgroups, controllers, ends, kernel, spool
from scheduler_daemon.launcher.adoption import Adoption, lived, with_times
from scheduler_daemon.launcher.clients import Client, Clients
from scheduler_daemon.launcher.controllers import Groups
from scheduler_daemon.launcher.cputime import CpuTimes
from scheduler_daemon.launcher.held import Held
from scheduler_daemon.launcher.jobs import CPU_TIME, Job, Killing, Phase, State, press
from scheduler_daemon.launcher.outcome import outcome
from scheduler_daemon.launcher.pool import Helper, Pool
from scheduler_daemon.launcher.probe import Prober
from scheduler_daemon.launcher.protocol import BadMessage, Message, check_start, decode, encode, grace_of, request_id
from scheduler_daemon.launcher.sweep import Census

_LOOK_HOME = 2.0
"""Seconds between looks whether our state directory is still there."""
_SAVE_AGAIN = 1.0
"""Seconds between attempts to write an end that the disk refused."""


class Server:
    """One launcher. `prepare` forks the spawners and takes over earlier jobs; `run` serves until told to shut down."""

    def __init__(
        self,
        listener: socket.socket,
        spool_path: str,
        name: str,
        group: str | None,
        limiters: Groups,
        spawners: int,
        has_home: Callable[[], bool],
    ) -> None:
        """`name` is that of the group of all runs, `group` its path if it is to be used.

        `has_home` tells whether the state directory is still ours.
        """
        self._has_home = has_home
        self._look_home_at = 0.0
        self._spool = spool_path
        self._selector = selectors.DefaultSelector()
        self._clients = Clients(listener, self._selector, self._hear_client)
        self._pool = Pool(spool_path, group, limiters, spawners, self._selector, self._hear_spawner)
        self._adoption = Adoption(spool_path, cgroups.parent_of(name), limiters, self._selector)
        self._cpu_times = CpuTimes()
        self._prober = Prober(spool_path, group, limiters, self._selector)
        self._census = Census()
        self._jobs: dict[int, Job] = {}
        self._mains: dict[int, Job] = {}
        self._held = Held()
        self._queue: deque[Job] = deque()
        self._timeouts: list[tuple[float, int]] = []
        self._killings: dict[int, Job] = {}
        self._unsaved: dict[int, Job] = {}
        self._save_at = 0.0
        self._emptying = cgroups.Emptying()
        self._stopping = False
        self._ended_children = True

    def prepare(self) -> None:
        """Fork the spawners, find the jobs of an earlier launcher, and hear of ended children from now on."""
        self._pool.fill(time.monotonic())
        wake = kernel.hear_of_ended_children()
        self._selector.register(wake, selectors.EVENT_READ, lambda _mask: self._note_ended_children(wake))
        for run in spool.runs(self._spool):
            if spool.was_begun(spool.folder(self._spool, run)) or spool.load(
                spool.folder(self._spool, run), spool.EXIT
            ):
                self._adopt(self._job(run))

    def run(self) -> None:
        """Serve until an idle launcher is asked to shut down, or finds its state directory gone and itself alone."""
        while not self._stopping:
            for key, mask in self._selector.select(self._until_next()):
                key.data(mask)
            if self._ended_children:
                self._ended_children = False
                self._reap()
            self._keep_time(time.monotonic())
            self._queue.extend(map(Job.released, self._held.due()))
            self._dispatch()
            self._pool.flush()
            self._clients.flush()
        self._pool.close()

    def _note_ended_children(self, wake: int) -> None:
        os.read(wake, 65536)
        self._ended_children = True

    # Clients

    def _hear_client(self, client: Client, line: bytes) -> None:
        message: Message = {}
        try:
            message = decode(line)
            self._obey(client, message, line)
        except BadMessage as error:
            told = {"event": "refused", "op": message.get("op"), "id": message.get("id"), "reason": str(error)}
            client.say(encode(told))

    def _obey(self, client: Client, message: Message, line: bytes) -> None:
        match message.get("op"):
            case "start":
                self._accept(client, message, line)
            case "cancel":
                self._cancel(client, message)
            case "subscribe" | "list" as verb:
                client.subscribed = client.subscribed or verb == "subscribe"
                client.say(b"".join(encode(job.view()) for job in self._jobs.values()))
                client.say(encode({"event": "listed", "seq": message.get("seq")}))
            case "forget":
                self._forget(request_id(message))
            case "ping":
                told = {"seq": message.get("seq"), "pid": os.getpid(), "running": self._open(), "boxes": True}
                client.say(encode({"event": "pong", **told}))
            case "probe":
                self._prober.ask(client, again=message.get("again") is True)
            case "shutdown":
                self._stopping = self._open() == 0
                client.say(encode({"event": "bye" if self._stopping else "busy", "running": self._open()}))
            case other:
                raise BadMessage(f"op: {other!r} is not known")

    def _open(self) -> int:
        return sum(1 for job in self._jobs.values() if job.state is not State.ENDED)

    def _job(self, run: int) -> Job:
        return self._jobs.setdefault(run, Job(run))

    def _accept(self, client: Client, message: Message, line: bytes) -> None:
        run = request_id(message)
        known = self._jobs.get(run)
        if known is not None:
            self._hear_again(known, message, line)
            client.say(encode(known.view()))
            return
        check_start(message)
        job = self._job(run)
        job.request = line
        not_before = message.get("not_before_ns")
        if not_before is not None and not_before > time.time_ns():
            self._held.add(job, not_before)
        else:
            self._queue.append(job)

    def _hear_again(self, job: Job, message: Message, line: bytes) -> None:
        """Learn from a repeated request what is not known any more of a run whose spawner left no record of it."""
        if job.start is None and job.record is None and not job.request:
            check_start(message)
            job.request = line
        elif job.state is State.RUNNING and job.start is not None and job.start.get("by_mark"):
            check_start(message)
            job.start = with_times(job.start, message)
            self._watch_times(job, job.start)

    def _cancel(self, client: Client, message: Message) -> None:
        job = self._jobs.get(request_id(message))
        grace = grace_of(message)
        if job is None:
            raise BadMessage("no such run")
        if job.state is State.ENDED:
            client.say(encode(job.view()))
        elif job.state in {State.HELD, State.QUEUED}:
            if job.state is State.QUEUED:
                self._queue.remove(job)
            self._finish(job, ends.cancelled_in_queue(job.run, str(message.get("reason"))), save=True)
        else:
            self._kill(job, "cancel", str(message.get("reason")), grace)

    def _forget(self, run: int) -> None:
        job = self._jobs.get(run)
        if job is not None and job.state is not State.ENDED:
            return
        self._jobs.pop(run, None)
        self._unsaved.pop(run, None)
        helper = self._pool.any_one()
        if helper is not None:
            helper.say(encode({"op": "forget", "id": run})[:-1])

    # Spawners

    def _dispatch(self) -> None:
        while self._queue and (helper := self._pool.least_busy()) is not None:
            job = self._queue.popleft()
            job.state, job.spawner = State.SENT, helper.pid
            helper.unanswered[job.run] = None
            helper.say(job.request)

    def _hear_spawner(self, helper: Helper, line: bytes) -> None:
        message = decode(line)
        run, event = message["id"], message.pop("event")
        job = self._jobs.get(run)
        if event in {"started", "ended", "begun"}:
            helper.unanswered.pop(run, None)
        if job is None or job.state is State.ENDED:
            return
        if event == "started":
            self._begin(job, message, line)
        elif event == "held" and job.killing is not None:
            job.killing.begin(time.monotonic())
        elif event == "main_ended":
            self._main_is_over(job, message["record"], saved=False)
        elif event == "ended":
            self._main_is_over(job, message, saved=message.pop("unsaved", None) is None)
        elif event == "begun":
            self._adopt(job)

    def _begin(self, job: Job, start: Message, line: bytes | None = None) -> None:
        if start.get("by_mark") and job.request:
            start = with_times(start, decode(job.request))
        job.began(start)
        self._mains[start["pid"]] = job
        self._clients.broadcast(encode(job.view()) if line is None else line + b"\n")
        self._watch_times(job, start)
        if job.killing is not None:
            self._hold(job)

    def _watch_times(self, job: Job, start: Message) -> None:
        if start["timeout_ms"] is not None:
            left = start["timeout_ms"] / 1000 - lived(start)
            heapq.heappush(self._timeouts, (time.monotonic() + left, job.run))
        self._cpu_times.watch(job)

    def _bury_spawner(self, helper: Helper) -> None:
        """Take over from a dead spawner: its children are ours now, and what it had not begun is given to others."""
        self._pool.drain(helper)
        self._pool.bury(helper)
        again: list[Job] = []
        for run in helper.unanswered:
            job = self._jobs[run]
            if spool.was_begun(spool.folder(self._spool, run)):
                self._adopt(job)
            elif job.killing is not None:
                self._finish(job, ends.cancelled_in_queue(run, job.killing.reason), save=True)
            else:
                job.state = State.QUEUED
                again.append(job)
        self._queue.extendleft(reversed(again))
        for job in [one for one in self._mains.values() if one.spawner == helper.pid]:
            self._take_over(job)
        for job in self._jobs.values():
            if job.state is State.ENDED and job.spawner == helper.pid:
                self._emptying.add(*_groups_of(job))

    def _take_over(self, job: Job) -> None:
        record = spool.load(spool.folder(self._spool, job.run), spool.EXIT)
        if record is not None:
            self._main_is_over(job, record, saved=True)
        elif job.killing is None or job.killing.main_end is None:
            assert job.target is not None
            one = kernel.process(job.target.pid)
            if one is None or one.ticks != job.target.ticks:
                end = ends.noted(self._spool, job.run, job.start or {}) or ends.unseen(
                    job.run, job.start, "the spawner died before it could tell the end"
                )
                self._main_is_over(job, end, saved=False)
        if job.killing is not None and job.killing.phase is Phase.HOLD:
            job.killing.begin(time.monotonic())

    def _reap(self) -> None:
        while (ending := kernel.peek_ended_child()) is not None:
            if ending.pid in self._pool.helpers:
                self._bury_spawner(self._pool.helpers[ending.pid])
            elif ending.pid not in self._mains:
                for helper in list(self._pool.helpers.values()):
                    self._pool.drain(helper)
            job = self._mains.get(ending.pid)
            if job is not None and job.start is not None:
                self._main_is_over(job, self._end_of(job, job.start, ending), saved=False)
            kernel.reap(ending.pid)

    def _end_of(self, job: Job, start: Message, ending: kernel.Ending) -> Message:
        """Return how an orphan of a dead spawner ended, as the spawner wrote it if it still could."""
        written = spool.load(spool.folder(self._spool, job.run), spool.EXIT)
        if written is not None:
            return written
        record = ends.measured(job.run, start["started_ns"], start.get("inherited_rss"), ending)
        record = self._confined(job, start, record)
        record["leftover"] = ends.leftover(start["group"], ending.pid)
        if start["group"] is not None:
            cgroups.remove(start["group"])
        return record

    def _confined(self, job: Job, start: Message, record: Message) -> Message:
        """Close the box of a run that is over, if it has one, and return its end with what that and its groups tell."""
        groups = start.get("groups")
        if groups is None:
            return record
        path, code = spool.folder(self._spool, job.run), None
        if start.get("boxed"):
            box = boxes.told(path)
            boxes.close_wholly(box, start["mark"], start["group"])
            code = box.exit_code
        found = outcome(path, record, start, code, held=job.killing is not None)
        controllers.remove(groups)
        return found

    # Earlier launchers' jobs

    def _adopt(self, job: Job) -> None:
        self._follow(job, self._adoption.take(job, self._ours()))

    def _follow(self, job: Job, news: Message | None) -> None:
        """Go on with what adoption found: the end of a run, its start, or nothing yet."""
        if news is None:
            job.state = State.SENT
        elif "pid" in news:
            self._begin(job, news)
        else:
            self._main_is_over(job, news, saved=not news.get("unknown"))

    # Ends

    def _kill(self, job: Job, by: str, reason: str, grace: float) -> None:
        if job.killing is not None:
            if job.killing.phase is Phase.TERM:
                job.killing.deadline = min(job.killing.deadline, time.monotonic() + grace)
                job.killing.look_at = time.monotonic()
            return
        job.killing = Killing(by, reason, grace)
        if job.state is State.RUNNING:
            self._hold(job)

    def _hold(self, job: Job) -> None:
        assert job.killing is not None
        self._killings[job.run] = job
        helper = self._pool.helpers.get(job.spawner)
        if helper is None:
            job.killing.begin(time.monotonic())
        else:
            job.held = True
            helper.say(encode({"op": "hold", "id": job.run})[:-1])

    def _main_is_over(self, job: Job, record: Message, *, saved: bool) -> None:
        """The main process ended. What is left of a job being killed must go before the end is told."""
        killing = job.killing
        if job.state is State.ENDED:
            return
        if killing is None or job.target is None:
            self._finish(job, record, save=not saved)
            return
        killing.main_end = record
        if killing.phase is Phase.HOLD:
            killing.natural = True
            if not record.get("leftover"):
                job.target.group = None  # empty, and given to another job by now
            killing.begin(time.monotonic())
            self._killings[job.run] = job

    def _finish(self, job: Job, record: Message, *, save: bool) -> None:
        if job.target is not None:
            if self._mains.get(job.target.pid) is job:  # the pid may have a new owner by now
                del self._mains[job.target.pid]
            if job.killing is not None and job.target.group is not None:
                cgroups.remove(job.target.group)
        if save or job.held or job.spawner not in self._pool.helpers:  # else the spawner that wrote it removes them
            self._emptying.add(*_groups_of(job))
        self._killings.pop(job.run, None)
        job.state, job.record, job.target, job.request = State.ENDED, record, None, b""
        if save:
            self._save(job)
        helper = self._pool.helpers.get(job.spawner)
        if job.held and helper is not None:
            helper.say(encode({"op": "drop", "id": job.run})[:-1])
        self._clients.broadcast(encode(job.view()))

    def _save(self, job: Job) -> None:
        assert job.record is not None
        path = spool.folder(self._spool, job.run)
        try:
            Path(path).mkdir(mode=0o700, exist_ok=True)
            spool.save(path, spool.EXIT, job.record)
        except OSError:
            self._unsaved[job.run] = job
        else:
            self._unsaved.pop(job.run, None)

    # Time

    def _until_next(self) -> float | None:
        times = [
            job.killing.look_at
            for job in self._killings.values()
            if job.killing and job.killing.phase is not Phase.HOLD
        ]
        if self._timeouts:
            times.append(self._timeouts[0][0])
        if self._unsaved:
            times.append(self._save_at)
        times.append(self._look_home_at)
        times.extend(self._adoption.next_look())
        times.extend(self._pool.next_fill())
        times.extend(self._cpu_times.next_look())
        times.extend(self._emptying.next_look())
        if self._ended_children:
            return 0
        now = time.monotonic()
        waits = [moment - now for moment in times]
        waits.extend(self._held.waits())
        return max(0.0, min(waits)) if waits else None

    def _keep_time(self, now: float) -> None:
        if now >= self._look_home_at:
            self._look_home_at = now + _LOOK_HOME
            self._stopping = self._stopping or (not len(self._clients) and self._open() == 0 and not self._has_home())
        self._pool.fill(now)
        while self._timeouts and self._timeouts[0][0] <= now:
            job = self._jobs.get(heapq.heappop(self._timeouts)[1])
            if job is not None and job.state is State.RUNNING and job.start is not None:
                self._kill(
                    job, "timeout", f"timed out after {job.start['timeout_ms']} ms", job.start["grace_ms"] / 1000
                )
        for job in self._cpu_times.spent(now):
            assert job.start is not None
            self._kill(job, CPU_TIME, f"used its {job.start['cpu_limit_ms']} ms of CPU", job.start["grace_ms"] / 1000)
        for run, news in self._adoption.look(now, self._ours()):
            self._follow(self._jobs[run], news)
        self._press_all(now)
        self._emptying.look(now)
        if self._unsaved and self._save_at <= now:
            self._save_at = now + _SAVE_AGAIN
            for job in list(self._unsaved.values()):
                self._save(job)

    def _press_all(self, now: float) -> None:
        due = [
            job
            for job in self._killings.values()
            if job.killing and job.killing.phase is not Phase.HOLD and job.killing.look_at <= now
        ]
        if not due:
            return
        ours = self._ours()
        self._census.take(ours)
        for job in due:
            if press(job, self._census, ours, now):
                self._complete(job, now)

    def _complete(self, job: Job, now: float) -> None:
        killing = job.killing
        assert killing is not None
        if killing.main_end is None and killing.survivors == 0:
            killing.look_at = now + 0.001  # all dead; who reaps the main process tells us in a moment
            return
        end = killing.main_end or ends.unseen(job.run, job.start, "could not be killed")
        self._finish(job, {**end, **killing.verdict()}, save=True)

    def _ours(self) -> frozenset[int]:
        return frozenset({os.getpid(), *self._pool.helpers})


def _groups_of(job: Job) -> list[str]:
    """Return the groups that limit a run."""
    return list(((job.start or {}).get("groups") or {}).values())
