"""Secrets that are taken out of text, and text that stays."""

import time

import pytest

from scheduler_daemon.domain.redaction import redact, redact_lines
from tests.support.secrets import ORDINARY, SHAPES, encoded, lines

SLOW = [
    *"a@\\\"' \né\u202e",
    "a.",
    "password",
    "password=",
    'password="',
    "://",
    "a://b:",
    "eyJ",
    "eyJa.",
    "-----BEGIN ",
]
SLOW += [
    "Bearer ",
    "4111 ",
    "-----BEGIN PRIVATE KEY",
    "a@",
    "a:b@",
    "%3A",
    "Cookie",
    "Cookie:",
    "x-",
    "mysql -",
    "curl -u",
]
SLOW += [
    "DE00 ",
    "A1b",
    "--password ",
    "sk-",
    "token:\n",
    "secret",
    "key_",
    '"a":"',
    "name: password",
    "a/b@",
    ",;",
    ")}",
]


@pytest.mark.parametrize("at", range(len(SHAPES)), ids=lambda at: SHAPES[at][:40].replace("\n", " "))
def test_a_secret_is_gone_and_lines_keep_their_numbers(at: int) -> None:
    for seed in range(40):
        text, secrets = lines(seed)[at]

        said = redact(f"before\n{text}\nafter")

        assert "[redacted:" in said
        assert [secret for secret in secrets if len(secret) > 3 and secret in said] == []
        assert said.count("\n") == text.count("\n") + 2
        assert said.startswith("before\n")
        assert redact(said) == said


def test_a_secret_is_gone_in_the_middle_of_many_lines() -> None:
    shapes = lines(7)

    said = redact("\n".join(part for text, _ in shapes for part in (text, "", "an ordinary line")))

    assert [secret for _, secrets in shapes for secret in secrets if len(secret) > 8 and secret in said] == []


def test_there_are_shapes_enough() -> None:
    assert len(set(SHAPES)) >= 60


@pytest.mark.parametrize("line", ORDINARY)
def test_an_ordinary_line_stays_as_it_is(line: str) -> None:
    assert redact(line) == line


def test_a_percent_encoded_body_is_redacted_too() -> None:
    said = redact("body=" + encoded('{"password": "hunter2", "url": "https://ann:hunter2@x/"}'))

    assert "hunter2" not in said


def test_lines_are_redacted_together() -> None:
    key = ["x", "-----BEGIN RSA PRIVATE KEY-----", "QUJD", "-----END RSA PRIVATE KEY-----", "y"]

    assert redact_lines(key) == ["x", "[redacted:private key]", "", "", "y"]
    assert redact_lines([]) == []


@pytest.mark.parametrize("piece", SLOW)
def test_time_grows_with_the_length_and_no_faster(piece: str) -> None:
    """Eight times the text may take at most a few times eight times as long: a square would take sixty-four."""
    small, large = (_spent(piece * (size // len(piece))) for size in (1 << 15, 1 << 18))

    assert large < 30 * max(small, 0.01)


def _spent(text: str) -> float:
    before = time.thread_time()
    redact(text)
    return time.thread_time() - before
