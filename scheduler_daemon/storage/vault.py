"""Seal and open the values of secrets with a master key that is kept apart from the database.

The key comes from a systemd credential, else from a private file that is made with the first secret. Both hold one key
a line, as base64; the first seals, all open, so that a new one is put above the old. A value is bound to the id of its
record: one that was copied to another record does not open.
"""

import base64
import binascii
import hashlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scheduler_daemon.domain.errors import Unavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CREDENTIAL = "chronos-master-key"
"""The name of the systemd credential."""
_KEY_BYTES = 32
_NONCE_BYTES = 12


class Sealed(NamedTuple):
    """A value that only the key of this id opens."""

    key_id: str
    data: bytes


class Vault:
    """Looks for the key anew whenever it is needed, so that one that was put back is found."""

    def __init__(self, key_file: Path, environ: Mapping[str, str]) -> None:
        """`environ` may name a systemd credentials directory, whose key goes before the file."""
        self._key_file = key_file
        directory = environ.get("CREDENTIALS_DIRECTORY")
        credential = Path(directory) / CREDENTIAL if directory else None
        self._credential = credential if credential is not None and credential.exists() else None

    @property
    def place(self) -> Path:
        """Where the key is, or will be."""
        return self._credential or self._key_file

    def seal(self, record_id: str, value: bytes) -> Sealed:
        """Seal a value for a record; the first makes the key file, if no credential is given. Raises Unavailable."""
        keys = self._keys() or self._make()
        key_id, key = next(iter(keys.items()))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return Sealed(key_id, nonce + _cipher(key).encrypt(nonce, value, _bound_to(record_id)))

    def open(self, record_id: str, sealed: Sealed) -> bytes:
        """Return the value of a record. Raises Unavailable where the key is missing or the record was tampered with."""
        from cryptography.exceptions import InvalidTag

        key = self._keys().get(sealed.key_id)
        if key is None:
            raise Unavailable(
                f"the key it was sealed with ({sealed.key_id}) is not in {self.place}; "
                "put that file back, or set the secret anew"
            )
        try:
            return _cipher(key).decrypt(sealed.data[:_NONCE_BYTES], sealed.data[_NONCE_BYTES:], _bound_to(record_id))
        except InvalidTag:
            raise Unavailable("its record is not the one that was saved; set the secret anew") from None

    def stale(self, key_id: str) -> bool:
        """Tell whether what this key sealed is to be sealed anew: another one goes before it, and it still opens."""
        keys = list(self._keys())
        return key_id in keys[1:]

    def _keys(self) -> dict[str, bytes]:
        """Return the keys by their ids, the one that seals first; none where no file is. Raises Unavailable."""
        try:
            descriptor = os.open(self.place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise Unavailable(f"the key file {self.place} cannot be read: {error.strerror}") from None
        with os.fdopen(descriptor, "rb") as file:
            self._refuse_if_open_to_others(os.fstat(descriptor))
            return {_id(key): key for key in map(self._key, file.read().split())}

    def _key(self, line: bytes) -> bytes:
        try:
            key = base64.b64decode(line, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != _KEY_BYTES:
            raise Unavailable(f"{self.place} holds a line that is no key: each is {_KEY_BYTES} bytes as base64")
        return key

    def _refuse_if_open_to_others(self, found: os.stat_result) -> None:
        if self._credential is None and (found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077):
            raise Unavailable(
                f"the key file {self.place} is not ours alone; "
                f"see who may have read it, then: chown {os.geteuid()} and chmod 600"
            )

    def _make(self) -> dict[str, bytes]:
        if self._credential is not None:
            raise Unavailable(f"the credential {self.place} is empty; give it a key: head -c 32 /dev/urandom | base64")
        text = base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n"
        try:
            self.place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise Unavailable(
                f"the key file {self.place} cannot be made: {error.strerror}; "
                "name another one by the setting secrets.key_file, or give a systemd credential"
            ) from None
        return self._keys()


def _id(key: bytes) -> str:
    return hashlib.sha256(b"chronos key " + key).hexdigest()[:16]


def _bound_to(record_id: str) -> bytes:
    return f"chronos secret {record_id}".encode()


def _cipher(key: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
