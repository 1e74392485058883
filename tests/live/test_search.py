"""What a user types finds what they mean, and can neither break nor widen the query."""

import random
import re
import string

import pytest
from redis.asyncio import Redis

from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command
from scheduler_daemon.live.indexes import indexing_failures
from scheduler_daemon.live.projection import project
from scheduler_daemon.live.rebuild import rebuild
from scheduler_daemon.live.search import SORTS, Query, parse_query, search
from tests.support.changes import EPOCH_START, job_change

NOW = round(EPOCH_START.timestamp() * 1000)
ADA, BOB = "cs:ch:user:ada", "cs:ch:user:bob"


def last(state: str, outcome: str, *, days_ago: int) -> dict:
    return {
        "id": 1,
        "state": state,
        "outcome": outcome,
        "fire_at": EPOCH_START.isoformat(),
        "ended_at": NOW - days_ago * 86_400_000,
    }


JOBS = [
    job_change("a", name="nightly-report", command="/usr/bin/report --all", tags=["db", "Finance"], owner="ada",
               last=last("failed", "exit_code", days_ago=1), heard_by=(ADA,), next_fire_at=NOW + 1000),
    job_change("b", name="backup_db", command="pg_dump main | gzip", tags=["db"], owner="bob",
               last=last("succeeded", "ok", days_ago=5), heard_by=(ADA, BOB), next_fire_at=NOW + 2000),
    job_change("c", name="Straße fegen", command="sweep", owner="bob", paused=True, heard_by=(BOB,), next_fire_at=None),
    job_change("d", name="the 2nd report", command="report 2", tags=["a,b c"], owner="ada", heard_by=(BOB,), active=1,
               next_fire_at=NOW + 7_200_000),
]  # fmt: skip


@pytest.fixture
async def filled(redis: Redis) -> Redis:
    await rebuild(redis, JOBS, [])
    return redis


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "abcd"),
        ("   ", "abcd"),
        ("report", "ad"),
        ("rep", "ad"),
        ("r", "ad"),
        ("rep nig", "a"),
        ("NIGHTLY-REPORT", "a"),
        ("the", "d"),
        ("2", "d"),
        ("db", "ab"),
        ("backup_db", "b"),
        ("/usr/bin/rep", "a"),
        ("STRASSE", "c"),
        ("straße", "c"),
        ("finance", "a"),
        ("pg_dump", "b"),
        ("status:failed", "a"),
        ("status:exit_code", "a"),
        ("status:ok,failed", "ab"),
        ("status:paused", "c"),
        ("status:running", "d"),
        ("-status:paused", "abd"),
        ("tag:db", "ab"),
        ("tag:FINANCE", "a"),
        ("tag:nothing", ""),
        ("owner:bob tag:db", "b"),
        ("owner:ada report -tag:db", "d"),
        ("since:2d", "a"),
        ("since:1w", "ab"),
        ("next:1h", "ab"),
        ("next:1h -tag:finance", "b"),
        ("no such thing", ""),
    ],
)
async def test_a_filter_finds_what_it_says(filled: Redis, text: str, found: str) -> None:
    result = await search(filled, text, now_ms=NOW)

    assert "".join(sorted(result.ids)) == found
    assert result.total == len(found)


