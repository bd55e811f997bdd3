"""Secrets stay inside: whatever goes wrong, no output of any kind holds a password, a token or a key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from streamproc.config import load_text
from streamproc.engine import replay_bundle
from streamproc.errors import ConfigError, StreamprocError, redact, redact_values
from streamproc.media.ffmpeg import explain
from streamproc.models import ModelStore
from streamproc.registry import Registry
from streamproc.secrets import address_mistake, forget, is_plain, remember
from streamproc.source import SourceContext
from streamproc.sources.file import FileOptions, FileSource
from streamproc.sources.rtsp import RtspOptions, RtspSource
from streamproc.testing import make_frames, plugin_plan, source_context
from tests.engine.leaky import Leaky
from tests.engine.running import run_faulty
from tests.machine import REPOSITORY
from tests.servers.process import free_ports

MARK = "Zx7S3CR3Tq"

FORMS = tuple(
    form.replace("MARK", MARK)
    for form in (
        "rtsp://viewer:MARK@127.0.0.1:1/live",
        "rtsp://viewer:pa@MARK@127.0.0.1:1/live",
        "rtsp://viewer:MARK/1@127.0.0.1:1/live",
        "rtsp://viewer:pa#MARK@127.0.0.1:1/live",
        "rtsp://viewer:MARK?1@127.0.0.1:1/live",
        "rtsp://viewer:pa MARK@127.0.0.1:1/live",
        "rtsp://viewer:pa'MARK@127.0.0.1:1/live",
        'rtsp://viewer:pa"MARK@127.0.0.1:1/live',
        "rtsp://viewer:pa:MARK@127.0.0.1:1/live",
        "rtsp://viewer:pa%40MARK@127.0.0.1:1/live",
        "rtsp://:MARK@127.0.0.1:1/live",
        "rtsp://MARK@127.0.0.1:1/live",
        "rtsps://viewer:MARK@127.0.0.1:1/live",
        "rtsp://127.0.0.1:1/user=admin_password=MARK_channel=1_stream=0.sdp",
        "rtsp://127.0.0.1:1/videostream?loginuse=admin&loginpas=MARK",
        "http://127.0.0.1:1/video.mp4?user=admin&pass=MARK",
        "http://127.0.0.1:1/video.mp4?a=1;pw=MARK",
        "http://127.0.0.1:1/video.mp4?X-Amz-Date=1&X-Amz-Signature=MARK&b=2",
        "http://127.0.0.1:1/video.mp4?access_key=MARK",
        "http://127.0.0.1:1/video.m3u8?jwt=MARK#top",
        "http://viewer:pa<MARK>@127.0.0.1:1/video.mp4",
        "viewer:MARK@127.0.0.1:1/live",
    )
)


def every_option(value: Any) -> str:
    """A configuration that gives `value` to every option of everything installed."""
    registry = Registry()

    def used(kind: Any, name: str) -> dict[str, Any]:
        return {"type": name, "options": dict.fromkeys(getattr(registry, kind)(name).options_type.model_fields, value)}

    streams = {name: {"source": used("source", name), "chain": [], "sinks": []} for name in registry.names("source")}
    plugins = {name: used("plugin", name) for name in registry.names("plugin")}
    sinks = {name: used("sink", name) for name in registry.names("sink")}
    return json.dumps({"version": 1, "streams": streams, "plugins": plugins, "sinks": sinks})


def every_place(value: Any) -> str:
    """A configuration that has `value` at every place outside of options."""
    streams = {
        "numbers": dict.fromkeys(("source", "rate", "flow", "buffer", "reconnect", "identity"), value),
        "names": {"source": value, "chain": [value, {"use": "kind", "options": {"x": value}}], "sinks": [value]},
        "lists": {"source": {"type": value}, "chain": value, "sinks": value},
    }
    plugins = {
        "kind": {"type": value},
        "shots": {"type": "shots", "inputs": {"tracks": value}, "on_error": value, "rate": value, "timeout": value},
    }
    runtime = dict.fromkeys(("workers", "state", "commit", "drain", "call_limit", "open_limit"), value)
    sinks = {"kind": {"type": value}}
    return json.dumps({"version": value, "streams": streams, "plugins": plugins, "sinks": sinks, "runtime": runtime})


def mistakes(value: str, environment: dict[str, str]) -> str:
    found = []
    for config, least in ((every_option(value), 100), (every_place(value), 10)):
        with pytest.raises(ConfigError) as caught:
            load_text(config, environment=environment)
        assert len(caught.value.issues) > least
        found.append(str(caught.value))
    return "\n".join(found)


@pytest.mark.parametrize("form", FORMS)
def test_configuration_mistakes_show_no_secret_of_an_address(form: str) -> None:
    assert MARK not in mistakes(form, {})
    forget()
    assert MARK not in mistakes("${ADDRESS}", {"ADDRESS": form})


@pytest.mark.parametrize("text", [f"'{FORMS[0]}'", f"[{FORMS[0]}]", f"{{a: {FORMS[0]}, a: &x *y}}", f"{FORMS[0]}: 1"])
def test_file_that_is_no_configuration_quotes_no_secret(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    assert MARK not in str(caught.value)


@pytest.mark.parametrize("secret", [MARK, "geheim", "4711815", "a b", "true"])
def test_environment_values_are_named_and_never_shown(secret: str) -> None:
    text = mistakes("${A_NAME}", {"A_NAME": secret})
    assert f"'{secret}'" not in text
    assert "${A_NAME}" in text
    if not is_plain(secret):
        assert secret not in text


class _Refusing(BaseHTTPRequestHandler):
    """Knows no page; FFmpeg gives up at once, while it tries a closed port for seconds."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Nothing to log."""


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    """Host and port of a web server that has nothing."""
    server = HTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def served(form: str, host: str) -> str:
    """The address with a web server that answers, where it is one of HTTP."""
    return form.replace("127.0.0.1:1", host) if form.startswith("http") else form


