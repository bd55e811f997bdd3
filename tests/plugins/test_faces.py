"""Faces found, embedded, followed and named: the plugins on nets built here."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc import Faces, ModelError, PluginContext, PluginError, Results
from streamproc.models import ModelStore, builtin
from streamproc.shots import Shot
from streamproc.testing import Fault, make_frame, make_frames, make_info, plugin_plan, run_chain, run_plugin
from streamproc_plugins.faces import (
    FaceAttributes,
    FaceAttributesPlugin,
    FaceNames,
    FacesOptions,
    FacesPlugin,
    FaceTracks,
    FaceTracksPlugin,
    NamedFaces,
)
from streamproc_plugins.faces.detectors import face_input_hw
from streamproc_plugins.faces.gallery import Gallery
from tests.nets import answering_net, brightness_classes, model_folder
from tests.plugins.faces import detector, embedder, make_face_tracks, make_faces, person

INFO = make_info(width=192, height=128, rate=10)


def looked(frame: Any, **options: Any) -> Faces:
    """The plugin's result for one frame."""
    (faces,) = run_plugin(FacesPlugin, [frame], **options).all(Faces)
    return faces


def test_faces_are_in_source_pixels_best_first(tmp_path: Path) -> None:
    model = detector(tmp_path, 64, 96, (2, 3), (8, 4))
    faces = looked(make_frame(info=INFO), model=model)
    # the picture is twice the input: a face of 32 pixels round (20, 28) and round (68, 36)
    assert faces.xyxy.tolist() == [[8, 24, 72, 88], [104, 40, 168, 104]]
    assert faces.score.tolist() == pytest.approx([0.95, 0.9])
    assert faces.landmarks[0, 0].tolist() == pytest.approx([8 + 64 * 38.2946 / 112, 24 + 64 * 51.6963 / 112], abs=1e-3)
    assert faces.embeddings is None


def test_overlapping_low_and_small_faces_are_dropped(tmp_path: Path) -> None:
    model = detector(tmp_path, 64, 96, (2, 3), (3, 3), (8, 4))
    assert len(looked(make_frame(info=INFO), model=model).xyxy) == 2
    assert len(looked(make_frame(info=INFO), model=model, nms_iou=0.9).xyxy) == 3
    assert len(looked(make_frame(info=INFO), model=model, min_score=0.92).xyxy) == 1
    assert len(looked(make_frame(info=INFO), model=model, max_items=1).xyxy) == 1
    assert len(looked(make_frame(info=INFO), model=model, min_size=65).xyxy) == 0


def test_embeddings_have_unit_length_and_differ_by_face(tmp_path: Path) -> None:
    model, net = detector(tmp_path, 64, 96, (2, 3), (8, 4)), embedder(tmp_path)
    rgb = np.random.default_rng(1).integers(0, 60, (128, 192, 3), dtype=np.uint8)
    rgb[:, :96, 0] += 190
    rgb[:, 96:, 2] += 190
    faces = looked(make_frame(rgb=rgb, info=INFO), model=model, embedding=net)
    assert faces.embeddings is not None
    assert np.linalg.norm(faces.embeddings, axis=1) == pytest.approx([1, 1])
    assert faces.embeddings.argmax(axis=1).tolist() == [0, 2]


@pytest.mark.parametrize(
    "demand", [{"min_eyes": 25}, {"min_score": 0.97}, {"min_frontal": 1.0}, {"min_sharpness": 1e6}]
)
def test_a_poor_face_is_given_without_an_embedding(tmp_path: Path, demand: dict[str, float]) -> None:
    model, net = detector(tmp_path, 64, 96, (2, 3)), embedder(tmp_path)
    rgb = np.random.default_rng(1).integers(0, 250, (128, 192, 3), dtype=np.uint8)
    good = looked(make_frame(rgb=rgb, info=INFO), model=model, embedding=net)
    poor = looked(make_frame(rgb=rgb, info=INFO), model=model, embedding=net, quality=demand)
    assert good.embeddings is not None
    assert poor.embeddings is not None
    assert good.embeddings.any()
    assert len(poor.xyxy) == 1
    assert not poor.embeddings.any()


