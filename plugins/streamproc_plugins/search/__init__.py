"""Search: embeddings of pictures, objects and faces, stored while a stream runs, found by a picture or words."""

from streamproc_plugins.search.embed import Embed, EmbedOptions
from streamproc_plugins.search.remember import Remember, RememberOptions
from streamproc_plugins.search.results import Embedding

__all__ = ["Embed", "EmbedOptions", "Embedding", "Remember", "RememberOptions"]
