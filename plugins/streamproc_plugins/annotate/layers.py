"""Drawing of each kind of result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from streamproc import Classification, Detections, Faces, Poses, Segmentation, Tracks
from streamproc_plugins.action.results import AttentionMap
from streamproc_plugins.annotate.paint import INK, PAPER, Canvas, Colour, Spot, colour_of, colour_of_name
from streamproc_plugins.rules import RuleView

SKELETON = (
    (5, 7), (7, 9), (6, 8), (8, 10), (5, 6), (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
    (0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (0, 6),
)  # fmt: skip
"""limbs between COCO-17 keypoints"""

_ZONE: Colour = (80, 200, 255)
_BUSY: Colour = (255, 170, 60)
_LINE: Colour = (255, 224, 90)
_SURE = 0.3
_LOOKED: Colour = (255, 120, 20)
_LOOKED_SHARE = 0.6
"""of the colour where a net looked most"""


def draw_zones(canvas: Canvas, view: RuleView) -> None:
    """Zones with the number of objects inside, in another colour if there are any."""
    for name, corners, inside in view.zones():
        colour = _BUSY if inside else _ZONE
        canvas.fill(corners, colour, 0.14)
        canvas.path(corners, colour, closed=True)
        left, top = (corners[np.argmin(corners.sum(axis=1))] * canvas.scale + 4 * canvas.unit).tolist()
        if top < 28 * canvas.unit and left < 0.4 * canvas.width:
            top = 28 * canvas.unit  # below the clock
        canvas.tag(f"{name}: {inside}", (left, top), colour, share=0.75, size=0.9)


def draw_lines(canvas: Canvas, view: RuleView) -> None:
    """Lines, with their counts."""
    for name, points, counts in view.lines():
        canvas.path(points, INK, thick=2.5)
        canvas.path(points, _LINE, thick=1.4)
        totals = "  ".join(f"{direction} {count}" for direction, count in counts.items())
        # where the line begins: most cross it further on, and would hide its counts
        left, top = (points[0] * canvas.scale).tolist()
        canvas.tag(f"{name}: {totals}", (left + 5, top), _LINE, share=0.75, size=0.9)


def draw_tracks(canvas: Canvas, tracks: Tracks) -> None:
    """Boxes in each track's own colour; thin ones for tracks without a detection in this frame."""
    for found, track_id, state in zip(tracks, tracks.track_id.tolist(), tracks.state, strict=True):
        colour = colour_of(track_id)
        if state != "confirmed":
            canvas.path(_corners(found.xyxy), colour, closed=True, thick=0.5)
            continue
        canvas.box(found.xyxy, colour)
        _tag_box(canvas, found.xyxy, f"{found.label} {track_id}", colour)


def draw_detections(canvas: Canvas, detections: Detections) -> None:
    """Boxes in each label's colour, with the score."""
    for found in detections:
        colour = colour_of_name(found.label)
        canvas.box(found.xyxy, colour)
        _tag_box(canvas, found.xyxy, f"{found.label} {found.score:.2f}", colour)


