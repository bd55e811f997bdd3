"""The sink that writes results as Parquet files: readable, nothing flushed is lost, nothing is overwritten."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamproc import Detections, Record, Result, SinkContext, SinkError, Tracks, seconds
from streamproc.sinks.journal import Journal
from streamproc.sinks.parquet import ParquetOptions, ParquetSink
from streamproc.tables import read_results
from streamproc.testing import check_sink_contract, make_detections, make_info, make_records
from tests.unit.test_arrow import MAKERS, same

LOG = logging.getLogger("tests.parquet")
DOCK, GATE = make_info("dock"), make_info("gate")


def opened(folder: Path, notes: list[str] | None = None, **options: Any) -> ParquetSink:
    sink = ParquetSink(ParquetOptions(path=folder, **options))
    sink.open(SinkContext(name="results", log=LOG, note=(notes if notes is not None else []).append))
    return sink


def records(first: int, count: int, **fields: Any) -> list[Record]:
    """Records of the frames from `first` on."""
    return [replace(record, **fields) for record in make_records(first + count + 1, info=DOCK)[first:-1]]


def written(folder: Path, items: Sequence[Record], batch: int = 3, **options: Any) -> list[Path]:
    """The files that one run makes of these."""
    before = set(folder.glob("*"))
    sink = opened(folder, **options)
    for at in range(0, len(items), batch):
        sink.write(items[at : at + batch])
    sink.flush()
    sink.close()
    return sorted(set(folder.iterdir()) - before)


def indices(*paths: Path) -> list[int]:
    return [index for path in paths for index in pq.read_table(path)["index"].to_pylist()]


def test_it_holds_to_the_contract(tmp_path: Path) -> None:
    check_sink_contract(ParquetSink, path=str(tmp_path))


def test_every_stream_has_files_of_its_own(tmp_path: Path) -> None:
    items = [record for pair in zip(records(0, 5), records(0, 5, stream=GATE), strict=True) for record in pair]
    dock, gate = written(tmp_path, items)
    assert (dock.name, gate.name) == ("dock-00001.parquet", "gate-00001.parquet")
    for path, name in ((dock, "dock"), (gate, "gate")):
        table = pq.read_table(path)
        assert table["index"].to_pylist() == [0, 1, 2, 3, 4]
        assert set(table["stream"].to_pylist()) == {name}
        about = json.loads(table.schema.metadata[b"streamproc.stream"])
        assert (about["identity"], about["width"], about["rate"]) == (f"made:{name}", 64, "10")


def test_results_read_back_equal_written_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    gives = tuple((f"p{n}", cls) for n, cls in enumerate(MAKERS))
    given = [
        {key: key[1](**MAKERS[key[1]](rng, count)) for key in gives if rng.random() < 0.8}
        for count in (0, 1, 2, 3, 0, 5)
    ]
    items = [Record(stream=DOCK, index=n, pts_ns=n, results=found, gives=gives) for n, found in enumerate(given)]
    (path,) = written(tmp_path, items)
    table = pq.read_table(path)
    for key in gives:
        if f"{key[0]}.{key[1].__name__}" in table.column_names:  # all but the one that is a picture
            read: list[Any] = read_results(table, *key)
            for found, results in zip(read, given, strict=True):
                wanted: Result | None = results.get(key)
                assert (found is None) == (wanted is None)
                assert wanted is None or same(found, wanted)


def test_files_are_the_same_however_records_arrive(tmp_path: Path) -> None:
    made = {batch: written(tmp_path / str(batch), records(0, 50), batch, group_rows=8) for batch in (1, 7, 50)}
    first, *others = ([path.read_bytes() for path in paths] for paths in made.values())
    assert others == [first, first]
    assert pq.ParquetFile(made[1][0]).num_row_groups == 7


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"part_rows": 4}, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]),
        ({"part_time": "500ms"}, [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]),
        ({}, [[*range(10)]]),
    ],
)
def test_a_new_file_begins_after_rows_or_time(tmp_path: Path, options: Any, parts: list[list[int]]) -> None:
    paths = written(tmp_path, records(0, 10), batch=1, **options)
    assert [indices(path) for path in paths] == parts


def test_a_new_file_begins_when_it_is_large(tmp_path: Path) -> None:
    masks = np.zeros((1, 700, 700), np.bool_)
    found = replace(make_detections((0, 0, 5, 5)), masks=masks)
    items = records(0, 8, results={("people", Detections): found}, gives=(("people", Detections),))
    paths = written(tmp_path, items, batch=1, part_size=1)
    assert indices(*paths) == [*range(8)]
    assert len(paths) > 1


def test_an_earlier_run_is_not_overwritten(tmp_path: Path) -> None:
    (first,) = written(tmp_path, records(0, 3))
    content = first.read_bytes()
    (second,) = written(tmp_path, records(0, 4))
    assert (first.name, second.name) == ("dock-00001.parquet", "dock-00002.parquet")
    assert first.read_bytes() == content


def test_two_runs_into_one_folder_keep_apart(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    for sink, first in ((one, 0), (two, 10), (one, 2), (two, 12)):
        sink.write(records(first, 2))
        sink.flush()
    third = opened(tmp_path)  # leaves the others' journals alone
    third.close()
    one.close()
    two.close()
    assert [indices(path) for path in sorted(tmp_path.iterdir())] == [[0, 1, 2, 3], [10, 11, 12, 13]]


def test_the_end_of_a_stream_ends_its_file(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    sink.write(make_records(4, info=DOCK))
    assert [path.name for path in tmp_path.iterdir()] == ["dock-00001.parquet"]
    sink.close()


def test_another_chain_or_picture_size_begins_a_file(tmp_path: Path) -> None:
    more = (("tracks", Tracks), ("people", Detections))
    items = [*records(0, 2), *records(2, 2, gives=more), *records(4, 2, gives=more, stream=replace(DOCK, width=128))]
    paths = written(tmp_path, items, batch=6)
    assert [indices(path) for path in paths] == [[0, 1], [2, 3], [4, 5]]
    assert ["people.Detections" in pq.read_schema(path).names for path in paths] == [False, True, True]


def test_results_that_nobody_announced_are_written(tmp_path: Path) -> None:
    paths = written(tmp_path, records(0, 3, gives=()))
    assert [len(read_results(pq.read_table(path), "tracks", Tracks)) for path in paths] == [3]


def test_files_appear_when_they_are_whole(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    sink.write(records(0, 3))
    sink.flush()
    assert list(tmp_path.glob("*.parquet")) == []
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["dock-00001.parquet"]


PROGRAM = """
import itertools, sys
from pathlib import Path
from tests.unit.test_sinks_parquet import opened, records
sink = opened(Path(sys.argv[1]), part_rows=20)
for n in itertools.count():
    sink.write(records(10 * n, 10)); sink.flush()
    print(n, flush=True)
