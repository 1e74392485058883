"""What a run can be told: typed values that a job declares, and how each is read and written.

A value reaches the command as a variable of its environment, never as a part of a shell's text.
"""

import re
from collections.abc import Callable
from datetime import date
from enum import StrEnum
from functools import lru_cache
from math import isfinite
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, TypeAdapter, ValidationError, model_validator
from pydantic_core import SchemaError

from scheduler_daemon.contract.texts import plain, speakable

MOST_PARAMETERS = 32
MAX_VALUE_BYTES = 65_536
MAX_MATCHED = 4096
"""Characters of a value that is held against a pattern."""
MIN_SECRET_BYTES = 4
"""What is shorter cannot be covered in output."""
PREFIX = "CHRONOS_PARAM_"

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?\Z", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", re.ASCII)
_BOOLEANS = {"true": "true", "yes": "true", "false": "false", "no": "false"}

Value = bool | int | float | str
"""As somebody gives it; what the command gets is text."""
ParameterName = Annotated[str, Field(max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]


class ParameterType(StrEnum):
    """What a value is, and so how it is written."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    """`true` or `false`; `yes` and `no` are taken too."""
    CHOICE = "choice"
    """One of those listed."""
    DATE = "date"
    """Such as 2026-05-01."""
    PATH = "path"
    """Absolute, and nowhere back by `..`."""


class Parameter(BaseModel, frozen=True, extra="forbid"):
    """A value that a run takes. The command finds it in the variable CHRONOS_PARAM_ and its name in capitals."""

    name: ParameterName
    type: ParameterType = ParameterType.STRING
    description: Annotated[str, Field(max_length=400), AfterValidator(plain)] = ""
    required: bool = False
    """Whoever asks for a run must give it. A run that nobody asks for takes the default."""
    default: Value | None = None
    """None leaves the variable out where nobody gives a value."""
    secret: bool = False
    """Its values are sealed at rest, shown to nobody and covered in output."""
    minimum: int | float | date | None = None
    """Of a number or date; of a text its fewest characters."""
    maximum: int | float | date | None = None
    pattern: Annotated[str, Field(max_length=200)] | None = None
    """A regular expression that a whole text must match, without look-around and back references."""
    choices: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=100)] = ()

    @property
    def variable(self) -> str:
        """How the command finds it."""
        return PREFIX + self.name.upper()

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if bool(self.choices) != (self.type is ParameterType.CHOICE):
            raise ValueError(f"{self.name}: `choices` lists the values of type choice; give both or neither")
        if len(set(self.choices)) != len(self.choices):
            raise ValueError(f"{self.name}: a choice is listed twice; take one of them out")
        if self.pattern is not None:
            if self.type not in _TEXTS:
                raise ValueError(f"{self.name}: a pattern is for a string or path; take it out")
            _matcher(self.pattern)
        if self.secret and self.default is not None:
            raise ValueError(
                f"{self.name}: a default is shown with the job, so a secret has none; "
                "take it out, or give the job a secret by `secrets`"
            )
        self._require_bounds()
        if self.default is not None:
            try:
                self.text_of(self.default)
            except ValueError as error:
                raise ValueError(f"{self.name}: its default {error}") from None
        return self

    def _require_bounds(self) -> None:
        bounds = [bound for bound in (self.minimum, self.maximum) if bound is not None]
        wanted: type | tuple[type, ...] | None = _BOUNDED_BY.get(self.type)
        if bounds and wanted is None:
            raise ValueError(f"{self.name}: type {self.type} has no minimum and maximum; take them out")
        for bound in bounds:
            if wanted is not None and not isinstance(bound, wanted):
                kind = "a date" if self.type is ParameterType.DATE else "a whole number"
                raise ValueError(f"{self.name}: its minimum and maximum must be {kind}")
            if isinstance(bound, float) and not isfinite(bound):
                raise ValueError(f"{self.name}: its minimum and maximum must be finite")
        if len(bounds) == 2 and bounds[0] > bounds[1]:  # type: ignore[operator]  # both are dates or neither is
            raise ValueError(f"{self.name}: its minimum {bounds[0]} is above its maximum {bounds[1]}")

    def text_of(self, value: Value) -> str:
        """Return a value as the command gets it. Raises ValueError, which says what is wrong and never the value of a
        secret.
        """
        text = _written(value)
        size = len(speakable(text).encode())
        if size > MAX_VALUE_BYTES:
            raise ValueError(f"is {size:,} bytes long, the limit is {MAX_VALUE_BYTES:,}; put it into a file")
        if self.secret and size < MIN_SECRET_BYTES:
            raise ValueError(f"is a secret and has fewer than {MIN_SECRET_BYTES} bytes, too few to cover in output")
        shown = "what was given" if self.secret else repr(text if len(text) <= 60 else text[:60] + "…")
        return _READ[self.type](self, text, shown)

    def require_within(self, size: float | date, shown: str, what: str = "") -> None:
        """Raise ValueError unless a size lies between the bounds."""
        if self.minimum is not None and size < self.minimum:  # type: ignore[operator]  # both are dates or neither is
            raise ValueError(f"is {shown}, and must be at least {self.minimum}{what}")
        if self.maximum is not None and size > self.maximum:  # type: ignore[operator]
            raise ValueError(f"is {shown}, and must be at most {self.maximum}{what}")


_TEXTS = frozenset({ParameterType.STRING, ParameterType.PATH})
_BOUNDED_BY: dict[ParameterType, type | tuple[type, ...]] = {
    ParameterType.STRING: int,
    ParameterType.INTEGER: int,
    ParameterType.NUMBER: (int, float),
    ParameterType.DATE: date,
}


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


@lru_cache(maxsize=512)
def _matcher(pattern: str) -> TypeAdapter[str]:
    """Return what matches whole texts in a time that grows with their length alone. Raises ValueError."""
    for wrapped in (pattern, f"^(?:{pattern})$"):  # alone first: it must not close the group it is put into
        try:
            adapter = TypeAdapter(Annotated[str, StringConstraints(pattern=wrapped)])
        except SchemaError as error:
            raise ValueError(f"pattern {pattern!r} cannot be used: {_first_cause(str(error))}") from None
    return adapter


def _first_cause(told: str) -> str:
    """Return the last line of what the compiler of patterns says, which names the cause."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ").removeprefix("SchemaError: ")


