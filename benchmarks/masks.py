"""How fast secrets are covered in output, beside a search for each spelling and beside one alternation of `re`.

All three look for the same spellings in the same log lines, in parts as the log sink reads them.
"""

import base64
import random
import re
import time
from collections.abc import Callable

from benchmarks.report import Figure
from scheduler_daemon.domain.masks import Mask
from scheduler_daemon.engine.log_reader import READ_BYTES

SECRETS = 20


def lines(size: int) -> bytes:
    """Return log lines of about that size in all, a secret in none."""
    chance = random.Random(1)
    made = bytearray()
    number = 0
    while len(made) < size:
        number += 1
        made += (
            f"2026-05-01T08:{number // 60 % 60:02}:{number % 60:02}.123Z INFO worker[{number % 32}] GET "
            f"/api/v1/items/{number * 7919 % 10007} {number % 97} ms id={chance.randbytes(8).hex()} user=ada\n"
        ).encode()
    return bytes(made)


def rate(data: bytes, cover: Callable[[bytes], object], repeats: int) -> float:
    """Return the most MB/s of CPU time at which `cover` passes over the data."""
    parts = [data[at : at + READ_BYTES] for at in range(0, len(data), READ_BYTES)]
    best = 0.0
    for _ in range(repeats):
        begun = time.process_time()
        for part in parts:
            cover(part)
        best = max(best, len(data) / 1e6 / (time.process_time() - begun))
    return best


def figures(*, quick: bool = False) -> list[Figure]:
    """Measure on CPU time: the machine may be shared."""
    chance = random.Random(2)
    secrets = [base64.urlsafe_b64encode(chance.randbytes(24)) for _ in range(SECRETS)]
    mask = Mask(secrets)
    spellings = mask.spellings
    data = lines((4 if quick else 32) << 20)

    def one_by_one(part: bytes) -> bytes:
        for spelling in spellings:
            part = part.replace(spelling, b"*" * len(spelling))
        return part

    together = re.compile(b"|".join(map(re.escape, spellings)))
    ours = rate(data, lambda part: mask.covered(part, 0, len(part)), 3)
    naive = rate(data, one_by_one, 2)
    alternation = rate(data[: 1 << 20], lambda part: together.sub(lambda found: b"*" * len(found[0]), part), 1)
    note = f"{len(spellings)} spellings"
    return [
        Figure(f"covering {SECRETS} secrets in output", ours, "MB/s", 50, at_least=True, note=note),
        Figure("times as fast as a replace for each spelling", ours / naive, "x", 1, at_least=True),
        Figure("times as fast as an alternation of re", ours / alternation, "x", 1, at_least=True),
    ]
