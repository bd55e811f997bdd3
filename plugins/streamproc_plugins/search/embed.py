"""`embed`: a vector that stands for the picture."""

from __future__ import annotations

from collections.abc import Iterable

from streamproc import Field, Frame, FramePlugin, Mistake, Options, Output, PluginContext, Results
from streamproc.models import ModelStore, model_mistakes
from streamproc_plugins.search.features import PictureEmbedder, embedder_input
from streamproc_plugins.search.results import Embedding


class EmbedOptions(Options):
    """Options of `embed`."""

    model: str = Field(
        "mobilenet-v2",
        description="name in the model list, or path: a net whose decode is embedding, or a classifier, whose last "
        "layer is left out",
    )
    threads: int = Field(1, ge=1, le=64, description="threads that one call of the net may use")


class Embed(FramePlugin[EmbedOptions]):
    """Gives `Embedding`, the whole picture as a unit vector, for `remember` and for plugins of yours.

    The features of a classifier before its last layer (Babenko et al., Neural Codes for Image Retrieval, ECCV 2014), or
    or the answer of an embedding net.
    """

    gives = (Embedding,)

    @classmethod
    def check_options(cls, options: EmbedOptions, models: ModelStore) -> Iterable[Mistake]:
        """The model must embed or classify pictures."""
        return model_mistakes(models, options.model, fits=embedder_input)

    def open(self, context: PluginContext) -> None:
        """Load the net; `ModelError` where it is none for pictures."""
        self._embedder = PictureEmbedder(context.models, self.options.model, self.options.threads)

    def process(self, frame: Frame, past: Results) -> Output:
        """One `Embedding`."""
        return [Embedding(values=self._embedder(frame.rgb), model=self._embedder.model)]


__all__ = ["Embed", "EmbedOptions"]
