"""`caption_net`: clips described by a trained encoder-decoder."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable

import numpy as np

from streamproc import (
    Caption,
    Clip,
    ClipPlugin,
    ClipSpec,
    Duration,
    Event,
    Field,
    Mistake,
    ModelError,
    Options,
    Output,
    PluginContext,
    Results,
    seconds,
)
from streamproc.models import InputSpec, ModelEntry, ModelStore, model_mistakes
from streamproc.shots import Shot
from streamproc_plugins.action.clips import clip_input, picture_input
from streamproc_plugins.captioning.decoder import Weights, caption
from streamproc_plugins.captioning.plugin import TYPE
from streamproc_plugins.captioning.vocabulary import Vocabulary
from streamproc_plugins.shots.following import spans_cut

DECODE = "attention-captioner"


class CaptionNetOptions(Options):
    """Options of `caption_net`."""

    model: str = Field(
        description="name in the model list, or path of a model folder that `streamproc train caption` made"
    )
    rate: float = Field(4, gt=0, le=120, description="pictures per second of media time in a clip")
    stride: Duration = Field(seconds(2), gt=0, description="media time between the ends of two clips")
    beam: int = Field(3, ge=1, le=20, description="sentences followed at each word (beam search); 1: greedy")
    longest: int = Field(20, ge=2, le=100, description="most words of a sentence")
    min_score: float = Field(
        0.3, ge=0, le=1, description="captions with a lower mean probability of a word are left out"
    )
    threads: int = Field(1, ge=1, le=64, description="threads that one call of the net may use")


class CaptionNet(ClipPlugin[CaptionNetOptions]):
    """Describes a clip in a sentence: features of regions, an LSTM that attends to them, beam search.

    Xu et al., Show, Attend and Tell, ICML 2015; Yao et al., ICCV 2015 for video. Gives `Caption` and one `caption`
    event a clip; none for a clip that lies in two shots, where `shots` stands before.
    """

    uses = (Shot,)
    gives = (Caption,)

    @classmethod
    def check_options(cls, options: CaptionNetOptions, models: ModelStore) -> Iterable[Mistake]:
        """The model must be a captioner."""
        return model_mistakes(models, options.model, fits=captioner_input)

    def open(self, context: PluginContext) -> None:
        """Load encoder and decoder; `ModelError` where they aren't those of a captioner or don't fit each other."""
        entry = context.models.entry(self.options.model)
        self._spec = captioner_input(entry)
        self._vocabulary = _vocabulary(entry)
        self._weights = _decoder(context.models, self.options.model, entry, len(self._vocabulary))
        self._net = context.models.load(self.options.model, threads=self.options.threads)
        self._net.expect(DECODE, {"#0": (None, None, self._weights.depth)})
        self._flow = self._net.inputs[0].shape[-1] == 2

    def clip(self) -> ClipSpec:
        """The clip that the model's manifest names."""
        assert self._spec.frames is not None
        return ClipSpec(
            frames=self._spec.frames,
            rate=self.options.rate,
            stride_ns=self.options.stride,
            size=(self._spec.width, self._spec.height),
            flow=self._flow,
        )

    def process(self, clip: Clip, past: Results) -> Output:
        """One `Caption`, and an event where it is sure enough; nothing for a clip that spans a cut."""
        if spans_cut(past, int(clip.pts_ns[0])):
            return
        if self._flow:
            assert clip.flow is not None
            given = np.ascontiguousarray(clip.flow)[None]
        else:
            given = picture_input(clip.rgb, self._spec)
        (regions,) = self._net(given)
        generated = caption(self._weights, regions[0], self.options.beam, self.options.longest)
        text = self._vocabulary.decode(generated.words)
        if text:
            yield Caption(text=text, score=generated.probability)
            if generated.probability >= self.options.min_score:
                yield Event.instant(clip, TYPE, score=generated.probability, text=text)


def captioner_input(entry: ModelEntry) -> InputSpec:
    """The input of a captioner; `ModelError` where the model isn't one."""
    if entry.decode != DECODE:
        raise ModelError(
            f"{entry.name} is for {entry.task} (decode {entry.decode!r}), expected a captioner ({DECODE!r}), as "
            "`streamproc train caption` makes it"
        )
    return clip_input(entry, "caption_net")


def _vocabulary(entry: ModelEntry) -> Vocabulary:
    try:
        return Vocabulary(entry.label_names)
    except ValueError as error:
        raise ModelError(f"the labels of {entry.name} are no vocabulary: {error}") from None


def _decoder(models: ModelStore, name: str, entry: ModelEntry, words: int) -> Weights:
    parts = [path for file, path in models.files(name).items() if file.endswith(".npz")]
    if len(parts) != 1:
        raise ModelError(f"{entry.name} has {len(parts)} .npz files, expected one, the decoder's weights")
    try:
        with np.load(parts[0], allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ModelError(f"{parts[0]} is not a set of plain arrays: {error}") from None
    return Weights.of(arrays, words)


__all__ = ["DECODE", "CaptionNet", "CaptionNetOptions"]
