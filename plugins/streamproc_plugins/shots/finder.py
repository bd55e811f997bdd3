"""Boundaries between shots, picture by picture. Knows small pictures and media time only.

A cut is a change between neighbours that is large in itself and against its surroundings (as in PySceneDetect's
adaptive detector), and leads to another view: a moment later the picture is compared with that before it, so that
a flash, a hand before the lens or switched light isn't one.
"""

from __future__ import annotations

import base64
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.shots.measures import (
    HEIGHT,
    SMALL,
    WIDTH,
    Gray,
    PictureForms,
    Rgb,
    change,
    dissolve,
    likeness,
    picture_forms,
    shrunk,
)

Kind = Literal["start", "cut", "fade", "dissolve"]

_AROUND_NS = 1_000_000_000
"""how far back a change is compared with others"""
_LEAST_AROUND = 3
_BEAT_NS = 95_000_000
"""time between pictures stored for dissolves"""
_EASIER = 0.6
"""part of the ratio that is enough where another view is certain"""
_FADE_NS = 1_000_000_000
"""how far from a change pictures may belong to a fade"""
_DIP = 0.4
"""of the light before and after: less between them is all but black"""
_STEP = 0.2
"""of the light: a picture that is further from both ends shows a fade"""
_LEAVE = 3
"""grey levels by which a picture must be brighter than black to be none any more"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotSettings:
    """Times in nanoseconds of media time, levels of 255."""

    min_change: float = 5.5
    ratio: float = 3.0
    same_view: float = 0.8
    confirm_ns: int = 250_000_000
    min_length_ns: int = 600_000_000
    black: float = 12.0
    blank_ns: int = 900_000_000
    dissolve_ns: int = 2_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A shot that has begun."""

    kind: Kind
    at_ns: int
    """media time of its first visible picture"""
    index: int
    """that frame's index"""
    blank: bool
    """that picture is black or white"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pending:
    """A change that may have been a boundary."""

    at_ns: int
    index: int
    peak: float
    before: Gray
    jump: float
    """likeness of the two neighbours at the peak"""
    through: bool = False
    """a blank picture lay between"""


class Finder:
    """Give it every picture of a stream in order."""

    def __init__(self, settings: ShotSettings) -> None:
        self._set = settings
        self._shot: Begun | None = None
        self._last: PictureForms | None = None
        self._blank = False
        self._changes: deque[tuple[int, float]] = deque()
        self._levels: deque[tuple[int, int, float]] = deque()
        self._pending: _Pending | None = None
        self._recent: deque[tuple[int, int, Gray]] = deque()

    @property
    def shot(self) -> Begun | None:
        """The one that goes on."""
        return self._shot

    def find(self, now_ns: int, index: int, rgb: Rgb) -> Begun | None:
        """The shot that is now known to have begun, at this picture or a little before; None: none."""
        current = picture_forms(rgb)
        last, self._last = self._last, current
        was_blank, self._blank = self._blank, self._is_blank(current.level)
        if last is None:
            return self._begin(Begun(kind="start", at_ns=now_ns, index=index, blank=self._blank))
        self._levels.append((now_ns, index, current.level))
        while now_ns - self._levels[0][0] > _FADE_NS + self._set.confirm_ns:
            self._levels.popleft()
        self._note(now_ns, index, last, was_blank)
        retained = self._retain(now_ns, index, current)
        begun = self._decided(now_ns, current) if self._pending else self._dissolved() if retained else None
        return self._begin(begun) if begun is not None else None

    def _is_blank(self, level: float) -> bool:
        limit = self._set.black + (_LEAVE if self._blank else 0)
        return level < limit or level > 255 - limit

    def _note(self, now_ns: int, index: int, last: PictureForms, was_blank: bool) -> None:
        """Open a question where the picture changes, or move it to where it changes most."""
        assert self._shot is not None
        assert self._last is not None
        amount, pending = change(last, self._last), self._pending
        self._remember(now_ns, amount)
        if pending is None:
            opens = self._stands_out(amount, now_ns, 0.0) or self._blank != self._shot.blank
            moves = shown = False
        else:
            opens, shown = False, was_blank and not self._blank
            moves = amount > pending.peak and not pending.through and self._blank == was_blank == self._shot.blank
        if not (opens or shown or moves):
            return
        self._pending = _Pending(
            at_ns=now_ns,
            index=index,
            peak=amount,
            before=last.gray if pending is None else pending.before,
            jump=likeness(last.gray, self._last.gray),
            through=shown or (pending is not None and pending.through),
        )

    def _remember(self, now_ns: int, amount: float) -> None:
        self._changes.append((now_ns, amount))
        oldest = now_ns - _AROUND_NS - self._set.confirm_ns
        while len(self._changes) > _LEAST_AROUND + 1 and self._changes[0][0] < oldest:
            self._changes.popleft()

    def _stands_out(self, amount: float, at_ns: int, alike: float) -> bool:
        """Whether a change is a cut's: large, and larger than others; by less where the views have little in common."""
        ratio = self._set.ratio * (_EASIER if alike < self._set.same_view / 2 else 1.0)
        return amount >= max(self._set.min_change, ratio * self._around(at_ns))

    def _around(self, at_ns: int) -> float:
        """Mean change of the pictures around `at_ns`, its own left out."""
        others = [amount for time_ns, amount in self._changes if time_ns != at_ns]
        return sum(others) / len(others) if others else 0.0

    def _decided(self, now_ns: int, current: PictureForms) -> Begun | None:
        """Answer the open question once enough pictures followed it."""
        assert self._pending is not None
        assert self._shot is not None
        pending, went_blank = self._pending, self._blank and not self._shot.blank
        if now_ns - pending.at_ns < (self._set.blank_ns if went_blank else self._set.confirm_ns):
            return None
        self._pending = None
        if pending.at_ns - self._shot.at_ns < self._set.min_length_ns:
            return None
        dip = self._dip(pending, current)
        through = pending.through or dip is not None
        alike = max(likeness(pending.before, current.gray), -1.0 if through else pending.jump)
        sharp = self._stands_out(pending.peak, pending.at_ns, alike)
        other_view = alike < self._set.same_view and not self._blank
        changed = self._blank != self._shot.blank
        if not (changed or (other_view and (sharp or through))):
            return None
        kind: Kind = "cut" if sharp and not ((through or changed) and self._gradual(pending, current)) else "fade"
        at_ns, index = (pending.at_ns, pending.index) if dip is None or pending.through or changed else dip
        return Begun(kind=kind, at_ns=at_ns, index=index, blank=self._blank)

    def _dip(self, pending: _Pending, current: PictureForms) -> tuple[int, int] | None:
        """Time and index of the first picture behind the darkest, if all but black lay between two views.

        At a low rate no picture of a short fade may be black.
        """
        lately = [level for level in self._levels if level[0] >= pending.at_ns - _FADE_NS]
        darkest = min(range(len(lately)), key=lambda n: lately[n][2])
        before, after = float(pending.before.mean()), current.level
        if darkest + 1 == len(lately) or lately[darkest][2] >= _DIP * min(before, after):
            return None
        return lately[darkest + 1][:2]

    def _gradual(self, pending: _Pending, current: PictureForms) -> bool:
        """Whether the light changed by steps."""
        levels = [level for at_ns, _, level in self._levels if at_ns >= pending.at_ns - _FADE_NS]
        ends = (float(pending.before.mean()), current.level)
        darkest, lightest = min(*levels, *ends), max(*levels, *ends)
        blank = darkest if darkest < max(self._set.black + _LEAVE, _DIP * min(ends)) else lightest
        return any(
            _STEP < (level - blank) / (end - blank) < 1 - _STEP
            for level in levels for end in ends if abs(end - blank) > _LEAVE
        )  # fmt: skip

    def _retain(self, now_ns: int, index: int, current: PictureForms) -> bool:
        """Whether this picture was put to those in which dissolves are looked for."""
        if self._blank or (self._recent and now_ns - self._recent[-1][0] < _BEAT_NS):
            return False
        self._recent.append((now_ns, index, shrunk(current.gray)))
        while now_ns - self._recent[0][0] > self._set.dissolve_ns:
            self._recent.popleft()
        return True

    def _dissolved(self) -> Begun | None:
        """A dissolve that is over now."""
        assert self._shot is not None
        pictures = [picture for _, _, picture in self._recent]
        if likeness(pictures[0], pictures[-1]) >= self._set.same_view:
            return None
        first = dissolve(np.stack(pictures))
        if first is None or self._recent[first][0] - self._shot.at_ns < self._set.min_length_ns:
            return None
        return Begun(kind="dissolve", at_ns=self._recent[first][0], index=self._recent[first][1], blank=False)

    def _begin(self, begun: Begun) -> Begun:
        self._shot = begun
        self._recent.clear()
        return begun

    def state(self) -> dict[str, Any]:
        """Plain JSON values for `restore`; about 15 kB."""
        pending = self._pending
        return {
            "shot": asdict(self._shot) if self._shot else None,
            "last": packed(self._last.rgb) if self._last else None,
            "blank": self._blank,
            "changes": list(self._changes),
            "levels": list(self._levels),
            "pending": None
            if pending is None
            else [pending.at_ns, pending.index, pending.peak, packed(pending.before), pending.jump, pending.through],
            "retained": [[at_ns, index, packed(picture)] for at_ns, index, picture in self._recent],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._shot = _begun(state["shot"]) if state["shot"] else None
        self._last = picture_forms(unpacked(state["last"], (HEIGHT, WIDTH, 3))) if state["last"] else None
        self._blank = bool(state["blank"])
        self._changes = deque((int(at_ns), float(amount)) for at_ns, amount in state["changes"])
        self._levels = deque((int(at_ns), int(index), float(level)) for at_ns, index, level in state["levels"])
        self._pending = None
        if state["pending"]:
            at_ns, index, peak, text, jump, through = state["pending"]
            before = unpacked(text, (HEIGHT, WIDTH))
            self._pending = _Pending(at_ns=at_ns, index=index, peak=peak, before=before, jump=jump, through=through)
        small = SMALL[::-1]
        self._recent = deque((at_ns, index, unpacked(text, small)) for at_ns, index, text in state["retained"])


def _begun(plain: Mapping[str, Any]) -> Begun:
    kind: Any = sys.intern(plain["kind"])
    return Begun(kind=kind, at_ns=plain["at_ns"], index=plain["index"], blank=plain["blank"])


def packed(picture: NDArray[np.uint8]) -> str:
    """Pixels as text."""
    return base64.b64encode(np.ascontiguousarray(picture).tobytes()).decode("ascii")


def unpacked(text: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The pixels that `packed` wrote; `ValueError` if they don't have this shape."""
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape).copy()


__all__ = ["Begun", "Finder", "Kind", "ShotSettings", "packed", "unpacked"]
