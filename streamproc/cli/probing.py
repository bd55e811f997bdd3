"""`streamproc probe`: what can be known of a video, a folder of pictures or a camera before it is run."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from streamproc.cli.console import out
from streamproc.config import guess_source
from streamproc.errors import counted
from streamproc.events import utc_text
from streamproc.frames import SECOND_NS
from streamproc.media.orientation import Orientation
from streamproc.secrets import remember
from streamproc.source import DecodedFrame, PictureSource, SourceContext

_MOST_PICTURES = 300
"""of a folder, that are looked at"""

_WATCH_NS = 5 * SECOND_NS
"""how long a camera is watched"""


def show_probe(source: str) -> None:
    """Everything that can be known of whatever `run` and `demo` take as a source, by the same short forms."""
    remember({"source": source})
    guessed = guess_source(source)
    kind, options = guessed["type"], guessed["options"]
    if kind == "images":
        _show_pictures(options["path"])
    elif kind == "camera":
        from streamproc.sources.camera import CameraOptions, CameraSource

        show_watched(f"camera {options['device']}", CameraSource(CameraOptions(**options)))
    else:
        _show_video(source)


def _show_video(source: str) -> None:
    from streamproc.media import probe

    found = probe(source)
    facts = found.facts
    width, height = facts.size
    lines = {
        "source": found.address,
        "container": facts.container,
        "codec": f"{facts.codec} {facts.pixel_format}" + (" with B-frames" if facts.has_b_frames else ""),
        "size": f"{width}x{height}{_stored(facts.orientation)}",
        "nominal rate": _or_unknown(facts.rate, lambda rate: f"{float(rate):.3f} frames/s ({rate})"),
        "measured rate": _or_unknown(found.measured_rate, lambda rate: f"{rate:.3f} frames/s")
        + (", variable" if found.variable_rate else ""),
        "duration": _or_unknown(facts.duration_ns, lambda ns: f"{ns / 1e9:.3f} s"),
        "recorded": _or_unknown(facts.started_ns, utc_text),
        "bytes": _or_unknown(found.file_bytes, lambda size: f"{size:,}"),
        "bit rate": _or_unknown(found.bits_per_second, lambda rate: f"{rate / 1e6:.2f} Mbit/s"),
        "keyframes": f"{found.keyframes}" + _or_nothing(found.keyframe_interval_s, ", at most {:.2f} s apart"),
        "time stamps": f"{found.missing_pts} missing, {found.repeated_pts} repeated, {counted(found.gaps, 'gap')}"
        + (f" (the longest {found.longest_gap_s:.2f} s)" if found.gaps else ""),
        "damaged": counted(found.damaged, "packet") + ("" if found.readable else "; not one picture can be decoded"),
        "sound": "yes (never read)" if facts.audio else "no",
        "looked at": counted(found.scanned, "packet")
        + (", all there are" if found.complete else f"; the recording {found.broken_off}" if found.broken_off else ""),
    }
    _print(lines)


def _show_pictures(path: str) -> None:
    from streamproc.media.stills import read_picture
    from streamproc.sources.images import ImagesOptions, find_pictures

    files = find_pictures(path)
    pictures = (read_picture(file) for file in files[:_MOST_PICTURES])  # one at a time in memory
    read = [None if rgb is None else (rgb.shape[1], rgb.shape[0]) for rgb in pictures]
    rate = ImagesOptions(path=path).rate
    formats = Counter(file.suffix.lower().lstrip(".") or "no ending" for file in files)
    _print(
        {
            "source": path,
            "container": f"{counted(len(files), 'file')} in natural order, {files[0].name} to {files[-1].name}",
            "codec": ", ".join(f"{ending} {count}" for ending, count in formats.most_common()),
            "size": _sizes(size for size in read if size is not None),
            "nominal rate": f"{rate:.3f} frames/s unless the option `rate` says otherwise",
            "duration": f"{len(files) / rate:.3f} s at that rate",
            "bytes": f"{sum(file.stat().st_size for file in files):,}",
            "damaged": f"{counted(read.count(None), 'file')} that can't be read as a picture",
            "looked at": counted(len(read), "file") + (", all there are" if len(read) == len(files) else ""),
        }
    )


def show_watched(name: str, source: PictureSource[Any]) -> None:
    """Print what the first seconds of a source that never ends hold."""
    context = SourceContext(
        stream="probe", log=logging.getLogger(__name__), stopping=lambda: False, count=lambda _reason, _number=1: None
    )
    try:
        info = source.open(context)
        watched = [
            ((decoded.picture.width, decoded.picture.height), decoded.pts_ns or 0)
            for decoded in _watched(source.frames())
        ]
    finally:
        source.close()
    stamps = [pts_ns for _, pts_ns in watched]
    span_ns = stamps[-1] - stamps[0] if stamps else 0
    _print(
        {
            "source": name,
            "size": _sizes(size for size, _ in watched),
            "nominal rate": _or_unknown(info.rate, lambda rate: f"{float(rate):.3f} frames/s ({rate})"),
            "measured rate": _or_unknown(
                (len(stamps) - 1) * SECOND_NS / span_ns if span_ns else None, lambda rate: f"{rate:.3f} frames/s"
            ),
            "duration": "endless",
            "looked at": f"{counted(len(watched), 'picture')} in {span_ns / SECOND_NS:.1f} s",
        }
    )


def _watched(pictures: Iterator[DecodedFrame | None]) -> Iterator[DecodedFrame]:
    """The pictures of the first seconds."""
    began_ns: int | None = None
    for decoded in pictures:
        if decoded is None:
            continue
        yield decoded
        began_ns = decoded.pts_ns if began_ns is None else began_ns
        if (decoded.pts_ns or 0) - (began_ns or 0) > _WATCH_NS:
            return


def _sizes(sizes: Iterable[tuple[int, int]]) -> str:
    """The size of the first picture, and how many have another one.

    >>> _sizes([(64, 48), (64, 48)]), _sizes([(64, 48), (32, 24)]), _sizes([])
    ('64x48', '64x48; 1 picture of another size: set `fit: true`', 'not known')
    """
    found = list(sizes)
    if not found:
        return "not known"
    others = sum(size != found[0] for size in found)
    said = f"; {counted(others, 'picture')} of another size: set `fit: true`" if others else ""
    return f"{found[0][0]}x{found[0][1]}{said}"


def _print(lines: Mapping[str, str]) -> None:
    for name, text in lines.items():
        out(f"{name + ':':15}{text}")


def _stored(orientation: Orientation) -> str:
    """Describe the difference between the stored picture and the one that is shown."""
    found = [f"turned by {orientation.rotation} degrees"] if orientation.rotation else []
    found += ["mirrored"] if orientation.mirrored else []
    return f" (stored {' and '.join(found)})" if found else ""


def _or_unknown(value: Any, describe: Callable[[Any], str]) -> str:
    return "not known" if value is None else describe(value)


def _or_nothing(value: Any, form: str) -> str:
    return "" if value is None else form.format(value)


__all__ = ["show_probe", "show_watched"]
