"""Configurations: every mistake at once, with its place and the nearest right word."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from streamproc import (
    ConfigError,
    Detections,
    FramePlugin,
    Mistake,
    ModelError,
    Options,
    PluginError,
    Registry,
    StreamPlugin,
    Tracks,
    registry,
)
from streamproc.config import config_schema, guess_source, load, load_text, wire
from streamproc.models import ModelStore
from streamproc.options import parse_duration
from streamproc.testing import plugin_plan

GOOD = """\
version: 1
defaults:
  rate: 10
  sinks: [log]
streams:
  dock:
    source: clip.mp4
    chain: [people, {use: fence, options: {zones: {yard: {polygon: [[0, 0], [1, 0], [1, 1]]}}}}]
    rate: 5
  gate:
    source: {type: rtsp, options: {url: "rtsp://user:${PASSWORD}@camera/1"}}
    chain: [people]
plugins:
  people: {type: "tests.unit.test_config:GivesTracks", timeout: 5s}
  fence: {type: rules}
sinks:
  log: {type: jsonl, options: {path: "${OUT:-out}/events.jsonl"}}
"""


class GivesTracks(FramePlugin[Options]):
    gives = (Tracks, Detections)

    def process(self, frame: Any, past: Any) -> Any:
        return ()


class AlsoGivesTracks(GivesTracks):
    pass


class NeedsTracks(StreamPlugin[Options]):
    needs = (Tracks,)

    def process(self, frame: Any, past: Any) -> Any:
        return ()


def mistakes(text: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, environment=environment)
    return [str(issue) for issue in caught.value.issues]


def test_a_right_configuration_becomes_a_plan() -> None:
    plan = load_text(GOOD, environment={"PASSWORD": "pw"})
    dock, gate = plan.streams
    assert (dock.rate, gate.rate) == (5, 10)
    assert dock.sinks == gate.sinks == ("log",)
    assert [entry.name for entry in dock.chain] == ["people", "fence"]
    assert dock.chain[0].timeout_ns == 5_000_000_000
    assert dock.chain[1].inputs[Tracks] == "people"
    assert str(plan.sinks[0].options.model_dump()["path"]) == "out/events.jsonl"


def test_chain_entry_options_are_the_streams_own() -> None:
    plan = load_text(GOOD, environment={"PASSWORD": "pw"})
    assert "yard" in plan.streams[0].chain[1].options.model_dump()["zones"]


def test_environment_secrets_stay_out_of_the_plan() -> None:
    plan = load_text(GOOD, environment={"PASSWORD": "pw"})
    assert "pw@" not in json.dumps(plan.source)


BAD = """\
version: 1
streams:
  dock:
    source: {type: fil, options: {path: x.mp4}}
    rat: 5
    chain: [peple, fence]
    sinks: [lgo]
plugins:
  people: {type: "tests.unit.test_config:GivesTracks", timeout: 5, max_failures: 0}
  fence: {type: detection, options: {min_scor: 0.5, max_items: many}}
sinks:
  log: {type: jsonl, options: {path: "${NOWHERE}/x"}}
