"""The `action` plugin: options to net, clip to `Classification`."""

from __future__ import annotations

from collections.abc import Iterable

from streamproc import Classification, Clip, ClipPlugin, ClipSpec, Event, Mistake, Output, PluginContext, Results
from streamproc.models import ModelStore, label_mistakes, model_mistakes
from streamproc.shots import Shot
from streamproc_plugins.action.clips import clip_input, open_clip_net
from streamproc_plugins.action.options import ActionOptions
from streamproc_plugins.action.results import AttentionMap
from streamproc_plugins.action.scores import activation_of, best_labels
from streamproc_plugins.shots.following import spans_cut

_WHOLE = (0.0, 0.0, 1.0, 1.0)


class Action(ClipPlugin[ActionOptions]):
    """Classifies clips with a net over space and time: 3-D convolution, recurrent, two-stream, your own.

    The number of pictures and their size come from the model's manifest (`input.frames`, `height`, `width`). A net with
    an input of two channels gets optical flow between the pictures; one with an output (1, T, h, w) gives an
    `AttentionMap` as well. A clip that spans a cut is left out where `shots` stands before, unless `across_cuts` is on.
    """

    uses = (Shot,)
    gives = (Classification, AttentionMap)

    @classmethod
    def check_options(cls, options: ActionOptions, models: ModelStore) -> Iterable[Mistake]:
        """The model must be one of clips, and know the labels that are no event."""
        wrong = model_mistakes(models, options.model, fits=lambda entry: clip_input(entry, "action"))
        return wrong or label_mistakes(models.entry(options.model), [(("ignore",), options.ignore)])

    def open(self, context: PluginContext) -> None:
        """Load the net; `ModelError` where it doesn't take clips, or has another number of classes than labels."""
        options = self.options
        self._net = open_clip_net(
            context.models,
            options.model,
            "action",
            activation=activation_of(options.activation, context.models.entry(options.model).decode),
            threads=options.threads,
            flow_scale=options.flow_scale,
        )

    def clip(self) -> ClipSpec:
        """The clip that the model's manifest names."""
        return ClipSpec(
            frames=self._net.frames,
            rate=self.options.rate,
            stride_ns=self.options.stride,
            size=self._net.size,
            flow=bool(self._net.flow),
            region=self.options.region,
        )

    def process(self, clip: Clip, past: Results) -> Output:
        """One `Classification`, the attention where there is one, and an event where the best label is sure enough."""
        if not self.options.across_cuts and spans_cut(past, int(clip.pts_ns[0])):
            return
        answer = self._net(clip.rgb, clip.flow)
        found = best_labels(answer.scores, self._net.net.labels, self.options.top_k)
        yield found
        if answer.attention is not None:
            yield AttentionMap(weights=answer.attention, region=self.options.region or _WHOLE)
        label, score = found.label[0], float(found.score[0])
        if label not in self.options.ignore and score >= self.options.min_score:
            yield Event.instant(clip, "action.seen", score=score, label=label)


__all__ = ["Action"]
