"""The work behind `streamproc faces ...`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from streamproc import PluginError
from streamproc.errors import counted, writing
from streamproc.evaluation.bcubed import bcubed
from streamproc.events import utc_text
from streamproc.folders import files_below
from streamproc.models import ModelStore, ScoreSpread
from streamproc_plugins.faces import pages
from streamproc_plugins.faces.alignment import align
from streamproc_plugins.faces.clustering import chinese_whispers, hdbscan, kmeans, separated
from streamproc_plugins.faces.enrolment import NO_DEMANDS, Demands, Photographer, read_photo
from streamproc_plugins.faces.gallery import Gallery
from streamproc_plugins.faces.heap import group_heap
from streamproc_plugins.faces.operating import (
    chance_per_person,
    spread_between,
    tail_quantile,
)
from streamproc_plugins.faces.pairs import PICTURES
from streamproc_plugins.faces.people import CAPTURED_NS, People, open_folder
from streamproc_plugins.faces.verification import Curve, cosine_of
from streamproc_plugins.faces.verification import find_threshold as curve_of
from streamproc_plugins.storage import write_private

METHODS = ("whispers", "hdbscan", "kmeans")
DEFAULT_EMBEDDING = "sface"
Advised = dict[str, dict[str, float]]
"""cosine by share of strangers and size of the gallery"""
GALLERIES = (10, 100, 1000)
"""sizes that the threshold command advises for"""


def say(text: str) -> None:
    """A line of the command's own output."""
    typer.echo(text)


def enrol(
    name: str, photos: Sequence[Path], gallery: Path, embedding: str | None, *, largest: bool, any_quality: bool
) -> None:
    """Look at every photo first; only if all are good are they added."""
    store = Gallery(gallery)
    net = embedding or (store.known().model if gallery.is_file() else DEFAULT_EMBEDDING)
    photographer = Photographer(ModelStore(), net)
    demands = NO_DEMANDS if any_quality else Demands(one_face=not largest)
    looks = [(photo.name, photographer.enrol(read_photo(photo), demands, str(photo))) for photo in photos]
    for source, vectors in looks:
        number = store.add(name, source, vectors, photographer.model)
        say(f"{name}: photo {number}, {source}")


def show_gallery(gallery: Path, name: str | None) -> None:
    """One line a photo."""
    photos = Gallery(gallery).photos(name)
    for photo in photos:
        day = datetime.fromtimestamp(photo.added_s, UTC).strftime("%Y-%m-%d")
        say(f"{photo.person}\t{photo.number}\t{photo.source}\t{day}")
    if not photos:
        say("the gallery is empty; add people with `streamproc faces add`")


def show_people(folder: Path) -> None:
    """One line a person of a folder of face_clusters."""
    with closing(open_folder(folder)) as people:
        for person, (count, first_ns, last_ns) in people.known().items():
            say(f"person {person}\t{counted(count, 'vector')}\tfrom {_time(first_ns)} to {_time(last_ns)}")


def _time(time_ns: int) -> str:
    return utc_text(time_ns) if time_ns >= CAPTURED_NS else f"{time_ns / 1e9:.3f} s of media time"


def join_people(folder: Path, one: int, other: int) -> None:
    """Make two ids one."""
    with closing(open_folder(folder)) as people:
        _must_know(people, folder, one, other)
        say(f"both are person {people.join(one, other)}")


def forget_person(folder: Path, person: int) -> None:
    """Delete a person."""
    with closing(open_folder(folder)) as people:
        _must_know(people, folder, person)
        say(f"person {person} is forgotten, with {counted(people.forget(person), 'vector')}")


def _must_know(people: People, folder: Path, *wanted: int) -> None:
    known = people.known()
    if unknown := [person for person in wanted if people.now(person) not in known]:
        raise PluginError(f"{folder} knows no person {unknown[0]}; `streamproc faces people {folder}` lists them")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceOnPhoto:
    """One face of a heap of photos."""

    photo: str
    """path within the folder"""
    xyxy: list[float]
    score: float
    face: NDArray[np.uint8]
    """aligned, uint8 (112, 112, 3)"""
    embedding: NDArray[np.float32]


