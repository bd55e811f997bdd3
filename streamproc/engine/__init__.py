"""The running system: owns threads, sources, admission, checkpoints and reports of a run."""

from streamproc.chain.ledger import BUCKETS, LedgerPage
from streamproc.engine.account import PluginReport, RunReport, SinkReport, StreamReport
from streamproc.engine.replay import Replay, replay_bundle
from streamproc.engine.runtime import Engine

__all__ = [
    "BUCKETS",
    "Engine",
    "LedgerPage",
    "PluginReport",
    "Replay",
    "RunReport",
    "SinkReport",
    "StreamReport",
    "replay_bundle",
]