"""


def test_all_mistakes_are_listed_with_place_and_suggestion() -> None:
    reported = mistakes(BAD)
    expected = {
        "config:4:20": "did you mean 'file'",
        "config:5:5": "did you mean 'rate'",
        "config:6:13": "did you mean 'people'",
        "config:7:13": "did you mean 'log'",
        "config:9:65": "with its unit",
        "config:9:82": "greater than or equal to 1",
        "config:10:38": "did you mean 'min_score'",
        "config:10:64": "expected a whole number, got 'many'",
        "config:12:38": "NOWHERE isn't set",
    }
    assert len(reported) == len(expected), reported
    for place, words in expected.items():
        assert any(line.startswith(place + ":") and words in line for line in reported), (place, words, reported)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds nothing"),
        ("- a\n", "expected keys such as version"),
        ("version: 1\nstreams: {a: {source: [}\n", "not valid YAML"),
        ("version: 1\nversion: 1\n", "the key 'version' stands here again"),
        ("version: 2\nstreams: {a: {source: x}}\n", "expected 1, got 2"),
        ("version: 1\n", "'streams' is missing"),
        ("version: 1\nstreams: {}\n", "at least 1"),
        ("version: 1\nstreams: {a: {}}\n", "'source' is missing"),
        ("version: 1\nstreams: {a: {source: x, flow: {method: vectors}}}\n", "'dis', 'farneback' or 'lk'"),
        ("version: 1\nstreams: {a: {source: x, buffer: 5}}\n", "with its unit"),
    ],
)
def test_mistakes_are_reported(text: str, words: str) -> None:
    assert any(words in line for line in mistakes(text)), mistakes(text)


POLYGON = "plugins: {p: {type: rules, options: {zones: {y: {polygon: %s}}}}}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (POLYGON % "5", "polygon: expected a list of lists of 2 numbers, got 5"),
        (POLYGON % "[[0, 0], [1], [1, 1]]", "polygon.1: expected a list of 2 numbers, got a list with 1 entry"),
        (POLYGON % "[[0, 0, 0]]", "polygon.0: expected at most 2 entries, got 3"),
        ("plugins: {p: {type: rules, options: {zones: {y: 7}}}}", "expected keys with values (known: labels, "),
        ("plugins: {p: {type: detection, options: {labels: person}}}", "expected a list of texts, got 'person'"),
        ("plugins: {p: {type: detection, options: {model: [1]}}}", "expected a text, got a list with 1 entry"),
        ("plugins: {p: {type: pose_events, options: {events: []}}}", "expected at least 1 entry, got none"),
        ("plugins: {p: {type: pose_events, options: {hands: up}}}", "expected 'any' or 'both', got 'up'"),
        ("plugins: {p: {type: action, options: {across_cuts: maybe}}}", "expected true or false, got 'maybe'"),
        ("plugins: {p: {type: labels, rate: fast}}", "rate: expected a number, got 'fast'"),
        ("plugins: {p: {type: labels, inputs: [a]}}", "inputs: expected keys with values, got a list with 1 entry"),
        ("runtime: {state: 5}", "state: expected a path, got 5"),
        ("runtime: {state: }", "state: expected a path, got nothing"),
        ("sinks: {log: {type: kafka, options: {topic: a b, servers: x}}}", "letters, digits, '.', '_' and '-' only"),
        ("defaults: {chain: {a: true}}", "chain: expected a list of entries, got keys with values"),
    ],
)  # fmt: skip
def test_mistakes_are_explained_without_python_terms(text: str, words: str) -> None:
    reported = [line for line in mistakes(f"version: 1\nstreams: {{a: {{source: x.mp4}}}}\n{text}\n") if words in line]
    assert reported, mistakes(f"version: 1\nstreams: {{a: {{source: x.mp4}}}}\n{text}\n")
    for word in ("tuple", "dictionary", "instance", "valid", "<class", "None", "^["):
        assert word not in reported[0]


def test_wrong_file_content_is_named_in_words() -> None:
    assert mistakes("- a\n") == ["config: holds a list with 1 entry, expected keys such as version and streams"]


def test_a_missing_file_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml.*can't be read"):
        load(tmp_path / "nothing.yaml")


def test_set_overrides_values_and_names_its_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(GOOD)
    environment = {"PASSWORD": "x"}
    plan = load(file, overrides=["streams.dock.rate=2", "runtime.workers=3"], environment=environment)
    assert (plan.streams[0].rate, plan.runtime.workers) == (2, 3)
    with pytest.raises(ConfigError, match=r"--set streams\.dock\.rate: .*number"):
        load(file, overrides=["streams.dock.rate=fast"], environment=environment)
    with pytest.raises(ConfigError, match="isn't of the form"):
        load(file, overrides=["rate"], environment=environment)


def test_variables_have_defaults_and_stand_in_values_only() -> None:
    text = "version: 1\nstreams: {a: {source: '${CLIP:-a.mp4}', rate: '${RATE}'}}\n"
    plan = load_text(text, environment={"RATE": "2.5"})
    assert plan.streams[0].rate == 2.5
    assert str(plan.streams[0].source_options.model_dump()["path"]).endswith("a.mp4")


def test_plugin_without_its_input_is_refused_early() -> None:
    _, issues = wire([plugin_plan(NeedsTracks, name="fence")])
    assert "needs Tracks, but no plugin before it" in issues[0].message


def test_an_ambiguous_input_must_be_chosen() -> None:
    chain = [
        plugin_plan(GivesTracks, name="near"),
        plugin_plan(AlsoGivesTracks, name="far"),
        plugin_plan(NeedsTracks, name="fence"),
    ]
    _, issues = wire(chain)
    assert "near and far both give Tracks; say which: inputs: {tracks: far}" in issues[0].message
    wired, issues = wire(chain, [{}, {}, {"tracks": "near"}])
    assert not issues
    assert wired[2].inputs[Tracks] == "near"
    _, issues = wire(chain, [{}, {}, {"tracks": "nera"}])
    assert "did you mean 'near'" in issues[0].message


@pytest.mark.parametrize(
    ("text", "ns"), [("2s", 2 * 10**9), ("500ms", 5 * 10**8), ("1.5min", 90 * 10**9), ("1h", 3600 * 10**9)]
)
def test_durations_carry_their_unit(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize("wrong", [5, 2.0, "5", "s", "-1s", None, True])
def test_a_duration_without_a_unit_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="with its unit"):
        parse_duration(wrong)


def test_editor_schema_accepts_what_the_loader_accepts() -> None:
    from ruamel.yaml import YAML

    schema = config_schema(Registry())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = YAML(typ="safe", pure=True).load(GOOD)
    jsonschema.validate(document, schema)
    document["plugins"]["fence"]["options"] = {"zons": {}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


ROOT = Path(__file__).parents[2]
CONFIGS = sorted([*(ROOT / "configs").glob("*.yaml"), *(ROOT / "docker" / "config").glob("*.yaml")])


@pytest.mark.parametrize("file", CONFIGS, ids=lambda path: path.name)
def test_every_configuration_that_we_ship_is_right(file: Path) -> None:
    environment = {"CAMERA_URL": "rtsp://camera/1", "DOCK_URL": "rtsp://camera/2", "KAFKA": "localhost:9092"}
    assert load(file, environment=environment).streams


def test_unpackaged_code_is_found_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "beside_the_config.py").write_text(
        "from streamproc import FramePlugin, Options\n"
        "class Mine(FramePlugin[Options]):\n"
        "    def process(self, frame, past):\n"
        "        return ()\n"
    )
    file = tmp_path / "c.yaml"
    file.write_text(
        "version: 1\nstreams: {a: {source: x.mp4, chain: [mine]}}\nplugins: {mine: {type: 'beside_the_config:Mine'}}\n"
    )
    assert load(file).streams[0].chain[0].cls.__name__ == "Mine"


def test_a_file_that_exists_is_no_pattern(tmp_path: Path) -> None:
    clip = tmp_path / "Title [id].mp4"
    clip.touch()
    assert guess_source(str(clip))["type"] == "file"
    assert guess_source(str(tmp_path / "*.png"))["type"] == "images"
    assert guess_source(str(tmp_path / "*"))["type"] == "images"
    assert guess_source(str(tmp_path / "*.jp*g"))["type"] == "images"
    assert guess_source(str(tmp_path / "gone [2024].mp4"))["type"] == "file"  # which says that it doesn't exist


def test_merge_keys_and_tags_are_read() -> None:
    text = "version: 1\nstreams:\n  b: &x {source: a.mp4}\n  c:\n    <<: *x\n    rate: 2\n"
    assert [stream.rate for stream in load_text(text).streams] == [None, 2]
    assert mistakes('version: 1\nstreams: !!python/object/apply:os.system ["echo hi"]\n')


def test_two_that_would_write_one_file_are_refused() -> None:
    text = (
        "version: 1\n"
        "streams: {a: {source: a.mp4, chain: [video]}, b: {source: b.mp4, chain: [video]}}\n"
        "plugins: {video: {type: annotate, options: {path: out.mp4}}}\n"
        "sinks: {x: {type: jsonl, options: {path: o/e.jsonl}}, y: {type: csv, options: {path: ./o/e.jsonl}}}\n"
    )
    reported = mistakes(text)
    assert any("video of stream b writes out.mp4, and so does video of stream a" in line for line in reported), reported
    assert any("sink y writes" in line and "so does sink x" in line for line in reported), reported
    assert len(load_text(text.replace("out.mp4", "'{stream}.mp4'").replace("./o/", "./p/")).streams) == 2


CHAIN = """
version: 1
streams: {{a: {{source: {{type: synthetic}}, chain: [people, tracks, fence], sinks: [log]}}}}
plugins:
  people: {people}
  tracks: {{type: tracking{follow}}}
  fence: {{type: rules, options: {rules}}}