"""


def test_a_killed_run_loses_nothing_that_was_flushed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(6):
        assert child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.communicate()
    whole = sorted(tmp_path.glob("*.parquet"))
    assert [indices(path) for path in whole[:2]] == [[*range(20)], [*range(20, 40)]]
    notes: list[str] = []
    opened(tmp_path, notes).close()
    found = indices(*sorted(tmp_path.iterdir()))
    assert len(found) >= 60
    assert found == [*range(len(found))]
    assert len(notes) == 1
    assert "records that a run left when it was killed" in notes[0]


def left_by_a_killed_run(folder: Path) -> Path:
    """The journal of a run that wrote and flushed 6 records, and then no more."""
    sink = opened(folder / "first")
    for at in (0, 3):
        sink.write(records(at, 3))
        sink.flush()
    (journal,) = (folder / "first").iterdir()
    shutil.copy(journal, folder / journal.name)
    sink.close()
    return folder / journal.name


@pytest.mark.parametrize("lost", [1, 100, 1000])
def test_a_batch_left_unfinished_is_left_out(tmp_path: Path, lost: int) -> None:
    journal = left_by_a_killed_run(tmp_path)
    os.truncate(journal, journal.stat().st_size - lost)
    opened(tmp_path).close()
    assert indices(tmp_path / "dock-00001.parquet") == [0, 1, 2]
    assert not journal.exists()


def test_a_batch_that_rotted_is_left_out(tmp_path: Path) -> None:
    journal = left_by_a_killed_run(tmp_path)
    content = bytearray(journal.read_bytes())
    content[-200] ^= 1
    journal.write_bytes(content)
    opened(tmp_path).close()
    assert indices(tmp_path / "dock-00001.parquet") == [0, 1, 2]


@pytest.mark.parametrize("left", [b"", b"half a schema"])
def test_a_journal_without_records_is_removed(tmp_path: Path, left: bytes) -> None:
    (tmp_path / ".dock-00001.journal").write_bytes(left)
    notes: list[str] = []
    opened(tmp_path, notes).close()
    assert (list(tmp_path.iterdir()), notes) == ([], [])


def test_a_file_left_half_made_is_made_again(tmp_path: Path) -> None:
    left_by_a_killed_run(tmp_path)
    (tmp_path / ".dock-00001.parquet.part").write_bytes(b"PAR1 and so on")
    opened(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dock-00001.parquet", "first"]
    assert indices(tmp_path / "dock-00001.parquet") == [*range(6)]


def test_a_file_made_before_the_kill_stays(tmp_path: Path) -> None:
    journal = left_by_a_killed_run(tmp_path)
    (whole,) = written(tmp_path / "other", records(0, 2))
    whole.rename(tmp_path / "dock-00001.parquet")
    opened(tmp_path).close()
    assert indices(tmp_path / "dock-00001.parquet") == [0, 1]
    assert not journal.exists()


def test_a_journal_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path / ".dock-00001.journal")
    journal.begin(pa.schema([("a", pa.struct([]))]))  # which Parquet doesn't have
    journal.close()
    with pytest.raises(SinkError, match=r"\.dock-00001\.journal can't be made a file .*; move it away"):
        opened(tmp_path)
    assert (tmp_path / ".dock-00001.journal").exists()


def test_a_full_disk_loses_no_record(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    sink.write(records(0, 3))
    sink.flush()
    (journal,) = tmp_path.iterdir()
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + 10, before[1]))
        sink.write(records(3, 3))
        with pytest.raises(SinkError, match=r"can't be written"):
            sink.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    sink.flush()
    sink.close()
    assert indices(tmp_path / "dock-00001.parquet") == [*range(6)]


def test_close_without_room_leaves_the_journal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = opened(tmp_path)
    sink.write(records(0, 3))
    sink.flush()
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        sink.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "its records stay in the journal until the next run" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == [".dock-00001.journal"]
    opened(tmp_path).close()
    assert indices(tmp_path / "dock-00001.parquet") == [0, 1, 2]


def test_one_bad_record_adds_nothing(tmp_path: Path) -> None:
    bad = records(2, 1, verdicts={"tracks": 3})
    sink = opened(tmp_path)
    sink.write(records(0, 2))
    with pytest.raises(pa.ArrowTypeError):
        sink.write([*records(2, 1), *bad])
    sink.write(records(3, 1))
    sink.close()
    assert indices(tmp_path / "dock-00001.parquet") == [0, 1, 3]


@pytest.mark.parametrize("name", ["yard/gate", "..", "hôtel", ".hidden", "a b"])
def test_any_stream_name_makes_a_visible_file(tmp_path: Path, name: str) -> None:
    paths = written(tmp_path, records(0, 2, stream=make_info(name)))
    assert [path.suffix for path in paths] == [".parquet"]
    assert not paths[0].name.startswith(".")
    assert pq.read_table(paths[0])["stream"].to_pylist() == [name] * 2


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "none"])
def test_files_are_compressed_as_wanted(tmp_path: Path, compression: str) -> None:
    (path,) = written(tmp_path, records(0, 2), compression=compression)
    found = pq.ParquetFile(path).metadata.row_group(0).column(0).compression
    assert found.lower() == {"none": "uncompressed"}.get(compression, compression)


def test_defaults_are_as_documented() -> None:
    options = ParquetOptions(path=Path("out"))
    assert (options.part_rows, options.part_size, options.part_time) == (100_000, 128, seconds(3600))


WANTED = [[], [1], [1, 2], [], [1]]
"""track ids of the first five records"""


def test_pandas_polars_and_duckdb_open_the_files(tmp_path: Path) -> None:
    written(tmp_path, records(0, 5), part_rows=2, batch=1)
    import pandas

    frame = pandas.read_parquet(tmp_path)
    assert [None if tracks is None else list(tracks["track_id"]) for tracks in frame["tracks.Tracks"]] == WANTED
    if importlib.util.find_spec("polars"):
        polars: Any = importlib.import_module("polars")
        frame = polars.read_parquet(tmp_path / "*.parquet")
        assert frame["tracks.Tracks"].struct.field("track_id").to_list() == WANTED
    if importlib.util.find_spec("duckdb"):
        duckdb: Any = importlib.import_module("duckdb")
        found = duckdb.sql(f"""select "tracks.Tracks".track_id from '{tmp_path}/*.parquet' order by index""")
        assert [ids for (ids,) in found.fetchall()] == WANTED
