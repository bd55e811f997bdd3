"""A synthetic CCTV scene whose truth is known exactly: for the offline demo, for tests, for trying things out.

People walk over a pavement and cars drive along a road before a textured, unevenly lit, noisy background. Everything
follows from the spec and its seed: the same pictures, times and truth in every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamproc.frames import SECOND_NS, Image
from streamproc.scene.figures import Look, Stroke, paint, shapes
from streamproc.scene.scenery import KERB, ROAD, Backdrop, backdrop, px_per_m

Label = Literal["person", "car"]

_NOISE_MARGIN = 64
_NOISE_BANKS = 4
_NIGHT = 0.42
"""brightness of figures at night"""
_JACKETS = ((176, 42, 38), (34, 72, 140), (222, 188, 60), (46, 112, 70), (230, 228, 222), (40, 40, 46), (150, 80, 130))
_TROUSERS = ((42, 48, 70), (92, 80, 62), (30, 30, 32), (108, 110, 116))
_SKINS = ((226, 178, 146), (188, 134, 100), (120, 82, 60), (92, 62, 46))
_CARS = ((190, 30, 34), (226, 228, 230), (36, 60, 110), (60, 62, 66), (150, 154, 158))


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of media time: where it begins and how long it is, in nanoseconds."""

    at_ns: int
    length_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSpec:
    """Specification of a scene; all times in nanoseconds of media time."""

    width: int = 640
    height: int = 360
    rate: Fraction = Fraction(15)
    duration_ns: int = 30 * SECOND_NS
    seed: int = 1
    figures: int = 8
    """number of figures in all, spread over the time; every fourth is a car"""
    noise: float = 3.0
    """standard deviation of the sensor's noise in grey levels"""
    vfr: bool = False
    """steps between pictures vary by half of the nominal one"""
    cuts_ns: tuple[int, ...] = ()
    """when the view changes to another camera"""
    lights_ns: tuple[int, ...] = ()
    """when the light is switched: to night, back to day, ..."""
    gaps: tuple[Span, ...] = ()
    """stretches without pictures"""
    freezes: tuple[Span, ...] = ()
    """stretches in which the picture stands still though time goes on"""

    def __post_init__(self) -> None:
        if self.width < 32 or self.height < 32 or self.rate <= 0 or self.duration_ns <= 0 or self.figures < 0:
            raise ValueError(f"{self} can't be drawn: expected at least 32x32 pixels, a rate and a duration above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibleFigure:
    """A figure in one picture."""

    id: int
    """1, 2, ... in the order of appearance in the spec; never reused"""
    label: Label
    box: tuple[int, int, int, int]
    """xyxy in pixels, right and bottom exclusive: the drawn pixels inside the picture, hidden ones included"""
    share: float
    """part of the figure's own box that lies inside the picture, 0-1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One figure's time in the picture, while any part of it is inside."""

    id: int
    label: Label
    first: int
    """frame index"""
    last: int
    start_ns: int
    end_ns: int
    facing: Literal["left", "right"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Walker:
    id: int
    look: Look
    view: int
    start_ns: int
    y: float
    """row of its feet"""
    speed: float
    """metres per second"""
    facing: int
    stop_ns: int
    """time for which it stands still half-way"""

    def leaves_ns(self, half_m: float) -> int:
        """Return the time at which it has gone the whole way of twice `half_m`."""
        return self.start_ns + self.stop_ns + int(2 * half_m / self.speed * SECOND_NS)

    def walked_m(self, time_ns: int, half_m: float) -> float:
        """Metres gone at this time; it stands still once `half_m` is reached."""
        gone = (time_ns - self.start_ns) / SECOND_NS * self.speed
        held = self.stop_ns / SECOND_NS * self.speed
        return gone if gone < half_m else max(half_m, gone - held)


class Scene:
    """Draws the pictures of a `SceneSpec` and knows their content; safe to use from several threads once built."""

    def __init__(self, spec: SceneSpec) -> None:
        self.spec = spec
        self.times_ns: NDArray[np.int64] = _times(spec)
        """int64 (frames,): media time of each picture, strictly increasing from 0"""
        random = np.random.default_rng(spec.seed)
        views = len(spec.cuts_ns) + 1
        self._views: list[Backdrop] = [backdrop(spec.width, spec.height, random) for _ in range(views)]
        size = (spec.height + _NOISE_MARGIN, spec.width + _NOISE_MARGIN, 3)
        self._noise = [random.normal(0, spec.noise, size).round().astype(np.int8) for _ in range(_NOISE_BANKS)]
        self._walkers = [_walker(spec, number, random) for number in range(1, spec.figures + 1)]

    def __len__(self) -> int:
        return len(self.times_ns)

    def render(self, index: int) -> Image:
        """Picture `index`: a new uint8 (height, width, 3) RGB array."""
        index = self._drawn_index(index)
        time_ns = int(self.times_ns[index])
        night = sum(time_ns >= switch for switch in self.spec.lights_ns) % 2 == 1
        view = self._views[self._view(time_ns)]
        picture = (view.night if night else view.day).copy()
        for walker in self._present(time_ns):
            self._draw(picture, walker, time_ns, _NIGHT if night else 1.0)
        return self._with_noise(picture, index)

    def truth(self, index: int) -> tuple[VisibleFigure, ...]:
        """The figures in picture `index`, by id."""
        time_ns = int(self.times_ns[self._drawn_index(index)])
        found = [self._visible(walker, time_ns) for walker in self._present(time_ns)]
        return tuple(sorted((figure for figure in found if figure is not None), key=lambda figure: figure.id))

    @cached_property
    def visits(self) -> tuple[Visit, ...]:
        """Return the visits of all figures, by id; it draws every frame, so the first call takes a while."""
        frames: dict[int, list[int]] = {}
        for index in range(len(self)):
            for figure in self.truth(index):
                frames.setdefault(figure.id, []).append(index)
        return tuple(self._visit(self._walkers[number - 1], found) for number, found in sorted(frames.items()))

    def _visit(self, walker: _Walker, frames: list[int]) -> Visit:
        return Visit(
            id=walker.id,
            label=walker.look.label,
            first=frames[0],
            last=frames[-1],
            start_ns=int(self.times_ns[frames[0]]),
            end_ns=int(self.times_ns[frames[-1]]),
            facing="right" if walker.facing > 0 else "left",
        )

    def _drawn_index(self, index: int) -> int:
        """The frame whose picture is shown: an earlier one while the picture is frozen."""
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of a scene with {len(self)}")
        time_ns = int(self.times_ns[index])
        for freeze in self.spec.freezes:
            if freeze.at_ns <= time_ns < freeze.at_ns + freeze.length_ns:
                return max(0, int(np.searchsorted(self.times_ns, freeze.at_ns, side="right")) - 1)
        return index

    def _view(self, time_ns: int) -> int:
        return sum(time_ns >= cut for cut in self.spec.cuts_ns)

    def _present(self, time_ns: int) -> list[_Walker]:
        """Return the figures under way, the farthest first."""
        view = self._view(time_ns)
        under_way = [
            walker
            for walker in self._walkers
            if walker.view == view and walker.start_ns <= time_ns <= walker.leaves_ns(self._half_m(walker))
        ]
        return sorted(under_way, key=lambda walker: walker.y)

    def _half_m(self, walker: _Walker) -> float:
        """Half of its way in metres: from just outside to the middle."""
        return self.spec.width / px_per_m(walker.y, self.spec.height) / 2 + _reach_m(walker.look.label)

    def _shapes(self, walker: _Walker, time_ns: int) -> tuple[list[Stroke], tuple[float, float], float]:
        """The figure's parts, where it stands, and pixels per metre there."""
        scale = px_per_m(walker.y, self.spec.height)
        half_m = self._half_m(walker)
        walked = walker.walked_m(time_ns, half_m)
        x = self.spec.width / 2 + walker.facing * (walked - half_m) * scale
        foot = (x, walker.y)
        return list(shapes(walker.look, foot, scale, walker.facing, walked)), foot, scale

    def _draw(self, picture: Image, walker: _Walker, time_ns: int, light: float) -> None:
        parts, foot, scale = self._shapes(walker, time_ns)
        reach = _reach_m(walker.look.label) * scale
        if foot[0] + reach < 0 or foot[0] - reach > self.spec.width:
            return
        self._shadow(picture, foot, reach, scale)
        for part in parts:
            colour = (part.colour[0] * light, part.colour[1] * light, part.colour[2] * light)
            paint(picture, part, colour)

    def _shadow(self, picture: Image, foot: tuple[float, float], reach: float, scale: float) -> None:
        """Darken the ground under a figure, softly."""
        depth = 0.14 * scale
        left, right = max(0, int(foot[0] - reach)), min(self.spec.width, int(foot[0] + reach) + 1)
        top, bottom = max(0, int(foot[1] - 2 * depth)), min(self.spec.height, int(foot[1] + 2 * depth) + 1)
        if left >= right or top >= bottom:
            return
        x = (np.arange(left, right, dtype=np.float32) - foot[0]) / (0.75 * reach)
        y = (np.arange(top, bottom, dtype=np.float32) - foot[1]) / depth
        dark = 1 - 0.42 * np.exp(-2 * (x[None, :] ** 2 + y[:, None] ** 2))
        ground = picture[top:bottom, left:right]
        ground[:] = (ground * dark[..., None]).astype(np.uint8)

    def _visible(self, walker: _Walker, time_ns: int) -> VisibleFigure | None:
        """The box of the pixels that `_draw` covers, found by drawing them onto an empty board."""
        parts, foot, scale = self._shapes(walker, time_ns)
        reach = int(_reach_m(walker.look.label) * scale) + 2
        tall, low = int(2.1 * scale * walker.look.build) + 2, int(0.3 * scale) + 2
        left, top = int(foot[0]) - reach, int(foot[1]) - tall
        if left >= self.spec.width or left + 2 * reach <= 0:
            return None
        board = np.zeros((tall + low, 2 * reach), dtype=np.uint8)
        for part in parts:
            paint(board, Stroke(part.points - (left, top), part.colour, part.width_px), 255)
        rows, columns = np.flatnonzero(board.max(axis=1) > 127), np.flatnonzero(board.max(axis=0) > 127)
        whole = (left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1)
        return _clipped(walker, whole, self.spec)

    def _with_noise(self, picture: Image, index: int) -> Image:
        if self.spec.noise <= 0:
            return picture
        import cv2

        random = np.random.default_rng((self.spec.seed, index))
        bank, top, left = (int(value) for value in random.integers(0, (_NOISE_BANKS, _NOISE_MARGIN, _NOISE_MARGIN)))
        noise = self._noise[bank][top : top + self.spec.height, left : left + self.spec.width]
        return np.asarray(cv2.add(picture, noise, dtype=cv2.CV_8U), dtype=np.uint8)


def _clipped(walker: _Walker, whole: tuple[int, int, int, int], spec: SceneSpec) -> VisibleFigure | None:
    x0, y0, x1, y1 = max(0, whole[0]), max(0, whole[1]), min(spec.width, whole[2]), min(spec.height, whole[3])
    if x0 >= x1 or y0 >= y1:
        return None
    area = (whole[2] - whole[0]) * (whole[3] - whole[1])
    return VisibleFigure(
        id=walker.id, label=walker.look.label, box=(x0, y0, x1, y1), share=(x1 - x0) * (y1 - y0) / area
    )


def _reach_m(label: Label) -> float:
    """Half of the greatest width of a figure, in metres."""
    return 0.75 if label == "person" else 2.4


def _times(spec: SceneSpec) -> NDArray[np.int64]:
    """Media time of each picture: on the nominal beat, or varied, none inside a gap."""
    random = np.random.default_rng((spec.seed, 7))
    count = int(spec.duration_ns * spec.rate / SECOND_NS) + 1
    beats = np.array([round(index * SECOND_NS / spec.rate) for index in range(count)], dtype=np.int64)
    if spec.vfr:
        swing = int(SECOND_NS / spec.rate) // 4
        beats[1:] += random.integers(-swing, swing + 1, size=count - 1)
    keep = beats < spec.duration_ns
    for gap in spec.gaps:
        keep &= (beats <= gap.at_ns) | (beats >= gap.at_ns + gap.length_ns)
    keep[0] = True
    return beats[keep]


def _walker(spec: SceneSpec, number: int, random: np.random.Generator) -> _Walker:
    """Figure `number` of the spec; draws the same amount of chance whatever it becomes."""
    car = number % 4 == 0
    start_ns = int(spec.duration_ns * (number - 1 + random.uniform(0, 0.6)) / max(1, spec.figures))
    facing = 1 if random.random() < 0.5 else -1
    depth, pace, build, stand = random.uniform(0, 1, size=4)
    picks = random.integers(0, 1 << 16, size=3)
    band = (ROAD + 0.075, KERB - 0.03) if car else (KERB + 0.06, 0.95)
    y = spec.height * ((band[1] if facing > 0 else band[0]) if car else band[0] + (band[1] - band[0]) * depth)
    body, cloth = (_CARS, ((44, 56, 66),)) if car else (_JACKETS, _TROUSERS)
    look = Look(
        label="car" if car else "person",
        main=body[picks[0] % len(body)],
        second=cloth[picks[1] % len(cloth)],
        skin=_SKINS[picks[2] % len(_SKINS)],
        build=0.93 + 0.14 * build,
    )
    return _Walker(
        id=number,
        look=look,
        view=sum(start_ns >= cut for cut in spec.cuts_ns),
        start_ns=start_ns,
        y=float(y),
        speed=4.5 + 3 * pace if car else 1.2 + 0.5 * pace,
        facing=facing,
        stop_ns=3 * SECOND_NS if not car and stand < 0.25 else 0,
    )
