"""What one can do with a job or a run, wherever one stands on it. Which ones those are, the screen says."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from chronos_tui.format import printable
from chronos_tui.messages import OpenLog
from chronos_tui.screens.frame import Frame
from chronos_tui.screens.telling import Telling, Told
from chronos_tui.widgets.confirm import Confirm, TypedConfirm

if TYPE_CHECKING:
    from scheduler_daemon.contract.executions import ExecutionView
    from scheduler_daemon.contract.jobs import JobView

VERBS = (
    "row.run", "row.cancel", "row.pause", "row.edit", "row.log", "row.why", "row.clone", "row.delete",
    "row.copy", "row.copy_all",
)  # fmt: skip
RUN_VERBS = ("row.log", "row.cancel", "row.run", "row.why", "row.copy", "row.copy_all")
ACTIVE = "queued,starting,running"


class RowVerbs(Frame):
    """A screen with jobs or runs to act on."""

    def jobs_meant(self) -> Sequence[JobView]:
        """Return the jobs a verb for several is about: those that are marked, else the one under the cursor."""
        return ()

    def job_meant(self) -> JobView | None:
        """Return the one job a verb for one is about, whatever is marked."""
        return next(iter(self.jobs_meant()), None)

    @property
    def settled(self) -> bool:
        """Whether the rows are those that were asked for; a verb typed ahead must not meet another row."""
        return True

    def run_meant(self) -> ExecutionView | None:
        """Return the run a verb is about, where runs are shown."""
        return None

    def runs_meant(self) -> Sequence[ExecutionView]:
        """Return the runs a verb for several is about."""
        run = self.run_meant()
        return [run] if run else []

    def action_run_job(self) -> None:
        run = self.run_meant()
        if run is not None:
            self.act(partial(self._run_again, run))
        elif jobs := self._some():
            self.act(partial(self._run_jobs, jobs))

    async def _run_again(self, run: ExecutionView) -> None:
        job = await self.said(self.desk.client.job(run.job_id))
        if job is not None:
            await self._run_jobs([job], like=run)

    async def _run_jobs(self, jobs: Sequence[JobView], like: ExecutionView | None = None) -> None:
        """Run jobs now; one that can be told something is asked about before, several take their defaults."""
        if len(jobs) > 1 and not await self.app.push_screen_wait(Confirm(f"Run {len(jobs)} jobs now?")):
            return
        told = Told({})
        if len(jobs) == 1 and jobs[0].spec.parameters:
            found = await self._ask_what_to_tell(jobs[0], like)
            if found is None:
                return
            told = found
        asked = []
        for job in jobs:
            key = secrets.token_hex(16)
            run = await self.said(self.desk.client.run_job(job.id, key=key, parameters=told.values, like=told.like))
            if run is not None:
                self.desk.board.learn_run(run)
                asked.append(run)
        if len(asked) == 1:
            self.tell(f"{printable(asked[0].job)}: run {asked[0].id} asked for")
        elif asked:
            self.tell(f"{len(asked)} runs asked for")

    async def _ask_what_to_tell(self, job: JobView, like: ExecutionView | None) -> Told | None:
        before = None
        if like is not None:
            before = await self.said(self.desk.client.facts(like.id))
        values = {} if before is None else before.parameters
        hidden = like.id if like is not None and None in values.values() else None
        answer: Told | None = await self.app.push_screen_wait(Telling(job, values, hidden))
        return answer

    def action_pause(self) -> None:
        if jobs := self._some():
            self.act(partial(self._pause, jobs))

    async def _pause(self, jobs: Sequence[JobView]) -> None:
        client = self.desk.client
        pausing = not all(job.paused for job in jobs)
        done = []
        for job in jobs:
            changed = await self.said(client.pause_job(job.id) if pausing else client.resume_job(job.id))
            if changed is not None:
                self.desk.board.learn_job(changed)
                done.append(changed)
        if done:
            words = printable(done[0].name) if len(done) == 1 else f"{len(done)} jobs"
            self.tell(f"{words}: {'paused, what comes due is skipped' if pausing else 'no longer paused'}")

    def action_cancel(self) -> None:
        if runs := self.runs_meant():
            self.act(partial(self._cancel_runs, runs))
        elif jobs := self._some():
            self.act(partial(self._cancel_active, jobs))

    async def _cancel_active(self, jobs: Sequence[JobView]) -> None:
        runs = []
        for job in jobs:
            runs += (await self.desk.client.executions(job=job.id, state=ACTIVE, limit=200)).items
        await self._cancel_runs(runs)

    async def _cancel_runs(self, runs: Sequence[ExecutionView]) -> None:
        runs = [run for run in runs if not run.state.final]
        if not runs:
            self.tell("Nothing is running here")
            return
        what = f"run {runs[0].id} of {printable(runs[0].job)}" if len(runs) == 1 else f"{len(runs)} runs"
        detail = "It and everything it started get TERM, and after the grace KILL."
        if not await self.app.push_screen_wait(Confirm(f"Cancel {what}?", detail)):
            return
        stopping = 0
        for run in runs:
            changed = await self.said(self.desk.client.cancel(run.id))
            if changed is not None:
                self.desk.board.learn_run(changed)
                stopping += 1
        if stopping:
            self.tell(f"{what}: stopping" if stopping == len(runs) else f"{stopping} of {what}: stopping")

    def action_log(self) -> None:
        run = self.run_meant()
        if run is not None:
            self.open_log(run)
        elif jobs := self._some(one=True):
            if jobs[0].last is None and not jobs[0].active:
                self.tell(f"{printable(jobs[0].name)} has not run yet (r runs it now)")
            else:
                self.act(partial(self._open_latest_log, jobs[0]))

    async def _open_latest_log(self, job: JobView) -> None:
        page = await self.desk.client.executions(job=job.id, limit=1)
        if page.items:
            self.desk.board.learn_run(page.items[0])
            self.open_log(page.items[0])

    def open_log(self, run: ExecutionView) -> None:
        """Show what a run wrote, or writes."""
        self.post_message(OpenLog(run.id, run.job))

    def action_edit(self) -> None:
        if jobs := self._some(one=True):
            self._open_form(jobs[0], clone=False)

    def action_clone(self) -> None:
        if jobs := self._some(one=True):
            self._open_form(jobs[0], clone=True)

    def _open_form(self, job: JobView, *, clone: bool) -> None:
        from chronos_tui.screens.form import JobForm

        self.app.push_screen(JobForm.cloning(self.desk, job) if clone else JobForm.editing(self.desk, job))

    def action_delete(self) -> None:
        if jobs := self._some(one=True):
            self.act(partial(self._delete, jobs[0]))

    async def _delete(self, job: JobView) -> None:
        detail = "Its history stays; runs that are active go on."
        if await self.app.push_screen_wait(TypedConfirm(f"Delete {job.name}?", job.name, detail)):
            await self.said(self.desk.client.delete_job(job.id), f"{printable(job.name)} is deleted")

    def action_why(self) -> None:
        from chronos_tui.screens.explain import Explain

        run = self.run_meant()
        if run is not None:
            self.why_of(run)
        elif jobs := self._some(one=True):
            self.app.push_screen(Explain(self.desk, jobs[0].id, jobs[0].name))

    def why_of(self, run: ExecutionView) -> None:
        """Say why a run failed, or else why it ran."""
        from chronos_tui.screens.explain import Explain

        if run.state in {"failed", "unknown"}:
            self.act(partial(self._why_failed, run))
        else:
            self.app.push_screen(Explain(self.desk, run.job_id, run.job, at=run.fire_at))

    async def _why_failed(self, run: ExecutionView) -> None:
        from chronos_tui.screens.explain import Explain
        from chronos_tui.screens.failure import Failure

        wanted = await self.app.push_screen_wait(Failure(self.desk, run))
        if wanted == "schedule":
            self.app.push_screen(Explain(self.desk, run.job_id, run.job, at=run.fire_at))
        elif wanted == "log":
            self.open_log(run)

    def action_copy(self) -> None:
        run = self.run_meant()
        if run is not None:
            self._copy(str(run.id))
        elif jobs := self._some(one=True):
            self._copy(jobs[0].name)

    def action_copy_all(self) -> None:
        run = self.run_meant()
        if run is not None:
            self._copy(run.model_dump_json(indent=2))
        elif jobs := self._some(one=True):
            self._copy(jobs[0].model_dump_json(indent=2))

    def _copy(self, text: str) -> None:
        self.app.copy_to_clipboard(text)
        words = printable(text) if "\n" not in text else f"{len(text.splitlines())} lines"
        self.tell(f"Copied {words}")

    def _some(self, *, one: bool = False) -> Sequence[JobView]:
        """Return the jobs, or the one job, to act on now; where there is none, say why."""
        found = self.job_meant() if one else None
        jobs = ([found] if found else []) if one else self.jobs_meant()
        if not self.settled:
            self.tell("The filter was still at work; nothing was done")
            return ()
        if not jobs or not self.desk.ready:
            self.tell("There is no job under the cursor")
            return ()
        return jobs
