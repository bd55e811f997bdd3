"""SQLite files: durable, shared between threads and processes, with errors that say what to do."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streamproc.errors import StreamprocError

_TIMEOUT_S = 10.0
_PAUSE_S = 0.02
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class DatabaseError(StreamprocError):
    """A database that can't be opened, read or written."""

    def __init__(self, path: Path, error: Exception, advice: str) -> None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        self.busy = code in (*_BUSY, sqlite3.SQLITE_FULL)
        """whether another try may work: another connection writes, or the disk is full"""
        self.foreign = code == sqlite3.SQLITE_NOTADB
        """whether the file is no SQLite database"""
        self.reason = str(error)
        super().__init__(f"{path}: {error}; {advice}" if advice else f"{path}: {error}")


class Database:
    """An open SQLite file. Its methods are thread-safe; every error is a `DatabaseError`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, advice: str) -> None:
        self._path = path
        self._connection = connection
        self._advice = advice
        self._lock = threading.RLock()

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a statement."""
        with self._lock, self._translated():
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction, durable once the block ends; an exception undoes it. Other threads wait."""
        with self._lock, self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DatabaseError(self._path, error, self._advice) from error


def open_database(
    path: Path,
    schema: str = "",
    *,
    prepare: Callable[[sqlite3.Connection], None] | None = None,
    advice: str = "free the disk, or choose another path",
    readonly: bool = False,
    timeout_s: float = _TIMEOUT_S,
) -> Database:
    """Open an SQLite file in WAL mode with full synchronisation: a finished transaction survives a power failure.

    schema: statements that make missing tables and indices; they run at every opening.
    prepare: runs on the connection before `schema`, to check or migrate an existing file.
    advice: what to do when the file can't be used; ends every error.
    readonly: open an existing file and change nothing.
    timeout_s: longest wait while another connection writes.

    Raises `DatabaseError`.
    """
    try:
        if not readonly:
            path.parent.mkdir(parents=True, exist_ok=True)
        name = f"{path.resolve().as_uri()}?mode={'ro' if readonly else 'rwc'}"
        connection = sqlite3.connect(name, uri=True, check_same_thread=False, isolation_level=None, timeout=timeout_s)
        try:
            if not readonly:
                _use_wal(connection, timeout_s)
                connection.execute("PRAGMA synchronous=FULL")
            if prepare is not None:
                prepare(connection)
            connection.executescript(schema)
        except BaseException:
            connection.close()
            raise
    except (OSError, sqlite3.Error) as error:
        reason = OSError(error.strerror) if isinstance(error, OSError) else error
        raise DatabaseError(path, reason, advice) from error
    return Database(path, connection, advice)


def _use_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Switch to WAL mode; retry, as SQLite doesn't wait here while another process opens the same new file."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_S)


__all__ = ["Database", "DatabaseError", "open_database"]
