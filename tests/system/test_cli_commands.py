"""Commands that other packages add through the entry points `streamproc.commands`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamproc.exits import BAD_CONFIG

MODULE = '''
import typer

app = typer.Typer(help="Look after cats.")


@app.command()
def feed(name: str) -> None:
    """Feed a cat."""
    typer.echo(f"{name} eats")


@app.command()
def stroke(name: str) -> None:
    """Stroke a cat."""


def weigh(name: str, kilos: float = 4.0) -> None:
    """Score a cat by weight."""
    typer.echo(f"{name}: {kilos}")


empty = typer.Typer()


def run(name: str) -> None:
    """Not to be had: run is built in."""
'''
POINTS = """
[streamproc.commands]
cats = cats_package:app
eval.cats = cats_package:weigh
run = cats_package:run
broken = cats_package:missing
"""
EMPTY = "empty = cats_package:empty\n"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder to be put on the path, as an installed package looks."""
    (tmp_path / "cats_package.py").write_text(MODULE)
    info = tmp_path / "cats_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cats-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    return tmp_path


def call(package: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(package)}
    return subprocess.run(
        [sys.executable, "-m", "streamproc", *words], capture_output=True, text=True, env=environment, check=False
    )


def without_broken(package: Path) -> None:
    points = package / "cats_package-1.0.dist-info" / "entry_points.txt"
    points.write_text(POINTS.replace("broken = cats_package:missing\n", ""))


def test_a_group_of_commands_is_listed_and_runs(package: Path) -> None:
    without_broken(package)
    assert "Look after cats." in call(package, "--help").stdout
    assert call(package, "cats", "feed", "Tom").stdout == "Tom eats\n"


def test_a_function_joins_a_group_that_is_there(package: Path) -> None:
    without_broken(package)
    listed = call(package, "eval", "--help").stdout
    assert "Score a cat by weight." in listed
    assert "tracking" in listed
    assert call(package, "eval", "cats", "Tom", "--kilos", "5").stdout == "Tom: 5.0\n"


def test_a_built_in_command_is_not_replaced(package: Path) -> None:
    without_broken(package)
    assert "Not to be had" not in call(package, "run", "--help").stdout


def test_command_of_two_packages_is_refused(package: Path) -> None:
    without_broken(package)
    (package / "dogs_package.py").write_text(MODULE.replace("cat", "dog"))
    info = package / "dogs_package-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dogs-package\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[streamproc.commands]\ncats = dogs_package:app\ndogs = dogs_package:app\n")
    done = call(package, "cats", "feed", "Tom")
    assert done.returncode == BAD_CONFIG
    assert "the command 'cats' is claimed twice: " in done.stderr
    assert "cats_package:app of cats-package 1.0" in done.stderr
    assert "dogs_package:app of dogs-package 2.0" in done.stderr
    assert call(package, "dogs", "feed", "Rex").stdout == "Rex eats\n"


def test_extension_without_command_is_named_alone(package: Path) -> None:
    points = package / "cats_package-1.0.dist-info" / "entry_points.txt"
    points.write_text(POINTS + EMPTY)
    assert "Look after cats." in call(package, "--help").stdout
    done = call(package, "empty", "Tom")
    assert done.returncode == BAD_CONFIG
    assert "the command 'empty' (cats_package:empty) can't be imported: RuntimeError(" in done.stderr


def test_extension_failing_to_import_is_named_alone(package: Path) -> None:
    done = call(package, "broken", "--anything", "at", "all")
    assert done.returncode == BAD_CONFIG
    assert "the command 'broken' (cats_package:missing) can't be imported: AttributeError(" in done.stderr
    assert call(package, "cats", "feed", "Tom").stdout == "Tom eats\n"
    assert "Look after cats." in call(package, "--help").stdout
