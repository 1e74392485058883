"""Secrets covered in what a job wrote: in every spelling, whatever is around them, wherever the bytes are cut."""

import base64
import json
import random
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler_daemon.domain.masks import Blackout, Mask, mask_of

SECRET = "pä/ss w+rd?'\"&\\x9"
RAW = SECRET.encode()
SPELLINGS = {
    "plain": RAW,
    "hex": RAW.hex().encode(),
    "upper hex": RAW.hex().upper().encode(),
    "url": quote(SECRET, safe="").encode(),
    "url that keeps slashes": quote(SECRET).encode(),
    "form": quote_plus(SECRET).encode(),
    "url in lower case": re.sub("%..", lambda match: match[0].lower(), quote(SECRET, safe="")).encode(),
    "json": json.dumps(SECRET)[1:-1].encode(),
    "json as text": json.dumps(SECRET, ensure_ascii=False)[1:-1].encode(),
    "shell trace": SECRET.replace("'", "'\\''").encode(),
}


def all_of(mask: Mask | None, text: bytes) -> bytes:
    assert mask is not None
    return mask.covered(text, 0, len(text))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_spelling_is_covered_and_what_is_around_it_is_not(spelling: str) -> None:
    text = SPELLINGS[spelling]

    covered = all_of(Mask([RAW]), b"before " + text + b" after\n")

    assert covered == b"before " + b"*" * len(text) + b" after\n"


@pytest.mark.parametrize("urlsafe", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("after", range(4))
def test_no_bit_of_it_is_left_in_base64_of_a_text_around_it(
    before: int, after: int, padded: bool, urlsafe: bool
) -> None:
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    text = encode(b"\0" * before + RAW + b"z" * after)
    bits = range(before * 8, (before + len(RAW)) * 8)

    covered = all_of(Mask([RAW]), (text if padded else text.rstrip(b"=")) + b"\n")

    assert {covered[bit // 6] for bit in bits} == set(b"*")
    assert covered.count(b"*") <= len({bit // 6 for bit in bits}) + 2  # and little else


@given(
    st.lists(st.binary(max_size=30), max_size=6),
    st.integers(min_value=0, max_value=len(SPELLINGS) - 1),
    st.integers(min_value=1, max_value=40),
)
def test_where_it_is_cut_makes_no_difference(around: list[bytes], index: int, size: int) -> None:
    spelling = list(SPELLINGS.values())[index]
    text = spelling.join(around)
    mask = Mask([RAW])

    whole = all_of(mask, text)

    parts = []
    for begin in range(0, len(text), size):
        end = min(begin + size, len(text))
        known = text[max(0, begin - mask.reach) : end + mask.reach]
        shift = max(0, begin - mask.reach)
        parts.append(mask.covered(known, begin - shift, end - shift))
    assert b"".join(parts) == whole


@given(st.binary(max_size=200))
def test_line_ends_and_sizes_stay(text: bytes) -> None:
    for mask in (Mask([b"abcd", b"two\nlines\n", b"\xff\xfe\xfd\xfc"]), Blackout()):
        covered = all_of(mask, text)

        assert len(covered) == len(text)
        assert [at for at, byte in enumerate(covered) if byte == 10] == [
            at for at, byte in enumerate(text) if byte == 10
        ]


def test_what_may_become_a_secret_is_known_from_its_first_byte_to_the_last_but_one() -> None:
    mask = Mask([b"hunter2"])

    assert [mask.begun(b"say " + b"hunter2"[:size]) for size in range(8)] == [4, 4, 4, 4, 4, 4, 4, 11]


def test_a_beginning_that_nothing_followed_is_covered_from_four_bytes_on() -> None:
    mask = Mask([b"hunter2"])

    assert all_of(mask, b"say hun") == b"say hun"
    assert all_of(mask, b"say hunt") == b"say ****"
    assert all_of(mask, b"say hunt\n") == b"say hunt\n"


def test_secrets_that_overlap_are_covered_as_one() -> None:
    assert all_of(Mask([b"abcdef", b"defghi", b"def1"]), b"abcdefghi abcdef1") == b"*" * 9 + b" " + b"*" * 7


def test_each_line_of_a_key_is_covered_and_its_base64_too_where_programs_wrap_it() -> None:
    key = b"-----BEGIN KEY-----\n" + base64.b64encode(random.Random(1).randbytes(150)) + b"\nshort\n-----END KEY-----\n"
    mask = Mask([key])

    assert set(all_of(mask, key.replace(b"\n", b" \r\n"))) <= set(b"* \r\n")
    assert set(all_of(mask, base64.encodebytes(key))) <= set(b"*\n")
    assert all_of(mask, json.dumps({"key": key.decode()}).encode()).startswith(b'{"key": "****')


def test_a_long_secret_is_covered_without_an_automaton_of_its_own_size_cubed() -> None:
    secret = random.Random(2).randbytes(6000).hex().encode()

    covered = all_of(Mask([secret]), b"<" + secret + b"><" + base64.b64encode(secret) + b">")

    assert set(covered) == set(b"<>*")


def test_nothing_to_cover_is_no_mask() -> None:
    assert mask_of(frozenset()) is None


def test_a_blackout_tells_nothing() -> None:
    assert all_of(Blackout(), b"a secret\nor not\n") == b"********\n******\n"


@pytest.mark.parametrize("at", [0, 16_370, 16_384, 16_390, 32_760, 39_990])
def test_a_secret_is_covered_wherever_in_a_great_part_it_stands(at: int) -> None:
    known = bytearray(b"." * 40_000)
    known[at : at + 10] = b"0123456789"
    mask = Mask([b"0123456789"])

    covered = mask.covered(bytes(known), 0, len(known))

    assert covered == b"." * at + b"*" * 10 + b"." * (40_000 - at - 10)
