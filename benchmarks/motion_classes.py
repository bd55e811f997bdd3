"""Which nets use time: each architecture, narrow, trained for a short time on clips that only the order of their
pictures tells apart.

    python -m benchmarks.motion_classes [KIND ...]

Takes half an hour or more, most of it for `c3d`, `i3d` and `shufflenet3d`; name the kinds that you want.
Prints a table: accuracy on fresh clips (chance 25 % and 50 %), weights, seconds of training.
"""

from __future__ import annotations

import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from streamproc_plugins.action.nets import FLOW_KINDS, KINDS, build
from tests.motion_clips import FRAMES, SIDE, TASKS
from tests.training import accuracy, train

WIDTH = {"c3d": 0.125, "i3d": 0.125, "shufflenet3d": 0.5}
EPOCHS = 12
FLOW_TOO = ("cnn_lstm",)


def row(kind: str, flow: bool) -> str:
    """One line of the table."""
    import keras

    cells, weights, spent = [], 0, 0.0
    for task, classes in TASKS.items():
        keras.utils.set_random_seed(7)
        model = build(kind, frames=FRAMES, size=(SIDE, SIDE), classes=classes, width=WIDTH.get(kind, 0.125), flow=flow)
        start = time.perf_counter()
        train(model, task, epochs=EPOCHS, stop_at=0.98)
        spent += time.perf_counter() - start
        cells.append(f"{100 * accuracy(model, task):.0f} %")
        weights = model.count_params()
    name = f"{kind} with flow" if flow else kind
    return f"| `{name}` | {' | '.join(cells)} | {weights:,} | {spent:.0f} |"


def main(wanted: list[str]) -> None:
    """Print the table."""
    print("| net | motion (chance 25 %) | order (chance 50 %) | weights | training s |")
    print("|---|---|---|---|---|")
    for kind in wanted or KINDS:
        print(row(kind, kind in FLOW_KINDS), flush=True)
        if kind in FLOW_TOO:
            print(row(kind, True), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
