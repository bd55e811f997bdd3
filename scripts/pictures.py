"""Makes the pictures of the documentation with the software itself, from its own synthetic scene.

python scripts/pictures.py   (needs Chromium for the report)
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
CONFIG = """
version: 1
streams:
  yard:
    source: {type: synthetic, options: {width: 960, height: 540, rate: 15, duration: 30s, seed: 4, figures: 9}}
    chain: [objects, tracks, rules, video]
    sinks: [log]
plugins:
  objects: {type: motion}
  tracks: {type: tracking}
  rules:
    type: rules
    options:
      zones: {pavement: {polygon: [[0.02, 0.55], [0.98, 0.55], [0.98, 0.98], [0.02, 0.98]], dwell: 3s}}
      lines: {middle: {points: [[0.5, 0.2], [0.5, 1.0]]}}
  video: {type: annotate, options: {path: annotated.mp4}}
sinks:
  log: {type: jsonl, options: {path: events.jsonl}}
"""
LARGEST = 200_000


def main() -> None:
    """Run the job, take a frame of its video and a screenshot of its report."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "job.yaml").write_text(CONFIG)
        words = ["-m", "streamproc", "run", "job.yaml", "--report", "report.html"]
        subprocess.run([sys.executable, *words], cwd=folder, check=True)
        save(PICTURES / "annotated.jpg", frame_at(folder / "annotated.mp4", lively_s(folder / "events.jsonl")))
        save(PICTURES / "report.jpg", screenshot(folder / "report.html", folder))


def lively_s(events: Path) -> float:
    """Media seconds just after the first crossing while at least three are in the zone."""
    told = [json.loads(line) for line in events.read_text().splitlines()]
    visits = [
        (record["data"]["start_s"], record["data"]["end_s"])
        for record in told
        if record["type"] == "zone.entered" and record["data"]["phase"] == "end"
    ]
    crossings: list[float] = [record["data"]["start_s"] for record in told if record["type"] == "line.crossed"]
    for at in crossings:
        if sum(start <= at <= end for start, end in visits) >= 3:
            return at + 0.3
    raise SystemExit("nobody crosses the line while others are in the zone: look at the configuration")


def frame_at(video: Path, at_s: float) -> NDArray[np.uint8]:
    """The first frame from this time on, uint8 BGR."""
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= at_s:
                return np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)
    raise SystemExit(f"{video} ends before {at_s} s")


def screenshot(page: Path, folder: Path) -> NDArray[np.uint8]:
    """The upper part of a page, uint8 BGR."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("Chromium isn't installed; on Debian: make deps")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    more = "--disable-component-update --disable-sync --hide-scrollbars --window-size=1280,1000"
    target = folder / "report.png"
    profile = f"--user-data-dir={folder / 'profile'}"
    words = [browser, *flags.split(), *more.split(), profile, f"--screenshot={target}", page.as_uri()]
    subprocess.run(words, check=True, capture_output=True)
    return np.asarray(cv2.imread(str(target)), dtype=np.uint8)


def save(path: Path, picture: NDArray[np.uint8]) -> None:
    """As the best JPEG that is small enough for a repository."""
    for quality in range(90, 40, -5):
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if done and len(data) < LARGEST:
            path.write_bytes(data.tobytes())
            sys.stdout.write(f"wrote {path}: {len(data):,} bytes\n")
            return
    raise SystemExit(f"{path.name} doesn't fit into {LARGEST:,} bytes")


if __name__ == "__main__":
    main()
