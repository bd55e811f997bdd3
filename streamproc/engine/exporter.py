"""The Prometheus page: true counters and histograms, read from the engine at each request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from streamproc.chain.ledger import LedgerPage
from streamproc.engine.runtime import Engine
from streamproc.errors import StreamprocError, redact

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

log = logging.getLogger(__name__)


class EngineCollector:
    """Collector of an engine's counts; register it with a `prometheus_client.CollectorRegistry`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> list[Metric]:
        """Return nothing: the metrics aren't known before a run starts."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics of this moment."""
        yield self._info()
        yield from self._frames()
        yield from self._plugins()
        yield from self._sinks()

    def _info(self) -> Metric:
        from prometheus_client.core import InfoMetricFamily

        from streamproc import __version__

        return InfoMetricFamily("streamproc", "version of streamproc", {"version": __version__})

    def _frames(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        frames = CounterMetricFamily(
            "streamproc_frames", "frames by outcome and reason", labels=["stream", "outcome", "reason"]
        )
        flying = GaugeMetricFamily("streamproc_frames_in_flight", "frames in flight", labels=["stream"])
        depth = GaugeMetricFamily("streamproc_queue_depth", "frames that wait for a worker", labels=["stream"])
        up = GaugeMetricFamily("streamproc_source_up", "1 while the stream is being read", labels=["stream"])
        lost = CounterMetricFamily("streamproc_source_reconnects", "times a source was opened again", labels=["stream"])
        latency = HistogramMetricFamily(
            "streamproc_end_to_end_latency_seconds", "from reading a frame to its events", labels=["stream"]
        )
        report = self._engine.report()
        for stream in report.streams:
            _add_ledger(frames, flying, stream.name, stream.ledger)
            up.add_metric([stream.name], int(stream.up))
            lost.add_metric([stream.name], stream.reconnects)
        for run in self._engine.live_streams():
            depth.add_metric([run.info.name], len(run.driver.queue.waiting))
            latency.add_metric([run.info.name], run.stats.latency.cumulative(), sum_value=run.stats.latency.total)
        events = CounterMetricFamily("streamproc_events", "events by type", labels=["stream", "type"])
        for key, count in report.events.items():
            events.add_metric(list(key), count)
        yield from (frames, flying, depth, up, lost, latency, events)

    def _plugins(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        seconds = HistogramMetricFamily(
            "streamproc_plugin_seconds", "time in a plugin's own code", labels=["stream", "plugin"]
        )
        errors = CounterMetricFamily("streamproc_plugin_errors", "failed calls", labels=["stream", "plugin", "kind"])
        off = GaugeMetricFamily(
            "streamproc_plugin_off", "1 once a plugin was switched off", labels=["stream", "plugin"]
        )
        for run in self._engine.live_streams():
            for step, histogram in zip(run.steps, run.driver.seconds, strict=True):
                labels = [run.info.name, step.name]
                seconds.add_metric(labels, histogram.cumulative(), sum_value=histogram.total)
                off.add_metric(labels, int(step.index in run.driver.core.health.off))
                for kind in ("failed", "hung", "missing"):
                    errors.add_metric([*labels, kind], run.stats.steps[step.name].verdicts[kind])
        yield from (seconds, errors, off)

    def _sinks(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        delivered = CounterMetricFamily("streamproc_sink_delivered", "events and frames delivered", labels=["sink"])
        retries = CounterMetricFamily("streamproc_sink_retries", "deliveries tried again", labels=["sink"])
        up = GaugeMetricFamily("streamproc_sink_up", "1 unless the last delivery failed", labels=["sink"])
        stored = GaugeMetricFamily("streamproc_sink_stored", "events that wait on disk", labels=["sink"])
        pending = GaugeMetricFamily("streamproc_sink_pending", "events that wait in memory", labels=["sink"])
        for sink in self._engine.report().sinks:
            delivered.add_metric([sink.name], sink.delivered)
            retries.add_metric([sink.name], sink.retries)
            up.add_metric([sink.name], int(sink.up))
            stored.add_metric([sink.name], sink.stored)
        for name, backlog in self._engine.backlogs().items():
            pending.add_metric([name], backlog)
        yield from (delivered, retries, up, stored, pending)


def _add_ledger(frames: Any, flying: Any, stream: str, page: LedgerPage) -> None:
    for (bucket, reason), count in page.buckets.items():
        frames.add_metric([stream, bucket, redact(reason)], count)
    flying.add_metric([stream], page.in_flight)


def serve(engine: Engine, host: str, port: int) -> Callable[[], None]:
    """Serve `/metrics`; return a function that stops the server. Port 0 picks a free port, which is logged."""
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(EngineCollector(engine))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise StreamprocError(
            f"metrics can't be served on {host}:{port}: {error.strerror}; choose another port"
        ) from error

    log.warning("metrics are served at http://%s:%d/metrics", host, server.server_port)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


__all__ = ["EngineCollector", "serve"]