def draw_trails(canvas: Canvas, trails: Mapping[int, list[tuple[int, Spot]]]) -> None:
    """Trails of the tracks, thinner towards the past."""
    for track_id, steps in trails.items():
        points = [point for _, point in steps]
        if len(points) < 2:
            continue
        canvas.path(points, colour_of(track_id), thick=0.6)
        canvas.path(points[len(points) // 2 :], colour_of(track_id), thick=1.6)


def draw_poses(canvas: Canvas, poses: Poses) -> None:
    """Limbs and joints that are sure enough."""
    for row, points in enumerate(poses.keypoints):
        colour = colour_of(row if poses.track_id is None else int(poses.track_id[row]))
        limbs = [points[[a, b], :2] for a, b in SKELETON if min(points[a, 2], points[b, 2]) >= _SURE]
        for limb in limbs:
            canvas.path(limb, INK, thick=3.2)  # below the colour, so that it shows on any ground
        for limb in limbs:
            canvas.path(limb, colour, thick=1.6)
        for x, y, score in points.tolist():
            if score >= _SURE:
                canvas.dot((x, y), PAPER, 2)


def draw_faces(canvas: Canvas, faces: Faces) -> None:
    """Boxes with names where they are known, and landmarks."""
    for row, xyxy in enumerate(faces.xyxy):
        name = faces.cluster[row] if faces.cluster else ""
        colour = colour_of_name(name) if name else PAPER
        canvas.box(xyxy, colour)
        for point in faces.landmarks[row]:
            canvas.dot(point, colour, 1.5)
        if name:
            _tag_box(canvas, xyxy.tolist(), name, colour)


def draw_segmentation(canvas: Canvas, found: Segmentation) -> None:
    """Each class but the first (the background) in its colour over the picture."""
    import cv2

    table = np.array([(0, 0, 0), *(colour_of_name(label) for label in found.labels[1:])], np.uint8)
    grid = cv2.resize(found.class_map, (canvas.width, canvas.height), interpolation=cv2.INTER_NEAREST)
    mixed = cv2.addWeighted(canvas.rgb, 0.55, table[grid], 0.45, 0)
    cv2.copyTo(mixed, (grid > 0).astype(np.uint8), canvas.rgb)


def draw_attention(canvas: Canvas, found: AttentionMap) -> None:
    """Attention of a net in the last picture of its clip: warmer where the weight is further above the mean."""
    import cv2

    weights = found.weights[-1].astype(np.float32)
    spread = float(weights.max() - weights.mean())
    if spread <= 0:
        return
    sides = np.array([canvas.width, canvas.height] * 2)
    left, top, right, bottom = np.clip(np.rint(np.array(found.region) * sides), 0, sides).astype(int).tolist()
    if right <= left or bottom <= top:
        return
    warm = np.clip((weights - weights.mean()) / spread, 0, 1)
    share = cv2.resize(warm, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)[..., None] * _LOOKED_SHARE
    part = canvas.rgb[top:bottom, left:right]
    part[:] = np.rint(part * (1 - share) + np.array(_LOOKED, np.float32) * share).astype(np.uint8)


def draw_masks(canvas: Canvas, found: Detections) -> None:
    """Each mask with its border, in the colour of its track, else of its row."""
    import cv2

    ids = found.track_id.tolist() if isinstance(found, Tracks) else range(len(found))
    for number, mask in zip(ids, () if found.masks is None else found.masks, strict=False):
        grid = cv2.resize(mask.astype(np.uint8), (canvas.width, canvas.height), interpolation=cv2.INTER_NEAREST)
        left, top, width, height = cv2.boundingRect(grid)
        if not width:
            continue
        inside = np.s_[top : top + height, left : left + width]
        canvas.tint(canvas.rgb[inside], colour_of(number), 0.45, grid[inside])
        borders, _ = cv2.findContours(grid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for border in borders:
            canvas.path(border[:, 0] / canvas.scale, colour_of(number), closed=True, thick=0.8)


def draw_classes(canvas: Canvas, named: Mapping[str, Classification], row: float) -> None:
    """The best label of each classifier without its synonyms, at the upper right."""
    for plugin, found in named.items():
        if not found.label:
            continue
        text = f"{plugin}: {found.label[0].split(',')[0]} {float(found.score[0]):.2f}"
        width, height = canvas.text_size(text)
        canvas.tag(text, (canvas.width - width - 8 * canvas.unit, row), INK, share=0.6)
        row += height + 2


def draw_captions(canvas: Canvas, texts: Iterable[str]) -> float:
    """Sentences at the foot of the picture, in the middle; the row above which there is room for more."""
    bottom: float = canvas.height - 6 * canvas.unit
    for text in texts:
        for line in reversed(wrapped(text, canvas)):
            width, height = canvas.text_size(line)
            bottom -= height
            canvas.tag(line, ((canvas.width - width) / 2, bottom), INK, share=0.65)
    return bottom


def draw_event_lines(canvas: Canvas, event_lines: list[tuple[str, Colour]], bottom: float) -> None:
    """Recent events, the newest lowest, at the left above the row `bottom`."""
    for text, colour in reversed(event_lines):
        _, height = canvas.text_size(text)
        bottom -= height + 3 * canvas.unit
        canvas.tag(" ", (6 * canvas.unit, bottom), colour)
        canvas.tag(text, (6 * canvas.unit + 7 * canvas.unit, bottom), INK, share=0.7)


def wrapped(text: str, canvas: Canvas) -> list[str]:
    """The text in lines that fit the picture."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and canvas.text_size(longer)[0] <= 0.9 * canvas.width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _corners(xyxy: tuple[float, float, float, float]) -> list[Spot]:
    left, top, right, bottom = xyxy
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _tag_box(canvas: Canvas, xyxy: tuple[float, float, float, float], text: str, colour: Colour) -> None:
    """Above the box, or inside where there is no room."""
    _, height = canvas.text_size(text, 0.9)
    left, top = xyxy[0] * canvas.scale, xyxy[1] * canvas.scale
    canvas.tag(text, (left - canvas.thin, top - height if top >= height else top), colour, size=0.9)
