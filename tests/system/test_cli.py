"""The command line as its users see it: a program of its own, its output, its exit codes."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamproc import Event
from streamproc.exits import BAD_CONFIG, INTERRUPTED, OK, PLUGIN_FAILED, STREAM_FAILED
from streamproc.frames import SECOND_NS
from streamproc.sink import SinkContext
from streamproc.sinks.sqlite import SqliteOptions, SqliteSink
from streamproc.testing import make_frame
from tests.events import check_record
from tests.videos import Recipe, cut_off, encode, numbered

PLUGINS = '''
"""Plugins of the tests, found as module:Class beside the configuration."""
import sys
from streamproc import Event, Field, Frame, FramePlugin, Moment, Options, Output, Results, StreamPlugin


class DarkOptions(Options):
    limit: float = Field(40, ge=0, le=255, description="mean grey level below which a frame is dark")


class Dark(FramePlugin[DarkOptions]):
    """Emits `image.dark` for every frame darker than `limit`."""

    def process(self, frame: Frame, past: Results) -> Output:
        level = float(frame.gray.mean())
        if level < self.options.limit:
            yield Event.instant(frame, "image.dark", score=1 - level / 255, level=level)


class GateOptions(Options):
    path: str = Field(description="a named pipe: `flush` waits until somebody opens it")


class Gate(StreamPlugin[GateOptions]):
    """Emits an event for every frame, and delays the end of the stream."""

    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "gate.seen")

    def flush(self, moment: Moment) -> Output:
        print("flushing", file=sys.__stdout__, flush=True)
        with open(self.options.path) as pipe:
            pipe.read()
        return []


class Broken(FramePlugin[Options]):
    """Has a bug that shows at the fourth frame."""

    def process(self, frame: Frame, past: Results) -> Output:
        if frame.index == 3:
            raise ValueError(f"frame {frame.index} of rtsp://user:topsecret@camera/ is too much")
        return []


class Stuck(StreamPlugin[Options]):
    """Never comes back from the third frame."""

    def process(self, frame: Frame, past: Results) -> Output:
        import threading

        if frame.index > 2:
            print("stuck", file=sys.__stdout__, flush=True)
            threading.Event().wait()
        return []
'''

CONFIG = """
version: 1
streams:
  yard:
    source: {type: synthetic, options: {duration: 4s, width: 160, height: 96, lights: [1s, 3s]}}
    rate: 5
    chain: [dark]
    sinks: [log]
plugins:
  dark: {type: "mine:Dark", options: {limit: 60}}
  gate: {type: "mine:Gate", options: {path: pipe}, timeout: 10min}
  broken: {type: "mine:Broken", on_error: disable}
  stuck: {type: "mine:Stuck", timeout: 10min}
