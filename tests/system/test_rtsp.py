"""The RTSP source against a real server: pictures, times, login, loss."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import ValidationError

from streamproc.config.plan import Plan, RuntimePlan, StreamPlan
from streamproc.engine import Engine, StreamReport
from streamproc.engine.decoding import Decoding
from streamproc.errors import SourceError, SourceLost
from streamproc.media import probe
from streamproc.sources.rtsp import RtspOptions, RtspSource
from streamproc.timeline import Timeline
from tests.engine.running import run_engine
from tests.servers.rtsp import Login, Loop, Pattern, RtspServer
from tests.videos import Recipe, context, encode, frames_of, number_of, read

Serve = Callable[..., RtspServer]


def source(url: str, **options: Any) -> RtspSource:
    return RtspSource(RtspOptions(url=url, **options))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_live_pictures_have_their_arrival_time(rtsp: Serve, transport: Literal["tcp", "udp"]) -> None:
    server = rtsp(Pattern(name="cam", pattern="red", rate=15))
    before_ns = time.time_ns()
    found = read(source(server.url("cam"), transport=transport), limit=12)
    after_ns = time.time_ns()
    assert found.info.live
    assert found.info.started_ns is None
    assert found.info.rate == 15
    assert found.frames[-1].picture.to_rgb().shape == (240, 320, 3)
    red, green, blue = found.frames[-1].picture.to_rgb().reshape(-1, 3).mean(axis=0)
    assert red > 200
    assert max(green, blue) < 60
    arrivals = [decoded.captured_ns for decoded in found.frames]
    assert arrivals == sorted(arrivals, key=lambda ns: ns or 0)
    assert all(ns is not None and before_ns < ns < after_ns for ns in arrivals)


def test_capture_times_follow_time_stamps_from_the_start(rtsp: Serve) -> None:
    """Pictures that came in while the connection was probed weren't taken when it was done."""
    server = rtsp(Pattern(name="cam", rate=15))
    camera = source(server.url("cam"))
    for _ in range(2):  # a reconnection is probed too
        offsets = [
            decoded.captured_ns - decoded.pts_ns
            for decoded in read(camera, limit=20).frames
            if decoded.captured_ns is not None and decoded.pts_ns is not None
        ]
        assert max(offsets) - min(offsets) < 100_000_000


def test_a_looped_clip_has_regular_times(rtsp: Serve, tmp_path: Path) -> None:
    options = {"profile": "baseline", "x264-params": "aud=1:repeat-headers=1:scenecut=0"}
    clip = encode(tmp_path / "a.h264", Recipe(frames=20, gop=10, options=options))
    server = rtsp(Loop(name="clip", path=str(clip), rate=20))
    found = read(source(server.url("clip")), limit=30)
    steps = np.diff(found.numbers) % 20
    assert set(steps.tolist()) == {1}
    timeline = Timeline(found.info.rate)
    media = [timeline.place(pts).pts_ns for pts in found.pts_ns]
    assert all(abs(step - 50_000_000) < 1_000_000 for step in np.diff(media)[1:])
    assert timeline.mended["backward"] == timeline.mended["reset"] == 0


def test_low_delay_gives_pictures_too(rtsp: Serve) -> None:
    server = rtsp(Pattern(name="cam"))
    assert len(read(source(server.url("cam"), low_delay=True), limit=5).frames) == 5


def test_mjpeg_cameras_are_read(rtsp: Serve) -> None:
    server = rtsp(Pattern(name="cam", pattern="white", codec="mjpeg"))
    assert read(source(server.url("cam")), limit=3).frames[-1].picture.to_gray().mean() > 230


