"""The terminal app's client: asynchronous, on httpx, giving the contract's models. Import it after the first frame.

Every method raises ServerError when the server refuses and Unreachable when nobody answers. Nothing is repeated here:
what to do after a lost connection is for the caller.
"""

import os
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from chronos_tui.client import calls
from chronos_tui.client.calls import Call, Ref
from chronos_tui.client.errors import Unreachable, refusal
from chronos_tui.settings import Address
from scheduler_daemon.contract.claude import ClaudeCall, FailureExplanation, FleetTold
from scheduler_daemon.contract.dependencies import JobGraph
from scheduler_daemon.contract.executions import ExecutionView, LogPage, RunFacts
from scheduler_daemon.contract.explain import Explanation
from scheduler_daemon.contract.imports import ImportReport
from scheduler_daemon.contract.insights import Insight
from scheduler_daemon.contract.job_lines import KpiSummary
from scheduler_daemon.contract.jobs import (
    JobCreate,
    JobPatch,
    JobVersion,
    JobView,
    SchedulePreview,
    SchedulePreviewRequest,
)
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.policies import PolicyView
from scheduler_daemon.contract.system import EventRecord, Health, LogChannel, Series, Session, Status

Model = TypeVar("Model", bound=BaseModel)

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0


class LiveClient:
    """Speaks to the server at `address`; keeps its connections until `aclose`."""

    def __init__(self, address: Address, token: str = "") -> None:
        self.address = address
        base = "http://localhost" if address.path else str(address)
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=address.path or None),
            base_url=base,
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            headers={"Authorization": f"Bearer {token}"} if token else None,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def raw(self, call: Call) -> bytes:
        """Send any call and return the answer's body as it came."""
        try:
            answer = await self._http.request(
                call.method, call.target, content=call.body, headers=dict(call.headers) or None
            )
        except (httpx.TransportError, OSError) as error:
            raise Unreachable(self.address, _why(error)) from error
        if answer.status_code >= 400:
            raise refusal(answer.status_code, answer.content)
        return answer.content

    async def _one(self, call: Call, model: type[Model]) -> Model:
        body = await self.raw(call)
        try:
            return model.model_validate_json(body)
        except ValidationError as error:
            raise self._strange(model.__name__, error) from error

    async def _page(self, call: Call, item: type[Model]) -> Page[Model]:
        body = await self.raw(call)
        try:
            return _page_of(item).validate_json(body)
        except ValidationError as error:
            raise self._strange(f"page of {item.__name__}", error) from error

    def _strange(self, wanted: str, error: ValidationError) -> Unreachable:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return Unreachable(
            self.address, f"the answer is no {wanted} ({where}: {first['msg']}); is the server of another version?"
        )

    # The server itself
    async def health(self) -> Health:
        return await self._one(calls.health(), Health)

    async def status(self) -> Status:
        return await self._one(calls.status(), Status)

    async def whoami(self) -> Actor:
        return await self._one(calls.whoami(), Actor)

    async def events(
        self, *, since: str | None = None, after: int | None = None, limit: int | None = None
    ) -> Page[EventRecord]:
        """Return events oldest first; `next` is the last id, to ask on from."""
        return await self._page(calls.events(since=since, after=after, limit=limit), EventRecord)

    async def open_session(self) -> Session:
        return await self._one(calls.open_session(), Session)

    async def close_session(self, session: str) -> None:
        await self.raw(calls.close_session(session))

    async def shutdown(self, *, stop_jobs: bool = False) -> None:
        await self.raw(calls.shutdown(stop_jobs=stop_jobs))

    # Time
    async def preview(self, request: SchedulePreviewRequest) -> SchedulePreview:
        return await self._one(calls.preview(_body(request)), SchedulePreview)

    async def fires(self, job: Ref, *, count: int = 10, after: str | None = None) -> SchedulePreview:
        return await self._one(calls.job_fires(job, count=count, after=after), SchedulePreview)

    async def explain(self, job: Ref, *, at: str | None = None) -> Explanation:
        return await self._one(calls.explain(job, at=at), Explanation)

    # Jobs
    async def jobs(
        self,
        *,
        q: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[JobView]:
        return await self._page(calls.jobs(q=q, sort=sort, limit=limit, cursor=cursor), JobView)

    async def job(self, job: Ref) -> JobView:
        return await self._one(calls.job(job), JobView)

    async def create_job(self, request: JobCreate, *, key: str | None = None) -> JobView:
        """Create a job. Sent twice with the same `key`, it is created once."""
        return await self._one(calls.create_job(_body(request), key=key), JobView)

    async def patch_job(self, job: Ref, patch: JobPatch) -> JobView:
        """Save changes over `patch.version`; another version in between is a ServerError of kind `conflict`."""
        return await self._one(calls.patch_job(job, _body(patch)), JobView)

    async def delete_job(self, job: Ref) -> None:
        await self.raw(calls.delete_job(job))

    async def pause_job(self, job: Ref) -> JobView:
        return await self._one(calls.pause_job(job), JobView)

    async def resume_job(self, job: Ref) -> JobView:
        return await self._one(calls.resume_job(job), JobView)

    async def run_job(
        self,
        job: Ref,
        *,
        reason: str = "",
        key: str | None = None,
        parameters: Mapping[str, str] | None = None,
        like: int | None = None,
    ) -> ExecutionView:
        """Ask for a run now. Sent twice with the same `key`, it runs once.

        It is told `parameters`, and for the rest what the run `like` was told.
        """
        return await self._one(
            calls.run_job(job, reason=reason, key=key, parameters=parameters, like=like), ExecutionView
        )

    async def job_versions(self, job: Ref) -> Page[JobVersion]:
        return await self._page(calls.job_versions(job), JobVersion)

    async def job_kpis(self, job: Ref) -> Page[KpiSummary]:
        return await self._page(calls.job_kpis(job), KpiSummary)

    async def policies(self) -> Page[PolicyView]:
        return await self._page(calls.policies(), PolicyView)

    async def job_graph(self, job: Ref) -> JobGraph:
        return await self._one(calls.job_graph(job), JobGraph)

    async def series(self, job: Ref, metric: str, *, since_s: int = 86_400, buckets: int = 60) -> Series:
        return await self._one(calls.series(job, metric, since_s=since_s, buckets=buckets), Series)

    # Runs
    async def ask_fleet(self, question: str) -> FleetTold:
        """Have a question about the jobs answered."""
        return await self._one(calls.ask_fleet(question), FleetTold)

    async def explain_failure(self, run: int) -> FailureExplanation:
        return await self._one(calls.explain_failure(run), FailureExplanation)

    async def claude_call(self, call: int) -> ClaudeCall:
        return await self._one(calls.claude_call(call), ClaudeCall)

    async def facts(self, run: Ref) -> RunFacts:
        return await self._one(calls.facts(run), RunFacts)

    async def usage(self, run: Ref, metric: str, *, buckets: int = 60) -> Series:
        return await self._one(calls.usage(run, metric, buckets=buckets), Series)

    async def executions(
        self,
        *,
        job: Ref | None = None,
        state: str | None = None,
        since: str | None = None,
        q: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[ExecutionView]:
        call = calls.executions(job=job, state=state, since=since, q=q, limit=limit, cursor=cursor)
        return await self._page(call, ExecutionView)

    async def execution(self, run: Ref) -> ExecutionView:
        return await self._one(calls.execution(run), ExecutionView)

    async def cancel(self, run: Ref, *, reason: str = "") -> ExecutionView:
        return await self._one(calls.cancel(run, reason=reason), ExecutionView)

    async def log(
        self,
        run: Ref,
        *,
        after: int | None = None,
        limit: int | None = None,
        stream: str | None = None,
        search: str | None = None,
        tail: int | None = None,
        since: str | None = None,
    ) -> LogPage:
        call = calls.log(run, after=after, limit=limit, stream=stream, search=search, tail=tail, since=since)
        return await self._one(call, LogPage)

    async def raw_log(self, run: Ref, stream: str) -> bytes:
        return await self.raw(calls.raw_log(run, stream))

    async def follow_log(self, run: Ref, session: str) -> LogChannel:
        """Let `session` hear the run's log channel; read history up to `last` through `log`."""
        return await self._one(calls.follow_log(run, session), LogChannel)

    # Insights
    async def insights(
        self,
        *,
        state: Iterable[str] = (),
        job: Ref | None = None,
        kind: str | None = None,
        severity: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Insight]:
        call = calls.insights(state=state, job=job, kind=kind, severity=severity, limit=limit, cursor=cursor)
        return await self._page(call, Insight)

    async def decide_insight(
        self,
        insight: str,
        verb: str,
        *,
        reason: str | None = None,
        for_s: int | None = None,
        expected: bool | None = None,
    ) -> Insight:
        """`verb` is accept, dismiss, apply or undo, which may have a reason, or snooze, which has a length.

        With a dismissal `expected` says that what was odd is usual from now on.
        """
        said = {"reason": reason, "for_s": for_s, "expected": expected}
        request = {key: value for key, value in said.items() if value is not None}
        return await self._one(calls.decide_insight(insight, verb, request), Insight)

    # Moving in and out
    async def import_crontab(
        self, content: bytes, *, source: str, system: bool = False, dry_run: bool = False, zone: str | None = None
    ) -> ImportReport:
        call = calls.import_crontab(content, source=source, system=system, dry_run=dry_run, zone=zone)
        return await self._one(call, ImportReport)


_pages: dict[type[BaseModel], TypeAdapter[Any]] = {}


def _page_of(item: type[Model]) -> TypeAdapter[Page[Model]]:
    """Return what reads a page of `item`, built once."""
    if item not in _pages:
        _pages[item] = TypeAdapter(Page[item])  # type: ignore[valid-type]  # a type made at run time
    return _pages[item]


def _body(request: BaseModel) -> Mapping[str, Any]:
    return request.model_dump(mode="json", exclude_unset=True)


def _why(error: Exception) -> str:
    cause: BaseException = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    if isinstance(cause, FileNotFoundError):
        return "there is no such socket"
    if isinstance(error, httpx.TimeoutException):
        return "it does not answer in time"
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno).lower()  # asyncio writes addresses into its own
    return str(error) or type(error).__name__
