"""The evaluator of tracks against published numbers and against arithmetic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from streamproc.evaluation.mot import MotBoxes, concatenate, evaluate, find_pairs, prepare, read_mot, write_mot


def boxes(rows: Sequence[tuple[int, int, float]], *, score: float = 1, class_id: int = -1) -> MotBoxes:
    """Squares of 10 pixels; rows: frame, track, left."""
    table = np.array(rows, np.float64).reshape(-1, 3)
    left = table[:, 2]
    return MotBoxes(
        frame=table[:, 0].astype(np.int64),
        track_id=table[:, 1].astype(np.int64),
        xyxy=np.column_stack([left, 0 * left, left + 10, 0 * left + 10]),
        score=np.full(len(table), score, np.float64),
        class_id=np.full(len(table), class_id, np.int64),
    )


def test_the_published_table_of_tud_comes_out_exactly(shared: Path) -> None:
    folder = shared / "data" / "mot"
    names = ("TUD-Campus", "TUD-Stadtmitte")
    report = evaluate({n: (read_mot(folder / n / "gt.txt"), read_mot(folder / n / "test.txt")) for n in names})

    table = {row.name: (round(100 * row.idf1, 1), round(100 * row.mota, 1)) for row in report.rows}
    assert table == {"TUD-Campus": (55.8, 52.6), "TUD-Stadtmitte": (64.5, 56.4), "OVERALL": (62.4, 55.5)}
    campus = report["TUD-Campus"]
    assert (campus.switches, campus.false_positives, campus.misses) == (7, 13, 150)


def test_perfect_tracks_score_one() -> None:
    truth = boxes([(f, t, 40 * t) for f in (1, 2, 3) for t in (1, 2)])
    row = evaluate({"a": (truth, truth)}).rows[0]
    assert (row.idf1, row.mota, row.hota, row.motp) == pytest.approx((1, 1, 1, 1))
    assert row.switches == 0


def test_counts_follow_from_arithmetic() -> None:
    truth = boxes([(f, 1, 0) for f in range(1, 11)])
    # 4 frames as track 1, 4 as track 2, 2 missed, and one box where nothing is
    tracks = boxes([(f, 1 if f < 5 else 2, 0) for f in range(1, 9)] + [(3, 9, 500)])
    row = evaluate({"a": (truth, tracks)}).rows[0]
    assert (row.switches, row.false_positives, row.misses) == (1, 1, 2)
    assert row.mota == pytest.approx(1 - (1 + 1 + 2) / 10)
    assert row.idf1 == pytest.approx(2 * 4 / (10 + 9))


def test_mot17_drops_distractors_and_scores_flagged_pedestrians() -> None:
    truth = concatenate([
        boxes([(1, 1, 0)], class_id=1),
        boxes([(1, 2, 100)], class_id=7, score=0),  # a static person: boxes on it count neither way
        boxes([(1, 3, 200)], class_id=1, score=0),  # a pedestrian not to be scored
        boxes([(1, 4, 300)], class_id=3, score=0),  # a car: a box on it is a mistake
    ])  # fmt: skip
    tracks = boxes([(1, 1, 0), (1, 2, 101), (1, 4, 300)])
    scored, remaining = prepare(truth, tracks)
    assert scored.track_id.tolist() == [1]
    assert remaining.track_id.tolist() == [1, 4]
    row = evaluate({"a": (truth, tracks)}).rows[0]
    assert (row.false_positives, row.misses) == (1, 0)


def test_rows_in_any_order_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "tracks.txt"
    write_mot(path, boxes([(1, 5, 0), (1, 6, 20.5), (2, 5, 1)], score=0.5))
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    back = read_mot(path)
    assert back.frame.tolist() == [1, 1, 2]
    assert sorted(back.track_id.tolist()) == [5, 5, 6]
    assert back.xyxy[back.track_id == 6].tolist() == [[20.5, 0, 30.5, 10]]
    assert set(back.score.tolist()) == {0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n", "3 columns"),
        ("1,1,a,2,3,4,5\n", "'a'"),
        ("1,1,nan,2,3,4,5\n", "not finite"),
        ("1,1.5,0,2,3,4,5\n", "whole numbers"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.txt"
    path.write_text("1,1,0,0,5,5,1\n" + text)
    with pytest.raises(ValueError, match=rf"broken\.txt:2: .*{message}"):
        read_mot(path)


def test_truth_and_tracks_are_paired_by_name(tmp_path: Path) -> None:
    for place in ("truth/one", "truth/two/gt", "truth/three", "tracks"):
        (tmp_path / place).mkdir(parents=True)
    for place in ("truth/one/gt.txt", "truth/two/gt/gt.txt", "truth/three/gt.txt", "tracks/one.txt", "tracks/two.txt"):
        write_mot(tmp_path / place, boxes([(1, 1, 0)]))
    with pytest.raises(FileNotFoundError, match="no tracks for three"):
        find_pairs(tmp_path / "truth", tmp_path / "tracks")
    pairs = find_pairs(tmp_path / "truth", tmp_path / "tracks", subset=True)
    assert {name: path.name for name, (_, path) in pairs.items()} == {"one": "one.txt", "two": "two.txt"}
    assert list(find_pairs(tmp_path / "truth/one/gt.txt", tmp_path / "tracks/two.txt")) == ["two"]
    with pytest.raises(FileNotFoundError, match="no sequence"):
        find_pairs(tmp_path / "tracks", tmp_path / "truth")


@pytest.mark.parametrize(
    ("rows", "pattern"),
    [
        ([(1, 9, 0), (1, 9, 40), (2, 9, 0)], "the id 9 stands 2 times in frame 1.*needs an id of its own"),
        ([(1, -1, 0), (1, -1, 40)], "look like detections"),
        ([(0, 1, 0), (1, 1, 0)], "the first frame is 0; MOTChallenge counts frames from 1"),
    ],
)
def test_tracks_trackeval_refuses_are_refused(rows: list[tuple[int, int, float]], pattern: str) -> None:
    good, bad = boxes([(1, 1, 0), (1, 2, 40), (2, 1, 0)]), boxes(rows)
    with pytest.raises(ValueError, match=f"the tracks of a: .*{pattern}"):
        evaluate({"a": (good, bad)})
    with pytest.raises(ValueError, match=f"the truth of a: .*{pattern}"):
        evaluate({"a": (bad, good)})


def test_a_sequence_without_tracks_is_scored() -> None:
    truth = boxes([(1, 1, 0), (2, 1, 0)])
    row = evaluate({"a": (truth, boxes([]))}).rows[0]
    assert (row.misses, row.false_positives, row.mota) == (2, 0, 0)


def test_the_table_and_json_name_every_sequence() -> None:
    truth = boxes([(1, 1, 0)])
    report = evaluate({"one": (truth, truth), "two": (truth, truth)})
    assert [line.split()[0] for line in report.table().splitlines()] == ["sequence", "one", "two", "OVERALL"]
    assert [row["name"] for row in json.loads(report.to_json())] == ["one", "two", "OVERALL"]
    with pytest.raises(KeyError, match="three"):
        report["three"]
