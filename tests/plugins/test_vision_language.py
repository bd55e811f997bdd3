"""`vision_language` against a server on loopback that speaks the protocol."""

from __future__ import annotations

import base64
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from streamproc import (
    Caption,
    Detections,
    Event,
    Faces,
    Frame,
    MissingInput,
    Moment,
    PluginContext,
    PluginError,
    Result,
    Results,
)
from streamproc.models import ModelStore
from streamproc.testing import make_detections, make_frame, make_info, run_plugin
from streamproc.testing.runs import plugin_plan, run_chain
from streamproc_plugins.captioning import VisionLanguage, VisionLanguageOptions
from streamproc_plugins.shots import Shot
from tests.servers.vision import VisionServer, completion, vision_server

INFO = make_info(width=96, height=64, rate=10)


@pytest.fixture
def server() -> Iterator[VisionServer]:
    with vision_server() as state:
        yield state


def frames(count: int, rate: float = 10) -> list[Frame]:
    rng = np.random.default_rng(5)
    tiles = rng.integers(0, 255, (16, 24, 3), dtype=np.uint8)
    rgb = np.repeat(np.repeat(tiles, 4, axis=0), 4, axis=1)
    return [make_frame(rgb=rgb, index=n, pts_s=n / rate, info=INFO) for n in range(count)]


def options(server: VisionServer, **more: Any) -> dict[str, Any]:
    return {"url": server.url, "model": "tiny", "every": "2s", "hide": [], "per_minute": 600, **more}


def emitted(events: list[Event]) -> list[tuple[str, float, float]]:
    return [(e.data["text"], e.start_ns / 1e9, round((e.end_ns or 0) / 1e9, 2)) for e in events]


def pictures(asked: dict[str, Any]) -> list[NDArray[np.uint8]]:
    parts = asked["messages"][0]["content"][1:]
    raw = [base64.b64decode(part["image_url"]["url"].partition("base64,")[2]) for part in parts]
    found = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in raw]
    return [np.asarray(picture, np.uint8) for picture in found]


def test_each_window_of_media_time_is_described_once(server: VisionServer) -> None:
    run = run_plugin(VisionLanguage, frames(50), **options(server))
    assert emitted(run.events) == [
        ("This is answer 1.", 0, 2), ("This is answer 2.", 2, 4), ("This is answer 3.", 4, 4.9),
    ]  # fmt: skip
    assert {event.type for event in run.events} == {"caption"}
    # an answer is emitted when the next question is asked, at the same frame in every run
    assert [event.frame_index for event in run.events] == [40, 49, 49]
    assert run.all(Caption)[-1].text == "This is answer 1."


def test_window_ends_at_a_cut(server: VisionServer) -> None:
    def scene(n: int) -> Frame:
        # the camera turns from the dark half to the bright one at 1.5 s; `shots` knows 0.3 s later
        rgb = np.full((64, 96, 3), 40 if n < 15 else 200, np.uint8)
        return make_frame(rgb=rgb, index=n, pts_s=n / 10, info=INFO)

    def shot(n: int) -> Shot:
        return (
            Shot(number=1, start_ns=0, kind="start") if n < 18 else Shot(number=2, start_ns=1_500_000_000, kind="cut")
        )

    past: list[list[Result]] = [[shot(n)] for n in range(40)]
    run = run_plugin(VisionLanguage, [scene(n) for n in range(40)], past=past, **options(server, pictures=4))
    assert [(start, end) for _, start, end in emitted(run.events)] == [(0, 1.5), (1.5, 2), (2, 3.9)]
    levels = [[round(float(picture.mean()), -1) for picture in pictures(asked)] for asked in server.asked]
    assert [set(shown) for shown in levels] == [{40}, {200}, {200}]


def test_the_request_is_what_the_protocol_asks_for(server: VisionServer) -> None:
    run_plugin(VisionLanguage, frames(20), **options(server, pictures=2, longest_side=64, api_key="k3y", max_tokens=50))
    (asked,) = server.asked
    assert asked["path"] == "/v1/chat/completions"
    assert (asked["model"], asked["max_tokens"], asked["temperature"], asked["stream"]) == ("tiny", 50, 0, False)
    assert asked["messages"][0]["content"][0]["type"] == "text"
    assert [picture.shape for picture in pictures(asked)] == [(43, 64, 3)] * 2
    assert server.keys == ["Bearer k3y"]


