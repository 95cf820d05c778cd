"""Client quotas at work: who takes more than its share is told so, and not listened to for that time.

A quota holds for ten whole windows of a second at least, so that a request tells by its size how long its client should be
silent. Times are not the same twice; that they are about right is in the trace.
"""

import socket
import time

from batches import batch, record
from wire import Connection

RATE = 20_000
# What a client may take at once.
SHARE = 10 * RATE


def limit(side, client, key, value, user=None):
    """Sets a quota, and waits until the broker goes by it: what is in the log behind it is known by then."""
    quota(side, [("client-id", client)] + ([("user", user)] if user else []), key, value)


def quota(side, parts, key, value):
    entity = [{"entitytype": kind, "entityname": name} for kind, name in parts]
    ops = [{"key": key, "value": float(value or 0), "remove": value is None}]
    answer = side.quietly("AlterClientQuotas", 1, {"entries": [{"entity": entity, "ops": ops}], "validateonly": False})
    assert answer["entries"][0]["errorcode"] == 0, answer
    side.topic(f"{parts[0][1]}-{key.replace('_', '-')}-{len(side.ids)}")


def produced(size, topic, acks=-1):
    data = batch([record(value=b"v" * size)])
    topics = [{"name": topic, "partitiondata": [{"index": 0, "records": data}]}]
    return {"acks": acks, "timeoutms": 5000, "topicdata": topics}


def silent(side, on):
    """For how many milliseconds the connection is not listened to."""
    begin = time.monotonic()
    assert side.on(on).call("Metadata", 9, {"topics": []}) not in ("closed", "silence")
    return 1000 * (time.monotonic() - begin)


def about(side, on, ask, expected, first):
    """Asks, and keeps whether the time that the client is told is what is expected, and whether it is not heard meanwhile.

    Less that part of a window that has passed: the first begins with the first request, whose times are kept in `first`.
    """
    begin = time.monotonic()
    answer = ask()
    end = time.monotonic()
    first.setdefault("times", (begin, end))
    passed = [1000 * (begin - first["times"][1]), 1000 * (end - first["times"][0])]
    least, most = (max(at, 0) % 1000 for at in reversed(passed))
    if passed[1] // 1000 > max(passed[0], 0) // 1000:
        least, most = 1000, 0
    told = answer["throttletimems"]
    heard = silent(side, on)
    right = told == 0 if expected == 0 else expected - least - 50 <= told <= expected - most + 100
    side.note(f"{on} is told {expected} ms", right or f"{told} ms")
    side.note(f"{on} is silent as long as it was told", heard >= 0.9 * told - 20)


