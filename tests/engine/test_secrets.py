"""Secrets stay inside: in bundles, in what a report shows of the configuration, and in its mistakes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from streamproc import Field, Frame, FramePlugin, Options, Output, Results
from streamproc.config import load_text
from streamproc.errors import ConfigError
from streamproc.testing import make_frames, plugin_plan
from tests.engine.running import run_faulty


class SecretOptions(Options):
    url: str = Field("", description="an address")
    api_token: str = Field("", description="a token")


class Leaky(FramePlugin[SecretOptions]):
    """Fails and tells its secrets."""

    def process(self, frame: Frame, past: Results) -> Output:
        raise ValueError(f"can't reach {self.options.url}")


def test_a_bundle_holds_no_secret(tmp_path: Path) -> None:
    run_faulty(
        [plugin_plan(Leaky, url="http://me:hidden@host/?token=hidden", api_token="hidden")], make_frames(2), tmp_path
    )
    (path,) = (tmp_path / "bundles").iterdir()
    with zipfile.ZipFile(path) as bundle:
        text = b"".join(bundle.read(name) for name in bundle.namelist())
    assert b"hidden" not in text
    assert b"api_token" in text


CONFIG = """
version: 1
streams: {a: {source: {type: synthetic}, chain: [leaky], sinks: []}}
plugins: {leaky: {type: "tests.engine.test_secrets:Leaky", options: {url: "http://me:hidden@host/", api_token: VALUE}}}
"""


def test_the_configuration_of_a_report_holds_no_secret() -> None:
    assert "hidden" not in str(load_text(CONFIG.replace("VALUE", "hidden")).source)
    kept = load_text(CONFIG.replace("VALUE", '"${A_TOKEN}"'), environment={"A_TOKEN": "hidden"}).source
    assert "hidden" not in str(kept)
    assert "${A_TOKEN}" in str(kept)


def test_a_mistake_in_a_secret_does_not_show_it() -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(CONFIG.replace("VALUE", "4711815"))
    assert "api_token" in str(caught.value)
    assert "4711815" not in str(caught.value)