def test_people_are_covered_before_pictures_leave(server: VisionServer) -> None:
    face = Faces(
        xyxy=np.array([[60, 10, 80, 30]], np.float32), score=np.ones(1, np.float32),
        landmarks=np.zeros((1, 5, 2), np.float32),
    )  # fmt: skip
    past: list[list[Result]] = [[make_detections([5, 5, 40, 60]), face]] * 10
    run_plugin(VisionLanguage, frames(10), past=past, **options(server, hide=["people", "faces"], pictures=1))
    (observed,) = pictures(server.asked[0])
    plain = frames(1)[0].bgr.astype(np.int64)

    def unlike(part: Any) -> float:
        return float(np.abs(observed[part].astype(np.int64) - plain[part]).mean())

    assert unlike(np.s_[10:55, 8:36]) > 40
    assert unlike(np.s_[12:28, 62:78]) > 40
    assert unlike(np.s_[40:, 84:]) < 25  # but for what JPEG does to it


@pytest.mark.parametrize("given", [[], [Detections.empty()]])
def test_nothing_is_sent_without_detections_to_hide(server: VisionServer, given: list[Result]) -> None:
    with pytest.raises(MissingInput, match="can't be hidden and nothing is sent; put such a plugin before it"):
        run_plugin(VisionLanguage, frames(5), past=[given] * 5, **options(server, hide=["people", "faces"]))
    assert server.asked == []


def test_busy_server_is_asked_again_when_it_says(server: VisionServer) -> None:
    server.replies.extend([(429, {"error": "slow down"}, {"Retry-After": "0"}), (503, b"starting")])
    run = run_plugin(VisionLanguage, frames(10), **options(server))
    assert emitted(run.events) == [("This is answer 3.", 0, 0.9)]


def test_answer_arrives_though_next_picture_fails(server: VisionServer) -> None:
    """Behind a detector that leaves out the frame of the answer."""
    past: list[list[Result]] = [[Detections.empty()] if n != 40 else [] for n in range(60)]
    run = run_plugin(VisionLanguage, frames(60), past=past, **options(server, hide=["people"]))
    assert [text for text, *_ in emitted(run.events)] == ["This is answer 1.", "This is answer 2.", "This is answer 3."]


@pytest.mark.parametrize("wait", ["nan", "inf", "-1", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_invalid_retry_after_is_ignored(server: VisionServer, wait: str) -> None:
    server.replies.extend([(503, b"starting", {"Retry-After": wait})] * 100)
    with pytest.raises(PluginError, match="answered 503"):
        run_plugin(VisionLanguage, frames(41), **options(server, answer_within="300ms"))
    assert len(server.asked) < 5


def test_an_answer_without_end_is_given_up(server: VisionServer) -> None:
    server.replies.append((200, b"x" * 3_000_000))
    with pytest.raises(PluginError, match=r"the answer has more than 1,048,576 bytes; is `url` that of a chat API"):
        run_plugin(VisionLanguage, frames(41), **options(server))


def test_slow_answer_times_out(server: VisionServer) -> None:
    server.trickle = True
    with pytest.raises(PluginError, match=r"wasn't whole within 0.4 s; raise `answer_within`"):
        run_plugin(VisionLanguage, frames(41), **options(server, answer_within="400ms"))


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((401, {"error": "no key"}), "answered 401: .*no key.*set `api_key`"),
        ((404, b"<html>nothing here</html>"), "answered 404: .*check `url` and `model`"),
        ((200, b"hello"), "the answer isn't a chat completion: 'hello'; is `url` the address of the API"),
        ((200, {"choices": []}), "the answer isn't a chat completion"),
        ((200, completion("  ")), "the model answered no text"),
    ],
)
def test_server_errors_say_what_to_do(server: VisionServer, reply: Any, message: str) -> None:
    server.replies.append(reply)
    with pytest.raises(PluginError, match=message):
        run_plugin(VisionLanguage, frames(41), **options(server, api_key="hunter2"))


def test_a_key_never_gets_into_a_message(server: VisionServer) -> None:
    server.replies.append((401, {"error": "token=hunter2 is wrong"}))
    with pytest.raises(PluginError) as caught:
        run_plugin(VisionLanguage, frames(41), **options(server, api_key="hunter2"))
    assert "hunter2" not in str(caught.value)


def test_unreachable_server_is_reported_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with pytest.raises(PluginError, match=r"127.0.0.1:\d+/v1 can't be asked .*is the server running"):
        run_plugin(
            VisionLanguage,
            frames(41),
            url=f"http://127.0.0.1:{port}/v1",
            model="m",
            hide=[],
            every="2s",
            answer_within="300ms",
        )


