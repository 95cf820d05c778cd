"""confluent-kafka: codecs, group, rebalance, seek by time, administration, transactions, compaction, and a broker that dies, between
two runs and in the middle of one."""
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

import scenario
from scenario import BASE_MS, CODECS, COMPACTED, expect, later_ms, main, rounds, values


def send(bootstrap, topic, records, **settings):
    failed = []
    producer = Producer({"bootstrap.servers": bootstrap, **settings})
    for value, stamp in records:
        producer.produce(topic, value, timestamp=stamp, on_delivery=lambda error, _: error and failed.append(error))
    expect(producer.flush(30), 0, "not sent")
    expect(failed, [], "failed")


def consumer(bootstrap, group, **settings):
    return Consumer({
        "bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
        "enable.auto.commit": False, **settings})


def take(c, count):
    seen, end = [], time.monotonic() + 30
    while len(seen) < count and time.monotonic() < end:
        record = c.poll(0.2)
        if record is not None and record.error() is None:
            seen.append(record)
    return seen


def codecs(bootstrap, tag):
    for codec in CODECS:
        for acks in "0", "1", "all":
            topic = f"{tag}-{codec}-{acks}"
            settings = {"compression.type": codec or "none", "acks": acks, "linger.ms": 20}
            send(bootstrap, topic, [(v, 0) for v in values(0, 100)], **settings)
            c = consumer(bootstrap, topic)
            c.subscribe([topic])
            expect([r.value() for r in take(c, 100)], values(0, 100), topic)
            c.close()


def group(bootstrap, tag):
    send(bootstrap, tag, [(v, 0) for v in values(0, 100)], **{"enable.idempotence": True})
    c = consumer(bootstrap, tag)
    c.subscribe([tag])
    take(c, 60)
    c.commit(offsets=[TopicPartition(tag, 0, 60)], asynchronous=False)
    c.close()
    c = consumer(bootstrap, tag)
    c.subscribe([tag])
    expect([r.offset() for r in take(c, 40)], list(range(60, 100)), "what was not committed")
    c.close()


def rebalance(bootstrap, tag, **protocol):
    client = AdminClient({"bootstrap.servers": bootstrap})
    client.create_topics([NewTopic(tag, 4, 1)])[tag].result(30)

    class Client:
        def __init__(self):
            self.consumer = consumer(bootstrap, tag, **protocol)
            self.consumer.subscribe([tag])

        def take(self):
            came = [record.value() for record in self.consumer.consume(100, 0.1) if record.error() is None]
            return [p.partition for p in self.consumer.assignment()], came

        def leave(self):
            self.consumer.close()

    def write(all_values):
        producer = Producer({"bootstrap.servers": bootstrap})
        for n, value in enumerate(all_values):
            producer.produce(tag, value, partition=n % 4)
        expect(producer.flush(30), 0, "not sent")

    scenario.rebalance(Client, write)


def next_protocol(bootstrap, tag):
    """The group protocol of KIP-848."""
    rebalance(bootstrap, tag, **{"group.protocol": "consumer"})


def seek(bootstrap, tag):
    send(bootstrap, tag, [(v, BASE_MS + n * 1000) for n, v in enumerate(values(0, 50))])
    c = consumer(bootstrap, tag)
    found = c.offsets_for_times([TopicPartition(tag, 0, BASE_MS + 20_500)], 30)[0]
    expect(found.offset, 21, "by time")
    c.assign([found])
    expect(take(c, 1)[0].value(), b"value 21", "after the seek")
    expect(c.get_watermark_offsets(TopicPartition(tag, 0), 30), (0, 50), "watermarks")
    c.close()


def admin(bootstrap, tag):
    client = AdminClient({"bootstrap.servers": bootstrap})
    client.create_topics([NewTopic(tag, 3, 1, config={"retention.ms": "1000000"})])[tag].result(30)
    topic = client.list_topics(tag, 30).topics[tag]
    expect((topic.error, len(topic.partitions)), (None, 3), "created")
    resource = ConfigResource(ConfigResource.Type.TOPIC, tag)
    described = client.describe_configs([resource])[resource].result(30)
    expect(described["retention.ms"].value, "1000000", "retention.ms")
    expect(described["cleanup.policy"].value, "delete", "cleanup.policy")
    expect(client.describe_cluster(request_timeout=30).result().controller is not None, True, "controller")
    client.list_consumer_groups(request_timeout=30).result()
    client.delete_topics([tag])[tag].result(30)
    expect(tag in client.list_topics(timeout=30).topics, False, "deleted")


def transaction(bootstrap, tag):
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": tag})
    producer.init_transactions(30)
    for value, commit in (b"committed", True), (b"aborted", False), (b"committed too", True):
        producer.begin_transaction()
        producer.produce(tag, value)
        producer.flush(30)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    c = consumer(bootstrap, tag, **{"isolation.level": "read_committed"})
    c.subscribe([tag])
    expect([r.value() for r in take(c, 2)], [b"committed", b"committed too"], "read_committed")
    c.close()


def compacted(bootstrap, tag):
    client = AdminClient({"bootstrap.servers": bootstrap})
    client.create_topics([NewTopic(tag, 1, 1, config=COMPACTED)])[tag].result(30)
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "zstd"})
    for key, value in rounds():
        producer.produce(tag, value, key)
        expect(producer.flush(30), 0, "not sent")
    producer.produce(tag, b"last", b"last", timestamp=later_ms())
    expect(producer.flush(30), 0, "not sent")
    wanted = [value for _, value in rounds()[-10:]] + [b"last"]
    seen = []
    while seen != wanted:
        c = consumer(bootstrap, tag)
        c.assign([TopicPartition(tag, 0, 0)])
        seen = []
        while not seen or seen[-1] != b"last":
            seen += [r.value() for r in take(c, 1)]
        c.close()


def restart(bootstrap, tag):
    """Somebody kills the broker meanwhile: what was sent is read."""
    send(bootstrap, tag, [(b"first", 0)])
    c = consumer(bootstrap, tag, **{"enable.auto.commit": True})
    c.subscribe([tag])
    failed, seen = [], set()
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    for value in values(0, 300):
        producer.produce(tag, value, on_delivery=lambda error, _: error and failed.append(error))
        producer.poll(0)
        record = c.poll(0)
        if record is not None and record.error() is None:
            seen.add(record.value())
        time.sleep(0.015)
    expect(producer.flush(60), 0, "not sent")
    expect(failed, [], "failed")
    wanted = {b"first", *values(0, 300)}
    while seen != wanted:
        seen.update(r.value() for r in take(c, 1))
    c.close()


def before(bootstrap, tag):
    group(bootstrap, tag)


def after(bootstrap, tag):
    send(bootstrap, tag, [(b"after", 0)])
    c = consumer(bootstrap, tag)
    c.subscribe([tag])
    expect([r.offset() for r in take(c, 41)], list(range(60, 101)), "after the restart")
    c.close()


main({"codecs": codecs, "group": group, "rebalance": rebalance, "next": next_protocol, "seek": seek, "admin": admin,
      "transaction": transaction, "compacted": compacted, "restart": restart, "before": before, "after": after})