def test_unfit_models_are_refused_at_start(tmp_path: Path) -> None:
    def refused(match: str, **options: Any) -> None:
        plugin = FacesPlugin(FacesOptions.model_validate(options))
        context = PluginContext(name="f", stream=INFO, models=ModelStore(), log=logging.getLogger("test"))
        with pytest.raises(ModelError, match=match):
            plugin.open(context)

    refused("mobilenet-v2 is for classification.*such as yunet", model="mobilenet-v2")
    refused("yunet is for face-detection.*such as mobileface", model=detector(tmp_path), embedding="yunet")
    spec = {"height": 64, "width": 96, "layout": "NCHW", "colour": "bgr"}
    net = answering_net({"cls_8": np.zeros((1, 5, 1), np.float32)}, (1, 3, 64, 96))
    odd = model_folder(tmp_path / "odd", net, decode="yunet", input=spec, labels=["face"])
    refused(r"gives cls_8 float32 \(1, 5, 1\), expected output cls_8 of shape \(1, 96, 1\)", model=str(odd))
    refused("has the input size 64x96 only; leave `detail` out", model=detector(tmp_path / "b"), detail="high")


def test_classifier_reads_large_faces(tmp_path: Path) -> None:
    spec = {"height": 48, "width": 48, "layout": "NCHW", "colour": "rgb", "resize": "stretch"}
    labels = ["bright", "dark"]
    net = model_folder(tmp_path / "light", brightness_classes(48, 48), decode="sigmoid", labels=labels, input=spec)
    rgb = np.zeros((128, 192, 3), np.uint8)
    rgb[:, 96:] = 230
    faces = make_faces([10, 30, 70, 90], [110, 30, 170, 90], [0, 0, 8, 8])
    run = run_plugin(FaceAttributesPlugin, [make_frame(rgb=rgb, info=INFO)], past=[[faces]], heads={"light": str(net)})
    (found,) = run.all(FaceAttributes)
    assert found.of("light") == ("dark", "bright", "")
    assert found.score[:, 0].tolist() == pytest.approx([1, 230 / 255, 0], abs=0.01)
    sure = run_plugin(
        FaceAttributesPlugin, [make_frame(rgb=rgb, info=INFO)], past=[[faces]], heads={"l": str(net)}, min_score=0.95
    )
    assert sure.all(FaceAttributes)[0].of("l") == ("dark", "", "")
    empty = run_plugin(FaceAttributesPlugin, [make_frame(info=INFO)], past=[[make_faces()]], heads={"l": str(net)})
    assert empty.all(FaceAttributes)[0].of("l") == ()
    with pytest.raises(PluginError, match="expected a classifier with labels and a square input"):
        run_plugin(
            FaceAttributesPlugin, [make_frame(info=INFO)], past=[[faces]], heads={"l": detector(tmp_path / "d", 64, 96)}
        )


def test_without_its_package_mtcnn_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mtcnn", None)
    with pytest.raises(PluginError, match=r"pip install 'streamproc\[mtcnn\]'"):
        looked(make_frame(info=INFO), model="mtcnn")


def test_input_follows_the_picture_without_enlarging() -> None:
    entry = builtin()["yunet"]

    def chosen(width: int, height: int, step: int | None = None, **options: Any) -> tuple[int, int]:
        return face_input_hw(FacesOptions.model_validate(options), entry, (width, height), step)

    assert chosen(1920, 1080) == (384, 640)
    assert chosen(250, 250) == (256, 256)
    assert chosen(250, 250, detail="high") == (256, 256)
    assert chosen(1920, 1080, detail="high")[1] > 1200
    assert chosen(1080, 1920)[0] > chosen(1080, 1920)[1]
    assert chosen(640, 360, input_size=[320, 320]) == (320, 320)
    sizes = {
        chosen(width, height, 256, detail="high") for width in range(50, 4000, 130) for height in range(50, 4000, 130)
    }
    assert len(sizes) < 60
    assert all(side % 256 == 0 for size in sizes for side in size)


