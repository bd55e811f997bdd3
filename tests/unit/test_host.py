"""What `streamproc run` does to its own process before it starts."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = (
    "import cv2; from streamproc.engine.process import prepare_process; prepare_process(); print(cv2.getNumThreads())"
)


@pytest.mark.parametrize(("said", "threads"), [(None, 1), ("3", 3)])
def test_opencv_uses_one_thread_unless_configured(said: str | None, threads: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENCV_FOR_THREADS_NUM"}
    if said is not None:
        environment["OPENCV_FOR_THREADS_NUM"] = said
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == [str(threads)]
