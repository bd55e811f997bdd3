"""From events and frames to sinks: merge, writers, outbox."""
