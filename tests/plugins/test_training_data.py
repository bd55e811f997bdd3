"""Reading, splitting and varying the data of a training: no net is needed for this."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc.media.stills import natural
from streamproc_plugins.training.advice import advise, diagnose
from streamproc_plugins.training.augment import Augmentation, vary
from streamproc_plugins.training.batches import Feed, class_weights
from streamproc_plugins.training.content import grouped_by_content
from streamproc_plugins.training.data import (
    Dataset,
    Side,
    TrainingError,
    TrainingSample,
    groups_of,
    read_folder,
    read_segments,
)
from streamproc_plugins.training.lists import read_captions, read_lists
from streamproc_plugins.training.loading import ADVICE, Cache, clip_loader
from streamproc_plugins.training.splits import split
from tests.videos import Recipe, encode, number_of

CLIPS = frozenset({".avi"})


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def dataset(groups: dict[str, dict[str, int]]) -> Dataset:
    """Samples by label, group and count."""
    samples = [
        TrainingSample(path=Path(f"{label}/{group}/{n}"), label=label, group=group)
        for label, parts in groups.items()
        for group, count in parts.items()
        for n in range(count)
    ]
    return Dataset(samples=tuple(samples), labels=tuple(groups))


def test_a_folder_per_class_gives_labels_and_groups(tmp_path: Path) -> None:
    touch(tmp_path, "cat/home/1.jpg", "cat/home/2.jpg", "cat/zoo/1.jpg", "dog/a.png", "dog/b.png", "dog/notes.txt")
    data = read_folder(tmp_path)
    assert data.labels == ("cat", "dog")
    assert [sample.group for sample in data.samples] == ["cat/home", "cat/home", "cat/zoo", "dog/a.png", "dog/b.png"]
    assert data.counts.tolist() == [3, 2]


def test_a_folder_with_sides_keeps_them(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", "val/cat/3.jpg", "val/dog/4.jpg")
    data = read_folder(tmp_path)
    assert [sample.side for sample in data.samples] == ["training", "training", "validation", "validation"]
    made = split(data, 0.2)
    assert [data.samples[i].path.name for i in made.validation] == ["3.jpg", "4.jpg"]


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["v_Dive_g03_c01.avi", "v_Dive_g03_c02.avi", "v_Dive_g11_c01.avi"], ["g03", "g03", "g11"]),
        (["a_0001.jpg", "a_0002.jpg", "b-7.jpg", "c7.jpg", "d frame 3.jpg", "e.jpg"], ["a", "a", "b", "c", "d", "e"]),
        (["IMG_0001.jpg", "IMG_0002.jpg", "cat.jpg"], ["IMG_0001.jpg", "IMG_0002.jpg", "cat.jpg"]),
        (["cat.1.jpg", "cat.2.jpg"], ["cat.1.jpg", "cat.2.jpg"]),
        (["0001.jpg", "0002.jpg"], ["0001.jpg", "0002.jpg"]),
    ],
)
def test_names_group_the_recordings(names: list[str], groups: list[str]) -> None:
    assert groups_of([Path(name) for name in names]) == groups


def test_unusable_training_data_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="does not exist, expected a folder per class"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(TrainingError, match="holds no subfolder per class with files such as"):
        read_folder(touch(tmp_path / "a", "1.jpg"))
    with pytest.raises(TrainingError, match=r"at least two classes, got only 'cat'"):
        read_folder(touch(tmp_path / "b", "cat/1.jpg"))


def test_segments_of_a_csv_stay_with_their_recording(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    table = tmp_path / "parts.csv"
    table.write_text("path,label,start_s,end_s,group\na.mp4,wave,0,1.5,\na.mp4,still,1.5,,\nb.mp4,wave,0,2,day2\n")
    data = read_segments(table)
    assert [(s.label, s.group, s.start_s, s.end_s) for s in data.samples] == [
        ("wave", "a.mp4", 0, 1.5), ("still", "a.mp4", 1.5, None), ("wave", "day2", 0, 2),
    ]  # fmt: skip


def test_every_wrong_csv_line_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    table = tmp_path / "parts.csv"
    table.write_text("path,label,start_s,end_s\na.mp4,x,2,1\nb.mp4,y,0,1\na.mp4,,0,1\na.mp4,x,-1,1\na.mp4,x,nan,1\n")
    with pytest.raises(TrainingError) as caught:
        read_segments(table)
    emitted = str(caught.value)
    assert "5 lines are wrong" in emitted
    assert "parts.csv:2: it ends at 1.0 s, not behind its start at 2.0 s" in emitted
    assert "b.mp4 does not exist" in emitted
    assert "no path or no label" in emitted
    table.write_bytes(b"path,label\na.mp4,\xff\n")
    with pytest.raises(TrainingError, match="is no CSV in UTF-8"):
        read_segments(table)
    with pytest.raises(TrainingError, match=r"nowhere.csv can't be read \(No such file or directory\)"):
        read_segments(tmp_path / "nowhere.csv")
    table.write_text("file,class\n")
    with pytest.raises(TrainingError, match="has the columns file, class, expected path,label"):
        read_segments(table)


def test_the_lists_of_ucf101_give_its_split(tmp_path: Path) -> None:
    names = ["Dive/v_Dive_g08_c01.avi", "Dive/v_Dive_g01_c01.avi", "Row/v_Row_g08_c01.avi", "Row/v_Row_g01_c01.avi"]
    touch(tmp_path / "videos", *names)
    (tmp_path / "trainlist01.txt").write_text(f"{names[0]} 1\n{names[2]} 2\n")
    (tmp_path / "testlist01.txt").write_text(f"{names[1]}\n{names[3]}\n")
    data = read_lists(tmp_path / "videos", tmp_path, 1)
    made = split(data, 0.2)
    assert [data.samples[i].path.name for i in made.validation] == ["v_Dive_g01_c01.avi", "v_Row_g01_c01.avi"]
    assert data.samples[0].group == "Dive/g08"
    with pytest.raises(TrainingError, match=r"neither trainlist02.txt .* nor CLASS_test_split2.txt"):
        read_lists(tmp_path / "videos", tmp_path, 2)


def test_hmdb_lists_give_their_split(tmp_path: Path) -> None:
    touch(tmp_path / "videos", "wave/a.avi", "wave/b.avi", "wave/c.avi", "sit/d.avi", "sit/e.avi")
    (tmp_path / "wave_test_split1.txt").write_text("a.avi 1\nb.avi 2\nc.avi 0\n")
    (tmp_path / "sit_test_split1.txt").write_text("d.avi 1\ne.avi 2\n")
    data = read_lists(tmp_path / "videos", tmp_path, 1)
    assert {(s.path.name, s.side) for s in data.samples} == {
        ("a.avi", "training"), ("b.avi", "validation"), ("d.avi", "training"), ("e.avi", "validation"),
    }  # fmt: skip
    (tmp_path / "videos/sit/e.avi").unlink()
    with pytest.raises(TrainingError, match=r"1 of 4 files of the lists are not in .*, such as .*e\.avi"):
        read_lists(tmp_path / "videos", tmp_path, 1)


def test_captions_are_read_by_picture(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "2.jpg")
    path = tmp_path / "captions.json"
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in (1, 2)]
    notes = [{"image_id": 1, "caption": " A cat. "}, {"image_id": 1, "caption": "One cat."}]
    path.write_text(json.dumps({"images": images, "annotations": notes}))
    (found,) = read_captions(path, tmp_path)
    assert (found.path.name, found.captions) == ("1.jpg", ("A cat.", "One cat."))
    path.write_text(json.dumps({"images": images, "annotations": [{"image_id": 9, "caption": "x"}]}))
    with pytest.raises(TrainingError, match="picture 9, which isn't among its images"):
        read_captions(path, tmp_path)
    path.write_text("[]")
    with pytest.raises(TrainingError, match="isn't COCO's caption JSON"):
        read_captions(path, tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_group_is_never_on_both_sides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = {label: {f"r{n}": int(rng.integers(1, 9)) for n in rng.permutation(20)[:12]} for label in "abc"}
    data = dataset(groups)  # recordings that show several classes
    made = split(data, 0.25, seed)
    sides = [{data.samples[i].group for i in side} for side in (made.training, made.validation)]
    assert not sides[0] & sides[1]
    assert sorted((*made.training, *made.validation)) == list(range(len(data.samples)))
    for side in (made.training, made.validation):
        assert {data.samples[i].label for i in side} == set("abc")
    assert 0.1 < len(made.validation) / len(data.samples) < 0.45


def test_split_is_stable_as_data_grows() -> None:
    groups = {label: {f"{label}{n}": 1 for n in range(40)} for label in "ab"}
    data = dataset(groups)
    first = {data.samples[i].group for i in split(data, 0.25, 7).validation}
    assert first == {data.samples[i].group for i in split(data, 0.25, 7).validation}
    assert first != {data.samples[i].group for i in split(data, 0.25, 8).validation}
    assert len(first) == 20
    grown = dataset({label: parts | {f"{label}new{n}": 1 for n in range(4)} for label, parts in groups.items()})
    later = {grown.samples[i].group for i in split(grown, 0.25, 7).validation}
    assert len(first - later) <= 3


def test_class_of_one_group_trains_with_a_remark() -> None:
    made = split(dataset({"a": {"x": 5}, "b": {"y": 5, "z": 5}}), 0.2)
    assert made.alone == ("a",)
    with pytest.raises(TrainingError, match=r"each class has one group only.*--group file"):
        split(dataset({"a": {"x": 5}, "b": {"y": 5}}), 0.2)


def test_given_split_with_shared_group_is_refused() -> None:
    sides: list[tuple[str, Side]] = [("a", "training"), ("b", "validation")]
    samples = [TrainingSample(path=Path(name), label=name, group="day1", side=side) for name, side in sides]
    with pytest.raises(TrainingError, match=r"'day1'.*is in training and in validation"):
        split(Dataset(samples=tuple(samples), labels=("a", "b")), 0.2)


def test_a_clip_is_varied_as_one() -> None:
    rng = np.random.default_rng(1)
    still = np.repeat(rng.integers(0, 256, (1, 20, 30, 3), dtype=np.uint8), 4, axis=0)
    varied = vary(still, np.random.default_rng(3), Augmentation())
    assert varied.shape == still.shape
    assert not np.array_equal(varied, still)
    assert all(np.array_equal(picture, varied[0]) for picture in varied)
    assert np.array_equal(vary(still, np.random.default_rng(3), Augmentation()), varied)
    assert np.array_equal(vary(still, np.random.default_rng(3), Augmentation.none()), still)


def test_flip_mirrors_every_other_time() -> None:
    only_flip = Augmentation(flip=True, zoom=0, shift=0, shear=0, rotate=0, brightness=0)
    picture = np.random.default_rng(0).integers(0, 256, (1, 8, 10, 3), dtype=np.uint8)
    observed = {vary(picture, np.random.default_rng(n), only_flip).tobytes() for n in range(12)}
    assert observed == {picture.tobytes(), picture[:, :, ::-1].tobytes()}


def test_rare_classes_weigh_more() -> None:
    weights = class_weights(np.array([90, 10, 0]), True)
    assert (weights * [90, 10, 0]).tolist() == pytest.approx([50, 50, 0])
    assert class_weights(np.array([90, 10]), False).tolist() == [1, 1]


def test_clips_are_sampled_by_media_time(tmp_path: Path) -> None:
    """At 25 pictures a second every fifth one is wanted; in the second half only every other is there."""
    period = 40_000_000
    times = [n * period for n in range(25)] + [(25 + 2 * n) * period for n in range(13)]
    path = encode(tmp_path / "a.mp4", Recipe(frames=len(times), times_ns=times))
    sample = TrainingSample(path=path, label="", group="")
    load = clip_loader((320, 180), 5.0, 100)
    numbers = [number_of(picture) for picture in load(sample)]
    near = [min(range(len(times)), key=lambda n: abs(times[n] - beat * 5 * period)) for beat in range(10)]
    assert numbers[:5] == near[:5] == [0, 5, 10, 15, 20]
    assert all(abs(times[n] - beat * 5 * period) <= period for beat, n in enumerate(numbers))
    part = clip_loader((320, 180), 5.0, 100)(TrainingSample(path=path, label="", group="", start_s=0.4, end_s=0.8))
    assert [number_of(picture) for picture in part] == [10, 15]
    middle = clip_loader((320, 180), 5.0, 4)(sample)
    assert [number_of(picture) for picture in middle] == numbers[3:7]
    with pytest.raises(TrainingError, match=r"has no picture between 9 s and its end"):
        load(TrainingSample(path=path, label="", group="", start_s=9))
    (tmp_path / "b.mp4").write_bytes(b"no video")
    with pytest.raises(TrainingError, match=r"b\.mp4.*take it out of the data"):
        load(TrainingSample(path=tmp_path / "b.mp4", label="", group=""))


def test_first_bad_files_are_named(tmp_path: Path) -> None:
    def load(sample: TrainingSample) -> NDArray[np.uint8]:
        if sample.label == "bad":
            raise TrainingError(f"{sample.path} can't be read{ADVICE}")
        return np.zeros((1, 2, 2, 3), np.uint8)

    good = TrainingSample(path=tmp_path / "good", label="good", group="")
    bad = [TrainingSample(path=Path(f"{number}.png"), label="bad", group="") for number in range(14)]
    with pytest.raises(TrainingError) as emitted:
        Cache(load, samples=[good, *bad])(bad[3])
    lines = str(emitted.value).splitlines()
    assert lines[0] == "14 files can't be used; mend them or take them out of the data:"
    assert lines[1:] == [*(f"  {n}.png can't be read" for n in range(10)), "  ... and 4 more"]
    with pytest.raises(TrainingError, match=r"^3\.png can't be read; mend it or take it out of the data$"):
        Cache(load, samples=[good, bad[3]])(bad[3])


def feed(count: int, frames: int | None = None) -> Feed:
    samples = [TrainingSample(path=Path(str(n)), label="a", group="") for n in range(count)]

    def load(sample: TrainingSample) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return np.full((5 if frames else 1, 4, 4, 3), int(sample.path.name), np.uint8) + np.arange(
            5 if frames else 1, dtype=np.uint8
        ).reshape(-1, 1, 1, 1)

    ids = np.arange(count) % 2
    return Feed(
        load=Cache(load), training=samples, validation=samples, training_ids=ids, validation_ids=ids,
        weights=np.array([1, 3], np.float32), frames=frames, size=4, augmentation=Augmentation.none(),
    )  # fmt: skip


def test_epoch_has_every_sample_once() -> None:
    batches = list(feed(10).epoch(0))
    assert [len(batch.y) for batch in batches] == [4, 4, 2]
    order = [int(value) for batch in batches for value in batch.x[:, 0, 0, 0]]
    assert sorted(order) == list(range(10))
    assert order == [int(value) for batch in feed(10).epoch(0) for value in batch.x[:, 0, 0, 0]]
    assert order != [int(value) for batch in feed(10).epoch(1) for value in batch.x[:, 0, 0, 0]]
    for batch in batches:
        assert batch.x.dtype == np.float32
        assert (batch.y == batch.x[:, 0, 0, 0] % 2).all()
        assert (batch.weight == np.where(batch.y == 1, 3, 1)).all()


def test_long_segments_give_windows_short_ones_repeat() -> None:
    windows = {tuple(batch.x[0, :, 0, 0, 0]) for n in range(20) for batch in feed(1, frames=3).epoch(n)}
    assert windows == {(0, 1, 2), (1, 2, 3), (2, 3, 4)}
    (stored,) = feed(1, frames=3).held_back()
    assert stored.x[0, :, 0, 0, 0].tolist() == [1, 2, 3]
    (long,) = feed(1, frames=7).held_back()
    assert long.x[0, :, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 0, 1]


def test_flow_matches_the_pictures() -> None:
    """A textured patch that moves two pixels to the right in each picture, the first of which only gives the flow."""
    texture = np.random.default_rng(0).integers(60, 255, (24, 24, 3), dtype=np.uint8)
    clip = np.zeros((5, 48, 64, 3), np.uint8)
    for number in range(5):
        clip[number, 12:36, 10 + 2 * number : 34 + 2 * number] = texture
    given = Feed(**{**vars(feed(1, frames=3)), "load": lambda _: clip, "flow": True})
    (batch,) = given.held_back()
    rgb, uv = batch.x
    assert (rgb.shape, uv.shape, uv.dtype) == ((1, 3, 48, 64, 3), (1, 3, 48, 64, 2), np.float32)
    assert np.array_equal(rgb[0].astype(np.uint8), clip[1:4])
    assert np.median(uv[0, :, 16:32, 20:30], axis=(0, 1, 2)).tolist() == pytest.approx([2, 0], abs=0.3)
    whole = Feed(**{**vars(given), "frames": 5})
    (first,) = whole.held_back()
    assert np.abs(first.x[1][0, 0]).max() < 0.01  # nothing is known of what was before


def test_loading_error_ends_epoch_and_threads() -> None:
    def load(_: TrainingSample) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        raise TrainingError("broken")

    given = feed(8)
    with pytest.raises(TrainingError, match="broken"):
        list(Feed(**{**vars(given), "load": load}).epoch(0))


def test_pictures_come_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "a/img10.jpg", "a/img2.jpg", "b/x.jpg")
    names = [sample.path for sample in read_folder(tmp_path).samples]
    assert names == sorted(names, key=natural)
    assert names[0].name == "img2.jpg"


@pytest.mark.parametrize(
    ("samples", "alike", "mode", "frozen"),
    [
        (200, True, "bottleneck", 1),
        (200, False, "fine-tune", 0.7),
        (9000, True, "fine-tune", 0),
        (9000, False, "scratch", 0),
    ],
)
def test_the_table_of_transfer_learning(samples: int, alike: bool, mode: str, frozen: float) -> None:
    found = advise(samples, 2, alike=alike)
    assert (found.mode, found.frozen) == (mode, frozen)


def test_the_gap_between_the_sides_is_named() -> None:
    assert diagnose(0.99, 0.7).startswith("overfitting")
    assert diagnose(0.6, 0.6).startswith("underfitting")
    assert "agree" in diagnose(0.95, 0.93)


def scene(seed: int) -> NDArray[np.uint8]:
    """Smooth random colours, uint8 (96, 128, 3)."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(cells, (128, 96), interpolation=cv2.INTER_CUBIC), np.uint8)


