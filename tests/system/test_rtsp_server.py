"""The test RTSP server itself: what it serves is what it was asked to serve."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest

from tests.servers.rtsp import Login, Loop, Pattern, RtspServer

Serve = Callable[..., RtspServer]


def first_pictures(url: str, count: int) -> list[np.ndarray]:
    """The first pictures as rgb."""
    options = {"rtsp_transport": "tcp", "analyzeduration": "100000"}
    with av.open(url, options=options, timeout=(20, 20)) as container:
        frames = container.decode(video=0)
        return [next(frames).to_ndarray(format="rgb24") for _ in range(count)]


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_a_pattern_is_served_in_its_colours(rtsp: Serve, codec: Literal["h264", "mjpeg"]) -> None:
    server = rtsp(Pattern(name="cam", pattern="red", codec=codec, size=(320, 240)))
    picture = first_pictures(server.url("cam"), 2)[-1]
    assert picture.shape == (240, 320, 3)
    red, green, blue = picture.reshape(-1, 3).mean(axis=0)
    assert red > 200
    assert max(green, blue) < 60


def test_a_clip_is_looped_without_end(rtsp: Serve, tmp_path: Path) -> None:
    clip = tmp_path / "grey.h264"
    options = {"profile": "baseline", "g": "5", "x264-params": "aud=1:repeat-headers=1:scenecut=0"}
    with av.open(str(clip), "w", format="h264") as out:
        stream = out.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for level in (60, 80, 100, 120, 140):
            picture = np.full((64, 64, 3), level, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    server = rtsp(Loop(name="clip", path=str(clip), rate=30))
    levels = [round(float(picture.mean())) for picture in first_pictures(server.url("clip"), 12)]
    ladder = np.array([60, 80, 100, 120, 140])
    steps = [int(np.abs(ladder - level).argmin()) for level in levels]
    assert np.abs(ladder[steps] - levels).max() <= 4
    assert all((b - a) % 5 == 1 for a, b in pairwise(steps))


@pytest.mark.parametrize("digest", [False, True])
def test_a_password_is_asked_for(rtsp: Serve, digest: bool) -> None:
    server = rtsp(Pattern(name="cam"), login=Login(user="viewer", password="s3cret", digest=digest))
    with pytest.raises(av.HTTPUnauthorizedError):
        first_pictures(server.url("cam", login=False), 1)
    assert first_pictures(server.url("cam"), 1)[0].shape == (240, 320, 3)


def test_it_comes_back_at_the_same_address(rtsp: Serve) -> None:
    server = rtsp(Pattern(name="cam"))
    assert len(first_pictures(server.url("cam"), 1)) == 1
    server.stop()
    with pytest.raises(av.FFmpegError):
        first_pictures(server.url("cam"), 1)
    server.start()
    assert len(first_pictures(server.url("cam"), 1)) == 1
