"""What becomes of a question to Claude."""

from enum import StrEnum


class ClaudeOutcome(StrEnum):
    """Why there is an answer, or none; without one the local text stands."""

    ANSWERED = "answered"
    CACHED = "cached"
    """The same had been asked before."""
    NO_KEY = "no_key"
    BAD_KEY = "bad_key"
    NO_BUDGET = "no_budget"
    NO_PRICE = "no_price"
    """The settings name no price for the model, so a budget could not be kept."""
    BUSY = "busy"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    FAILED = "failed"
    CUT = "cut"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    INVALID = "invalid"
    """It did not keep to what was asked: another form, a line that is not there, an action that is not offered."""
