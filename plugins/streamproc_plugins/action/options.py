"""Options of the plugins of this family."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from streamproc import Duration, Field, Options, seconds
from streamproc_plugins.action.flow import FlowScale

Part = Annotated[float, Field(ge=0, le=1)]


def _check_region(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    if left >= right or top >= bottom:
        raise ValueError(f"the region {list(box)} is empty; give [left, top, right, bottom] in fractions 0-1")
    return box


Region = Annotated[tuple[Part, Part, Part, Part], AfterValidator(_check_region)]


class NetOptions(Options):
    """The net, and how to read its answers: options of all plugins with a net."""

    model: str = Field(description="name in the model list, or path of a model folder")
    activation: Literal["auto", "softmax", "sigmoid", "none"] = Field(
        "auto",
        description="activation from the net's outputs to scores; auto: as the model's manifest says, else softmax",
    )
    threads: int = Field(1, ge=1, le=64, description="threads that one call of the net may use")


class ActionOptions(NetOptions):
    """Options of `action`."""

    rate: float = Field(8, gt=0, le=120, description="pictures per second of media time in a clip")
    stride: Duration = Field(seconds(1), gt=0, description="media time between the ends of two clips")
    region: Region | None = Field(
        None, description="part of the picture that is looked at, [left, top, right, bottom] in fractions 0-1"
    )
    flow_scale: FlowScale = Field(
        "pixels",
        description="how a net that takes optical flow wants it: in pixels, or unit: cut at 20 pixels and scaled to "
        "-1..1 in 256 steps, as I3D",
    )
    top_k: int = Field(5, ge=1, le=1000, description="most labels per clip")
    across_cuts: bool = Field(
        False, description="look at clips that lie in two shots, too; only where `shots` stands before"
    )
    min_score: float = Field(
        0.5, ge=0, le=1, description="the best label gives an event `action.seen` from this score on"
    )
    ignore: tuple[str, ...] = Field((), description="labels that are no event, such as 'No gesture'")


__all__ = ["ActionOptions", "NetOptions", "Region"]
