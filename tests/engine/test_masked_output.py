"""A secret in a job's output is nowhere in what is kept or shown, however it was written and wherever it was cut."""

import base64
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler_daemon.domain.masks import Blackout, Mask
from tests.support.sink import MIB, Bench, bench, lite

__all__ = ["bench", "lite"]

SECRET = b"correct-horse/battery=42"
ENCODED = base64.b64encode(SECRET)


def telling(found: Any) -> list[str]:
    """Return the four-byte pieces of the secret that stand in a text."""
    pieces = {spelling[at : at + 4] for spelling in (SECRET, ENCODED) for at in range(len(spelling) - 3)}
    text = found if isinstance(found, bytes) else repr(found).encode()
    return [piece.decode() for piece in pieces if piece in text]


async def test_it_is_covered_in_what_is_kept_shown_and_found(bench: Bench) -> None:
    run = await bench.start(mask=Mask([SECRET]))
    bench.write(run, b"token " + SECRET + b" end\n")
    bench.write(run, b"::kpi " + SECRET + b"=1\nbasic " + ENCODED + b"\n", "stderr")

    await bench.steps()
    await bench.sink.finish(run)

    stars = "*" * len(SECRET)
    assert await bench.raw(run) == f"token {stars} end\n".encode()
    assert bench.shown[run][0].text == f"token {stars} end"
    assert await bench.texts(run, search=SECRET.decode()) == []
    for found in (await bench.raw(run, "stderr"), bench.shown, await bench.said(run)):
        assert telling(found) == []


async def test_it_is_covered_though_long_pauses_cut_it(bench: Bench) -> None:
    run = await bench.start(mask=Mask([SECRET]))

    for byte in b"a " + SECRET + b" b " + ENCODED + b"\n":
        bench.write(run, bytes([byte]))
        await bench.steps()
        if byte % 3 == 0:  # the part that has come is shown: nobody knows what will follow
            await bench.steps(seconds=1)
            await bench.steps(seconds=1)
    await bench.sink.finish(run)

    kept = await bench.raw(run)
    assert len(kept) == len(SECRET) + len(ENCODED) + 6
    assert telling(kept) == telling(bench.shown) == []


async def test_a_line_without_a_secret_waits_no_longer_than_others(bench: Bench) -> None:
    run = await bench.start(mask=Mask([SECRET]))
    bench.write(run, b"whole line\nand co")

    await bench.steps()
    first = [line.text for line in bench.shown[run]]
    await bench.steps(seconds=0.3)

    assert first == ["whole line"]
    assert [line.text for line in bench.shown[run]] == ["whole line", "and co"]


async def test_it_is_covered_where_the_head_ends_and_the_tail_begins(bench: Bench) -> None:
    mask = Mask([SECRET])
    for shift in range(0, len(SECRET) + 4, 3):
        run = await bench.start(limit_bytes=2000, mask=mask)
        data = b"x" * (1000 - shift) + SECRET + b"y" * 3000 + SECRET + b"z" * (1000 - shift)
        bench.write(run, data[:900])
        await bench.steps()
        bench.write(run, data[900:])

        await bench.sink.finish(run)

        kept = await bench.raw(run)
        assert len(kept) == 2000
        assert telling(kept) == []


async def test_it_is_covered_after_a_restart_in_its_midst(bench: Bench) -> None:
    run = await bench.start(mask=Mask([SECRET]))
    bench.write(run, b"> " + SECRET[:9])
    await bench.steps()
    await bench.steps(seconds=1)

    await bench.restart(run)
    bench.write(run, SECRET[9:] + b" <\n")
    await bench.sink.finish(run)

    assert await bench.raw(run) == b"> " + b"*" * len(SECRET) + b" <\n"


async def test_it_is_covered_where_its_beginning_is_behind_what_was_given_back_to_the_disk(lite: Bench) -> None:
    run = await lite.start(limit_bytes=16 * MIB, mask=Mask([SECRET]))
    lite.write(run, b"x" * (MIB - 10))
    await lite.steps()
    await lite.steps(seconds=1)
    lite.write(run, SECRET[:15])
    await lite.steps()
    await lite.steps(seconds=1)
    lite.write(run, SECRET[15:] + b"\n")

    await lite.sink.finish(run)

    assert (await lite.raw(run))[MIB - 10 :] == b"*" * len(SECRET) + b"\n"


async def test_output_of_a_run_whose_secrets_cannot_be_known_is_kept_without_a_word_of_it(bench: Bench) -> None:
    run = await bench.start(mask=Blackout())
    bench.write(run, b"token " + SECRET + b"\nmore\n")

    await bench.steps()
    await bench.sink.finish(run)

    assert [line.text for line in bench.shown[run]] == ["*" * (6 + len(SECRET)), "****"]
    assert await bench.raw(run) == b"*" * (6 + len(SECRET)) + b"\n****\n"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([SECRET, ENCODED, SECRET[:7], b"\n", b"plain text ", os.linesep.encode()]), max_size=12),
    st.lists(st.integers(min_value=1, max_value=30), min_size=1, max_size=10),
)
async def test_how_it_is_split_over_writes_makes_no_difference(
    lite: Bench, words: list[bytes], sizes: list[int]
) -> None:
    mask = Mask([SECRET])
    data = b"".join(words)
    run = await lite.start(mask=mask)

    at = 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        lite.write(run, data[at : at + size])
        await lite.steps()
        at += size
    await lite.sink.finish(run)

    assert await lite.raw(run) == mask.covered(data, 0, len(data))
    assert SECRET.decode() not in repr(lite.shown.get(run))
