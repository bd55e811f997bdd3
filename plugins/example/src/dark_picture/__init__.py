"""The `dark_picture` plugin: emits an event for every dark frame, until you write what it is really for."""

from streamproc import Event, Field, Frame, FramePlugin, Options, Output, Results


class DarkPictureOptions(Options):
    """Options of `dark_picture`."""

    limit: float = Field(40, ge=0, le=255, description="mean grey level below which a frame is dark")


class DarkPicture(FramePlugin[DarkPictureOptions]):
    """Emits `dark_picture.seen` for every frame darker than `limit`."""

    def process(self, frame: Frame, past: Results) -> Output:
        """Events of this frame."""
        level = float(frame.gray.mean())
        if level < self.options.limit:
            yield Event.instant(frame, "dark_picture.seen", score=1 - level / 255, level=level)