def followed(past: list[Faces], **options: Any) -> list[FaceTracks]:
    frames = make_frames(len(past), info=INFO)
    return run_plugin(FaceTracksPlugin, frames, past=[[faces] for faces in past], **options).all(FaceTracks)


def test_face_keeps_its_track_over_short_absence() -> None:
    past = [make_faces([10 + 3 * n, 10, 50 + 3 * n, 50]) for n in range(6)]
    past += [make_faces()] * 5
    past += [make_faces([30, 10, 70, 50])]
    tracks = followed(past)
    assert [track.track_id.tolist() for track in tracks] == [[1]] * 6 + [[]] * 5 + [[1]]
    assert tracks[-1].age_ns.tolist() == [1_100_000_000]
    past = [*past[:6], *[make_faces()] * 9, make_faces([30, 10, 70, 50])]
    assert followed(past)[-1].track_id.tolist() == [2]
    assert followed(past, lost_after="2s")[-1].track_id.tolist() == [1]


def test_other_person_in_same_place_is_another_track() -> None:
    past = [make_faces([10, 10, 50, 50], embeddings=person(0)) for _ in range(4)]
    past += [make_faces([10, 10, 50, 50], embeddings=person(1)) for _ in range(4)]
    tracks = followed(past)
    assert [track.track_id.tolist() for track in tracks] == [[1]] * 4 + [[2]] * 4
    assert [track.looks.tolist() for track in tracks] == [[1], [2], [3], [4]] * 2


def test_people_who_swap_places_keep_their_tracks() -> None:
    """They are a little alike, as people may be: a cosine of 0.4, above `min_cosine`."""
    other = np.asarray(0.4 * person(0) + np.sqrt(1 - 0.4**2) * person(1), np.float32)
    left, right = [10, 10, 50, 50], [60, 10, 100, 50]
    past = [make_faces(left, right, embeddings=[person(0), other]) for _ in range(4)]
    past += [make_faces(left, right, embeddings=[other, person(0)]) for _ in range(4)]
    tracks = followed(past)
    before, after = tracks[3].track_id.tolist(), tracks[4].track_id.tolist()
    assert not set(before) & set(after)
    assert tracks[-1].track_id.tolist() == after
    assert tracks[-1].templates is not None
    assert tracks[-1].templates[0] @ other == pytest.approx(1, abs=1e-5)


def test_poor_look_stays_with_its_track() -> None:
    poor = np.asarray(0.2 * person(0) + np.sqrt(1 - 0.2**2) * person(2), np.float32)
    left, right = [10, 10, 50, 50], [60, 10, 100, 50]
    past = [make_faces(left, right, embeddings=[person(0), person(1)]) for _ in range(4)]
    past += [make_faces(left, right, embeddings=[poor, person(1)])]
    assert [found.track_id.tolist() for found in followed(past)] == [[1, 2]] * 5


def test_no_track_spans_a_cut() -> None:
    frames = make_frames(8, info=INFO)
    # the cut at 400 ms is known at 600 ms; the face of the new shot keeps its track
    shots = [Shot(number=1, start_ns=0, kind="start")] * 6 + [Shot(number=2, start_ns=400_000_000, kind="cut")] * 2
    faces = [make_faces([10, 10, 50, 50])] * 4 + [make_faces([10, 10, 50, 50], [100, 10, 140, 50])] * 4
    past = [[shot, found] for shot, found in zip(shots, faces, strict=True)]
    tracks = run_plugin(FaceTracksPlugin, frames, past=past).all(FaceTracks)
    assert [found.track_id.tolist() for found in tracks] == [[1]] * 4 + [[1, 2]] * 2 + [[3, 2]] * 2