def _string(spec: Parameter, text: str, shown: str) -> str:
    spec.require_within(len(text), f"{len(text):,} characters long", " characters")
    if spec.pattern is not None:
        if len(text) > MAX_MATCHED:
            raise ValueError(f"is {len(text):,} characters long, and with a pattern the limit is {MAX_MATCHED:,}")
        try:
            _matcher(spec.pattern).validate_python(text)
        except ValidationError:
            raise ValueError(f"is {shown}, which does not match {spec.pattern!r} as a whole") from None
    return text


def _integer(spec: Parameter, text: str, shown: str) -> str:
    if not _INTEGER.match(text) or not -(1 << 63) <= int(text) < 1 << 63:
        raise ValueError(f"is {shown}, which is no whole number of 64 bits; write one such as 42")
    spec.require_within(int(text), shown)
    return str(int(text))


def _number(spec: Parameter, text: str, shown: str) -> str:
    if len(text) > 100 or not _NUMBER.match(text) or not isfinite(float(text)):
        raise ValueError(f"is {shown}, which is no number; write one such as 0.5")
    spec.require_within(float(text), shown)
    return text


def _boolean(_spec: Parameter, text: str, shown: str) -> str:
    if text.lower() not in _BOOLEANS:
        raise ValueError(f"is {shown}; write true or false")
    return _BOOLEANS[text.lower()]


def _choice(spec: Parameter, text: str, shown: str) -> str:
    if text not in spec.choices:
        raise ValueError(f"is {shown}, and must be one of {', '.join(spec.choices)}")
    return text


def _date(spec: Parameter, text: str, shown: str) -> str:
    try:
        day = date.fromisoformat(text) if _DATE.match(text) else None
    except ValueError:
        day = None
    if day is None:
        raise ValueError(f"is {shown}, which is no date; write one such as 2026-05-01")
    spec.require_within(day, shown)
    return text


def _path(spec: Parameter, text: str, shown: str) -> str:
    if not text.startswith("/") or ".." in text.split("/"):
        raise ValueError(f"is {shown}; write an absolute path without '..'")
    if len(text.encode()) > 4095:
        raise ValueError("is longer than a path may be, 4,095 bytes")
    return _string(spec, text, shown)


_READ: dict[ParameterType, Callable[[Parameter, str, str], str]] = {
    ParameterType.STRING: _string,
    ParameterType.INTEGER: _integer,
    ParameterType.NUMBER: _number,
    ParameterType.BOOLEAN: _boolean,
    ParameterType.CHOICE: _choice,
    ParameterType.DATE: _date,
    ParameterType.PATH: _path,
}
