"""The `faces` plugin: options to nets, picture to `Faces`."""

from __future__ import annotations

from collections.abc import Iterable

from streamproc import Faces, Frame, FramePlugin, Mistake, Output, PluginContext, Results
from streamproc.models import ModelStore, model_mistakes
from streamproc_plugins.faces.detectors import MTCNN, face_detector_input
from streamproc_plugins.faces.embedding import embedding_input
from streamproc_plugins.faces.looking import Looker
from streamproc_plugins.faces.options import FacesOptions


class FacesPlugin(FramePlugin[FacesOptions]):
    """Finds faces with five landmarks, and identifies them by an embedding where `embedding` names a net.

    Gives `Faces`, best first, boxes in source pixels and inside the picture. A face that is too small, blurred or
    turned away for a good embedding (`quality`) has zeros in its place, so that it is never mistaken for a person.
    """

    gives = (Faces,)

    @classmethod
    def check_options(cls, options: FacesOptions, models: ModelStore) -> Iterable[Mistake]:
        """The models must be a face detector and an embedding net for aligned faces."""
        found = [] if options.model == MTCNN else model_mistakes(models, options.model, fits=face_detector_input)
        if options.embedding is not None:
            found += model_mistakes(models, options.embedding, option=("embedding",), fits=embedding_input)
        return found

    def open(self, context: PluginContext) -> None:
        """Load the nets. Raises `ModelError` or one of its kinds where one can't be had or doesn't fit."""
        self._look: Looker | None = Looker(context.models, self.options, context.stream.size)

    def process(self, frame: Frame, past: Results) -> Output:
        """One `Faces`."""
        assert self._look is not None
        return [self._look(frame.rgb)]

    def close(self) -> None:
        """Release the nets; the model store holds them for other plugins."""
        self._look = None
