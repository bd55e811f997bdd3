"""Which nets use time: each architecture, narrow, trained for a short time on clips that only the order of their
pictures tells apart.

    python -m benchmarks.motion_classes [KIND ...]

Takes a quarter of an hour; name the kinds that you want.
Prints a table: accuracy on fresh clips (chance 25 % and 50 %), weights, seconds of CPU time of each training.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from streamproc_plugins.action.nets import FLOW_KINDS, KINDS, build
from tests.motion_clips import FRAMES, SIDE, TASKS
from tests.training import accuracy, train

NARROW: dict[str, dict[str, Any]] = {
    "i3d": {"side": 16, "options": {"dropout": 0.0}},
    "c3d": {"side": 16, "options": {"dropout": 0.0}},
    "shufflenet3d": {"width": 0.25, "options": {"dropout": 0.0, "units": (2, 2, 2)}},
}
"""what differs from an eighth of the filters, 32x32 pixels and the default rate, so that a minute is enough"""
EPOCHS = 12
FLOW_TOO = ("cnn_lstm",)


def row(kind: str, flow: bool) -> str:
    """One line of the table."""
    import keras

    narrow, cells, spent, weights = NARROW.get(kind, {}), [], [], 0
    side = narrow.get("side", SIDE)
    settings = {"width": narrow.get("width", 0.125), "flow": flow, **narrow.get("options", {})}
    for task, classes in TASKS.items():
        keras.utils.set_random_seed(7)
        model = build(kind, frames=FRAMES, size=(side, side), classes=classes, **settings)
        start = time.process_time()
        train(model, task, epochs=EPOCHS, stop_at=0.98, rate=narrow.get("rate", 2e-3))
        spent.append(f"{time.process_time() - start:.0f}")
        cells.append(f"{100 * accuracy(model, task, clips=512):.0f} %")
        weights = model.count_params()
    name = f"`{kind}`, `flow=True`" if flow and kind not in FLOW_KINDS else f"`{kind}`"
    return f"| {name} | {side} | {' | '.join(cells)} | {weights:,} | {' + '.join(spent)} |"


def main(wanted: list[str]) -> None:
    """Print the table."""
    print("| net | side | `motion` (chance 25 %) | `order` (chance 50 %) | weights | training, CPU s |")
    print("|---|---|---|---|---|---|")
    for kind in wanted or KINDS:
        print(row(kind, kind in FLOW_KINDS), flush=True)
        if kind in FLOW_TOO:
            print(row(kind, True), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
