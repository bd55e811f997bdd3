"""Unknown people get ids that stay: over tracks, restarts, merges; and are forgotten when they should be."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from streamproc import Event, Frame, PluginContext, PluginError, Results
from streamproc.models import ModelStore
from streamproc.testing import check_plugin_contract, make_frames, make_info, run_plugin
from streamproc_plugins.commands.faces import app
from streamproc_plugins.faces import FaceClusters, FaceClustersOptions, FaceClustersPlugin, FaceTracks, NamedFaces
from streamproc_plugins.faces.people import MEMORY_MOST, People
from streamproc_plugins.faces.results import with_names
from streamproc_plugins.vectors import VectorIndex
from tests.plugins.faces import make_face_tracks, person

INFO = make_info(width=192, height=128, rate=10)


def at(track_id: int, identity: Any, looks: int = 3, age_s: float = 0) -> FaceTracks:
    return make_face_tracks({track_id: [10, 10, 50, 50]}, identity, looks=looks, age_s=age_s)


def grouped(past: Sequence[FaceTracks], **options: Any) -> Any:
    return run_plugin(FaceClustersPlugin, make_frames(len(past), info=INFO), past=[[f] for f in past], **options)


def labels(run: Any) -> list[str]:
    """The label of each frame's first face."""
    return [found.cluster[0] for found in run.all(FaceClusters)]


def emitted(run: Any) -> list[tuple[str, str, str]]:
    return [(event.type, event.phase, event.data.get("cluster", "")) for event in run.events]


VISITS = [at(1, person(0, 0.1, 1)), at(2, person(1)), at(3, person(0, 0.1, 2)), at(4, person(2)), at(5, person(1))]


def test_returning_person_has_the_same_id() -> None:
    run = grouped(VISITS)
    assert labels(run) == ["person 1", "person 2", "person 1", "person 3", "person 2"]
    assert [t for t in emitted(run) if t[1] == "start"] == [("face.seen", "start", f"person {n}") for n in (1, 2, 3)]


def test_ids_wait_for_a_few_good_looks() -> None:
    assert labels(grouped([at(1, person(0), looks=n) for n in (0, 1, 2, 3)])) == ["", "", "", "person 1"]


def test_ids_of_one_person_merge_into_the_older() -> None:
    blurred = np.asarray((person(0) * 0.3 + person(3) * 0.954), np.float32)
    past = [at(1, person(0)), at(2, blurred), at(2, blurred, looks=8), at(2, person(0, 0.05), looks=9), at(3, blurred)]
    run = grouped(past)
    assert labels(run) == ["person 1", "person 2", "person 2", "person 1", "person 1"]
    (merged,) = (event for event in run.events if event.type == "face.merged")
    assert merged.data == {"cluster": "person 1", "gone": "person 2"}
    starts = [t[2] for t in emitted(run) if t[:2] == ("face.seen", "start")]
    ends = [t[2] for t in emitted(run) if t[:2] == ("face.seen", "end")]
    assert starts == ["person 1", "person 2"]
    assert sorted(ends) == starts


def pair(tracks: Sequence[int], identity: Sequence[Any], looks: int = 3) -> FaceTracks:
    """Two faces side by side."""
    boxes = {track_id: [60 * i, 10, 60 * i + 40, 50] for i, track_id in enumerate(tracks)}
    return make_face_tracks(boxes, list(identity), looks=looks)


def clusters(run: Any) -> list[tuple[str, ...]]:
    return [found.cluster for found in run.all(FaceClusters)]


def test_faces_of_one_frame_are_different_people() -> None:
    alike = (person(0, 0.2, 1), person(0, 0.05, 2))
    assert clusters(grouped([pair((1, 2), alike)])) == [("person 1", "person 2")]
    # of two faces like an earlier person, it is the more alike one
    run = grouped([at(1, person(0)), pair((2, 3), alike), pair((2, 3), alike)])
    assert clusters(run) == [("person 1",), ("person 2", "person 1"), ("person 2", "person 1")]


def test_people_of_one_frame_are_never_merged() -> None:
    blurred = np.asarray(person(0) * 0.3 + person(3) * 0.954, np.float32)
    together = pair((1, 2), (person(0), blurred))
    # with better faces, and alone, the second is like the first
    run = grouped([together, together, at(2, person(0, 0.05), looks=20)])
    assert clusters(run) == [("person 1", "person 2")] * 2 + [("person 2",)]
    assert "face.merged" not in run.types


