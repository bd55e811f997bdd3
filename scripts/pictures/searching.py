"""A memory of what a stream showed, searched by a picture: the page that `streamproc search --html` writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from scripts.pictures.box_nets import HW, boxes_net, street
from scripts.pictures.browser import screenshot
from scripts.pictures.catalogue import Picture, Studio, picture
from scripts.pictures.nets import keep, picture_input
from scripts.pictures.runs import scene

CUTS = (20, 40, 60, 80, 100)
SCENE = "width: 640, height: 360, rate: 2, seed: 77, figures: 24, noise: 3"
CONFIG = """
version: 1
streams:
  yard:
    source: {{type: synthetic, options: {{{scene}, duration: 120s, cuts: [{cuts}]}}}}
    chain: [what, memory]
    sinks: []
plugins:
  what: {{type: embed, options: {{model: vectors}}}}
  memory: {{type: remember, options: {{path: "memory/{{stream}}", every: 2s, alike: 0.99, thumbnail_side: 320}}}}
"""


def vectors_net(studio: Studio) -> Path:
    """The features of the net of `boxes_net` by a grid of 4 x 3, as they differ from those of other streets."""

    def make(folder: Path) -> None:
        import keras

        whole = keras.saving.load_model(boxes_net(studio) / "net.keras", compile=False)
        features = [layer for layer in whole.layers if layer.name.startswith("conv2d")][-4].output
        coarse = keras.Model(whole.input, keras.layers.Flatten()(keras.layers.AveragePooling2D((4, 5))(features)))
        streets = coarse.predict(street(150)[0].astype(np.float32), verbose=0)
        mean, spread = streets.mean(axis=0), streets.var(axis=0) + 1e-3
        centred = keras.layers.Normalization(mean=mean.tolist(), variance=spread.tolist())(coarse.output)
        net = keras.Model(whole.input, centred)
        keep(folder, net, task="embedding", decode="embedding", input=picture_input(HW))

    return studio.once("vectors", make)


@picture("search.jpg")
def search(studio: Studio) -> Picture:
    """A picture of one of six views is asked for."""

    def work(folder: Path) -> None:
        text = CONFIG.format(scene=SCENE, cuts=", ".join(f"{at}s" for at in CUTS))
        (folder / "job.yaml").write_text(text)
        made = scene(width=640, height=360, rate=2, seconds=120, seed=77, figures=24, noise=3,
                     cuts_ns=tuple(at * 1_000_000_000 for at in CUTS))  # fmt: skip
        cv2.imwrite(str(folder / "asked.png"), made.render(101)[..., ::-1])
        own = os.environ | {"STREAMPROC_CACHE": str(folder / "models")}
        asks = "search memory --image asked.png --html found.html --limit 7 --together 0"
        for words in (f"models add {vectors_net(studio)}", "run job.yaml", asks):
            command = [sys.executable, "-m", "streamproc", *words.split()]
            subprocess.run(command, cwd=folder, env=own, check=True, capture_output=True)

    folder = studio.once("search", work)
    return screenshot(folder / "found.html", studio.folder, wide=960, high=1200)


__all__ = ["search"]