HOSTILE = [
    "*", "**", "@name:*", "@seen:{*}", "tag:*", "tag:{db}", "tag:db}|@owner:{bob", "owner:bob|ada", "owner:*",
    "status:}", "-", "--", "|", "(", ")", "((((", '"', "'", "\\", "%", "%%report%%", "~report", "$p0", "$", "tag:$p0",
    "=>", "[0 +inf]", "@next_ms:[-inf +inf]", "since:", "since:-1d", "since:9999999d", "since:1d]|*", "next:1y", ":",
    "::", "tag:", "tag:,", "-tag:", "a:b:c", "http://x/y?z=1", "\x00", "\x00*", "\u202e", "report\x00*", "é" * 500,
    "x " * 500, "tag:" + "y," * 500, "tag:a\\,b", "{", "}", "[", "]", "<", ">", ";", 'tag:"x"', "DIALECT 2",
    "PARAMS 0", "FT.DROPINDEX", "_", "\ud800", "report*", "re*t",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_never_breaks_the_query_nor_finds_what_is_not_ones_own(filled: Redis, text: str) -> None:
    jobs = await search(filled, text, now_ms=NOW, seen_by=(ADA,))

    assert set(jobs.ids) <= {"a", "b"}


@pytest.mark.parametrize("text", [*HOSTILE, string.printable, " ".join(string.punctuation)])
def test_the_query_holds_nothing_the_user_typed(text: str) -> None:
    query = parse_query(text, NOW)

    clause = r"\(\$p\d+\*\)|-?@(status|tags|owner):\{\$p\d+(\|\$p\d+)*\}|-?@(last|next)_ms:\[-?\w+ \+?\w+\]"
    assert query.text == "*" or all(re.fullmatch(clause, one) for one in query.clauses)


async def test_nobody_sees_nothing(filled: Redis) -> None:
    assert (await search(filled, "", now_ms=NOW, seen_by=())).total == 0


async def test_jobs_come_by_name_or_by_next_fire_with_the_paused_last(filled: Redis) -> None:
    by_name = await search(filled, "", now_ms=NOW)
    by_next = await search(filled, "", now_ms=NOW, sort="next")
    backwards = await search(filled, "", now_ms=NOW, sort="name", descending=True)

    assert by_name.ids == ("b", "a", "c", "d")
    assert by_next.ids == ("a", "b", "d", "c")
    assert backwards.ids == by_name.ids[::-1]


@pytest.fixture
async def crowd(redis: Redis) -> Redis:
    """Twenty jobs: five each of a name, and a next fire a second after that of the job before."""
    jobs = [job_change(f"{n:02}", name=f"name {n % 4}", next_fire_at=NOW + 1000 * n) for n in range(1, 21)]
    await rebuild(redis, jobs, [])
    return redis


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", ["next", "last", "name"])
async def test_pages_join_without_a_gap_or_a_double_even_among_equals(
    crowd: Redis, sort: str, descending: bool
) -> None:
    seen: list[str] = []
    cursor: str | None = None

    while True:
        page = await search(crowd, "", now_ms=NOW, sort=sort, descending=descending, limit=3, after=cursor)
        seen += page.ids
        assert page.total == 20
        if (cursor := page.next) is None:
            break

    assert sorted(map(int, seen)) == list(range(1, 21))
    if sort == "next":
        assert list(map(int, seen)) == sorted(range(1, 21), reverse=descending)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", SORTS)
async def test_every_order_pages_through_all_once_and_in_order(redis: Redis, sort: str, descending: bool) -> None:
    names = ["Zoë", "éclair", "a", "nightly-1", "nightly-2", "nightly-10", "日本", "same", "same", "same", "_x", "0"]
    chosen = random.Random(3)
    ends = [last("succeeded", "ok", days_ago=chosen.randrange(5)) for _ in range(60)]
    jobs = [
        job_change(f"j{n}", name=names[n % 12], next_fire_at=NOW + chosen.randrange(9), last=ends[n]) for n in range(60)
    ]
    await rebuild(redis, jobs, [])

    paged: list[str] = []
    cursor = None
    while True:
        page = await search(
            redis, "", now_ms=NOW, after=cursor, limit=7, seen_by=("cs:ch:all",), sort=sort, descending=descending
        )
        paged += page.ids
        if (cursor := page.next) is None:
            break

    whole = await search(redis, "", now_ms=NOW, limit=200, sort=sort, descending=descending)
    assert paged == list(whole.ids)
    assert len(set(paged)) == 60


async def test_a_page_by_value_goes_on_rightly_when_rows_came_before_it(crowd: Redis) -> None:
    first = await search(crowd, "", now_ms=NOW, sort="next", descending=True, limit=5)
    await project(crowd, [job_change(f"{n}", name="later", next_fire_at=NOW + 1000 * n) for n in (21, 22)])

    second = await search(crowd, "", now_ms=NOW, sort="next", descending=True, limit=5, after=first.next)

    assert second.ids == ("15", "14", "13", "12", "11")


async def test_a_window_may_begin_anywhere(crowd: Redis) -> None:
    whole = await search(crowd, "", now_ms=NOW, limit=20, sort="next", descending=True)
    window = await search(crowd, "", now_ms=NOW, limit=5, after="~7", sort="next", descending=True)

    assert window.ids == whole.ids[7:12]


@pytest.mark.parametrize("cursor", ["*", "1", "~", "1~2~3", "1e9~0", "-~1", "~99999999"])
async def test_a_spoilt_cursor_is_refused(filled: Redis, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await search(filled, "", now_ms=NOW, after=cursor)


async def test_an_unknown_sort_is_refused_with_the_known_ones(filled: Redis) -> None:
    with pytest.raises(ValueError, match="name, next, last"):
        await search(filled, "", now_ms=NOW, sort="colour")


async def test_a_change_is_searchable_at_once(filled: Redis) -> None:
    await project(filled, [job_change("a", version=2, name="renamed")])

    assert (await search(filled, "renamed", now_ms=NOW)).ids == ("a",)
    assert (await search(filled, "nightly", now_ms=NOW)).ids == ()


async def test_documents_with_odd_values_are_indexed_all_the_same(filled: Redis) -> None:
    odd = job_change("odd", name="\x01 odd", owner=None, tags=None, last={}, next_fire_at=None, command=None)

    await project(filled, [odd])

    assert await indexing_failures(filled) == 0
    assert (await search(filled, "odd", now_ms=NOW)).ids == ("odd",)


async def test_a_document_the_index_refuses_is_noticed(filled: Redis) -> None:
    await command(filled, "JSON.SET", keys.job("bad"), "$", '{"idx":{"next_ms":"tomorrow"}}')

    assert await indexing_failures(filled) == 1


async def test_one_letter_finds_every_one_of_many_names(redis: Redis) -> None:
    await rebuild(redis, [job_change(f"j{number}", name=f"w{number:05}", command="x") for number in range(700)], [])

    assert (await search(redis, "w", now_ms=NOW)).total == 700


def test_an_empty_query_asks_for_all() -> None:
    assert Query().text == "*"