def test_template_is_the_mean_of_good_looks() -> None:
    one, two = person(0), person(0, 0.2)
    past = [make_faces([10, 10, 50, 50], embeddings=e) for e in (one, np.zeros(8), two)]
    last = followed(past)[-1]
    assert last.looks.tolist() == [2]
    assert last.templates is not None
    mean = (one + two) / np.linalg.norm(one + two)
    assert last.templates[0] == pytest.approx(mean, abs=1e-6)


def test_landmarks_are_smoothed_unless_switched_off() -> None:
    rng = np.random.default_rng(5)
    past = [make_faces([10, 10, 90, 90]) for _ in range(60)]
    trembling = [
        Faces(
            xyxy=f.xyxy,
            score=f.score,
            landmarks=f.landmarks + rng.normal(0, 1.5, (1, 5, 2)).astype(np.float32),
        )
        for f in past
    ]
    raw = np.stack([f.landmarks for f in trembling])[20:]
    smooth = np.stack([f.landmarks for f in followed(trembling)])[20:]
    same = np.stack([f.landmarks for f in followed(trembling, smooth=False)])[20:]
    assert smooth.std(axis=0).mean() < 0.75 * raw.std(axis=0).mean()
    assert np.array_equal(same, raw)


@pytest.fixture
def gallery(tmp_path: Path) -> str:
    path = tmp_path / "gallery.db"
    store = Gallery(path)
    store.add("Ada", "ada.jpg", person(0)[None], "net")
    store.add("Bob", "bob.jpg", np.stack([person(1), person(2)]), "net")
    return str(path)


def named(gallery: str, past: Sequence[FaceTracks | None], rate: float = 10, **options: Any) -> Any:
    info = make_info(width=192, height=128, rate=rate)
    frames = make_frames(len(past), info=info)
    given = [[] if faces is None else [faces] for faces in past]
    return run_plugin(FaceNames, frames, past=given, gallery=gallery, **options)


def emitted(run: Any) -> list[tuple[str, str, str]]:
    return [(event.type, event.phase, event.subject) for event in run.events]


def at(track_id: int, identity: Any, looks: int = 5, age_s: float = 5) -> FaceTracks:
    return make_face_tracks({track_id: [10, 10, 50, 50]}, identity, looks=looks, age_s=age_s)


def test_known_person_gives_one_event_per_appearance(gallery: str) -> None:
    run = named(gallery, [at(1, person(0, 0.1, n), age_s=0.1 * n) for n in range(50)])
    assert emitted(run) == [("face.recognised", "start", "Ada"), ("face.recognised", "end", "Ada")]
    start, end = run.events
    assert start.start_ns == 0
    assert end.end_ns == 4_900_000_000
    assert end.data["name"] == "Ada"
    assert end.data["duration_s"] == pytest.approx(4.9)
    assert end.episode == start.episode
    assert {faces.cluster for faces in run.all(NamedFaces)} == {("Ada",)}


@pytest.mark.parametrize("rate", [5, 10, 25])
def test_absence_counts_in_media_time(gallery: str, rate: float) -> None:
    def visits(away_s: float) -> int:
        here, away = [at(1, person(0))] * round(rate), [make_face_tracks({})] * round(rate * away_s)
        back = [at(2, person(0), age_s=0.1)] * round(rate)
        run = named(gallery, [*here, *away, *back], rate)
        return sum(event.phase == "start" for event in run.events)

    assert visits(1.5) == 1
    assert visits(3) == 2


def test_turned_face_keeps_its_name_briefly(gallery: str) -> None:
    turned = [make_face_tracks({1: [10, 10, 50, 50]}, person(0), unsure_s=n / 10) for n in range(1, 40)]
    run = named(gallery, [at(1, person(0))] * 10 + turned)
    assert [faces.cluster for faces in run.all(NamedFaces)[9:17]] == [("Ada",)] * 6 + [("",)] * 2
    assert emitted(run) == [("face.recognised", "start", "Ada"), ("face.recognised", "end", "Ada")]
    assert run.events[1].end_ns == 1_400_000_000


