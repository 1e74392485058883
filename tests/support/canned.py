"""A small real HTTP server on a unix socket that gives prepared answers and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Canned:
    """Answers by method and decoded path; several for one are given in turn, the last for ever."""

    socket: Path
    asked: list[Asked] = field(default_factory=list)
    _answers: dict[tuple[str, str], list[tuple[int, bytes, str]]] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: Any = None, status: int = 200) -> None:
        """Prepare an answer: a model, a JSON value, or bytes as they are."""
        if isinstance(body, bytes):
            content, kind = body, "application/octet-stream"
        elif isinstance(body, BaseModel):
            content, kind = body.model_dump_json().encode(), "application/json"
        else:
            content, kind = (b"" if body is None else json.dumps(body).encode()), "application/json"
        self._answers.setdefault((method, path), []).append((status, content, kind))

    def find(self, method: str, path: str) -> tuple[int, bytes, str]:
        """Return the next answer for a request."""
        answers = self._answers.get((method, path))
        if not answers:
            return 500, f"nothing prepared for {method} {path}".encode(), "text/plain"
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def beside(self, path: str) -> bool:
        """Tell whether this is what `job add` asks after its work, and the test has nothing prepared for it."""
        return path.startswith("/v1/policies/") and ("GET", path) not in self._answers

    @property
    def last(self) -> Asked:
        """The latest request."""
        return self.asked[-1]


@contextlib.contextmanager
def canned_server() -> Iterator[Canned]:
    """Serve on a short socket path of its own."""
    directory = Path(tempfile.mkdtemp(prefix="chronos-canned-"))
    canned = Canned(directory / "api.sock")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = unquote(url.path)
            if not canned.beside(path):
                canned.asked.append(Asked(self.command, path, query, dict(self.headers.items()), body))
            status, content, kind = canned.find(self.command, path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815 - the names http.server looks for

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingUnixStreamServer(str(canned.socket), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield canned
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        shutil.rmtree(directory)
