"""Loading of samples to arrays: pictures fitted as the plugin fits them, clips sampled by media time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import SourceError
from streamproc.frames import SECOND_NS, resize
from streamproc.media import Demuxer
from streamproc.media.stills import read_picture
from streamproc.models import InputSpec, centre_crop, letterbox, stretch
from streamproc_plugins.training.data import TrainingError, TrainingSample

U8 = NDArray[np.uint8]
Load = Callable[[TrainingSample], U8]

CACHE_BYTES = 1 << 30
ADVICE = "; mend it or take it out of the data"
ADVICE_ALL = "; mend them or take them out of the data"
_MOST_NAMED = 10
"""files that are named where many can't be used"""


def picture_loader(spec: InputSpec) -> Load:
    """Loads a picture as uint8 (1, h, w, 3) RGB at the size of `spec`, fitted as `prepare` fits it in a run."""

    def load(sample: TrainingSample) -> U8:
        rgb = read_picture(sample.path)
        if rgb is None:
            raise TrainingError(f"{sample.path} can't be read as a picture{ADVICE}")
        return fitted_picture(rgb, spec)[None]

    return load


def fitted_picture(rgb: U8, spec: InputSpec) -> U8:
    """The picture (h, w, 3) at the size of `spec`, in its way."""
    if spec.resize == "letterbox":
        return letterbox(rgb, spec.hw, spec.pad)[0]
    return (centre_crop if spec.resize == "crop" else stretch)(rgb, spec.hw)[0]


def clip_loader(size: tuple[int, int], rate: float, most: int) -> Load:
    """Loads the pictures of a segment, uint8 (T, h, w, 3) RGB with T >= 1, `rate` a second of media time.

    size: (width, height). most: T at most; of a longer segment its middle.
    """

    def load(sample: TrainingSample) -> U8:
        found = list(sampled_pictures(sample.path, size, rate, (sample.start_s, sample.end_s)))
        if not found:
            raise TrainingError(
                f"{sample.path} has no picture between {sample.start_s} s and "
                f"{'its end' if sample.end_s is None else f'{sample.end_s} s'}{ADVICE}"
            )
        start = max(0, (len(found) - most) // 2)
        return np.stack(found[start : start + most])

    return load


def sampled_pictures(
    path: Path, size: tuple[int, int] | None, rate: float, span_s: tuple[float, float | None] = (0.0, None)
) -> Iterator[U8]:
    """Pictures uint8 (h, w, 3) of a recording nearest to a regular beat of media time, as clips are cut in a run.

    span_s: from when to when, in seconds of media time. Raises `TrainingError` where it can't be read.
    """
    start_ns, end_s = round(span_s[0] * SECOND_NS), span_s[1]
    end_ns = None if end_s is None else round(end_s * SECOND_NS)
    period = round(SECOND_NS / rate)
    slack, due = period // 8, start_ns
    try:
        demuxer = Demuxer(str(path))
    except SourceError as error:
        raise TrainingError(f"{error}{ADVICE}") from None
    try:
        if demuxer.facts.rate:
            slack = min(period, round(SECOND_NS / demuxer.facts.rate)) // 2
        for pts_ns, picture in _pictures(demuxer):
            if end_ns is not None and pts_ns >= end_ns:
                return
            if pts_ns >= due - slack and pts_ns >= start_ns:
                due = (due if pts_ns < due + period - slack else pts_ns) + period
                rgb = picture.to_rgb()
                yield rgb if size is None else resize(rgb, *size)
    finally:
        demuxer.close()


def _pictures(demuxer: Demuxer) -> Iterator[tuple[int, Any]]:
    """Each picture and its media time, from 0."""
    decoder = demuxer.decoder(lambda _: None, lambda _: None)
    first: int | None = None
    number, step = 0, round(SECOND_NS / (demuxer.facts.rate or 25))
    for packet in chain(demuxer.packets(), (None,)):
        for shot in decoder.decode(packet):
            pts_ns = number * step if shot.pts_ns is None else shot.pts_ns
            first = pts_ns if first is None else first
            number += 1
            yield pts_ns - first, shot.picture


class Cache:
    """Caches the first samples, up to a number of bytes; several threads may use it.

    samples: all there are. Where one can't be loaded, the others are tried too, so that all errors in the data
    are reported at once and not after another run.
    """

    def __init__(self, load: Load, limit: int = CACHE_BYTES, samples: Sequence[TrainingSample] = ()) -> None:
        self._load = load
        self._limit = limit
        self._samples = samples
        self._refusal: TrainingError | None = None
        self._refusing = threading.Lock()
        self._cached: dict[TrainingSample, U8] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def __call__(self, sample: TrainingSample) -> U8:
        """The array of this sample, read-only."""
        with self._lock:
            if sample in self._cached:
                return self._cached[sample]
        try:
            array = self._load(sample)
        except TrainingError as error:
            raise self._whole_refusal(error) from None
        array.flags.writeable = False
        with self._lock:
            # a data set larger than the cache: the first samples stay, since an epoch reads all of them in turn
            if self._bytes + array.nbytes <= self._limit and sample not in self._cached:
                self._cached[sample] = array
                self._bytes += array.nbytes
        return array

    def _whole_refusal(self, first: TrainingError) -> TrainingError:
        with self._refusing:  # one thread looks; another one that failed meanwhile gets the same answer
            if self._refusal is None:
                wrong = list(dict.fromkeys(filter(None, map(self._fault, self._samples))))
                self._refusal = first if len(wrong) < 2 else _reported_together(wrong)
        return self._refusal

    def _fault(self, sample: TrainingSample) -> str:
        if sample not in self._cached:
            try:
                self._load(sample)
            except TrainingError as error:
                return str(error)
        return ""


def _reported_together(wrong: Sequence[str]) -> TrainingError:
    more = f"\n  ... and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
    lines = [f"  {line.removesuffix(ADVICE)}" for line in wrong[:_MOST_NAMED]]
    return TrainingError("\n".join([f"{len(wrong)} files can't be used{ADVICE_ALL}:", *lines]) + more)


__all__ = ["Cache", "Load", "clip_loader", "fitted_picture", "picture_loader", "sampled_pictures"]