def test_any_photo_of_a_person_will_do(gallery: str) -> None:
    run = named(gallery, [make_face_tracks({1: [0, 0, 9, 9], 2: [50, 0, 59, 9]}, [person(2), person(0)])] * 3)
    assert run.all(NamedFaces)[-1].cluster == ("Bob", "Ada")


def test_stranger_becomes_unknown_after_a_while(gallery: str) -> None:
    run = named(gallery, [at(1, person(5), age_s=0.1 * n) for n in range(30)])
    assert emitted(run) == [("face.unknown", "start", ""), ("face.unknown", "end", "")]
    assert run.events[0].pts_ns == 1_000_000_000
    assert run.events[0].start_ns == 0
    assert named(gallery, [at(1, person(5), age_s=0.1 * n) for n in range(9)]).events == []


def test_few_looks_or_small_margin_name_nobody(gallery: str) -> None:
    between = (person(0) + person(1)) / np.sqrt(2)
    assert named(gallery, [at(1, person(0), looks=2)] * 5).events == []
    assert [t for t in emitted(named(gallery, [at(1, between)] * 5)) if t[2]] == []
    assert named(gallery, [at(1, np.zeros(8))] * 5, min_looks=1).all(NamedFaces)[0].cluster == ("",)


def test_name_stands_on_the_surest_face_only(gallery: str) -> None:
    both = make_face_tracks({1: [0, 0, 9, 9], 2: [50, 0, 59, 9]}, [person(0, 0.15, 1), person(0)])
    run = named(gallery, [both] * 20)
    assert run.all(NamedFaces)[-1].cluster == ("", "Ada")
    assert [subject for _, _, subject in emitted(run) if subject] == ["Ada", "Ada"]


def test_recognised_later_ends_unknown(gallery: str) -> None:
    run = named(gallery, [at(1, person(5))] * 5 + [at(1, person(0))] * 5)
    assert emitted(run) == [
        ("face.unknown", "start", ""), ("face.unknown", "end", ""),
        ("face.recognised", "start", "Ada"), ("face.recognised", "end", "Ada"),
    ]  # fmt: skip


def test_gaps_end_visits(gallery: str) -> None:
    frames = make_frames(20, info=INFO)
    past = {frame.pts_ns: at(1, person(0)) for frame in frames[:5]}

    from streamproc import Frame, FramePlugin, Options, Output

    class Given(FramePlugin[Options]):
        gives = (FaceTracks,)

        def process(self, frame: Frame, past_: Results) -> Output:
            return [past[frame.pts_ns]] if frame.pts_ns in past else []

    late = [make_frame(info=INFO, index=n, pts_s=20 + n / 10) for n in range(20, 25)]
    chain = [plugin_plan(Given), plugin_plan(FaceNames, gallery=gallery)]
    run = run_chain(chain, [*frames, Fault("undecodable"), *late])
    assert [(event.phase, event.subject) for event in run.events] == [("start", "Ada"), ("end", "Ada")]
    assert run.events[1].end_ns == 400_000_000


def test_faces_without_fitting_embeddings_are_refused(gallery: str) -> None:
    with pytest.raises(PluginError, match="the faces have no embeddings; set `embedding`"):
        named(gallery, [make_face_tracks({1: [0, 0, 9, 9]})])
    with pytest.raises(PluginError, match=r"embeddings of 4 values, the gallery has 8 \(net\)"):
        named(gallery, [make_face_tracks({1: [0, 0, 9, 9]}, [[1, 0, 0, 0]])])
    with pytest.raises(PluginError, match="there is no gallery"):
        named(gallery + "x", [at(1, person(0))])