def save(folder: Path, pictures: dict[str, NDArray[np.uint8]]) -> Path:
    for name, rgb in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), rgb)
    return folder


def sides(folder: Path, seed: int) -> list[set[str]]:
    """Which scenes (the letter in the name) are on each side of a split."""
    data, _ = grouped_by_content(read_folder(folder))
    made = split(data, 0.3, seed)
    return [{data.samples[i].path.stem.rpartition("-")[2] for i in side} for side in (made.training, made.validation)]


def test_copies_of_a_picture_stay_together(tmp_path: Path) -> None:
    """Ten scenes: each as PNG, under another name, as a JPEG, and at half the size."""
    for n in range(10):
        rgb, kind, letter = scene(n), "ab"[n % 2], "abcdefghij"[n]
        save(tmp_path, {
            f"{kind}/x{letter}-{letter}.png": rgb, f"{kind}/copy of {letter}-{letter}.png": rgb,
            f"{kind}/z{letter}-{letter}.jpg": rgb,
            f"{kind}/small{letter}-{letter}.png": np.asarray(cv2.resize(rgb, (64, 48), None, 0, 0, 3), np.uint8),
        })  # fmt: skip
    for seed in range(5):
        training, validation = sides(tmp_path, seed)
        assert not training & validation
        assert len(training | validation) == 10
    _, notes = grouped_by_content(read_folder(tmp_path))
    assert notes == ("40 samples show the same as others, or nearly; they stay on one side",)


