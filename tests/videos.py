"""Awkward videos, encoded by the test that needs them. Every picture says its own number.

Picture `n` is a grey ramp with `BITS` bright or dark blocks: the binary digits of `n`, which survive any codec.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from streamproc.engine.decoding import Decoding, Outside
from streamproc.errors import SourceError
from streamproc.frames import SECOND_NS, Image
from streamproc.source import AnySource, DecodedFrame, InputInfo, SourceContext

BITS = 10
WIDTH, HEIGHT = 320, 180


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> Image:
    """uint8 (height, width, 3): a picture from which `number_of` reads `number`."""
    ramp = np.linspace(70, 180, width, dtype=np.float32)[None, :] * np.ones((height, 1), np.float32)
    noise = np.random.default_rng(number % 7).normal(0, 6, (height, width))
    picture = np.clip(ramp + noise, 0, 255).astype(np.uint8)
    block = width // BITS
    for bit in range(BITS):
        picture[: height // 3, bit * block : (bit + 1) * block] = 235 if number >> bit & 1 else 20
    return np.repeat(picture[..., None], 3, axis=2)


def number_of(image: Image) -> int:
    """The number that `numbered` wrote, from uint8 (h, w, 3) or (h, w)."""
    gray = image if image.ndim == 2 else image.mean(axis=2)
    height, width = gray.shape
    block = width // BITS
    blocks = [
        gray[height // 12 : height // 4, bit * block + block // 4 : (bit + 1) * block - block // 4]
        for bit in range(BITS)
    ]
    return sum(1 << bit for bit, part in enumerate(blocks) if part.mean() > 127)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a test video is encoded."""

    codec: str = "libx264"
    pixels: str = "yuv420p"
    rate: Fraction = Fraction(25)
    frames: int = 60
    size: tuple[int, int] = (WIDTH, HEIGHT)
    gop: int = 20
    b_frames: int = 0
    options: dict[str, str] = field(default_factory=dict)
    container: dict[str, str] = field(default_factory=dict)
    times_ns: Sequence[int] | None = None
    """media time of each picture; None: on the beat of `rate`"""
    time_base: Fraction | None = None
    rotation: int = 0
    """degrees clockwise that a player is to turn the picture by"""
    audio: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    picture: Callable[[int], Image] | None = None
    keyframes: Sequence[int] = ()
    """numbers of pictures that are keyframes whatever the encoder would choose"""
    colorspace: int | None = None
    """swscale's number of the matrix: 1 BT.709, 5 BT.601; written into the stream"""
    color_range: int | None = None
    """1 limited, 2 full"""


def encode(path: Path, recipe: Recipe | None = None) -> Path:
    """Write the video; its format follows from the name's ending."""
    import av

    recipe = recipe or Recipe()
    with av.open(str(path), "w", options=recipe.container) as container:
        container.metadata.update(recipe.metadata)
        stream = _stream(container, recipe)
        sound = (
            container.add_stream("aac" if path.suffix in (".mp4", ".mov") else "libopus", rate=48_000)
            if recipe.audio
            else None
        )
        for number in range(recipe.frames):
            container.mux(stream.encode(_frame(recipe, number)))
        container.mux(stream.encode(None))
        if sound is not None:
            _silence(container, sound)
    return path


def _stream(container: Any, recipe: Recipe) -> Any:
    stream = container.add_stream(recipe.codec, rate=recipe.rate, options=recipe.options)
    stream.width, stream.height = recipe.size
    stream.pix_fmt = recipe.pixels
    stream.codec_context.gop_size = recipe.gop
    stream.codec_context.thread_count = 1  # with several x264 writes other bytes in every run
    stream.codec_context.max_b_frames = recipe.b_frames
    stream.codec_context.time_base = stream.time_base = _time_base(recipe)
    if recipe.colorspace is not None:
        stream.codec_context.colorspace = recipe.colorspace
    if recipe.color_range is not None:
        stream.codec_context.color_range = recipe.color_range
    if recipe.rotation:
        stream.set_display_rotation(-recipe.rotation)
    return stream


