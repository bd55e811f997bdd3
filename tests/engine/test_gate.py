"""The gate in front of the decoder: what sleeps isn't decoded, what wakes misses nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from streamproc.chain.ledger import Ledger, LedgerPage
from streamproc.engine.decoding import Decoding, Outside
from streamproc.engine.ring import PacketRing
from streamproc.packets import Packet
from streamproc.sources.file import FileOptions, FileSource
from tests.h264 import field_coded
from tests.videos import Recipe, context, encode

COUNT, GROUP = 120, 20
OPEN = "open-gop=1:bframes=3:b-adapt=0:scenecut=0:keyint=20:min-keyint=20"
CLOSED = "open-gop=0:bframes=3:b-adapt=0:scenecut=0:keyint=20:min-keyint=20"


def x264(parameters: str) -> Recipe:
    return Recipe(frames=COUNT, gop=GROUP, b_frames=3, options={"x264-params": parameters})


RECIPES = {
    "h264.mp4": x264(CLOSED),
    "h264-open.mkv": x264(OPEN),
    "h264.ts": x264(CLOSED),
    "hevc.mkv": Recipe(
        codec="libx265", frames=COUNT, gop=GROUP, options={"x265-params": f"log-level=none:keyint={GROUP}:bframes=3"}
    ),
    "mpeg4.avi": Recipe(codec="mpeg4", frames=COUNT, gop=GROUP, b_frames=2),
    "vp9.webm": Recipe(codec="libvpx-vp9", frames=COUNT, gop=GROUP, options={"deadline": "realtime", "cpu-used": "8"}),
    "mjpeg.avi": Recipe(codec="mjpeg", pixels="yuvj420p", frames=COUNT),
}


@dataclass
class Timetable:
    """A gate that is awake for the packets with these numbers."""

    awake_at: frozenset[int]
    number: int = 0

    def awake(self, packet: Packet, /) -> bool:
        self.number += 1
        return self.number - 1 in self.awake_at


@dataclass
class Run:
    """What came out of a source."""

    frames: list[tuple[int | None, bytes]]
    ledger: LedgerPage


def run(path: Path, gate: Timetable | None = None, ring: PacketRing | None = None) -> Run:
    source = FileSource(FileOptions(path=str(path)))
    ledger, frames = Ledger(), list[tuple[int | None, bytes]]()
    info = source.open(context())
    outside = Outside(
        stopping=lambda: False,
        count=lambda reason, number=1: ledger.book("undecodable", reason, number),
        gated=lambda number: ledger.book("gated", number=number),
    )
    for decoded, _ in Decoding(source, "test", gate=gate, ring=ring).frames(info, outside):
        assert decoded is not None
        ledger.admit()
        frames.append((decoded.pts_ns, decoded.picture.to_gray().tobytes()))
        ledger.settle("processed")
    source.close()
    return Run(frames, ledger.page())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Run]]:
    """An encoded clip and what comes out of it without a gate."""
    folder, made = tmp_path_factory.mktemp("gate"), dict[str, tuple[Path, Run]]()

    def get(name: str) -> tuple[Path, Run]:
        if name not in made:
            path = encode(folder / name, RECIPES[name])
            made[name] = path, run(path)
        return made[name]

    return get


def naps(seed: int) -> frozenset[int]:
    """Numbers of packets at which a gate is awake: stretches of any length."""
    dice, awake, found, at = random.Random(seed), False, set[int](), 0
    while at < COUNT:
        length = dice.choice((1, 3, 10, 25, 50))
        found |= set(range(at, at + length)) if awake else set()
        at, awake = at + length, not awake
    return frozenset(found)


def check(found: Run, plain: Run) -> None:
    """Each picture is counted once, and the same as without a gate."""
    assert found.ledger.closed
    assert found.ledger.observed == plain.ledger.observed
    assert found.ledger.total("undecodable") == plain.ledger.total("undecodable")
    assert found.ledger.total("processed") == len(found.frames)
    assert found.ledger.total("gated") == found.ledger.observed - len(found.frames) - found.ledger.total("undecodable")
    everything = dict(plain.frames)
    times = [pts_ns for pts_ns, _ in found.frames]
    assert len(set(times)) == len(times)
    assert all(everything[pts_ns] == pixels for pts_ns, pixels in found.frames)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("seed", range(8))
def test_what_wakes_is_whole_and_counted_once(clip: Callable[[str], tuple[Path, Run]], name: str, seed: int) -> None:
    path, plain = clip(name)
    assert len(plain.frames) == COUNT
    gate = Timetable(naps(seed))
    found = run(path, gate, PacketRing(max_s=random.Random(seed).choice((0.1, 0.5, 2.0))))
    check(found, plain)
    assert len(found.frames) >= len(gate.awake_at & set(range(COUNT)))


@pytest.mark.parametrize("name", RECIPES)
def test_waking_replays_what_the_ring_holds(clip: Callable[[str], tuple[Path, Run]], name: str) -> None:
    path, plain = clip(name)
    found = run(path, Timetable(frozenset(range(90, COUNT))), PacketRing(max_s=1.0))
    assert found.frames == plain.frames[-len(found.frames) :]
    assert COUNT - 90 + 25 <= len(found.frames) <= COUNT - 90 + 25 + GROUP + 3
    assert found.ledger.total("gated") == COUNT - len(found.frames)
    assert found.ledger.total("undecodable") == 0


def test_a_short_sleep_loses_nothing(clip: Callable[[str], tuple[Path, Run]]) -> None:
    path, plain = clip("h264-open.mkv")
    found = run(path, Timetable(frozenset(range(COUNT)) - frozenset(range(33, 52))), PacketRing())
    assert found.frames == plain.frames
    assert found.ledger.total("gated") == 0


def test_what_sleeps_to_the_end_is_gated(clip: Callable[[str], tuple[Path, Run]]) -> None:
    path, plain = clip("h264.mp4")
    found = run(path, Timetable(frozenset(range(30))))
    assert len(found.frames) == 30
    assert set(found.frames) <= set(plain.frames)
    assert found.ledger.buckets == {("processed", ""): 30, ("gated", ""): COUNT - 30}


def test_a_group_larger_than_the_ring_is_gated(clip: Callable[[str], tuple[Path, Run]]) -> None:
    path, plain = clip("h264.mp4")
    ring = PacketRing(max_bytes=3000)
    found = run(path, Timetable(frozenset(range(50, COUNT))), ring)
    check(found, plain)
    assert found.frames == plain.frames[60:]
    assert ring.overflowed > 0


def test_two_fields_are_gated_as_one_picture(tmp_path: Path) -> None:
    path = tmp_path / "fields.h264"
    path.write_bytes(b"".join(field_coded(100)))
    plain = run(path)
    found = run(path, Timetable(frozenset(range(130))), PacketRing())
    assert plain.ledger.observed == found.ledger.observed == 100
    assert found.ledger.total("gated") > 0


def test_without_a_gate_nothing_is_held(clip: Callable[[str], tuple[Path, Run]]) -> None:
    path, plain = clip("h264.mp4")
    assert Decoding(FileSource(FileOptions(path=str(path))), "test").ring is None
    ring = PacketRing(max_s=1.0)
    assert run(path, ring=ring).frames == plain.frames
    assert len(ring) > 25
