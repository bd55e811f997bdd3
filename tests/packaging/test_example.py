"""The example package is what `streamproc plugins new` makes, and it works once installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamproc.cli.scaffold import make_package
from streamproc.errors import StreamprocError

EXAMPLE = Path(__file__).parents[2] / "plugins" / "example"


def contents(root: Path) -> dict[str, str]:
    paths = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(root)): path.read_text() for path in paths}


def test_the_example_is_what_the_command_makes(tmp_path: Path) -> None:
    made = make_package("dark-picture", tmp_path / "new")
    assert contents(made) == contents(EXAMPLE)


def test_it_refuses_names_and_folders_that_would_go_wrong(tmp_path: Path) -> None:
    with pytest.raises(StreamprocError, match="lower-case words"):
        make_package("../x", tmp_path)
    for taken in ("class", "numpy", "motion"):
        with pytest.raises(StreamprocError, match="is taken"):
            make_package(taken, tmp_path / taken)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(StreamprocError, match="isn't empty"):
        make_package("dark-scene", tmp_path)


def test_it_is_found_checked_and_run_once_installed(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*install, str(site), str(EXAMPLE)], check=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests")]
    subprocess.run(tests, check=True, env=environment, cwd=EXAMPLE)
    run = [sys.executable, "-m", "streamproc", "run", "example.yaml", "--quiet"]
    done = subprocess.run(run, check=True, env=environment, cwd=EXAMPLE, capture_output=True, text=True)
    assert "image.dark" in done.stdout
