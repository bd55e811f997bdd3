"""The gallery and the commands `streamproc faces ...`."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from streamproc import PluginError
from streamproc.errors import StreamprocError
from streamproc_plugins.commands.faces import app
from streamproc_plugins.faces.gallery import Gallery
from tests.plugins.faces import detector, embedder, person


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    made = Gallery(tmp_path / "gallery.db")
    made.add("Ada", "ada.jpg", person(0)[None], "net")
    made.add("Bob", "bob.jpg", np.stack([person(1), person(2)]), "net")
    made.add("Ada", "ada2.jpg", person(3)[None], "net")
    return made


def test_one_photo_enrols_and_more_add(gallery: Gallery) -> None:
    known = gallery.known()
    assert known.names == ("Ada", "Bob")
    assert known.model == "net"
    scores = known.scores(np.stack([person(0), person(2), person(3), person(7)]))
    assert scores == pytest.approx(np.array([[1, 0], [0, 1], [1, 0], [0, 0]]), abs=1e-6)
    assert [(p.number, p.person, p.source) for p in gallery.photos()] == [
        (1, "Ada", "ada.jpg"), (3, "Ada", "ada2.jpg"), (2, "Bob", "bob.jpg"),
    ]  # fmt: skip


def test_people_are_merged_split_and_forgotten(gallery: Gallery) -> None:
    gallery.merge("Ada", "Bob")
    assert gallery.known().names == ("Ada",)
    assert gallery.known().scores(person(1)[None])[0, 0] == pytest.approx(1)
    gallery.split("Ada", "Cy", [2])
    assert [p.person for p in gallery.photos()] == ["Ada", "Ada", "Cy"]
    assert gallery.remove("Ada") == 2
    assert gallery.known().names == ("Cy",)
    assert person(0).tobytes() not in gallery.path.read_bytes()
    gallery.remove("Cy")
    assert gallery.known().scores(person(0)[None]).shape == (1, 0)


def test_mistakes_change_nothing_and_give_advice(gallery: Gallery, tmp_path: Path) -> None:
    before = gallery.path.read_bytes()
    with pytest.raises(PluginError, match="there is no 'Adda' in the gallery; did you mean 'Ada'"):
        gallery.remove("Adda")
    with pytest.raises(PluginError, match="photo 2 isn't one of 'Ada'; it has 1, 3"):
        gallery.split("Ada", "Cy", [2])
    with pytest.raises(PluginError, match="a part of the photos of 'Ada' has to go, got 2 of 2"):
        gallery.split("Ada", "Cy", [1, 3])
    with pytest.raises(PluginError, match="'Bob' is there already"):
        gallery.split("Ada", "Bob", [1])
    with pytest.raises(PluginError, match="can't be merged with itself"):
        gallery.merge("Ada", "Ada")
    with pytest.raises(PluginError, match=r"embeddings of net \(8 values\), got other \(8\)"):
        gallery.add("Ada", "x.jpg", person(0)[None], "other")
    with pytest.raises(PluginError, match="is no name for a person"):
        gallery.add(" ", "x.jpg", person(0)[None], "net")
    with pytest.raises(PluginError, match="is no name for a person"):
        gallery.split("Ada", "", [1])
    assert gallery.path.read_bytes() == before
    (tmp_path / "text.db").write_text("no database at all, but long enough to be taken for one" * 10)
    with pytest.raises(PluginError, match="can't be used as a gallery"):
        Gallery(tmp_path / "text.db").known()
    with pytest.raises(PluginError, match="there is no gallery"):
        Gallery(tmp_path / "none.db").known()
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE things (a)").connection.close()
    with pytest.raises(PluginError, match="can't be used as a gallery"):
        Gallery(tmp_path / "other.db").known()


def test_gallery_that_can_not_be_made_is_reported(gallery: Gallery) -> None:
    inside = gallery.path / "g.db"
    with pytest.raises(
        StreamprocError, match=r"g\.db can't be written \(File exists: .*gallery.db\); choose another place"
    ):
        Gallery(inside).add("Ada", "x.jpg", person(0)[None], "net")


def test_the_file_is_its_owners_alone(gallery: Gallery) -> None:
    assert gallery.path.stat().st_mode & 0o077 == 0


def photo(path: Path, colour: tuple[int, int, int], seed: int = 0) -> Path:
    """Noise of a colour, which the built nets take for a face of that person."""
    rng = np.random.default_rng(seed)
    rgb = np.clip(rng.normal(colour, 40, (320, 320, 3)), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rgb[..., ::-1])
    return path


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Under the names that the commands use: a detector that finds one face in the middle, an embedding by colour."""
    from streamproc.models import ModelStore
    from streamproc_plugins.faces import batch, enrolment

    faces = detector(tmp_path / "nets", 64, 64, (3, 3))
    colours = embedder(tmp_path / "nets")
    store = ModelStore(mirrors=(), cache=tmp_path / "cache", download=False)
    monkeypatch.setattr(batch, "ModelStore", lambda: store)
    monkeypatch.setattr(enrolment, "DETECTOR", faces)
    return colours


