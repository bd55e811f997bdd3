"""A plugin and a sink that tell every secret that they were given, in every way there is."""

from __future__ import annotations

import logging
import threading
import urllib.request
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from streamproc import Event, EventSink, Field, Frame, FramePlugin, Options, Output, PluginContext, Results, SinkContext
from streamproc.errors import SinkError
from streamproc.events import Attachment

LAST = 4
"""index of the frame at which the run is stopped"""


class LeakyOptions(Options):
    addresses: tuple[str, ...] = Field((), description="addresses with secrets in them")
    password: int = Field(0, description="a number under a secret key")
    tokens: tuple[str, ...] = Field((), description="a list under a secret key")
    note: str = Field("", description="a secret under a key that doesn't say so")
    metrics: str = Field("", description="address of the run's own metrics page")
    seen: Path = Field(Path(), description="file for its observations of the run from outside")


class Leaky(FramePlugin[LeakyOptions]):
    """Logs, raises and emits its secrets."""

    def open(self, context: PluginContext) -> None:
        self.log = context.log
        self.texts = [*self.options.addresses, *self.options.tokens, str(self.options.password), self.options.note]

    def process(self, frame: Frame, past: Results) -> Output:
        secrets_text = " and ".join(self.texts)
        if frame.index == LAST:
            self._look_from_outside()
            raise RuntimeError(f"the end of {secrets_text}")
        self.log.debug("trying %s", secrets_text)
        try:
            raise OSError(f"can't reach {secrets_text}")
        except OSError:
            self.log.exception("it went wrong with %s", secrets_text, stack_info=True)
            logging.getLogger("elsewhere").exception("a library's own logger: %s", secrets_text)
        warnings.warn("nothing to see", stacklevel=1)
        thread = threading.Thread(target=self._fail_beside)
        thread.start()
        thread.join()
        picture = Attachment(name="note", media_type="text/plain", data=b"no secret")
        event = Event.instant(frame, "leak.seen", note=self.options.note, deep={"list": list(self.options.tokens)})
        yield replace(event, subject=self.options.note, attachments=(picture,))

    def _fail_beside(self) -> None:
        raise ValueError(f"in a thread of its own: {' '.join(self.texts)}")

    def _look_from_outside(self) -> None:
        with urllib.request.urlopen(self.options.metrics, timeout=30) as page:
            seen = page.read()
        for name in ("cmdline", "comm"):
            process = Path("/proc/self", name)
            seen += process.read_bytes() if process.exists() else b""
        self.options.seen.write_bytes(seen)


class DeafOptions(Options):
    url: str = Field("", description="an address with a secret in it")
    credentials: str = Field("", description="a secret")


class Deaf(EventSink[DeafOptions]):
    """Takes no event and says why, secrets included."""

    def open(self, context: SinkContext) -> None:
        context.log.warning("opening %s with %s", self.options.url, self.options.credentials)

    def write(self, events: Sequence[Event]) -> None:
        raise SinkError(f"{self.options.url} refuses {self.options.credentials}")

    def flush(self) -> None:
        """Nothing was written."""

    def close(self) -> None:
        raise ValueError(f"can't close {self.options.url}")