def _time_base(recipe: Recipe) -> Fraction:
    return recipe.time_base or (1 / recipe.rate if recipe.times_ns is None else Fraction(1, 90_000))


def _frame(recipe: Recipe, number: int) -> Any:
    import av

    picture = recipe.picture(number) if recipe.picture else numbered(number, *recipe.size)
    frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(
        format=recipe.pixels, dst_colorspace=recipe.colorspace, dst_color_range=recipe.color_range, threads=1
    )
    time_s = number / recipe.rate if recipe.times_ns is None else Fraction(recipe.times_ns[number], SECOND_NS)
    if number in recipe.keyframes:
        frame.pict_type = av.video.frame.PictureType.I
    frame.time_base = _time_base(recipe)
    frame.pts = round(time_s / frame.time_base)
    return frame


def _silence(container: Any, stream: Any) -> None:
    import av

    frame = av.AudioFrame.from_ndarray(np.zeros((2, 960), np.float32), "fltp", "stereo")
    frame.sample_rate = 48_000
    for index in range(20):
        frame.pts = index * 960
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def remux(source: Path, target: Path, change: Callable[[int, Any], Iterable[Any]]) -> Path:
    """Copy the video packets of `source`: `change` gives what becomes of packet `index`, as any number of packets."""
    import av

    with av.open(str(source)) as given, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        packets = [packet for packet in given.demux(given.streams.video[0]) if packet.size]
        for index, packet in enumerate(packets):
            for changed in change(index, packet):
                changed.stream = stream
                container.mux(changed)
    return target


def hurt(path: Path, *, at: float, length: int = 400, seed: int = 1) -> Path:
    """Overwrite `length` bytes at the part `at` of the file with noise, in place."""
    data = bytearray(path.read_bytes())
    start = int(len(data) * at)
    data[start : start + length] = np.random.default_rng(seed).integers(0, 256, length, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    return path


def cut_off(path: Path, *, at: float) -> Path:
    """Keep only the first part of the file, in place."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * at)])
    return path


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a source gave from its opening to its end."""

    info: InputInfo
    frames: list[DecodedFrame]
    counts: dict[str, int]
    """frames that couldn't be read, by reason"""
    error: str = ""
    """why it ended before its end"""

    @property
    def pts_ns(self) -> list[int | None]:
        return [shot.pts_ns for shot in self.frames]

    @property
    def numbers(self) -> list[int]:
        """What `number_of` finds in the pictures."""
        return [number_of(shot.picture.to_gray()) for shot in self.frames]


def context(counts: Counter[str] | None = None, stopping: Callable[[], bool] = lambda: False) -> SourceContext:
    """What a source gets from the engine."""
    counted = Counter[str]() if counts is None else counts
    return SourceContext(
        stream="test",
        log=logging.getLogger("tests.source"),
        stopping=stopping,
        count=lambda reason, number=1: counted.update({reason: number}),
    )


def read(
    source: AnySource, limit: int | None = None, *, breaks_off: bool = False, decoding: Decoding | None = None
) -> Reading:
    """Open a source, take its pictures (at most `limit`), close it; where it may break off, keep what came before."""
    decoding = decoding or Decoding(source, "test")
    counts: Counter[str] = Counter()
    frames: list[DecodedFrame] = []
    error = ""
    info = source.open(context(counts))
    try:
        frames.extend(islice(frames_of(source, info, counts, decoding), limit))
    except SourceError as caught:
        if not breaks_off or not frames:
            raise
        error = str(caught)
    finally:
        source.close()
    return Reading(info=info, frames=frames, counts=dict(counts), error=error)


def frames_of(
    source: AnySource, info: InputInfo, counts: Counter[str] | None = None, decoding: Decoding | None = None
) -> Iterator[DecodedFrame]:
    """The pictures of an open source of either kind; counts: gets those that can't be decoded, by reason."""
    counts = Counter() if counts is None else counts
    decoding = decoding or Decoding(source, "test")
    outside = Outside(stopping=lambda: False, count=lambda reason, number=1: counts.update({reason: number}))
    for decoded, _ in decoding.frames(info, outside):
        if decoded is not None:
            yield decoded
