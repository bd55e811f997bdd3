"""Options of `pose`."""

from __future__ import annotations

from typing import Literal

from streamproc import Field, Options
from streamproc_plugins.pose.bottom_up import DecodeSettings

MODELS = {"top-down": "movenet-lightning", "bottom-up": "bodypix"}
"""the model of each mode, where the user names none"""


class PoseOptions(Options):
    """Limits to find people, and the people to give."""

    mode: Literal["top-down", "bottom-up"] = Field(
        "top-down",
        description="top-down: one look of the net at each box that an earlier plugin gave; bottom-up: all people in "
        "one look at the whole picture, whatever their number",
    )
    model: str | None = Field(
        None,
        description="name in the model list, or path of a model folder; by default movenet-lightning for top-down, "
        "bodypix for bottom-up",
    )
    labels: tuple[str, ...] = Field(("person",), description="top-down: labels of boxes to look at; empty: all")
    min_box_score: float | None = Field(
        None,
        ge=0,
        le=1,
        description="top-down: boxes below are not looked at; by default 0.3, or the score at which the detector is "
        "used where that is lower",
    )
    min_height: float = Field(32, ge=0, description="top-down: boxes less high are not looked at, source pixels")
    margin: float = Field(1.1, ge=1, le=3, description="top-down: side of the crop in longer sides of the box")
    min_score: float = Field(0.2, ge=0, le=1, description="people whose mean keypoint score is lower are dropped")
    max_items: int = Field(32, ge=1, le=200, description="most people per frame, best first")
    nms_radius: float = Field(
        20, gt=0, description="bottom-up: of two equal keypoints nearer than this the better stays, pixels of the input"
    )
    min_root: float = Field(
        0.4, gt=0, le=1, description="bottom-up: keypoint score from which a person is followed to the other keypoints"
    )
    threads: int = Field(1, ge=1, le=64, description="threads that one call of the net may use")

    @property
    def model_name(self) -> str:
        """The model meant."""
        return self.model or MODELS[self.mode]

    def settings(self) -> DecodeSettings:
        """The same for the decoder."""
        return DecodeSettings(
            min_root=self.min_root, min_score=self.min_score, nms_radius=self.nms_radius, max_people=self.max_items
        )
