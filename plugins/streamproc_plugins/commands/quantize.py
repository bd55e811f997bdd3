"""`streamproc models quantize`. Light to import."""

from __future__ import annotations

import os
from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamproc_plugins.training.quantize import QuantizationReport


_ALIKE = 0.98
"""cosine of the answers before and after, below which the table says so"""


class QuantizeTarget(StrEnum):
    """Number type of the result."""

    float16 = "float16"
    dynamic = "dynamic"
    int8 = "int8"


def quantize(
    model: Annotated[str, typer.Argument(help="name or folder of a Keras, SavedModel or ONNX model")],
    to: Annotated[QuantizeTarget, typer.Option("--to", help="float16, dynamic (8-bit weights), or int8 (values too)")],
    out: Annotated[Path, typer.Option("--out", help="folder that the new model goes to")],
    data: Annotated[Path | None, typer.Option("--data", help="pictures or clips like those of a run")] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="at most so many of them")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Make a smaller, faster variant of a net, and compare size, speed and answers."""
    # before TensorFlow is loaded, whose start logs warnings that no user can act on
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from streamproc.evaluation.tables import to_json
    from streamproc.models import ModelStore
    from streamproc_plugins.training.quantize import quantize as run

    report = run(model, to.value, out, store=ModelStore(), data=data, samples=samples)
    typer.echo(to_json(report.to_json()) if as_json else _table(report, out))


def _table(report: QuantizationReport, out: Path) -> str:
    from streamproc.evaluation.tables import columns

    sides = [report.before, report.after]
    rows = [(side.name, f"{side.bytes / 1e6:.2f}", f"{side.ms:.2f}") for side in sides]
    rows.append(("after / before", f"{report.size_ratio:.2f}", f"{report.time_ratio:.2f}"))
    figures = [
        ("same best answer", "-" if isnan(report.same_best) else f"{report.same_best:.1%}"),
        ("cosine similarity", f"{report.cosine:.4f}"),
        ("mean difference", f"{report.mean_difference:.4g}"),
        ("largest difference", f"{report.most_difference:.4g}"),
        ("spread of the outputs", f"{report.spread:.4g}"),
    ]
    doubt = "\nthe answers differ much from those before: score both on labelled data before you use the new one"
    summary = f"measured on {report.inputs} inputs ({report.measured_on}){doubt if report.cosine < _ALIKE else ''}"
    return "\n".join([
        columns(("model", "MB", "ms"), rows), "",
        columns(("answers", "value"), figures), "",
        summary, f"model folder: {out}",
    ])  # fmt: skip


__all__ = ["quantize"]
