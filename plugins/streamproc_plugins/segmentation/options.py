"""Options of the segmentation plugins."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import model_validator

from streamproc import Duration, Field, Options, seconds
from streamproc_plugins.labels.episodes import EpisodeSettings
from streamproc_plugins.pose.bottom_up import DecodeSettings

Part = Annotated[float, Field(gt=0, le=1)]

MODELS = {"people": "bodypix", "crops": "selfie"}
"""the model of each mode of `instances`, where the user names none"""


class SegmentationOptions(Options):
    """The net, and the labels to give."""

    model: str = Field("deeplab-voc", description="name in the model list, or path of a model folder")
    labels: tuple[str, ...] = Field(
        (), description="labels to give, everything else becomes background; empty: all that the model knows"
    )
    min_area: float = Field(
        0,
        ge=0,
        lt=1,
        description="connected regions of a label smaller than this part of the picture become background",
    )
    threshold: float = Field(
        0.5, gt=0, lt=1, description="probability from which a pixel belongs to the label, for nets of one label"
    )
    threads: int = Field(1, ge=1, le=64, description="threads that one call of the net may use")


class InstancesOptions(Options):
    """Limits to separate people, and the people to give."""

    mode: Literal["people", "crops"] = Field(
        "people",
        description="people: all people in one look at the whole picture; crops: one look at each box that an earlier "
        "plugin gave",
    )
    model: str | None = Field(
        None,
        description="name in the model list, or path of a model folder; by default bodypix for people, selfie for "
        "crops",
    )
    threshold: float = Field(0.5, gt=0, lt=1, description="probability from which a pixel belongs to a person")
    min_score: float = Field(
        0.2, ge=0, le=1, description="people: those whose mean keypoint score is lower are dropped"
    )
    min_root: float = Field(
        0.4, gt=0, le=1, description="people: keypoint score from which a person is followed to the other keypoints"
    )
    nms_radius: float = Field(
        20, gt=0, description="people: equal keypoints nearer than this are one person's, pixels of the input"
    )
    max_distance: float = Field(
        0.25,
        gt=0,
        le=5,
        description="people: pixels whose offsets miss a person's keypoints by more have no owner, in sizes of the "
        "person (the root of its keypoints' box)",
    )
    labels: tuple[str, ...] = Field(("person",), description="crops: labels of boxes to look at; empty: all")
    min_box_score: float | None = Field(
        None,
        ge=0,
        le=1,
        description="crops: boxes below are not looked at; by default 0.3, or the score at which the detector is used "
        "where that is lower",
    )
    min_height: float = Field(32, ge=0, description="crops: boxes less high are not looked at, source pixels")
    margin: float = Field(1.2, ge=1, le=3, description="crops: sides of the crop in sides of the box")
    min_area: float = Field(
        0.0002, ge=0, lt=1, description="people whose mask is a smaller part of the picture are dropped"
    )
    max_items: int = Field(16, ge=1, le=200, description="most people per frame, best first")
    mask_side: int = Field(
        0,
        ge=0,
        le=8192,
        description="longer side of the masks' grid in pixels, which covers the whole picture; 0: the picture's own",
    )
    threads: int = Field(1, ge=1, le=64, description="threads that one call of the net may use")

    @property
    def model_name(self) -> str:
        """The model meant."""
        return self.model or MODELS[self.mode]

    def settings(self) -> DecodeSettings:
        """The same for the decoder of poses."""
        return DecodeSettings(
            min_root=self.min_root, min_score=self.min_score, nms_radius=self.nms_radius, max_people=self.max_items
        )


class SmoothingOptions(Options):
    """Weight of earlier results."""

    time_constant: Duration = Field(
        seconds(0.3), gt=0, le=seconds(2), description="time after which new results have 63 % of the say"
    )
    hysteresis: float = Field(
        0.2, ge=0, lt=1, description="how much more score than the class that a pixel has another needs to take it"
    )
    grid: int = Field(
        256,
        ge=16,
        le=2048,
        description="longer side of the grid that is remembered, in pixels; never above the result's",
    )
    lost_after: Duration = Field(
        seconds(2), gt=0, description="without a new segmentation for longer nothing is given and all is forgotten"
    )


class AreasOptions(Options):
    """Areas to measure, and limits for their events."""

    limits: dict[str, Part] = Field(
        {}, description="part of the picture from which a label gives an event, such as {person: 0.1}; empty: none"
    )
    leave: float = Field(
        0.8, gt=0, le=1, description="it is over when the area falls below this part of its limit (hysteresis)"
    )
    window: Duration = Field(
        seconds(1), ge=0, le=seconds(60), description="time whose mean area counts; 0s: each result for itself"
    )
    min_duration: Duration = Field(seconds(0.5), ge=0, description="a shorter time above the limit gives no event")
    merge_gap: Duration = Field(
        seconds(1), ge=0, description="an area that is below its limit no longer than this goes on in the same event"
    )
    lost_after: Duration = Field(
        seconds(3),
        gt=0,
        description="all events end after so long without a segmentation; more than the time between two",
    )
    update_every: Duration = Field(seconds(10), ge=0, description="time between two updates; 0s: none")
    mask: Literal["none", "rle", "counts"] = Field(
        "none",
        description="how the label's mask goes with starts and updates: not at all, as COCO's compressed text, or as "
        "its plain run lengths",
    )
    foreground: tuple[str, ...] | None = Field(
        None, description="labels whose pixels are given as one mask (`Foreground`); empty: all but the background"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.lost_after <= self.merge_gap:
            raise ValueError(
                "`lost_after` isn't above `merge_gap`, so it would end what `merge_gap` joins; raise `lost_after`"
            )
        return self

    def settings(self, limit: float) -> EpisodeSettings:
        """The same for the state machine of a label with this limit."""
        return EpisodeSettings(
            method="mean",
            window_ns=self.window,
            enter=limit,
            leave=limit * self.leave,
            least_ns=self.min_duration,
            merge_ns=self.merge_gap,
            lost_ns=self.lost_after,
            update_ns=self.update_every,
        )


__all__ = ["MODELS", "AreasOptions", "InstancesOptions", "SegmentationOptions", "SmoothingOptions"]