sinks: {{log: {{type: jsonl, options: {{path: e.jsonl}}}}}}
"""
DETECTION = "{type: detection, options: {model: yolox-nano, labels: [person, car]}}"


def line(labels: str = "[]") -> str:
    return f"{{lines: {{l: {{labels: {labels}, points: [[0.1, 0.5], [0.9, 0.5]]}}}}}}"


def left(label: str) -> str:
    return f"{{left_objects: {{l: {{labels: [{label}]}}}}}}"


@pytest.mark.parametrize(
    ("people", "follow", "rules", "words"),
    [
        (DETECTION, "", line("[persn]"), "the label 'persn'; did you mean 'person'? (given: person, car)"),
        (DETECTION, "", line("[persn]"), "plugins.fence.options.lines.l.labels.0: no plugin before it gives the label"),
        (DETECTION, ", options: {labels: [person]}", line("[car]"), "(given: person)"),
        (DETECTION, ", options: {labels: [bus]}", line(), "tracks.options.labels.0: no plugin"),
        (DETECTION, "", left("backpack"), "left_objects.l.labels.0: no plugin before it gives"),
        ("{type: motion}", "", line("[person]"), "gives the label 'person' (given: motion)"),
        ("{type: motion, options: {label: it}}", "", left("it"), "left_objects.l.owners.0: no plugin before it"),
    ],
)
def test_label_no_earlier_plugin_gives_is_a_mistake(people: str, follow: str, rules: str, words: str) -> None:
    found = mistakes(CHAIN.format(people=people, follow=follow, rules=rules))
    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize(
    ("people", "label"),
    [(DETECTION, "car"), ("{type: detection}", "bus"), ("{type: motion, options: {label: it}}", "it")],
)
def test_labels_that_can_come_are_right(people: str, label: str) -> None:
    assert load_text(CHAIN.format(people=people, follow="", rules=line(f"[{label}]"))).warnings == ()


def test_unset_variable_is_one_mistake() -> None:
    """Not also the mistake that an empty address would be."""
    text = "version: 1\nstreams: {a: {source: {type: rtsp, options: {url: '${CAMERA}'}}, rate: 0}}\n"
    assert [mistake.split(": ")[2] for mistake in mistakes(text)] == [
        "environment variable CAMERA isn't set; set it, or write ${CAMERA:-default}",
        "input should be greater than 0, got 0",
    ]


def test_unreachable_events_and_sinks_are_warnings() -> None:
    text = "version: 1\nstreams: {a: {source: {type: synthetic}, sinks: []}}\nsinks: {log: {type: stdout}}\n"
    assert load_text(text).warnings == (
        "config:2:14: streams.a: has no sinks: only a report (--report) gets its events",
        "config:3:14: sinks.log: no stream names this sink, so it gets nothing",
    )


@pytest.mark.parametrize("servers", ["host:0", "host:99999", "host:", ":9092", "a:1,,b:2", "host:port", "host:1\u00b2"])
def test_an_address_of_a_broker_is_checked(servers: str) -> None:
    text = (
        "version: 1\nstreams: {a: {source: {type: kafka, options: {servers: '%s', topic: t}}, sinks: [k]}}\n"
        "sinks: {k: {type: kafka, options: {servers: '%s', topic: t}}}\n"
    )
    assert (
        sum("expected host:port with a port from 1 to 65535" in line for line in mistakes(text % (servers, servers)))
        == 2
    )
    for right in ("host", "host:9092", "a:1, b:65535", "[::1]:9092"):
        load_text(text % (right, right))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("rtsp://cam:99999/x", "the port in this rtsp address is not valid"),
        ("rtsp://me:pw@cam:0/x", "the port in this rtsp address is not valid"),
        ("rtsp://cam:first/x", "expected a number from 1 to 65535"),
        ("rtsp:///x", "names no host"),
        ("rtsp://:554/x", "names no host"),
    ],
)
def test_host_and_port_of_a_camera_are_checked(address: str, words: str) -> None:
    text = f"version: 1\nstreams: {{a: {{source: {{type: rtsp, options: {{url: '{address}'}}}}}}}}\n"
    assert any(words in mistake for mistake in mistakes(text)), mistakes(text)
    for right in ("rtsp://cam", "rtsp://cam:554/x", "rtsps://[::1]:322/x?y=z@w", "rtsp://me:p%40w@10.0.0.7/1"):
        load_text(f"version: 1\nstreams: {{a: {{source: {{type: rtsp, options: {{url: '{right}'}}}}}}}}\n")


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf"])
def test_numbers_are_finite(number: str) -> None:
    text = f"""
