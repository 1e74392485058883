"""What a value of a parameter may be, what a declaration may say, and what is refused with which words."""

import random
from typing import Any

import pytest
from pydantic import ValidationError

from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.parameters import MAX_VALUE_BYTES, Parameter
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.domain.parameters import defaults, environment, values_of


def parameter(kind: str = "string", **more: Any) -> Parameter:
    return Parameter.model_validate({"name": "it", "type": kind, **more})


@pytest.mark.parametrize(
    ("kind", "more", "given", "text"),
    [
        ("string", {}, "", ""),
        ("string", {}, "$(reboot); `id` \"x\" 'y'\n\\", "$(reboot); `id` \"x\" 'y'\n\\"),
        ("string", {}, "x" * MAX_VALUE_BYTES, "x" * MAX_VALUE_BYTES),
        ("string", {"minimum": 2, "maximum": 3}, "éü", "éü"),
        ("string", {"pattern": "[a-z]+|X"}, "X", "X"),
        ("integer", {"minimum": 1, "maximum": 5}, 5, "5"),
        ("integer", {}, "+0042", "42"),
        ("integer", {}, "-9223372036854775808", "-9223372036854775808"),
        ("number", {"maximum": 0.5}, "0.50", "0.50"),
        ("number", {}, 2, "2"),
        ("boolean", {}, True, "true"),
        ("boolean", {}, "No", "false"),
        ("choice", {"choices": ["test", "live"]}, "live", "live"),
        ("date", {"minimum": "2026-01-01"}, "2028-02-29", "2028-02-29"),
        ("path", {}, "/data/in put", "/data/in put"),
        ("path", {"pattern": "/data/.*"}, "/data/..in", "/data/..in"),
        ("string", {"secret": True}, "four", "four"),
    ],
)
def test_a_value_that_holds_is_given_as_text(kind: str, more: dict[str, Any], given: Any, text: str) -> None:
    assert parameter(kind, **more).text_of(given) == text


