"""Produce: what is taken, what is refused and how, and what is in the log afterwards."""

import itertools
import time

import batches
from sides import wordless
from batches import CONTROL, TIME, TRANSACTIONAL, batch, message_set, record, records

# Where Kafka says UNKNOWN_SERVER_ERROR.
FAILS = "what makes Kafka fail is refused by its own code, or taken"
HOUR = 3_600_000


def values(side, parts, acks=-1, transactional=None):
    """A request; `parts` are topic, partition and bytes."""
    topics = []
    for topic, group in itertools.groupby(parts, lambda part: part[0]):
        wanted = [{"index": index, "records": data} for _, index, data in group]
        topics.append({"name": topic, "topicid": side.ids.get(topic, "f" * 32), "partitiondata": wanted})
    return {"transactionalid": transactional, "acks": acks, "timeoutms": 5000, "topicdata": topics}


def produce(side, version, topic, data, index=0, meant=None, **given):
    return side.call("Produce", version, values(side, [(topic, index, data)], **given), meant=meant)


def contents(side, *topics):
    """The logs from their beginning to their end."""
    for topic in topics:
        wanted = {"topic": topic, "topicid": side.ids[topic], "partitions": [{"partition": 0, "fetchoffset": 0, "partitionmaxbytes": 1 << 20}]}
        side.call("Fetch", 11, {"maxwaitms": 0, "minbytes": 0, "maxbytes": 1 << 22, "topics": [wanted]})


def odd_batches():
    """Batches with one thing about them each."""
    for codec in range(5):
        yield batch(records(3), codec=codec)
    yield batch(body=b"")
    yield b""
    yield batch()[:30]
    yield batch()[:-1]
    yield batch(length=0)
    yield batch(length=48)
    yield batch(length=49)
    yield batch(length=-1)
    yield batch(length=1 << 20)
    yield batch(tail=b"\0")
    yield batch(tail=b"\0" * 70)
    yield batch() + batch()
    yield batch([])
    yield batch([], last=0)
    yield batch(crc=1)
    for magic in (0, 1, 3, -1, 127):
        yield batch(magic=magic)
    for count in (-1, 0, 2, 4, 1 << 30):
        yield batch(records(3), count=count)
        yield batch(records(3), codec=batches.GZIP, count=count)
    for last in (-1, 0, 1, 3, 1 << 30):
        yield batch(records(3), last=last)
    for time_of in (-1, -2, 0, 1, 1 << 62):
        yield batch(first_time=time_of)
        yield batch(max_time=time_of)
    yield batch([record(0, 5), record(1, 3)], max_time=TIME + 5)
    yield batch([record(0, 5), record(1, 3)], max_time=TIME + 3)
    yield batch([record(0, -TIME - 5)])
    yield batch([record(1), record(0)])
    yield batch([record(0), record(2)])
    yield batch([record(0), record(0)])
    yield batch([record(7)])
    yield batch([record(0)[:-1] + b"\x02"])
    yield batch([record(0) + b"\0"])
    yield batch([record(0)[:3]])
    yield batch([record(0, attributes=9)])
    yield batch([record(key=None, value=None)])
    yield batch([record(key=b"", value=b"")])
    yield batch([record(headers=[(b"a", b"1"), (b"", None), (b"a", b"")])])
    yield batch([record(headers=[(None, b"1")])])
    yield batch([record(headers=[(b"\xff\xfe", b"1")])])
    for attributes in (CONTROL, CONTROL | TRANSACTIONAL, TRANSACTIONAL, 8, 0x40, 0x80, 0x4000):
        yield batch(attributes=attributes)
    for base in (-1, 1, 77, 1 << 40):
        yield batch(base=base)
    for epoch in (0, 1, 99, -5):
        yield batch(leader_epoch=epoch)
    for producer, epoch, sequence in ((-2, -1, -1), (-1, 0, 0), (-1, -1, 5), (-1, 3, -1)):
        yield batch(producer=producer, epoch=epoch, sequence=sequence)
    for magic in (0, 1):
        for codec in range(4):
            yield message_set(magic, 2, codec)
        yield message_set(magic, 1, crc=5)


