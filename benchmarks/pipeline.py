"""What the framework costs and what it gains, against bare loops over the same clip with the same net.

    python -m benchmarks.pipeline [CLIP] [--rounds N] [--frames N] [--size WxH]

Job: decode, YOLOX-nano (384x640), tracking, a zone and a line. CLIP defaults to the sample clip (768x432), which is
encoded anew at the size asked for, 1280x720 unless told otherwise.

bare         PyAV with one decoding thread, RGB, letterbox, the net on one thread, one after the other: the calls that
             the framework makes, and nothing else
loop 2T      the loop that people write: PyAV, then the net on two threads
loop 2T spin the same with ONNX Runtime's default of spinning threads
net alone    two threads, each with the one-threaded net as its file is, on one prepared picture
net edited   the same with the net as streamproc loads it (see `edits` in docs/models.md)
streamproc   the whole job
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Spread, interleaved

MODEL = "yolox-nano"
HW = (384, 640)
SAMPLE = "cctv-one-by-one"


def frames_of(clip: Path, most: int) -> Iterator[Any]:
    """The decoder's frames."""
    import av

    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for count, frame in enumerate(container.decode(stream)):
            if count == most:
                return
            yield frame


def session(threads: int, spin: bool) -> Any:
    """ONNX Runtime's own session of the net, as a user would make it."""
    import onnx
    import onnxruntime

    from streamproc.models import ModelStore

    (path,) = ModelStore().files(MODEL).values()
    model = onnx.load(path)
    for size, dim in zip((1, 3, *HW), model.graph.input[0].type.tensor_type.shape.dim, strict=True):
        dim.dim_value = size
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = "boxes"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def prepared(rgb: Any) -> Any:
    """The net's input, by the function that the plugin calls."""
    from streamproc.models import builtin, prepare

    spec = builtin()[MODEL].input
    assert spec is not None
    return prepare(rgb, spec, HW)[0]


def loop(clip: Path, most: int, threads: int, spin: bool) -> Callable[[], int]:
    net = session(threads, spin)

    def run() -> int:
        count = 0
        for frame in frames_of(clip, most):
            net.run(None, {"images": prepared(frame.to_ndarray(format="rgb24"))})
            count += 1
        return count

    return run


def net_alone(clip: Path, most: int) -> Callable[[], int]:
    net = session(1, False)
    return two_at_a_time(clip, most, lambda blob: net.run(None, {"images": blob}))


def net_edited(clip: Path, most: int) -> Callable[[], int]:
    from streamproc.models import ModelStore

    return two_at_a_time(clip, most, ModelStore().load(MODEL, input_hw=HW))


def two_at_a_time(clip: Path, most: int, net: Callable[[Any], Any]) -> Callable[[], int]:
    blob = prepared(next(frames_of(clip, 1)).to_ndarray(format="rgb24"))

    def work() -> None:
        for _ in range(most // 2):
            net(blob)

    def run() -> int:
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return 2 * (most // 2)

    return run


def job(clip: Path) -> str:
    return f"""
version: 1
streams:
  camera: {{source: {json.dumps(str(clip))}, chain: [people, tracks, fence], sinks: [log]}}
plugins:
  people: {{type: detection, options: {{model: {MODEL}, labels: [person], min_score: 0.1}}}}
  tracks: {{type: tracking}}
  fence:
    type: rules
    options:
      zones: {{floor: {{polygon: [[0.02, 0.02], [0.98, 0.02], [0.98, 0.98], [0.02, 0.98]], labels: [person]}}}}
      lines: {{middle: {{points: [[0.5, 0], [0.5, 1]]}}}}
sinks:
  log: {{type: jsonl, options: {{path: {json.dumps(str(clip.with_suffix(".jsonl")))}, mode: replace}}}}
"""


def streamproc_job(clip: Path, _: int) -> Callable[[], int]:
    from streamproc.config import load_text
    from streamproc.engine import Engine
    from streamproc.engine.process import prepare_process
    from streamproc.models import ModelStore

    prepare_process()  # as `streamproc run` does
    store = ModelStore()
    plan = load_text(job(clip))

    def run() -> int:
        report = Engine(plan, models=store).run()
        assert report.exit_code == 0, report
        return report.streams[0].ledger.total("processed")

    return run


VARIANTS: dict[str, Callable[[Path, int], Callable[[], int]]] = {
    "bare": lambda clip, most: loop(clip, most, 1, False),
    "loop 2T": lambda clip, most: loop(clip, most, 2, False),
    "loop 2T spin": lambda clip, most: loop(clip, most, 2, True),
    "net edited": net_edited,
    "net alone": net_alone,
    "streamproc": streamproc_job,
}


def child(variant: str, clip: Path, most: int) -> None:
    """Warm up once, then measure."""
    run = VARIANTS[variant](clip, most)
    run()
    wall, cpu = time.perf_counter(), time.process_time()
    frames = run()
    found = {"frames": frames, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    print(json.dumps(found))


def scaled(source: Path, target: Path, most: int, size: tuple[int, int]) -> None:
    """The first frames of `source` at another size."""
    from streamproc.media import VideoWriter

    writer = VideoWriter(target)
    try:
        for frame in frames_of(source, most):
            picture = frame.reformat(*size, "rgb24", threads=1).to_ndarray()
            writer.write(picture, round(frame.pts * frame.time_base * 10**9))
    finally:
        writer.close()


def report(found: dict[str, list[dict[str, float]]]) -> None:
    rates = {name: [run["frames"] / run["wall_s"] for run in runs] for name, runs in found.items()}
    fps = {name: Spread.of(values) for name, values in rates.items()}
    cpu = {name: Spread.of([1000 * run["cpu_s"] / run["frames"] for run in runs]) for name, runs in found.items()}
    print(f"{'':14} {'frames/s':>24} {'CPU-ms a frame':>24}")
    for name in found:
        print(f"{name:14} {fps[name]!s:>24} {cpu[name]!s:>24}")
    pairs = list(zip(found["streamproc"], found["bare"], strict=True))
    added = Spread.of([1000 * (a["cpu_s"] / a["frames"] - b["cpu_s"] / b["frames"]) for a, b in pairs])
    best = max(fps["loop 2T"].median, fps["loop 2T spin"].median)
    print(f"added to the bare calls: {added} CPU-ms a frame (aim: under 1)")
    print(f"throughput against the better sequential loop: {fps['streamproc'].median / best:.2f} (at least 1.3)")
    for alone, wanted in (("net alone", "at least 0.85"), ("net edited", "no mark set")):
        share = Spread.of([ours / its for ours, its in zip(rates["streamproc"], rates[alone], strict=True)])
        ratio = fps["streamproc"].median / fps[alone].median
        print(f"throughput against the {alone}: {ratio:.2f}, round by round {share} ({wanted})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--child")
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.clip, arguments.frames)
        return
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        width, height = map(int, arguments.size.split("x"))
        scaled(arguments.clip or sample(), clip, arguments.frames, (width, height))
        script = ["-m", "benchmarks.pipeline", str(clip), "--frames", str(arguments.frames), "--child"]
        report(interleaved({name: [*script, name] for name in VARIANTS}, arguments.rounds))


def sample() -> Path:
    from streamproc.cli.samples import find_sample, samples

    return find_sample(samples()[SAMPLE])


if __name__ == "__main__":
    sys.exit(main())
