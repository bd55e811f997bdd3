"""What `motion` costs beside decoding, for one stream and for many.

    python -m benchmarks.motion [CLIP] [--rounds N] [--frames N] [--streams N]

CLIP defaults to the sample clip (768x432); its first frames are copied as they are, without encoding them anew. All
variants decode the same recording once for each stream, as fast as they can:

decode   PyAV with one decoding thread a stream, and nothing else
nothing  the engine with a plugin that does nothing
motion   the engine with `motion` alone in the chain
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Spread, interleaved
from benchmarks.pipeline import frames_of, sample
from streamproc import Frame, Options, Output, Results, StreamPlugin

ALL = sys.maxsize


class Nothing(StreamPlugin[Options]):
    """Looks at no frame."""

    pixels = False

    def process(self, frame: Frame, past: Results) -> Output:
        """No output."""
        return []


def decode(clip: Path, streams: int) -> int:
    """Frames decoded by one thread for each stream."""
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(sum(1 for _ in frames_of(clip, ALL)))) for _ in range(streams)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def engine(kind: str) -> Callable[[Path, int], int]:
    """Runs a chain of one plugin; gives the number of processed frames."""

    def run(clip: Path, streams: int) -> int:
        from streamproc.config import load_text
        from streamproc.engine import Engine

        one = f"{{source: {json.dumps(str(clip))}, chain: [only]}}"
        text = "".join(f"  stream{number}: {one}\n" for number in range(streams))
        report = Engine(load_text(f"version: 1\nstreams:\n{text}plugins: {{only: {{type: {kind}}}}}\n")).run()
        assert report.exit_code == 0, report
        return sum(stream.ledger.total("processed") for stream in report.streams)

    return run


VARIANTS: dict[str, Callable[[Path, int], int]] = {
    "decode": decode,
    "nothing": engine("benchmarks.motion:Nothing"),
    "motion": engine("motion"),
}


def child(variant: str, clip: Path, streams: int) -> None:
    """Warm up with one stream, then measure."""
    from streamproc.cli.host import prepare_process

    prepare_process()  # as `streamproc run` does
    run = VARIANTS[variant]
    run(clip, 1)
    wall, cpu = time.perf_counter(), time.process_time()
    frames = run(clip, streams)
    print(
        json.dumps({"frames": frames, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}),
        flush=True,
    )


def first_frames(source: Path, target: Path, most: int) -> None:
    """Copy the packets of the first frames."""
    import av

    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for count, packet in enumerate(given.demux(video=0)):
            if count == most or packet.dts is None:
                return
            packet.stream = stream
            made.mux(packet)


def report(found: dict[str, list[dict[str, float]]], streams: int) -> None:
    """CPU-ms a frame, and `motion` against the decoding of the same round."""
    cpu = {name: [1000 * run["cpu_s"] / run["frames"] for run in runs] for name, runs in found.items()}
    for name, runs in found.items():
        rate = Spread.of([run["frames"] / run["wall_s"] for run in runs])
        print(f"{streams:3} x {name:8} {Spread.of(cpu[name])!s:>20} CPU-ms a frame {rate!s:>28} frames/s")
    for base in ("decode", "nothing"):
        added = Spread.of([ours - its for ours, its in zip(cpu["motion"], cpu[base], strict=True)])
        ratio = Spread.of(
            [(ours - its) / alone for ours, its, alone in zip(cpu["motion"], cpu[base], cpu["decode"], strict=True)]
        )
        print(f"{streams:3} x motion over {base}: {added} CPU-ms a frame (aim: under 1), {ratio} times decoding")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--child")
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.clip, arguments.streams)
        return
    with tempfile.TemporaryDirectory() as folder:
        source = arguments.clip or sample()
        clip = Path(folder) / f"clip{source.suffix}"
        first_frames(source, clip, arguments.frames)
        for streams in sorted({1, arguments.streams}):
            script = ["-m", "benchmarks.motion", str(clip), "--streams", str(streams), "--child"]
            report(interleaved({name: [*script, name] for name in VARIANTS}, arguments.rounds), streams)


if __name__ == "__main__":
    sys.exit(main())
