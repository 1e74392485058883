"""Decide what a run is told: the values somebody gives, held against what its job declares, and the defaults. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from scheduler_daemon.contract.jobs import MAX_ENV_BYTES
from scheduler_daemon.contract.parameters import Parameter, Value
from scheduler_daemon.domain.errors import Invalid

Values = dict[str, str]


def declared(spec: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Return what a job, as it is kept, declares."""
    return tuple(Parameter.model_validate(each) for each in spec.get("parameters") or ())


def defaults(parameters: Iterable[Parameter]) -> Values:
    """Return what a run is told that nobody asks for."""
    return {one.name: one.text_of(one.default) for one in parameters if one.default is not None}


def values_of(parameters: tuple[Parameter, ...], given: Mapping[str, Value]) -> Values:
    """Return what a run is told that somebody asks for. Raises Invalid, naming the parameter."""
    known = {one.name for one in parameters}
    for name in given:
        if name not in known:
            there = f"it has {', '.join(sorted(known))}" if known else "it has none"
            raise Invalid(f"the job has no parameter {name!r}; {there}", field=f"parameters.{name}")
    values: Values = {}
    for one in parameters:
        if one.name in given:
            values[one.name] = _text(one, given[one.name])
        elif not one.required:
            values |= defaults([one])
        else:
            raise Invalid(
                f"parameter {one.name!r} must be given ({_kind(one)}); give it with --param {one.name}=VALUE",
                field=f"parameters.{one.name}",
            )
    size = sum(len(name) + len(text.encode()) for name, text in values.items())
    if size > MAX_ENV_BYTES:
        raise Invalid(f"the values are {size:,} bytes in all, the limit is {MAX_ENV_BYTES:,}", field="parameters")
    return values


def environment(parameters: Iterable[Parameter], values: Mapping[str, str]) -> dict[str, str]:
    """Return the values by the variables that a command finds them in."""
    return {one.variable: values[one.name] for one in parameters if one.name in values}


def _text(parameter: Parameter, value: Value) -> str:
    try:
        return parameter.text_of(value)
    except ValueError as error:
        name = parameter.name
        raise Invalid(f"parameter {name!r} {error}", field=f"parameters.{name}") from None


def _kind(parameter: Parameter) -> str:
    """Say what a parameter takes."""
    return ", ".join(filter(None, (" or ".join(parameter.choices) or str(parameter.type), parameter.description)))
