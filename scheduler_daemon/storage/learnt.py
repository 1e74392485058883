"""What the engines of insights have learnt: a SQLite file of the analyst's own, so that it holds up no other writer.

All of it can be learnt anew from the runs. What is learnt of runs and how far they were read is committed together.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

SHAPE = "7"
"""Of what is kept: with another one everything is learnt anew."""

SAMPLES = 8 << 20
"""Bytes of samples that are kept."""
_AT_ONCE = 250
_FORGET = """DELETE FROM samples WHERE id IN (SELECT id FROM (
  SELECT id, sum(length(rows)) OVER (ORDER BY id DESC) AS newer FROM samples) WHERE newer > ?)"""
_KEEP_JOB = "INSERT INTO jobs VALUES (?, ?) ON CONFLICT (job_id) DO UPDATE SET state = excluded.state"
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (job_id TEXT PRIMARY KEY, state BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS samples (id INTEGER PRIMARY KEY, rows BLOB NOT NULL);
"""


class Learnt:
    """One process's file."""

    def __init__(self, path: Path) -> None:
        """Open the file when no other process has it; one that is spoilt or of another shape is begun anew."""
        self._path = path
        self._lock = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            self._db = self._open()
        except sqlite3.DatabaseError:
            self._remove()
            self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(self._path, isolation_level=None)
        try:
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-8192", "journal_size_limit=16777216"):
                db.execute(f"PRAGMA {pragma}")
            db.executescript(_TABLES)
            db.execute("INSERT OR IGNORE INTO facts VALUES ('shape', ?)", (SHAPE,))
            _must_be_ours(db)
        except sqlite3.DatabaseError:
            db.close()
            raise
        return db

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).unlink()

    def fact(self, key: str) -> str | None:
        """Return what is kept under a name."""
        found = self._db.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return found[0] if found else None

    def jobs(self, job_ids: Sequence[str]) -> dict[str, bytes]:
        """Return what is kept of these jobs, of those of which anything is."""
        found: dict[str, bytes] = {}
        for start in range(0, len(job_ids), _AT_ONCE):
            part = job_ids[start : start + _AT_ONCE]
            places = ",".join("?" * len(part))
            found.update(self._db.execute(f"SELECT job_id, state FROM jobs WHERE job_id IN ({places})", part))  # noqa: S608
        return found

    def samples(self) -> bytes:
        """Return what is kept of runs to train on, the earliest first."""
        return b"".join(rows for (rows,) in self._db.execute("SELECT rows FROM samples ORDER BY id"))

    def commit(self, facts: Mapping[str, str], jobs: Mapping[str, bytes], samples: bytes = b"") -> None:
        """Keep all of this, or nothing of it. `samples` are added to those that are kept, and the earliest go."""
        self._db.execute("BEGIN")
        try:
            self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())
            self._db.executemany(_KEEP_JOB, sorted(jobs.items()))
            if samples:
                self._db.execute("INSERT INTO samples (rows) VALUES (?)", (samples,))
                self._db.execute(_FORGET, (SAMPLES,))
        except sqlite3.Error:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Let the file go."""
        self._db.close()
        os.close(self._lock)


def _must_be_ours(db: sqlite3.Connection) -> None:
    (shape,) = db.execute("SELECT value FROM facts WHERE key = 'shape'").fetchone()
    if shape != SHAPE:
        raise sqlite3.DatabaseError(f"what was learnt is of shape {shape}, not {SHAPE}")
    (whole,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if whole != "ok":
        raise sqlite3.DatabaseError(f"what was learnt is spoilt: {whole}")