def test_the_help_shows_commands_only() -> None:
    message = CliRunner().invoke(app, ["--help"]).output
    assert "threshold" in message
    assert "completion" not in message


def test_the_commands_enrol_list_and_forget(nets: str, tmp_path: Path) -> None:
    path = tmp_path / "g.db"

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*words, "--gallery", str(path)])
        return done.exit_code, done.output + (str(done.exception) if done.exception else "")

    red, blue = photo(tmp_path / "red.png", (200, 30, 30)), photo(tmp_path / "blue.png", (30, 30, 200), 1)
    assert run("add", "Red", str(red), "--embedding", nets) == (0, "Red: photo 1, red.png\n")
    assert run("add", "Blue", str(blue), str(red), "--embedding", nets) == (
        0,
        "Blue: photo 2, blue.png\nBlue: photo 3, red.png\n",
    )
    assert run("split", "Blue", "Rot", "--photo", "3")[0] == 0
    assert run("merge", "Red", "Rot") == (0, "Rot is now Red\n")
    assert [line.split("\t")[:3] for line in run("list")[1].splitlines()] == [
        ["Blue", "2", "blue.png"], ["Red", "1", "red.png"], ["Red", "3", "red.png"],
    ]  # fmt: skip
    assert run("remove", "Blue") == (0, "Blue is forgotten, with 1 photo\n")
    assert "there is no 'Blue'" in run("remove", "Blue")[1]
    assert "can't be read" in run("add", "Ada", str(tmp_path / "none.png"), "--embedding", nets)[1]
    assert "isn't a picture" in run("add", "Ada", str(path), "--embedding", nets)[1]
    flat = tmp_path / "flat.png"
    cv2.imwrite(str(flat), np.full((320, 320, 3), 90, np.uint8))
    code, said = run("add", "Ada", str(red), str(flat), "--embedding", nets)
    assert code == 1
    assert "too blurred (variance of the Laplacian): 0.00, expected at least 20" in said
    assert "Ada" not in run("list")[1]
    assert run("add", "Ada", str(flat), "--any-quality", "--embedding", nets)[0] == 0


