"""Pictures in a folder as a video."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from streamproc.errors import SourceError
from streamproc.frames import SECOND_NS, ArrayPicture, Image
from streamproc.media.header import MAX_PIXELS, TOO_LARGE
from streamproc.media.stills import PICTURE_SUFFIXES, natural, oversize, read_picture
from streamproc.options import Field, Options
from streamproc.paths import expand
from streamproc.source import DecodedFrame, InputInfo, PictureSource, SourceContext

_WILD = re.compile(r"[*?[]")


class ImagesOptions(Options):
    """Options of the `images` source."""

    path: str = Field(min_length=1, description="a folder, or a pattern such as photos/*.jpg (** goes into folders)")
    rate: float = Field(25, gt=0, le=1000, description="pictures per second of media time")
    fit: bool = Field(
        False,
        description="bring pictures of another size to that of the first, with black borders; otherwise they are an "
        "error",
    )
    max_pixels: int = Field(
        MAX_PIXELS,
        ge=1,
        le=1 << 30,
        description="pixels of one picture at most; a larger one isn't decoded, but counted",
    )


class ImagesSource(PictureSource[ImagesOptions]):
    """Reads the pictures of a folder in natural order (img2 before img10), any format that OpenCV reads.

    A file that can't be read as a picture counts as `unreadable`, one of more than `max_pixels` as `too_large`; both
    keep their place in time. EXIF rotation is applied; transparency is ignored, 16-bit pictures are brought to 8.
    """

    _files: tuple[Path, ...] = ()

    def open(self, context: SourceContext) -> InputInfo:
        self._context = context
        self._rate = Fraction(str(self.options.rate))
        self._files = find_pictures(self.options.path)
        return InputInfo(
            identity=_identity(self._files),
            live=False,
            rate=self._rate,
            duration_ns=round(len(self._files) * SECOND_NS / self._rate),
            frames=len(self._files),
        )

    def frames(self) -> Iterator[DecodedFrame | None]:
        size: tuple[int, int] | None = None
        for number, path in enumerate(self._files):
            if self._context.stopping():
                return
            if found := oversize(path, self.options.max_pixels):
                self._context.log.warning("stream=%s %s isn't read: %s", self._context.stream, path.name, found)
                self._context.count(TOO_LARGE)
                continue
            rgb = read_picture(path, self.options.max_pixels)
            if rgb is None:
                self._context.log.warning("stream=%s %s can't be read as a picture", self._context.stream, path.name)
                self._context.count("unreadable")
                continue
            own = (rgb.shape[1], rgb.shape[0])
            size = size or own
            if own != size:
                rgb = self._fitted(rgb, size, path)
            pts_ns = round(number * SECOND_NS / self._rate)
            yield DecodedFrame(picture=ArrayPicture(rgb), pts_ns=pts_ns, keyframe=True)

    def close(self) -> None:
        self._files = ()

    def _fitted(self, rgb: Image, size: tuple[int, int], path: Path) -> Image:
        if not self.options.fit:
            raise SourceError(
                f"{path} is {rgb.shape[1]}x{rgb.shape[0]}, expected {size[0]}x{size[1]} as the pictures before it; "
                "take it away, or set `fit: true` to bring all to one size"
            )
        return letterbox(rgb, size)


def find_pictures(path: str) -> tuple[Path, ...]:
    """The files of a folder or a pattern in natural order; `SourceError` where there are none."""
    place = expand(path)
    if place.is_dir():
        found = [file for file in place.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES and file.is_file()]
        wanted = "a folder with pictures in it (JPEG, PNG, TIFF, WebP, ...)"
    elif _WILD.search(path):
        fixed = [part for part in place.parts if not _WILD.search(part)]
        root = Path(*place.parts[: next(i for i, part in enumerate(place.parts) if _WILD.search(part))])
        found = [file for file in root.glob(str(place.relative_to(root))) if file.is_file()]
        wanted = f"a pattern that some file below {Path(*fixed) if fixed else root} matches"
    else:
        what = "is a single file" if place.exists() else "doesn't exist"
        raise SourceError(f"{path} {what}, expected a folder or a pattern such as photos/*.jpg; check the path")
    if not found:
        what = "holds no pictures" if place.is_dir() else "doesn't exist, and as a pattern it matches no file"
        raise SourceError(f"{path} {what}; expected {wanted}; check the path")
    return tuple(sorted(found, key=natural))


def letterbox(rgb: Image, size: tuple[int, int]) -> Image:
    """`rgb` as large as it fits into `size` (width, height), centred, black around it."""
    from streamproc.frames import resize

    scale = min(size[0] / rgb.shape[1], size[1] / rgb.shape[0])
    width = max(1, min(size[0], round(rgb.shape[1] * scale)))
    height = max(1, min(size[1], round(rgb.shape[0] * scale)))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    board = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    board[top : top + height, left : left + width] = resize(rgb, width, height)
    return board


def _identity(files: tuple[Path, ...]) -> str:
    """Over names, sizes and the first and last picture's content, so that a moved folder keeps its ids."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(b"%s\0%d\0" % (os.fsencode(file.name), file.stat().st_size))
    for file in (files[0], files[-1]):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return f"sha256:{digest.hexdigest()[:32]}"