sinks:
  log: {type: jsonl, options: {path: events.jsonl}}
  screen: {type: stdout, options: {format: json}}
  store: {type: sqlite, options: {path: events.db}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration and the plugins that it names."""
    (tmp_path / "mine.py").write_text(PLUGINS)
    (tmp_path / "job.yaml").write_text(CONFIG)
    return tmp_path


def environment() -> dict[str, str]:
    """Of a terminal of 160 columns, with no model folder or cache of whoever runs the tests."""
    stored = {key: value for key, value in os.environ.items() if not key.startswith("STREAMPROC_")}
    return {**stored, "COLUMNS": "160", "PYTHONFAULTHANDLER": "1"}


def call(folder: Path, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `streamproc WORDS` in a folder, to its end."""
    command = [sys.executable, "-m", "streamproc", *words]
    return subprocess.run(
        command, cwd=folder, env={**environment(), **extra}, capture_output=True, text=True, timeout=120, check=False
    )


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start `streamproc WORDS`; its errors go to the file `stderr`."""
    with (folder / "stderr").open("w") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "streamproc", *words],
            cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Programs put in here are gone when the test ends."""
    running: list[subprocess.Popen[str]] = []
    yield running
    for program in running:
        program.kill()
        program.communicate()


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def ledger(summary: str, stream: str = "yard") -> dict[str, int]:
    """The numbers of one stream in the summary at the end of a run."""
    (row,) = [line.split() for line in summary.splitlines() if line.split()[:1] == [stream] and "0:00" in line]
    return {"observed": int(row[2]), "processed": int(row[3])}


def test_run_writes_events_and_a_summary(folder: Path) -> None:
    done = call(folder, "run", "job.yaml")
    assert done.returncode == OK, done.stderr
    found = records(folder / "events.jsonl")
    assert {record["type"] for record in found} == {"image.dark"}
    assert [record["data"]["start_s"] for record in found] == pytest.approx([1 + i / 5 for i in range(10)])
    for record in found:
        check_record(record)
    assert ledger(done.stderr) == {"observed": 60, "processed": 20}
    assert done.stdout == ""


def test_quiet_says_nothing_and_stdout_has_events_only(folder: Path) -> None:
    done = call(folder, "run", "job.yaml", "--quiet", "--set", "streams.yard.sinks=[screen]")
    assert (done.returncode, done.stderr) == (OK, "")
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 10


def test_set_changes_a_value_of_the_configuration(folder: Path) -> None:
    done = call(folder, "run", "job.yaml", "--set", "streams.yard.rate=2", "--set", "plugins.dark.options.limit=255")
    assert ledger(done.stderr) == {"observed": 60, "processed": 8}
    assert len(records(folder / "events.jsonl")) == 8


def test_check_shows_the_chain_and_opens_nothing(folder: Path) -> None:
    done = call(folder, "check", "job.yaml")
    assert done.returncode == OK
    assert "yard: dark -> log" in done.stdout
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == {"mine.py", "job.yaml"}


def test_check_lists_every_mistake_with_its_place(folder: Path) -> None:
    text = CONFIG.replace("rate: 5", "rat: 5").replace("limit: 60", "limit: 600").replace("[log]", "[lgo]")
    (folder / "job.yaml").write_text(text)
    done = call(folder, "check", "job.yaml")
    assert done.returncode == BAD_CONFIG
    assert "3 mistakes" in done.stderr
    assert re.search(r"job\.yaml:6:5: .*did you mean 'rate'", done.stderr)
    assert re.search(r"job\.yaml:8:\d+: .*did you mean 'log'", done.stderr)
    assert re.search(r"job\.yaml:10:\d+: .*limit", done.stderr)


@pytest.mark.parametrize("command", ["check", "run"])
def test_wrong_model_and_label_are_configuration_mistakes(folder: Path, command: str) -> None:
    wrong = (
        "  first: {type: detection, options: {model: yolox-nanno}}\n"
        "  second: {type: detection, options: {labels: [persn]}}\n"
    )
    (folder / "job.yaml").write_text(CONFIG.replace("plugins:\n", f"plugins:\n{wrong}"))
    done = call(folder, command, "job.yaml")
    assert done.returncode == BAD_CONFIG
    assert "2 mistakes" in done.stderr
    assert re.search(r"job\.yaml:\d+:45: plugins\.first\.options\.model: .*did you mean 'yolox-nano'", done.stderr)
    assert re.search(r"job\.yaml:\d+:48: plugins\.second\.options\.labels\.0: .*did you mean 'person'", done.stderr)
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["nonsense"], "nonsense"),
        (["run"], "config"),
        (["run", "nowhere.yaml"], "nowhere.yaml"),
        (["run", "job.yaml", "--log-level", "loud"], "debug"),
        (["run", "job.yaml", "--metrics-port", "70000"], "65535"),
        (["run", "job.yaml", "--report", "job.yaml/report.html"], "report"),
        (["check", "job.yaml", "--set", "streams.yard.rate"], "key=value"),
        (["probe", "nowhere.mp4"], "nowhere.mp4"),
        (["schema", "evnt"], "did you mean 'event'"),
        (["plugins", "detecton"], "did you mean 'detection'"),
        (["plugins", "new"], "needs a name"),
        (["plugins", "new", "okname", "--kind", "sorce"], "error: Invalid value for '--kind': 'sorce' is not one of"),
        (["events", "job.yaml"], "job.yaml isn't an SQLite database; name one that a sqlite sink wrote"),
        (["plugins", "new", "okname", "--into", "job.yaml"], "job.yaml can't be written (Not a directory)"),
        (["plugins", "new", "okname", "--into", "job.yaml/x"], "x can't be written (Not a directory)"),
        (["demo", "--out", "job.yaml"], "job.yaml can't be written (File exists)"),
        (["models", "pull", "yolox-nnao"], "did you mean 'yolox-nano'"),
        (["events", "nowhere.db"], "nowhere.db"),
        (["repro", "nowhere.zip"], "nowhere.zip"),
        (["eval", "mot", "nowhere", "nowhere"], "nowhere"),
    ],
)
def test_wrong_usage_gives_a_sentence_and_code_2(folder: Path, words: list[str], printed: str) -> None:
    done = call(folder, *words)
    assert done.returncode == BAD_CONFIG
    assert printed in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "events.jsonl").exists()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_truncated_recording_has_an_exit_code(folder: Path, name: str) -> None:
    recipe = Recipe(frames=60, container={"movflags": "faststart"} if name == "a.mp4" else {})
    cut_off(encode(folder / name, recipe), at=0.6)
    ran = call(folder, "run", "job.yaml", "--set", f"streams.yard.source={name}")
    assert ran.returncode == STREAM_FAILED
    assert re.search(rf"stream yard failed: {name} breaks off after \d+ pictures", ran.stderr)


