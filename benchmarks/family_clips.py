"""Rows of `benchmarks.families` that are about clips: whole configurations run in the engine, and trackers on boxes."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks import tracking as mot
from benchmarks.cost import Cost, Effort, cost
from benchmarks.family_pictures import EYE, Row, near, of
from benchmarks.real import SHARED, pictures, run_job, store, truth
from streamproc import Event

TRUTH = "shared/media/truth.json"


def job(clip: str, plugins: str, *, rate: float | None = None, name: str = "clip") -> str:
    """A configuration of one stream: `plugins` are lines `name: {type: ...}`, in the order of the chain."""
    names = ", ".join(line.split(":")[0].strip() for line in plugins.strip().splitlines())
    kept = "" if rate is None else f"rate: {rate}, "
    source = f'{{type: file, options: {{path: "{SHARED / "media" / clip}"}}}}'
    listed = "\n".join("  " + line.strip() for line in plugins.strip().splitlines())
    return f"version: 1\nstreams: {{{name}: {{source: {source}, {kept}chain: [{names}]}}}}\nplugins:\n{listed}\n"


def spans(events: Sequence[Event], fps: float = 1.0) -> list[tuple[float, float]]:
    """Start and end of each episode, in seconds or, with `fps`, in frames."""
    return [(e.start_ns * fps / 1e9, (e.end_ns or 0) * fps / 1e9) for e in events if e.phase == "end"]


def flow(_: Effort) -> Iterator[Row]:
    """Optical flow on the Middlebury pair."""
    from streamproc.evaluation.flow import compute, evaluate, read_flo
    from streamproc_plugins.faces.enrolment import read_photo

    folder = SHARED / "data" / "flow" / "RubberWhale"
    before, now = (read_photo(folder / f"frame{n}.png") for n in (10, 11))
    for method, name, expected in (("dis", "DIS medium", 0.225), ("farneback", "Farneback", 0.431)):
        start, count = time.process_time(), 5
        for _turn in range(count):
            found = compute(method, before, now)
        spent = 1e3 * (time.process_time() - start) / count
        got = evaluate(read_flo(folder / "flow10.flo"), found).epe
        yield Row(
            family="flow", net=f"none ({name})", seen="RubberWhale", expected=f"end-point error {expected} px",
            source="shared/data/README.md", got=f"{got:.3f} px", holds=got <= expected + 0.03, cost=Cost(whole=spent),
        )  # fmt: skip


def tracking(effort: Effort) -> Iterator[Row]:
    """Public detections of MOT17: plain SORT is the floor, a published offline tracker the ceiling."""
    known = {"MOT17-02": (32.0, 57.2), "MOT17-05": (45.1, 68.9)}
    for name, (floor, strong) in list(known.items())[1 if effort.quick else 0 :]:
        sequence = mot.read_sequence(SHARED / "data" / "mot" / name)
        start = time.process_time()
        steps = len(mot.our_steps(sequence))
        spent = 1e3 * (time.process_time() - start) / steps
        reports = mot.compare([sequence])
        sort, online, filled = (reports[method][name] for method in mot.METHODS)
        yield Row(
            family="tracking", net="none (Kalman filter, boxes only)", seen=f"{name}, public detections",
            expected=f"plain SORT: MOTA {floor}; Lif_T: IDF1 {strong}", source="shared/data/README.md",
            got=f"plain SORT: MOTA {100 * sort.mota:.1f}, IDF1 {100 * sort.idf1:.1f}; online IDF1 "
            f"{100 * online.idf1:.1f}, back-filled IDF1 {100 * filled.idf1:.1f}, MOTA {100 * filled.mota:.1f}",
            holds=near(100 * sort.mota, floor, 0.1) and online.idf1 > sort.idf1, cost=Cost(whole=spent),
        )  # fmt: skip


HALL = """
people: {type: detection, options: {model: yolox-nano, labels: [person], min_score: 0.1}}
tracks: {type: tracking}
fence: {type: rules, options: {lines: {door: {points: [[0.833, 0], [0.833, 1]]}}, ZONES}}
words: {type: captions, options: {window: 5s}}
""".replace("ZONES", "zones: {picture: {polygon: [[0, 0], [1, 0], [1, 1], [0, 1]], labels: [person]}}")


def hall(_: Effort) -> Iterator[Row]:
    """Six people walk through one at a time: tracked, counted, told in words."""
    clip, told = "cctv_one_by_one.mp4", truth("cctv_one_by_one.mp4")
    run = run_job(job(clip, HALL, rate=5))
    crossed = [event.data["direction"] for event in run.of("line.crossed")]
    fps = told["fps"]
    visits = [(visit["first"] / fps, visit["last"] / fps) for visit in told["visits"]]
    found = spans(run.of("zone.entered"))
    off = max((float(np.abs(np.subtract(a, b)).max()) for a, b in zip(found, visits, strict=False)), default=np.inf)
    yield Row(
        family="tracking, rules", net="yolox-nano", seen=f"{clip} at 5 frames/s",
        expected="6 crossings in one direction; 6 visits, start and end within 0.7 s", source=TRUTH,
        got=f"{len(crossed)} crossings, {len(set(crossed))} direction; {len(found)} visits, off by {off:.2f} s at most",
        holds=len(crossed) == len(found) == 6 and len(set(crossed)) == 1 and off <= 0.7,
        cost=Cost(whole=run.spent_ms["tracks"] + run.spent_ms["fence"]),
    )  # fmt: skip
    lines = [event.data["text"] for event in run.of("caption")]
    crossing = sum("A person crosses the door." in line for line in lines)
    right, left = (sum(f"to the {way}" in line for line in lines) for way in ("right", "left"))
    yield Row(
        family="captions", net="none (templates)", seen=f"{clip} at 5 frames/s",
        expected="6 crossings told, nobody walks to the left", source=TRUTH,
        got=f"{crossing} crossings told; to the right {right}, to the left {left} times",
        holds=crossing == 6 and left == 0, cost=Cost(whole=run.spent_ms["words"]),
    )  # fmt: skip


def shots(_: Effort) -> Iterator[Row]:
    """Cuts and fades."""
    cuts = truth("face_hamilton_4shots.mp4")["shot_cuts"]
    for clip, expected, source in (
        ("face_hamilton_4shots.mp4", cuts, TRUTH),
        ("edge_fades_testvideo.mp4", [30, 180, 397, 529, 688], "shared/media/README.md"),
    ):
        run = run_job(job(clip, "shots: {type: shots}"))
        found = [event.data["first_frame"] for event in run.of("shot", "start")][1:]
        seen = [min(found, key=lambda frame: abs(frame - at), default=-99) for at in expected]
        more = sorted(set(found) - set(seen))
        yield Row(
            family="shots", net="none", seen=clip, expected=f"changes at {_listed(expected)}", source=source,
            got=_listed(seen) + (f"; also {_listed(more)}, where a view fades in or out ({EYE})" if more else ""),
            holds=all(near(a, b, 3) for a, b in zip(seen, expected, strict=True))
            and all(near(frame, 215, 5) or near(frame, 356, 5) for frame in more),
            cost=Cost(whole=run.spent_ms["shots"]),
        )  # fmt: skip


MASKS = [
    [[0, 0.037], [0.253, 0.039], [0.254, 0.113], [0, 0.113]],
    [[0.783, 0], [0.746, 0.381], [1, 0.607], [1, 0]],
]
"""what the truth of the three motion clips leaves out"""


def motion(_: Effort) -> Iterator[Row]:
    """A white flash, a night switch, a real mover; and that a healthy camera is told to be one."""
    moving = f"moving: {{type: motion, options: {{masks: {json.dumps(MASKS)}}}}}"
    told: list[str] = []
    for name in ("none", "ir_switch", "person_190_307"):
        run = run_job(job(f"cctv_motion_{name}.mp4", moving))
        found = spans(run.of("motion"), fps=6)
        told.append(" ".join(f"{a:.0f}-{b:.0f}" for a, b in found) or "nothing")
    (start, end) = found[0] if len(found) == 1 else (0.0, 0.0)
    yield Row(
        family="motion", net="none", seen="cctv_motion_none, _ir_switch, _person_190_307",
        expected="nothing, nothing, frames 190-307 (may linger 12)", source=TRUTH, got=", ".join(told),
        holds=told[:2] == ["nothing"] * 2 and near(start, 190, 6) and 290 <= end <= 307 + 12,
        cost=Cost(whole=run.spent_ms["moving"]),
    )  # fmt: skip


def camera_health(_: Effort) -> Iterator[Row]:
    """Four healthy cameras, one with a flash, one with a night switch."""
    clips = ("cctv_motion_none", "cctv_motion_person_190_307", "cctv_motion_ir_switch", "edge_bottles_640x360")
    alarms = []
    for name in clips:
        run = run_job(job(f"{name}.mp4", "health: {type: camera_health}", rate=6))
        alarms += [event.type for event in run.events]
    yield Row(
        family="camera_health", net="none", seen="4 fixed cameras, a flash, a night switch", expected="no alarm",
        source=EYE, got=", ".join(alarms) or "no alarm", holds=not alarms, cost=Cost(whole=run.spent_ms["health"]),
    )  # fmt: skip


def search(effort: Effort) -> Iterator[Row]:
    """A picture of a moment that wasn't kept finds its own clip among two."""
    import cv2

    from streamproc_plugins.search.embed import Embed
    from streamproc_plugins.search.memory import memories
    from streamproc_plugins.search.query import Wanted, by_picture

    gym, other = "sport_basketball_gym.mp4", "cctv_one_by_one.mp4"
    asked = next(rgb for n, rgb in enumerate(pictures(gym)) if n == 137)  # between two kept ones
    with tempfile.TemporaryDirectory() as folder:
        for name, clip, rate in (("gym", gym, 1.0), ("hall", other, 0.5)):
            kept = f"memory: {{type: remember, options: {{path: {folder}/kept/{name}, every: 500ms}}}}"
            run_job(job(clip, f"what: {{type: embed}}\n{kept}", rate=rate, name=name))
        photo = Path(folder) / "asked.png"
        cv2.imwrite(str(photo), asked[..., ::-1])
        opened = memories(Path(folder) / "kept")
        hits = by_picture(opened, photo, "frames", Wanted(limit=50, together_s=0), store())
        for memory in opened:
            memory.close()
    best, at_s = hits[0], 137 / 30
    yield Row(
        family="search", net="mobilenet-v2 features", seen=f"frame 137 of {gym}; that and the hall's clip kept",
        expected="the gym, within a second, cosine > 0.8", source="how it is made",
        got=f"the {best.item.stream}, {abs(best.item.pts_ns / 1e9 - at_s):.1f} s away, cosine {best.score or 0:.2f}",
        holds=best.item.stream == "gym" and (best.score or 0) > 0.8 and near(best.item.pts_ns / 1e9, at_s, 1.0),
        cost=cost(Embed, of(asked), effort),
    )  # fmt: skip


