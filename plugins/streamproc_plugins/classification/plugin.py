"""The `classification` plugin: options to net, picture to `Classification`."""

from __future__ import annotations

from collections.abc import Iterable

from streamproc import Classification, Frame, FramePlugin, Mistake, ModelError, Output, PluginContext, Results
from streamproc.models import InputSpec, ModelEntry, ModelStore, Net, label_mistakes, model_mistakes
from streamproc_plugins.action.scores import scores_of
from streamproc_plugins.classification.options import ClassificationOptions
from streamproc_plugins.classification.scores import (
    EXCLUSIVE,
    NEVER,
    Groups,
    activation_for,
    combined,
    lowest_scores,
    top_ids,
)
from streamproc_plugins.classification.views import fitted_spec, fractions_of, view_input


class ClassificationPlugin(FramePlugin[ClassificationOptions]):
    """Classifies each frame, with any image classification net (MobileNet, your own): labels, best first.

    The net may look at several parts of one picture, such as the whole and the middle (Karpathy et al., CVPR 2014).
    """

    gives = (Classification,)

    @classmethod
    def check_options(cls, options: ClassificationOptions, models: ModelStore) -> Iterable[Mistake]:
        """The model must be a classifier, and know the labels."""

        def fits(entry: ModelEntry) -> None:
            classifier_input(entry)
            activation_for(options.activation, entry.decode, entry.name)

        if wrong := model_mistakes(models, options.model, fits=fits):
            return wrong
        entry = models.entry(options.model)
        members = [(("groups", name), labels) for name, labels in options.groups.items()]
        named = ((("labels",), options.labels), (("scores",), options.scores))
        return [
            *label_mistakes(entry, members, synonyms=True),
            *label_mistakes(entry, named, synonyms=True, more=tuple(options.groups)),
        ]

    def open(self, context: PluginContext) -> None:
        """Load the net and check that pictures, labels and options fit it.

        Raises `ModelError` or one of its kinds where the model can't be had or doesn't fit, `PluginError` for a label
        that it doesn't know.
        """
        options = self.options
        entry = context.models.entry(options.model)
        spec = classifier_input(entry)
        self._activation = activation_for(options.activation, entry.decode, entry.name)
        self._groups = Groups.of(options.groups, entry.label_names)
        self._exclusive = options.activation == "softmax" or (
            options.activation != "sigmoid" and entry.decode in EXCLUSIVE
        )
        self._labels = (*entry.label_names, *self._groups.names)
        self._floor = lowest_scores(self._labels, options.labels, options.min_score, options.scores)
        self._floor[self._groups.hidden()] = NEVER
        self._net = context.models.load(options.model, threads=options.threads)
        check_classifier(self._net, spec)
        self._spec = fitted_spec(spec, options.fit)
        self._boxes = tuple(fractions_of(view, options.centre_part) for view in options.views)

    def process(self, frame: Frame, past: Results) -> Output:
        """One `Classification`; empty where no label reaches its lowest score."""
        rgb = frame.rgb
        answers = [
            scores_of(self._net, self._net(view_input(rgb, box, self._spec))[0], self._activation)
            for box in self._boxes
        ]
        scores = self._groups.added(combined(answers, self.options.combine), self._exclusive)
        ids = top_ids(scores, self._floor, self.options.top_k)
        return [Classification(label=tuple(self._labels[i] for i in ids), score=scores[ids], class_id=ids)]


def classifier_input(entry: ModelEntry) -> InputSpec:
    """The input of a classifier of single pictures; `ModelError` where the model isn't one."""
    spec = entry.input
    if spec is None or spec.layout == "NDHWC":
        got = "no input" if spec is None else "an input of clips (NDHWC)"
        raise ModelError(
            f"{entry.name} is for {entry.task} and declared with {got}; `classification` needs a model of single "
            "pictures (layout NCHW or NHWC)"
        )
    if not entry.label_names:
        raise ModelError(f"{entry.name} is for {entry.task} and has no labels; name them in its manifest")
    return spec


def check_classifier(net: Net, spec: InputSpec) -> None:
    """Refuse a net whose input or output differs from its manifest; `ModelError` naming both shapes."""
    net.expect_picture(spec)
    net.expect("classification", {"#0": (1, len(net.labels))})