def test_probe_takes_folders_patterns_and_cameras_too(folder: Path) -> None:
    (folder / "shots").mkdir()
    for number in range(3):
        assert cv2.imwrite(str(folder / "shots" / f"a{number}.png"), numbered(number, 64, 48))
    assert cv2.imwrite(str(folder / "shots" / "b.jpg"), numbered(3, 32, 24))
    (folder / "shots" / "c.jpg").write_bytes(b"no picture")
    whole, some, camera = (call(folder, "probe", source) for source in ("shots", "shots/a*.png", "97"))
    assert (whole.returncode, some.returncode, camera.returncode) == (OK, OK, BAD_CONFIG)
    for said in (
        "5 files in natural order, a0.png to c.jpg", "png 3, jpg 2", "64x48; 1 picture of another size",
        "1 file that can't be read", "5 files, all there are",
    ):  # fmt: skip
        assert said in whole.stdout
    assert re.search(r"size: +64x48\n", some.stdout)
    assert "0 files that can't be read" in some.stdout
    assert "camera /dev/video97 doesn't exist" in camera.stderr


def test_pipe_in_place_of_a_file_is_refused(folder: Path) -> None:
    os.mkfifo(folder / "a.mp4")
    probed = call(folder, "probe", "a.mp4")
    ran = call(folder, "run", "job.yaml", "--set", "streams.yard.source=a.mp4")
    assert (probed.returncode, ran.returncode) == (BAD_CONFIG, STREAM_FAILED)
    for said in (probed.stderr, ran.stderr):
        assert "a.mp4 is a pipe, expected a video file" in said


def test_no_command_shows_all_commands(folder: Path) -> None:
    done = call(folder, "--help")
    assert done.returncode == OK
    commands = ("run", "check", "demo", "probe", "schema", "plugins", "events", "repro", "models", "eval")
    assert [name for name in commands if name not in done.stdout] == []
    alone = call(folder)
    assert alone.returncode == BAD_CONFIG
    assert alone.stderr.strip().startswith("Usage")


