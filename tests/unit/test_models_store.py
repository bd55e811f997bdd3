"""The model store: names and paths, mirrors, checksums, loading once, managing."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from streamproc.errors import ChecksumError, ModelError, ModelNotFound
from streamproc.models import ModelStore, add, builtin, label_list, list_models, pull, verify
from tests.nets import doubling_net, model_folder


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(mirrors=(), cache=tmp_path / "cache", download=False)


def one() -> np.ndarray:
    return np.array([[1, 2, 3, 4]], np.float32)


def test_every_entry_of_the_list_is_complete() -> None:
    for name, entry in builtin().items():
        assert entry.name == name
        assert entry.licence != "unknown"
        assert entry.source
        assert entry.note
        for file in entry.files:
            assert file.sha256 is not None
            assert file.bytes
            assert file.url is None or file.url.startswith("https://")
            assert file.url is not None or "mirror" in entry.note, f"{name} must say that it has no address"


@pytest.mark.parametrize(
    ("name", "count", "some"),
    [
        ("coco80", 80, {0: "person", 2: "car", 79: "toothbrush"}),
        ("imagenet1001", 1001, {0: "background", 653: "military uniform"}),
        ("voc21", 21, {0: "background", 15: "person", 20: "tvmonitor"}),
        ("cityscapes19", 19, {0: "road", 18: "bicycle"}),
        ("coco17", 17, {0: "nose", 16: "right_ankle"}),
        ("pvb3", 3, {0: "vehicle", 1: "person", 2: "bike"}),
        ("jester27", 27, {2: "No gesture"}),
    ],
)
def test_label_lists(name: str, count: int, some: dict[int, str]) -> None:
    labels = label_list(name)
    assert len(labels) == count
    assert {index: labels[index] for index in some} == some


def test_making_a_store_touches_nothing(tmp_path: Path) -> None:
    ModelStore(cache=tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


def test_importing_the_store_loads_no_heavy_library() -> None:
    code = (
        "import sys, streamproc.models; heavy = {'onnxruntime', 'onnx', 'ai_edge_litert', 'openvino', 'tensorflow', "
        "'cv2', 'httpx', 'flatbuffers'} & set(sys.modules); sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_model_folder_is_loaded_by_path(store: ModelStore, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine", doubling_net(), labels=["a", "b"])
    for path in (folder, folder / "net.onnx", folder / "model.json"):
        net = store.load(str(path))
        assert net.labels == ("a", "b")
        assert net(one())[0].tolist() == [[2, 4, 6, 8]]


def test_an_unknown_name_gives_the_nearest_one(store: ModelStore) -> None:
    with pytest.raises(ModelNotFound, match=r"no model 'yolox-nona'.*did you mean 'yolox-nano'"):
        store.load("yolox-nona")


def test_bare_file_is_refused_with_advice(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(doubling_net())
    with pytest.raises(ModelNotFound, match=r"folder of its own with a model\.json"):
        store.load(str(tmp_path / "x.onnx"))


@pytest.mark.parametrize("sub", ["", "yolox-nano"])
def test_mirrors_may_be_flat_or_in_folders(sub: str, tmp_path: Path) -> None:
    (tmp_path / sub).mkdir(exist_ok=True)
    path = tmp_path / sub / "yolox_nano_416x416.onnx"
    path.write_bytes(b"not the real file")
    store = ModelStore(mirrors=(tmp_path / "absent", tmp_path), cache=tmp_path / "cache", download=False)
    located = store.locate(store.find("yolox-nano"))
    assert located == ("mirror", {path.name: path})


def test_mirror_with_a_wrong_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "yolox_nano_416x416.onnx").write_bytes(b"not the real file")
    store = ModelStore(mirrors=(tmp_path,), cache=tmp_path / "cache", download=False)
    with pytest.raises(ChecksumError, match=r"yolox_nano_416x416\.onnx is not the file that yolox-nano wants"):
        store.load("yolox-nano")


def test_the_environment_names_mirrors_and_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMPROC_MODELS", os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]))
    monkeypatch.setenv("STREAMPROC_CACHE", str(tmp_path / "c"))
    store = ModelStore()
    assert store.mirrors == (tmp_path / "a", tmp_path / "b")
    assert store.cache == tmp_path / "c" / "models"
    monkeypatch.delenv("STREAMPROC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store.cache == tmp_path / "xdg" / "streamproc" / "models"


def test_folder_with_a_manifest_is_a_name(tmp_path: Path) -> None:
    model_folder(tmp_path / "mirror" / "mine", doubling_net())
    store = ModelStore(mirrors=(tmp_path / "mirror",), cache=tmp_path / "cache")
    assert store.load("mine")(one())[0].tolist() == [[2, 4, 6, 8]]
    assert [s.place for s in list_models(store) if s.entry.name == "mine"] == ["folder"]


def test_checksum_is_computed_anew_after_a_change(tmp_path: Path) -> None:
    content = doubling_net()
    file = {"name": "net.onnx", "sha256": hashlib.sha256(content).hexdigest()}
    folder = model_folder(tmp_path / "mine", content, files=[file])
    cache = tmp_path / "cache"
    ModelStore(mirrors=(), cache=cache).load(str(folder))
    remembered = json.loads((cache / "checksums.json").read_bytes())
    assert [row[2] for row in remembered.values()] == [file["sha256"]]

    # a memory of another checksum for the unchanged file is believed: so it was not read again
    (cache / "checksums.json").write_text(json.dumps({k: [*row[:2], "0" * 64] for k, row in remembered.items()}))
    with pytest.raises(ChecksumError, match="its sha256 is 0000"):
        ModelStore(mirrors=(), cache=cache).load(str(folder))

    (folder / "net.onnx").write_bytes(content + b"\0")
    with pytest.raises(ChecksumError, match="expected " + file["sha256"]):
        ModelStore(mirrors=(), cache=cache).load(str(folder))


@pytest.mark.parametrize("way", ["in place", "by a rename"])
def test_file_replaced_with_equal_stat_is_read_again(tmp_path: Path, way: str) -> None:
    content = doubling_net()
    file = {"name": "net.onnx", "sha256": hashlib.sha256(content).hexdigest()}
    folder = model_folder(tmp_path / "mine", content, files=[file])
    path, cache = folder / "net.onnx", tmp_path / "cache"
    ModelStore(mirrors=(), cache=cache).load(str(folder))
    before = path.stat()
    other = path if way == "in place" else folder / "other"
    other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    with pytest.raises(ChecksumError, match="expected " + file["sha256"]):
        ModelStore(mirrors=(), cache=cache).load(str(folder))


def test_two_threads_load_a_model_once(store: ModelStore, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine", doubling_net())
    nets: list[object] = []
    start = threading.Barrier(4)

    def load() -> None:
        start.wait()
        nets.append(store.load(str(folder)))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(nets) == 4
    assert len(set(map(id, nets))) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"runtime": "pickle"},
            "runtime: expected 'onnx', 'litert', 'openvino', 'keras', 'savedmodel' or 'arrays', got 'pickle'",
        ),
        ({"labels": "coco81"}, "no label list 'coco81', expected one of cityscapes19, coco17, coco80"),
        ({"files": [{"name": "../../etc/passwd"}]}, "leads out of the model's folder"),
        ({"labels": 5, "task": None}, "task: expected a text, got nothing"),
        ({"lables": ["a"]}, "lables: unknown key; did you mean 'labels'?"),
        ({"name": "My Net"}, "name: expected a name of lower-case letters, digits, '.', '_' and '-'"),
        ({"files": []}, "files: expected at least 1 entry, got none"),
        ({"treshold": 1}, "treshold: unknown key"),
    ],
)
def test_wrong_manifest_is_named_by_key(
    change: dict[str, object], message: str, store: ModelStore, tmp_path: Path
) -> None:
    folder = model_folder(tmp_path / "mine", doubling_net(), **change)
    with pytest.raises(ModelError) as caught:
        store.load(str(folder))
    assert message in str(caught.value)
    assert "model.json" in str(caught.value)


def test_add_stores_a_model_under_its_name(store: ModelStore, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine", doubling_net(), labels=["a"])
    added = add(store, folder)
    assert added.files[0].sha256 == hashlib.sha256(doubling_net()).hexdigest()
    (folder / "net.onnx").unlink()
    assert store.load("mine")(one())[0].tolist() == [[2, 4, 6, 8]]
    assert [v.fault for v in verify(store)] == [None]


def test_add_refuses_taken_names_missing_files_broken_nets(store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a name of the built-in list"):
        add(store, model_folder(tmp_path / "a", doubling_net(), name="yolox-nano"))
    with pytest.raises(ModelError, match=r"has no other\.bin"):
        add(store, model_folder(tmp_path / "b", doubling_net(), files=[{"name": "net.onnx"}, {"name": "other.bin"}]))
    with pytest.raises(ModelError, match="is not a model that ONNX Runtime"):
        add(store, model_folder(tmp_path / "c", b"nonsense"))
    assert not (store.cache / "c").exists()


def test_verify_reads_again_and_names_the_damaged_file(store: ModelStore, tmp_path: Path) -> None:
    add(store, model_folder(tmp_path / "mine", doubling_net()))
    path = store.cache / "mine" / "net.onnx"
    before = path.stat()
    spoilt = bytearray(path.read_bytes())
    spoilt[-1] ^= 1
    path.write_bytes(spoilt)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # a change that size and time don't show
    verdict = verify(store, ["mine"])[0]
    assert verdict.path == path
    assert verdict.fault is not None
    assert "expected" in verdict.fault


def test_one_bad_folder_does_not_hide_the_others(tmp_path: Path) -> None:
    model_folder(tmp_path / "m" / "good", doubling_net())
    model_folder(tmp_path / "m" / "bad", doubling_net(), runtime="pickle")
    names = [s.entry.name for s in list_models(ModelStore(mirrors=(tmp_path / "m",), cache=tmp_path / "c"))]
    assert "good" in names
    assert "bad" not in names


def test_pull_checks_every_name_before_downloading(store: ModelStore) -> None:
    with pytest.raises(ModelNotFound, match="no model 'nonsense'"):
        pull(store, ["yolox-nano", "nonsense"])


def test_arrays_are_plain_and_read_only(store: ModelStore, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "w", b"", runtime="arrays", files=[{"name": "w.npz"}])
    np.savez(folder / "w.npz", weight=np.arange(3))
    arrays = store.arrays(str(folder))
    assert arrays["weight"].tolist() == [0, 1, 2]
    assert not arrays["weight"].flags.writeable
    with pytest.raises(ModelError, match="set of arrays"):
        store.load(str(folder))

    evil = model_folder(tmp_path / "e", b"", runtime="arrays", files=[{"name": "w.npz"}])
    np.savez(evil / "w.npz", weight=np.array([{"pickled": 1}], dtype=object))
    with pytest.raises(ModelError, match="not a set of plain arrays"):
        store.arrays(str(evil))


@pytest.mark.real
def test_the_real_files_are_found_and_whole(shared: Path, tmp_path: Path) -> None:
    store = ModelStore(mirrors=(shared / "models",), cache=tmp_path, download=False)
    present = [s.entry.name for s in list_models(store) if s.place == "mirror"]
    assert {"yolox-nano", "fastestdet", "person-vehicle-bike", "mobilenet-v2", "yunet", "bodypix"} <= set(present)
    assert [v for v in verify(store) if v.fault] == []
    assert store.entry(str(shared / "models" / "FastestDet.onnx")).name == "fastestdet"
    assert len(store.arrays("shufflenet3d-jester")) == 247
