"""The docker files are well-formed and fit what is in the repository; they are linted here, not built."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from ruamel.yaml import YAML

from tests.machine import REPOSITORY

DOCKER = REPOSITORY / "docker"
TOOLS = Path(sys.executable).parent


def run(*command: str | Path) -> str:
    """What a program prints; the test fails with it if the program does."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_dockerfile_passes_hadolint() -> None:
    run(TOOLS / "hadolint", DOCKER / "Dockerfile")


def test_compose_file_fits_the_specification() -> None:
    run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yml")


def test_every_file_that_compose_mounts_is_there() -> None:
    services = YAML(typ="safe").load(DOCKER / "compose.yml")["services"]
    mounts = [mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])]
    local = [mount for mount in mounts if mount.startswith(".")]
    assert local
    assert [mount for mount in local if not (DOCKER / mount).exists()] == []


def test_image_installs_the_same_dependencies() -> None:
    printed = run(
        sys.executable, "docker/requirements.py", "tensorflow=tensorflow-cpu", "opencv-python=opencv-python-headless"
    ).splitlines()
    wanted = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    swaps = [(old, new) for old, new in zip(wanted, printed, strict=True) if old != new]
    assert [re.split("[<>=]", new)[0] for _, new in swaps] == ["tensorflow-cpu", "opencv-python-headless"]


def test_dashboard_asks_prometheus_for_metrics_of_ours_only() -> None:
    dashboard = json.loads((DOCKER / "grafana/dashboards/streamproc.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    names = {name for text in asked for name in re.findall(r"\b[a-z_]+(?=\{|\)|$|\[)", text) if "_" in name}
    assert names
    assert {name for name in names if not name.startswith("streamproc_")} == set()
    sources = YAML(typ="safe").load(DOCKER / "grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"] for source in sources}
