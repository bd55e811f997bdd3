"""The test broker itself: kafka-python with its default settings against a real KRaft node."""

from __future__ import annotations

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.servers.kafka import KafkaBroker

Record = tuple[bytes, bytes, list[tuple[str, bytes]]]
SETTINGS = {"auto_offset_reset": "earliest", "enable_auto_commit": False}


def read(broker: KafkaBroker, topic: str, count: int, group: str | None = None) -> list[Record]:
    """(key, value, headers) of the next `count` records."""
    consumer = KafkaConsumer(topic, bootstrap_servers=broker.bootstrap, group_id=group, **SETTINGS)
    try:
        found: list[Record] = []
        while len(found) < count:
            for records in consumer.poll(timeout_ms=500).values():
                found += [(record.key, record.value, list(record.headers)) for record in records]
        if group is not None:
            consumer.commit()
        return found
    finally:
        consumer.close()


def test_produced_frames_return_with_key_and_headers(kafka: KafkaBroker) -> None:
    topic = kafka.topic()
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    producer.send(topic, key=b"dock", value=b"\xff\xd8", headers=[("stream", b"dock"), ("pts", b"40000000")])
    producer.flush(timeout=20)
    producer.close()
    assert read(kafka, topic, 1) == [(b"dock", b"\xff\xd8", [("stream", b"dock"), ("pts", b"40000000")])]


def test_a_group_goes_on_where_it_committed(kafka: KafkaBroker) -> None:
    topic = kafka.topic(partitions=1)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    for number in range(3):
        producer.send(topic, value=b"%d" % number)
    producer.flush(timeout=20)
    assert [value for _, value, _ in read(kafka, topic, 3, group=topic)] == [b"0", b"1", b"2"]
    producer.send(topic, value=b"3")
    producer.flush(timeout=20)
    producer.close()
    assert [value for _, value, _ in read(kafka, topic, 1, group=topic)] == [b"3"]


def test_acknowledged_records_and_offsets_survive_a_killed_broker(own_kafka: KafkaBroker) -> None:
    topic = own_kafka.topic(flush_messages="1")
    producer = KafkaProducer(bootstrap_servers=own_kafka.bootstrap)
    producer.send(topic, value=b"before").get(20)
    producer.close()
    assert [value for _, value, _ in read(own_kafka, topic, 1, group="g")] == [b"before"]
    own_kafka.kill()
    own_kafka.start()
    consumer = KafkaConsumer(bootstrap_servers=own_kafka.bootstrap, group_id="g")
    assert consumer.committed(TopicPartition(topic, 0)) == 1
    consumer.close()
    assert [value for _, value, _ in read(own_kafka, topic, 1)] == [b"before"]