def test_small_differences_are_no_copies(tmp_path: Path) -> None:
    """A camera that stands still: something of a tenth of the width is there or isn't."""
    empty = scene(1)
    there = empty.copy()
    there[40:52, 60:73] = (255, 255, 255)
    save(tmp_path, {"empty/1.png": empty, "there/1.png": there})
    data, notes = grouped_by_content(read_folder(tmp_path))
    assert len({sample.group for sample in data.samples}) == 2
    assert notes == ()


def test_one_picture_under_two_labels_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "same", {"cat/1.png": scene(1), "dog/7.png": scene(1), "dog/2.png": scene(2)})
    with pytest.raises(TrainingError, match=r"cat/1.png \(cat\) and .*dog/7.png \(dog\) are the same under two labels"):
        grouped_by_content(read_folder(tmp_path / "same"))
    save(tmp_path / "near", {"cat/1.png": scene(1), "dog/1.jpg": scene(1), "dog/2.png": scene(2)})
    _, notes = grouped_by_content(read_folder(tmp_path / "near"))
    assert "1 pair of nearly the same picture have two labels" in notes[1]


def test_picture_on_both_sides_is_refused(tmp_path: Path) -> None:
    save(tmp_path, {"train/cat/1.png": scene(1), "train/dog/2.png": scene(2), "val/cat/3.png": scene(1),
                    "val/dog/4.png": scene(4)})  # fmt: skip
    with pytest.raises(TrainingError, match=r"are the same, but on two sides of the split"):
        grouped_by_content(read_folder(tmp_path))


