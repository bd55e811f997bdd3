"""The sinks that write to this machine: what they write can be read, survives a crash, and comes once."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamproc.errors import SinkBusy, SinkError
from streamproc.events import Attachment, Event
from streamproc.eventstore import Query, search
from streamproc.frames import StreamInfo
from streamproc.sink import EventSink, SinkContext
from streamproc.sinks import sqlite
from streamproc.sinks.appending import LinesOptions
from streamproc.sinks.csv import COLUMNS, CsvSink
from streamproc.sinks.jsonl import JsonlSink
from streamproc.sinks.sqlite import SqliteOptions, SqliteSink
from streamproc.sinks.stdout import StdoutOptions, StdoutSink
from tests.events import check_record

DOCK = StreamInfo(name="dock", identity="abc", width=640, height=360)
GATE = replace(DOCK, name="gate")
LOG = logging.getLogger("tests.sinks")


def made(number: int, info: StreamInfo = DOCK, type: str = "zone.entered", **data: Any) -> Event:  # noqa: A002
    """The event at second `number`."""
    event = Event(
        type=type,
        phase="instant",
        start_ns=number * 10**9,
        end_ns=number * 10**9,
        frame_index=number * 25,
        pts_ns=number * 10**9,
        captured_ns=1_777_000_000_000_000_000 + number * 10**9,
        episode=f"e{number}",
        score=0.5,
        data={"label": "person", "track_id": number, "box": [1.0, 2.0, 30.5, 40.0], "zone": "yard", **data},
    )
    return event.stamped(info, "fence", 0)


def write(sink: EventSink[Any], *batches: Sequence[Event]) -> None:
    """Open, write, flush, close."""
    sink.open(SinkContext(name="out", log=LOG))
    for batch in batches:
        sink.write(batch)
    sink.flush()
    sink.close()


def jsonl(path: Path, **options: Any) -> JsonlSink:
    return JsonlSink(LinesOptions(path=path, **options))


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


# --- jsonl ---


def test_jsonl_writes_one_valid_cloudevent_a_line(tmp_path: Path) -> None:
    events = [made(1), made(2, note="über\nzwei Zeilen")]
    write(jsonl(tmp_path / "new" / "events.jsonl"), events)
    lines = (tmp_path / "new" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [event.to_json() for event in events]
    for line in lines:
        check_record(json.loads(line))


def test_jsonl_appends_to_earlier_runs_unless_replacing(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write(jsonl(path), [made(1)])
    write(jsonl(path), [made(2)])
    assert ids(path) == [made(1).id, made(2).id]
    write(jsonl(path, mode="replace"), [made(3)])
    assert ids(path) == [made(3).id]


def test_jsonl_reopened_in_one_run_retains_its_lines(tmp_path: Path) -> None:
    sink = jsonl(tmp_path / "events.jsonl", mode="replace")
    write(sink, [made(1)])
    write(sink, [made(2)])
    assert ids(tmp_path / "events.jsonl") == [made(1).id, made(2).id]


@pytest.mark.parametrize("sink", [JsonlSink, CsvSink])
@pytest.mark.parametrize("length", [1, 20, 200])
def test_unfinished_line_of_a_crash_is_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sink: type[JsonlSink | CsvSink], length: int
) -> None:
    path = tmp_path / "out"
    write(sink(LinesOptions(path=path)), [made(1)])
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines(keepends=True)[-1][:length].rstrip(b"\n"))
    write(sink(LinesOptions(path=path)), [made(2)])
    write(sink(LinesOptions(path=tmp_path / "straight")), [made(1), made(2)])
    assert path.read_bytes() == (tmp_path / "straight").read_bytes()
    assert "unfinished line: removed" in caplog.text


def test_a_killed_writer_leaves_only_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    program = (
        "import itertools, logging, pathlib, sys\n"
        "from tests.unit.test_sinks_local import jsonl, made\n"
        "from streamproc.sink import SinkContext\n"
        "sink = jsonl(pathlib.Path(sys.argv[1]))\n"
        "sink.open(SinkContext(name='out', log=logging.getLogger()))\n"
        "for n in itertools.count():\n"
        "    sink.write([made(n), made(n + 1)]); sink.flush()\n"
        "    print(n, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(5):
        assert child.stdout.readline()
    child.kill()
    child.communicate()
    write(jsonl(path), [made(0)])
    found = ids(path)
    assert found[:2] == [made(0).id, made(1).id]
    assert len(found) >= 11


def test_full_disk_delays_and_leaves_no_half_line(tmp_path: Path) -> None:
    sink = jsonl(tmp_path / "events.jsonl")
    sink.open(SinkContext(name="out", log=LOG))
    sink.write([made(1)])
    size = (tmp_path / "events.jsonl").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
        with pytest.raises(SinkError, match=r"can't be written"):
            sink.write([made(2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "events.jsonl").stat().st_size == size
    sink.write([made(2)])
    sink.close()
    assert ids(tmp_path / "events.jsonl") == [made(1).id, made(2).id]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_full_disk_differs_from_other_errors() -> None:
    sink = jsonl(Path("/dev/full"))
    sink.open(SinkContext(name="out", log=LOG))
    with pytest.raises(SinkBusy, match="free some room"):
        sink.write([made(1)])
    sink.close()


def test_two_writers_to_one_file_are_refused(tmp_path: Path) -> None:
    first, second = jsonl(tmp_path / "e"), jsonl(tmp_path / "e")
    first.open(SinkContext(name="a", log=LOG))
    with pytest.raises(SinkError, match="each its own path"):
        second.open(SinkContext(name="b", log=LOG))
    first.close()


def test_a_path_that_cant_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for sink in (jsonl(tmp_path / "file" / "events.jsonl"), SqliteSink(SqliteOptions(path=tmp_path / "file" / "db"))):
        with pytest.raises(SinkError, match="choose another path"):
            sink.open(SinkContext(name="out", log=LOG))
        sink.close()


# --- csv ---


def test_csv_has_one_header_and_event_rows(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    sink = CsvSink(LinesOptions(path=path))
    write(sink, [made(1, zone='the "yard", north', speed=1.234)])
    write(CsvSink(LinesOptions(path=path)), [made(2, note="two\nlines")])
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert len(path.read_text().splitlines()) == 3
    assert [row["id"] for row in rows] == [made(1).id, made(2).id]
    assert rows[0]["zone"] == 'the "yard", north'
    assert [rows[0][side] for side in ("x1", "y1", "x2", "y2")] == ["1.0", "2.0", "30.5", "40.0"]
    assert (rows[0]["label"], rows[0]["score"], rows[0]["start_s"]) == ("person", "0.5", "1.0")
    assert json.loads(rows[0]["data"]) == {"episode": "e1", "speed": 1.23}
    assert json.loads(rows[1]["data"])["note"] == "two\nlines"


def test_csv_refuses_a_table_with_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("a,b\n1,2\n")
    sink = CsvSink(LinesOptions(path=path))
    with pytest.raises(SinkError, match="mode: replace"):
        sink.open(SinkContext(name="out", log=LOG))
    sink.close()
    assert path.read_text() == "a,b\n1,2\n"
    write(CsvSink(LinesOptions(path=path, mode="replace")), [made(1)])
    assert path.read_text().startswith(",".join(COLUMNS) + "\n")


# --- stdout ---


def test_stdout_lines_can_be_read_by_people(capsys: pytest.CaptureFixture[str]) -> None:
    write(StdoutSink(StdoutOptions()), [made(3723)])
    assert capsys.readouterr().out == (
        "1:02:03.000  dock  zone.entered  person #3723  box=[1.0, 2.0, 30.5, 40.0] zone=yard score=0.5\n"
    )


def test_stdout_lines_can_be_read_by_programs(capsys: pytest.CaptureFixture[str]) -> None:
    write(StdoutSink(StdoutOptions(format="json")), [made(1), made(2)])
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert records == [made(1).to_json(), made(2).to_json()]


def test_a_reader_that_went_away_wants_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe, write_through=True))
        sink = StdoutSink(StdoutOptions())
        sink.write([made(1)])
        sink.write([made(2)])
        sink.flush()


def test_closed_standard_output_is_a_sink_error(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    with pytest.raises(SinkError, match="standard output"):
        StdoutSink(StdoutOptions()).write([made(1)])


# --- sqlite ---


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Six events of two streams."""
    path = tmp_path / "events.db"
    thumbnail = Attachment(name="thumbnail", media_type="image/jpeg", data=b"\xff\xd8")
    events = [
        made(1),
        replace(made(2, label="car"), attachments=(thumbnail,)),
        made(3, type="line.crossed", line="gate", direction="left"),
        made(4, GATE, zone="north yard", note="a man with a red suitcase"),
        replace(made(5, GATE, type="zone.left"), captured_ns=None),
        made(6, GATE, type="zones.merged"),
    ]
    write(SqliteSink(SqliteOptions(path=path)), events[:2], events[2:])
    return path


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        (Query(), [6, 4, 3, 2, 1, 5]),  # the newest first, those without a capture time last
        (Query(oldest_first=True), [1, 2, 3, 4, 6, 5]),
        (Query(limit=2), [6, 4]),
        (Query(stream="gate"), [6, 4, 5]),
        (Query(type="zone.entered"), [4, 2, 1]),
        (Query(type="zone"), [4, 2, 1, 5]),
        (Query(type="zone.*"), [4, 2, 1, 5]),
        (Query(label="car"), [2]),
        (Query(from_s=2, to_s=4), [4, 3, 2]),
        (Query(zone="north yard"), [4]),
        (Query(zone="gate"), [3]),
        (Query(since="2026-04-24T03:06:42", until="2026-04-24T03:06:44"), [3, 2]),
        (Query(text="suitcase red"), [4]),
        (Query(text="suitc"), [4]),
        (Query(text="left", stream="dock"), [3]),
        (Query(text="zone.left"), [5]),
        (Query(text='nobody said "this" OR that)'), []),
        (Query(stream="dock' OR 1=1 --"), []),
    ],
)
def test_events_are_found(database: Path, query: Query, seconds: list[int]) -> None:
    assert [found.record["data"]["start_s"] for found in search(database, query)] == seconds


