"""Search: a stream's content, stored on disk and found again by pictures, faces and words."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import Event, Frame, PluginContext, PluginError, Result, Results
from streamproc.models import ModelStore
from streamproc.sink import SinkContext
from streamproc.sinks.sqlite import SqliteOptions, SqliteSink
from streamproc.testing import make_detections, make_frame, make_info, make_tracks, run_plugin
from streamproc_plugins.search import Embed, Embedding, Remember, RememberOptions
from streamproc_plugins.search.memory import Item, Memory, memories
from streamproc_plugins.search.page import page
from streamproc_plugins.search.query import Wanted, by_face, by_picture, by_words, grouped_hits, nearest_items
from streamproc_plugins.tracking import Embeddings
from tests.nets import brightness_classes, model_folder
from tests.plugins.real import run_text

F32 = NDArray[np.float32]
INFO = make_info(width=64, height=48, rate=10)
DIM = 6


def unit(*values: float) -> F32:
    vector = np.zeros(DIM, np.float32)
    vector[: len(values)] = values
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def observed(*vectors: F32) -> tuple[list[Frame], list[list[Result]]]:
    """Frames, one a second, that look like these vectors."""
    frames = [make_frame(fill=20 * n, index=n, pts_s=float(n), info=INFO) for n in range(len(vectors))]
    return frames, [[Embedding(values=vector, model="net")] for vector in vectors]


def remember(folder: Path, *vectors: F32, **options: Any) -> Path:
    frames, past = observed(*vectors)
    run_plugin(Remember, frames, past=past, path=str(folder / "{stream}"), **options)
    return folder / "test"


@pytest.fixture
def opened() -> Iterator[Any]:
    made: list[Memory] = []

    def open_(folder: Path) -> Memory:
        made.append(Memory(folder, readonly=True))
        return made[-1]

    yield open_
    for memory in made:
        memory.close()


def times(memory: Memory, vector: F32, k: int = 9) -> list[float]:
    index = memory.index("frames")
    assert index is not None
    rows, _ = index.query(vector, k)
    items = memory.items("frames", rows.tolist())
    return [items[row].pts_ns / 1e9 for row in rows.tolist()]


A, B, C = unit(1), unit(0, 1), unit(0, 0, 1)


def test_nearest_item_comes_first(tmp_path: Path, opened: Any) -> None:
    memory = opened(remember(tmp_path, A, B, C, unit(1, 0.3)))
    assert times(memory, A, 2) == [0, 3]
    assert times(memory, C, 1) == [2]
    item = memory.items("frames", [1])[1]
    assert (item.stream, item.frame, item.box) == ("test", 1, (0, 0, 64, 48))
    picture = cv2.imdecode(np.frombuffer(item.thumbnail or b"", np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (48, 64, 3)


def test_unchanged_item_is_stored_once(tmp_path: Path, opened: Any) -> None:
    still = remember(tmp_path / "a", A, A, unit(1, 0.05), B, B)
    assert times(opened(still), unit(1, 1)) == [0, 3]
    seldom = remember(tmp_path / "b", A, B, C, A, B, every="2s")
    assert sorted(times(opened(seldom), A)) == [0, 2, 4]


def test_rerun_of_a_recording_stores_nothing_twice(tmp_path: Path, opened: Any) -> None:
    for _ in range(2):
        folder = remember(tmp_path, A, B, C)
    assert sorted(times(opened(folder), A)) == [0, 1, 2]


def plugin(folder: Path) -> Remember:
    made = Remember(RememberOptions(path=str(folder)))
    made.open(PluginContext(name="m", stream=INFO, models=ModelStore(), log=__import__("logging").getLogger("t")))
    return made


def test_kill_neither_repeats_nor_loses_items(tmp_path: Path, opened: Any) -> None:
    frames, past = observed(A, B, C, unit(1, 1), unit(0, 1, 1))
    first = plugin(tmp_path / "m")
    state: Any = None
    for frame, results in zip(frames[:4], past, strict=False):
        list(first.process(frame, Results({("e", Embedding): results[0]})) or ())
        if frame.index == 1:
            state = json.loads(json.dumps(dict(first.state() or {})))
    first.close()  # killed behind frame 3, restored from behind frame 1
    second = plugin(tmp_path / "m")
    second.restore(state)
    for frame, results in zip(frames[2:], past[2:], strict=True):
        list(second.process(frame, Results({("e", Embedding): results[0]})) or ())
    second.close()
    assert sorted(times(opened(tmp_path / "m"), A)) == [0, 1, 2, 3, 4]


def test_vectors_of_another_net_are_refused(tmp_path: Path) -> None:
    remember(tmp_path, A)
    frames, _ = observed(A)
    with pytest.raises(PluginError, match=r"holds frames by net \(6 values\), now they come from other \(3\)"):
        run_plugin(
            Remember, frames, past=[[Embedding(values=np.array([1, 0, 0], np.float32), model="other")]],
            path=str(tmp_path / "{stream}"),
        )  # fmt: skip


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    first = plugin(tmp_path / "m")
    frames, past = observed(A)
    list(first.process(frames[0], Results({("e", Embedding): past[0][0]})) or ())
    try:
        with pytest.raises(PluginError, match="is being written by another run or stream"):
            plugin(tmp_path / "m")
    finally:
        first.close()


def test_reader_reports_missing_vectors_and_writer_mends(tmp_path: Path) -> None:
    folder = remember(tmp_path, A, B, C)
    rows = folder / "frames" / "rows-00000000.bin"
    rows.write_bytes(rows.read_bytes()[:10])
    memory = Memory(folder, readonly=True)
    for _ in range(2):
        with pytest.raises(PluginError, match="frames is damaged: its files hold 0 of 3 stored vectors"):
            memory.index("frames")
    memory.close()
    remember(tmp_path, A)
    memory = Memory(folder, readonly=True)
    assert memory.rows() == {"frames": 1}
    memory.close()


def test_items_are_forgotten_with_their_vectors_and_pictures(tmp_path: Path) -> None:
    with_old = Memory(tmp_path / "m")
    with_old.begin("frames", "net", DIM)
    old, new = (Item(kind="frames", stream="s", pts_ns=n, frame=n, thumbnail=b"picture %d" % n) for n in range(2))
    with_old.store([old], A[None], stored_ns=100)
    with_old.store([new], B[None], stored_ns=200)
    assert with_old.expire(150) == 1
    with_old.close()
    again = Memory(tmp_path / "m")
    assert times(again, A) == [1e-9]
    again.close()
    assert b"picture 0" not in (tmp_path / "m" / "items.db").read_bytes()


def test_objects_are_stored_by_track(tmp_path: Path, opened: Any) -> None:
    frames = [make_frame(index=n, pts_s=float(n), info=INFO) for n in range(3)]
    boxes = make_detections([4, 4, 20, 40], [30, 4, 50, 40])
    looks = [np.stack([A, B]), np.stack([A, np.zeros(DIM, np.float32)]), np.stack([C, B])]
    past: list[list[Result]] = [
        [boxes, Embeddings(values=values), make_tracks({7: [4, 4, 20, 40], 9: [30, 4, 50, 40]})] for values in looks
    ]
    run_plugin(Remember, frames, past=past, path=str(tmp_path / "m"))
    memory = opened(tmp_path / "m")
    index = memory.index("objects")
    items = memory.items("objects", range(index.rows))
    emitted = [(item.track_id, item.pts_ns // 10**9, item.label, item.box[0]) for item in items.values()]
    assert emitted == [(7, 0, "person", 4), (9, 0, "person", 30), (7, 2, "person", 4)]


# --- questions ---


def hit_spans(found: list[tuple[Item, float]], **wanted: Any) -> list[tuple[float, float, int, float | None]]:
    return [(h.start_ns / 1e9, h.end_ns / 1e9, h.occurrences, h.score) for h in grouped_hits(found, Wanted(**wanted))]


def item(at_s: float, stream: str = "s", **more: Any) -> Item:
    return Item(kind="frames", stream=stream, pts_ns=round(at_s * 1e9), frame=0, **more)


def test_close_hits_become_one() -> None:
    found = [(item(1), 0.5), (item(3), 0.9), (item(20), 0.7), (item(2, "other"), 0.6)]
    assert hit_spans(found) == [(1, 3, 2, 0.9), (20, 20, 1, 0.7), (2, 2, 1, 0.6)]
    assert hit_spans(found, together_s=1.0, limit=2) == [(3, 3, 1, 0.9), (20, 20, 1, 0.7)]


DAY = 1_700_000_000


@pytest.fixture
def long_day(tmp_path: Path) -> Iterator[Memory]:
    """A dog a second for 300 seconds; the last ones are the least like A, and another stream's."""
    memory = Memory(tmp_path / "m")
    memory.begin("objects", "net", DIM)
    items = [
        Item(
            kind="objects", stream="gate" if n < 290 else "yard", pts_ns=n * 10**9, frame=n, label="dog",
            captured_ns=(DAY + n) * 10**9,
        )
        for n in range(300)
    ]  # fmt: skip
    memory.store(items, np.stack([unit(1, n / 300) for n in range(300)]), stored_ns=1)
    yield memory
    memory.close()


