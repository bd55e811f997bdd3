"""`streamproc eval ...`."""

from __future__ import annotations

from pathlib import Path

from streamproc.cli.console import out
from streamproc.errors import StreamprocError


def score_tracks(truth: Path, tracks: Path, *, as_json: bool) -> None:
    """Print a table (or JSON) of MOT metrics."""
    from streamproc.evaluation.mot import evaluate, read_mot

    try:
        pairs = {name: (read_mot(gt), read_mot(found)) for name, (gt, found) in _pairs(truth, tracks).items()}
    except (OSError, ValueError) as error:
        raise StreamprocError(str(error)) from error
    report = evaluate(pairs)
    out(report.to_json() if as_json else report.table())


def _pairs(truth: Path, tracks: Path) -> dict[str, tuple[Path, Path]]:
    if truth.is_file():
        return {truth.parent.name or truth.stem: (truth, tracks)}
    found = {}
    for folder in sorted(path for path in truth.iterdir() if path.is_dir()):
        candidates = (folder / "gt.txt", folder / "gt" / "gt.txt")
        gt = next((path for path in candidates if path.is_file()), None)
        result = next(
            (p for p in (tracks / f"{folder.name}.txt", tracks / folder.name / "test.txt") if p.is_file()), None
        )
        if gt is not None and result is not None:
            found[folder.name] = (gt, result)
    if not found:
        raise StreamprocError(f"no sequence of {truth} has both gt.txt and a NAME.txt in {tracks}")
    return found


__all__ = ["score_tracks"]