def test_unopenable_stream_has_its_code_others_are_complete(folder: Path) -> None:
    more = "  gone: {source: nowhere.mp4, chain: [dark], sinks: [log]}\nplugins:"
    (folder / "job.yaml").write_text(CONFIG.replace("plugins:", more))
    done = call(folder, "run", "job.yaml")
    assert done.returncode == STREAM_FAILED
    assert "nowhere.mp4" in done.stderr
    assert len(records(folder / "events.jsonl")) == 10


def test_failing_plugin_leaves_a_bundle_until_corrected(folder: Path) -> None:
    done = call(
        folder, "run", "job.yaml", "--set", "streams.yard.chain=[broken, dark]", "--set", "streams.yard.rate=15"
    )
    assert done.returncode == PLUGIN_FAILED
    assert "switched off" in done.stderr
    (bundle,) = (folder / ".streamproc" / "bundles").glob("*.zip")
    refused = call(folder, "repro", str(bundle))
    assert refused.returncode == BAD_CONFIG
    assert f"if you know it, name it: streamproc repro {bundle} --module mine" in refused.stderr
    again = call(folder, "repro", str(bundle), "--module", "mine")
    assert again.returncode == 0
    assert "frame 3 of rtsp://***@camera/ is too much" in again.stdout
    assert "topsecret" not in done.stderr + again.stdout + again.stderr
    (folder / "mine.py").write_text(PLUGINS.replace("frame.index == 3", "False"))
    mended = call(folder, "repro", str(bundle), "--module", "mine")
    assert mended.returncode == 1
    assert "no failure" in mended.stdout


def test_plugin_prints_are_logged_apart_from_events(folder: Path) -> None:
    (folder / "talk.py").write_text(
        PLUGINS.split("class DarkOptions", maxsplit=1)[0]
        + """
class Talk(FramePlugin[Options]):
    def process(self, frame, past):
        print("frame", frame.index, end="")
        print("!", flush=True)
        yield Event.instant(frame, "talk.seen")
"""
    )
    job = """
version: 1
streams: {yard: {source: {type: synthetic, options: {duration: 400ms}}, chain: [talk], sinks: [screen]}}
plugins: {talk: {type: "talk:Talk"}}
sinks: {screen: {type: stdout, options: {format: json}}}
runtime: {workers: 1}
"""
    (folder / "talk.yaml").write_text(job)
    done = call(folder, "run", "talk.yaml", "--log-format", "json")
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["talk.seen"] * 6
    printed = {json.loads(line)["message"] for line in done.stderr.splitlines()}
    assert {f"printed: frame {index}!" for index in range(6)} <= printed


def test_summary_shows_the_time_of_each_plugin(folder: Path) -> None:
    done = call(folder, "run", "job.yaml")
    assert re.search(r"yard +dark +\d+ +\d+\.\d +\d+\.\d", done.stderr)


def test_passwords_in_addresses_are_in_no_output(folder: Path) -> None:
    address = "http://user:hush4711@127.0.0.1:1/live.mp4?token=hush4711"
    (folder / "job.yaml").write_text(
        CONFIG.replace("{type: synthetic, options: {duration: 4s, width: 160, height: 96, lights: [1s, 3s]}}", "${CAM}")
    )
    words = ("--report", "report.html", "--log-level", "debug", "--set", "streams.yard.source=${CAM}")
    done = call(folder, "run", "job.yaml", *words, CAM=address)
    assert done.returncode == STREAM_FAILED
    assert "127.0.0.1:1" in done.stderr
    probed = call(folder, "probe", address)
    wrong = call(folder, "check", "job.yaml", "--set", f"streams.yard.rate={address}")
    assert (probed.returncode, wrong.returncode) == (BAD_CONFIG, BAD_CONFIG)
    outputs = [run.stdout + run.stderr for run in (done, probed, wrong)]
    written = [path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()]
    assert [text for text in (*outputs, *written) if "hush4711" in text] == []


