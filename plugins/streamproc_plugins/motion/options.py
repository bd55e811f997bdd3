"""Options of `motion`."""

from __future__ import annotations

from streamproc import Duration, Field, Options, seconds
from streamproc_plugins.drawn import Polygon
from streamproc_plugins.motion.background import BackgroundSettings


class MotionOptions(Options):
    """Limits for motion, and masks; the defaults suit fixed cameras of all kinds."""

    masks: tuple[Polygon, ...] = Field(
        (), description="polygons [[x, y], ...] in fractions 0-1 where it doesn't look: a burned-in clock, a tree"
    )
    contrast: float = Field(14, ge=2, le=128, description="least difference in grey levels; lower is more sensitive")
    min_area: float = Field(
        0.002, gt=0, le=1, description="a region that covers less of the picture (as a part of it) is ignored"
    )
    shadows: bool = Field(True, description="don't count soft shadows")
    still_after: Duration = Field(
        seconds(1), gt=0, le=seconds(3600), description="an object that stopped belongs to the background after so long"
    )
    learn_over: Duration = Field(
        seconds(8), gt=0, le=seconds(3600), description="the background follows slow changes of light over so long"
    )
    global_share: float = Field(
        0.4, gt=0, le=1, description="when more of the picture changes at once it was the light or the camera"
    )
    settle: Duration = Field(
        seconds(1.5), ge=0, le=seconds(60), description="no motion is reported for so long after such a change"
    )
    start_after: Duration = Field(seconds(0.2), ge=0, description="`motion` starts when something moved for so long")
    linger: Duration = Field(seconds(1), ge=0, description="and ends when nothing moved for so long, stamped before it")
    update_every: Duration = Field(seconds(10), ge=0, description="time between two updates; 0s: none")
    label: str = Field("motion", min_length=1, description="label of the boxes, for tracking and rules")
    width: int = Field(240, ge=64, le=1920, description="pixels; the picture is looked at in this width")

    def settings(self) -> BackgroundSettings:
        """The same for the background, in seconds."""
        return BackgroundSettings(
            contrast=self.contrast,
            min_area=self.min_area,
            learn_s=self.learn_over / 1e9,
            still_s=self.still_after / 1e9,
            global_share=self.global_share,
            settle_s=self.settle / 1e9,
            shadows=self.shadows,
        )
