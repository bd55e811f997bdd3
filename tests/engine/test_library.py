"""The library: a loop over `streamproc.run`, from its sources to the end of its threads, files and pixels."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import streamproc
from streamproc import Record, RunError, StreamprocError, Tracks
from streamproc.engine.loop import MOST_LIVE, MOST_RECORDS, most_records
from streamproc.testing import make_info
from tests.engine.feeds import RATE, SECOND_NS, Feed
from tests.engine.plugins import Fail, Level, Measure, Tell
from tests.machine import REPOSITORY
from tests.servers.rtsp import Pattern, RtspServer
from tests.videos import Recipe, encode

IN_FLIGHT = MOST_RECORDS + 24
"""frames between the source and the loop, at the most: those in the queue, and those in flight of two workers"""
SCENE = {"type": "synthetic", "options": {"width": 320, "height": 180, "rate": 10, "duration": "6s", "seed": 3}}
CHAIN: list[Any] = ["motion", "tracking", ("rules", {"zones": {"all": {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}}})]


@pytest.fixture(autouse=True)
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, in which nothing may be left."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.chdir(tmp_path)
    Feed.reset()
    yield folder
    assert list(folder.iterdir()) == []


def feed(frames: int | None = 20, **options: Any) -> Any:
    return (Feed, {"frames": frames, **options})


def consume(run: Iterable[Record], body: Callable[[Record], object]) -> None:
    for record in run:
        body(record)


def engine_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("streamproc")]


def test_records_come_in_order_with_results() -> None:
    records = list(streamproc.run(feed(20), [Measure, Tell]))
    assert [record.index for record in records if record.is_frame] == list(range(20))
    assert [record.time for record in records[:3]] == [0.0, 0.1, 0.2]
    assert [record[Level].value for record in records[:20]] == pytest.approx(list(range(20)), abs=1)
    assert {event.type for record in records[:20] for event in record.events} == {"tell.seen"}
    assert engine_threads() == []


def test_the_end_of_a_stream_has_empty_tracks() -> None:
    """The loop of the README works to its end: the last record holds the events of the end."""
    shown = [(record.time, record[Tracks].track_id.tolist()) for record in streamproc.run(SCENE, CHAIN, rate=5)]
    assert any(ids for _, ids in shown)
    last = list(streamproc.run(SCENE, CHAIN, rate=5))[-1]
    assert (last.reason, len(last[Tracks])) == ("end", 0)
    assert last.events


def test_a_rate_skips_frames() -> None:
    assert [record.index for record in streamproc.run(feed(20), [Measure], rate=2)] == [0, 5, 10, 15]


def test_a_chain_may_be_empty() -> None:
    assert [record.index for record in streamproc.run(feed(3))] == [0, 1, 2]


@pytest.mark.parametrize("as_path", [str, Path])
def test_a_file_is_read_by_its_path(as_path: Callable[[Path], Any], tmp_path: Path) -> None:
    clip = encode(tmp_path / "2 Fäst clip.mp4", Recipe())
    records = list(streamproc.run(as_path(clip), [Measure]))
    assert records[0].stream.name == "2_F_st_clip"
    assert len(records) > 5


def test_a_folder_of_pictures_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((48, 64, 3), 40 * number, np.uint8))
    assert [record[Level].value for record in streamproc.run(folder, [Measure])] == pytest.approx([0, 40, 80], abs=2)


def test_several_streams_share_a_chain() -> None:
    found: dict[str, list[int]] = {}
    for record in streamproc.run({"a": feed(20, feed="a"), "b": feed(30, feed="b")}, [Measure]):
        found.setdefault(record.stream.name, []).append(record.index)
    assert found == {"a": list(range(20)), "b": list(range(30))}


def test_a_loop_gives_the_events_of_a_run(tmp_path: Path) -> None:
    config = {
        "version": 1,
        "streams": {"yard": {"source": SCENE, "chain": ["motion", "tracking", "rules"], "sinks": ["log"]}},
        "plugins": {"motion": {"type": "motion"}, "tracking": {"type": "tracking"},
                    "rules": {"type": "rules", "options": CHAIN[2][1]}},
        "sinks": {"log": {"type": "jsonl", "options": {"path": "events.jsonl", "mode": "replace"}}},
    }  # fmt: skip
    file = tmp_path / "job.yaml"
    file.write_text(json.dumps(config))
    subprocess.run([sys.executable, "-m", "streamproc", "run", str(file), "--quiet"], check=True, timeout=120)
    log = tmp_path / "events.jsonl"
    written = [json.loads(line)["id"] for line in log.read_text().splitlines()]
    log.unlink()
    loose = [event.id for record in streamproc.run({"yard": SCENE}, CHAIN) for event in record.events]
    loaded = [event.id for record in streamproc.run(streamproc.load(file)) for event in record.events]
    assert written
    assert loose == loaded == written
    assert [json.loads(line)["id"] for line in log.read_text().splitlines()] == written


def test_a_loaded_plan_uses_its_own_state_folder(tmp_path: Path) -> None:
    """What a sink could not take lies there for the next run."""
    config = {
        "version": 1,
        "streams": {"yard": {"source": SCENE, "chain": ["motion", "tracking", "rules"], "sinks": ["away"]}},
        "plugins": {"motion": {"type": "motion"}, "tracking": {"type": "tracking"},
                    "rules": {"type": "rules", "options": CHAIN[2][1]}},
        "sinks": {"away": {"type": "streamproc.testing:ListSink", "options": {"broken_after": 0}}},
        "runtime": {"state": str(tmp_path / "state"), "drain": "100ms"},
    }  # fmt: skip
    (tmp_path / "job.yaml").write_text(json.dumps(config))
    with pytest.raises(RunError, match="undelivered events wait in the outbox"):
        list(streamproc.run(streamproc.load(tmp_path / "job.yaml")))
    assert (tmp_path / "state" / "outbox.sqlite").exists()


def test_a_recording_waits_for_the_loop() -> None:
    for record in streamproc.run(feed(400), [Measure], workers=2):
        assert Feed.read["feed"] - record.index <= IN_FLIGHT


def test_late_loop_makes_live_sources_drop() -> None:
    run = streamproc.run(feed(300, live=True), [Measure], workers=2)
    indexes = []
    for record in run:
        assert Feed.ended.wait(60)
        indexes.append(record.index)
    (stream,) = run.report().streams
    assert indexes == sorted(indexes)
    assert stream.ledger.total("dropped") == 300 - len(indexes) > 200
    assert stream.ledger.closed


def test_large_pictures_wait_in_small_number() -> None:
    assert most_records(make_info(width=640, height=360)) == MOST_RECORDS
    assert most_records(make_info(width=1920, height=1080)) == 5
    assert most_records(make_info(width=7680, height=4320)) == 2
    assert most_records(make_info(live=True)) == MOST_LIVE


@pytest.mark.parametrize("live", [False, True])
def test_break_ends_everything(live: bool) -> None:
    for record in streamproc.run(feed(None, live=live), [Measure]):
        if record.index >= 3:
            break
    assert engine_threads() == []


def test_an_exception_in_the_loop_ends_everything() -> None:
    with pytest.raises(ZeroDivisionError):
        consume(streamproc.run(feed(None), [Measure]), lambda record: 1 / (record.index - 3))
    assert engine_threads() == []


def test_a_closed_generator_frees_waiting_workers() -> None:
    records = iter(streamproc.run(feed(None), [Measure]))
    first = next(records)
    records.close()  # type: ignore[attr-defined]
    assert first.index == 0
    assert engine_threads() == []


def test_stop_lets_the_rest_come_out() -> None:
    run = streamproc.run(feed(None), [Measure])
    indexes = []
    for record in run:
        indexes.append(record.index)
        if record.index == 5:
            run.stop()
    assert indexes == list(range(len(indexes)))
    assert run.report().streams[0].ledger.total("processed") == len(indexes) > 5


def test_ctrl_c_ends_a_waiting_loop() -> None:
    Feed.at[3] = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        consume(streamproc.run(feed(4, silent=True), [Measure]), lambda record: record)
    assert engine_threads() == []


@pytest.mark.logs_errors
def test_failed_plugin_is_reported_at_the_end(tmp_path: Path) -> None:
    verdicts: list[str] = []
    run = streamproc.run(feed(20), [(Fail, {"from_index": 5})], state=tmp_path / "state")
    with pytest.raises(RunError, match=r"plugin fail of stream was switched off.*ValueError: for good") as caught:
        consume(run, lambda record: verdicts.append(record.verdicts["fail"]))
    assert verdicts == ["ok"] * 5 + ["failed"] * 10 + ["off"] * 5
    assert caught.value.report.exit_code == 4  # type: ignore[attr-defined]
    assert list((tmp_path / "state" / "bundles").glob("*.zip"))


def test_a_source_that_cannot_open_is_reported() -> None:
    with pytest.raises(RunError, match=r"nowhere\.mp4"):
        list(streamproc.run("nowhere.mp4", [Measure]))


def test_a_run_that_never_begins_leaves_nothing(temp: Path) -> None:
    run = streamproc.run(feed(3), [Measure])
    assert list(temp.iterdir()) == []
    assert Feed.read == {}
    assert run.report().streams[0].ledger.observed == 0


def test_a_run_is_iterated_once() -> None:
    run = streamproc.run(feed(3), [Measure])
    assert len(list(run)) == 3
    with pytest.raises(StreamprocError, match=r"a run can be iterated once; call streamproc.run for another"):
        iter(run)


def test_two_loops_run_at_once() -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        first, second = (iter(streamproc.run(feed(n, feed=str(n)), [Measure])) for n in (10, 30))
        assert next(first).index == next(second).index == 0
        assert cv2.getNumThreads() == 1
        assert len(list(first)) == 9
        assert cv2.getNumThreads() == 1  # the second still runs
        assert len(list(second)) == 29
        assert cv2.getNumThreads() == 3  # as the caller had it
    finally:
        cv2.setNumThreads(threads)


def test_loops_nest() -> None:
    pairs = [
        (outer.index, inner.index)
        for outer in streamproc.run(feed(3, feed="outer"), [Measure])
        for inner in streamproc.run(feed(4, feed="inner"), [Measure])
    ]
    assert pairs == [(outer, inner) for outer in range(3) for inner in range(4)]


def test_pixels_are_freed_after_each_step() -> None:
    records = []
    for record in streamproc.run(feed(3), [Measure]):
        assert record.frame is not None
        assert record.frame.rgb.shape == (48, 64, 3)
        records.append(record)
    assert records[0].frame is not None
    assert records[0].frame.index == 0
    with pytest.raises(StreamprocError, match=r"pixels of this frame are freed.*keep_frames=True"):
        _ = records[0].frame.rgb
    with pytest.raises(StreamprocError, match="pixels of this frame are freed"):
        pickle.dumps(records[0])
    assert pickle.loads(pickle.dumps(records[0].without_frame())).index == 0


def test_frames_stay_where_that_is_wanted() -> None:
    records = list(streamproc.run(feed(3), [Measure], keep_frames=True))
    assert [int(record.frame.rgb[0, 0, 0]) for record in records if record.frame] == [0, 1, 2]


def test_records_pickle_inside_the_loop() -> None:
    copies: list[Record] = [pickle.loads(pickle.dumps(record)) for record in streamproc.run(feed(3), [Measure])]
    assert [int(copy.frame.rgb[0, 0, 0]) for copy in copies if copy.frame] == [0, 1, 2]
    assert [copy[Level].value for copy in copies] == pytest.approx([0, 1, 2], abs=1)


def test_a_run_makes_tables() -> None:
    table = streamproc.run(SCENE, CHAIN).to_arrow()
    assert "tracking.Tracks" in table.column_names
    assert table["index"].to_pylist()[:60] == list(range(60))
    tracks = streamproc.run(SCENE, CHAIN).to_pandas(Tracks)
    assert {"time_s", "track_id", "x1"} <= set(tracks.columns)
    assert tracks.equals(streamproc.to_pandas(streamproc.run(SCENE, CHAIN), Tracks))


def test_media_time_follows_the_source() -> None:
    times = [record.pts_ns for record in streamproc.run(feed(5))]
    assert times == [index * SECOND_NS // RATE for index in range(5)]


def test_an_unfinished_loop_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import streamproc, tempfile, sys\n"
        "tempfile.tempdir = sys.argv[1]\n"
        "records = iter(streamproc.run({'type': 'synthetic', 'options': {'duration': '1h'}}, ['motion']))\n"
        "print(next(records).index)\n"
    )
    folder = tmp_path / "unfinished"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "0\n"
    assert done.stderr == ""
    assert list(folder.iterdir()) == []


def test_a_camera_is_watched_live(rtsp: Callable[..., RtspServer]) -> None:
    server = rtsp(Pattern(name="cam", pattern="red", rate=15))
    records = []
    for record in streamproc.run(server.url("cam"), [Measure]):
        assert record.frame is not None
        assert record.frame.rgb[..., 0].mean() > 200
        records.append(record)
        if len(records) == 5:
            break
    assert all(record.stream.live and record.captured for record in records)
    assert engine_threads() == []