def test_json_log_lines_are_json_whatever_happens(folder: Path) -> None:
    words = ("run", "job.yaml", "--log-format", "json", "--log-level", "info")
    done = call(folder, *words, "--set", "streams.yard.chain=[broken]", "--set", "streams.yard.rate=15")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == PLUGIN_FAILED
    assert all(set(line) >= {"time", "level", "logger", "message"} for line in lines)
    assert any("broken" in line["message"] and line["level"] == "warning" for line in lines)
    assert "exit code 4" in lines[-1]["message"]
    wrong = call(folder, *words, "--report", "job.yaml/report.html")
    assert json.loads(wrong.stderr.splitlines()[-1])["level"] == "error"


def test_broken_picture_adds_nothing_to_json_log(folder: Path) -> None:
    (folder / "pictures").mkdir()
    (folder / "pictures" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    source = "streams.yard.source={type: images, options: {path: pictures}}"
    done = call(folder, "run", "job.yaml", "--log-format", "json", "--set", source)
    messages = [json.loads(line)["message"] for line in done.stderr.splitlines()]
    assert any("1.png can't be read as a picture" in message for message in messages)


@pytest.fixture
def hangups_heeded() -> Iterator[None]:
    """SIGHUP has its default, which programs inherit: under nohup it is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangups_heeded")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_signal_ends_the_run_in_order(
    folder: Path, started: list[subprocess.Popen[str]], number: signal.Signals
) -> None:
    words = ("--set", "streams.yard.sinks=[screen, log]", "--set", "streams.yard.source.options.duration=5h")
    run = start(folder, "run", "job.yaml", *words, "--set", "plugins.dark.options.limit=255")
    started.append(run)
    assert run.stdout is not None
    first = run.stdout.readline()
    run.send_signal(number)
    rest = run.stdout.read().splitlines()
    assert run.wait(60) == INTERRUPTED
    printed = (folder / "stderr").read_text()
    shown, stored = [json.loads(line) for line in (first, *rest)], records(folder / "events.jsonl")
    assert shown == stored
    assert [record["data"]["frame"] for record in stored] == [3 * i for i in range(len(stored))]
    assert ledger(printed)["processed"] == len(stored)
    assert "exit code 130" in printed


def test_second_signal_ends_a_stuck_run_at_once(folder: Path, started: list[subprocess.Popen[str]]) -> None:
    run = start(folder, "run", "job.yaml", "--quiet", "--set", "streams.yard.chain=[stuck]")
    started.append(run)
    assert run.stdout is not None
    assert run.stdout.readline() == "stuck\n"
    run.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        run.wait(1)  # the first asks for an orderly end, which never comes
    run.send_signal(signal.SIGINT)
    assert run.wait(60) == INTERRUPTED


def scrape(address: str) -> dict[str, Any]:
    """The families of a Prometheus page by name."""
    with urllib.request.urlopen(address, timeout=10) as page:
        return {family.name: family for family in text_string_to_metric_families(page.read().decode())}


def test_the_prometheus_page_counts_as_the_ledger_does(folder: Path, started: list[subprocess.Popen[str]]) -> None:
    os.mkfifo(folder / "pipe")
    words = ("--set", "streams.yard.chain=[dark, gate]", "--set", "streams.yard.sinks=[screen]")
    run = start(folder, "run", "job.yaml", "--metrics-port", "0", *words)
    started.append(run)
    assert run.stdout is not None
    lines = [run.stdout.readline() for _ in range(31)]  # 10 dark frames, 20 in all, and that the stream is at its end
    assert "flushing\n" in lines
    address = re.search(r"http://127\.0\.0\.1:\d+/metrics", (folder / "stderr").read_text())
    assert address is not None
    families = scrape(address[0])
    with (folder / "pipe").open("w"):
        pass
    assert run.wait(60) == OK
    outcomes: Counter[str] = Counter()
    for sample in families["streamproc_frames"].samples:
        outcomes[sample.labels["outcome"]] += int(sample.value)
    printed = ledger((folder / "stderr").read_text())
    assert outcomes["processed"] == printed["processed"] == 20
    assert outcomes["sampled_out"] == 40
    flying = families["streamproc_frames_in_flight"].samples
    assert outcomes.total() + sum(int(sample.value) for sample in flying) == printed["observed"] == 60
    by_type = {s.labels["type"]: s.value for s in families["streamproc_events"].samples if s.name.endswith("_total")}
    assert by_type == {"image.dark": 10, "gate.seen": 20}
    assert families["streamproc_frames"].type == families["streamproc_events"].type == "counter"
    check_histogram(families["streamproc_plugin_seconds"], {"stream": "yard", "plugin": "dark"}, count=20)
    check_histogram(families["streamproc_end_to_end_latency_seconds"], {"stream": "yard"}, count=20)


def check_histogram(family: Any, labels: dict[str, str], count: int) -> None:
    """A true histogram: buckets that only grow, the last of them as high as the count, a sum above 0."""
    assert family.type == "histogram"
    own = [sample for sample in family.samples if labels.items() <= sample.labels.items()]
    buckets = [sample.value for sample in own if sample.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert own[len(buckets) - 1].labels["le"] == "+Inf"
    (total,) = (sample.value for sample in own if sample.name.endswith("_count"))
    (seconds,) = (sample.value for sample in own if sample.name.endswith("_sum"))
    assert buckets[-1] == total == count
    assert seconds > 0


def test_events_and_pictures_are_found_in_a_database(folder: Path) -> None:
    call(folder, "run", "job.yaml", "--quiet", "--set", "streams.yard.sinks=[store, log]")
    as_json = call(folder, "events", "events.db", "--type", "image", "--from", "2", "--json", "--pictures", "shots")
    found = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert found[::-1] == [record for record in records(folder / "events.jsonl") if record["data"]["start_s"] >= 2]
    assert len(found) == 5
    assert {path.name.split("-")[0] for path in (folder / "shots").iterdir()} == {record["id"] for record in found}
    refused = call(folder, "events", "events.db", "--pictures", "job.yaml")
    assert refused.returncode == BAD_CONFIG
    assert "job.yaml can't be written (File exists); choose another place" in refused.stderr
    table = call(folder, "events", "events.db", "--limit", "3")
    assert table.stdout.count("image.dark") == 3
    assert call(folder, "events", "events.db", "--stream", "other").stdout.count("image.dark") == 0
    recent = call(folder, "events", "events.db", "--last", "2h")
    assert recent.stdout.count("image.dark") == 0
    assert "events of recordings have no time of day" in recent.stderr
    for wrong, words in (("2", "a duration with its unit"), ("9999999999d", "--last")):
        refused = call(folder, "events", "events.db", "--last", wrong)
        assert (refused.returncode, words in refused.stderr, "Traceback" in refused.stderr) == (BAD_CONFIG, True, False)


def test_events_are_listed_newest_first_in_local_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    sink = SqliteSink(SqliteOptions(path=folder / "events.db"))
    sink.open(SinkContext(name="store", log=logging.getLogger(__name__)))
    noon = 1_777_000_000 * SECOND_NS  # 2026-04-24 03:06:40 UTC, 08:36:40 in Kolkata
    for n, text in enumerate(("A dog sits.", "A person runs.")):
        frame = replace(make_frame(index=n, pts_s=float(n)), captured_ns=noon + n * SECOND_NS)
        sink.write([Event.instant(frame, "caption", text=text).stamped(frame.stream, "captions", 0)])
    sink.close()
    lines = [line for line in call(folder, "events", "events.db").stdout.splitlines() if " 2026-" in line]
    assert [line.split()[:2] for line in lines] == [["2026-04-24", "08:36:41.0"], ["2026-04-24", "08:36:40.0"]]
    assert lines[0].strip().endswith("A person runs.")
    since = call(folder, "events", "events.db", "--since", "2026-04-24T08:36:41", "--json")
    assert [json.loads(line)["data"]["text"] for line in since.stdout.splitlines()] == ["A person runs."]
    oldest = call(folder, "events", "events.db", "--oldest", "--limit", "1")
    assert "A dog sits." in oldest.stdout
    assert "(the limit" in oldest.stderr


def test_probe_describes_a_video(folder: Path) -> None:
    encode(folder / "clip.mp4", Recipe())
    done = call(folder, "probe", "clip.mp4")
    assert done.returncode == OK
    facts = {line.split(":")[0]: line.split(":", 1)[1].strip() for line in done.stdout.splitlines()}
    assert facts["codec"].startswith("h264")
    width, height = Recipe().size
    assert facts["size"] == f"{width}x{height}"
    assert facts["time stamps"].startswith("0 missing, 0 repeated, 0 gaps")
    assert facts["damaged"] == "0 packets"


def test_schema_fits_accepted_configurations(folder: Path) -> None:
    from ruamel.yaml import YAML

    schema = json.loads(call(folder, "schema").stdout)
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    document = YAML(typ="safe").load(CONFIG)
    assert list(validator.iter_errors(document)) == []
    document["streams"]["yard"]["rate"] = "fast"
    document["sinks"]["log"]["options"]["mode"] = "sideways"
    wrong = {tuple(error.absolute_path)[:3] for error in validator.iter_errors(document)}
    assert wrong == {("streams", "yard", "rate"), ("sinks", "log", "options")}
    assert json.loads(call(folder, "schema", "event").stdout)["title"] == "streamproc event"


def test_plugins_lists_installed_ones_and_explains_one(folder: Path) -> None:
    listed = call(folder, "plugins").stdout
    assert [name for name in ("detection", "tracking", "rules", "synthetic", "jsonl") if name not in listed] == []
    printed = call(folder, "plugins", "tracking").stdout
    assert "needs: Detections" in printed
    assert "lost_for" in printed
    own = call(folder, "plugins", "mine:Dark").stdout
    assert "mean grey level below which a frame is dark" in own
    both = call(folder, "plugins", "kafka").stdout
    assert "source kafka" in both
    assert "sink kafka" in both


def test_models_are_listed_without_a_network(folder: Path) -> None:
    done = call(folder, "models", "list", "--task", "detection", STREAMPROC_CACHE=str(folder / "cache"))
    assert done.returncode == OK
    assert "yolox-nano" in done.stdout
    assert "movenet" not in done.stdout


def test_demo_works_without_network_and_models(folder: Path) -> None:
    import av

    nowhere = "http://127.0.0.1:1"
    lone = {"STREAMPROC_CACHE": str(folder / "cache"), "HTTPS_PROXY": nowhere, "ALL_PROXY": nowhere}
    done = call(folder, "demo", **lone)
    assert done.returncode == OK, done.stderr
    assert "a synthetic scene is shown and motion detection does the job" in done.stderr
    assert "STREAMPROC_SAMPLES" in done.stderr
    out = folder / "out" / "demo"
    written = ("events.jsonl", "annotated.mp4", "report.html", "config.yaml")
    assert [name for name in written if str(Path("out/demo") / name) not in done.stderr] == []
    found = records(out / "events.jsonl")
    for record in found:
        check_record(record)
    assert {"zone.entered", "zone.left", "line.crossed"} <= {record["type"] for record in found}
    with av.open(str(out / "annotated.mp4")) as video:
        assert video.streams.video[0].codec_context.name == "h264"
        times = [frame.time for frame in video.decode(video=0)]
    assert len(times) == ledger(done.stderr, "camera")["processed"]
    assert times[-1] == pytest.approx(30, abs=0.2)
    assert "line.crossed" in (out / "report.html").read_text()
    assert call(folder, "check", "out/demo/config.yaml").returncode == OK
    assert not (folder / ".streamproc").exists()