version: 1
defaults: {{rate: {number}}}
streams: {{a: {{source: {{type: images, options: {{path: x, rate: {number}}}}}, rate: {number}, chain: [p]}}}}
plugins: {{p: {{type: tracking, rate: {number}, options: {{new_score: {number}}}}}}}
"""
    assert sum("finite number" in line or "equal to" in line for line in mistakes(text)) == 5


def test_polygon_that_crosses_itself_is_a_mistake() -> None:
    bow, closed = "[[0, 0], [1, 1], [1, 0], [0, 1]]", "[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]"
    text = """
version: 1
streams: {a: {source: {type: synthetic}}}
plugins:
  m: {type: motion, options: {masks: [SHAPE]}}
  r: {type: rules, options: {zones: {z: {polygon: SHAPE}}}}
  b: {type: blur, options: {zones: {z: SHAPE}}}
"""
    found = [line for line in mistakes(text.replace("SHAPE", bow)) if "the polygon crosses itself" in line]
    assert len(found) == 3
    assert "its edges [0.0, 0.0] to [1.0, 1.0] and [1.0, 0.0] to [0.0, 1.0] cross" in found[0]
    load_text(text.replace("SHAPE", closed))


def test_no_two_plugins_or_streams_share_a_file() -> None:
    kafka = "{type: kafka, options: {servers: 'h:1', topic: t}}"
    text = f"""
