"""What jobs write: kept byte for byte, shown line by line, capped in the middle, live as it comes."""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import sys
import time
from pathlib import Path

from chronos_tui.client import calls
from chronos_tui.client.live import LiveClient
from chronos_tui.feed.feed import Feed
from scheduler_daemon.contract.channels import log as log_channel
from tests.support.api import Api
from tests.support.daemon import DaemonHandle, wait_until

HARD_BYTES = bytes(range(256)) + b"\n\xff\xfe\xc3 broken \xe2\x82\n\x1b]52;c;aGk=\x07\x1b[2J\r\n" + "naïve ✓\n".encode()
CAP = 65_536


def test_a_line_of_a_mebibyte_is_kept_whole(daemon: DaemonHandle, api: Api) -> None:
    run = api.run("head -c 1048576 /dev/zero | tr '\\0' x; echo; echo after")
    api.until_final(run)
    page = api.finished_log(run)

    shown = daemon.chronos("log", str(run))

    assert api.output(run) == b"x" * 1_048_576 + b"\nafter\n"
    assert "".join(line["text"] for line in page["lines"][:-1]) == "x" * 1_048_576
    assert page["lines"][-1]["text"] == "after"
    assert shown.returncode == 0
    assert shown.stdout.count("x") == 1_048_576
    assert shown.stdout.splitlines()[-1].endswith("after")


def test_bytes_that_are_no_text_are_kept_exactly(daemon: DaemonHandle, api: Api) -> None:
    octal = "".join(f"\\{byte:03o}" for byte in HARD_BYTES)
    run = api.run(f"printf '{octal}'; printf '{octal}' >&2")
    api.until_final(run)
    page = api.finished_log(run)

    shown = daemon.chronos("log", str(run))

    assert api.output(run) == api.output(run, "stderr") == HARD_BYTES
    assert any("\ufffd" in line["text"] for line in page["lines"])
    assert any(line["text"] == "naïve ✓" for line in page["lines"])
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[-1] == "naïve ✓"


def test_endless_output_keeps_head_and_tail(daemon: DaemonHandle, api: Api) -> None:
    run = api.run("yes 0123456 | head -c 30000000; echo; echo the very end", output_limit_bytes=CAP)
    end = api.until_final(run)
    page = api.finished_log(run)

    kept = api.output(run)

    whole = b"0123456\n" * (30_000_000 // 8) + b"\nthe very end\n"
    assert end["usage"]["output_bytes"] == len(whole)
    assert kept[: CAP // 2] == whole[: CAP // 2]
    assert kept[-CAP // 2 :] == whole[-CAP // 2 :]
    assert page["dropped_bytes"] == len(whole) - len(kept)
    numbers = [line["number"] for line in page["lines"]]
    assert numbers == sorted(set(numbers))
    assert page["lines"][-1]["text"] == "the very end"
    assert "the very end" in daemon.chronos("log", str(run), "--tail", "3").stdout


def test_output_without_end_takes_neither_disk_nor_memory(daemon: DaemonHandle, api: Api) -> None:
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status")
    run = api.run("yes 'a line of output without end'", output_limit_bytes=1 << 20, grace_ms=100)
    api.until_running([run])
    file = daemon.state / "spool" / str(run) / "stdout"
    before, on_disk, in_memory = _resident(status), [], []

    def wrote_a_gibibyte() -> bool:
        found = file.stat()
        on_disk.append(found.st_blocks * 512)
        in_memory.append(_resident(status) - before)
        return found.st_size > 1 << 30

    wait_until(wrote_a_gibibyte, seconds=90, every=0.1)
    api.ask(calls.cancel(run))
    end = api.until_final(run)
    page = api.finished_log(run)

    assert max(on_disk) < 512 << 20
    assert max(in_memory) < 64 << 20
    assert page["dropped_bytes"] == end["usage"]["output_bytes"] - (1 << 20)
    assert page["lines"][0]["number"] == 1
    numbers = [line["number"] for line in page["lines"]]
    assert numbers == sorted(set(numbers))


def _resident(status: Path) -> int:
    """Return the bytes of memory a process has."""
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def test_much_output_under_the_cap_is_equal_byte_for_byte(api: Api) -> None:
    script = "head -c 3000000 /dev/urandom > copy; cat copy; cat copy >&2; sha256sum < copy > sum; rm copy"
    run = api.run(f'cd "$(mktemp -d)"; {script}; cat sum; pwd; rm -r "$PWD"')
    api.until_final(run)
    api.finished_log(run)

    out, err = api.output(run), api.output(run, "stderr")

    assert out[:3_000_000] == err
    assert out[3_000_000:].split()[0].decode() == hashlib.sha256(err).hexdigest()


class _Nobody:
    def heard(self, event: object) -> None:
        """Not of interest."""

    def link_changed(self, link: object) -> None:
        """Not of interest."""

    async def snapshot(self) -> None:
        """Nothing is shown."""


async def test_lines_are_heard_as_they_are_written(api: Api) -> None:
    run = api.run("sleep 1; for i in $(seq 40); do date +%s.%N; sleep 0.05; done", name="timed")
    heard: list[tuple[float, float, int]] = []

    async with LiveClient(api.address) as client:
        feed = Feed(client, _Nobody())
        task = asyncio.create_task(feed.run())
        try:
            async with asyncio.timeout(15):
                while feed.link.kind != "live":
                    await asyncio.sleep(0.01)
                assert feed.session is not None
                await client.follow_log(run, feed.session.id)
                async with feed.hear(log_channel(run)) as queue:
                    await feed.subscribe(log_channel(run))
                    while len(heard) < 40:
                        message = await queue.get()
                        assert message is not None
                        for line in message.lines:
                            heard.append((time.time(), float(line["text"]), line["number"]))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    delays = sorted(at - written for at, written, _ in heard)
    sys.stdout.write(
        f"\nlive lines: median {statistics.median(delays) * 1e3:.0f} ms, worst {delays[-1] * 1e3:.0f} ms\n"
    )
    assert [number for _, _, number in heard] == list(range(1, 41))


def test_history_can_be_searched(daemon: DaemonHandle, api: Api) -> None:
    run = api.run("seq 5000; echo 'A needle, found'; seq 5000 >&2")
    api.until_final(run)
    api.finished_log(run)

    found = api.ask(calls.log(run, search="NEEDLE"))["lines"]

    assert [line["text"] for line in found] == ["A needle, found"]
    wait_until(lambda: "needle" in daemon.chronos("log", str(run), "--search", "needle").stdout)


def test_a_followed_log_shows_each_line_once(daemon: DaemonHandle, api: Api) -> None:
    run = api.run("echo one; printf begun; sleep 0.7; echo ' and ended'; sleep 0.3; echo error >&2; printf last")

    shown = daemon.chronos("log", str(run), "--follow")

    assert shown.stdout == "one\nbegun and ended\nerror\nlast\n"


def test_an_unended_last_line_of_a_running_job_is_printed_once(daemon: DaemonHandle, api: Api) -> None:
    run = api.run("echo one; printf begun; sleep 600", grace_ms=100)
    wait_until(lambda: api.output(run) == b"one\nbegun")

    shown = daemon.chronos("log", str(run))
    api.ask(calls.cancel(run))

    assert shown.stdout == "one\nbegun\n"