def test_a_failure_costs_its_own_caption_only(server: VisionServer) -> None:
    server.replies.extend([(400, {"error": "too large"})])
    chain = [plugin_plan(VisionLanguage, name="vision", **options(server))]
    run = run_chain(chain, frames(60))
    assert emitted(run.events) == [("This is answer 2.", 2, 4), ("This is answer 3.", 4, 5.9)]
    (stream,) = run.report.streams
    assert stream.plugins[0].verdicts["failed"] == 1


def assert_true(value: bool) -> None:
    assert value


def test_live_stream_goes_on_during_a_request(server: VisionServer) -> None:
    """The server answers the first question only once the stream has ended."""
    ended = threading.Event()
    server.before = lambda: assert_true(ended.wait(20))
    plugin = VisionLanguage(VisionLanguageOptions.model_validate(options(server, every="1s", pictures=1)))
    info = make_info(width=96, height=64, rate=10, live=True)
    plugin.open(PluginContext(name="vision", stream=info, models=ModelStore(), log=logging.getLogger("test")))
    try:
        given = [list(plugin.process(frame, Results()) or ()) for frame in frames(45)]
        assert not any(given)  # nothing was answered, and nothing was waited for
        ended.set()
        (event,) = plugin.flush(Moment(pts_ns=4_500_000_000, frame_index=45)) or ()
        assert isinstance(event, Event)
        assert emitted([event]) == [("This is answer 1.", 0, 1)]
    finally:
        ended.set()
        plugin.close()


def test_a_live_stream_without_frames_gets_its_caption(server: VisionServer) -> None:
    plugin = VisionLanguage(VisionLanguageOptions.model_validate(options(server, every="1s", pictures=1)))
    info = make_info(width=96, height=64, rate=10, live=True)
    plugin.open(PluginContext(name="vision", stream=info, models=ModelStore(), log=logging.getLogger("test")))
    try:
        assert not [list(plugin.process(frame, Results()) or ()) for frame in frames(5)][-1]
        late = Moment(pts_ns=1_500_000_000, frame_index=4)
        assert list(plugin.on_time(late, "idle") or ()) == []  # it asks now
        assert plugin._asked is not None
        plugin._asked[1].result(30)
        (event,) = plugin.on_time(late, "idle") or ()
        assert isinstance(event, Event)
        assert emitted([event]) == [("This is answer 1.", 0, 1)]
    finally:
        plugin.close()


@pytest.mark.parametrize("waits_for", ["the answer", "its rest", "its turn", "another try"])
def test_closing_cancels_the_request_and_reports_it(
    server: VisionServer, caplog: pytest.LogCaptureFixture, waits_for: str
) -> None:
    """The awaited condition isn't met within ten minutes."""
    asked, ended = threading.Event(), threading.Event()

    def before() -> None:
        asked.set()
        if waits_for == "the answer":
            ended.wait(30)

    server.before = before
    server.trickle = waits_for == "its rest"
    if waits_for == "another try":
        server.replies.append((429, {}, {"Retry-After": "500"}))
    slow = {"per_minute": 4} if waits_for == "its turn" else {}
    plugin = VisionLanguage(
        VisionLanguageOptions.model_validate(options(server, every="1s", pictures=1, answer_within="10min", **slow))
    )
    info = make_info(width=96, height=64, rate=10, live=True)
    log = logging.getLogger("test.vision")
    plugin.open(PluginContext(name="vision", stream=info, models=ModelStore(), log=log))
    try:
        for frame in frames(15):
            list(plugin.process(frame, Results()) or ())
        assert asked.wait(20)
        if waits_for == "its turn":
            assert plugin._asked is not None
            plugin._asked[1].result(20)
            for frame in frames(25)[15:]:
                list(plugin.process(frame, Results()) or ())
        assert plugin._asked is not None
        future = plugin._asked[1]
        plugin.close()
        assert future.cancelled() or "the question was given up" in str(future.exception(0))
    finally:
        ended.set()
    assert [r.getMessage() for r in caplog.records if r.name == "test.vision"] == [
        f"closed before the model answered: a window has no caption start_ns={at} end_ns={at + 10**9}"
        for at in ([10**9] if waits_for == "its turn" else [0])
    ]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("streamproc-vision")]


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="is no HTTP address; expected one such as"):
        VisionLanguageOptions.model_validate({"url": "localhost:8000", "model": "m"})