version: 1
streams: {{a: {{source: {kafka}, chain: [drawn, again]}}}}
plugins:
  drawn: {{type: annotate, options: {{path: "o/{{stream}}.mp4"}}}}
  again: {{type: annotate, options: {{path: "o/{{stream}}.mp4"}}}}
"""
    assert any("again of stream a writes o/a.mp4, and so does drawn" in line for line in mistakes(text)), mistakes(text)
    (line,) = mistakes(text.replace("[drawn, again]", "[drawn]").replace("o/{stream}.mp4", "o/a.mp4", 1))
    assert "the source carries several streams, and drawn would write o/a.mp4 for each; put {stream} into" in line


BILLION = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BILLION, "its aliases (*name) make more than 200,000 values of it"),
        ("version: 1\nx: &x {y: [*x]}\n", "unknown key 'x'"),
        ("version: 1\nx: &x {<<: *x}\n", "does a merge (<<) name what it stands in?"),
        ("version: 1\n---\nversion: 1\n", "not valid YAML: found another document"),
        ("x: " + "[" * 3000 + "]" * 3000, "nested hundreds of levels deep"),
        ("x: " + "{a: " * 600 + "1" + "}" * 600, "nested hundreds of levels deep"),
        ("version: " + "9" * 5000, "not valid YAML"),
        (
            "version: 1\nstreams: {s: {source: {type: file, options: {path: !!set {a, b}}}}}\n",
            "expected a text, got a list",
        ),
    ],
    ids=["billion laughs", "circle", "merge", "two documents", "deep list", "deep keys", "digits", "set"],
)
def test_hostile_file_is_refused_with_a_sentence(text: str, words: str) -> None:
    assert any(words in line for line in mistakes(text)), mistakes(text)


def test_value_under_a_scalar_cant_be_set(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("version: 1\nstreams: {a: {source: a.mp4}}\n")
    with pytest.raises(ConfigError, match=r"streams\.a\.source holds 'a\.mp4', expected keys; set streams\.a\.source"):
        load(tmp_path / "job.yaml", overrides=["streams.a.source.url=b.mp4"])


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit(0)", "importing ends failed: SystemExit: 0"),
        ("class E(Exception):\n    def __str__(self): raise RuntimeError\nraise E()", "its text can't be read"),
        ("open('rtsp://me:hush@cam/')", "rtsp://***@cam/"),
    ],
)
def test_unimportable_module_is_a_configuration_mistake(
    tmp_path: Path, code: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ends", raising=False)
    (tmp_path / "ends.py").write_text(code)
    (tmp_path / "job.yaml").write_text(
        "version: 1\nstreams: {a: {source: {type: synthetic}, chain: [p]}}\nplugins: {p: {type: 'ends:P'}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "job.yaml")
    assert words in str(caught.value)
    assert f"[ends.py:{code.count(chr(10)) + 1}]" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_wrong_stream_name_hides_no_other_mistake() -> None:
    text = """
