"""Parts that the Kafka source and sinks share."""