def test_less_sure_of_two_meeting_tracks_gets_another() -> None:
    # track 1 has no face for a while, and a face like it takes its id
    run = grouped([at(1, person(0)), at(2, person(0, 0.2, 1)), pair((2, 1), (person(0, 0.2, 1), person(0)))])
    assert clusters(run) == [("person 1",), ("person 1",), ("person 2", "person 1")]


def test_named_person_loses_the_cluster_id() -> None:
    faces = pair((1, 2), (person(0), person(0, 0.1, 1)))
    named = with_names(NamedFaces, faces, ("Ada", ""))
    past: list[list[Any]] = [[at(1, person(0))], [faces, named]]
    run = run_plugin(FaceClustersPlugin, make_frames(2, info=INFO), past=past)
    assert clusters(run) == [("person 1",), ("Ada", "person 2")]


def test_people_with_a_name_get_no_id() -> None:
    faces = make_face_tracks({1: [0, 0, 9, 9], 2: [50, 0, 59, 9]}, [person(0), person(1)])
    past = [[faces, with_names(NamedFaces, faces, ("Ada", ""))]] * 3
    run = run_plugin(FaceClustersPlugin, make_frames(3, info=INFO), past=past)
    assert run.all(FaceClusters)[-1].cluster == ("Ada", "person 1")


def test_ids_last_over_runs_with_a_folder(tmp_path: Path) -> None:
    folder = str(tmp_path / "people-{stream}")
    assert labels(grouped(VISITS, folder=folder)) == ["person 1", "person 2", "person 1", "person 3", "person 2"]
    again = grouped([at(1, person(2)), at(2, person(6))], folder=folder)
    assert labels(again) == ["person 3", "person 4"]
    assert (tmp_path / "people-test" / "people.json").is_file()


class Live:
    """The plugin as the engine holds it, with frames of a live stream."""

    def __init__(self, **options: Any) -> None:
        self.plugin = FaceClustersPlugin(FaceClustersOptions.model_validate(options))
        context = PluginContext(name="c", stream=INFO, models=ModelStore(), log=logging.getLogger("test"))
        self.plugin.open(context)

    def observe(self, index: int, faces: FaceTracks, *, utc_s: float | None = None) -> str:
        frame: Frame = make_frames(index + 1, info=INFO)[index]
        if utc_s is not None:
            frame = replace(frame, captured_ns=round(utc_s * 1e9))
        found, *events = self.plugin.process(frame, Results({("t", FaceTracks): faces})) or ()
        assert all(isinstance(event, Event) for event in events)
        assert isinstance(found, FaceClusters)
        assert found.cluster is not None
        return found.cluster[0]


@pytest.mark.parametrize("on_disk", [True, False])
def test_crash_recovery_gives_the_same_ids(tmp_path: Path, on_disk: bool) -> None:
    options = {"folder": str(tmp_path / "people")} if on_disk else {}
    whole = [at(n, person(n % 5, 0.08, n), looks=3) for n in range(1, 21)]
    expected = labels(grouped(whole))
    first = Live(**options)
    for index in range(10):
        first.observe(index, whole[index])
    state = json.loads(json.dumps(first.plugin.state()))
    for index in range(10, 16):
        first.observe(index, whole[index])  # frames after the checkpoint, which follow again
    first.plugin.close()
    second = Live(**options)
    second.plugin.restore(state)
    assert [second.observe(index, whole[index]) for index in range(10, 20)] == expected[10:]
    second.plugin.close()


def test_old_embeddings_are_deleted_by_capture_time(tmp_path: Path) -> None:
    folder, day = tmp_path / "people", 86400.0
    live = Live(folder=str(folder), expire_after="30d")
    assert live.observe(0, at(1, person(0)), utc_s=1e9) == "person 1"
    assert live.observe(1, at(2, person(1)), utc_s=1e9 + 20 * day) == "person 2"
    assert live.observe(2, at(3, person(2)), utc_s=1e9 + 31 * day) == "person 3"
    held = b"".join(path.read_bytes() for path in folder.glob("rows-*"))
    assert person(0).tobytes() not in held
    assert person(1).tobytes() in held
    assert live.observe(3, at(4, person(0)), utc_s=1e9 + 31 * day + 1) == "person 4"
    assert live.observe(4, at(5, person(1)), utc_s=1e9 + 31 * day + 2) == "person 2"
    live.plugin.close()
    with VectorIndex(folder, 8) as index:
        assert len(index) == 4