def pictures_in(folder: Path) -> list[Path]:
    """All picture files below a folder, by name. Raises `PluginError` where there is none."""
    if not folder.is_dir():
        raise PluginError(f"{folder} is {'a file' if folder.exists() else 'not there'}; name a folder of photos")
    found = sorted(path for path in files_below(folder) if path.suffix.lower() in PICTURES)
    if not found:
        raise PluginError(f"{folder} holds no pictures ({', '.join(sorted(PICTURES))}); name a folder of photos")
    return found


def faces_in(
    folder: Path, photos: Sequence[Path], photographer: Photographer, *, main_only: bool
) -> Iterator[FaceOnPhoto]:
    """Every face of every photo of a folder, or of each photo the one nearest to its middle."""
    for path in photos:
        rgb = read_photo(path)
        faces = photographer.faces(rgb)
        rows = list(range(len(faces.xyxy)))
        if main_only and rows:
            middle = np.array([rgb.shape[1], rgb.shape[0]]) / 2
            away = (faces.xyxy[:, :2] + faces.xyxy[:, 2:]) / 2 - middle
            rows = [int(np.argmin((away**2).sum(axis=1)))]
        for row in rows:
            assert faces.embeddings is not None
            yield FaceOnPhoto(
                photo=str(path.relative_to(folder)),
                xyxy=[round(float(value), 1) for value in faces.xyxy[row]],
                score=round(float(faces.score[row]), 4),
                face=align(rgb, faces.landmarks[row]),
                embedding=faces.embeddings[row],
            )


def find_threshold(folder: Path, embedding: str, *, page: Path | None, as_json: bool) -> None:
    """The curve over all distinct pairs of a folder of people."""
    photos = pictures_in(folder)  # before nets are loaded, or even downloaded
    if any(photo.parent == folder for photo in photos):
        raise PluginError(f"{folder} holds photos of its own; put each person's photos into a folder with their name")
    found = list(faces_in(folder, photos, Photographer(ModelStore(), embedding), main_only=True))
    people = [str(Path(face.photo).parent) for face in found]
    missing = len(photos) - len(found)
    vectors = np.array([face.embedding for face in found])
    try:
        curve = curve_of(vectors, people)
    except ValueError as error:
        raise PluginError(f"{folder}: {error}") from None
    pictured = counted(len(set(people)), "person", "people")
    if page is not None:
        with writing(page):
            write_private(page, pages.curve_page(curve, f"{counted(len(found), 'photo')} of {pictured}").encode())
    spread, advised = _advice(vectors, people)
    if as_json:
        say(json.dumps({**_curve_values(curve), "strangers": spread, "advised": advised}))
        return
    say(f"{counted(len(found), 'face')} of {pictured}, {counted(missing, 'photo')} without a face")
    say(f"{counted(curve.same, 'pair')} of one person, {curve.different} of two")
    for title, row in (("accuracy", curve.best), ("balanced accuracy", curve.best_balanced)):
        say(f"best {title} {getattr(curve, title.split()[0])[row]:.3f}: {_row(curve, row)}")
    say(f"strangers: mean cosine {spread['mean']:.3f}, standard deviation {spread['sd']:.3f}")
    for share, rows in advised.items():
        steps = ", ".join(f"{cosine:.3f} for {count}" for count, cosine in rows.items())
        say(f"cosine for {share} of strangers named, by people in the gallery: {steps}")


