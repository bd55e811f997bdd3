"""Options of the tracking plugins."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import model_validator

from streamproc import Duration, Field, Options, seconds
from streamproc_plugins.tracking.scale import Scale
from streamproc_plugins.tracking.settings import TrackerSettings

Score = Annotated[float, Field(ge=0, le=1)]


class TrackingOptions(Options):
    """Options of `tracking`; the defaults suit people and vehicles at 2 to 60 frames per second, and any detector."""

    labels: tuple[str, ...] = Field((), description="labels to follow; empty: all")
    min_score: Score | None = Field(
        None, description="detections below are ignored; by default a fifth of the score at which the detector is used"
    )
    high_score: Score | None = Field(
        None,
        description="detections from here on are sure: matched first, and able to find a lost track; "
        "by default the score at which the detector is used, 0.5 where it states none",
    )
    new_score: Score | None = Field(
        None, description="detections from here on may begin a track; by default the same as `high_score`"
    )
    confirm_hits: int = Field(2, ge=1, le=1000, description="detections after which a track is confirmed and shown")
    confirm_for: Duration = Field(0, ge=0, description="age that a track must have reached to be confirmed")
    lost_for: Duration = Field(
        seconds(2.5),
        gt=0,
        le=seconds(60),
        description="a track ends after this long undetected; its id isn't used again",
    )
    coast: Duration = Field(
        seconds(0.2), ge=0, le=seconds(10), description="an undetected track is shown, as lost, at its predicted place"
    )
    coast_hidden: Duration = Field(
        seconds(0.7), ge=0, le=seconds(10), description="the same while something nearer hides it"
    )
    least_likeness: float = Field(
        0.3, gt=0, le=1, description="least overlap times agreement of heights for a track detected just now"
    )
    lost_likeness: float = Field(0.4, gt=0, le=1, description="the same for a track lost for a moment")
    rescue_likeness: float = Field(0.5, gt=0, le=1, description="the same for detections below `high_score`")
    duplicate_overlap: float = Field(
        0.8, gt=0, le=1, description="of two detections of a label that overlap more, only the better counts"
    )
    other_label: float = Field(
        0.7, ge=0, le=1, description="likeness is multiplied by this when the labels differ; 0: labels never mix"
    )
    label_hold: Duration = Field(
        seconds(1), ge=0, description="a track takes another label after so long with no other one"
    )
    appearance_weight: float = Field(
        0.5, ge=0, lt=1, description="share of appearance in the likeness, where `appearance` stands before"
    )
    camera_from_boxes: bool = Field(
        True, description="take the common motion of all boxes (at least four) for the camera's motion"
    )
    show_tentative: bool = Field(False, description="give unconfirmed tracks too, with that state")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        names = ("min_score", "high_score", "new_score")
        given = {name: score for name in names if (score := getattr(self, name)) is not None}
        if list(given.values()) != sorted(given.values()):
            scores = ", ".join(f"{name} {score}" for name, score in given.items())
            raise ValueError(f"{scores}: none may be below the one before; lower the first or raise the last")
        return self

    def settings(self, scale: Scale | None = None) -> TrackerSettings:
        """The same for the tracker, in seconds and on the common scale of scores."""
        least, high, new = self._thresholds(scale or Scale())
        return TrackerSettings(
            min_score=least,
            high_score=high,
            new_score=new,
            repeated=self.duplicate_overlap,
            least_likeness=self.least_likeness,
            lost_likeness=self.lost_likeness,
            rescue_likeness=self.rescue_likeness,
            lost_s=self.lost_for / 1e9,
            confirm_hits=self.confirm_hits,
            confirm_s=self.confirm_for / 1e9,
            coast_s=self.coast / 1e9,
            hidden_s=self.coast_hidden / 1e9,
            shift_pairs=4 if self.camera_from_boxes else 0,
            other_label=self.other_label,
            label_hold_s=self.label_hold / 1e9,
            appearance_weight=self.appearance_weight,
        )

    def _thresholds(self, scale: Scale) -> tuple[float, float, float]:
        """Lowest, sure and first score on the common scale, rising; given values move the others."""
        usual = TrackerSettings()
        least = usual.min_score if self.min_score is None else scale.threshold(self.min_score)
        high = usual.high_score if self.high_score is None else scale.threshold(self.high_score)
        new = usual.new_score if self.new_score is None else scale.threshold(self.new_score)
        if self.high_score is None:
            high = max(least, min(high, new))
        return min(least, high), high, max(high, new)


class CameraMotionOptions(Options):
    """Options of `camera_motion`."""

    tolerance: float = Field(
        1.5, gt=0, le=50, description="pixels of the flow's grid that a point may be off the common motion"
    )
    least_support: float = Field(
        0.4, gt=0, le=1, description="share of points that must move alike; else the camera counts as still"
    )


class AppearanceOptions(Options):
    """Options of `appearance`."""

    model: str = Field("reid-0267", description="re-identification net: name in the model list, or a path")
    min_score: Score | None = Field(
        None,
        description="detections below are not looked at; by default the score at which the detector is used, "
        "0.5 where it states none",
    )
    min_height: int = Field(32, ge=1, le=4096, description="pixels; lower boxes are not looked at")
    labels: tuple[str, ...] = Field(("person",), description="labels to look at; empty: all")
    max_items: int = Field(50, ge=1, le=1000, description="most boxes looked at in a frame, best first")