def test_people_without_capture_time_are_not_forgotten(tmp_path: Path) -> None:
    """Media time says nothing of how long ago that was."""
    folder = tmp_path / "people"
    live = Live(folder=str(folder), expire_after="1s")
    assert live.observe(0, at(1, person(0))) == "person 1"
    assert live.observe(90, at(2, person(1))) == "person 2"
    assert live.observe(91, at(3, person(2)), utc_s=1.7e9) == "person 3"
    assert live.observe(92, at(4, person(0)), utc_s=1.7e9 + 100) == "person 1"
    live.plugin.close()
    emitted = [line.split("\t") for line in CliRunner().invoke(app, ["people", str(folder)]).output.splitlines()]
    assert emitted == [
        ["person 1", "2 vectors", "from 2023-11-14T22:15:00.000000Z to 2023-11-14T22:15:00.000000Z"],
        ["person 2", "1 vector", "from 9.000 s of media time to 9.000 s of media time"],
    ]


def test_memory_is_bounded_where_there_is_no_folder() -> None:
    people = People(None, 64, 0.9, 0.95)
    vectors = np.random.default_rng(1).normal(size=(MEMORY_MOST + 50, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for n, vector in enumerate(vectors.astype(np.float32)):
        people.meet([n])
        people.look(n, n, n, 3, vector)
    assert len(people.index) <= MEMORY_MOST
    people.close()


def test_unfit_options_are_refused_with_advice(tmp_path: Path) -> None:
    folder = tmp_path / "people"
    grouped(VISITS, folder=str(folder))
    with pytest.raises(PluginError, match="for vectors of 8 values, expected 1 and 4"):
        grouped([make_face_tracks({1: [0, 0, 9, 9]}, [[1, 0, 0, 0]])], folder=str(folder))
    with pytest.raises(PluginError, match="the faces have no embeddings"):
        grouped([make_face_tracks({1: [0, 0, 9, 9]})])
    (folder / "people.json").write_text("[]")
    with pytest.raises(PluginError, match="isn't of face clusters, or was damaged"):
        grouped(VISITS, folder=str(folder))
    live = Live()
    live.observe(0, VISITS[0])
    with pytest.raises(ValueError, match="belongs to another `folder`"):
        Live(folder=str(tmp_path / "other")).plugin.restore(live.plugin.state())


def test_people_of_a_folder_are_managed(tmp_path: Path) -> None:
    folder = tmp_path / "people"
    grouped(VISITS, folder=str(folder))

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, words)
        return done.output + str(done.exception or "")

    lines = run("people", str(folder)).splitlines()
    assert [line.split("\t")[:2] for line in lines] == [
        ["person 1", "2 vectors"], ["person 2", "2 vectors"], ["person 3", "1 vector"],
    ]  # fmt: skip
    assert run("join", str(folder), "3", "1") == "both are person 1\n"
    assert labels(grouped([at(1, person(2))], folder=str(folder))) == ["person 1"]
    assert run("forget", str(folder), "1") == "person 1 is forgotten, with 4 vectors\n"
    held = b"".join(path.read_bytes() for path in folder.glob("rows-*"))
    assert held.count(b"\x80?") == 2  # the one (as float32) in each of the two vectors of person 2
    assert labels(grouped([at(1, person(2)), at(2, person(1))], folder=str(folder))) == ["person 4", "person 2"]
    assert "knows no person 1" in run("forget", str(folder), "1")
    assert "isn't a folder of face_clusters" in run("people", str(tmp_path))
    with VectorIndex(folder, 8):
        assert "is being written by another run or stream" in run("people", str(folder))


def test_crowd_meets_the_plugin_contract() -> None:
    past = [at(n, person(n % 5, 0.08, n), looks=3 + n) for n in range(12)]
    check_plugin_contract(FaceClustersPlugin, make_frames(12, info=INFO), past=[[faces] for faces in past])