def _advice(vectors: NDArray[np.float32], people: Sequence[str]) -> tuple[dict[str, float], Advised]:
    """Likeness of strangers, and thresholds for galleries of several sizes, from the upper tail of this set."""
    owner = np.unique(np.array(people), return_inverse=True)[1].astype(np.int64)
    count = int(owner.max()) + 1
    spread, scores = spread_between(vectors, owner)
    pairs = max(count * (count - 1) // 2, 12)
    advised = {
        f"{100 * share:g}%": {
            str(size): round(tail_quantile(scores, pairs, chance_per_person(share, size)), 3) for size in GALLERIES
        }
        for share in (0.01, 0.001)
    }
    return {"mean": round(spread.mean, 4), "sd": round(spread.sd, 4)}, advised


def _row(curve: Curve, row: int) -> str:
    distance = float(curve.distance[row])
    return (
        f"distance {distance:.2f} (cosine {float(cosine_of(distance)):.3f}), "
        f"precision {curve.precision[row]:.3f}, recall {curve.recall[row]:.3f}"
    )


def _curve_values(curve: Curve) -> dict[str, Any]:
    columns = {name: np.asarray(getattr(curve, name)).round(6).tolist() for name in pages.COLUMNS}
    best = {"best": float(curve.distance[curve.best]), "best_balanced": float(curve.distance[curve.best_balanced])}
    return {"same": curve.same, "different": curve.different, **best, **columns}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupJob:
    """Input and settings of a grouping."""

    folder: Path
    out: Path
    method: str
    cosine: float | None
    """least cosine of faces that whispers joins; None: it follows `strangers_joined` and the number of faces"""
    strangers_joined: float
    people: int | None
    main_only: bool = False


def group_photos(job: GroupJob, embedding: str) -> None:
    """Write groups.json and a contact sheet."""
    if job.method not in METHODS:
        raise PluginError(f"there is no method {job.method!r}, expected one of {', '.join(METHODS)}")
    if (job.method == "kmeans") != (job.people is not None):
        raise PluginError("kmeans needs the number of people (--people), and only kmeans takes it")
    photos = pictures_in(job.folder)
    with writing(job.out):
        job.out.mkdir(parents=True, exist_ok=True, mode=0o700)
    photographer = Photographer(ModelStore(), embedding)
    faces = list(faces_in(job.folder, photos, photographer, main_only=job.main_only))
    if not faces:
        raise PluginError(f"no face was found on the pictures in {job.folder}")
    label = assign_people(faces, job, photographer.embed.strangers)
    groups = [[face for face, own in zip(faces, label, strict=True) if own == n] for n in range(int(label.max()) + 1)]
    groups.sort(key=len, reverse=True)
    listed = [
        {"group": number, "faces": [{"photo": f.photo, "box": f.xyxy, "score": f.score} for f in group]}
        for number, group in enumerate(groups, 1)
    ]
    sheet = pages.contact_sheet([[(face.face, face.photo) for face in group] for group in groups])
    with writing(job.out):
        write_private(job.out / "groups.json", json.dumps({"method": job.method, "groups": listed}, indent=1).encode())
        write_private(job.out / "groups.html", sheet.encode())
    summary = f"{counted(len(faces), 'face')} in {counted(len(groups), 'group')}"
    say(f"{summary}: {job.out / 'groups.json'}, {job.out / 'groups.html'}")
    folders = [str(Path(face.photo).parent) for face in faces]
    if job.main_only and "." not in folders and len(set(folders)) > 1:
        score = bcubed(label.tolist(), folders)
        say(f"against the folders: BCubed precision {score.precision:.3f}, recall {score.recall:.3f}, F {score.f1:.3f}")


def assign_people(faces: Sequence[FaceOnPhoto], job: GroupJob, strangers: ScoreSpread) -> NDArray[np.int64]:
    """A group number for each face, int64 (N,); prints the cosine used, and the number of groups it had to part."""
    vectors = np.array([face.embedding for face in faces])
    photos = [face.photo for face in faces]
    if job.method == "whispers" and job.cosine is None:
        heap = group_heap(vectors, photos, strangers, job.strangers_joined)
        label, parted = heap.label, heap.parted
        found = counted(len(faces), "face")
        say(f"faces of cosine {heap.cosine:.3f} or more are joined ({found}; --cosine sets another)")
    else:
        label, parted = separated(face_groups(vectors, job), photos, vectors)
    if parted:
        say(
            f"{counted(parted, 'face')} looked like another one on the same photo; two faces on a photo are two "
            "people, so they are in different groups"
        )
    return label


def face_groups(vectors: NDArray[np.float32], job: GroupJob) -> NDArray[np.int64]:
    """A group number for each vector by the job's method; `PluginError` where it can't be done."""
    try:
        if job.method == "kmeans":
            return kmeans(vectors, job.people or 1)
        return hdbscan(vectors) if job.method == "hdbscan" else chinese_whispers(vectors, job.cosine or 0)
    except (ValueError, ImportError) as error:
        raise PluginError(str(error)) from None
