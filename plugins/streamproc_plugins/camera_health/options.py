"""Options of `camera_health`."""

from __future__ import annotations

from streamproc import Duration, Field, Options, seconds
from streamproc_plugins.camera_health.watch import HealthSettings


class CameraHealthOptions(Options):
    """Limits of a fault, and how long it must last; the defaults suit fixed cameras."""

    every: Duration = Field(seconds(1), gt=0, le=seconds(60), description="time between pictures that are looked at")
    after: Duration = Field(
        seconds(5), ge=0, le=seconds(3600), description="a fault starts when it has lasted so long, and ends likewise"
    )
    frozen_after: Duration = Field(
        seconds(10), gt=0, le=seconds(3600), description="the same for `camera.frozen`: two pictures may well be alike"
    )
    accept_after: Duration = Field(
        seconds(60), gt=0, le=seconds(86400), description="after so long a moved view is the camera's view"
    )
    learn_over: Duration = Field(
        seconds(60), gt=0, le=seconds(86400), description="view and sharpness follow slow changes over so long"
    )
    black: float = Field(12, ge=0, le=255, description="mean level below which the picture is black")
    contrast: float = Field(2, ge=0.1, le=64, description="a block that varies by less, in levels of 255, is flat")
    covered: float = Field(0.9, gt=0, lt=1, description="the lens is covered when more of the picture is flat")
    sharpness: float = Field(
        0.6, gt=0, lt=1, description="out of focus below this part of the sharpness that the camera used to have"
    )
    agreement: float = Field(0.6, gt=0, lt=1, description="moved when the view correlates with the learned one by less")

    def settings(self) -> HealthSettings:
        """The same for the watch."""
        return HealthSettings(
            after_ns=self.after,
            frozen_ns=self.frozen_after,
            accept_ns=self.accept_after,
            learn_ns=self.learn_over,
            black=self.black,
            contrast=self.contrast,
            covered=self.covered,
            sharpness=self.sharpness,
            agreement=self.agreement,
        )
