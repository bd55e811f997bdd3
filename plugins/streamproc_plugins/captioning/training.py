"""`streamproc train caption`: from clips or pictures with sentences to a model that `caption_net` runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.evaluation.captions import CaptionReport, evaluate
from streamproc.models import InputSpec, ModelEntry, ModelFile
from streamproc_plugins.captioning.decoder import Weights, caption, log_softmax
from streamproc_plugins.captioning.net_plugin import DECODE
from streamproc_plugins.captioning.nets import Captioner, EncoderKind, NetSettings, build_captioner
from streamproc_plugins.captioning.samples import (
    CaptionedClip,
    are_pictures,
    grouped_captioned,
    references,
    split_captioned,
)
from streamproc_plugins.captioning.vocabulary import PAD, Vocabulary
from streamproc_plugins.training.augment import Augmentation
from streamproc_plugins.training.batches import Batch, Feed
from streamproc_plugins.training.charts import curves, save_png
from streamproc_plugins.training.course import CourseSettings, TrainingProgress, check_width
from streamproc_plugins.training.data import TrainingError
from streamproc_plugins.training.export import CURVES, prepare_folder, save_parts, save_report
from streamproc_plugins.training.fit import Epoch, FitCallbacks, History, compile_net, fit
from streamproc_plugins.training.loading import Cache, Load, clip_loader, picture_loader
from streamproc_plugins.training.logs import ScalarLog

F32 = NDArray[np.float32]

TASK = "captioning"
ENCODER_FILE, DECODER_FILE = "encoder.keras", "decoder.npz"
_WINDOWS = 4
"""of a long segment so many clips' length is read, from its middle"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionSettings:
    """Settings particular to captions."""

    out: Path
    name: str
    encoder: EncoderKind = "2d"
    frames: int = 8
    """pictures in a clip; pictures alone always have 1"""
    rate: float = 4.0
    """pictures a second of media time"""
    size: tuple[int, int] = (112, 112)
    """(width, height)"""
    width: float = 1.0
    longest: int = 20
    """words of a sentence, start and end mark counted"""
    least: int = 1
    """words that occur less often are unknown"""
    beam: int = 3
    course: CourseSettings = field(default_factory=lambda: CourseSettings(augmentation=Augmentation(flip=False)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionOutcome:
    """Result of a training."""

    folder: Path
    report: CaptionReport
    """on the held-out samples"""
    history: History
    examples: tuple[tuple[str, str, str], ...]
    """sample, generated caption, people's captions"""

    def table(self) -> str:
        """A table for the terminal."""
        lines = [f"  {said or '(nothing)'}   (people: {people})" for _, said, people in self.examples]
        return "\n".join([self.report.table(), "", "held-out samples:", *lines, "", f"model folder: {self.folder}"])


@dataclass(frozen=True, kw_only=True, eq=False)
class CaptionFeed:
    """Batches for the loop that fits: pictures and the words so far, the words that follow, which of them count."""

    feed: Feed
    """of (clip, sentence) pairs; its class ids are rows of `sentences`"""
    sentences: NDArray[np.int64]
    """(S, L) word numbers"""
    flow: bool

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return self.feed.steps

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of this epoch, from 0."""
        return map(self._worded, self.feed.epoch(number))

    def held_back(self) -> Iterator[Batch]:
        """The held-out samples."""
        return map(self._worded, self.feed.held_back())

    def _worded(self, batch: Batch) -> Batch:
        rows = self.sentences[batch.y]
        x = {**net_input(batch.x, self.flow), "words": rows[:, :-1].astype(np.int32)}
        return Batch(x, rows[:, 1:], (rows[:, 1:] != PAD).astype(np.float32))


def net_input(x: Any, flow: bool) -> dict[str, F32]:
    """The encoder's part of a feed's input: the pictures, or of both the flow."""
    return {"flow": x[1]} if flow else {"rgb": x}


def train_captions(
    captioned: Sequence[CaptionedClip], settings: CaptionSettings, progress: TrainingProgress
) -> CaptionOutcome:
    """Train and write the model folder; `TrainingError` gives the reason for a refusal."""
    import keras

    settings.course.check()
    check_width(settings.width)
    prepare_folder(settings.out)
    captioned, notes = grouped_captioned(captioned)
    for note in notes:
        progress.say(note)
    training, validation = split_captioned(captioned, settings.course.validation, settings.course.seed)
    vocabulary = Vocabulary.of((text for item in training for text in item.sentences), settings.least)
    stills = are_pictures(captioned)
    if stills and settings.encoder != "2d":
        raise TrainingError(f"pictures have no motion for the encoder {settings.encoder!r}; take 2d")
    progress.say(
        f"{len(training)} {'pictures' if stills else 'clips'} for training, {len(validation)} held out, "
        f"{len(vocabulary)} words"
    )
    frames = 1 if stills else settings.frames
    net = NetSettings(
        encoder=settings.encoder, frames=frames, size=settings.size, words=len(vocabulary), longest=settings.longest,
        width=settings.width,
    )  # fmt: skip
    keras.utils.set_random_seed(settings.course.seed)
    captioner = build_captioner(net)
    feed = _feed(training, validation, vocabulary, settings, net, _loader(settings, stills, frames))
    history = _fit(captioner, feed, _entry(settings, net, vocabulary), settings, progress)
    return _finish(captioner, feed, validation, vocabulary, settings, history)


def _loader(settings: CaptionSettings, stills: bool, frames: int) -> Load:
    if stills:
        spec = InputSpec(width=settings.size[0], height=settings.size[1], layout="NHWC", colour="rgb")
        return picture_loader(spec)
    return clip_loader(settings.size, settings.rate, _WINDOWS * frames)


def _feed(
    training: Sequence[CaptionedClip],
    validation: Sequence[CaptionedClip],
    vocabulary: Vocabulary,
    settings: CaptionSettings,
    net: NetSettings,
    load: Load,
) -> CaptionFeed:
    pairs = [[(item.sample, text) for item in side for text in item.sentences] for side in (training, validation)]
    sentences = vocabulary.encode([text for side in pairs for _, text in side], settings.longest)
    flow = net.encoder == "flow"
    feed = Feed(
        load=Cache(load, samples=[item.sample for item in (*training, *validation)]),
        training=[sample for sample, _ in pairs[0]],
        validation=[sample for sample, _ in pairs[1]],
        training_ids=np.arange(len(pairs[0])),
        validation_ids=np.arange(len(pairs[1])) + len(pairs[0]),
        weights=np.ones(len(sentences), np.float32),
        frames=net.frames,
        flow=flow,
        size=settings.course.batch,
        seed=settings.course.seed,
        augmentation=settings.course.augmentation,
    )
    return CaptionFeed(feed=feed, sentences=sentences, flow=flow)


def _fit(
    captioner: Captioner, feed: CaptionFeed, entry: ModelEntry, settings: CaptionSettings, progress: TrainingProgress
) -> History:
    compile_net(captioner.model, settings.course.fit)

    def score(model: Any) -> tuple[float, float]:
        loss = right = words = 0.0
        for batch in feed.held_back():
            log_p = log_softmax(np.asarray(model.predict_on_batch(batch.x), np.float64))
            chosen = np.take_along_axis(log_p, batch.y[..., None], axis=2)[..., 0]
            loss -= float((chosen * batch.weight).sum())
            right += float(((log_p.argmax(axis=2) == batch.y) * batch.weight).sum())
            words += float(batch.weight.sum())
        return loss / words, right / words

    with ScalarLog(settings.out / CURVES) as log:

        def note(epoch: Epoch) -> None:
            progress.say(
                f"epoch {epoch.number}/{settings.course.fit.epochs}: loss {epoch.loss:.3f}; held out: loss "
                f"{epoch.val_loss:.3f} a word, {epoch.val_accuracy:.3f} of the words right; rate {epoch.rate:g}"
            )
            values = asdict(epoch)
            log.scalars(values.pop("number"), values)

        watch = FitCallbacks(
            batch=progress.batch, epoch=note, best=lambda _model, _epoch: _save(captioner, entry, settings.out)
        )
        history = fit(captioner.model, feed, score, settings.course.fit, watch)
    _save(captioner, entry, settings.out)  # once more: an interruption may have come before the best one's file
    return history


def _finish(
    captioner: Captioner,
    feed: CaptionFeed,
    validation: Sequence[CaptionedClip],
    vocabulary: Vocabulary,
    settings: CaptionSettings,
    history: History,
) -> CaptionOutcome:
    said = say_all(captioner, feed, validation, vocabulary, settings.beam)
    report = evaluate(references(validation), said)
    save_png(settings.out / "curves.png", curves(history))
    values = {
        "held_out": json.loads(report.to_json()),
        "history": history.to_json(),
        "captions": said,
        "settings": {**asdict(settings), "out": settings.out.name},
    }
    save_report(settings.out, values)
    examples = tuple((item.sample.label, said[item.sample.label], item.sentences[0]) for item in validation[:5])
    return CaptionOutcome(folder=settings.out, report=report, history=history, examples=examples)


def say_all(
    captioner: Captioner, feed: CaptionFeed, captioned: Sequence[CaptionedClip], vocabulary: Vocabulary, beam: int
) -> dict[str, str]:
    """A caption of each sample, by its label."""
    weights = Weights.of(captioner.decoder_arrays(), len(vocabulary))
    said = {}
    for item in captioned:
        (given,) = net_input(feed.feed.as_is(item.sample), feed.flow).values()
        regions = np.asarray(captioner.encoder(given, training=False), np.float32)[0]
        longest = feed.sentences.shape[1] - 1
        said[item.sample.label] = vocabulary.decode(caption(weights, regions, beam, longest).words)
    return said


def _entry(settings: CaptionSettings, net: NetSettings, vocabulary: Vocabulary) -> ModelEntry:
    spec = InputSpec(
        width=net.size[0], height=net.size[1], layout="NDHWC", colour="rgb", frames=net.frames
    )  # fmt: skip
    return ModelEntry(
        name=settings.name, task=TASK, runtime="keras", decode=DECODE, input=spec, labels=vocabulary.words,
        note=f"captions of {net.frames} pictures at {settings.rate:g} a second, encoder {net.encoder}",
        licence="your own", source="trained with streamproc",
        files=(ModelFile(name=ENCODER_FILE), ModelFile(name=DECODER_FILE)),
    )  # fmt: skip


def _save(captioner: Captioner, entry: ModelEntry, folder: Path) -> None:
    def arrays(path: Path) -> None:
        with path.open("wb") as target:
            np.savez(target, **captioner.decoder_arrays())  # type: ignore[arg-type]

    save_parts(folder, entry, {ENCODER_FILE: captioner.encoder.save, DECODER_FILE: arrays})


__all__ = ["DECODER_FILE", "CaptionFeed", "CaptionOutcome", "CaptionSettings", "net_input", "train_captions"]
