"""What a secret is to its users: a name that jobs refer to, and a value that is given once and never shown again."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from scheduler_daemon.contract.texts import speakable

MIN_SECRET_CHARACTERS = 4
"""What is shorter stands in any output by chance, so it could not be masked there."""
MAX_SECRET_BYTES = 16_384

SecretName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


def _value(value: SecretStr) -> SecretStr:
    text = speakable(value.get_secret_value())
    if len(text.strip()) < MIN_SECRET_CHARACTERS:
        raise ValueError(
            f"has fewer than {MIN_SECRET_CHARACTERS} characters, blanks around them not counted, and could not be "
            "masked in output; use a longer secret"
        )
    size = len(text.encode())
    if size > MAX_SECRET_BYTES:
        raise ValueError(f"is {size:,} bytes long, the limit is {MAX_SECRET_BYTES:,}; let the command read a file")
    return value


class SecretPut(BaseModel, frozen=True, extra="forbid"):
    """A request for a secret, or for another value of it."""

    value: Annotated[SecretStr, AfterValidator(_value)]


class SecretView(BaseModel, frozen=True):
    """A secret as everyone who may use it reads it: everything but the value."""

    name: str
    version: int
    """How many values it has had."""
    owner: str
    used_by: tuple[str, ...]
    """The jobs that name it, as far as the reader may see them."""
    created_at: datetime
    updated_at: datetime
