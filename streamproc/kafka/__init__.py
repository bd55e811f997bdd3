"""What the Kafka source and sinks share."""
