"""Every family on real nets, pictures and clips: what is expected, what came out, what it costs.

    python -m benchmarks.families [--quick] [--markdown] [NAME ...]

Looked for is the folder that STREAMPROC_SHARED names, else `shared` beside the repository. Times are CPU-ms of all
threads together for one frame, or one clip, medians: the bare calls of the nets on one and on two threads, the whole
`process` of the plugin with nets of one thread, and what of that isn't spent in nets: converting and fitting the
picture, decoding the answer. Where there is no net, or a whole configuration was run, `process` alone is told.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from benchmarks import family_clips, family_pictures
from benchmarks.cost import Effort
from benchmarks.family_pictures import Row
from benchmarks.real import check_shared

FAMILIES: dict[str, Callable[[Effort], Iterator[Row]]] = {
    "classification": family_pictures.classification,
    "detection": family_pictures.detection,
    "action": family_pictures.action,
    "segmentation": family_pictures.segmentation,
    "people": family_pictures.people,
    "appearance": family_pictures.appearance,
    "faces": family_pictures.faces,
    "flow": family_clips.flow,
    "tracking": family_clips.tracking,
    "shots": family_clips.shots,
    "motion": family_clips.motion,
    "camera_health": family_clips.camera_health,
    "search": family_clips.search,
    "face_names": family_clips.face_names,
    "pose_events": family_clips.pose_events,
    "hall": family_clips.hall,
}
LONG = ("face_names", "pose_events", "hall")
"""left out of a quick run"""

HEADS = (
    "family", "net", "input", "expected", "from", "got", "as expected", "net, 1 thread", "net, 2 threads", "process",
    "overhead",
)  # fmt: skip


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, in the order of `HEADS`."""
    times = (row.cost.net_1, row.cost.net_2, row.cost.whole, row.cost.overhead)
    told = ("" if ms is None else f"{ms:.2f}" if ms < 10 else f"{ms:.1f}" for ms in times)
    answer = "yes" if row.holds else "NO"
    return (row.family, row.net, row.seen, row.expected, row.source, row.got, answer, *told)


def as_markdown(rows: Sequence[Row]) -> str:
    """A table for a page."""
    lines = [HEADS, tuple("---" if n < 7 else "---:" for n in range(len(HEADS))), *(cells(row) for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def as_text(rows: Sequence[Row]) -> str:
    """Three lines a row: answers are long."""
    out = []
    for row in rows:
        family, net, seen, expected, source, got, answer, *times = cells(row)
        told = ", ".join(f"{head} {ms}" for head, ms in zip(HEADS[7:], times, strict=True) if ms)
        out += [f"{family:16} {net}: {seen}", f"  CPU-ms   {told}"]
        out += [f"  expected {expected} ({source})", f"  got      {got}: {answer}"]
    return "\n".join(out)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FAMILIES)}; all by default")
    parser.add_argument("--quick", action="store_true", help=f"fewer repetitions, without {', '.join(LONG)}")
    parser.add_argument("--markdown", action="store_true", help="a table for a page")
    args = parser.parse_args(words)
    if unknown := [name for name in args.names if name not in FAMILIES]:
        parser.error(f"no family {unknown[0]!r}, expected some of {', '.join(FAMILIES)}")
    check_shared()
    effort = Effort(most=5, least=2, seconds=0.5, quick=True) if args.quick else Effort()
    names = args.names or [name for name in FAMILIES if not (args.quick and name in LONG)]
    rows: list[Row] = []
    for name in names:
        start = time.perf_counter()
        found = list(FAMILIES[name](effort))
        rows += found
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
        if not args.markdown:
            print(as_text(found), flush=True)
    if args.markdown:
        print(as_markdown(rows))
    if wrong := [row for row in rows if not row.holds]:
        raise SystemExit(f"{len(wrong)} of {len(rows)} answers are not as expected")


if __name__ == "__main__":
    main()