def test_found_event_is_whole_with_its_pictures(database: Path) -> None:
    (found,) = search(database, Query(label="car"))
    assert found.record == made(2, label="car").to_json()
    assert found.pictures == {"thumbnail": b"\xff\xd8"}
    check_record(found.record)


def test_repeated_event_is_stored_once(tmp_path: Path) -> None:
    sink = SqliteSink(SqliteOptions(path=tmp_path / "db"))
    write(sink, [made(1), made(2)])
    write(sink, [made(2), made(2), made(3)])
    assert [found.record["id"] for found in search(tmp_path / "db", Query())] == [made(n).id for n in (3, 2, 1)]
    assert len(search(tmp_path / "db", Query(text="person"))) == 3


def test_database_in_use_elsewhere_delays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_TIMEOUT_S", 0.01)
    sink = SqliteSink(SqliteOptions(path=tmp_path / "db"))
    sink.open(SinkContext(name="out", log=LOG))
    other = sqlite3.connect(tmp_path / "db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(SinkBusy, match=r"is locked$"):
        sink.write([made(1)])
    other.execute("ROLLBACK")
    other.close()
    sink.write([made(1)])
    sink.close()
    assert len(search(tmp_path / "db", Query())) == 1


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "db") as other:
        other.execute("CREATE TABLE mine (a)")
    other.close()
    (tmp_path / "text").write_text("not a database, but long enough to be taken for one " * 20)
    for name, message in (
        ("db", "isn't a database of this version"),
        ("text", "isn't an SQLite database; name one that a sqlite sink wrote"),
    ):
        with pytest.raises(SinkError, match=message):
            SqliteSink(SqliteOptions(path=tmp_path / name)).open(SinkContext(name="out", log=LOG))
    with pytest.raises(SinkError, match="no such file"):
        search(tmp_path / "nowhere", Query())
