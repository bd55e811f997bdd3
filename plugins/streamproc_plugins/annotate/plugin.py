"""The `annotate` plugin: gathers the results of earlier plugins, draws them, writes the video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamproc import (
    Caption,
    Classification,
    Detections,
    Event,
    Faces,
    Frame,
    Moment,
    Output,
    PluginContext,
    Poses,
    Results,
    Segmentation,
    StreamPlugin,
    Tracks,
)
from streamproc.media import VideoWriter
from streamproc_plugins.action.results import AttentionMap
from streamproc_plugins.annotate import layers
from streamproc_plugins.annotate.options import AnnotateOptions
from streamproc_plugins.annotate.paint import INK, Canvas, Colour, Image, Spot, colour_of, colour_of_name
from streamproc_plugins.annotate.video import video_writer
from streamproc_plugins.rules import RuleView

_MOST_EVENT_LINES = 5


class Annotate(StreamPlugin[AnnotateOptions]):
    """Writes a copy of the stream with boxes, tracks and their trails, zones, lines, labels and events drawn on it.

    Every processed frame stands at its own media time, so the video runs as the source does, whatever its rate. The
    file gets its name when the stream ends. Gives nothing; the pictures of the other plugins stay as they are.
    """

    pixels = True
    writes = ("path",)

    def open(self, context: PluginContext) -> None:
        """Prepare the video; the first frame begins the file."""
        self._name = context.stream.name
        writer = video_writer(self.options.path, context.stream.name, self.options)
        self._writer: VideoWriter | None = writer
        self._layers = frozenset(self.options.draw)
        self._trails: dict[int, list[tuple[int, Spot]]] = {}
        self._event_lines: list[tuple[int, str, Colour]] = []
        self._classes: dict[str, tuple[int, Classification]] = {}
        self._looked: dict[str, tuple[int, AttentionMap]] = {}

    def process(self, frame: Frame, past: Results) -> Output:
        """Draw one frame and write it."""
        assert self._writer is not None
        self._writer.write(self.picture(frame, past), frame.pts_ns)
        return ()

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

    def picture(self, frame: Frame, past: Results) -> Image:
        """A drawn copy of the frame, uint8 RGB."""
        self._remember(frame, past)
        canvas = Canvas(self._copy(frame), self.options.scale)
        wanted = self._layers
        self._draw_areas(canvas, past)
        for view in past.all(RuleView).values():
            if "zones" in wanted:
                layers.draw_zones(canvas, view)
            if "lines" in wanted:
                layers.draw_lines(canvas, view)
        if "trails" in wanted:
            layers.draw_trails(canvas, self._trails)
        if "boxes" in wanted:
            self._draw_boxes(canvas, past)
        if "poses" in wanted:
            # those of the last plugin only: smoothed ones stand for those that they were made of
            for poses in list(past.all(Poses).values())[-1:]:
                layers.draw_poses(canvas, poses)
        if "faces" in wanted:
            for faces in most_detailed(past.all(Faces)):
                layers.draw_faces(canvas, faces)
        self._draw_words(canvas, frame, past)
        return canvas.rgb

    def _copy(self, frame: Frame) -> Image:
        if self.options.scale == 1:
            return frame.rgb.copy()
        width, height = (max(round(side * self.options.scale), 2) for side in frame.size)
        return frame.resized(width, height).copy()

    def _draw_areas(self, canvas: Canvas, past: Results) -> None:
        if "segmentation" in self._layers:
            # that of the last plugin only, as with poses
            for segmentation in list(past.all(Segmentation).values())[-1:]:
                layers.draw_segmentation(canvas, segmentation)
        if "attention" in self._layers:
            for _, looked in self._looked.values():
                layers.draw_attention(canvas, looked)
        if "masks" in self._layers:
            for found in past.all(Detections).values():
                layers.draw_masks(canvas, found)

    def _draw_boxes(self, canvas: Canvas, past: Results) -> None:
        """Tracks where there are any; detections that weren't tracked only where nothing tracks."""
        tracks = past.all(Tracks)
        for found in tracks.values():
            layers.draw_tracks(canvas, found)
        if not tracks:
            for detections in past.all(Detections).values():
                layers.draw_detections(canvas, detections)

    def _draw_words(self, canvas: Canvas, frame: Frame, past: Results) -> None:
        top = 6 * canvas.unit
        if "clock" in self._layers:
            canvas.tag(f"{self._name}  {clock(frame.pts_ns)}", (top, top), INK, share=0.6)
        bottom = canvas.height - 6 * canvas.unit
        if "captions" in self._layers:
            layers.draw_classes(canvas, {name: found for name, (_, found) in self._classes.items()}, top)
            bottom = layers.draw_captions(canvas, [found.text for found in past.all(Caption).values()])
        if "events" in self._layers:
            layers.draw_event_lines(
                canvas, [(text, colour) for _, text, colour in self._event_lines], bottom - 2 * canvas.unit
            )

    def _remember(self, frame: Frame, past: Results) -> None:
        now_ns, options = frame.pts_ns, self.options
        for tracks in past.all(Tracks).values():
            for row, track_id in enumerate(tracks.track_id.tolist()):
                if tracks.state[row] == "confirmed":
                    left, _, right, bottom = tracks.xyxy[row].tolist()
                    self._trails.setdefault(track_id, []).append((now_ns, ((left + right) / 2, bottom)))
        for key, steps in list(self._trails.items()):
            self._trails[key] = [step for step in steps if now_ns - step[0] <= options.trail]
            if not self._trails[key]:
                del self._trails[key]
        # a classifier that looks at fewer frames than are drawn would flicker
        self._classes |= {name: (now_ns, found) for name, found in past.all(Classification).items()}
        self._classes = {n: said for n, said in self._classes.items() if now_ns - said[0] <= options.event_for}
        self._looked |= {name: (now_ns, found) for name, found in past.all(AttentionMap).items()}
        self._looked = {n: looked for n, looked in self._looked.items() if now_ns - looked[0] <= options.event_for}
        self._event_lines = [item for item in self._event_lines if now_ns - item[0] <= options.event_for]
        shown = [e for e in past.events if e.phase in ("start", "instant") and not self._stands_as_caption(e)]
        self._event_lines += [(now_ns, headline(e), _colour(e)) for e in shown]
        self._event_lines = self._event_lines[-_MOST_EVENT_LINES:]

    def _stands_as_caption(self, event: Event) -> bool:
        return event.type == "caption" and "captions" in self._layers


def most_detailed(faces: Mapping[str, Faces]) -> list[Faces]:
    """The last result of followed, named or grouped faces, which has most details; without one all results."""
    further = [found for found in faces.values() if type(found) is not Faces]
    return further[-1:] or list(faces.values())


def headline(event: Event) -> str:
    """A few words for an event, such as `line.crossed gate left  person 3`."""
    data = event.data
    place = [str(data[key]) for key in ("zone", "line", "rule", "direction") if key in data]
    subject = [str(data[key]) for key in ("label", "name", "track_id") if key in data]
    return "  ".join(part for part in (" ".join([event.type, *place]), " ".join(subject)) if part)


def clock(time_ns: int) -> str:
    """Media time as h:mm:ss.t.

    >>> clock(3_725_250_000_000)
    '1:02:05.2'
    """
    tenths = time_ns // 100_000_000
    return f"{tenths // 36000}:{tenths // 600 % 60:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"


def _colour(event: Event) -> Colour:
    track_id: Any = event.data.get("track_id")
    return colour_of(track_id) if isinstance(track_id, int) else colour_of_name(event.type)