def produce(side):
    side.on("slow", "quota-producer")
    side.on("second", "quota-producer")
    side.on("free", "quota-other")
    limit(side, "quota-producer", "producer_byte_rate", RATE)
    side.topic("quota-produce")
    steps = [
        # Within the share, a tenth over it, over it by more, and others of the same id and of another.
        ("slow", SHARE // 2, 0), ("slow", SHARE * 6 // 10, 1000), ("second", 10_000, 1500), ("free", SHARE * 2, 0),
    ]
    first, free = {}, {}
    for on, size, expected in steps:
        about(side, on, lambda: side.call("Produce", 9, produced(size, "quota-produce"), on=on), expected, free if on == "free" else first)
    # Who asks for no answer is told nothing, but not listened to.
    side.send("Produce", 9, produced(10_000, "quota-produce", acks=0), "slow")
    side.note("acks 0 is followed by silence", silent(side, "slow") > 1000)
    limit(side, "quota-producer", "producer_byte_rate", None)
    about(side, "slow", lambda: side.call("Produce", 9, produced(SHARE, "quota-produce"), on="slow"), 0, {})


def users(side):
    """The quota of the user and the id counts before that of the id, and that before none."""
    side.on("both", "quota-both")
    limit(side, "quota-both", "producer_byte_rate", 1e9)
    limit(side, "quota-both", "producer_byte_rate", RATE, "ANONYMOUS")
    side.topic("quota-users")
    about(side, "both", lambda: side.call("Produce", 9, produced(SHARE * 11 // 10, "quota-users"), on="both"), 1000, {})
    limit(side, "quota-both", "producer_byte_rate", None, "ANONYMOUS")
    about(side, "both", lambda: side.call("Produce", 9, produced(SHARE * 11 // 10, "quota-users"), on="both"), 0, {})
    limit(side, "quota-both", "producer_byte_rate", None)


def fetch(side):
    side.on("reader", "quota-reader")
    limit(side, "quota-reader", "consumer_byte_rate", RATE)
    side.topic("quota-fetch")
    for _ in range(2):
        answer = side.quietly("Produce", 9, produced(SHARE * 6 // 10, "quota-fetch"))
        assert answer["responses"][0]["partitionresponses"][0]["errorcode"] == 0, answer

    def ask(offset, meant=None):
        parts = [{"partition": 0, "fetchoffset": offset, "partitionmaxbytes": 1000}]
        wanted = {"maxwaitms": 0, "minbytes": 1, "maxbytes": 1 << 22, "topics": [{"topic": "quota-fetch", "partitions": parts}]}
        return side.call("Fetch", 11, wanted, on="reader", meant=meant)

    first = {}
    about(side, "reader", lambda: ask(0), 0, first)
    # Kafka does not send what is too much; milena sends it, and then nothing until it is paid for.
    about(side, "reader", lambda: ask(1, "a fetch beyond its quota is sent once"), 2000, first)
    about(side, "reader", lambda: ask(1), 2000, first)
    limit(side, "quota-reader", "consumer_byte_rate", None)
    about(side, "reader", lambda: ask(1), 0, {})


def requests(side):
    """Nothing is left of a share that is a hundred thousandth of a thread; no time is over a window."""
    side.on("busy", "quota-busy")
    limit(side, "quota-busy", "request_percentage", 0.001)
    told = 0
    for _ in range(2000):
        told = side.on("busy").call("Metadata", 9, {"topics": []})["throttletimems"]
        if told:
            break
    heard = silent(side, "busy")
    side.note("a client that is too busy is told", {"throttled": told > 0, "at most a window": told <= 1000, "silent": heard >= 0.9 * told - 20})
    limit(side, "quota-busy", "request_percentage", None)
    silent(side, "busy")
    side.note("and is heard again", silent(side, "busy") < 500)


def mutations(side):
    """One partition in a second, eleven at once: newer versions are refused what older ones only wait for."""
    limit(side, "quota-maker", "controller_mutation_rate", 1)

    def ask(on, api, version, values, only=False):
        side.on(on, "quota-maker")
        wanted = values if api == "DeleteTopics" else {**values, "validateonly": only}
        answer = side.on(on).call(api, version, {**wanted, "timeoutms": 9000})
        (one,) = answer.get("topics") or answer.get("results") or answer["responses"]
        told = answer["throttletimems"]
        side.note([api, version, wanted], {"code": one["errorcode"], "throttled": told > 0})
        return told

    def create(version, name, partitions, only=False):
        topic = {"name": name, "numpartitions": partitions, "replicationfactor": 1}
        return ask("maker", "CreateTopics", version, {"topics": [topic]}, only)

    def wait(told, most):
        side.note("who is refused is silent until it may go on", 0 < told <= most and silent(side, "maker") >= 0.9 * told - 20)
        time.sleep(0.1)

    create(7, "quota-made-1", 12)
    wait(create(7, "quota-made-2", 1), 1000)
    create(7, "quota-made-3", 3)
    # What is only validated counts as well.
    wait(create(7, "quota-made-4", 1, True), 3000)
    create(7, "quota-made-4", 3, True)
    begin = time.monotonic()
    told = create(5, "quota-made-5", 1)
    more = {"topics": [{"name": "quota-made-1", "count": 13, "assignments": None}]}
    # Other connections of the same client are heard, and refused or not, by their versions.
    ask("second", "CreatePartitions", 3, more)
    ask("third", "CreatePartitions", 3, more, True)
    ask("fourth", "DeleteTopics", 5, {"topicnames": ["quota-made-3"]})
    ask("fifth", "CreatePartitions", 2, more)
    ask("sixth", "DeleteTopics", 4, {"topicnames": ["quota-made-5"]})
    silent(side, "maker")
    side.note("an older version waits", 2000 < told <= 4000 and 1000 * (time.monotonic() - begin) >= 0.9 * told - 20)
    limit(side, "quota-maker", "controller_mutation_rate", None)
    create(7, "quota-made-6", 20)


def addresses(side):
    """Who connects too often is held for a while and closed unheard, and does not count; others are served.

    An address may come ten times its rate at once, as often again when ten seconds have passed, and no oftener in between.
    """
    def come(address, times=1):
        heard = []
        for _ in range(times):
            connection = Connection(side.schemas, side.port)
            connection.socket = socket.create_connection(("127.0.0.1", side.port), timeout=8, source_address=(address, 0))
            answer = connection.call("Metadata", 9, {"topics": []})
            heard.append(answer if isinstance(answer, str) else "served")
            connection.close()
        return heard

    def rate(address, value):
        quota(side, [("ip", address)], "connection_creation_rate", value)

    side.note("without a quota", come("127.0.0.2", 30))
    rate("127.0.0.2", 1)
    side.note("eleven with one a second", come("127.0.0.2", 12))
    side.note("another address", come("127.0.0.3", 20))
    rate("127.0.0.2", 2)
    served = come("127.0.0.2", 15).count("served")
    side.note("ten more with two a second", 10 <= served <= 12 or served)
    rate("127.0.0.2", None)
    side.note("free again", come("127.0.0.2", 5))
    # The scripts that run beside this one come from there.
    rate("127.0.0.1", 1_000_000)
    rate(None, 1)
    side.note("the default", come("127.0.0.4", 11))
    side.note("for each address by itself", come("127.0.0.5", 11))
    side.note("but for one that has its own", come("127.0.0.1", 15))
    rate("127.0.0.4", 1000)
    side.note("or gets its own", come("127.0.0.4", 5))
    rate("127.0.0.4", None)
    side.note("and has it no longer", come("127.0.0.4"))
    rate(None, None)
    side.note("without the default", come("127.0.0.4"))
    rate("127.0.0.1", None)


SCRIPTS = [produce, users, fetch, requests, mutations, addresses]
