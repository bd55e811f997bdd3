"""The `blur` plugin: hides people from everything behind it in the chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import Frame, Moment, Output, PluginContext, Replacement, Results, StreamPlugin
from streamproc.media import VideoWriter
from streamproc_plugins.annotate.video import video_writer
from streamproc_plugins.blur.anonymise import anonymise, anonymised_whole, drawn
from streamproc_plugins.blur.cover import Cover, Parts, fitted_mask
from streamproc_plugins.blur.options import BlurOptions


class Blur(StreamPlugin[BlurOptions]):
    """Covers faces, people and zones for good: later plugins, thumbnails and frame sinks get the covered picture only.

    It fails closed. Where a result that it needs is missing for a frame, the whole picture is covered; where it fails
    itself, the picture behind it is black. Plugins before it get the source's picture. Gives `Replacement`.
    """

    pixels = True
    gives = (Replacement,)
    writes = ("path",)

    def open(self, context: PluginContext) -> None:
        """Prepare the video; the first frame begins the file."""
        self._cover = Cover(self.options)
        path, size = self.options.path, np.array(context.stream.size)
        self._zones = [np.array(polygon) * size for polygon in self.options.zones.values()]
        self._writer: VideoWriter | None = None
        if path is not None:
            self._writer = video_writer(path, context.stream.name, self.options)
        self._log = context.log
        self._warned = False
        self._drawn: tuple[tuple[int, ...], list[NDArray[np.bool_]]] | None = None

    def process(self, frame: Frame, past: Results) -> Output:
        """One `Replacement`."""
        parts = self._cover.find(frame.pts_ns, past)
        if parts is None and not self._warned:
            self._warned = True
            self._log.warning(
                "an input is missing stream=%s frame=%d, so the whole picture is covered: a detector failed, or "
                "runs at another rate, or doesn't stand before blur",
                frame.stream.name,
                frame.index,
            )
        rgb = self._hidden(frame.rgb, parts)
        if self._writer is not None:
            self._writer.write(rgb, frame.pts_ns)
        return [Replacement(rgb=rgb)]

    def flush(self, moment: Moment) -> Output:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()
        return ()

    def close(self) -> None:
        """Finish the file with the frames so far, also where the stream was interrupted."""
        writer, self._writer = getattr(self, "_writer", None), None
        if writer is not None:
            writer.close()

    def state(self) -> dict[str, Any]:
        """Held boxes, and the plugins that have given results, as JSON values."""
        return {"cover": self._cover.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly."""
        self._cover.restore(state["cover"])

    def _hidden(self, rgb: NDArray[np.uint8], parts: Parts | None) -> NDArray[np.uint8]:
        options = self.options
        if parts is None:
            return anonymised_whole(rgb, options.method, options.blocks)
        height, width = rgb.shape[:2]
        masks = [fitted_mask(mask, width, height, options.margin / 4) for mask in parts.masks]
        masks += self._zone_masks(width, height)
        return anonymise(rgb, parts.boxes, method=options.method, blocks=options.blocks, masks=masks)

    def _zone_masks(self, width: int, height: int) -> list[NDArray[np.bool_]]:
        """Drawn once: zones stay where they are."""
        if self._drawn is None or self._drawn[0] != (width, height):
            self._drawn = (width, height), [drawn(polygon, width, height) for polygon in self._zones]
        return self._drawn[1]
