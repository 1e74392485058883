"""Everything we expect to go wrong and can explain. The API gives each kind a status; nothing here knows HTTP.

A message is what the user reads: what is wrong, why, and what to do about it.
"""


class ChronosError(Exception):
    """Something we expect and can explain to the user."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Invalid(ChronosError):  # noqa: N818 - named for what the reader is told
    """What was asked makes no sense as written. `field` is the dotted path of the culprit, "" for the whole."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class BadSchedule(Invalid):
    """An expression that cannot be read, or that would never fire."""

    def __init__(self, message: str, *, expression: str, position: int | None = None, suggestion: str = "") -> None:
        super().__init__(message, field="schedule.expressions")
        self.expression = expression
        self.position = position
        """The column of the culprit, counted from 0; None where no single place is to blame."""
        self.suggestion = suggestion
        """A better expression, or ""."""


class NotFound(ChronosError):  # noqa: N818 - named for what the reader is told
    """No such thing, or none the actor may see."""


class NotAllowed(ChronosError):  # noqa: N818 - named for what the reader is told
    """The actor may see it, but not do this."""


class Conflict(ChronosError):  # noqa: N818 - named for what the reader is told
    """Someone else was first: another version, the same name, a state that has moved on."""


class Unavailable(ChronosError):  # noqa: N818 - named for what the reader is told
    """A part we need does not answer now; asking again later may help."""
