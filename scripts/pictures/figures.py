"""Drawn people who do things before a wall, with the true places of their 17 keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.pictures.runs import Rgb
from streamproc import Poses
from streamproc.results import COCO17

F32 = NDArray[np.float32]
ACTS = ("stand", "wave", "jacks", "squat")
AT = {name: number for number, name in enumerate(COCO17)}
_ARM, _LEG = (0.62, 0.58), (0.88, 0.85)
_COLOURS = ((190, 60, 50), (46, 92, 160), (60, 130, 84), (150, 92, 160), (205, 150, 60))
_TROUSERS = (52, 58, 78)
_SKINS = ((226, 178, 146), (202, 156, 124), (128, 88, 66), (214, 170, 140), (168, 118, 88))
_HAIRS = ((60, 46, 38), (30, 28, 30), (24, 20, 20), (150, 104, 58), (96, 92, 92))


@dataclass(frozen=True, kw_only=True)
class Person:
    """Where somebody stands and how large he is."""

    x: float
    """pixels: the middle of the feet"""
    ground: float
    torso: float
    """pixels from hips to shoulders; the whole person is about 3.6 of them high"""
    colour: int = 0


def keypoints(act: str, phase: float, person: Person) -> F32:
    """Where the 17 keypoints are, (17, 2); phase: 1 for each repetition of the act."""
    swing = (1 - np.cos(2 * np.pi * phase)) / 2
    sway = 0.03 * np.sin(2 * np.pi * phase)
    drop = 0.75 * swing if act == "squat" else 0.0
    spread = np.radians(3 + 20 * swing) if act == "jacks" else np.radians(4)
    points = np.zeros((17, 2), np.float64)
    hip = -(_LEG[0] + _LEG[1]) * np.cos(spread) + drop
    for side, name in ((1, "left"), (-1, "right")):
        shoulder = np.array([0.38 * side + sway, hip - 1.0])
        points[AT[f"{name}_shoulder"]] = shoulder
        points[AT[f"{name}_hip"]] = (0.22 * side, hip)
        ankle = np.array([0.22 * side + side * (_LEG[0] + _LEG[1]) * np.sin(spread), 0.0])
        points[AT[f"{name}_ankle"]] = ankle
        points[AT[f"{name}_knee"]] = (points[AT[f"{name}_hip"]] + ankle) / 2 + np.array([0.55 * drop * side, 0])
        upper, fore = _arm(act, name, phase, swing)
        elbow = shoulder + _ARM[0] * np.array([side * np.sin(upper), np.cos(upper)])
        points[AT[f"{name}_elbow"]] = elbow
        points[AT[f"{name}_wrist"]] = elbow + _ARM[1] * np.array([side * np.sin(fore), np.cos(fore)])
        points[AT[f"{name}_eye"]] = (0.1 * side + sway, hip - 1.54)
        points[AT[f"{name}_ear"]] = (0.2 * side + sway, hip - 1.48)
    points[AT["nose"]] = (sway, hip - 1.45)
    return np.asarray(points * person.torso + (person.x, person.ground), np.float32)


def _arm(act: str, name: str, phase: float, swing: float) -> tuple[float, float]:
    """Angles of upper arm and forearm from straight down, outwards, radians."""
    if act == "wave" and name == "right":
        return (np.radians(125), np.radians(175 + 40 * np.sin(4 * np.pi * phase)))
    if act == "jacks":
        return (np.radians(14 + 146 * swing), np.radians(10 + 160 * swing))
    if act == "squat":
        return (np.radians(14 + 60 * swing), np.radians(8 + 85 * swing))
    return (np.radians(12), np.radians(7))


def turned(points: F32, degrees: float) -> F32:
    """Turned about the middle of the ankles, to the right."""
    pivot = points[[AT["left_ankle"], AT["right_ankle"]]].mean(axis=0)
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray((points - pivot) @ matrix + pivot, np.float32)


def wall(width: int, height: int, seed: int = 0) -> Rgb:
    """A room without anybody: a wall and a floor, softly lit."""
    rng = np.random.default_rng(seed)
    floor = int(height * 0.76)
    board = np.empty((height, width, 3), np.float32)
    board[:floor] = np.array((196, 202, 206)) - np.linspace(26, 0, floor)[:, None, None]
    board[floor:] = np.array((150, 132, 112)) + np.linspace(-14, 10, height - floor)[:, None, None]
    rough = cv2.resize(rng.normal(0, 5, (height // 12 + 1, width // 12 + 1)).astype(np.float32), (width, height))
    board += rough[..., None]
    board[floor : floor + max(height // 90, 1)] = (96, 88, 80)
    return np.clip(board, 0, 255).astype(np.uint8)


def draw(board: Rgb, points: F32, colour: int = 0) -> None:
    """Somebody with these keypoints (17, 2), in a jacket of a colour, onto the board."""
    size = float(np.linalg.norm(points[AT["left_shoulder"]] - points[AT["right_shoulder"]]))
    jacket, skin, hair = (table[colour % 5] for table in (_COLOURS, _SKINS, _HAIRS))
    for names in (("left_hip", "left_knee", "left_ankle"), ("right_hip", "right_knee", "right_ankle")):
        _limb(board, points[[AT[name] for name in names]], _TROUSERS, 0.36 * size)
    trunk = [points[AT[name]] for name in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")]
    _limb(board, np.array([*trunk, trunk[0]]), jacket, 0.34 * size)
    cv2.fillPoly(board, [np.rint(np.array(trunk)).astype(np.int32)], jacket, cv2.LINE_AA)
    dark = tuple(round(0.85 * value) for value in jacket)
    for side in ("left", "right"):
        arm = points[[AT[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist")]]
        _limb(board, arm, dark, 0.27 * size)
        _disc(board, arm[2], 0.15 * size, skin)
    _head(board, points, size, skin, hair)


def _head(board: Rgb, points: F32, size: float, skin: Sequence[int], hair: Sequence[int]) -> None:
    ears = points[[AT["left_ear"], AT["right_ear"]]]
    middle, neck = ears.mean(axis=0), points[[AT["left_shoulder"], AT["right_shoulder"]]].mean(axis=0)
    up = (middle - neck) / max(float(np.linalg.norm(middle - neck)), 1e-6)
    _limb(board, np.array([neck, middle]), skin, 0.24 * size)
    _disc(board, middle + 0.1 * size * up, 0.33 * size, hair)
    _disc(board, middle, 0.3 * size, skin)
    for eye in ("left_eye", "right_eye"):
        _disc(board, points[AT[eye]], 0.04 * size, (40, 36, 34))
    mouth = middle - 0.15 * size * up
    across = 0.1 * size * np.array([-up[1], up[0]])
    _limb(board, np.array([mouth - across, mouth + across]), [round(0.62 * part) for part in skin], 0.035 * size)


def _limb(board: Rgb, points: NDArray[np.floating], colour: Sequence[int], thick: float) -> None:
    spots = np.rint(points * 8).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(board, [spots], False, tuple(colour), max(round(thick), 1), cv2.LINE_AA, 3)


def _disc(board: Rgb, at: NDArray[np.floating], radius: float, colour: Sequence[int]) -> None:
    x, y = np.rint(np.asarray(at) * 8).astype(int).tolist()
    cv2.circle(board, (x, y), max(round(radius * 8), 4), tuple(colour), -1, cv2.LINE_AA, 3)


def poses(people: Sequence[NDArray[np.floating]], track_id: Sequence[int] | None = None, score: float = 0.9) -> Poses:
    """`Poses` of people (17, 2) or, with scores, (17, 3)."""
    rows = [np.c_[one, np.full(17, score)] if one.shape[1] == 2 else one for one in people]
    points = np.asarray(np.stack(rows), np.float32)
    ids = None if track_id is None else np.array(track_id, np.int64)
    return Poses(keypoints=points, score=points[..., 2].mean(axis=1), track_id=ids)


def box_of(points: F32, margin: float = 0.12) -> F32:
    """The box around somebody, xyxy."""
    low, high = points.min(axis=0), points.max(axis=0)
    edge = margin * (high[1] - low[1])
    return np.asarray([*(low - edge), *(high + edge * 0.7)], np.float32)


__all__ = [
    "ACTS", "AT", "Person", "box_of", "draw", "keypoints", "poses", "turned", "wall",
]  # fmt: skip
