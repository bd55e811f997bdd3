"""SQLite files: shared, durable, and errors that say what to do."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from streamproc.database import Database, DatabaseError, open_database

SCHEMA = "CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY)"


def add(db: Database, *names: str) -> None:
    with db.transaction() as connection:
        for name in names:
            if not name:
                raise ValueError("no name")
            connection.execute("INSERT INTO things VALUES (?)", (name,))


def test_threads_and_connections_share_a_new_file(tmp_path: Path) -> None:
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        db = open_database(tmp_path / "new" / "db", SCHEMA)
        for n in range(5):
            add(db, f"{number} {n}")
        db.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db = open_database(tmp_path / "new" / "db", readonly=True)
    assert db.read("SELECT count(*) FROM things") == [(40,)]
    db.close()


def test_a_file_is_durable_and_in_wal_mode(tmp_path: Path) -> None:
    db = open_database(tmp_path / "db", SCHEMA)
    assert db.read("PRAGMA journal_mode") == [("wal",)]
    assert db.read("PRAGMA synchronous") == [(2,)]
    db.close()


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    db = open_database(tmp_path / "db", SCHEMA)
    add(db, "first")
    with pytest.raises(DatabaseError, match="UNIQUE constraint failed"):
        add(db, "second", "first")
    with pytest.raises(ValueError, match="no name"):
        add(db, "third", "")
    assert db.read("SELECT name FROM things") == [("first",)]
    db.close()


def test_errors_name_file_reason_and_advice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DatabaseError, match=r"file/db: .*; free the disk, or choose another path$"):
        open_database(tmp_path / "file" / "db", SCHEMA)
    (tmp_path / "text").write_text("not a database, but long enough to be taken for one " * 20)
    with pytest.raises(DatabaseError, match=r"set runtime\.state$") as caught:
        open_database(tmp_path / "text", SCHEMA, advice="set runtime.state")
    assert caught.value.foreign
    assert not caught.value.busy


def test_a_locked_file_is_busy(tmp_path: Path) -> None:
    db = open_database(tmp_path / "db", SCHEMA, timeout_s=0.01)
    other = sqlite3.connect(tmp_path / "db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseError, match="is locked") as caught:
        add(db, "first")
    assert caught.value.busy
    other.close()
    add(db, "first")
    db.close()


def test_reading_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError):
        open_database(tmp_path / "db", readonly=True)
    assert not (tmp_path / "db").exists()
    open_database(tmp_path / "db", SCHEMA).close()
    db = open_database(tmp_path / "db", readonly=True)
    with pytest.raises(DatabaseError, match="readonly"):
        add(db, "first")
    db.close()
