"""Drives the Kafka modules of Testcontainers for Python, with a client of the same language: kafka.py [MODULE..]"""

import sys

from confluent_kafka import Consumer, Producer
from testcontainers.community.kafka import KafkaContainer, RedpandaContainer

MODULES = {
    "zookeeper": lambda: KafkaContainer(),
    "kraft": lambda: KafkaContainer("confluentinc/cp-kafka:8.0.0").with_kraft(),
    "redpanda": lambda: RedpandaContainer(),
}


def exchange(bootstrap: str) -> None:
    """What is produced is consumed, by a group."""
    refused = []
    producer = Producer({"bootstrap.servers": bootstrap})
    for number in range(10):
        producer.produce("orders", f"order {number}", on_delivery=lambda error, _: error and refused.append(error))
    assert producer.flush(20) == 0 and not refused, refused
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "readers", "auto.offset.reset": "earliest"})
    consumer.subscribe(["orders"])
    read = []
    while len(read) < 10:
        message = consumer.poll(20)
        assert message is not None, f"nothing more after {read}"
        assert message.error() is None, message.error()
        read.append(message.value().decode())
    consumer.close()
    assert read == [f"order {number}" for number in range(10)], read


for name in sys.argv[1:] or MODULES:
    with MODULES[name]() as container:
        exchange(container.get_bootstrap_server())
    print("ok", name, flush=True)
