"""The example package is what `streamproc plugins new` makes, and it works once installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamproc.cli.scaffold import PackageKind, make_package
from streamproc.errors import StreamprocError

EXAMPLE = Path(__file__).parents[2] / "plugins" / "example"


def contents(root: Path) -> dict[str, str]:
    paths = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(root)): path.read_text() for path in paths}


def test_the_example_is_what_the_command_makes(tmp_path: Path) -> None:
    made = make_package("dark-picture", tmp_path / "new")
    assert contents(made) == contents(EXAMPLE)


def test_wrong_names_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StreamprocError, match="lower-case words"):
        make_package("../x", tmp_path)
    for taken in ("class", "numpy", "motion"):
        with pytest.raises(StreamprocError, match="is taken"):
            make_package(taken, tmp_path / taken)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(StreamprocError, match="isn't empty"):
        make_package("dark-scene", tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A package of each kind, and the folder that they are installed in."""
    root, site = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("site")
    packages = [make_package(f"my-{kind}-thing", root / kind, kind) for kind in PackageKind]
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*install, str(site), *map(str, packages)], check=True)
    return root, site


@pytest.mark.parametrize("kind", PackageKind)
def test_new_package_passes_its_own_tests(kind: PackageKind, made: tuple[Path, Path]) -> None:
    root, site = made
    environment = {**os.environ, "PYTHONPATH": str(site)}
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    subprocess.run(tests, check=True, env=environment, cwd=root / kind)
    run = [sys.executable, "-m", "streamproc", "run", "example.yaml", "--quiet"]
    done = subprocess.run(run, check=False, env=environment, cwd=root / kind, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    written = (root / kind / "events.txt").read_text() if kind is PackageKind.sink else done.stdout
    wanted = {PackageKind.source: "", PackageKind.sink: "motion"}
    assert wanted.get(kind, f"my_{kind}_thing.seen") in written


def test_package_text_names_the_package(made: tuple[Path, Path]) -> None:
    for kind in PackageKind:
        text = " ".join(contents(made[0] / kind).values())
        assert "dark_picture" not in text
        assert "image.dark" not in text
        assert f"my_{kind}_thing" in text


def test_it_is_found_checked_and_run_once_installed(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*install, str(site), str(EXAMPLE)], check=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests")]
    subprocess.run(tests, check=True, env=environment, cwd=EXAMPLE)
    run = [sys.executable, "-m", "streamproc", "run", "example.yaml", "--quiet"]
    done = subprocess.run(run, check=True, env=environment, cwd=EXAMPLE, capture_output=True, text=True)
    assert "dark_picture.seen" in done.stdout