def test_near_copies_on_both_sides_are_reported(tmp_path: Path) -> None:
    save(tmp_path, {"train/cat/1.png": scene(1), "train/dog/2.png": scene(2), "val/cat/1.jpg": scene(1),
                    "val/dog/4.png": scene(4)})  # fmt: skip
    data, notes = grouped_by_content(read_folder(tmp_path))
    assert "1 pair of nearly the same are on two sides of the split that the data give" in notes[0]
    assert len(split(data, 0.2).validation) == 2


def test_overlapping_parts_of_a_recording_stay_together(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"one recording")
    (tmp_path / "b.mp4").write_bytes(b"one recording")
    (tmp_path / "c.mp4").write_bytes(b"not recording")
    table = tmp_path / "parts.csv"
    table.write_text("path,label,start_s,end_s\na.mp4,wave,0,2\nb.mp4,still,1,3\nb.mp4,wave,5,6\nc.mp4,wave,0,2\n")
    data, _ = grouped_by_content(read_segments(table))
    assert [sample.group for sample in data.samples] == ["a.mp4", "a.mp4", "a.mp4", "c.mp4"]
    table.write_text("path,label,start_s,end_s\na.mp4,wave,0,2\nb.mp4,still,0,2\n")
    with pytest.raises(TrainingError, match="are the same under two labels"):
        grouped_by_content(read_segments(table))


