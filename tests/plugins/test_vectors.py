"""The vector index: exact, the same whatever the background does, nothing lost, removed rows gone."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import PluginError
from streamproc_plugins.vectors import VectorIndex

DIM = 16


def directions(count: int, seed: int = 1) -> NDArray[np.float32]:
    """Unit vectors (count, DIM)."""
    values = np.random.default_rng(seed).normal(size=(count, DIM))
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


def nearest(vectors: NDArray[np.float32], query: NDArray[np.float32], k: int) -> list[int]:
    """Row numbers of the k nearest, by arithmetic."""
    return [int(row) for row in np.argsort(-(vectors.astype(np.float64) @ query), kind="stable")[:k]]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[VectorIndex]:
    with VectorIndex(tmp_path / "index", DIM, segment=64) as made:
        yield made


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_small_index_answers_exactly(tmp_path: Path, on_disk: bool) -> None:
    vectors = directions(50)
    with VectorIndex(tmp_path / "index" if on_disk else None, DIM) as index:
        assert index.query(vectors[0], 3)[0].tolist() == []
        index.add(range(100, 150), vectors, np.arange(50))
        ids, cosine = index.query(vectors[7], 5)
        assert ids.tolist() == [100 + row for row in nearest(vectors, vectors[7], 5)]
        assert cosine[0] == 1
        assert (np.diff(cosine) <= 0).all()
        assert len(index.query(vectors[7], 500)[0]) == 50


def test_index_lists_ids_and_the_oldest_age(index: VectorIndex) -> None:
    assert (index.known_ids(), index.oldest_ns()) == ([], None)
    index.add([9, 3, 3, 70], directions(4), [50, 20, 10, 30])
    assert (index.known_ids(), index.oldest_ns()) == ([3, 9, 70], 10)
    index.remove([3])
    assert (index.known_ids(), index.oldest_ns()) == ([9, 70], 30)


def test_leftovers_of_a_killed_build_are_removed(tmp_path: Path) -> None:
    VectorIndex(tmp_path, DIM).close()
    part = tmp_path / ".trees-00000000-1.ann.0123abcd.part"
    part.write_bytes(b"half a tree")
    VectorIndex(tmp_path, DIM, readonly=True).close()
    assert part.exists()
    VectorIndex(tmp_path, DIM).close()
    assert not part.exists()


def test_equal_vectors_come_by_id(index: VectorIndex) -> None:
    one = directions(1)
    index.add([9, 3, 5], np.repeat(one, 3, axis=0), [0, 0, 0])
    assert index.query(one[0], 2)[0].tolist() == [3, 5]


def test_annoy_finds_the_nearest_in_full_segments(tmp_path: Path) -> None:
    vectors = directions(400)
    with VectorIndex(tmp_path / "index", DIM, segment=64, trees=20) as index:
        index.add(range(400), vectors, np.zeros(400))
        assert len(list((tmp_path / "index").glob("*.ann"))) >= 5
        hits = [len(set(index.query(v, 10)[0].tolist()) & set(nearest(vectors, v, 10))) for v in directions(50, seed=3)]
    assert sum(hits) >= 0.95 * 500


def test_answers_do_not_depend_on_the_background_thread(tmp_path: Path) -> None:
    vectors, asked = directions(300), directions(20, seed=5)

    def answers(name: str, step: int, again: bool) -> list[list[int]]:
        """Added in steps, perhaps with the folder closed and opened between them."""
        index = VectorIndex(tmp_path / name, DIM, segment=64, trees=2)
        said = []
        for start in range(0, 300, step):
            stop = min(start + step, 300)
            index.add(range(start, stop), vectors[start:stop], np.zeros(stop - start))
            if again:
                index.close()
                index = VectorIndex(tmp_path / name, DIM, segment=64, trees=2)
            if stop % 60 == 0:
                said += [index.query(v, 5)[0].tolist() for v in asked]
        index.close()
        return said

    first = answers("a", 20, again=False)
    assert answers("b", 1, again=False) == first
    assert answers("c", 20, again=True) == first


def test_it_goes_on_after_it_was_closed(tmp_path: Path) -> None:
    vectors = directions(150)
    with VectorIndex(tmp_path / "index", DIM, segment=64) as index:
        index.add(range(150), vectors, np.arange(150))
    with VectorIndex(tmp_path / "index", DIM, segment=64) as index:
        assert len(index) == index.rows == 150
        for row in (0, 70, 149):
            assert index.query(vectors[row], 1)[0].tolist() == [row]
        found, times = index.vectors_of(70)
        assert np.array_equal(found, vectors[70:71])
        assert times.tolist() == [70]


@pytest.mark.parametrize("left", [1, 8, 60])
def test_row_torn_by_a_crash_is_removed(tmp_path: Path, left: int) -> None:
    vectors = directions(10)
    with VectorIndex(tmp_path / "index", DIM) as index:
        index.add(range(10), vectors, np.zeros(10))
    (file,) = (tmp_path / "index").glob("rows-*.bin")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) * 9 // 10 + left])
    with VectorIndex(tmp_path / "index", DIM) as index:
        assert len(index) == 9
        index.add([9], vectors[9:], [0])
        assert index.query(vectors[9], 1)[0].tolist() == [9]


def test_a_full_disk_leaves_whole_rows_only(tmp_path: Path) -> None:
    vectors = directions(20)
    row = 16 + 4 * DIM
    with VectorIndex(tmp_path / "index", DIM) as index:
        index.add(range(3), vectors[:3], np.zeros(3))
        usual = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5 * row + 9, usual[1]))
        try:
            with pytest.raises(PluginError, match=r"can't be written .*; check the space left on the disk"):
                index.add(range(3, 10), vectors[3:10], np.zeros(7))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)
        assert len(index) == 3
        index.add(range(10, 20), vectors[10:], np.zeros(10))
    with VectorIndex(tmp_path / "index", DIM) as index:
        assert len(index) == 13
        assert index.query(vectors[19], 1)[0].tolist() == [19]


def test_zeros_after_a_power_failure_are_removed(tmp_path: Path) -> None:
    with VectorIndex(tmp_path / "index", DIM) as index:
        index.add(range(10), directions(10), np.zeros(10))
    (file,) = (tmp_path / "index").glob("rows-*.bin")
    file.write_bytes(file.read_bytes()[:-200] + bytes(200))
    with VectorIndex(tmp_path / "index", DIM) as index:
        assert 0 < len(index) < 10


def test_removed_vectors_are_nowhere_on_the_disk(tmp_path: Path) -> None:
    vectors = directions(200)
    folder = tmp_path / "index"
    with VectorIndex(folder, DIM, segment=64) as index:
        index.add(range(200), vectors, np.arange(200))
        assert index.remove([3, 70, 199, 12345]) == 3
        assert len(index) == 197
        held = b"".join(file.read_bytes() for file in folder.iterdir() if file.name != "lock")
        for row in (3, 70, 199):
            assert index.query(vectors[row], 1)[0].tolist() != [row]
            assert vectors[row].tobytes() not in held
            assert vectors[row][:4].tobytes() not in held
        assert vectors[100].tobytes() in held
        assert index.remove([3]) == 0


def test_old_rows_expire_and_their_segments_go(tmp_path: Path) -> None:
    vectors = directions(200)
    folder = tmp_path / "index"
    with VectorIndex(folder, DIM, segment=64) as index:
        index.add(range(200), vectors, np.arange(200) * 1000)
        assert index.expire(before_ns=130_000) == 130
        assert sorted(file.name for file in folder.glob("rows-*")) == ["rows-00000002.bin", "rows-00000003.bin"]
        assert index.query(vectors[130], 1)[0].tolist() == [130]
    with VectorIndex(folder, DIM, segment=64) as index:
        assert len(index) == 70
        assert index.rows == 200
        index.add([200], directions(1, seed=9), [1])
        assert index.rows == 201
        assert set(index.query(vectors[0], 100)[0].tolist()) == set(range(130, 201))


def test_merge_restores_annoy_after_a_removal(tmp_path: Path) -> None:
    vectors = directions(130)
    folder = tmp_path / "index"
    with VectorIndex(folder, DIM, segment=64) as index:
        index.add(range(130), vectors, np.zeros(130))
        index.merge()
        assert len(list(folder.glob("*.ann"))) == 2
        index.remove([5])
        assert not list(folder.glob("trees-00000000-0.ann"))
        index.merge()
        assert list(folder.glob("trees-00000000-1.ann"))
        assert index.query(vectors[6], 1)[0].tolist() == [6]
        assert index.query(vectors[5], 1)[0].tolist() != [5]


def test_index_returns_to_a_checkpoint(tmp_path: Path) -> None:
    vectors = directions(300)
    with VectorIndex(tmp_path / "a", DIM, segment=64, trees=2) as index:
        index.add(range(300), vectors, np.zeros(300))
        for rows in (250, 128, 100, 0):
            index.truncate(rows)
            assert index.rows == len(index) == rows
            index.add(range(rows, 300), vectors[rows:], np.zeros(300 - rows))
            assert index.query(vectors[299], 1)[0].tolist() == [299]
        index.truncate(100)
        with pytest.raises(ValueError, match="there are 100 rows, can't go back to 101"):
            index.truncate(101)
    with VectorIndex(tmp_path / "a", DIM) as index:
        assert len(index) == 100


def test_several_readers_find_written_rows(tmp_path: Path) -> None:
    vectors = directions(200)
    folder = tmp_path / "index"
    with VectorIndex(folder, DIM, segment=64) as writer:
        writer.add(range(100), vectors[:100], np.zeros(100))
        with VectorIndex(folder, DIM, readonly=True) as one, VectorIndex(folder, DIM, readonly=True) as two:
            writer.add(range(100, 200), vectors[100:], np.zeros(100))
            assert len(one) == 100
            one.refresh()
            two.refresh()
            for reader in (one, two):
                assert reader.query(vectors[150], 1)[0].tolist() == [150]
            writer.remove([150])
            one.refresh()
            assert one.query(vectors[150], 1)[0].tolist() != [150]
            with pytest.raises(PluginError, match="opened to be read only"):
                one.add([1], vectors[:1], [0])


def test_without_annoy_it_searches_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = directions(300)
    with VectorIndex(tmp_path / "index", DIM, segment=64, trees=1) as index:
        index.add(range(300), vectors, np.zeros(300))
    monkeypatch.setitem(sys.modules, "annoy", None)
    with VectorIndex(tmp_path / "index", DIM) as index:
        for asked in directions(20, seed=4):
            assert index.query(asked, 5)[0].tolist() == nearest(vectors, asked, 5)
        index.add([300], directions(1, seed=8), [0])
        index.merge()


KILLED = """
import sys
import numpy as np
from pathlib import Path
from streamproc_plugins.vectors import VectorIndex
index = VectorIndex(Path(sys.argv[1]), 16, segment=64)
for number in range(100_000):
    index.add([number], np.eye(16)[[number % 16]], [number])
    print(number, flush=True)