version: 1
streams:
  "b[ad]": {source: {type: synthetic}}
  good: {source: {type: synthetic}, rate: fast, sinks: [lost]}
sinks: {}
"""
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    reported = str(caught.value)
    assert "b[ad]" in reported
    assert ":5:" in reported
    assert "streams.good.rate" in reported
    assert "no sink 'lost'" in reported


WATCHED = """\
version: 1
streams: {{a: {{source: {{type: synthetic}}, chain: [watched]}}}}
plugins:
  watched:
    type: {type}
    options: {options}
"""


def watched(plugin: str, options: str) -> list[str]:
    return mistakes(WATCHED.format(type=plugin, options=options))


def test_wrong_models_and_labels_have_their_places() -> None:
    (reported,) = watched("detection", "{model: yolox-nanno, labels: [persn]}")
    assert reported.startswith("config:6:22: plugins.watched.options.model: no model 'yolox-nanno' in the model list")
    assert "did you mean 'yolox-nano'?" in reported
    first, second = watched("detection", "{labels: [person, persn], scores: {car: 0.5, bys: 0.3}}")
    assert first.startswith("config:6:32: plugins.watched.options.labels.1: yolox-nano has no label 'persn'")
    assert "did you mean 'person'? (knows: person, bicycle" in first
    assert first.endswith("and 68 more)")
    assert second.startswith("config:6:59: plugins.watched.options.scores.bys: yolox-nano has no label 'bys'")
    assert "did you mean 'bus'?" in second


@pytest.mark.parametrize(
    ("plugin", "options", "words"),
    [
        ("detection", "{model: mobilenet-v2, labels: [persn]}", "options.model: mobilenet-v2 is for classification"),
        ("detection", "{model: ./not-there}", "options.model: not-there doesn't exist"),
        ("classification", "{labels: [tenchh]}", "options.labels.0: mobilenet-v2 has no label 'tenchh'; did you mean"),
        ("classification", "{groups: {cat: [taby]}}", "options.groups.cat.0: mobilenet-v2 has no label 'taby'"),
        ("segmentation", "{labels: [persn]}", "options.labels.0: deeplab-voc has no label 'persn'"),
        ("instances", "{model: selfie}", "options.model: selfie is for"),
        ("pose", "{model: bodypx}", "options.model: no model 'bodypx' in the model list; did you mean 'bodypix'?"),
        ("action", "{model: shufflenet3d-jester, ignore: [No gestur]}", "options.ignore.0: shufflenet3d-jester has no"),
        ("action", "{model: mobilenet-v2}", "options.model: mobilenet-v2 is declared with layout"),
        ("action_stream", "{model: moviet}", "options.model: no model 'moviet'"),
        ("embed", "{model: yolox-nano}", "options.model: yolox-nano is for detection"),
        ("remember", "{face_model: sfac}", "options.face_model: no model 'sfac'"),
        ("faces", "{embedding: sfac}", "options.embedding: no model 'sfac'"),
        ("faces", "{model: yolox-nano}", "options.model: yolox-nano is for detection"),
        ("caption_net", "{model: yolox-nano}", "options.model: yolox-nano is for detection"),
    ],
)
def test_models_of_built_in_plugins_are_checked(plugin: str, options: str, words: str) -> None:
    (reported,) = watched(plugin, options)
    assert words in reported


@pytest.mark.parametrize(
    ("plugin", "options"),
    [
        ("detection", "{model: fastestdet, labels: [person], scores: {person: 0.3}}"),
        ("classification", "{labels: [tench, cat], groups: {cat: [tabby, Egyptian cat]}, scores: {cat: 0.3}}"),
        ("segmentation", "{model: selfie, labels: [background, person]}"),
        ("faces", "{model: mtcnn, embedding: sface}"),
        ("pose", "{mode: bottom-up}"),
    ],
)
def test_downloadable_models_and_their_labels_are_right(plugin: str, options: str) -> None:
    text = WATCHED.format(type=plugin, options=options)
    assert load_text(text, models=ModelStore(mirrors=[], cache=Path("nowhere"), download=False)).streams


def test_other_mistakes_neither_hide_nor_invent_model_mistakes() -> None:
    first, second = watched("detection", "{model: yolox-nanno, min_score: 4}")
    assert ".model: no model" in first
    assert ".min_score: " in second
    first, second = watched("detection", "{labels: [persn], treads: 2}")
    assert "no label 'persn'" in first
    assert "unknown key 'treads'" in second
    # of which model the labels are isn't known
    (reported,) = watched("detection", "{modle: mine, labels: [scratch]}")
    assert "unknown key 'modle'; did you mean 'model'?" in reported
    (reported,) = watched("detection", "{model: [mine], labels: [scratch]}")
    assert "expected a text" in reported


def test_store_of_the_run_decides_which_models_exist(tmp_path: Path) -> None:
    entry = {"name": "scratches", "task": "detection", "runtime": "onnx", "decode": "yolox", "labels": ["scratch"]}
    shape = {"height": 32, "width": 32, "layout": "NCHW", "colour": "bgr"}
    (tmp_path / "scratches").mkdir()
    manifest = tmp_path / "scratches" / "model.json"
    manifest.write_text(json.dumps({**entry, "input": shape, "files": [{"name": "net.onnx"}]}))
    store = ModelStore(mirrors=[tmp_path], cache=tmp_path / "cache", download=False)
    text = WATCHED.format(type="detection", options="{model: scratches, labels: [scratch]}")
    assert load_text(text, models=store).streams
    assert "no model 'scratches'" in mistakes(text)[0]
    with pytest.raises(ConfigError, match="did you mean 'scratches'"):
        load_text(text.replace("scratches,", "scratchs,"), models=store)


class RoomOptions(Options):
    doors: tuple[str, ...] = ()
    depth: int = 1
    fault: str = ""


class Room(GivesTracks, FramePlugin[RoomOptions]):
    @classmethod
    def check_options(cls, options: Any, models: ModelStore) -> Iterable[Mistake]:
        for index, door in enumerate(options.doors):
            if door != "north":
                yield Mistake(("doors", index), f"there is no door {door!r}")
        if options.fault:
            raise {"model": ModelError, "bug": KeyError}[options.fault]("rtsp://me:secret@host")


def test_anybodys_plugin_may_check_its_options() -> None:
    room = '"tests.unit.test_config:Room"'
    assert watched(room, "{doors: [north, south]}") == [
        "config:6:30: plugins.watched.options.doors.1: there is no door 'south'"
    ]
    first, second = watched(room, "{doors: [south], fault: model}")
    assert first == "config:6:14: plugins.watched.options: rtsp://***@host"
    assert "no door 'south'" in second
    (reported,) = watched(room, "{fault: bug}")
    words = r"Room\.check_options failed \(KeyError: 'rtsp://\*\*\*@host' \[test_config\.py:\d+ in check_options\]\)"
    assert re.fullmatch(
        rf"config:6:14: plugins\.watched\.options: {words}; it must return mistakes, not raise", reported
    )
    first, second = watched(room, "{doors: [south], depth: deep, fault: bug}")
    assert "no door 'south'" in first
    assert "expected a whole number" in second


def test_mistake_in_a_streams_own_option_is_placed() -> None:
    text = WATCHED.format(type="detection", options="{labels: [person]}")
    own = text.replace("chain: [watched]", "chain: [{use: watched, options: {labels: [persn]}}]")
    (reported,) = mistakes(own)
    assert reported.startswith("config:2:84: streams.a.chain.0.options.labels.0: yolox-nano has no label 'persn'")


def test_all_duplicate_keys_are_listed() -> None:
    text = """\
