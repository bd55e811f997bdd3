"""Records: what is known of a frame when it leaves the chain, and tables of them."""

from __future__ import annotations

import dataclasses
import json
import pickle
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from streamproc import (
    Caption,
    Classification,
    Detections,
    Event,
    MissingInput,
    PluginError,
    Poses,
    Record,
    Replacement,
    Result,
    Segmentation,
    StreamprocError,
    Tracks,
    to_arrow,
    to_pandas,
)  # fmt: skip
from streamproc.tables import read_results
from streamproc.testing import make_detections, make_frame, make_info, make_poses, make_records, make_tracks
from tests.unit.test_arrow import MAKERS, Empty, OwnForm, same

DOCK = make_info("dock")
TWO = make_tracks({7: (10, 10, 30, 60), 3: (50, 20, 80, 90)})


def made(results: Mapping[tuple[str, type], Any] | None = None, **fields: Any) -> Record:
    return Record(**{"stream": DOCK, "index": 4, "pts_ns": 400_000_000, "results": results or {}, **fields})


def test_a_result_is_found_by_its_class() -> None:
    people = make_detections((0, 0, 5, 5))
    record = made({("people", Detections): people, ("tracks", Tracks): TWO})
    assert record[Tracks] is TWO
    assert record[Detections] is people
    assert record.get(Caption) is None
    assert record.of("people", Detections) is people
    assert record.all(Detections) == {"people": people, "tracks": TWO}
    with pytest.raises(MissingInput, match=r"no plugin gave Caption for this frame; use record.get\(\) if it may be"):
        record[Caption]
    with pytest.raises(MissingInput, match=r"people gave no Tracks"):
        record.of("people", Tracks)


def test_two_givers_of_a_class_are_both_named() -> None:
    gives = (("people", Detections), ("cars", Detections))
    only_one = made({("people", Detections): Detections.empty()}, gives=gives)
    both = made({key: Detections.empty() for key in gives})
    for record in (only_one, both):
        with pytest.raises(PluginError, match=r"people and cars both gave Detections; choose one with record.of"):
            record[Detections]


def test_times_are_seconds_and_utc() -> None:
    record = made(captured_ns=1_700_000_000_250_000_999)
    assert record.time == 0.4
    assert record.captured == datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC)
    assert made().captured is None


def test_a_record_cannot_be_changed() -> None:
    record = made({("tracks", Tracks): TWO})
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.index = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        record.results["tracks", Tracks] = TWO  # type: ignore[index]


def test_a_moment_without_a_frame_says_why() -> None:
    assert made().is_frame
    assert not made(reason="lost").is_frame
    with pytest.raises(ValueError, match="expected one of"):
        made(reason="tired")


@pytest.mark.parametrize("with_frame", [True, False])
def test_records_pickle(with_frame: bool) -> None:
    frame = make_frame(fill=7, index=4, info=DOCK)
    event = Event.instant(frame, "zone.entered").stamped(DOCK, "rules", 0)
    record = made(
        {("tracks", Tracks): TWO}, frame=frame, events=(event,), verdicts={"tracks": "ok"}, gives=(("tracks", Tracks),)
    )
    again = pickle.loads(pickle.dumps(record if with_frame else record.without_frame()))
    assert (again.frame is not None) == with_frame
    assert again.frame is None or (again.frame.rgb == 7).all()
    assert same(again[Tracks], TWO)
    for name in ("stream", "index", "pts_ns", "events", "verdicts", "gives", "reason"):
        assert getattr(again, name) == getattr(record, name), name


def test_a_table_has_a_row_per_record() -> None:
    frame = make_frame(index=4, info=DOCK)
    event = Event.instant(frame, "zone.entered", label="Zoë").stamped(DOCK, "rules", 0)
    records = [
        made({("tracks", Tracks): TWO}, events=(event,), verdicts={"tracks": "ok", "rules": "off"}, captured_ns=5),
        made({("tracks", Tracks): Tracks.empty()}, index=5),
        made(reason="end"),
    ]
    table = to_arrow(iter(records))
    assert table.column_names == [
        "stream", "index", "pts_ns", "captured_ns", "reason", "tracks.Tracks", "verdicts", "events"
    ]  # fmt: skip
    assert table["captured_ns"].to_pylist() == [5, None, None]
    assert table["verdicts"].to_pylist()[0] == [("tracks", "ok"), ("rules", "off")]
    assert [item["id"] for item in json.loads(table["events"][0].as_py())] == [event.id]
    assert [found and found["track_id"] for found in table["tracks.Tracks"].to_pylist()] == [[7, 3], [], None]


def test_table_schemas_follow_from_what_plugins_give() -> None:
    gives = (("people", Detections), ("tracks", Tracks), ("text", Caption))
    nothing = to_arrow([made(gives=gives)])
    everything = to_arrow([made({("people", Detections): make_detections(), ("tracks", Tracks): TWO}, gives=gives)])
    assert nothing.schema.equals(everything.schema, check_metadata=True)
    assert to_arrow([], Tracks).schema.equals(to_arrow([made({("t", Tracks): TWO})], Tracks).schema)


@pytest.mark.parametrize("cls", MAKERS, ids=lambda cls: cls.__name__)
def test_results_are_read_back_from_a_table(cls: type[Result]) -> None:
    rng = np.random.default_rng(5)
    given = [cls(**MAKERS[cls](rng, count)) if count != 2 else None for count in (3, 2, 0, 1, 2)]
    table = to_arrow(
        [made({("p", cls): result} if result is not None else {}, gives=(("p", cls),)) for result in given]
    )
    if cls is Replacement:  # a picture
        assert table.num_columns == 7
        return
    for found, result in zip(read_results(table, "p", cls), given, strict=True):
        assert (found is None and result is None) or (found is not None and result is not None and same(found, result))
    assert to_arrow([made()] * 3, cls).num_rows == 0