"""


def test_killed_process_loses_no_added_row(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    writer = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    emitted = [next(writer.stdout) for _ in range(333)]
    writer.kill()
    emitted += writer.stdout.readlines()
    writer.wait()
    writer.stdout.close()
    whole = [int(line) for line in emitted if line.endswith("\n")]
    with VectorIndex(folder, DIM) as index:
        assert len(index) >= whole[-1] + 1
        index.add([1_000_000], directions(1), [0])
        assert index.query(directions(1)[0], 1)[0].tolist() == [1_000_000]


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with (
        VectorIndex(tmp_path, DIM),
        pytest.raises(PluginError, match="is being written by another run or stream"),
    ):
        VectorIndex(tmp_path, DIM)
    VectorIndex(tmp_path, DIM).close()


def test_vectors_of_another_net_are_refused(tmp_path: Path) -> None:
    VectorIndex(tmp_path / "index", DIM).close()
    with pytest.raises(PluginError, match="for vectors of 16 values, expected 1 and 32"):
        VectorIndex(tmp_path / "index", 32)
    (tmp_path / "index" / "index.json").write_text("{}")
    with pytest.raises(PluginError, match="isn't an index's, or was damaged"):
        VectorIndex(tmp_path / "index", DIM)
    with pytest.raises(PluginError, match="there is no index in"):
        VectorIndex(tmp_path / "none", DIM, readonly=True)


def test_vectors_that_are_no_unit_vectors_are_refused(index: VectorIndex) -> None:
    with pytest.raises(ValueError, match="vector 1 has the length 2, expected 1"):
        index.add([1, 2], np.eye(2, DIM, dtype=np.float32) * [[1], [2]], [0, 0])
    with pytest.raises(ValueError, match="has the length nan"):
        index.query(np.full(DIM, np.nan), 1)
    with pytest.raises(ValueError, match=r"got 1 ids, 1 times, vectors \(1, 8\); expected N, N and \(N, 16\)"):
        index.add([1], np.eye(1, 8), [0])
    with pytest.raises(ValueError, match="ids hold -1"):
        index.add([-1], directions(1), [0])
    assert len(index) == 0
