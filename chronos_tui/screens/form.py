"""A job in a form: judged as it is typed, its meaning and next ten fires beside it; what is wrong is never saved."""

from __future__ import annotations

import asyncio
import secrets
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import DescendantFocus
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from chronos_tui import format as fmt
from chronos_tui.client.errors import ServerError, Unreachable
from chronos_tui.messages import OpenJob, sentence
from chronos_tui.screens import jobdraft, jobfacts
from chronos_tui.screens.desk import Desk, beside
from chronos_tui.screens.facts import Fact, Facts
from chronos_tui.screens.jobfields import DEFAULTS, FIELDS, KEPT_APART, Field
from chronos_tui.widgets.choose import Choose
from chronos_tui.widgets.confirm import Confirm

if TYPE_CHECKING:
    from scheduler_daemon.contract.jobs import JobSpec, JobView
    from scheduler_daemon.contract.policies import PolicyView

TYPING_S = 0.2
"""How long the preview waits for the next key."""
WHOLE = "whole"
"""Where stands what is wrong with no one field."""


class JobForm(ModalScreen[None]):
    """Fields at the left; what they mean at the right, or below where there is no room."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 - Textual calls it an instance variable
    DEFAULT_CSS = """
    JobForm { align: center middle; }
    JobForm > Vertical { width: 140; max-width: 100%; height: 90%; background: $surface; border: round $accent; }
    JobForm.-narrow > Vertical { height: 100%; border: none; }
    JobForm #both { height: 1fr; }
    JobForm #fields { width: 3fr; padding: 0 1; }
    JobForm #preview { width: 2fr; padding: 0 1; background: $background; }
    JobForm.-narrow #both { layout: vertical; }
    JobForm.-narrow #fields { height: 3fr; width: 1fr; }
    JobForm.-narrow #preview { height: 2fr; width: 1fr; }
    JobForm #heading { height: 1; padding: 0 1; text-style: bold; color: $accent; }
    JobForm #keys { height: 1; padding: 0 1; color: $text-muted; }
    JobForm .field { height: 1; }
    JobForm .field Static { width: 12; color: $text-muted; }
    JobForm .field Input { width: 1fr; height: 1; border: none; padding: 0 1; background: $panel; }
    JobForm .field Input:focus { border: none; background: $cs-cursor; }
    JobForm .field Input.-invalid { border: none; }
    JobForm .wrong { display: none; height: auto; padding: 0 0 0 13; color: $error; }
    JobForm #whole-wrong { padding: 0 1; }
    JobForm .wrong.-said { display: block; }
    JobForm Facts { background: $background; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave"),
        Binding("f2", "save", "save"),
        Binding("f3", "choose", "choose"),
        Binding("down", "app.focus_next", "next field", show=False),
        Binding("up", "app.focus_previous", "previous field", show=False),
    ]

    def __init__(self, desk: Desk, heading: str, texts: Mapping[str, str], job: JobView | None = None) -> None:
        """Edit `job`, or make a new one."""
        super().__init__()
        self._desk, self._heading, self._job = desk, heading, job
        self._base: JobSpec | None = None
        """What a clone keeps of the fields the form does not show."""
        self._begun = {field.id: "" for field in FIELDS} | dict(texts)
        self._paused = False
        self._touched: set[str] = set()
        self._saving = False
        self._policies: list[PolicyView] = []
        self._means: list[Fact] = []
        """What the schedule means."""
        self._refused: dict[str, str] = {}
        """What the server said when asked to save; stands until something else is typed."""

    @classmethod
    def editing(cls, desk: Desk, job: JobView) -> JobForm:
        """Edit a job."""
        return cls(desk, f"Edit {job.name}", _texts_of(desk, job), job)

    @classmethod
    def cloning(cls, desk: Desk, job: JobView) -> JobForm:
        """Make a copy, paused, under another name."""
        form = cls(desk, f"Copy of {job.name} (paused)", _texts_of(desk, job) | {"name": f"{job.name}-copy"[:80]})
        form._base, form._paused = job.spec, True
        return form

    @classmethod
    def new(cls, desk: Desk) -> JobForm:
        """Make a job."""
        return cls(desk, "New job", DEFAULTS | {"schedule.zone": str(desk.zone)})

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(fmt.printable(self._heading), id="heading", markup=False)
            with Horizontal(id="both"):
                with VerticalScroll(id="fields", can_focus=False):
                    for field in FIELDS:
                        with Horizontal(classes="field"):
                            yield Static(field.label, markup=False)
                            yield Input(
                                self._begun[field.id], placeholder=field.hint, id=_css(field.id), select_on_focus=False
                            )
                        yield Static("", id=f"{_css(field.id)}-wrong", classes="wrong", markup=False)
                with VerticalScroll(id="preview", can_focus=False):
                    yield Facts()
            yield Static("", id="whole-wrong", classes="wrong", markup=False)
            yield Static("Enter saves   Tab next field   F3 choices   Esc leaves", id="keys", markup=False)

    def on_mount(self) -> None:
        self.query_one("#name" if self._job is None else "#schedule-expressions", Input).focus()
        self._judge_soon()
        beside(self, self._learn_policies, group="policies")

    async def _learn_policies(self) -> None:
        try:
            self._policies = (await self._desk.client.policies()).items
        except (ServerError, Unreachable):  # the fields say what else there is to say
            return
        self._show_facts()

    # As one types

    @property
    def texts(self) -> dict[str, str]:
        """What stands in the fields."""
        return {field.id: self.query_one(f"#{_css(field.id)}", Input).value for field in FIELDS}

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._touched.add(str(event.input.id))
        self._refused.clear()
        self._judge_soon()

    def _judge_soon(self) -> None:
        beside(self, self._judge, group="judge")

    async def _judge(self) -> None:
        await asyncio.sleep(TYPING_S)
        problems = self._local_problems(self.texts)
        if wrong := await self._preview():
            problems[wrong[0]] = wrong[1]
        if self._job is None:  # of a new job only what was typed is judged, not what is still to come
            problems = {name: words for name, words in problems.items() if _css(name) in self._touched}
        self._show_problems(problems | self._refused)

    def _local_problems(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Return what the contract itself refuses, by field."""
        from pydantic import ValidationError

        from scheduler_daemon.contract.jobs import JobSpec

        problems: dict[str, str] = {}
        values = jobdraft.values_of(texts, problems)
        if said := self._wrong_policy(texts["policy"].strip()):
            problems["policy"] = said
        try:
            JobSpec.model_validate(values)
        except ValidationError as error:
            for wrong in error.errors():
                name = _field_of(".".join(str(part) for part in wrong["loc"]))
                problems.setdefault(name, wrong["msg"].removeprefix("Value error, "))
        return problems

    def _wrong_policy(self, name: str) -> str:
        if not name:
            return "a job has a policy; name one, or press F3 to choose" if self._job is not None else ""
        known = [each.policy.name for each in self._policies]
        return "" if name in known or not known else f"there is no policy {name!r}; press F3 to choose"

    async def _preview(self) -> tuple[str, str] | None:
        """Show what the schedule means; return the field that is wrong and why, if one is."""
        from pydantic import ValidationError

        from scheduler_daemon.contract.jobs import SchedulePreviewRequest
        from scheduler_daemon.contract.schedule import Schedule

        kept = self._kept_schedule()
        try:
            schedule = Schedule.model_validate(kept | jobdraft.schedule_of(self.texts, {}))
            request = SchedulePreviewRequest(schedule=schedule, job_id=self._job.id if self._job else "")
            found = await self._desk.client.preview(request)
        except ValidationError as error:
            wrong = error.errors()[0]
            return _field_of(".".join(map(str, ("schedule", *wrong["loc"])))), wrong["msg"].removeprefix(
                "Value error, "
            )
        except (ServerError, Unreachable) as error:
            self._means = [Fact("means", "–", "muted")]
            self._show_facts()
            return _blamed(error), sentence(error)
        desk = self._desk
        texts = self.texts
        if after := jobdraft.parted(self.texts["after"]):
            self._means = jobfacts.after_facts(after, texts["trigger_rule"].strip(), texts["not_before"].strip())
        else:
            self._means = jobfacts.preview_facts(found, schedule.zone, desk.now(), desk.zone)
        self._show_facts()
        return None

    @on(DescendantFocus)
    def _show_facts(self) -> None:
        """Show what the schedule and the policy mean, first what one is writing of."""
        policy = jobfacts.policy_facts(self.texts["policy"].strip(), self._policies)
        first = self.focused is not None and self.focused.id in KEPT_APART
        self.query_one(Facts).show([*policy, *self._means] if first else [*self._means, *policy])

    # Choosing

    def action_choose(self) -> None:
        beside(self, self._choose, group="choose")

    async def _choose(self) -> None:
        line = self.focused
        field = next((each for each in FIELDS if line is not None and _css(each.id) == line.id), None)
        if field is None or not isinstance(line, Input):
            return
        choices = self._choices_of(field)
        if not choices:
            self.app.notify(f"{field.label} is written freely: {field.hint}", timeout=4, markup=False)
            return
        chosen = await self.app.push_screen_wait(Choose(field.label, choices, line.value.strip()))
        if chosen is not None:
            line.value = chosen

    def _choices_of(self, field: Field) -> Sequence[tuple[str, str]]:
        if field.id != "policy":
            return field.choices
        default = [("", "the server's default")] if self._job is None else []
        return default + [
            (
                each.policy.name,
                "cannot be given here: its runs are blocked" if each.missing else each.policy.description,
            )
            for each in self._policies
        ]

    def _kept_schedule(self) -> dict[str, Any]:
        spec = self._job.spec if self._job else self._base
        return spec.schedule.model_dump(mode="json") if spec else {}

    def _show_problems(self, problems: Mapping[str, str]) -> None:
        for name in (*(field.id for field in FIELDS), WHOLE):
            line = self.query_one(f"#{_css(name)}-wrong", Static)
            words = fmt.printable(problems.get(name, ""))
            line.update(words)
            line.set_class(bool(words), "-said")

    # Saving

    @on(Input.Submitted)
    def action_save(self) -> None:
        if not self._saving:
            self._saving = True
            beside(self, self._save, group="save")

    async def _save(self) -> None:
        try:
            problems = self._local_problems(self.texts)
            wrong = None if problems else await self._preview()
            if wrong:
                problems[wrong[0]] = wrong[1]
            if problems:
                self._say_problems(problems)
                return
            saved = await self._send()
        except (ServerError, Unreachable) as error:
            self._say_refusal(error)
            return
        finally:
            self._saving = False
        self._desk.board.learn_job(saved)
        self.app.notify(f"{fmt.printable(saved.name)} is saved, version {saved.version}", timeout=3, markup=False)
        self._close()
        if self._job is None:
            self.app.post_message(OpenJob(saved.id))

    async def _send(self) -> JobView:
        from scheduler_daemon.contract.jobs import JobCreate, JobPatch, JobSpec

        values = jobdraft.values_of(self.texts, {})
        ids = {job.name: job.id for job in self._desk.board.jobs.values()}
        values["after"] = [ids.get(name, name) for name in values["after"]]  # as the spec keeps them
        for condition in values["conditions"]:
            if "job" in condition:
                condition["job"] = ids.get(condition["job"], condition["job"])
        if self._job is not None:
            patch = JobPatch(version=self._job.version, changes=jobdraft.changes(self._job.spec, values))
            return await self._desk.client.patch_job(self._job.id, patch) if patch.changes else self._job
        if self._base is not None:
            values = jobdraft.over(self._base.model_dump(mode="json"), values)
        request = JobCreate(spec=JobSpec.model_validate(values), paused=self._paused)
        return await self._desk.client.create_job(request, key=secrets.token_hex(16))

    def _say_refusal(self, error: ServerError | Unreachable) -> None:
        """Put what the server said beside the field it is about."""
        problems = {}
        if isinstance(error, ServerError):
            for wrong in error.problem.get("errors") or ():
                problems[_field_of(str(wrong.get("field", "")))] = str(wrong.get("message", ""))
        self._refused = problems or {_blamed(error): sentence(error)}
        self._say_problems(self._refused)

    def _say_problems(self, problems: Mapping[str, str]) -> None:
        self._show_problems(problems)
        first = next((field.id for field in FIELDS if field.id in problems), None)
        if first is not None:
            self.query_one(f"#{_css(first)}", Input).focus()

    def action_leave(self) -> None:
        beside(self, self._leave, group="leave")

    @property
    def unsaved(self) -> bool:
        """Whether something was typed that would be lost."""
        return self.is_mounted and self.texts != self._begun

    async def _leave(self) -> None:
        if not self.unsaved or await self.app.push_screen_wait(Confirm("Leave without saving?")):
            self._close()

    def _close(self) -> None:
        self.workers.cancel_group(self, "judge")  # or it would write to fields that are gone
        self.dismiss()


def _texts_of(desk: Desk, job: JobView) -> dict[str, str]:
    """Return what stands in the fields for a job; the jobs it runs after by name, where they are known."""
    known = desk.board.jobs
    after = " | ".join(known[each].name if each in known else each for each in job.spec.after)
    kept = (each.model_dump(mode="json") for each in job.spec.conditions)
    conditions = shlex.join(fmt.conditions(kept, lambda each: known[each].name if each in known else each))
    return jobdraft.texts_of(job.spec) | {"after": after, "conditions": conditions}


def _css(name: str) -> str:
    return name.replace(".", "-")


def _field_of(path: str) -> str:
    """Return the form's field for a path such as `spec.schedule.expressions.0`, WHOLE if it has none."""
    path = path.removeprefix("spec.").removeprefix("changes.")
    known = [field.id for field in FIELDS]
    named = next((name for name in known if path == name or path.startswith(f"{name}.")), None)
    return named or ("schedule.expressions" if path.startswith("schedule") else WHOLE)


def _blamed(error: Exception) -> str:
    if not isinstance(error, ServerError):
        return WHOLE
    fields = [str(wrong.get("field", "")) for wrong in error.problem.get("errors") or ()]
    if fields:
        return _field_of(fields[0])
    return "schedule.expressions" if error.kind == "bad_schedule" else WHOLE
