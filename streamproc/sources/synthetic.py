"""A CCTV scene of our own, for trying things out where no camera or recording is at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction

from streamproc.frames import ArrayPicture
from streamproc.options import Duration, Field, Options, seconds
from streamproc.scene.scene import Scene, SceneSpec, Span, VisibleFigure, Visit
from streamproc.source import DecodedFrame, InputInfo, PictureSource, SourceContext


class Stretch(Options):
    """A stretch of media time."""

    at: Duration = Field(ge=0, description="when it begins")
    length: Duration = Field(gt=0, description="how long it is")


class SyntheticOptions(Options):
    """Options of the `synthetic` source."""

    width: int = Field(640, ge=32, le=7680, description="of the pictures, in pixels")
    height: int = Field(360, ge=32, le=4320, description="of the pictures, in pixels")
    rate: float = Field(15, gt=0, le=1000, description="pictures per second of media time")
    duration: Duration = Field(seconds(30), gt=0, description="length of the recording")
    seed: int = Field(1, ge=0, description="another seed, another scene")
    figures: int = Field(8, ge=0, le=100_000, description="how many come through in all; every fourth is a car")
    noise: float = Field(3, ge=0, le=40, description="standard deviation of the sensor's noise in grey levels")
    vfr: bool = Field(False, description="variable frame rate: steps between pictures differ")
    cuts: tuple[Duration, ...] = Field((), description="when the view changes to another camera")
    lights: tuple[Duration, ...] = Field((), description="when the light is switched: to night, back to day, ...")
    gaps: tuple[Stretch, ...] = Field((), description="stretches without pictures, such as {at: 5s, length: 2s}")
    freezes: tuple[Stretch, ...] = Field((), description="stretches in which the picture stands still")

    def spec(self) -> SceneSpec:
        """Return the scene to draw."""
        return SceneSpec(
            width=self.width,
            height=self.height,
            rate=Fraction(str(self.rate)),
            duration_ns=self.duration,
            seed=self.seed,
            figures=self.figures,
            noise=self.noise,
            vfr=self.vfr,
            cuts_ns=self.cuts,
            lights_ns=self.lights,
            gaps=tuple(Span(gap.at, gap.length) for gap in self.gaps),
            freezes=tuple(Span(freeze.at, freeze.length) for freeze in self.freezes),
        )


class SyntheticSource(PictureSource[SyntheticOptions]):
    """People walking and cars driving through a yard; the same pictures in every run.

    `Scene(options.spec())` is the scene with its exact truth: boxes, ids, visits.
    """

    _scene: Scene | None = None

    def open(self, context: SourceContext) -> InputInfo:
        self._context = context
        self._scene = Scene(self.options.spec())
        said = self.options.model_dump_json(exclude_defaults=True)
        return InputInfo(
            identity=f"synthetic:{hashlib.sha256(said.encode()).hexdigest()[:32]}",
            live=False,
            rate=Fraction(str(self.options.rate)),
            duration_ns=self.options.duration,
            frames=len(self._scene),
        )

    def frames(self) -> Iterator[DecodedFrame | None]:
        scene = self._scene
        assert scene is not None, "open() comes first"
        for index, pts_ns in enumerate(scene.times_ns.tolist()):
            if self._context.stopping():
                return
            yield DecodedFrame(picture=ArrayPicture(scene.render(index)), pts_ns=pts_ns, keyframe=True)

    def close(self) -> None:
        self._scene = None


__all__ = ["Scene", "SceneSpec", "Span", "Stretch", "SyntheticOptions", "SyntheticSource", "VisibleFigure", "Visit"]
