"""Pictures of a training: learning curves and the confusion matrix, drawn with OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.training.fit import History

U8 = NDArray[np.uint8]

_INK, _GRID, _BLUE, _ORANGE = (40, 40, 40), (225, 225, 225), (200, 120, 30), (30, 120, 230)  # BGR
_WIDE, _HIGH, _EDGE = 420, 280, 48


def curves(history: History) -> U8:
    """Loss and accuracy by epoch, in training and on the held-out samples: BGR uint8 (h, w, 3)."""
    rows = history.epochs
    losses = _panel("loss", [row.loss for row in rows], [row.val_loss for row in rows], history.best, None)
    right = _panel("accuracy", [row.accuracy for row in rows], [row.val_accuracy for row in rows], history.best, 1.0)
    return np.hstack([losses, right])


def _panel(title: str, ours: Sequence[float], held_out: Sequence[float], best: int, top: float | None) -> U8:
    import cv2

    board = np.full((_HIGH, _WIDE, 3), 255, np.uint8)
    values = [value for value in (*ours, *held_out) if np.isfinite(value)]
    highest = top or max(max(values, default=1.0), 1e-6) * 1.05
    left, right, low, high = _EDGE, _WIDE - 12, _HIGH - 36, 30

    def place(number: int, value: float) -> tuple[int, int]:
        x = left + (right - left) * (number / max(1, len(ours) - 1))
        return round(x), round(low - (low - high) * min(value / highest, 1.0))

    for part in range(5):
        y = round(low - (low - high) * part / 4)
        cv2.line(board, (left, y), (right, y), _GRID, 1)
        _write(board, f"{highest * part / 4:.2f}", (6, y + 4))
    x = place(best - 1, 0)[0]
    cv2.line(board, (x, low), (x, high), _GRID, 2)
    for line, colour in ((ours, _BLUE), (held_out, _ORANGE)):
        points = np.array([place(i, value) for i, value in enumerate(line) if np.isfinite(value)], np.int32)
        if len(points):
            cv2.polylines(board, [points.reshape(-1, 1, 2)], False, colour, 2, cv2.LINE_AA)
            cv2.circle(board, (int(points[-1][0]), int(points[-1][1])), 3, colour, -1, cv2.LINE_AA)
    _write(board, title, (left, 20), 0.5)
    _write(board, "training", (right - 180, 20), 0.42, _BLUE)
    _write(board, "held out", (right - 80, 20), 0.42, _ORANGE)
    _write(board, f"epoch 1 to {len(ours)}, best {best}", (left, _HIGH - 12))
    return board


def confusion_picture(matrix: NDArray[np.int64], labels: Sequence[str]) -> U8:
    """A confusion matrix (C, C) as a heat map of each row's parts, with counts: BGR uint8 (h, w, 3)."""
    import cv2

    count = len(labels)
    cell = max(14, min(56, 900 // count))
    names = [label if len(label) < 22 else label[:20] + ".." for label in labels]
    margin = 20 + max((7 * len(name) for name in names), default=0)
    board = np.full((margin + count * cell + 12, margin + count * cell + 12, 3), 255, np.uint8)
    parts = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    for row in range(count):
        for column in range(count):
            x, y = margin + column * cell, margin + row * cell
            shade = 1 - 0.8 * parts[row, column]
            colour = (255, round(255 * (0.25 + 0.75 * shade)), round(255 * shade))
            cv2.rectangle(board, (x, y), (x + cell - 2, y + cell - 2), colour, -1)
            if cell >= 24 and matrix[row, column]:
                text = str(matrix[row, column])
                _write(board, text, (x + cell // 2 - 4 * len(text), y + cell // 2 + 4))
        _write(board, names[row], (8, margin + row * cell + cell // 2 + 4))
    # names written below each other and turned read upwards; the turn puts the first one at the left
    across = np.full((board.shape[1], margin, 3), 255, np.uint8)
    for column in range(count):
        _write(across, names[column], (8, margin + column * cell + cell // 2 + 4))
    board[:margin] = np.rot90(across)
    _write(board, "truth: rows, found: columns", (8, 16))
    return board


def _write(
    board: U8, text: str, place: tuple[int, int], size: float = 0.38, colour: tuple[int, int, int] = _INK
) -> None:
    import cv2

    plain = text.encode("ascii", "replace").decode()  # OpenCV's letters
    cv2.putText(board, plain, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def save_png(path: Path, picture: Any) -> None:
    """Write BGR uint8 (h, w, 3) as PNG."""
    import cv2

    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())


__all__ = ["confusion_picture", "curves", "save_png"]
