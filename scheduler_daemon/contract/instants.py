"""What an instant is, wherever one is asked for."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime


def _utc(instant: datetime) -> datetime:
    if not 1970 <= instant.year <= 9000:
        raise ValueError("lies outside the years 1970 to 9000")
    return instant.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
"""An instant; any offset is accepted, UTC is kept."""