def face_names(_: Effort) -> Iterator[Row]:
    """Two people are named from one photo each, in four shots of a concert."""
    from streamproc_plugins.faces.enrolment import Demands, Photographer, read_photo
    from streamproc_plugins.faces.gallery import Gallery

    people = {"lin-manuel-miranda": "Miranda", "alex-lacamoire": "Lacamoire"}
    with tempfile.TemporaryDirectory() as folder:
        photographer, gallery = Photographer(store(), "mobileface"), Gallery(Path(folder) / "gallery.db")
        for file, name in people.items():
            rgb = read_photo(SHARED / f"data/faces/references/{file}.png")
            gallery.add(name, file, photographer.enrol(rgb, Demands(), file), photographer.model)
        plugins = f"""
        faces: {{type: faces, options: {{embedding: mobileface}}}}
        tracks: {{type: face_tracks}}
        names: {{type: face_names, options: {{gallery: "{gallery.path}"}}}}
        """
        run = run_job(job("face_hamilton_4shots.mp4", plugins))
    ended = run.of("face.recognised", "end")
    told = [f"{e.subject} {a:.0f}-{b:.0f}" for e, (a, b) in zip(ended, spans(ended, fps=29.97), strict=True)]
    yield Row(
        family="faces, names", net="yunet, mobileface", seen="face_hamilton_4shots.mp4, one photo each",
        expected="Miranda 0-19 and 82-210, Lacamoire 0-19 (and 20-81 in profile, hard)", source=TRUTH,
        got=", ".join(told), holds=told == ["Miranda 0-19", "Lacamoire 0-19", "Miranda 82-210"],
        cost=Cost(whole=run.spent_ms["faces"] + run.spent_ms["tracks"] + run.spent_ms["names"]),
    )  # fmt: skip


def pose_events(_: Effort) -> Iterator[Row]:
    """A hand that goes up and comes down."""
    plugins = """
    pose: {type: pose, options: {mode: bottom-up}}
    told: {type: pose_events}
    """
    run = run_job(job("gestures_seated_person.mp4", plugins, rate=8))
    found = spans(run.of("pose.raised_hands"))
    first = min(found, key=lambda span: abs(span[0] - 7.4), default=(0.0, 0.0))
    yield Row(
        family="pose_events", net="bodypix, bottom-up", seen="gestures_seated_person.mp4 at 8 frames/s",
        expected="hand up at 7.3 s, down at 9.2 s", source=TRUTH, got=f"{first[0]:.1f} s to {first[1]:.1f} s",
        holds=near(first[0], 7.3, 0.4) and near(first[1], 9.2, 0.5),
        cost=Cost(whole=run.spent_ms["pose"] + run.spent_ms["told"]),
    )  # fmt: skip


def _listed(frames: Sequence[int]) -> str:
    return ", ".join(map(str, frames))
