"""A stand-in for the Claude API on loopback, for the real SDK to speak to: it keeps what it was sent."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

Send = Callable[[bytes], None]


class Wants(NamedTuple):
    """An answer that asks for tools: (name, arguments as JSON) of each."""

    tools: tuple[tuple[str, str], ...]


Behaviour = str | dict[str, Any] | Wants


class Stub:
    """Answers each request as `behaviour` says: one of the names below, a document to answer with, or tools to ask for.

    Of a list each request takes the next, and all that are left the last.
    """

    def __init__(self) -> None:
        self.behaviour: Behaviour | list[Behaviour] = {}
        self.bodies: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.url = ""
        self._serving: set[asyncio.Task[None]] = set()

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection."""
        self._serving.add(asyncio.create_task(self._serve(reader, writer)))

    async def stop(self) -> None:
        """End what is still being answered."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._heard(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _heard(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        sizes = (int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length"))
        length = next(sizes)
        self.heads.append(head)
        self.bodies.append(json.loads(await reader.readexactly(length)))
        await self._answer(writer)

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        how = self.behaviour
        if isinstance(how, list):
            how = how.pop(0) if len(how) > 1 else how[0]
        if isinstance(how, dict):
            return await self._stream(writer, json.dumps(how))
        if isinstance(how, Wants):
            return await self._stream(writer, "", tools=how.tools, reason="tool_use")
        match how:
            case "429" | "529" | "401" | "500" | "400":
                body = json.dumps({"type": "error", "error": {"type": "x", "message": "no: " + str(self.bodies[-1])}})
                _respond(writer, int(how), "application/json", body)
            case "html":
                _respond(writer, 200, "text/html", "<html><body>Welcome to the hotel</body></html>")
            case "empty":
                _respond(writer, 200, "text/event-stream", "")
            case "json garbage":
                _respond(writer, 200, "text/event-stream", "event: message_start\ndata: {not json\n\n")
            case "wrong shape":
                _respond(writer, 200, "text/event-stream", 'event: message_start\ndata: {"type": "message_start"}\n\n')
            case "hang":
                await asyncio.sleep(3600)
            case "hang up":
                return None
            case "drip":
                await self._stream(writer, '{"text": "' + "a" * 30_000, pause=0.02)
            case "error event":
                await self._stream(writer, '{"text": "so', end=[("error", {"error": {"type": "overloaded_error"}})])
            case "cut":
                await self._stream(writer, '{"text": "so far so', end=[])
            case "refusal":
                await self._stream(writer, "", reason="refusal")
            case "truncated":
                await self._stream(writer, '{"text": "and then', reason="max_tokens")
            case "broken json":
                await self._stream(writer, '{"text": "fine", "fix": ')
            case "prose":
                await self._stream(writer, "Sure! Here is what happened: it broke.")
            case "endless":
                await self._stream(writer, '{"text": "' + "a" * 200_000)
            case _:
                raise AssertionError(how)
        return None

    async def _stream(
        self, writer: asyncio.StreamWriter, text: str, *, reason: str = "end_turn",
        end: list[tuple[str, dict[str, Any]]] | None = None, pause: float = 0, tools: tuple[tuple[str, str], ...] = (),
    ) -> None:  # fmt: skip
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        usage = {"input_tokens": 1000, "output_tokens": 1}
        message: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
        message |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
        first = {"index": 0, "content_block": {"type": "text", "text": ""}}
        _event(writer, "message_start", {"message": message})
        _event(writer, "content_block_start", first)
        for at in range(0, len(text), 40):
            _event(
                writer, "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text[at : at + 40]}}
            )
            await writer.drain()
            await asyncio.sleep(pause)
        for at, (name, arguments) in enumerate(tools, start=1):
            block = {"type": "tool_use", "id": f"toolu_{at}", "name": name, "input": {}}
            _event(writer, "content_block_start", {"index": at, "content_block": block})
            for part in (arguments[:3], arguments[3:]):
                more = {"type": "input_json_delta", "partial_json": part}
                _event(writer, "content_block_delta", {"index": at, "delta": more})
            _event(writer, "content_block_stop", {"index": at})
        delta = {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": 200}}
        whole: list[tuple[str, dict[str, Any]]] = [
            ("content_block_stop", {"index": 0}),
            ("message_delta", delta),
            ("message_stop", {}),
        ]
        for name, data in whole if end is None else end:
            _event(writer, name, data)
        await writer.drain()


def _event(writer: asyncio.StreamWriter, name: str, data: dict[str, Any]) -> None:
    writer.write(f"event: {name}\ndata: {json.dumps({'type': name} | data)}\n\n".encode())


def _respond(writer: asyncio.StreamWriter, status: int, kind: str, body: str) -> None:
    raw = body.encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\nconnection: close\r\n\r\n"
    writer.write(head.encode() + raw)


@contextlib.asynccontextmanager
async def stubbed() -> AsyncIterator[Stub]:
    """Serve on a free port of loopback while within."""
    stub = Stub()
    server = await asyncio.start_server(stub.take, "127.0.0.1", 0, limit=1 << 22)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield stub
    finally:
        server.close()
        await stub.stop()


@contextlib.contextmanager
def serving() -> Iterator[Stub]:
    """Serve from a thread while within, for a program in another process."""
    loop = asyncio.new_event_loop()
    ready, over = threading.Event(), asyncio.Event()
    found: list[Stub] = []

    async def serve() -> None:
        async with stubbed() as stub:
            found.append(stub)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
