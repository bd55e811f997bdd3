"""Options of `shots`."""

from __future__ import annotations

from streamproc import Duration, Field, Options, seconds
from streamproc_plugins.shots.finder import ShotSettings


class ShotsOptions(Options):
    """Limits for another shot; the defaults suit films, sport and cameras that are switched."""

    min_change: float = Field(
        5.5, ge=0.5, le=128, description="least change of a cut in levels of 255: mean of hue, saturation, value, edges"
    )
    ratio: float = Field(3, ge=1, le=50, description="a cut changes so many times more than the pictures around it")
    same_view: float = Field(
        0.8, ge=0, le=1, description="pictures whose details correlate by more show the same view, so there is no cut"
    )
    confirm: Duration = Field(
        seconds(0.25), gt=0, le=seconds(10), description="the view must be another one for so long: flashes aren't cuts"
    )
    min_length: Duration = Field(seconds(0.6), ge=0, le=seconds(3600), description="no shot is shorter")
    black: float = Field(12, ge=0, le=100, description="mean level below which a picture is black (255 less it: white)")
    blank: Duration = Field(
        seconds(0.9), gt=0, le=seconds(3600), description="black or white for so long is a shot of its own"
    )
    dissolve: Duration = Field(
        seconds(2), ge=0, le=seconds(3), description="dissolves with still edges up to so long are found; 0s: none"
    )

    def settings(self) -> ShotSettings:
        """The same for the finder."""
        return ShotSettings(
            min_change=self.min_change,
            ratio=self.ratio,
            same_view=self.same_view,
            confirm_ns=self.confirm,
            min_length_ns=self.min_length,
            black=self.black,
            blank_ns=self.blank,
            dissolve_ns=self.dissolve,
        )
