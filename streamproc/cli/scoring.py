"""`streamproc eval ...`."""

from __future__ import annotations

from pathlib import Path

from streamproc.cli.console import out
from streamproc.errors import StreamprocError


def score_tracks(truth: Path, tracks: Path, *, as_json: bool) -> None:
    """Print a table (or JSON) of MOT metrics."""
    from streamproc.evaluation.mot import evaluate, find_pairs, read_mot

    try:
        pairs = find_pairs(truth, tracks)
        report = evaluate({name: (read_mot(gt), read_mot(found)) for name, (gt, found) in pairs.items()})
    except (OSError, ValueError, ImportError) as error:
        raise StreamprocError(str(error)) from error
    out(report.to_json() if as_json else report.table())


__all__ = ["score_tracks"]