def test_labels_are_compared_in_one_form(tmp_path: Path) -> None:
    touch(tmp_path, "caf\u00e9/1.jpg", "cafe\u0301/2.jpg", " bar /3.jpg", "bar/4.jpg", "old  town/5.jpg")
    assert read_folder(tmp_path).labels == ("bar", "caf\u00e9", "old town")
    table = tmp_path / "t.csv"
    table.write_text("path,label\nbar/4.jpg,caf\u00e9\nbar/4.jpg,cafe\u0301 \nold  town/5.jpg,bar\n", encoding="utf-8")
    assert read_segments(table).labels == ("bar", "caf\u00e9")


def test_a_class_without_a_file_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "dog/2.jpg", "owl/notes.txt")
    with pytest.raises(TrainingError, match=r"the class 'owl' is empty: .*owl holds no file such as"):
        read_folder(tmp_path)


def test_classes_behind_links_are_read(tmp_path: Path) -> None:
    touch(tmp_path / "store", "a/1.jpg", "a/more/2.jpg", "b/3.jpg")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cat").symlink_to(tmp_path / "store" / "a")
    (tmp_path / "data" / "dog").mkdir()
    (tmp_path / "data" / "dog" / "far").symlink_to(tmp_path / "store" / "b")
    assert read_folder(tmp_path / "data").counts.tolist() == [2, 1]
