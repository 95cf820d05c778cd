"""aiokafka: codecs, group, rebalance, seek by time, administration, transactions, compaction, and a broker that dies, between two runs and in the middle of one."""
import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

import scenario
from scenario import BASE_MS, CODECS, COMPACTED, expect, later_ms, main, rounds, values


async def read(bootstrap, topic, count, group=None):
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    seen = [await consumer.getone() for _ in range(count)]
    return consumer, seen


async def send(bootstrap, topic, records, **settings):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **settings)
    await producer.start()
    futures = [await producer.send(topic, value, timestamp_ms=time) for value, time in records]
    for future in futures:
        await future
    await producer.stop()


async def codecs(bootstrap, tag):
    for codec in CODECS:
        for acks in 0, 1, "all":
            topic = f"{tag}-{codec}-{acks}"
            await send(bootstrap, topic, [(v, None) for v in values(0, 100)], compression_type=codec, acks=acks)
            consumer, seen = await read(bootstrap, topic, 100)
            await consumer.stop()
            expect([r.value for r in seen], values(0, 100), topic)


async def group(bootstrap, tag):
    await send(bootstrap, tag, [(v, None) for v in values(0, 100)], enable_idempotence=True)
    consumer, _ = await read(bootstrap, tag, 60, tag)
    await consumer.commit({TopicPartition(tag, 0): 60})
    await consumer.stop()
    consumer, seen = await read(bootstrap, tag, 40, tag)
    expect([r.offset for r in seen], list(range(60, 100)), "what was not committed")
    await consumer.stop()


def rebalance(bootstrap, tag):
    class Client:
        """In a thread of its own, with its own loop."""

        def __init__(self):
            self.loop = asyncio.new_event_loop()
            self.consumer = self.loop.run_until_complete(self.started())

        async def started(self):
            consumer = AIOKafkaConsumer(
                tag, bootstrap_servers=bootstrap, group_id=tag, auto_offset_reset="earliest", enable_auto_commit=False,
                heartbeat_interval_ms=300)
            await consumer.start()
            return consumer

        def take(self):
            came = self.loop.run_until_complete(self.consumer.getmany(timeout_ms=100))
            taken = [record.value for records in came.values() for record in records]
            return [p.partition for p in self.consumer.assignment()], taken

        def leave(self):
            self.loop.run_until_complete(self.consumer.stop())

    async def write(all_values):
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
        await producer.start()
        for n, value in enumerate(all_values):
            await producer.send_and_wait(tag, value, partition=n % 4)
        await producer.stop()

    asyncio.run(created(bootstrap, NewTopic(tag, 4, 1)))
    scenario.rebalance(Client, lambda all_values: asyncio.run(write(all_values)))


async def created(bootstrap, topic):
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    await client.create_topics([topic])
    await client.close()


async def admin(bootstrap, tag):
    await created(bootstrap, NewTopic(tag, 2, 1))
    await send(bootstrap, tag, [(v, None) for v in values(0, 20)])
    consumer, _ = await read(bootstrap, tag, 20, tag)
    await consumer.commit()
    await consumer.stop()
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    await client.create_partitions({tag: NewPartitions(3)})
    expect(tag in await client.list_topics(), True, "listed")
    expect(len((await client.describe_topics([tag]))[0]["partitions"]), 3, "partitions")
    expect(len((await client.describe_cluster())["brokers"]), 1, "brokers")
    await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, tag, {"retention.ms": "2000000"})])
    answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, tag)])
    expect({c[0]: c[1] for c in answers[0].resources[0][4]}["retention.ms"], "2000000", "retention.ms")
    expect(tag in [group[0] for group in await client.list_consumer_groups()], True, "groups")
    offsets = await client.list_consumer_group_offsets(tag)
    expect(sum(offset.offset for offset in offsets.values()), 20, "committed")
    expect((await client.describe_consumer_groups([tag]))[0].groups[0][2], "Empty", "state")
    await client.delete_topics([tag])
    expect(tag in await client.list_topics(), False, "deleted")
    await client.close()


async def seek(bootstrap, tag):
    await send(bootstrap, tag, [(v, BASE_MS + n * 1000) for n, v in enumerate(values(0, 50))])
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    partition = TopicPartition(tag, 0)
    consumer.assign([partition])
    found = (await consumer.offsets_for_times({partition: BASE_MS + 20_500}))[partition]
    expect(found.offset, 21, "by time")
    consumer.seek(partition, found.offset)
    expect((await consumer.getone()).value, b"value 21", "after the seek")
    await consumer.stop()


async def transaction(bootstrap, tag):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=tag)
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(tag, b"committed")
    await producer.begin_transaction()
    await producer.send_and_wait(tag, b"aborted")
    await producer.abort_transaction()
    async with producer.transaction():
        await producer.send_and_wait(tag, b"committed too")
    await producer.stop()
    consumer = AIOKafkaConsumer(
        tag, bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed")
    await consumer.start()
    seen = [(await consumer.getone()).value for _ in range(2)]
    expect(seen, [b"committed", b"committed too"], "read_committed")
    await consumer.stop()


async def compacted(bootstrap, tag):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(tag, 1, 1, topic_configs=COMPACTED)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type="gzip")
    await producer.start()
    for key, value in rounds():
        await producer.send_and_wait(tag, value, key=key)
    await producer.send_and_wait(tag, b"last", key=b"last", timestamp_ms=later_ms())
    await producer.stop()
    wanted = [value for _, value in rounds()[-10:]] + [b"last"]
    seen = []
    while seen != wanted:
        consumer = AIOKafkaConsumer(tag, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        seen = []
        while not seen or seen[-1] != b"last":
            seen.append((await consumer.getone()).value)
        await consumer.stop()


async def restart(bootstrap, tag):
    """Somebody kills the broker meanwhile: what was sent is read."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait(tag, b"first")
    consumer = AIOKafkaConsumer(tag, bootstrap_servers=bootstrap, group_id=tag, auto_offset_reset="earliest")
    await consumer.start()
    wanted, seen = {b"first", *values(0, 300)}, set()

    async def read_all():
        while seen != wanted:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                seen.update(record.value for record in records)

    reader = asyncio.create_task(read_all())
    sent = []
    for value in values(0, 300):
        sent.append(await producer.send(tag, value))
        await asyncio.sleep(0.015)
    await asyncio.gather(*sent)
    await reader
    await producer.stop()
    await consumer.stop()


async def before(bootstrap, tag):
    await group(bootstrap, tag)


async def after(bootstrap, tag):
    await send(bootstrap, tag, [(b"after", None)])
    consumer, seen = await read(bootstrap, tag, 41, tag)
    expect([r.offset for r in seen], list(range(60, 101)), "after the restart")
    await consumer.stop()


main({"codecs": codecs, "group": group, "rebalance": rebalance, "admin": admin, "seek": seek, "transaction": transaction, "compacted": compacted,
      "restart": restart, "before": before, "after": after})