def test_no_face_and_several_faces_are_refused(nets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamproc_plugins.faces import enrolment

    red = photo(tmp_path / "red.png", (200, 30, 30))

    def said(*flags: str) -> str:
        words = ["add", "Red", str(red), "--embedding", nets, "--gallery", str(tmp_path / "g.db"), *flags]
        done = CliRunner().invoke(app, words)
        return done.output + str(done.exception or "")

    monkeypatch.setattr(enrolment, "DETECTOR", detector(tmp_path / "none", 64, 64))
    assert "shows no face; give a photo" in said()
    monkeypatch.setattr(enrolment, "DETECTOR", detector(tmp_path / "two", 64, 64, (2, 2), (5, 5)))
    assert "shows 2 faces; cut it to one, or take the largest (--largest)" in said()
    assert said("--largest") == "Red: photo 1, red.png\n"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Three people with four photos each."""
    colours = {"red": (210, 40, 40), "green": (40, 210, 40), "blue": (40, 40, 210)}
    for number, (name, colour) in enumerate(colours.items()):
        for shot in range(4):
            photo(tmp_path / "people" / name / f"{shot}.png", colour, 10 * number + shot)
    return tmp_path / "people"


def test_threshold_command_prints_the_curve(nets: str, people: Path, tmp_path: Path) -> None:
    page = tmp_path / "curve.html"
    words = ["threshold", str(people), "--embedding", nets]
    done = CliRunner().invoke(app, [*words, "--html", str(page)])
    assert done.exit_code == 0
    assert "12 faces of 3 people, 0 photos without a face\n18 pairs of one person, 48 of two\n" in done.output
    assert "best accuracy 1.000" in done.output
    text = page.read_text()
    assert text.count("<polyline") == 4
    assert text.count("<tr>") == 101
    curve = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert len(curve["distance"]) == len(curve["recall"]) == 100
    assert (curve["same"], curve["different"]) == (18, 48)
    done = CliRunner().invoke(app, ["threshold", str(people / "red"), "--embedding", nets])
    assert "put each person's photos into a folder" in str(done.exception)


@pytest.mark.parametrize("method", [["whispers", "--cosine", "0.9"], ["hdbscan"], ["kmeans", "--people", "3"]])
def test_cluster_command_writes_groups_and_contact_sheet(
    nets: str, people: Path, tmp_path: Path, method: list[str]
) -> None:
    out = tmp_path / "out"
    words = ["cluster", str(people), "--embedding", nets, "--out", str(out), "--main-only", "--method", *method]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "against the folders: BCubed precision 1.000, recall 1.000, F 1.000" in done.output
    groups = json.loads((out / "groups.json").read_text())["groups"]
    owners = [{face["photo"].split("/")[0] for face in group["faces"]} for group in groups]
    assert [len(group["faces"]) for group in groups] == [4, 4, 4]
    assert sorted(next(iter(owner)) for owner in owners) == ["blue", "green", "red"]
    assert (out / "groups.html").read_text().count("data:image/jpeg;base64,") == 12


@pytest.mark.parametrize("command", ["cluster", "threshold"])
def test_folder_is_checked_before_the_net_loads(command: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"")
    more = ["--out", str(tmp_path / "out")] if command == "cluster" else []
    for name, message in (("empty", "holds no pictures"), ("away", "is not there"), ("file", "is a file")):
        done = CliRunner().invoke(app, [command, str(tmp_path / name), "--embedding", "no-such-net", *more])
        assert message in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_cluster_command_names_missing_parts(nets: str, people: Path, tmp_path: Path) -> None:
    def said(*words: str) -> str:
        done = CliRunner().invoke(app, ["cluster", "--embedding", nets, "--out", str(tmp_path / "o"), *words])
        return str(done.exception)

    assert "kmeans needs the number of people" in said(str(people), "--method", "kmeans")
    assert "there is no method 'magic', expected one of whispers" in said(str(people), "--method", "magic")
    assert "got 99 groups for 12 faces" in said(str(people), "--method", "kmeans", "--people", "99")
    (tmp_path / "file").touch()
    assert "file can't be written (File exists)" in said(str(people), "--out", str(tmp_path / "file"))
    page = CliRunner().invoke(
        app, ["threshold", str(people), "--embedding", nets, "--html", str(tmp_path / "file" / "x")]
    )
    assert "x can't be written (File exists)" in str(page.exception)
    (tmp_path / "empty").mkdir()
    assert "holds no pictures" in said(str(tmp_path / "empty"))


def test_linked_folders_are_looked_into(nets: str, people: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("red", "green"):
        (linked / name).symlink_to(people / name, target_is_directory=True)
    (linked / "green" / "round").symlink_to(linked, target_is_directory=True)
    words = [str(linked), "--embedding", nets]
    assert "8 faces of 2 people" in CliRunner().invoke(app, ["threshold", *words]).output
    done = CliRunner().invoke(app, ["cluster", *words, "--main-only", "--out", str(tmp_path / "o"), "--cosine", "0.9"])
    assert "8 faces in 2 groups" in done.output


def test_two_faces_on_one_photo_are_two_people(nets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamproc_plugins.faces import enrolment

    monkeypatch.setattr(enrolment, "DETECTOR", detector(tmp_path / "two", 64, 64, (2, 2), (5, 5)))
    photo(tmp_path / "photos" / "red.png", (200, 30, 30))
    words = ["cluster", str(tmp_path / "photos"), "--embedding", nets, "--out", str(tmp_path / "o"), "--cosine", "0.5"]
    done = CliRunner().invoke(app, words)
    assert "1 face looked like another one on the same photo" in done.output
    assert "2 faces in 2 groups" in done.output


def test_the_pairs_command_scores_a_csv(nets: str, people: Path, tmp_path: Path) -> None:
    table, out = people / "pairs.csv", tmp_path / "scores.csv"
    dark = people / "dark.png"
    cv2.imwrite(str(dark), np.zeros((8, 8, 3), np.uint8))
    table.write_text(
        "first,second,same\nred/0.png,red/1.png,1\nred/0.png,green/0.png,0\nblue/2.png,blue/3.png,1\n"
        "green/1.png,blue/1.png,0\n"
    )
    words = ["pairs", str(table), "--embedding", nets, "--cosine", "0.9"]
    done = CliRunner().invoke(app, [*words, "--out", str(out)])
    assert done.exit_code == 0, done.output
    figures = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert (figures["accuracy"], figures["strangers matched"], figures["people missed"]) == (1, 0, 0)
    assert [pair["verdict"] for pair in figures["pairs"]] == ["same", "different"] * 2
    lines = out.read_text().splitlines()
    assert lines[0] == "first,second,same,cosine,distance,verdict,problem"
    assert lines[1].startswith("red/0.png,red/1.png,1,0.9")
    assert lines[1].endswith(",same,")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("first,second\nred/0.png,away.png\n", "1 photo of .* can't be found in .*, such as away.png"),
        ("first,second,same\nred/0.png,red/1.png,perhaps\n", ":2: 'perhaps' doesn't say whether both are one person"),
        ("first,second\nred/0.png\n", ":2: expected two paths, got 'red/0.png'"),
        ("first,second\n", "has no pairs; give a row of two paths"),
        ("first\n", "has no two columns"),
    ],
)
def test_wrong_table_of_pairs_is_refused(nets: str, people: Path, rows: str, message: str) -> None:
    table = people / "pairs.csv"
    table.write_text(rows)
    done = CliRunner().invoke(app, ["pairs", str(table), "--embedding", nets])
    assert re.search(message, str(done.exception))


def test_a_table_of_pairs_needs_no_header(nets: str, people: Path) -> None:
    table = people / "pairs.csv"
    table.write_text("red/0.png,red/1.png,1\nred/0.png,green/0.png,0\n")
    words = ["pairs", str(table), "--embedding", nets, "--cosine", "0.9", "--json"]
    figures = json.loads(CliRunner().invoke(app, words).output)
    assert (figures["pairs"][0]["same"], figures["accuracy"], len(figures["pairs"])) == (1, 1, 2)


def test_a_pair_without_a_face_is_named(
    nets: str, people: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from streamproc_plugins.faces import enrolment

    monkeypatch.setattr(enrolment, "DETECTOR", detector(tmp_path / "none", 64, 64))
    table = people / "pairs.csv"
    table.write_text("first,second\nred/0.png,red/1.png\n")
    figures = json.loads(CliRunner().invoke(app, ["pairs", str(table), "--embedding", nets, "--json"]).output)
    assert figures["without a face"] == 1
    assert figures["pairs"][0]["problem"] == "no face on 0.png"
