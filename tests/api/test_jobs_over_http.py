"""Jobs and runs over HTTP: versions, repeats, pages, and who is at the other end of the socket."""

import asyncio
import hashlib
import subprocess
import sys

import httpx
import pytest

from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.settings import ApiSettings, SecretSettings, Settings
from scheduler_daemon.wiring import listen, prepare
from tests.support.world import rows


async def test_a_job_is_made_shown_changed_paused_run_and_deleted(served) -> None:
    made = await served.job("a/b c")
    path = "/v1/jobs/a%2Fb%20c"

    shown = await served.http.get(path)
    snoozed = await served.http.post(f"{path}/snooze", json={"fires": 1})
    paused = await served.http.post(f"{path}/pause")
    resumed = await served.http.post(f"{path}/resume")
    run = await served.http.post(f"{path}/run", json={"reason": "now"})
    deleted = await served.http.delete(path)

    assert (shown.json(), shown.headers["etag"]) == (made, '"1"')
    assert snoozed.json()["snoozed_until"]
    assert (paused.json()["paused"], resumed.json()["paused"]) == (True, False)
    assert (run.status_code, run.json()["state"], run.json()["reason"]) == (202, "starting", "now")
    assert served.engine.started == [run.json()["id"]]
    assert (deleted.status_code, (await served.http.get(path)).status_code) == (204, 404)
    assert served.engine.changed == [made["id"]] * 5
    assert served.engine.edits == 4


async def test_a_change_needs_the_version_it_was_made_to(served) -> None:
    await served.job()
    changes = {"changes": {"command": "false"}}

    by_header = await served.http.patch("/v1/jobs/job", json=changes, headers={"if-match": '"1"'})
    too_late = await served.http.patch("/v1/jobs/job", json=changes | {"version": 1})
    none = await served.http.patch("/v1/jobs/job", json=changes)
    nonsense = await served.http.patch("/v1/jobs/job", json=changes, headers={"if-match": "*"})

    assert (by_header.status_code, by_header.headers["etag"]) == (200, '"2"')
    assert (too_late.status_code, too_late.json()["kind"]) == (409, "conflict")
    assert [answer.status_code for answer in (none, nonsense)] == [422, 422]


async def test_a_name_that_is_taken_is_a_conflict(served) -> None:
    await served.job()

    again = await served.http.post("/v1/jobs", json={"spec": {"name": "job", "command": "true"}})

    assert (again.status_code, again.json()["kind"]) == (409, "conflict")


