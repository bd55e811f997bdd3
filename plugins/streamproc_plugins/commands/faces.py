"""`streamproc faces ...`: the gallery, thresholds, heaps of photos. Light: the work is in `batch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamproc.errors import counted

app = typer.Typer(
    help="Faces: a gallery of known people, verification thresholds, groups of photos.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

GalleryFile = Annotated[Path, typer.Option("--gallery", help="gallery file")]
Embedding = Annotated[
    str | None, typer.Option("--embedding", help="embedding net (default: the gallery's own, else sface)")
]
Name = Annotated[str, typer.Argument(help="a person's name")]
Photos = Annotated[Path, typer.Argument(help="folder with a folder of photos for each person")]
Folder = Annotated[Path, typer.Argument(help="the folder in the option of face_clusters; no run may be using it")]
Person = Annotated[int, typer.Argument(min=1, help="number of a person, such as 3 of 'person 3'")]
DEFAULT = Path("gallery.db")


@app.command()
def add(
    name: Name,
    photos: Annotated[list[Path], typer.Argument(help="one photo is enough")],
    gallery: GalleryFile = DEFAULT,
    embedding: Embedding = None,
    largest: Annotated[bool, typer.Option("--largest", help="take the largest of several faces")] = False,
    any_quality: Annotated[
        bool, typer.Option("--any-quality", help="take small, turned and blurred faces too")
    ] = False,
) -> None:
    """Enrol a person from one photo or more."""
    from streamproc_plugins.faces.batch import enrol

    enrol(name, photos, gallery, embedding, largest=largest, any_quality=any_quality)


@app.command("list")
def list_people(
    name: Annotated[str | None, typer.Argument(help="only this person")] = None, gallery: GalleryFile = DEFAULT
) -> None:
    """List the people in the gallery, with the numbers of their photos."""
    from streamproc_plugins.faces.batch import show_gallery

    show_gallery(gallery, name)


@app.command()
def remove(name: Name, gallery: GalleryFile = DEFAULT) -> None:
    """Forget a person; the embeddings are overwritten."""
    from streamproc_plugins.faces.batch import say
    from streamproc_plugins.faces.gallery import Gallery

    say(f"{name} is forgotten, with {counted(Gallery(gallery).remove(name), 'photo')}")


@app.command()
def merge(
    name: Name, other: Annotated[str, typer.Argument(help="name of the same person")], gallery: GalleryFile = DEFAULT
) -> None:
    """Two names were one person: the second goes into the first."""
    from streamproc_plugins.faces.batch import say
    from streamproc_plugins.faces.gallery import Gallery

    Gallery(gallery).merge(name, other)
    say(f"{other} is now {name}")


@app.command()
def split(
    name: Name,
    new: Annotated[str, typer.Argument(help="a new name for some of the photos")],
    photos: Annotated[
        list[int], typer.Option("--photo", help="number of a photo, as `list` shows it; may be repeated")
    ],
    gallery: GalleryFile = DEFAULT,
) -> None:
    """One name was two people: some photos go to a new name."""
    from streamproc_plugins.faces.batch import say
    from streamproc_plugins.faces.gallery import Gallery

    Gallery(gallery).split(name, new, photos)
    say(f"{counted(len(set(photos)), 'photo')} of {name} {'is' if len(set(photos)) == 1 else 'are'} now {new}")


@app.command()
def people(folder: Folder) -> None:
    """List the people in a folder of face_clusters: ids, vectors, first and last time."""
    from streamproc_plugins.faces.batch import show_people

    show_people(folder)


@app.command()
def join(folder: Folder, one: Person, other: Person) -> None:
    """Two ids of a folder of face_clusters are one person: the older one stays."""
    from streamproc_plugins.faces.batch import join_people

    join_people(folder, one, other)


@app.command()
def forget(folder: Folder, person: Person) -> None:
    """Delete a person from a folder of face_clusters; the embeddings are overwritten."""
    from streamproc_plugins.faces.batch import forget_person

    forget_person(folder, person)


@app.command()
def threshold(
    folder: Photos,
    embedding: Annotated[str, typer.Option("--embedding", help="embedding net")] = "sface",
    page: Annotated[Path | None, typer.Option("--html", help="write the curve as a page here")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON, with the whole curve")] = False,
) -> None:
    """Find the distance that best decides whether two photos show one person, over all distinct pairs."""
    from streamproc_plugins.faces.batch import find_threshold

    find_threshold(folder, embedding, page=page, as_json=as_json)


@app.command()
def pairs(  # noqa: PLR0913, PLR0917 - one parameter an option
    table: Annotated[
        Path, typer.Argument(help="CSV with two columns of photos, and optionally a third: same (1 or 0)")
    ],
    embedding: Annotated[str, typer.Option("--embedding", help="embedding net")] = "sface",
    photos: Annotated[
        Path | None, typer.Option("--photos", help="folder that the paths start from (default: that of the CSV)")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="write the pairs with their scores as CSV here")] = None,
    strangers_matched: Annotated[
        str, typer.Option("--strangers-matched", help="share of pairs of two people that may be taken for one")
    ] = "0.1%",
    least_cosine: Annotated[
        float | None, typer.Option("--cosine", help="threshold (default: by --strangers-matched)")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON, with every pair")] = False,
) -> None:
    """Score pairs of photos: how alike are the faces, and are they one person's?"""
    from streamproc_plugins.faces.batch import say
    from streamproc_plugins.faces.pairs import PairJob, score_pairs

    job = PairJob(
        pairs=table,
        photos=photos,
        out=out,
        strangers_matched=_share(strangers_matched),
        threshold=least_cosine,
        as_json=as_json,
    )
    say(score_pairs(job, embedding))


def _share(text: str) -> float:
    """A percentage or fraction as a fraction."""
    from streamproc_plugins.faces.options import parse_share

    try:
        value = float(parse_share(text))
    except ValueError:
        value = 0.0
    if not 0 < value <= 0.5:
        raise typer.BadParameter(
            f"{text!r} isn't a share of strangers, expected more than 0 and at most 50%, such as 1%"
        )
    return value


@app.command()
def cluster(  # noqa: PLR0913, PLR0917 - one parameter an option
    folder: Annotated[Path, typer.Argument(help="folder of photos, perhaps with folders in it")],
    out: Annotated[Path, typer.Option("--out", help="folder for groups.json and the contact sheet")] = Path(
        "out/faces"
    ),
    method: Annotated[str, typer.Option("--method", help="whispers, hdbscan or kmeans")] = "whispers",
    least_cosine: Annotated[
        float | None,
        typer.Option(
            "--cosine", help="whispers: faces more alike than this are joined (default: by --strangers-joined)"
        ),
    ] = None,
    strangers_joined: Annotated[
        str, typer.Option("--strangers-joined", help="share of faces that may be joined with a stranger's")
    ] = "1%",
    main_only: Annotated[
        bool, typer.Option("--main-only", help="of each photo only the face nearest its middle")
    ] = False,
    people: Annotated[int | None, typer.Option("--people", min=1, help="kmeans: how many people there are")] = None,
    embedding: Annotated[str, typer.Option("--embedding", help="embedding net")] = "sface",
) -> None:
    """Group the faces on photos by person."""
    from streamproc_plugins.faces.batch import GroupJob, group_photos

    group_photos(
        GroupJob(
            folder=folder,
            out=out,
            method=method,
            cosine=least_cosine,
            strangers_joined=_share(strangers_joined),
            people=people,
            main_only=main_only,
        ),
        embedding,
    )


__all__ = ["app"]
