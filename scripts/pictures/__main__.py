"""Makes all pictures of the documentation, or those that are named.

python -m scripts.pictures [NAME ...]   (needs Chromium; `--list` tells the names)
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from scripts.pictures.catalogue import MAKERS, Picture, Studio

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
LARGEST = 66_000
"""bytes of a file; about thirty of them must stay below 2 MB"""
MODULES = (
    "overview",
    "following",
    "labelling",
    "acting",
    "people",
    "areas",
    "faces",
    "telling",
    "watching",
    "searching",
)


def load() -> None:
    """Import every module that makes pictures."""
    for module in MODULES:
        importlib.import_module(f"scripts.pictures.{module}")


def main(words: list[str]) -> int:
    """Make what is asked for; exit status 1 where a name isn't known."""
    parser = argparse.ArgumentParser(prog="python -m scripts.pictures", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a file without its ending; all where none is named")
    parser.add_argument("--list", action="store_true", help="tell the names and end")
    parser.add_argument("--to", type=Path, default=PICTURES, metavar="FOLDER", help="where they go (docs/pictures)")
    parser.add_argument("--shelf", type=Path, metavar="FOLDER", help="keep trained nets there for the next call")
    asked = parser.parse_args(words)
    load()
    files = {Path(file).stem: file for file in MAKERS}
    if asked.list:
        sys.stdout.write("\n".join(files) + "\n")
        return 0
    if unknown := [name for name in asked.names if name not in files]:
        sys.stderr.write(f"no picture {', '.join(unknown)}; there are {', '.join(files)}\n")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        shelf = asked.shelf or Path(folder)
        shelf.mkdir(parents=True, exist_ok=True)
        _make([files[name] for name in asked.names or files], asked.to, Studio(shelf))
    return 0


def _make(files: list[str], folder: Path, studio: Studio) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for number, file in enumerate(files, 1):
        began = time.monotonic()
        size = save(folder / file, MAKERS[file](studio))
        took = time.monotonic() - began
        sys.stdout.write(f"[{number}/{len(files)}] {file}: {size:,} bytes, {took:.0f} s\n")
        sys.stdout.flush()


def save(path: Path, made: Picture) -> int:
    """As PNG, or as the best JPEG that is small enough for a repository; gives its bytes."""
    import cv2

    bgr = np.ascontiguousarray(made[..., ::-1])
    size = 0
    for how in [[cv2.IMWRITE_PNG_COMPRESSION, 9]] if path.suffix == ".png" else _jpegs():
        data = cv2.imencode(path.suffix, bgr, how)[1]
        size = len(data)
        if size <= LARGEST:
            path.write_bytes(data.tobytes())
            return size
    raise SystemExit(f"{path.name} takes {size:,} bytes at least, at most {LARGEST:,}: make it smaller, or a .jpg")


def _jpegs() -> list[list[int]]:
    """Settings from good to bad: coloured letters stay sharp only where no colour is thrown away, which costs room."""
    import cv2

    whole, half = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    tries = [(quality, whole) for quality in range(92, 76, -4)] + [(quality, half) for quality in range(82, 40, -4)]
    return [
        [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor, cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        for quality, factor in tries
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