async def test_many_at_once_who_want_one_name_get_one_job(served) -> None:
    body = {"spec": {"name": "job", "command": "true"}}

    answers = await asyncio.gather(*(served.http.post("/v1/jobs", json=body) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/first/run", "/v1/imports/crontab?source=x"])
async def test_a_request_sent_again_is_done_once(served, path: str) -> None:
    await served.job("first", concurrency="allow")
    content = b"0 1 * * * echo\n" if "crontab" in path else b'{"spec": {"name": "second", "command": "true"}}'
    content = b"{}" if path.endswith("run") else content
    headers = {"content-type": "application/json", "idempotency-key": "k1"}

    first = await served.http.post(path, content=content, headers=headers)
    again = await served.http.post(path, content=content, headers=headers)
    other = await served.http.post(path, content=content + b" ", headers=headers)

    assert first.status_code in {200, 201, 202}
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert (other.status_code, other.json()["kind"]) == (409, "conflict")
    made = await served.database.read(lambda db: len(rows(db, "jobs")) + len(rows(db, "executions")))
    assert made == 2
    assert len(served.engine.started) == path.endswith("run")


async def test_no_secret_of_a_request_can_be_guessed_by_what_is_kept_of_it(served) -> None:
    content, key = b'{"spec": {"name": "second", "command": "true"}}', "0123456789abcdef"
    headers = {"content-type": "application/json", "idempotency-key": key}

    await served.http.post("/v1/jobs", content=content, headers=headers)

    (kept,) = await served.database.read(lambda db: rows(db, "idempotency"))
    assert kept.digest != hashlib.sha256(b"POST /v1/jobs?\n" + content).hexdigest()
    assert key not in str(kept)  # with which it could be told whether a guess is right


async def test_a_key_of_a_refused_request_may_be_used_again(served) -> None:
    headers = {"idempotency-key": "k"}
    await served.job()
    taken = await served.http.post("/v1/jobs", json={"spec": {"name": "job", "command": "true"}}, headers=headers)

    free = await served.http.post("/v1/jobs", json={"spec": {"name": "job 2", "command": "true"}}, headers=headers)

    assert (taken.status_code, free.status_code) == (409, 201)


async def test_pages_hold_everything_once_in_order(served) -> None:
    names = [f"job {number:02d}" for number in range(7)]
    for name in names:
        await served.job(name, concurrency="allow")
        await served.http.post(f"/v1/jobs/{name}/run")

    async def walk(path, **more):
        found, cursor = [], None
        while True:
            asked = more | {"limit": 3} | ({"cursor": cursor} if cursor else {})
            page = (await served.http.get(path, params=asked)).json()
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                return found

    assert [job["name"] for job in await walk("/v1/jobs")] == names
    assert [job["name"] for job in await walk("/v1/jobs", sort="-name")] == names[::-1]
    assert [job["name"] for job in await walk("/v1/jobs", q="job")] == names
    assert [run["job"] for run in await walk("/v1/executions")] == names[::-1]


async def test_events_go_on_from_the_last_one_seen(served) -> None:
    await served.job("a")
    first = (await served.http.get("/v1/events")).json()
    await served.job("b")

    rest = (await served.http.get("/v1/events", params={"after": first["next"]})).json()

    assert [event["doc"]["name"] for event in first["items"]] == ["a"]
    assert [event["doc"]["name"] for event in rest["items"]] == ["b"]


async def test_cancelling_tells_the_engine_and_a_second_time_conflicts_after_the_end(served) -> None:
    await served.job()
    run = (await served.http.post("/v1/jobs/job/run")).json()

    cancelled = await served.http.post(f"/v1/executions/{run['id']}/cancel", json={"reason": "enough"})

    assert (cancelled.status_code, served.engine.stopped) == (202, [run["id"]])


async def test_while_starting_health_is_503_and_says_so(served) -> None:
    served.engine.status = "starting"

    answer = await served.http.get("/healthz")

    assert (answer.status_code, answer.json()["status"]) == (503, "starting")


async def test_the_status_and_the_actor_are_told(served) -> None:
    await served.job()

    status = (await served.http.get("/v1/status")).json()
    actor = (await served.http.get("/v1/whoami")).json()

    assert (status["counts"]["jobs"], [fire["job"] for fire in status["next_fires"]]) == (1, ["job"])
    assert actor["role"] == "admin"


async def test_stopping_is_for_admins_and_says_what_becomes_of_jobs(served) -> None:
    kept = await served.http.post("/v1/shutdown")
    stopped = await served.http.post("/v1/shutdown", params={"jobs": "stop"})

    assert (kept.status_code, stopped.status_code, served.engine.farewell) == (202, 202, [False, True])


ASK = """
import http.client, os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
class Local(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])
asked = Local("chronos")
asked.request("GET", sys.argv[2])
answer = asked.getresponse()
print(answer.status, answer.read().decode())
"""


async def test_a_unix_account_without_an_account_here_is_refused(served) -> None:
    served.socket.parent.chmod(0o711)
    served.socket.chmod(0o666)

    asked = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-I", "-c", ASK, str(served.socket), "/v1/jobs"],
        capture_output=True, text=True, check=True, cwd="/", timeout=20,
    )  # fmt: skip

    assert asked.stdout.startswith("403 ")
    assert "uid 65534" in asked.stdout


async def test_tcp_wants_the_token_and_gives_the_first_admin(served) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}") as tcp:
        without = await tcp.get("/v1/whoami")
        wrong = await tcp.get("/v1/whoami", headers={"authorization": f"Bearer {served.token}x"})
        empty = await tcp.get("/v1/whoami", headers={"authorization": "Bearer"})
        right = await tcp.get("/v1/whoami", headers={"authorization": f"Bearer {served.token}"})

    assert [answer.status_code for answer in (without, wrong, empty, right)] == [403, 403, 403, 200]
    assert right.json()["role"] == "admin"


@pytest.mark.parametrize(
    "address", ["0.0.0.0:8000", "192.168.1.1:80", "[::]:80", "example.org:80", "8000", "127.0.0.1:x"]
)
def test_tcp_listens_on_loopback_alone(tmp_path, address: str) -> None:
    secrets = SecretSettings(key_file=tmp_path / "key")
    settings = Settings(state=tmp_path / "s", api=ApiSettings(tcp=address), secrets=secrets)

    with pytest.raises(Invalid, match=r"127\.0\.0\.1:PORT"):
        listen(settings, prepare(settings))
