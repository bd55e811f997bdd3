"""The commands of `streamproc eval`: truth and results in, a table or JSON out."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from streamproc.cli.console import out
from streamproc.cli.groups import EvalGroup
from streamproc.errors import StreamprocError

app = typer.Typer(
    cls=EvalGroup, help="Score results by the field's own metrics.", no_args_is_help=True, rich_markup_mode=None
)

Json = Annotated[bool, typer.Option("--json", help="as JSON")]
Model = Annotated[str, typer.Option("--model", help="run this net of the store instead of reading results")]
CocoTruth = Annotated[Path, typer.Argument(help="annotations in COCO's JSON")]
CocoFound = Annotated[Path, typer.Argument(help="results in COCO's JSON")]


class FlowMethod(StrEnum):
    """Ways in which `eval flow` may compute flow itself."""

    zero = "zero"
    dis = "dis"
    dis_fast = "dis-fast"
    dis_ultrafast = "dis-ultrafast"
    farneback = "farneback"


class _Report(Protocol):
    def table(self) -> str: ...
    def to_json(self) -> str: ...


def _show(score: Callable[[], _Report], as_json: bool) -> None:
    """Print a report; what is wrong with the files becomes a sentence."""
    try:
        report = score()
    except (OSError, ValueError, ImportError) as error:
        raise StreamprocError(str(error)) from error
    out(report.to_json() if as_json else report.table())


def _one_of(found: Path | None, computed: object, option: str) -> None:
    if (found is None) == (not computed):
        got = "both" if computed else "neither"
        raise typer.BadParameter(f"give either a file of results or {option}, got {got}")


@app.command()
def tracking(
    truth: Annotated[Path, typer.Argument(help="gt.txt, or a folder of sequences with gt.txt")],
    tracks: Annotated[Path, typer.Argument(help="tracks in MOTChallenge form, or a folder NAME.txt")],
    subset: Annotated[bool, typer.Option("--subset", help="leave out sequences without a file of tracks")] = False,
    as_json: Json = False,
) -> None:
    """IDF1, MOTA, HOTA and the rest over tracks in MOTChallenge form."""
    from streamproc.evaluation.mot import evaluate, find_pairs, read_mot

    def score() -> _Report:
        pairs = find_pairs(truth, tracks, subset=subset)
        return evaluate({name: (read_mot(gt), read_mot(found)) for name, (gt, found) in pairs.items()})

    _show(score, as_json)


# the name of before there were others
app.command("mot", hidden=True)(tracking)


@app.command()
def classification(
    truth: Annotated[Path, typer.Argument(help="CSV with path,label, or a folder with a subfolder per class")],
    found: Annotated[Path | None, typer.Argument(help="CSV with path,label[,score]")] = None,
    model: Model = "",
    pictures: Annotated[Path | None, typer.Option("--pictures", help="folder that the CSV's paths start from")] = None,
    as_json: Json = False,
) -> None:
    """Top-k accuracy, precision and recall by class, confusion matrix."""
    _one_of(found, model, "--model")
    from streamproc.evaluation.classification import evaluate_labels, read_labels, single_labels

    def score() -> _Report:
        known = read_labels(truth)
        if found is not None:
            return evaluate_labels(known, read_labels(found))
        from streamproc.evaluation.nets import classify
        from streamproc.models import ModelStore

        folder = pictures or (truth if truth.is_dir() else truth.parent)
        return classify(ModelStore(), model, single_labels(known), folder)

    _show(score, as_json)


def _coco(truth: Path, found: Path, kind: Any, as_json: bool) -> None:
    from streamproc.evaluation.coco import evaluate
    from streamproc.evaluation.tables import read_json

    _show(lambda: evaluate(read_json(truth), read_json(found), kind), as_json)


@app.command()
def detection(
    truth: CocoTruth,
    found: CocoFound,
    masks: Annotated[bool, typer.Option("--masks", help="score instance masks (RLE) instead of boxes")] = False,
    as_json: Json = False,
) -> None:
    """COCO's mean average precision and recall of boxes or instance masks."""
    _coco(truth, found, "segm" if masks else "bbox", as_json)


@app.command()
def pose(truth: CocoTruth, found: CocoFound, as_json: Json = False) -> None:
    """COCO's average precision of keypoints by object keypoint similarity (OKS)."""
    _coco(truth, found, "keypoints", as_json)


@app.command()
def segmentation(
    truth: Annotated[Path, typer.Argument(help="a mask, or a folder of them: class ids as grey levels or palette")],
    found: Annotated[Path | None, typer.Argument(help="the same, found")] = None,
    model: Model = "",
    pictures: Annotated[Path | None, typer.Option("--pictures", help="folder of the pictures, for --model")] = None,
    labels: Annotated[str, typer.Option("--labels", help="a label list such as voc21, or names with commas")] = "",
    as_json: Json = False,
) -> None:
    """IoU, Dice and pixel accuracy of masks; class 255 is left out."""
    _one_of(found, model, "--model")
    from streamproc.evaluation.segmentation import evaluate_files

    def score() -> _Report:
        if found is not None:
            return evaluate_files(truth, found, labels)
        from streamproc.evaluation.nets import segment
        from streamproc.evaluation.segmentation import find_masks
        from streamproc.models import ModelStore

        return segment(ModelStore(), model, find_masks(truth), pictures or (truth if truth.is_dir() else truth.parent))

    _show(score, as_json)


@app.command()
def faces(
    truth: Annotated[Path, typer.Argument(help="CSV with path,label (a person's name), or a folder per person")],
    found: Annotated[Path, typer.Argument(help="CSV with path,label (a cluster)")],
    as_json: Json = False,
) -> None:
    """BCubed precision, recall and F of clusters of faces."""
    from streamproc.evaluation.bcubed import evaluate_clusters
    from streamproc.evaluation.classification import read_labels

    _show(lambda: evaluate_clusters(read_labels(truth), read_labels(found)), as_json)


@app.command()
def caption(
    truth: Annotated[Path, typer.Argument(help="references in COCO's caption JSON")],
    found: Annotated[Path, typer.Argument(help="a list of image_id and caption, as COCO's results")],
    subset: Annotated[bool, typer.Option("--subset", help="leave out pictures without a caption")] = False,
    as_json: Json = False,
) -> None:
    """BLEU-1 to BLEU-4 and CIDEr-D of captions."""
    from streamproc.evaluation.captions import evaluate, read_found, read_references

    _show(lambda: evaluate(read_references(truth), read_found(found), subset=subset), as_json)


@app.command()
def flow(
    truth: Annotated[Path, typer.Argument(help="known flow, a .flo file")],
    found: Annotated[Path | None, typer.Argument(help="the flow found, a .flo file")] = None,
    method: Annotated[FlowMethod | None, typer.Option("--method", help="compute it from --pictures instead")] = None,
    pictures: Annotated[tuple[Path, Path] | None, typer.Option("--pictures", help="the two pictures")] = None,
    as_json: Json = False,
) -> None:
    """End-point error of optical flow, where the truth is known."""
    _one_of(found, method, "--method with --pictures")
    from streamproc.evaluation.flow import compute, evaluate, read_flo
    from streamproc.media.stills import require_picture

    def score() -> _Report:
        known = read_flo(truth)
        if found is not None:
            return evaluate(known, read_flo(found))
        if pictures is None or method is None:
            raise ValueError("--method needs the two pictures: --pictures FIRST SECOND")
        return evaluate(known, compute(method.value, *(require_picture(path) for path in pictures)))

    _show(score, as_json)


__all__ = ["app"]