def test_a_login_is_used_and_never_shown(rtsp: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    server = rtsp(Pattern(name="cam"), login=Login(user="viewer", password="s3cret"))
    found = read(source(server.url("cam")), limit=2)
    assert len(found.frames) == 2
    assert "s3cret" not in found.info.identity
    wrong = server.url("cam").replace("s3cret", "other5ecret")
    with pytest.raises(SourceError, match="refused the login") as caught:
        source(wrong).open(context())
    assert not isinstance(caught.value, SourceLost)
    assert "other5ecret" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("digest", [False, True])
def test_user_and_password_may_hold_any_character(rtsp: Serve, digest: bool) -> None:
    login = Login(user="me", password="p@/#?: '1%", digest=digest)
    server = rtsp(Pattern(name="cam"), login=login)
    camera = source(server.url("cam", login=False), user=login.user, password=login.password)
    assert len(read(camera, limit=2).frames) == 2


def test_an_unknown_stream_may_appear_later(rtsp: Serve) -> None:
    server = rtsp(Pattern(name="cam"))
    with pytest.raises(SourceLost, match="doesn't know this stream"):
        source(server.url("other")).open(context())


def silent() -> socket.socket:
    """Takes connections and never answers."""
    return socket.create_server(("127.0.0.1", 0))


def test_a_hanging_camera_is_lost_after_open_timeout() -> None:
    with silent() as hanging:
        camera = source(f"rtsp://127.0.0.1:{hanging.getsockname()[1]}/cam", open_timeout="500ms")
        with pytest.raises(SourceLost, match=r"within the time limit of 0\.5 s"):
            camera.open(context())


def test_an_unknown_host_is_named() -> None:
    with pytest.raises(SourceLost, match=r"its host no-such-camera\.invalid isn't known; check its spelling"):
        source("rtsp://viewer:s3cret@no-such-camera.invalid/live").open(context())


def test_a_port_of_another_service_is_refused() -> None:
    with silent() as other:

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(SourceLost, match="gives no video stream; check host, port"):
            source(f"rtsp://127.0.0.1:{other.getsockname()[1]}/cam", open_timeout="5s").open(context())
        thread.join()


@pytest.mark.parametrize("port", ["0", "99999", "abc"])
def test_an_invalid_port_is_refused_before_opening(port: str) -> None:
    with pytest.raises(ValidationError, match="expected a number from 1 to 65535"):
        RtspOptions(url=f"rtsp://10.0.0.7:{port}/live")


def test_a_server_that_ends_can_be_opened_again(rtsp: Serve) -> None:
    server = rtsp(Pattern(name="cam"))
    camera = source(server.url("cam"), read_timeout="5s")
    frames = frames_of(camera, camera.open(context()))
    assert len(list(islice(frames, 3))) == 3
    server.stop()
    with pytest.raises(SourceLost):
        list(frames)
    camera.close()
    with pytest.raises(SourceLost, match="takes no connection"):
        camera.open(context())
    camera.close()
    server.start()
    assert len(read(camera, limit=3).frames) == 3


def test_a_run_waits_for_a_missing_camera(rtsp: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = rtsp(Pattern(name="cam"))
    server.stop()
    options = RtspOptions(url=server.url("cam"))
    stream = StreamPlan(
        name="door", source=RtspSource, source_options=options, chain=(), sinks=(), reconnect_ns=50_000_000
    )
    engine = Engine(Plan(streams=(stream,), runtime=RuntimePlan(state=tmp_path / "state")))

    def meanwhile(engine: Engine) -> None:
        await_report(engine, lambda stream: stream.reconnects > 0)
        assert not engine.report().streams[0].up
        server.start()
        await_report(engine, lambda stream: stream.up and stream.ledger.observed > 0)
        engine.stop()

    report = run_engine(engine, meanwhile)
    assert report.streams[0].ledger.observed > 0
    assert report.streams[0].error == ""
    assert caplog.text.count("takes no connection; check address and port") == 1
    assert caplog.text.count("stream door: source is back after") == 1


def await_report(engine: Engine, reached: Callable[[StreamReport], bool]) -> None:
    """Until the run's one stream has come so far."""
    give_up = time.monotonic() + 30
    while not reached(engine.report().streams[0]):
        assert time.monotonic() < give_up, engine.report()
        time.sleep(0.02)


def test_the_picture_size_stays_over_a_reconnection(rtsp: Serve) -> None:
    large, small = rtsp(Pattern(name="cam", size=(320, 240))), rtsp(Pattern(name="cam", size=(160, 120)))
    camera = source(large.url("cam"))
    decoding = Decoding(camera, "door")
    read(camera, limit=1, decoding=decoding)
    camera.options = RtspOptions(url=small.url("cam"))
    assert read(camera, limit=1, decoding=decoding).frames[0].picture.to_rgb().shape == (240, 320, 3)


def test_a_hanging_server_is_lost_after_read_timeout(rtsp: Serve) -> None:
    server = rtsp(Pattern(name="cam"))
    camera = source(server.url("cam"), read_timeout="1s")
    frames = frames_of(camera, camera.open(context()))
    assert len(list(islice(frames, 3))) == 3
    server.freeze()
    with pytest.raises(SourceLost, match="within the time limit"):
        list(frames)
    camera.close()


def test_silence_is_waited_for_once(rtsp: Serve) -> None:
    """FFmpeg answers the first time-out with the packet that its parser holds back."""
    server = rtsp(Pattern(name="cam"))
    camera = source(server.url("cam"), read_timeout="1s")
    camera.open(context())
    packets = camera.packets()
    for _ in range(3):
        next(packets)
    server.freeze()
    frozen = time.monotonic()
    ends: list[float] = []
    with pytest.raises(SourceLost, match="within the time limit of 1 s"):
        ends.extend(time.monotonic() - frozen for _ in packets)
    waits = sum(later - earlier >= 0.9 for earlier, later in pairwise([0.0, *ends, time.monotonic() - frozen]))
    assert waits == 1
    camera.close()


def test_joining_within_a_group_shows_whole_pictures(rtsp: Serve, tmp_path: Path) -> None:
    options = {"profile": "baseline", "x264-params": "aud=1:repeat-headers=1:scenecut=0"}
    clip = encode(tmp_path / "a.h264", Recipe(frames=30, gop=30, options=options))
    server = rtsp(Loop(name="clip", path=str(clip), rate=30))
    read(source(server.url("clip")), limit=8)  # others watch already, so this one joins somewhere
    found = read(source(server.url("clip")), limit=5)
    assert found.frames[0].keyframe
    assert number_of(found.frames[0].picture.to_gray()) == 0


def test_joining_an_open_group_starts_at_its_keyframe(rtsp: Serve, tmp_path: Path) -> None:
    """The only IDR has long gone by."""
    options = {"x264-params": "aud=1:repeat-headers=1:scenecut=0:open-gop=1:keyint=250:min-keyint=1:bframes=0:ref=3"}
    clip = encode(
        tmp_path / "a.h264", Recipe(frames=40, gop=250, size=(160, 96), keyframes=(0, 10, 20, 30), options=options)
    )
    server = rtsp(Loop(name="clip", path=str(clip), rate=30))
    read(source(server.url("clip")), limit=4)  # others watch already, so this one joins somewhere
    found = read(source(server.url("clip")), limit=25)
    assert found.numbers[0] % 10 == 0
    assert set((np.diff(found.numbers) % 40).tolist()) == {1}


def test_a_camera_that_hangs_upside_down_says_so(rtsp: Serve, tmp_path: Path) -> None:
    import av

    options = {"profile": "baseline", "x264-params": "aud=1:repeat-headers=1:scenecut=0"}
    plain = encode(tmp_path / "plain.h264", Recipe(frames=20, gop=10, size=(320, 180), options=options))
    with av.open(str(plain)) as given, av.open(str(tmp_path / "a.h264"), "w") as container:
        stream = given.streams.video[0]
        target: Any = container.add_stream_from_template(stream)
        change = av.BitStreamFilterContext("h264_metadata=display_orientation=insert:rotate=180", stream)
        for packet in given.demux(stream):
            for changed in change.filter(packet if packet.size else None):
                changed.stream = target
                container.mux(changed)
    server = rtsp(Loop(name="clip", path=str(tmp_path / "a.h264"), rate=20))
    found = read(source(server.url("clip")), limit=12)
    turned = [number_of(decoded.picture.to_gray()[::-1, ::-1]) for decoded in found.frames]
    assert set((np.diff(turned) % 20).tolist()) == {1}


def test_probe_watches_a_live_stream_for_a_while(rtsp: Serve) -> None:
    server = rtsp(Pattern(name="cam", rate=15), login=Login(user="viewer", password="s3cret"))
    found = probe(server.url("cam"), limit=40)
    assert (found.facts.codec, found.facts.size, found.facts.container) == ("h264", (320, 240), "rtsp")
    assert found.scanned == 40
    assert not found.complete
    assert found.measured_rate == pytest.approx(15, rel=0.2)
    assert "s3cret" not in found.address
