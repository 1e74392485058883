"""Log lines grouped by what their program printed."""

import json

import pytest

from scheduler_daemon.insights.templates import MAX_CHARS, Miner, masked


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("took 12.5 ms at 10.0.0.7:5432", "took <num> ms at <ip>"),
        ("2026-03-01T09:00:01.250Z ERROR no route", "<time> ERROR no route"),
        ("Sun Jul 24 02:38:22 2005 up", "<time> <time> <num> up"),
        ("open /var/lib/x/y.db failed", "open <path> failed"),
        ("user 'bob' said \"a b c\" twice", "user <text> said <text> twice"),
        ("job 0b9e7c9e-5d0c-4a5e-9d53-0d6b6dbe9f2a done", "job <id> done"),
        ("commit 4f2a9c1be is bad at 0xdeadBEEF", "commit <hex> is bad at <hex>"),
        ("GET https://a.example/x?y=1 ok", "GET <url> ok"),
        ("\x1b[31merror\x1b[0m: exit 3", "error: exit <num>"),
        ("can't do it, won't do it", "can't do it, won't do it"),
    ],
)
def test_values_become_placeholders(line: str, said: str) -> None:
    assert masked(line) == said


def test_lines_that_differ_in_a_word_share_a_template() -> None:
    miner = Miner()

    first = miner.add("could not copy orders to the archive")
    second = miner.add("could not copy invoices to the archive")
    other = miner.add("could not reach the archive in time at all")

    assert first is second
    assert first.text == "could not copy <*> to the archive"
    assert first.count == 2
    assert other is not first


def test_an_id_lasts_while_its_template_widens() -> None:
    miner = Miner()
    before = miner.add("could not copy orders to the archive").id

    miner.add("could not copy invoices to the archive")

    assert miner.get(before) is miner.find("could not copy payments to the archive")


def test_find_learns_nothing() -> None:
    miner = Miner()

    assert miner.find("something new") is None
    assert len(miner) == 0


def test_what_was_dumped_goes_on_as_if_nothing_had_happened() -> None:
    lines = [f"could not copy {name} to the archive of {day}" for day in range(3) for name in ("orders", "invoices")]
    whole, half = Miner(), Miner()
    for line in lines:
        whole.add(line)
    for line in lines[:3]:
        half.add(line)

    loaded = Miner.load(json.loads(json.dumps(half.dump())))
    for line in lines[3:]:
        loaded.add(line)

    assert loaded.dump() == whole.dump()


def test_the_template_not_seen_for_longest_is_forgotten_first() -> None:
    miner = Miner(limit=3)
    first, second = miner.add("alpha"), miner.add("beta gamma")
    miner.add("one two three")
    miner.add("alpha")

    miner.add("and now for something")

    assert len(miner) == 3
    assert miner.get(first.id) is first
    assert miner.get(second.id) is None


def test_memory_is_bounded_whatever_is_printed() -> None:
    miner = Miner(limit=500)

    for number in range(3000):
        word = "".join(chr(97 + (number >> shift) % 26) for shift in (0, 2, 5, 8))
        miner.add(f"{word} {word[::-1]} " + f"{word} " * (number % 7))

    assert len(miner) <= 500
    assert sum(len(leaf) for leaf in miner._leaves.values()) == len(miner)


@pytest.mark.parametrize("piece", ["/", "a/", "'", '"', "1.", "-1:", "0x", "<*> ", "a" * 6 + "-", "\x1b[", "\\"])
def test_a_line_made_to_be_slow_is_cut(piece: str) -> None:
    miner = Miner()

    template = miner.add(piece * (1 << 20))

    assert len(template.text) <= MAX_CHARS
