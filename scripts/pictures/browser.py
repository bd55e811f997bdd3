"""Pages as pictures, by Chromium."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --force-device-scale-factor=1 --disable-lcd-text "
    "--font-render-hinting=none"
)
FOOT = 14
"""pixels left below the last thing of a page"""


def screenshot(page: Path, folder: Path, *, wide: int, high: int, whole: bool = False) -> NDArray[np.uint8]:
    """What a page shows in a window of this size, uint8 (h, w, 3) RGB; without its empty foot unless `whole`."""
    import cv2

    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("Chromium isn't installed; on Debian: make deps")
    target = folder / "page.png"
    own = [f"--user-data-dir={folder / 'profile'}", f"--window-size={wide},{high}", f"--screenshot={target}"]
    subprocess.run([browser, *FLAGS.split(), *own, page.resolve().as_uri()], check=True, capture_output=True)
    shown = np.asarray(cv2.imread(str(target)), dtype=np.uint8)[..., ::-1]
    return np.ascontiguousarray(shown if whole else _without_foot(shown))


def _without_foot(shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows = np.flatnonzero((shown != shown[-1, -1]).any(axis=(1, 2)))
    return shown[: int(rows[-1]) + FOOT] if len(rows) else shown


__all__ = ["screenshot"]
