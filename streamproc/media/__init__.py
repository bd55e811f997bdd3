"""Reading and writing video: the one place that touches FFmpeg (through PyAV, imported when something is opened)."""

from streamproc.media.decode import Decoder
from streamproc.media.demux import Demuxer, Facts, Opening
from streamproc.media.identity import fingerprint
from streamproc.media.picture import AvPicture
from streamproc.media.probe import Probe, probe
from streamproc.media.remux import PacketWriter
from streamproc.media.writer import VideoWriter

__all__ = [
    "AvPicture",
    "Decoder",
    "Demuxer",
    "Facts",
    "Opening",
    "PacketWriter",
    "Probe",
    "VideoWriter",
    "fingerprint",
    "probe",
]