@pytest.mark.parametrize(
    ("kind", "more", "given", "why"),
    [
        ("string", {}, "a\0b", "NUL byte"),
        ("string", {}, "\ud800", "not valid Unicode"),
        ("string", {}, "é" * (MAX_VALUE_BYTES // 2 + 1), "the limit is 65,536"),
        ("string", {"minimum": 2}, "x", "at least 2 characters"),
        ("string", {"pattern": "[a-z]+"}, "abc\n", "does not match"),
        ("string", {"pattern": "[a-z]+"}, "1abc2", "does not match"),
        ("string", {"pattern": "a*"}, "a" * 4097, "the limit is 4,096"),
        ("integer", {}, "1.0", "no whole number"),
        ("integer", {}, "0x10", "no whole number"),
        ("integer", {}, "٣", "no whole number"),
        ("integer", {}, "9223372036854775808", "no whole number"),
        ("integer", {"minimum": 1, "maximum": 5}, "6", "at most 5"),
        ("integer", {"minimum": 1}, "-6", "at least 1"),
        ("integer", {}, True, "no whole number"),
        ("number", {}, "1e999", "no number"),
        ("number", {}, "nan", "no number"),
        ("number", {}, float("inf"), "no number"),
        ("number", {}, "1_0", "no number"),
        ("number", {}, "9" * 101, "no number"),
        ("boolean", {}, "1", "write true or false"),
        ("choice", {"choices": ["test", "live"]}, "liv", "must be one of test, live"),
        ("date", {}, "2026-02-29", "no date"),
        ("date", {}, "20260228", "no date"),
        ("date", {"maximum": "2026-01-01"}, "2026-01-02", "at most 2026-01-01"),
        ("path", {}, "data", "an absolute path"),
        ("path", {}, "/data/../etc", "without '..'"),
        ("path", {}, "/" + "x" * 4096, "longer than a path"),
        ("string", {"secret": True}, "abc", "too few to cover"),
    ],
)
def test_a_value_that_does_not_hold_is_refused_with_the_reason(
    kind: str, more: dict[str, Any], given: Any, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        parameter(kind, **more).text_of(given)


def test_a_secret_is_not_told_back() -> None:
    with pytest.raises(ValueError, match="does not match") as told:
        parameter(secret=True, pattern="[0-9]+").text_of("hunter2")

    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"name": "It"}, "name"),
        ({"name": "a-b"}, "name"),
        ({"type": "choice"}, "give both or neither"),
        ({"choices": ["a"]}, "give both or neither"),
        ({"type": "choice", "choices": ["a", "a"]}, "listed twice"),
        ({"type": "integer", "pattern": "a"}, "a pattern is for"),
        ({"pattern": "(?=a)"}, "cannot be used: .*look-around"),
        ({"pattern": r"(a)\1"}, "cannot be used: .*backreferences"),
        ({"pattern": "a)|(b"}, "cannot be used"),
        ({"pattern": r"(\w{500}){500}"}, "size limit"),
        ({"pattern": "a" * 201}, "pattern"),
        ({"type": "boolean", "minimum": 1}, "no minimum"),
        ({"type": "integer", "minimum": 1.5}, "must be a whole number"),
        ({"type": "date", "minimum": 1}, "must be a date"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "above its maximum"),
        ({"type": "number", "minimum": float("nan")}, "finite"),
        ({"type": "integer", "default": "x"}, "its default .*no whole number"),
        ({"secret": True, "default": "abcd"}, "a secret has none"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_declaration_that_means_nothing_is_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Parameter.model_validate({"name": "it", **said})


@pytest.mark.parametrize("pattern", ["(a*)*c", "(a|a)*c", "(a|b)*a(a|b){150}c", "(.?){1000}c"])
def test_no_pattern_makes_a_long_value_take_long(pattern: str) -> None:
    """Each takes a matcher that tries every way longer than the age of the world, and this one a moment."""
    it = parameter(pattern=pattern)

    for text in ("a" * 4096, "".join(random.Random(4).choices("ab", k=4096))):
        with pytest.raises(ValueError, match="does not match"):
            it.text_of(text)


def test_a_run_is_told_what_is_given_over_the_defaults() -> None:
    declared = (
        Parameter(name="to", default="test"),
        Parameter(name="n", type="integer", default=3),
        Parameter(name="key"),
    )

    assert defaults(declared) == {"to": "test", "n": "3"}
    assert values_of(declared, {"n": "4"}) == {"to": "test", "n": "4"}
    assert environment(declared, {"n": "4", "key": "$x"}) == {"CHRONOS_PARAM_N": "4", "CHRONOS_PARAM_KEY": "$x"}


@pytest.mark.parametrize(
    ("given", "field", "why"),
    [
        ({}, "parameters.day", "parameter 'day' must be given .*date, The day.*--param day=VALUE"),
        ({"day": "x"}, "parameters.day", "parameter 'day' is 'x', which is no date"),
        ({"day": "2026-01-01", "dya": 1}, "parameters.dya", "no parameter 'dya'; it has a, b, c, day"),
        ({"day": "2026-01-01", **dict.fromkeys("abc", "x" * 60_000)}, "parameters", "180,0.. bytes in all"),
    ],
)
def test_what_a_run_cannot_be_told_is_refused_by_name(given: dict[str, Any], field: str, why: str) -> None:
    declared = (
        Parameter(name="day", type="date", required=True, description="The day"),
        *(Parameter(name=name) for name in "abc"),
    )

    with pytest.raises(Invalid, match=why) as told:
        values_of(declared, given)

    assert told.value.field == field


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"schedule": {"expressions": ["@daily"]}}, "'day' is required and has no default, and the job has a schedule"),
        ({"after": ["other"]}, "and the job runs after others"),
        ({"env": {"CHRONOS_PARAM_DAY": "x"}}, "set by `env` and by `parameters`"),
        ({"secrets": {"CHRONOS_PARAM_DAY": "x"}}, "set by `secrets` and by `parameters`"),
        ({"parameters": [{"name": "day"}, {"name": "day"}]}, "set by `parameters` and by `parameters`"),
    ],
)
def test_a_job_that_could_not_be_told_is_refused_when_it_is_saved(said: dict[str, Any], why: str) -> None:
    parameters = [{"name": "day", "type": "date", "required": True}]

    with pytest.raises(ValidationError, match=why):
        JobSpec.model_validate({"name": "it", "command": "true", "parameters": parameters, **said})
