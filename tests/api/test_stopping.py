"""Stopping the daemon leaves a trace, and works even where none can be left."""

from tests.support.world import rows


async def test_who_stops_the_daemon_is_recorded(served) -> None:
    await served.http.post("/v1/shutdown", params={"jobs": "stop"})

    acts = await served.database.read(lambda db: [(row.verb, row.detail) for row in rows(db, "audit")])

    assert acts[-1] == ("daemon.stop", {"jobs": "stop"})
