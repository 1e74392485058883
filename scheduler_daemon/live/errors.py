"""What can be wrong with the live plane, each error carrying the sentence the user reads.

None of these is ever a reason to stop a schedule: Redis is the picture, SQL is the truth.
"""

from __future__ import annotations


class LiveError(Exception):
    """The live plane cannot do what was asked; the schedule goes on."""


class RedisUnavailable(LiveError):  # noqa: N818 - named as what the user is told
    """No Redis could be found, started or used. The message says what was tried, why it failed and what to do."""


class PictureMissing(LiveError):  # noqa: N818 - named as what the user is told
    """The live picture is absent or being rebuilt; keep the change in the outbox and rebuild."""


class RebuildInProgress(LiveError):  # noqa: N818 - named as what the user is told
    """Another daemon is rebuilding the live picture, or took the rebuild over."""
