"""What every sink that needs no server must do, run over all that is registered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamproc import Event, EventSink, Record, RecordSink, Registry, SinkContext, SinkError
from streamproc.testing import make_frame, make_info, make_records

NEEDS_A_SERVER = {"kafka", "frames"}
"""these have system tests of their own"""

CASES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "csv": lambda folder: {"path": str(folder / "events.csv")},
    "jsonl": lambda folder: {"path": str(folder / "events.jsonl")},
    "parquet": lambda folder: {"path": str(folder / "results")},
    "sqlite": lambda folder: {"path": str(folder / "events.db")},
    "stdout": lambda _: {},
}
CONTEXT = SinkContext(name="test", log=logging.getLogger("tests"))


def made(name: str, folder: Path) -> Any:
    cls = Registry().sink(name)
    return cls(cls.options_type.model_validate(CASES[name](folder)))


def items(sink: Any) -> list[Event] | list[Record]:
    assert isinstance(sink, EventSink | RecordSink)
    return events(3) if isinstance(sink, EventSink) else make_records(3)


def events(count: int) -> list[Event]:
    info = make_info("dock")
    frames = [make_frame(index=index, info=info) for index in range(count)]
    return [Event.instant(frame, "test.seen", score=0.5, label="person").stamped(info, "p", 0) for frame in frames]


def test_every_registered_sink_has_a_case() -> None:
    listed = {item.name for item in Registry().listings("sink") if item.package.startswith("streamproc ")}
    assert listed == set(CASES) | NEEDS_A_SERVER


@pytest.mark.parametrize("name", sorted(CASES))
def test_close_may_follow_open_at_once(name: str, tmp_path: Path) -> None:
    sink = made(name, tmp_path)
    assert list(tmp_path.iterdir()) == []
    sink.open(CONTEXT)
    sink.flush()
    sink.close()


@pytest.mark.parametrize("name", sorted(CASES))
def test_items_written_twice_are_taken_twice(name: str, tmp_path: Path) -> None:
    sink = made(name, tmp_path)
    sink.open(CONTEXT)
    sink.write(items(sink))
    sink.write(items(sink))
    sink.flush()
    sink.close()


@pytest.mark.parametrize("name", sorted(set(CASES) - {"stdout"}))
def test_unwritable_place_is_a_named_sink_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sink = made(name, tmp_path / "file")
    with pytest.raises(SinkError, match="file"):
        sink.open(CONTEXT)
    sink.close()


@pytest.mark.parametrize("name", sorted(CASES))
def test_its_options_explain_themselves(name: str) -> None:
    cls = Registry().sink(name)
    assert all(part.get("description") for part in cls.options_type.model_json_schema().get("properties", {}).values())
    assert (cls.__doc__ or "").strip()
