"""kafka-python: codecs, group, rebalance, seek by time, transactions, compaction, and a broker that dies, between two runs and in the middle of one."""
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.structs import OffsetAndMetadata

import scenario
from scenario import BASE_MS, CODECS, COMPACTED, expect, later_ms, main, rounds, values


def read(bootstrap, topic, count, group=None, **settings):
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest",
        consumer_timeout_ms=30_000, enable_auto_commit=False, **settings)
    seen = []
    for record in consumer:
        seen.append(record)
        if len(seen) == count:
            break
    return consumer, seen


def codecs(bootstrap, tag):
    for codec in CODECS:
        for acks in 0, 1, "all":
            topic = f"{tag}-{codec}-{acks}"
            producer = KafkaProducer(
                bootstrap_servers=bootstrap, compression_type=codec, acks=acks, enable_idempotence=False, linger_ms=20)
            for value in values(0, 100):
                producer.send(topic, value, key=b"k", headers=[("h", b"1")])
            producer.flush(30)
            producer.close()
            consumer, seen = read(bootstrap, topic, 100)
            consumer.close()
            expect([r.value for r in seen], values(0, 100), topic)
            expect(seen[0].headers, [("h", b"1")], topic)


def group(bootstrap, tag):
    producer = KafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all")
    for value in values(0, 100):
        producer.send(tag, value)
    producer.flush(30)
    consumer, seen = read(bootstrap, tag, 60, tag, max_poll_records=1)
    consumer.commit({TopicPartition(tag, 0): OffsetAndMetadata(60, "so far", -1)})
    consumer.close()
    consumer, seen = read(bootstrap, tag, 40, tag)
    expect([r.offset for r in seen], list(range(60, 100)), "what was not committed")
    expect(consumer.committed(TopicPartition(tag, 0)), 60, "committed")
    consumer.close()


def rebalance(bootstrap, tag):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(tag, 4, 1)])
    admin.close()

    class Client:
        def __init__(self):
            self.consumer = KafkaConsumer(
                tag, bootstrap_servers=bootstrap, group_id=tag, auto_offset_reset="earliest", enable_auto_commit=False,
                heartbeat_interval_ms=300)

        def take(self):
            came = self.consumer.poll(timeout_ms=500)
            values = [record.value for records in came.values() for record in records]
            return [p.partition for p in self.consumer.assignment()], values

        def leave(self):
            self.consumer.close()

    def write(all_values):
        producer = KafkaProducer(bootstrap_servers=bootstrap)
        sent = [producer.send(tag, value, partition=n % 4) for n, value in enumerate(all_values)]
        for future in sent:
            future.get(30)
        producer.close()

    scenario.rebalance(Client, write)


def transaction(bootstrap, tag):
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=tag)
    producer.init_transactions()
    for value, commit in (b"committed", True), (b"aborted", False), (b"committed too", True):
        producer.begin_transaction()
        producer.send(tag, value).get(30)
        producer.commit_transaction() if commit else producer.abort_transaction()
    producer.close()
    consumer, seen = read(bootstrap, tag, 2, isolation_level="read_committed")
    expect([r.value for r in seen], [b"committed", b"committed too"], "read_committed")
    consumer.close()
    consumer, seen = read(bootstrap, tag, 3)
    expect([r.value for r in seen], [b"committed", b"aborted", b"committed too"], "read_uncommitted")
    consumer.close()


def seek(bootstrap, tag):
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for n, value in enumerate(values(0, 50)):
        producer.send(tag, value, timestamp_ms=BASE_MS + n * 1000)
    producer.flush(30)
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, consumer_timeout_ms=30_000)
    partition = TopicPartition(tag, 0)
    consumer.assign([partition])
    found = consumer.offsets_for_times({partition: BASE_MS + 20_500})[partition]
    expect((found.offset, found.timestamp), (21, BASE_MS + 21_000), "by time")
    consumer.seek(partition, found.offset)
    expect(next(consumer).value, b"value 21", "after the seek")
    expect(consumer.end_offsets([partition])[partition], 50, "end")
    consumer.close()


def compacted(bootstrap, tag):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(tag, 1, 1, topic_configs=COMPACTED)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type="lz4", linger_ms=20)
    for key, value in rounds():
        producer.send(tag, value, key=key).get(30)
    producer.send(tag, b"last", key=b"last", timestamp_ms=later_ms()).get(30)
    wanted = [value for _, value in rounds()[-10:]] + [b"last"]
    seen = []
    while seen != wanted:
        consumer = KafkaConsumer(
            tag, bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest", consumer_timeout_ms=30_000)
        seen = []
        for record in consumer:
            seen.append(record.value)
            if record.value == b"last":
                break
        consumer.close()


def restart(bootstrap, tag):
    """Somebody kills the broker meanwhile: what was sent is read."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    producer.send(tag, b"first").get(30)
    consumer = KafkaConsumer(tag, bootstrap_servers=bootstrap, group_id=tag, auto_offset_reset="earliest")
    sent, seen = [producer.send(tag, b"second")], set()
    for value in values(0, 300):
        sent.append(producer.send(tag, value))
        seen.update(record.value for records in consumer.poll(1).values() for record in records)
        time.sleep(0.015)
    for future in sent:
        future.get(60)
    wanted = {b"first", b"second", *values(0, 300)}
    while seen != wanted:
        seen.update(record.value for records in consumer.poll(100).values() for record in records)
    consumer.close()


def before(bootstrap, tag):
    group(bootstrap, tag)


def after(bootstrap, tag):
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    producer.send(tag, b"after").get(30)
    consumer, seen = read(bootstrap, tag, 41, tag)
    expect([r.offset for r in seen], list(range(60, 101)), "after the restart")
    consumer.close()


main({"codecs": codecs, "group": group, "rebalance": rebalance, "transaction": transaction, "seek": seek, "compacted": compacted, "restart": restart, "before": before,
      "after": after})
