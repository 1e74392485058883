"""Turning words of the command line into values without Typer's own way, which loads pydantic: a third of a verb.

Our flags are texts, lists of texts, whole numbers and switches, and no more is read here. Should Typer come to ignore
what is set here, the flags mean the same and cost more.
"""

from types import SimpleNamespace
from typing import Any

import typer

HELP_NAMES = ["-h", "--help"]
_NAMES = SimpleNamespace(help_option_names=HELP_NAMES)


class _Plain:
    """Reads the values of one flag or argument."""

    def __init__(self, param: Any) -> None:
        info = param.type_descriptor
        self._number = info.annotation is int
        self._least, self._most = info.parameter_info.min, info.parameter_info.max

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value as declared; None stays None. Raises BadParameter."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if not self._number:
            return value
        try:
            number = int(value)
        except ValueError:
            raise typer.BadParameter(f"{value!r} is not a whole number", ctx=ctx, param=param) from None
        if self._least is not None and number < self._least:
            raise typer.BadParameter(f"{number} is too small; the least is {self._least:g}", ctx=ctx, param=param)
        if self._most is not None and number > self._most:
            raise typer.BadParameter(f"{number} is too large; the most is {self._most:g}", ctx=ctx, param=param)
        return number


def lighten(command: Any) -> Any:
    """Set the plain reading on every flag of a command and of the commands below it; return the command."""
    for param in (*command.params, command.get_help_option(_NAMES)):
        if getattr(param, "type_descriptor", None) is not None:
            param._runtime_param = _Plain(param)  # noqa: SLF001 - there is no public place for it
    for below in getattr(command, "commands", {}).values():
        lighten(below)
    return command