version: 1
version: 1
streams:
  a: {source: {type: synthetic, type: synthetic}, rat: 5}
  b: &b {source: {type: synthetic}}
  c: *b
  a: {source: {type: file}}
"""
    first, second, third, fourth = mistakes(text)
    assert first == "config:2:1: version: the key 'version' stands here again, after line 1; leave one of them out"
    assert second.startswith("config:4:33: streams.a.source.type: the key 'type' stands here again, after line 4;")
    assert third.startswith("config:4:51: streams.a.rat: unknown key 'rat'")
    assert fourth == "config:7:3: streams.a: the key 'a' stands here again, after line 4; leave one of them out"


def test_merge_keys_are_no_keys_that_stand_twice() -> None:
    text = """\
version: 1
streams:
  a: &a {source: {type: synthetic}, rate: 5}
  b: {<<: *a, rate: 6}
"""
    assert [stream.rate for stream in load_text(text).streams] == [5, 6]


def test_each_unset_variable_is_one_mistake() -> None:
    text = """
version: 1
streams: {a: {source: {type: synthetic, options: {rate: "${RATE}", duration: "${LONG}"}}, rate: "${RATE}"}}
runtime: {workers: "${MANY}"}
"""
    found = mistakes(text)
    assert len(found) == 4, found
    assert all("isn't set; set it, or write" in mistake for mistake in found)


def test_module_with_a_slow_import_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warned = threading.Event()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "importing slowly has taken" in record.getMessage():
                warned.set()

    handler = Collector()
    monkeypatch.setattr(registry, "_SLOW_S", 0.01)
    monkeypatch.setattr(sys, "warned", warned, raising=False)
    monkeypatch.delitem(sys.modules, "slowly", raising=False)
    (tmp_path / "slowly.py").write_text("import sys\nassert sys.warned.wait(30)\nclass P: pass\n")
    logging.getLogger("streamproc.registry").addHandler(handler)
    try:
        with pytest.raises(PluginError, match="is not a plugin"):
            Registry(tmp_path).plugin("slowly:P")
    finally:
        logging.getLogger("streamproc.registry").removeHandler(handler)
    assert warned.is_set()
