"""Values are sealed by a key that is kept apart, each for one record, and opened again; keys can follow one another."""

import base64
import os
from pathlib import Path

import pytest

from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.storage.vault import CREDENTIAL, Sealed, Vault


def key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def test_the_first_secret_makes_a_private_key_and_the_value_comes_back(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "keys" / "master.key", {})

    sealed = vault.seal("one", b"value")

    assert vault.open("one", sealed) == b"value"
    assert b"value" not in sealed.data
    assert vault.seal("one", b"value").data != sealed.data
    assert vault.place.stat().st_mode & 0o777 == 0o600


def test_a_value_opens_for_its_record_alone_and_only_untouched(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "key", {})
    sealed = vault.seal("one", b"value")
    spoilt = Sealed(sealed.key_id, sealed.data[:-1] + bytes([sealed.data[-1] ^ 1]))

    for record, data in (("two", sealed), ("one", spoilt)):
        with pytest.raises(Unavailable, match="its record is not the one that was saved"):
            vault.open(record, data)


def test_without_its_key_a_value_stays_shut_and_no_other_key_is_made(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "key", {})
    sealed = vault.seal("one", b"value")
    vault.place.rename(tmp_path / "away")

    with pytest.raises(Unavailable, match=r"is not in .*key; put that file back, or set the secret anew"):
        vault.open("one", sealed)
    assert not vault.place.exists()

    (tmp_path / "away").rename(vault.place)
    assert vault.open("one", sealed) == b"value"


def test_a_new_key_above_the_old_seals_and_the_old_still_opens(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "key", {})
    sealed = vault.seal("one", b"value")
    vault.place.write_text(f"{key()}\n{vault.place.read_text()}")

    anew = vault.seal("one", vault.open("one", sealed))

    assert vault.stale(sealed.key_id)
    assert not vault.stale(anew.key_id)
    vault.place.write_text(vault.place.read_text().split()[0])
    assert vault.open("one", anew) == b"value"


def test_a_credential_of_systemd_goes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / CREDENTIAL).write_text(key())
    vault = Vault(tmp_path / "key", {"CREDENTIALS_DIRECTORY": str(tmp_path)})

    sealed = vault.seal("one", b"value")

    assert vault.open("one", sealed) == b"value"
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_that_others_may_read_is_not_used(tmp_path: Path, mode: int) -> None:
    vault = Vault(tmp_path / "key", {})
    sealed = vault.seal("one", b"value")
    vault.place.chmod(mode)

    with pytest.raises(Unavailable, match="is not ours alone"):
        vault.open("one", sealed)


@pytest.mark.parametrize("text", ["short", base64.b64encode(b"x" * 16).decode(), "é"])
def test_a_line_that_is_no_key_is_told_without_the_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    (tmp_path / "key").chmod(0o600)

    with pytest.raises(Unavailable, match="holds a line that is no key") as told:
        Vault(tmp_path / "key", {}).seal("one", b"value")
    assert text not in told.value.message


def test_a_link_in_place_of_the_key_is_not_followed(tmp_path: Path) -> None:
    Vault(tmp_path / "true", {}).seal("one", b"value")
    (tmp_path / "key").symlink_to(tmp_path / "true")

    with pytest.raises(Unavailable, match="cannot be read"):
        Vault(tmp_path / "key", {}).seal("one", b"value")