def by_vector(memory: Memory, **wanted: Any) -> list[float]:
    index = memory.index("objects")
    assert index is not None
    found = nearest_items(memory, index, A, "objects", Wanted(limit=2, together_s=0, **wanted))
    return sorted(item.pts_ns / 1e9 for item, _ in found)


@pytest.mark.parametrize(
    ("filters", "first"),
    [
        ({"from_s": 295.0}, 295), ({"stream": "yard"}, 290), ({"since_ns": (DAY + 298) * 10**9}, 298),
        ({"to_s": 3.0}, 0), ({"until_ns": (DAY + 2) * 10**9}, 0),
    ],
)  # fmt: skip
def test_filters_find_what_is_far_down_the_list(long_day: Memory, filters: dict[str, Any], first: float) -> None:
    assert by_vector(long_day, **filters)[0] == first
    hits = by_words([long_day], None, "dog", Wanted(limit=2, together_s=0, **filters))
    assert hits[0].start_ns / 1e9 == first
    assert len(hits) == 2


def test_constant_item_leaves_room_for_later_ones(long_day: Memory) -> None:
    far = Item(kind="objects", stream="gate", pts_ns=10**12, frame=9, label="dog")
    long_day.store([far], unit(1, 2)[None], stored_ns=1)
    hits = by_words([long_day], None, "dog", Wanted(limit=3))
    assert [(hit.start_ns // 10**9, hit.occurrences) for hit in hits] == [(0, 290), (1000, 1), (290, 10)]
    assert by_vector(long_day)[:2] == [0, 1]
    assert {h.start_ns // 10**9 for h in grouped_hits(near(long_day, limit=3), Wanted(limit=3))} == {0, 290, 1000}


def near(memory: Memory, **wanted: Any) -> list[tuple[Item, float]]:
    index = memory.index("objects")
    assert index is not None
    return nearest_items(memory, index, A, "objects", Wanted(**wanted))


def test_unknown_time_does_not_match_since(tmp_path: Path) -> None:
    folder = remember(tmp_path, A)
    with_time = memories(folder)
    try:
        assert by_words(with_time, None, "x", Wanted(since_ns=0)) == []
        assert with_time[0].matching("frames", Wanted(since_ns=0).filters).tolist() == []
        assert with_time[0].matching("frames", Wanted(from_s=0).filters).tolist() == [0]
    finally:
        with_time[0].close()


def test_still_picture_is_stored_once(tmp_path: Path, opened: Any) -> None:
    frames = [make_frame(index=n, pts_s=float(n), info=INFO) for n in range(25)]
    places = [[4 + m, 4, 20 + m, 40] for m in range(50)]
    looks = Embeddings(values=np.stack([B] * 50))
    past: list[list[Result]] = [
        [
            Embedding(values=A, model="net"), make_detections(*places), looks,
            make_tracks({50 * n + m + 1: place for m, place in enumerate(places)}),
        ]
        for n in range(25)
    ]  # fmt: skip
    run_plugin(Remember, frames, past=past, path=str(tmp_path / "m"), thumbnails=False)
    assert times(opened(tmp_path / "m"), A) == [0]


def classifier(folder: Path) -> Path:
    spec = {"height": 16, "width": 16, "layout": "NCHW", "colour": "rgb", "resize": "stretch"}
    return model_folder(
        folder / "levels", brightness_classes(16, 16), task="re-identification", decode="embedding", input=spec
    )


def test_query_uses_the_net_of_the_vectors(tmp_path: Path) -> None:
    net = classifier(tmp_path)
    frames = [make_frame(fill=level, index=n, pts_s=10.0 * n, info=INFO) for n, level in enumerate((20, 120, 235))]
    embedded = run_plugin(Embed, frames, model=str(net)).all(Embedding)
    assert [round(float(e.values[0]), 2) for e in embedded] == [0.08, 0.66, 1.0]
    past: list[list[Result]] = [[Embedding(values=e.values, model=str(net))] for e in embedded]
    run_plugin(Remember, frames, past=past, path=str(tmp_path / "m"))
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((30, 40, 3), 118, np.uint8))
    opened = memories(tmp_path)
    try:
        hits = by_picture(opened, tmp_path / "grey.png", "frames", Wanted(limit=1), ModelStore())
        assert [(hit.item.pts_ns / 1e9, round(hit.score or 0, 3)) for hit in hits] == [(10, 1.0)]
        with pytest.raises(PluginError, match=r"no faces are stored there \(only frames\)"):
            by_face(opened, tmp_path / "grey.png", Wanted(), ModelStore())
        with pytest.raises(PluginError, match="can't be read"):
            by_picture(opened, tmp_path / "missing.png", "frames", Wanted(), ModelStore())
    finally:
        for memory in opened:
            memory.close()


def test_words_match_labels_and_event_databases(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m")
    memory.begin("objects", "net", DIM)
    stored = Item(kind="objects", stream="gate", pts_ns=5, frame=0, label="red_car 100%")
    memory.store([stored], A[None], stored_ns=1)
    sink = SqliteSink(SqliteOptions(path=tmp_path / "events.db"))
    sink.open(SinkContext(name="db", log=__import__("logging").getLogger("t")))
    frame = dataclasses.replace(make_frame(index=40, info=INFO), captured_ns=DAY * 10**9)
    event = Event.instant(frame, "caption", text="A red car stands still.").stamped(INFO, "words", 0)
    sink.write([event])
    sink.close()
    found = by_words([memory], tmp_path / "events.db", "red car", Wanted())
    assert [(hit.item.stream, hit.item.label) for hit in found] == [
        ("gate", "red_car 100%"), ("test", "caption: A red car stands still."),
    ]  # fmt: skip
    assert found[1].item.captured_ns == DAY * 10**9
    for wanted, count in ((Wanted(since_ns=DAY * 10**9), 1), (Wanted(until_ns=DAY * 10**9), 0)):
        assert len(by_words([], tmp_path / "events.db", "red car", wanted)) == count
    assert by_words([memory], None, "100%", Wanted())
    assert not by_words([memory], None, "r_d", Wanted())  # no wildcards
    memory.close()


def test_a_net_that_makes_no_vectors_is_refused(tmp_path: Path) -> None:
    spec = {"height": 16, "width": 16, "layout": "NCHW", "colour": "rgb"}
    net = model_folder(tmp_path / "n", brightness_classes(16, 16), task="pose", decode="movenet", input=spec)
    with pytest.raises(PluginError, match="expected a net whose decode is 'embedding', or a classifier"):
        run_plugin(Embed, [make_frame()], model=str(net))


def test_vector_of_other_length_is_refused() -> None:
    with pytest.raises(ValueError, match="has the length 2, expected 1"):
        Embedding(values=np.array([2, 0], np.float32), model="m")


# --- the command ---


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamproc", "search", *map(str, words)], capture_output=True, text=True, check=False
    )


def test_command_prints_lines_json_and_page(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m")
    memory.begin("objects", "net", DIM)
    for at_s in (1, 2, 30):
        stored = Item(
            kind="objects", stream="<gate>", pts_ns=at_s * 10**9, frame=0, label="dog", thumbnail=b"\xff\xd8jpeg"
        )
        memory.store([stored], A[None], stored_ns=1)
    memory.close()
    plain = command(tmp_path, "--text", "dog", "--html", tmp_path / "found.html")
    assert plain.returncode == 0, plain.stderr
    assert [line.split() for line in plain.stdout.splitlines()] == [
        ["<gate>", "0:00:01.0", "-", "0:00:02.0", "dog"], ["<gate>", "0:00:30.0", "dog"],
    ]  # fmt: skip
    text = (tmp_path / "found.html").read_text()
    assert text.count("data:image/jpeg;base64,") == 2
    assert "&lt;gate&gt;" in text
    assert not re.search(r'(src|href)="https?:', text)  # one file, nothing from elsewhere
    assert (tmp_path / "found.html").stat().st_mode & 0o077 == 0  # it may show people
    refused = command(tmp_path, "--text", "dog", "--html", tmp_path / "found.html" / "in.html")
    assert "in.html can't be written (File exists); make room, or choose another place" in refused.stderr
    lines = command(tmp_path, "--text", "dog", "--json", "--limit", "1").stdout.splitlines()
    assert [(found["start_s"], found["end_s"], found["seen"]) for found in map(json.loads, lines)] == [(1, 2, 2)]
    assert "Nothing was found." in page("t", [])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "ask by one of --image, --face, --text"),
        (("--text", "a", "--image", "b.png"), "got --image and --text; ask by one of"),
        (("--image", "b.png", "--least", "5"), "--least is 5, expected a cosine of -1 to 1"),
        (("--image", "b.png", "--least", "nan"), "--least is nan, expected a cosine of -1 to 1"),
        (("--text", "a", "--since", "monday"), "--since is 'monday', expected a time such as"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    Memory(tmp_path / "m").close()
    remember(tmp_path, A)
    done = command(tmp_path, *words)
    assert done.returncode != 0
    assert message in done.stderr


def test_a_folder_without_a_memory_is_refused(tmp_path: Path) -> None:
    assert "holds no memory; name the folder that `remember` writes" in command(tmp_path, "--text", "a").stderr


# --- real footage ---

REAL = """
version: 1
streams:
  hall: {{source: {{type: file, options: {{path: "{media}/cctv_one_by_one.mp4"}}}}, rate: 0.5, chain: [what, memory]}}
  gym: {{source: {{type: file, options: {{path: "{media}/sport_basketball_gym.mp4"}}}}, rate: 1, chain: [what, memory]}}
  stage:
    source: {{type: file, options: {{path: "{media}/face_hamilton_4shots.mp4"}}}}
    rate: 5
    chain: [faces, memory]
plugins:
  what: {{type: embed}}
  faces: {{type: faces, options: {{embedding: mobileface}}}}
  memory:
    type: remember
    options: {{path: "{out}/{{stream}}", faces: true, face_model: mobileface, every: 500ms}}
"""


@pytest.mark.real
def test_real_scenes_and_people_are_found_again(shared: Path, tmp_path: Path) -> None:
    import av

    run_text(REAL.format(media=shared / "media", out=tmp_path / "stored"), tmp_path, shared / "models")
    with av.open(str(shared / "media" / "sport_basketball_gym.mp4")) as container:
        frame = next(f for n, f in enumerate(container.decode(video=0)) if n == 137)  # between two stored ones
    cv2.imwrite(str(tmp_path / "gym.png"), frame.to_ndarray(format="bgr24"))
    store = ModelStore(mirrors=[shared / "models"], cache=tmp_path / "cache", download=False)
    opened = memories(tmp_path / "stored")
    references = shared / "data" / "faces" / "references"
    try:
        best = by_picture(opened, tmp_path / "gym.png", "frames", Wanted(limit=3), store)
        assert best[0].item.stream == "gym"
        assert (best[0].score or 0) > 0.8 > (best[1].score or 0)
        wanted = Wanted(least=0.35, together_s=1.0)
        found = by_face(opened, references / "lin-manuel-miranda.png", wanted, store)
        # shots 0 (to 0.66 s) and 2 (2.73 s to 7.0 s) show the person; shots 1 and 3 don't
        assert {hit.item.stream for hit in found} == {"stage"}
        assert all(h.end_ns <= 0.7e9 or (h.start_ns >= 2.7e9 and h.end_ns <= 7.03e9) for h in found)
        assert {h.end_ns <= 0.7e9 for h in found} == {True, False}
    finally:
        for memory in opened:
            memory.close()
