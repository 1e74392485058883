"""Flags that declare what a job's runs can be told, and those that tell a run. What holds is for the server to say."""

import re
import shlex
import sys
from collections.abc import Sequence
from getpass import getpass
from typing import Annotated, Any

import typer

from chronos_tui.client import Client, calls
from chronos_tui.verbs.failure import wrong_use
from chronos_tui.verbs.spec import read_text

Declared = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        metavar="'NAME TYPE ...'",
        help="What runs can be told, as CHRONOS_PARAM_NAME: 'day date', 'n integer required min=1 max=9 -- How many',"
        " 'to choice default=test choices=test,live', 'key string secret'; types string, integer, number, boolean,"
        " choice, date, path; pattern=REGEX; repeatable; replaces all; '' for none.",
    ),
]
Told = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="Tell the run a value; repeatable."),
]
ToldByFile = Annotated[
    list[str] | None,
    typer.Option("--param-file", metavar="NAME=FILE|-", help="The same from a file, as it is; for secrets and texts."),
]
Like = Annotated[int | None, typer.Option(metavar="RUN", min=1, help="Tell it what that run was told.")]

FLAGS = ("required", "secret")
NUMBER = re.compile(r"[+-]?[0-9]+\Z", re.ASCII)
DECIMAL = re.compile(r"[+-]?[0-9]*\.[0-9]+\Z", re.ASCII)
WORDS = {"default": "default", "min": "minimum", "max": "maximum", "pattern": "pattern", "choices": "choices"}


def fields(declared: Sequence[str] | None) -> dict[str, Any]:
    """Return the field that was given. A list of one empty text empties it; raises Failure."""
    return {"parameters": [_parameter(text) for text in declared if text]} if declared else {}


def _parameter(text: str) -> dict[str, Any]:
    head, dashes, about = text.partition(" -- ")
    try:
        name, kind, *rest = shlex.split(head)
    except ValueError:
        raise wrong_use(f"--param {text!r} declares nothing; write NAME TYPE, such as 'count integer min=1'") from None
    found: dict[str, Any] = {"name": name, "type": kind}
    for word in rest:
        key, equals, value = word.partition("=")
        if word in FLAGS:
            found[word] = True
        elif equals and key in WORDS:
            found[WORDS[key]] = _meant(key, value)
        else:
            raise wrong_use(f"--param {text!r}: {word!r} is none of {', '.join(FLAGS)}, {'=, '.join(WORDS)}=")
    if dashes:
        found["description"] = about.strip()
    return found


def _meant(key: str, value: str) -> Any:
    if key == "choices":
        return value.split(",")
    if key in {"min", "max"} and NUMBER.match(value):
        return int(value)
    if key in {"min", "max"} and DECIMAL.match(value):
        return float(value)
    return value


def told(given: Sequence[str] | None, files: Sequence[str] | None) -> dict[str, str]:
    """Return what a run is told, by name. Raises Failure."""
    found: dict[str, str] = {}
    for flag, texts in (("--param", given), ("--param-file", files)):
        for text in texts or ():
            name, equals, value = text.partition("=")
            if not equals or not name:
                wanted = "NAME=VALUE" if flag == "--param" else "NAME=FILE"
                raise wrong_use(f"{flag} {text!r} is no assignment; write {wanted}")
            if name in found:
                raise wrong_use(f"{flag} {name}: is given twice; take one of them out")
            found[name] = value if flag == "--param" else read_text(flag, value)
    return found


def asked_for(client: Client, job: str, given: dict[str, str]) -> dict[str, str]:
    """Ask on a terminal for what must be given and was not; a secret is not echoed."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return given
    for one in client.json(calls.job(job))["spec"].get("parameters", ()):
        if one["required"] and one["name"] not in given:
            about = f"{one['name']} ({one['description'] or ', '.join(one['choices']) or one['type']})"
            given[one["name"]] = getpass(f"{about}: ") if one["secret"] else typer.prompt(about, err=True)
    return given
