"""Delivery of records to sinks: owns the merge of streams, the writers, the outbox and dead letters."""