def test_own_forms_and_empty_classes_stand_in_tables() -> None:
    keys = (("price", OwnForm), ("mark", Empty))
    records = [made({keys[0]: OwnForm(price=1 + 2j), keys[1]: Empty()}, gives=keys), made(gives=keys)]
    table = to_arrow(records)
    assert table["price.OwnForm"].to_pylist() == [{"real": 1.0, "imag": 2.0}, None]
    first, second = read_results(table, "price", OwnForm)
    assert (first and first.price, second) == (1 + 2j, None)
    assert [found is not None for found in read_results(table, "mark", Empty)] == [True, False]
    assert to_arrow(records, OwnForm)["imag"].to_pylist() == [2.0]
    assert to_arrow(records, Empty).num_rows == 1


def test_thousands_of_records_make_one_table() -> None:
    records = make_records(2500)
    table = to_arrow(records)
    assert table["index"].to_pylist() == list(range(2500))
    assert [len(found) for found in read_results(table, "tracks", Tracks)[:5] if found] == [1, 2, 1]


def test_tracks_have_a_row_each() -> None:
    moving = dataclasses.replace(
        TWO, velocity=np.array([[1, 2], [3, 4]], np.float32), age_ns=np.array([0, 1_500_000_000], np.int64)
    )
    rows = to_arrow([made({("t", Tracks): moving}), made({("t", Tracks): Tracks.empty()})], Tracks).to_pylist()
    assert rows[1] == {
        "stream": "dock", "index": 4, "time_s": 0.4, "captured": None, "plugin": "t", "x1": 50.0, "y1": 20.0,
        "x2": 80.0, "y2": 90.0, "score": pytest.approx(0.9), "class_id": 0, "label": "person",
        "embeddings": None, "track_id": 3, "state": "confirmed", "vx": 3.0, "vy": 4.0, "age_s": 1.5,
    }  # fmt: skip
    assert len(rows) == 2


def test_rows_without_an_optional_field_are_null() -> None:
    plain, named = make_poses((0, 0, 9, 9)), dataclasses.replace(make_poses((0, 0, 9, 9)), track_id=np.array([5]))
    table = to_arrow([made({("p", Poses): plain}), made({("p", Poses): named}), made({("p", Poses): plain})], Poses)
    assert table["track_id"].to_pylist() == [None, 5, None]
    assert np.array(table["keypoints"].to_pylist()).shape == (3, 17, 3)
    found = make_detections((0, 0, 5, 5), (1, 1, 5, 5))
    vectors = dataclasses.replace(found, embeddings=np.array([[1, 0], [0, 1]], np.float32))
    table = to_arrow([made({("d", Detections): found}), made({("d", Detections): vectors})], Detections)
    assert table["embeddings"].to_pylist() == [None, None, [1.0, 0.0], [0.0, 1.0]]


def test_a_rowless_class_has_one_row_each() -> None:
    rows = to_arrow([made({("c", Caption): Caption(text="a dog")})], Caption).to_pylist()
    assert (rows[0]["text"], rows[0]["score"], rows[0]["plugin"]) == ("a dog", None, "c")
    area = Segmentation(class_map=np.zeros((2, 2), np.uint8), labels=("floor",))
    assert to_arrow([made({("s", Segmentation): area})], Segmentation)["labels"].to_pylist() == [["floor"]]
    ranked = Classification(label=("a", "b"), score=np.array([0.6, 0.4], "f4"), class_id=np.array([1, 0]))
    assert to_arrow([made({("c", Classification): ranked})], Classification)["label"].to_pylist() == ["a", "b"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Named(Result):
    schema: ClassVar[str] = "tests.named/1"
    index: int


def test_a_field_never_hides_a_record_column() -> None:
    table = to_arrow([made({("n", Named): Named(index=9)})], Named)
    assert (table["index"].to_pylist(), table["Named.index"].to_pylist()) == ([4], [9])


def test_a_table_without_the_wanted_column_is_refused() -> None:
    table = to_arrow(make_records(3))
    with pytest.raises(ValueError, match=r"no column people.Detections, only stream, .*tracks.Tracks"):
        read_results(table, "people", Detections)
    older = table.schema.field("tracks.Tracks").with_metadata({"streamproc.schema": "streamproc.tracks/0"})
    at = table.schema.get_field_index("tracks.Tracks")
    with pytest.raises(ValueError, match=r"holds 'streamproc.tracks/0', expected 'streamproc.tracks/1'"):
        read_results(table.cast(table.schema.set(at, older)), "tracks", Tracks)


def test_pandas_has_a_row_per_detection() -> None:
    import pandas

    frame = to_pandas([made({("tracks", Tracks): TWO}, captured_ns=10**18)], Tracks)
    assert isinstance(frame, pandas.DataFrame)
    assert frame.track_id.tolist() == [7, 3]
    assert frame.captured[0] == pandas.Timestamp(10**18, tz="UTC")
    assert len(to_pandas(make_records(3))) == 3


def test_pandas_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(StreamprocError, match=r"needs pandas, which isn't installed: pip install pandas"):
        to_pandas([])


def test_tables_hold_no_pictures() -> None:
    frame = make_frame(info=DOCK)
    assert pa.types.is_string(to_arrow([made(frame=frame)]).schema.field("stream").type)
    assert to_arrow([made(frame=frame)]).nbytes < 1000
