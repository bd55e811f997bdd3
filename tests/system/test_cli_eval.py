"""`streamproc eval ...` over files, as a user calls it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from streamproc.cli import app
from streamproc.errors import StreamprocError
from streamproc.evaluation.flow import write_flo


def call(*words: str | Path) -> str:
    result = CliRunner().invoke(app, ["eval", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_flow_is_scored_as_table_and_json(tmp_path: Path) -> None:
    write_flo(tmp_path / "a.flo", np.zeros((4, 4, 2), np.float32))
    write_flo(tmp_path / "b.flo", np.full((4, 4, 2), (3, 4), np.float32))
    assert "epe       5.0000" in call("flow", tmp_path / "a.flo", tmp_path / "b.flo")
    assert json.loads(call("flow", tmp_path / "a.flo", tmp_path / "b.flo", "--json"))["over_3px"] == 1


def test_mistakes_are_reported_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StreamprocError, match=r"No such file.*a\.flo"):
        call("flow", tmp_path / "a.flo", tmp_path / "b.flo")
    result = CliRunner().invoke(app, ["eval", "flow", str(tmp_path / "a.flo")])
    assert result.exit_code == 2
    assert "got neither" in result.output


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("path,label\na\n", ":2: no path or no label"), ("path,label,score\na,cat,nan\n", ":2: the score 'nan' is not"),
        ("path,label\n\xff,cat\n", r"t\.csv is not a CSV in UTF-8"),
        ("path,label,score\na\n", r"t\.csv:2: no path or no label"),
        ("path,label\na,cat\na,dog\n", r"several labels for 'a' \(cat, dog\)"),
    ],
)  # fmt: skip
def test_wrong_table_is_named_with_its_line(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(rows.encode("latin-1"))
    with pytest.raises(StreamprocError, match=message):
        call("classification", tmp_path / "t.csv", tmp_path / "t.csv")


def test_items_without_an_answer_are_counted(tmp_path: Path) -> None:
    truth, found = tmp_path / "t.csv", tmp_path / "f.csv"
    truth.write_text("path,label\na,cat\nb,dog\nc,cat\n")
    found.write_text("path,label\na,cat\n")
    assert re.search(r"items +3\nwithout an answer +2\n", call("classification", truth, found))
    figures = json.loads(call("classification", truth, found, "--json"))
    assert (figures["items"], figures["unanswered"], figures["accuracy"]["top1"]) == (
        3,
        2,
        pytest.approx(1 / 3, abs=1e-6),
    )
    found.write_text("path,label\n")
    with pytest.raises(StreamprocError, match="there are no answers"):
        call("classification", truth, found)


def test_tracks_need_truth_and_truth_needs_no_tracks(tmp_path: Path) -> None:
    empty, known, binary = tmp_path / "e.csv", tmp_path / "gt.txt", tmp_path / "b.csv"
    empty.write_text("")
    known.write_text("1,1,10,10,20,20,1,-1,-1,-1\n")
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StreamprocError, match="the truth of e holds no box that counts"):
        call("tracking", empty, empty)
    with pytest.raises(StreamprocError, match=r"b\.csv is no text in UTF-8"):
        call("tracking", known, binary)
    assert "nan" not in call("tracking", known, empty)


def test_annotations_without_names_are_refused(tmp_path: Path) -> None:
    item = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}
    (tmp_path / "f.json").write_text(json.dumps([item]))
    for truth in ({"images": [{}], "categories": [{"id": 1, "name": "a"}]}, {"images": [{"id": 1}], "categories": [5]}):
        (tmp_path / "t.json").write_text(json.dumps(truth | {"annotations": [item]}))
        with pytest.raises(StreamprocError, match="of the truth isn't a list of objects with id"):
            call("detection", tmp_path / "t.json", tmp_path / "f.json")


def test_labels_clusters_and_captions_are_scored_from_files(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("path,label\na,cat\nb,dog\n")
    (tmp_path / "found.csv").write_text("path,label\na,cat\nb,cat\n")
    assert "top-1 accuracy     0.5000" in call("classification", tmp_path / "truth.csv", tmp_path / "found.csv")
    assert json.loads(call("faces", tmp_path / "truth.csv", tmp_path / "found.csv", "--json"))["BCubed recall"] == 1
    (tmp_path / "t.json").write_text(json.dumps({"annotations": [{"image_id": 1, "caption": "a red car"}]}))
    (tmp_path / "f.json").write_text(json.dumps([{"image_id": 1, "caption": "A red car!"}]))
    assert "BLEU-3    1.0000" in call("caption", tmp_path / "t.json", tmp_path / "f.json")


def test_boxes_and_points_are_scored_from_cocos_files(tmp_path: Path) -> None:
    points = [value for i in range(17) for value in (5 * i, i, 2)]
    item = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 90, 20], "keypoints": points}
    truth = {"images": [{"id": 1}], "categories": [{"id": 1, "name": "person"}], "annotations": [item]}
    (tmp_path / "t.json").write_text(json.dumps(truth))
    (tmp_path / "f.json").write_text(json.dumps([item | {"score": 1}]))
    for command in ("detection", "pose"):
        assert json.loads(call(command, tmp_path / "t.json", tmp_path / "f.json", "--json"))["figures"]["AP"] == 1


def test_tracking_goes_by_its_old_name_too(tmp_path: Path) -> None:
    (tmp_path / "gt.txt").write_text("1,1,10,10,20,20,1,-1,-1,-1\n2,1,10,10,20,20,1,-1,-1,-1\n")
    scores_text = call("tracking", tmp_path / "gt.txt", tmp_path / "gt.txt")
    assert "IDF1" in scores_text
    assert scores_text == call("mot", tmp_path / "gt.txt", tmp_path / "gt.txt")


def test_sequence_without_tracks_is_refused_unless_allowed(tmp_path: Path) -> None:
    row = "1,1,10,10,20,20,1,-1,-1,-1\n"
    for name in ("one", "two"):
        (tmp_path / "truth" / name).mkdir(parents=True)
        (tmp_path / "truth" / name / "gt.txt").write_text(row)
    (tmp_path / "tracks").mkdir()
    (tmp_path / "tracks" / "one.txt").write_text(row)
    with pytest.raises(StreamprocError, match=r"no tracks for two, .* write two.txt"):
        call("tracking", tmp_path / "truth", tmp_path / "tracks")
    assert "one" in call("tracking", tmp_path / "truth", tmp_path / "tracks", "--subset")
    (tmp_path / "tracks" / "two.txt").write_text("")
    rows = json.loads(call("tracking", tmp_path / "truth", tmp_path / "tracks", "--json"))
    assert {row["name"]: row["recall"] for row in rows} == {"one": 1, "two": 0, "OVERALL": 0.5}


def test_captions_of_some_pictures_are_scored_on_request(tmp_path: Path) -> None:
    notes = [{"image_id": n, "caption": f"a red car and {n} dogs"} for n in (1, 2)]
    (tmp_path / "t.json").write_text(json.dumps({"annotations": notes}))
    (tmp_path / "f.json").write_text(json.dumps(notes[:1]))
    with pytest.raises(StreamprocError, match="1 of 2 pictures with references have no caption, such as 2"):
        call("caption", tmp_path / "t.json", tmp_path / "f.json")
    assert re.search(r"without a caption +1\n", call("caption", tmp_path / "t.json", tmp_path / "f.json", "--subset"))


def test_people_behind_links_are_the_truth_of_clusters(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "1.jpg").touch()
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "ada").symlink_to(tmp_path / "store")
    (tmp_path / "found.csv").write_text("path,label\nada/1.jpg,c1\n")
    assert json.loads(call("faces", tmp_path / "people", tmp_path / "found.csv", "--json"))["BCubed recall"] == 1