def garbled_batches():
    """Batches that cannot be unpacked. (Null records have no answer from Kafka.)"""
    for codec in range(1, 8):
        yield batch(records(3), codec=codec, body=b"nonsense")
    yield batch([b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"])


def kinds(side):
    side.topic("kinds")
    # Before and after zstd, errors of records, flexible fields and ids.
    for version in (3, 6, 7, 8, 9, 13):
        for data in garbled_batches():
            produce(side, version, "kinds", data, meant=FAILS)
        for data in odd_batches():
            produce(side, version, "kinds", data)
    contents(side, "kinds")


def targets(side):
    """Where it goes, and how it is acknowledged."""
    side.topic("targets", 2)
    good, bad = batch(), batch(crc=1)
    for version in side.versions("Produce", 3):
        for parts in (
            [], [("targets", 0, good), ("targets", 1, good)], [("targets", 2, good)], [("targets", -1, good)], [("none", 0, good)],
            [("none", 0, good), ("targets", 0, good), ("targets", 1, bad)], [("targets", 0, good), ("targets", 0, good)],
            [("targets", 0, good), ("none", 0, good), ("targets", 1, good)], [("a/b", 0, good)], [("", 0, good)],
            [("__consumer_offsets", 0, good)], [("__transaction_state", 0, good)], [("__cluster_metadata", 0, good)],
        ):
            for acks in (-1, 1):
                side.call("Produce", version, values(side, parts, acks))
        for acks in (2, -2, 32767):
            side.call("Produce", version, values(side, [("targets", 0, good)], acks))
        # Without an answer: the connection says whether it was taken. (No null records: Kafka then neither goes on nor closes.)
        for parts in ([("targets", 0, good)], [("targets", 0, bad)], [("none", 0, good)], [("targets", 9, good)],
                      [("targets", 0, good), ("none", 0, good)], []):
            side.send("Produce", version, values(side, parts, 0))
            side.note("sent with acks 0", [[topic, index, data] for topic, index, data in parts])
            side.call("ListOffsets", 1, {"topics": [{"name": "targets", "partitions": [{"partitionindex": 0, "timestamp": -1}]}]})
    contents(side, "targets")


def topics_with_rules(side):
    """What the settings of a topic refuse or change."""
    side.topic("small", max_message_bytes=200)
    side.topic("segments", segment_bytes=1048576, max_message_bytes=8000000)
    side.topic("compacted", cleanup_policy="compact")
    side.topic("appended", message_timestamp_type="LogAppendTime")
    side.topic("timed", message_timestamp_before_max_ms=HOUR, message_timestamp_after_max_ms=HOUR)
    side.topic("gzipped", compression_type="gzip")
    side.topic("plain", compression_type="uncompressed")
    now = int(time.time() * 1000)
    for version in side.versions("Produce", 3):
        for size in (100, 130, 131, 132, 133, 200, 5000):
            produce(side, version, "small", batch([record(value=b"x" * size)]))
            produce(side, version, "small", batch([record(value=b"x" * size)], codec=batches.GZIP))
        for parts in ([record(key=None)], [record(0), record(1, key=None), record(2, key=None)], [record(key=b"")], [record(value=None)]):
            produce(side, version, "compacted", batch(parts))
            produce(side, version, "compacted", batch(parts, codec=batches.GZIP))
        for topic in ("appended", "gzipped", "plain"):
            for codec in (0, 1, 2):
                produce(side, version, topic, batch(records(2), codec=codec))
                produce(side, version, topic, batch(records(2), codec=codec, attributes=8))
                produce(side, version, topic, batch([record(0), record(1, 7)], codec=codec, max_time=TIME + 9))
        for version_time in (now, -1):
            produce_timed(side, version, version_time)
    for size in (1048576 - 72, 1048576, 1 << 21):
        produce(side, 9, "segments", batch([record(value=b"x" * size)], crc=None if size < 1 << 20 else 7))
    contents(side, "small", "compacted", "gzipped", "plain")


def produce_timed(side, version, now):
    """Times that depend on when it is asked are left out of the trace."""
    for shift in (0, 2 * HOUR, -2 * HOUR):
        data = batch([record(0), record(1, shift)], first_time=now, max_time=now + max(shift, 0))
        answer = side.quietly("Produce", version, values(side, [("timed", 0, data)]))
        side.note(f"timed {version} {'now' if now > 0 else now} {shift}", wordless(answer))


def producer_of(side):
    answer = side.call("InitProducerId", 4, {"transactionalid": None, "transactiontimeoutms": 1000})
    return answer["producerid"]


def sequences(side):
    """Idempotent producers: what is a duplicate, what is out of order, what is fenced."""
    side.topic("sequences")
    for version in side.versions("Produce", 3):
        first = producer_of(side)

        def ask(sequence, epoch=0, count=1, producer=first, **given):
            produce(side, version, "sequences", batch(records(count), producer=producer, epoch=epoch, sequence=sequence, **given))

        ask(3, producer=producer_of(side))
        ask(0), ask(0), ask(1), ask(0), ask(5)
        for number in range(2, 9):
            ask(number)
        ask(8), ask(4), ask(3), ask(1), ask(10)
        ask(9, count=3), ask(9, count=2), ask(10, count=2), ask(9, count=3)
        ask(12, epoch=1), ask(0, epoch=1), ask(0, epoch=0), ask(1, epoch=0), ask(0, epoch=5), ask(1, epoch=5), ask(1, epoch=4)
        ask(-1, epoch=5), ask(2, epoch=-1), ask(-1, epoch=-1), ask(-5, epoch=5), ask(2, epoch=-3)
        ask(2, epoch=5, codec=batches.GZIP), ask(2, epoch=5)
        ask(0, producer=first + 1_000_000, epoch=7), ask(4, producer=first + 2_000_000)
        wrap = producer_of(side)
        ask(2147483646, producer=wrap), ask(0, producer=wrap), ask(2147483647, producer=wrap, count=2)
    contents(side, "sequences")


def wrapping(side):
    """A sequence that ends at the largest number goes on with zero."""
    side.topic("wrapping")
    producer = producer_of(side)
    at = 0
    for step, count in ((0, 2), (2, 3)):
        produce(side, 9, "wrapping", batch(records(count), producer=producer, epoch=0, sequence=step))
        at = step + count
    side.note("at", at)
    for epoch, sequence, count in ((1, 0, 1), (1, 2147483647, 1), (1, 1, 2147483647)):
        data = batch(records(1), producer=producer, epoch=epoch, sequence=sequence, last=count - 1, count=1)
        produce(side, 9, "wrapping", data)


def producer_ids(side):
    """InitProducerId without a transaction."""
    for version in side.versions("InitProducerId"):
        for producer, epoch in ((-1, -1), (5, -1), (-1, 5), (1_000_000, 3), (-7, -7)):
            for timeout in (0, -1, 60000, 2147483647):
                side.call("InitProducerId", version, {
                    "transactionalid": None, "transactiontimeoutms": timeout, "producerid": producer, "producerepoch": epoch,
                })


SCRIPTS = [kinds, targets, topics_with_rules, sequences, wrapping, producer_ids]