@pytest.mark.parametrize("form", FORMS)
def test_source_errors_show_no_secret_of_the_address(form: str, refusing: str) -> None:
    # as in a program that uses the sources by themselves: nobody has read a configuration
    for error in (ConnectionRefusedError(111, "refused"), TimeoutError(), OSError(5, f"odd: {form}"), ValueError()):
        assert MARK not in str(explain(error, form, live=True))
    if "://" in form and address_mistake(form):
        return  # never opened: FFmpeg would look for another host
    form = served(form, refusing)
    options = RtspOptions.model_construct(url=form, transport="tcp", open_timeout=10**9, read_timeout=10**9)
    file_options = FileOptions.model_construct(path=form)
    for source in (RtspSource(options), FileSource(file_options)):
        with pytest.raises(StreamprocError) as caught:
            source.open(context())
        assert MARK not in str(caught.value)


def context() -> SourceContext:
    return source_context()


def outputs(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Everything that a run left, by name; archives member by member."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as bundle:
                yield from ((f"{path.name}/{name}", bundle.read(name)) for name in bundle.namelist())
        elif path.is_file():
            yield path.name, path.read_bytes()


def excerpt(data: bytes, secret: str) -> bytes:
    """The first place where the secret stands, for whoever has to find out how it got there."""
    at = data.find(secret.encode())
    return data[max(0, at - 200) : at + 100]


def job(folder: Path, port: int, host: str) -> dict[str, Any]:
    """A job whose plugin, sinks and sources fail with all their secrets on their lips."""
    accepted = [served(form, host) for form in FORMS if form.startswith("http") and "<" not in form]
    streams: dict[str, Any] = {
        f"away{n}": {"source": form, "chain": [], "sinks": ["lines"]} for n, form in enumerate(accepted)
    }
    scene = {"type": "synthetic", "options": {"duration": "2s", "width": 64, "height": 48, "rate": 5}}
    streams["leaky"] = {"source": scene, "chain": ["leaky"], "sinks": ["lines", "table", "base", "screen", "deaf"]}
    leaky = {
        "addresses": [*FORMS, "${ADDRESS}"], "tokens": [MARK + "t1", MARK + "t2"], "password": 4711815,
        "note": "${NOTE}", "metrics": f"http://127.0.0.1:{port}/metrics", "seen": str(folder / "out" / "seen.txt"),
    }  # fmt: skip
    return {
        "version": 1,
        "streams": streams,
        "plugins": {"leaky": {"type": "tests.engine.leaky:Leaky", "on_error": "stop", "options": leaky}},
        "sinks": {
            "lines": {"type": "jsonl", "options": {"path": str(folder / "out" / "events.jsonl")}},
            "table": {"type": "csv", "options": {"path": str(folder / "out" / "events.csv")}},
            "base": {"type": "sqlite", "options": {"path": str(folder / "out" / "events.db")}},
            "screen": {"type": "stdout"},
            "deaf": {"type": "tests.engine.leaky:Deaf", "options": {"url": FORMS[1], "credentials": "${NOTE}"}},
        },
        "runtime": {"state": str(folder / "out" / "state")},
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_output_of_a_run_holds_a_secret(form: str, refusing: str, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    (tmp_path / "out").mkdir()
    (tmp_path / "job.yaml").write_text(json.dumps(job(tmp_path, port, refusing)))
    command = [
        sys.executable, "-m", "streamproc", "run", str(tmp_path / "job.yaml"), "--log-format", form, "--log-level",
        "debug", "--metrics-port", str(port), "--report", str(tmp_path / "out" / "report.html"),
    ]  # fmt: skip
    secrets = {"NOTE": f"{MARK}-note", "ADDRESS": f"rtsp://me:pa@{MARK}@127.0.0.1:1/"}
    done = subprocess.run(
        command, env={**os.environ, **secrets}, cwd=REPOSITORY, capture_output=True, timeout=120, check=False
    )
    found = {**dict(outputs(tmp_path / "out")), "stdout": done.stdout, "stderr": done.stderr}
    assert {"seen.txt", "events.jsonl", "events.csv", "events.db", "report.html", "outbox.sqlite"} <= set(found)
    assert any(name.endswith("bundle.json") for name in found)
    assert b"streamproc_frames_total" in found["seen.txt"]
    assert b"it went wrong with" in done.stderr
    assert b"in a thread of its own" in done.stderr
    assert done.returncode == 5
    assert {name: excerpt(data, MARK) for name, data in found.items() if MARK.encode() in data} == {}
    assert {name: excerpt(data, "4711815") for name, data in found.items() if b"4711815" in data} == {}


@pytest.mark.logs_errors
def test_a_bundle_names_the_options_that_it_masks(tmp_path: Path) -> None:
    run_faulty([plugin_plan(Leaky, addresses=FORMS[:2], password=4711815)], make_frames(2), tmp_path)
    text = b"".join(data for name, data in outputs(tmp_path / "bundles"))
    assert MARK.encode() not in text
    assert b'"password": "***"' in text
    (bundle,) = (tmp_path / "bundles").iterdir()
    replay = replay_bundle(bundle, Registry(), ModelStore(), ["tests.engine.leaky"])
    assert "addresses, password had another value" in replay.notes[-1]


def test_report_configuration_holds_references_and_no_secret() -> None:
    config = """
    version: 1
    streams: {a: {source: {type: synthetic}, chain: [leaky], sinks: []}}
    plugins:
      leaky: {type: "tests.engine.leaky:Leaky", options: {note: "${NOTE}", password: 4711815, tokens: [hidden, more]}}
    """
    written = str(load_text(config, environment={"NOTE": MARK}).source)
    assert "${NOTE}" in written
    assert not any(secret in written for secret in (MARK, "4711815", "hidden"))


@pytest.mark.parametrize(
    "value",
    [
        "25",
        "10s",
        "true",
        "warehouse",
        "/var/lib/out",
        "10.0.0.7",
        "broker:9092,other:9092",
        "1.5",
        "on",
        "hall (2).mp4",
        "clips/Hall-2.MP4",
        "C:\\clips\\hall.avi",
        "yolox-nano",
        "traffic_light",
        "Zone 1",
        "Hall B",
    ],
)
def test_plain_values_of_the_environment_stay_readable(value: str) -> None:
    config = (
        "{version: 1, streams: {a: {source: {type: synthetic}}}, sinks: {s: {type: jsonl, options: {path: '${V}'}}}}"
    )
    load_text(config, environment={"V": value})
    assert redact(f"it says {value} here") == f"it says {value} here"


def test_known_secret_is_masked_in_every_form() -> None:
    secret = 'p@s"s w\\rd/1'
    remember({"password": secret})
    for text in (secret, repr(secret), json.dumps(secret), "p%40s%22s%20w%5Crd%2F1"):
        assert "w" not in redact(f"x {text} y")


def test_counts_near_a_secret_key_are_no_secrets() -> None:
    options = {"max_tokens": 120, "author": "me", "key_point": 3, "topic": "a/b", "enabled_auth": True}
    assert redact_values(options) == options


@pytest.mark.parametrize(
    ("password", "code"), [("a@b", "@ as %40"), ("a/b", "/ as %2F"), ("a#b", "# as %23"), ("q w", "a blank as %20")]
)
def test_address_to_be_encoded_is_refused_with_advice(password: str, code: str) -> None:
    config = f"{{version: 1, streams: {{a: {{source: 'rtsp://viewer:{password}@cam/live', sinks: []}}}}}}"
    with pytest.raises(ConfigError) as caught:
        load_text(config)
    assert code in str(caught.value)
    assert "use the options user and password" in str(caught.value)
    assert password not in str(caught.value)


def test_rtsp_login_may_hold_any_character() -> None:
    options = RtspOptions(url="rtsp://cam:554/live", user="me@site", password="p@/#? '1")
    assert options.address == "rtsp://me%40site:p%40%2F%23%3F%20%271@cam:554/live"
    with pytest.raises(ValueError, match="leave one of the two out"):
        RtspOptions(url="rtsp://me:x@cam/live", user="me", password="x")


@pytest.mark.parametrize("text", ["a-b_c." * 40_000, "a://" * 50_000 + "@", "a:b" * 60_000 + "@=://", "x=" * 80_000])
def test_slow_texts_are_masked_like_any_other(text: str) -> None:
    remember({"tokens": [f"{MARK}{n}" for n in range(50)]})
    assert redact(f"{text} token={MARK} rtsp://me:{MARK}@cam/").endswith(" token=*** rtsp://***@cam/")
