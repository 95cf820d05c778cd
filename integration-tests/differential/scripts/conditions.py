"""One table of what can be wrong with each request of an administrator: API, what is asked, and why an answer may differ.

Each row is asked in every version, of both brokers, in the order of the table. Unlike in `admin.py` the answers are compared
as they are, throttle times and the order of results included, but for what is named here.
"""

import json
import math
import struct

from sides import apart, has_failed, in_version, made
from wire import Message

# The topics that are there, by their number, with their partitions.
TOPICS = ((1, 3), (2, 1), (3, 2))
NIL, NOBODY = "0" * 32, "f" * 32
LONG, LONGER = "x" * 249, "x" * 250
# Ids and places, which no two brokers share.
MASKED = {
    "clusterid", "host", "port", "finalizedfeaturesepoch", "totalbytes", "usablebytes", "producerid", "logdir", "apikeys", "supportedfeatures",
    "finalizedfeatures", "size",
}
THROTTLES = ("leader.replication.throttled.rate", "follower.replication.throttled.rate", "replica.alter.log.dirs.io.max.bytes.per.second")
THREADS = (
    "num.network.threads", "listener.name.plaintext.num.network.threads", "remote.log.reader.threads", "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
)
# What Kafka gives in the order of a hash table.
UNORDERED = {
    "Metadata", "CreateTopics", "DeleteTopics", "DeleteGroups", "DescribeLogDirs", "CreatePartitions", "AlterReplicaLogDirs", "WriteTxnMarkers", "ListTransactions",
    "ListConfigResources",
}


def names(*given):
    return [{"name": name} for name in given]


def metadata():
    for more in ({"allowautotopiccreation": False}, {"allowautotopiccreation": False, "includeclusterauthorizedoperations": True},
                 {"allowautotopiccreation": False, "includetopicauthorizedoperations": True}):
        yield {"topics": [], **more}
        yield {"topics": names("c1"), **more}
    quiet = {"allowautotopiccreation": False}
    for wanted in (["c1", "c1"], ["none"], ["none", "c1", "none"], [""], [".", ".."], ["a/b"], [LONG], [LONGER], ["c1", "", "none"], ["c.1"], ["\u00fc"]):
        yield {"topics": names(*wanted), **quiet}
    for wanted in ([""], ["."], ["a/b"], [LONGER], ["\u00fc"]):
        yield {"topics": names(*wanted), "allowautotopiccreation": True}
    for topic_id, name in ((NOBODY, None), (NIL, None), (NOBODY, "c1"), ("id of c1", None), ("id of c1", "c1"), ("id of c1", "none")):
        yield {"topics": [{"topicid": topic_id, "name": name}], **quiet}
    yield {"topics": [{"topicid": "id of c1", "name": None}, {"topicid": NOBODY, "name": None}, {"topicid": "id of c1", "name": None}], **quiet}
    yield {"topics": [{"topicid": "id of c1", "name": None}, {"name": "c2"}], **quiet}


def described_partitions():
    def page(wanted, limit=2000, cursor=None):
        values = {"topics": names(*wanted), "responsepartitionlimit": limit}
        if cursor:
            values["cursor"] = {"topicname": cursor[0], "partitionindex": cursor[1]}
        return values

    for wanted in ([], ["c1"], ["c1", "c2"], ["c2", "c1"], ["c1", "c1"], ["none"], ["none", "c1"], [""], ["a/b"], [LONGER], ["c1", "", "none", "zz"]):
        yield page(wanted) if wanted else page(["c1"], cursor=("c1", 0))
    for limit in (0, -1, 1, 2, 3, 100000):
        yield page(["c1", "c2", "c3"], limit)
    for cursor in (("c1", 0), ("c1", 1), ("c1", 2), ("c1", 3), ("c1", 99), ("c1", -1), ("c2", 0), ("c3", 0), ("c0", 0), ("none", 0), ("zz", 0), ("", 0)):
        yield page(["c1", "c2", "c3"], 3, cursor)
        yield page(["c1"], 3, cursor)
        yield page(["none"], 3, cursor)


def creations():
    def topic(name, count=1, factor=1, configs=(), assignments=()):
        return {"name": name, "numpartitions": count, "replicationfactor": factor, "configs": [{"name": k, "value": v} for k, v in configs],
                "assignments": [{"partitionindex": i, "brokerids": ids} for i, ids in assignments]}

    for only in (True, False):
        for topics in (
            [], [topic("c1"), topic("c1")], [topic("new"), topic("new")], [topic("new"), topic("c1"), topic("new")], [topic("")], [topic(""), topic("")],
            [topic("."), topic(".."), topic("a/b"), topic("a b"), topic("\u00fc"), topic(LONGER)], [topic("c1", 0), topic("none", 0, 0)],
            [topic("c-1", -1, -1), topic("c_1", 1, 1)] if only else [], [topic("d.d"), topic("d_d")] if only else [],
            [topic("n1", 1, 3), topic("n2", -5, 1), topic("n3", 1, -5)], [topic("n1", 0x7fffffff, 1)], [topic("n1", 1, 0x7fff)],
            [topic("n1", 2, -1, assignments=[(0, [1])])], [topic("n1", -1, 2, assignments=[(0, [1])])], [topic("n1", -1, -1, assignments=[(-1, [1])])],
            [topic("n1", -1, -1, assignments=[(0, [1, 1])])], [topic("n1", -1, -1, assignments=[(0, [-1])])], [topic("n1", -1, -1, assignments=[(0, [1]), (1, [])])],
            [topic("n1", -1, -1, assignments=[(0, [1]), (1, [1, 2])])],
        ):
            yield {"topics": topics, "timeoutms": 9000, "validateonly": only}
        for configs in (
            [("", "1")], [("none", "1")], [("None.Such", None)], [("retention.ms", None)], [("retention.ms", "")], [("retention.ms", "-2")], [("retention.ms", "x")],
            [("retention.ms", "1.5")], [("retention.ms", "99999999999999999999")], [("retention.ms", "1"), ("retention.ms", "x")],
            [("cleanup.policy", "x")], [("cleanup.policy", "")] , [("cleanup.policy", "delete,delete")], [("cleanup.policy", "delete,x")],
            [("compression.type", "x")], [("compression.gzip.level", "0")], [("compression.gzip.level", "10")], [("compression.zstd.level", "23")],
            [("compression.lz4.level", "0")], [("compression.lz4.level", "18")], [("min.insync.replicas", "0")], [("segment.bytes", "13")],
            [("segment.bytes", "1048575")], [("segment.ms", "0")], [("segment.index.bytes", "3")], [("max.message.bytes", "-1")], [("flush.messages", "0")], [("flush.ms", "-1")],
            [("index.interval.bytes", "-1")], [("file.delete.delay.ms", "-1")], [("delete.retention.ms", "-1")], [("min.compaction.lag.ms", "-1")],
            [("max.compaction.lag.ms", "0")], [("min.compaction.lag.ms", "20"), ("max.compaction.lag.ms", "10")], [("min.cleanable.dirty.ratio", "1.1")],
            [("min.cleanable.dirty.ratio", "-0.1")], [("min.cleanable.dirty.ratio", "x")], [("preallocate", "yes")], [("preallocate", "TRUE ")], [("preallocate", "")],
            [("unclean.leader.election.enable", "0")], [("message.timestamp.type", "x")], [("message.timestamp.type", "createtime")], [("message.timestamp.before.max.ms", "-1")],
            [("message.timestamp.after.max.ms", "x")], [("message.timestamp.difference.max.ms", "1")], [("message.format.version", "2.0")],
            [("message.downconversion.enable", "true")], [("leader.replication.throttled.replicas", "x")], [("leader.replication.throttled.replicas", "0:1,1:1")],
            [("follower.replication.throttled.replicas", "*")], [("follower.replication.throttled.replicas", "1")], [("remote.storage.enable", "true")],
            [("remote.storage.enable", "x")], [("local.retention.ms", "-3")], [("local.retention.ms", "100"), ("retention.ms", "10")],
            [("local.retention.bytes", "100"), ("retention.bytes", "10")], [("remote.log.copy.disable", "true")], [("remote.log.delete.on.disable", "true")],
            [("retention.bytes", "-2")], [("segment.jitter.ms", "-1")], [("retention.ms", " 5 ")], [("retention.ms", "+5")],
            [("internal.segment.bytes", "5")], [("retention.ms", "5"), ("none", "1"), ("cleanup.policy", "x")], [("x", "y" * 40000)],
        ):
            if only:
                yield {"topics": [topic("with-config", configs=configs)], "timeoutms": 9000, "validateonly": True}
    for timeout in (0, -1, -(1 << 31)):
        yield {"topics": [topic("c1")], "timeoutms": timeout}
    yield {"topics": [topic("taken"), topic("", 1), topic("n1", 1, 3)], "timeoutms": 9000}
    yield {"topics": [topic("many-%d" % n, 1000) for n in range(11)], "timeoutms": 9000, "validateonly": True}
    yield {"topics": [topic("__share_group_state"), topic("__consumer_offsets"), topic("__transaction_state"), topic("__cluster_metadata")], "timeoutms": 9000, "validateonly": True}


def more_partitions():
    def topic(name, count, assignments=None):
        return {"name": name, "count": count, "assignments": None if assignments is None else [{"brokerids": ids} for ids in assignments]}

    for only in (True, False):
        for topics in (
            [], [topic("c1", 4), topic("c1", 5)], [topic("c1", 4), topic("c1", 5), topic("c2", 1)], [topic("", 2)], [topic("none", 2), topic("c1", 1)], [topic("a/b", 3)],
            [topic("c1", 3)], [topic("c1", 0)], [topic("c1", -1)], [topic("c1", -(1 << 31))], [topic("c1", 4, [])], [topic("c1", 4, [[]])], [topic("c1", 4, [[-1]])],
            [topic("c1", 4, [[1, 2]])], [topic("c1", 4, [[1], [1]])], [topic("c1", 5, [[1]])], [topic("c1", 5, [[1], [2]])], [topic("c1", 5, [[1], [1, 1]])], [topic("c1", 5, [[1], []])],
            [topic(LONGER, 2)],
        ):
            yield {"topics": topics, "timeoutms": 9000, "validateonly": only}
    for timeout in (0, -1):
        yield {"topics": [topic("c1", 3)], "timeoutms": timeout, "validateonly": False}


def configs_described():
    def resource(kind, name, keys=None):
        return {"resourcetype": kind, "resourcename": name, "configurationkeys": keys}

    some = ["retention.ms", "cleanup.policy"]
    for synonyms in (False, True):
        for resources in (
            [], [resource(2, "c1", some)], [resource(2, "c1", some), resource(2, "c1", ["segment.bytes"])], [resource(2, "c1", [])], [resource(2, "c1")],
            [resource(2, "c1", ["none"])], [resource(2, "c1", [""])], [resource(2, "c1", ["retention.ms", "retention.ms"])],
            [resource(2, "none")], [resource(2, "")], [resource(2, "a/b")], [resource(2, LONGER)], [resource(2, "none"), resource(2, "c1", some), resource(2, "")],
            [resource(4, "1", ["log.retention.ms"])], [resource(4, "", ["log.retention.ms"])], [resource(4, "2", some)], [resource(4, "x", some)], [resource(4, "-1", some)],
            [resource(4, " 1", some)], [resource(4, "01", some)], [resource(4, "99999999999", some)], [resource(4, "1", ["none"])],
            [resource(8, "1", ["none"])], [resource(8, "", some)], [resource(8, "2", some)], [resource(8, "x", some)],
            [resource(16, "none")], [resource(16, "")], [resource(16, "cm1")], [resource(16, "cm1", ["interval.ms"])], [resource(16, "cm1", [])],
            [resource(32, "none")], [resource(32, "")], [resource(32, "g1")], [resource(32, "g1", ["consumer.session.timeout.ms", "none"])], [resource(32, "g1", [])],
            [resource(0, "c1")], [resource(1, "c1")], [resource(3, "c1")], [resource(64, "c1")], [resource(-1, "c1")], [resource(127, "c1")], [resource(-128, "c1")],
            [resource(2, "c1", some), resource(64, "c1"), resource(4, "2", some)],
        ):
            yield {"resources": resources, "includesynonyms": synonyms}


def configs_set():
    def resource(kind, name, *configs):
        return {"resourcetype": kind, "resourcename": name, "configs": [{"name": key, "value": value} for key, value in configs]}

    good, bad = ("retention.ms", "77777777"), ("retention.ms", "x")
    for only in (True, False):
        for resources in (
            [], [resource(2, "c2", good)], [resource(2, "c2", good), resource(2, "none", good)], # The same resource twice Kafka never answers.
            [resource(2, "c2", bad)], [resource(2, "c2", ("none", "1"))], [resource(2, "c2", ("", "1"))], [resource(2, "c2", ("retention.ms", None))],
            [resource(2, "c2", good, good)], [resource(2, "c2", good, bad)], [resource(2, "", good)], [resource(2, "a/b", good)], [resource(2, LONGER, good)],
            [resource(2, "c2", ("retention.ms", ""))], [resource(2, "c2", ("cleanup.policy", "")), resource(2, "c3")], [resource(2, "c2", ("min.insync.replicas", "0"))],
            [resource(2, "c2", ("unclean.leader.election.enable", "x")), resource(2, "c3", good)], [resource(2, "c2", ("x", "y" * 40000))],
            [resource(4, "1", good)], [resource(4, "2", ("log.retention.ms", "5"))], [resource(4, "x", ("log.retention.ms", "5"))], [resource(4, "-1", ("log.retention.ms", "5"))],
            [resource(4, "1", ("log.retention.ms", "x"))], [resource(4, "", ("log.retention.ms", "x"))], [resource(4, "1", ("log.dirs", "/x"))], [resource(4, "1", ("node.id", "4"))],
            [resource(4, "", ("node.id", "4"))], [resource(4, "", ("listeners", "PLAINTEXT://:1"))], [resource(4, "", ("advertised.listeners", "PLAINTEXT://:1"))], [resource(4, "1", ("none", "1"))],
            [resource(4, "1", ("log.retention.ms", None))], [resource(4, "1", ("max.connections", "-1"))], [resource(4, "1", ("num.io.threads", "0"))], [resource(4, "1", ("log.cleaner.threads", "0"))],
            [resource(4, "1", ("background.threads", "1000"))],
            [resource(8, "1", ("root", "DEBUG"))], [resource(8, "2", ("root", "DEBUG"))],
            [resource(16, "cm2", ("interval.ms", "5"))], [resource(16, "cm2", ("interval.ms", "x"))], [resource(16, "cm2", ("none", "5"))], [resource(16, "", ("interval.ms", "500"))],
            [resource(16, "cm2", ("match", "x"))], [resource(16, "cm2", ("match", "none=x"))], [resource(16, "cm2", ("metrics", ""))],
            [resource(32, "g2", ("consumer.session.timeout.ms", "1"))], [resource(32, "g2", ("consumer.session.timeout.ms", "x"))], [resource(32, "g2", ("none", "x"))], [resource(32, "", ("consumer.session.timeout.ms", "50000"))],
            [resource(32, "g2", ("consumer.heartbeat.interval.ms", "1"))], [resource(32, "g2", ("consumer.session.timeout.ms", "45000"), ("consumer.heartbeat.interval.ms", "46000"))],
            [resource(32, "g2", ("share.record.lock.duration.ms", "1"))], [resource(32, "g2", ("share.auto.offset.reset", "x"))], [resource(32, "g2", ("share.isolation.level", "x"))],
            [resource(32, "g2", ("streams.num.standby.replicas", "-1"))],
            [resource(0, "c2", good)], [resource(1, "c2", good)], [resource(64, "c2", good)], [resource(-1, "c2", good)],
        ):
            yield {"resources": resources, "validateonly": only}
    yield {"resources": [resource(2, "c2")]}


def configs_altered():
    def resource(kind, name, *configs):
        return {"resourcetype": kind, "resourcename": name, "configs": [{"name": key, "configoperation": how, "value": value} for key, how, value in configs]}

    good = ("retention.ms", 0, "77777777")
    for only in (True, False):
        for resources in (
            [], [resource(2, "c3")], [resource(2, "c3", good)], [resource(2, "c3", good), resource(2, "c3", good)], [resource(2, "c3", good), resource(2, "none", good)], [resource(2, "c3", good, good)],
            [resource(2, "c3", good, ("retention.ms", 1, None))], [resource(2, "c3", ("retention.ms", 0, None))], [resource(2, "c3", ("retention.ms", 1, "7"))], [resource(2, "c3", ("none", 1, None))],
            [resource(2, "c3", ("none", 0, "1"))], [resource(2, "c3", ("", 0, "1"))], [resource(2, "c3", ("", 1, None))], [resource(2, "c3", ("retention.ms", 2, "5"))], [resource(2, "c3", ("retention.ms", 3, "5"))],
            [resource(2, "c3", ("none", 2, "5"))], [resource(2, "c3", ("none", 3, "5"))], [resource(2, "c3", ("retention.ms", 4, "5"))], [resource(2, "c3", ("retention.ms", -1, "5"))], [resource(2, "c3", ("retention.ms", 127, "5"))],
            [resource(2, "c3", ("cleanup.policy", 2, "compact"))], [resource(2, "c3", ("cleanup.policy", 2, "compact"))], [resource(2, "c3", ("cleanup.policy", 2, "x"))], [resource(2, "c3", ("cleanup.policy", 2, ""))],
            [resource(2, "c3", ("cleanup.policy", 3, "x"))], [resource(2, "c3", ("cleanup.policy", 3, "compact"))], [resource(2, "c3", ("cleanup.policy", 3, None))], [resource(2, "c3", ("cleanup.policy", 2, None))],
            [resource(2, "c3", ("cleanup.policy", 3, "delete"))], [resource(2, "c3", ("cleanup.policy", 3, "delete,compact"))], [resource(2, "c3", ("cleanup.policy", 1, None))],
            [resource(2, "c3", ("leader.replication.throttled.replicas", 2, "0:1"))], [resource(2, "c3", ("leader.replication.throttled.replicas", 2, "0:1,1:1"))],
            [resource(2, "c3", ("leader.replication.throttled.replicas", 3, "0:1"))], [resource(2, "c3", ("leader.replication.throttled.replicas", 2, "x"))], [resource(2, "c3", ("leader.replication.throttled.replicas", 1, None))],
            [resource(2, "c3", ("retention.ms", 0, "x"), ("none", 0, "1"))], [resource(2, "", good)], [resource(2, "a/b", good)], [resource(2, LONGER, good)], [resource(2, "c3", ("x", 0, "y" * 40000))], [resource(2, "c3", ("retention.ms", 0, "y" * 33000))],
            [resource(4, "1", ("log.retention.ms", 0, "x"))], [resource(4, "", ("log.retention.ms", 0, "x"))], [resource(4, "2", ("log.retention.ms", 0, "5"))], [resource(4, "x", ("log.retention.ms", 0, "5"))],
            [resource(4, "-1", ("log.retention.ms", 0, "5"))], [resource(4, "1", ("log.dirs", 0, "/x"))], [resource(4, "1", ("node.id", 0, "4"))], [resource(4, "", ("node.id", 0, "4"))], [resource(4, "1", ("none", 0, "1"))],
            [resource(4, "1", ("log.retention.ms", 2, "1"))], [resource(4, "1", ("log.cleanup.policy", 2, "x"))], [resource(4, "1", ("max.connections", 0, "-1"))], [resource(4, "1", ("num.io.threads", 0, "0"))],
            [resource(4, "1", ("num.io.threads", 0, "1000"))], [resource(4, "1", ("min.insync.replicas", 0, "2"))], [resource(4, "", ("min.insync.replicas", 0, "0"))], [resource(4, "1", ("log.cleaner.threads", 0, "9"))],
            [resource(4, "1", ("process.roles", 0, "broker"))], [resource(4, "1", ("zookeeper.connect", 0, "x"))], [resource(4, "1", ("sasl.enabled.mechanisms", 0, "x"))], [resource(4, "1", ("max.connections.per.ip.overrides", 0, "x"))],
            [resource(4, "1", ("max.connections.per.ip.overrides", 0, "127.0.0.1:x"))], [resource(4, "1", ("compression.type", 0, "x"))], [resource(4, "1", ("message.max.bytes", 0, "-1"))],
            [resource(4, "1", ("log.message.timestamp.type", 0, "x"))], [resource(4, "1", ("remote.log.manager.copier.thread.pool.size", 0, "0"))], [resource(4, "1", ("producer.id.expiration.ms", 0, "0"))],
            [resource(4, "1", ("listener.name.plaintext.max.connections", 0, "x"))], [resource(4, "", ("max.connections.per.ip", 0, "x"))],
            [resource(4, "1", ("max.connections.per.ip", 0, "0"))], [resource(4, "", ("max.connections.per.ip", 0, "0"))], [resource(4, "1", ("log.roll.ms", 0, "0"))], [resource(4, "", ("log.retention.ms", 0, "0"))],
            [resource(4, "1", ("log.cleaner.dedupe.buffer.size", 0, "5"))], [resource(4, "1", ("metric.reporters", 0, "no.such.Class"))], [resource(4, "1", ("log.cleaner.min.compaction.lag.ms", 0, "x"))],
            *([resource(4, who, (key, 0, value))] for who in ("1", "") for key in THROTTLES for value in ("x", "-1", "5")), [resource(4, "1", (THROTTLES[0], 2, "5"))],
            *([resource(4, who, (key, 0, value))] for who in ("1", "") for key in THREADS for value in ("1000", "1", "0")),
            [resource(8, "1", ("none.such", 0, "DEBUG"))], [resource(8, "1", ("root", 0, "loud"))], [resource(8, "1", ("root", 1, None))], [resource(8, "1", ("root", 2, "DEBUG"))], [resource(8, "1", ("root", 3, "DEBUG"))],
            [resource(8, "2", ("root", 0, "DEBUG"))], [resource(8, "", ("root", 0, "DEBUG"))], [resource(8, "x", ("root", 0, "DEBUG"))], [resource(8, "1", ("root", 0, None))], [resource(8, "1")],
            [resource(16, "cm3", ("interval.ms", 0, "5"))], [resource(16, "cm3", ("interval.ms", 0, "99999999"))], [resource(16, "cm3", ("interval.ms", 2, "500"))], [resource(16, "cm3", ("none", 0, "5"))], [resource(16, "cm3", ("none", 1, None))],
            [resource(16, "", ("interval.ms", 0, "500"))], [resource(16, "cm3", ("match", 0, "x"))], [resource(16, "cm3", ("match", 0, "none=x"))], [resource(16, "cm3", ("metrics", 2, "a"))],
            [resource(16, "cm3", ("metrics", 3, "a"))], [resource(16, "cm3", ("metrics", 1, None))], [resource(16, "cm3")],
            [resource(32, "g3", ("consumer.session.timeout.ms", 0, "1"))], [resource(32, "g3", ("consumer.session.timeout.ms", 2, "45000"))], [resource(32, "g3", ("none", 0, "x"))], [resource(32, "g3", ("none", 1, None))],
            [resource(32, "", ("consumer.session.timeout.ms", 0, "50000"))], [resource(32, "g3", ("consumer.heartbeat.interval.ms", 0, "99999"))], [resource(32, "g3")],
            [resource(0, "c3", good)], [resource(1, "c3", good)], [resource(64, "c3", good)], [resource(-1, "c3", good)],
        ):
            yield {"resources": resources, "validateonly": only}
    yield {"resources": [resource(16, "cm3", ("match", 0, "client_id=["))], "validateonly": True}
    undo = [resource(2, "c3", ("retention.ms", 1, None), ("cleanup.policy", 1, None)), resource(16, "cm3", ("metrics", 1, None))]
    yield {"resources": undo}


def config_resources():
    for kinds in ([], [16], [2], [4], [8], [32], [16, 16], [2, 16, 32], [0], [1], [64], [-1], [16, 64], [127]):
        yield {"resourcetypes": kinds}


def log_dirs():
    for topics in (None, [], [{"topic": "c1", "partitions": [0, 1, 2]}], [{"topic": "c1", "partitions": []}], [{"topic": "c1", "partitions": [9, -1]}], [{"topic": "none", "partitions": [0]}],
                   [{"topic": "", "partitions": [0]}], [{"topic": "c1", "partitions": [0, 0]}], [{"topic": "c1", "partitions": [0]}, {"topic": "c1", "partitions": [1]}]):
        if topics is not None:
            yield {"topics": topics}


def log_dirs_altered():
    def move(path, *topics):
        return {"path": path, "topics": [{"name": name, "partitions": indexes} for name, indexes in topics]}

    for dirs in ([], [move("/none")], [move("/none", ("c1", [0]))], [move("/none", ("c1", [0, 0, 9]))], [move("none", ("c1", [0]))], [move("", ("c1", [0]))], [move("/none", ("none", [0]))],
                 [move("none", ("none", [0]))], [move("/none", ("", [0]), ("a/b", [0]))], [move("/none", ("c1", []))], [move("/none/../none", ("c1", [0]))], [move("/none", ("c1", [-1]))],
                 [move("/none", ("c1", [0])), move("/other", ("c1", [0]))]):
        yield {"dirs": dirs}


def clusters():
    for kind in (0, 1, 2, 3, -1):
        for fenced in (False, True):
            yield {"endpointtype": kind, "includefencedbrokers": fenced, "includeclusterauthorizedoperations": fenced}


def producers():
    for topics in ([], [("c1", [0])], [("c1", [9])], [("c1", [-1])], [("none", [0])], [("", [0])], [("a/b", [0])], [(LONGER, [0])], [("c1", [])], [("c1", [0, 0])], [("c1", [0]), ("none", [0]), ("c1", [1])]):
        yield {"topics": [{"name": name, "partitionindexes": indexes} for name, indexes in topics]}


def transactions_described():
    for ids in ([], ["none"], [""], ["", "none", ""], ["none", "none"], [LONGER], ["\u00fc"]):
        yield {"transactionalids": ids}


def transactions_listed():
    for states in ([], ["Ongoing"], ["ongoing"], ["none"], [""], ["Empty", "none", "Empty"], ["PrepareEpochFence"], ["Dead"]):
        yield {"statefilters": states, "produceridfilters": [0x7ffffffff]}
    for ids in ([-1], [0x7ffffffff, 0x7ffffffff]):
        yield {"produceridfilters": ids}
    for duration in (-2, -1, 0, 1, 1 << 62):
        yield {"produceridfilters": [0x7ffffffff], "durationfilter": duration}
    for pattern in ("", "none.*", "[", "(", "a{2,1}", "\\", "(?=a)", "*", None):
        yield {"produceridfilters": [0x7ffffffff], "transactionalidpattern": pattern}


def producer_ids():
    for name, timeout, producer, epoch in (
        ("", 1000, -1, -1), (None, 1000, 5, 1), (None, 1000, 5, -1), (None, 1000, -1, 1), (None, 0, -1, -1), (None, -1, -1, -1), ("c-tx", 0, -1, -1), ("c-tx", -1, -1, -1), ("c-tx", 900001, -1, -1), ("c-tx", 0x7fffffff, -1, -1),
        ("c-tx", 1000, 5, -1), ("c-tx", 1000, -1, 5), ("c-tx", 1000, -2, -2), ("c-tx", 1000, -1, -2), ("c-tx-new", 1000, 0x7ffffffff, 0), ("", 0, 5, 5), (None, 1000, -5, -5),
    ):
        yield {"transactionalid": name, "transactiontimeoutms": timeout, "producerid": producer, "producerepoch": epoch}


def markers():
    def marker(producer, epoch, commit, coordinator, *topics):
        return {"producerid": producer, "producerepoch": epoch, "transactionresult": commit, "coordinatorepoch": coordinator,
                "topics": [{"name": name, "partitionindexes": indexes} for name, indexes in topics]}

    unknown = 0x7ffffffff
    for wanted in ([], [marker(unknown, 0, True, 0)], [marker(unknown, 0, True, 0, ("none", [0]))], [marker(unknown, 0, True, 0, ("", [0]), ("c1", [9]))], [marker(unknown, 0, True, 0, ("c1", [-1]))],
                   [marker(unknown, 0, False, 0, ("none", [0])), marker(unknown + 1, 0, True, 0, ("none", [0, 0]))]):
        yield {"markers": wanted}


def features():
    def update(feature, level, kind=1):
        return {"feature": feature, "maxversionlevel": level, "upgradetype": kind, "allowdowngrade": kind != 1}

    for only in (True, False):
        for updates in ([], [update("none", 1), update("none", 1)], [update("group.version", 9), update("none", 1)], [update("", 1)], [update("group.version", 1), update("group.version", 1)],
                        [update("group.version", -1)], [update("group.version", 1, 9)], [update("group.version", 1, -1)], [update("metadata.version", 1)], [update("metadata.version", 99)]):
            yield {"featureupdates": updates, "validateonly": only, "timeoutms": 9000}
    for timeout in (0, -1):
        yield {"featureupdates": [update("none", 1)], "timeoutms": timeout}


def elections():
    def topic(name, *indexes):
        return {"topic": name, "partitions": list(indexes)}

    for kind in (0, 1):
        for topics in ([], [topic("c1")], [topic("c1", 0, 0)], [topic("c1", 0), topic("c1", 1)], [topic("c1", -1)], [topic("", 0)], [topic("a/b", 0)], [topic(LONGER, 0)], [topic("none", 1, 0), topic("c1", 9, 0)]):
            yield {"electiontype": kind, "topicpartitions": topics, "timeoutms": 9000}
        for timeout in (0, -1):
            yield {"electiontype": kind, "topicpartitions": [topic("c1", 0)], "timeoutms": timeout}


def reassignments():
    def topic(name, *parts):
        return {"name": name, "partitions": [{"partitionindex": index, "replicas": replicas} for index, replicas in parts]}

    for topics in ([topic("c1")], [topic("c1", (0, [1]), (0, [1]))], [topic("c1", (0, [1])), topic("c1", (0, None))], [topic("c1", (-1, [1]))], [topic("", (0, [1]))], [topic("a/b", (0, [1]))], [topic(LONGER, (0, [1]))],
                   [topic("none", (0, None)), topic("c1", (0, None))], [topic("c1", (0, [1]), (1, [2]), (2, []))], [topic("__cluster_metadata", (0, [1]))]):
        for timeout in (9000, 0, -1):
            for allowed in (True, False):
                yield {"topics": topics, "timeoutms": timeout, "allowreplicationfactorchange": allowed}


def reassignments_listed():
    for topics in ([{"name": "c1", "partitionindexes": []}], [{"name": "c1", "partitionindexes": [0, 0, -1]}], [{"name": "", "partitionindexes": [0]}], [{"name": "c1", "partitionindexes": [0]}] * 2):
        for timeout in (9000, 0, -1):
            yield {"topics": topics, "timeoutms": timeout}


def groups_described():
    for ids in ([], [""], ["none"], ["none", "none"], [LONGER], ["none", "", "none"]):
        yield {"groups": ids}


def consumer_groups_described():
    for ids in ([], [""], ["none"], ["none", "none"], [LONGER], ["none", "", "none"]):
        yield {"groupids": ids}


def groups_deleted():
    for ids in ([""], ["none"], ["none", "none"], [LONGER], ["none", "", "none", "other"]):
        yield {"groupsnames": ids}


def api_versions():
    for name, version in (("", ""), ("a", ""), ("", "1"), ("a b", "1"), ("-a", "1"), ("a-", "1"), ("a.b-c", "1.0"), ("a_b", "1"), ("a", "1/2"), ("\u00fc", "1"), ("a" * 300, "1")):
        yield {"clientsoftwarename": name, "clientsoftwareversion": version}


def deletions():
    """Last: topics go."""
    def by_names(*wanted, timeout=9000):
        return {"topicnames": list(wanted), "topics": [{"name": name, "topicid": NIL} for name in wanted], "timeoutms": timeout}

    yield by_names()
    for wanted in (["none"], ["none", "none"], [""], ["a/b", "none"], [LONGER], ["none", "", "other"]):
        yield by_names(*wanted)
    for topics in ([(None, NIL)], [(None, NOBODY)], [(None, NOBODY)] * 2, [("c1", NOBODY)], [("c1", "id of c1")], [("none", "id of c1")], [("c1", NIL), (None, "id of c1")], [(None, "id of c1")] * 2, [("c1", NIL)] * 2,
                   [("c1", NIL), ("c1", "id of c1")], [("", NIL), (None, NIL)], [("none", NIL), ("c1", "id of c1"), (None, NOBODY)]):
        yield {"topicnames": [], "topics": [{"name": name, "topicid": topic_id} for name, topic_id in topics], "timeoutms": 9000}
    for timeout in (0, -1):
        yield by_names("none", timeout=timeout)


TABLE = [
    ("Metadata", metadata), ("DescribeTopicPartitions", described_partitions), ("CreateTopics", creations), ("CreatePartitions", more_partitions),
    ("DescribeConfigs", configs_described), ("AlterConfigs", configs_set), ("IncrementalAlterConfigs", configs_altered), ("DescribeConfigs", configs_described),
    ("ListConfigResources", config_resources), ("DescribeLogDirs", log_dirs), ("AlterReplicaLogDirs", log_dirs_altered), ("DescribeCluster", clusters),
    ("DescribeProducers", producers), ("DescribeTransactions", transactions_described), ("ListTransactions", transactions_listed), ("InitProducerId", producer_ids),
    ("WriteTxnMarkers", markers), ("UpdateFeatures", features), ("ElectLeaders", elections), ("AlterPartitionReassignments", reassignments),
    ("ListPartitionReassignments", reassignments_listed), ("DescribeGroups", groups_described), ("ConsumerGroupDescribe", consumer_groups_described),
    ("DeleteGroups", groups_deleted), ("ApiVersions", api_versions), ("DeleteTopics", deletions),
]


def with_ids(value, ids):
    """The values with `id of TOPIC` replaced by that id."""
    if isinstance(value, dict):
        return {key: with_ids(inner, ids) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_ids(inner, ids) for inner in value]
    return ids.get(value, value) if isinstance(value, str) else value


def masked(api, value, ids, name=""):
    if name in MASKED and value not in (None, -1, NIL, "", []):
        return "*"
    if isinstance(value, dict):
        return {key: masked(api, inner, ids, key) for key, inner in value.items()}
    if isinstance(value, list):
        items = [masked(api, inner, ids) for inner in value]
        of_table = api in UNORDERED or name == "configs"
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True, default=repr)) if of_table else items
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    for text, stands_for in ids.items():
        if isinstance(value, str):
            value = value.replace(text, stands_for)
    # What is only validated has an id all the same.
    is_new = name == "topicid" and value not in (NIL, NOBODY) and not value.startswith("id of")
    return "*" if is_new else value


def prepare(broker):
    """The topics of the table; gives what the broker's ids are called."""
    topics = made(broker, {f"c{number}": count for number, count in TOPICS})
    return {f"id of {name}": topic_id for name, topic_id in topics.items()}


def undo(broker):
    """What the table has set at brokers and groups, so that the other scripts find them as they were."""
    resources = []
    for kind, name in ((4, "1"), (4, ""), (16, "cm1"), (16, "cm2"), (16, "cm3"), (32, "g2"), (32, "g3")):
        resources.append({"resourcetype": kind, "resourcename": name, "configs": []})
    broker.call("AlterConfigs", 2, {"resources": resources})


# Texts of Java, or of what went wrong within Kafka.
JAVAS = ("max.connections.per.ip.overrides", "log.cleaner.threads")


def known(api, version, values, kafka, milena):
    """Why two different answers are both right, or None."""
    told = json.dumps(values, default=repr)
    if kafka == "closed" and "yyyyyyyy" in told:
        return "a text beyond 32,767 bytes is refused and does not end the connection"
    if has_failed(kafka):
        return "what makes Kafka fail is refused by its own code"
    if api == "CreateTopics" and any(key in told for key in ("message.format.version", "message.timestamp.difference.max.ms", "message.downconversion.enable")):
        return "keys of topics that Kafka 4 has dropped are taken without effect"
    if any(key in told for key in JAVAS):
        return "texts of Java"
    if '"listeners"' in told or "advertised.listeners" in told:
        return "listeners are read once, at the start; what is advertised may change"
    if "client_id=[" in told:
        return "patterns of subscriptions to client metrics are not compiled"
    return None


def compare(schemas, brokers, served, meant):
    """The number of requests and what differs."""
    ids = [prepare(broker) for broker in brokers]
    asked, differences = 0, []
    for at, (api, rows) in enumerate(TABLE):
        schema, seen = schemas[api + "Request"], {}
        for broker in brokers:
            made(broker, {f"before-{at}": 1})
        for values in rows():
            # Metadata before version 4 makes the topics that it asks for.
            for version in [at for at in served[0][schema["apiKey"]] if api != "Metadata" or at > 3]:
                fitting = in_version(schema, version, values)
                try:
                    answers = [broker.call(api, version, with_ids(fitting, own)) for broker, own in zip(brokers, ids)]
                except struct.error:
                    continue  # Long texts only fit where lengths are varints.
                asked += 1
                if has_failed(answers[0]):
                    for broker in brokers:
                        made(broker, {f"after-{asked}": 1})
                kafka, milena = (masked(api, answer, {topic_id: text for text, topic_id in own.items()}) for answer, own in zip(answers, ids))
                if kafka == milena:
                    continue
                reason = known(api, version, fitting, kafka, milena)
                if reason is None:
                    shown = "".join(f"\n  {path}: Kafka {left!r:.400}, milena {right!r:.400}" for path, left, right in list(apart(kafka, milena))[:8])
                    seen.setdefault(str(values), []).append((version, shown))
                else:
                    meant[reason] = meant.get(reason, 0) + 1
        for asking, shown in seen.items():
            versions = [version for version, _ in shown]
            differences.append(f"{api} v{versions} {asking:.400}{shown[-1][1]}")
    for broker in brokers:
        undo(broker)
    count, differing = edges(schemas, brokers, served)
    return asked + count, differences + differing


def record(schemas, brokers, served, path):
    """Asks for each row once, in its highest version, and writes down what both brokers answer byte for byte the same.

    A line is the number of the API, the version, the body of the request and that of the answer, or `-` where it has ids,
    times or an order in it. It is what a test without Kafka asks.
    """
    # What `settle` and `prepare` ask goes before.
    topics = [{"name": f"c{number}", "numpartitions": count, "replicationfactor": 1} for number, count in TOPICS]
    before = [
        ("FindCoordinator", 0, {"key": "none"}), ("FindCoordinator", 1, {"key": "none", "keytype": 1}),
        ("InitProducerId", 4, {"transactionalid": "none", "transactiontimeoutms": 1000}),
        ("CreateTopics", 7, {"topics": topics, "timeoutms": 9000}),
    ]
    ids, lines = [prepare(broker) for broker in brokers], []
    for api, version, values in before:
        schema = schemas[api + "Request"]
        lines.append(f"{schema['apiKey']} {version} {Message(schema, version).encode(schema['fields'], values).hex()} -")
    for api, rows in TABLE:
        key = schemas[api + "Request"]["apiKey"]
        version = served[0][key][-1]
        for values in rows():
            fitting = in_version(schemas[api + "Request"], version, values)
            with_own = with_ids(fitting, ids[1])
            for broker, own in zip(brokers, ids):
                broker.call(api, version, with_ids(fitting, own))
            kafka, milena = (broker.received for broker in brokers)
            if with_own == fitting and len(brokers[1].sent) < 1000:
                told = (kafka.hex() or "closed") if kafka == milena and len(kafka) < 1500 else "-"
                lines.append(f"{key} {version} {brokers[1].sent.hex() or '-'} {told}")
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")
    return len(lines), sum(not line.endswith(" -") for line in lines)


def edges(schemas, brokers, served):
    """Versions just outside of what is told, and APIs that are not told, each with a body that no one can read."""
    asked, differences = 0, []
    for name, schema in sorted(schemas.items()):
        if not name.endswith("Request") or "apiKey" not in schema:
            continue
        key, api = schema["apiKey"], name.removesuffix("Request")
        told = served[0].get(key, range(0))
        versions = {-1, 32767, told.start - 1, told.stop} if len(told) else {0, 1}
        for version in sorted(versions):
            if key == 18 or key == 0 and 0 <= version < 3:
                continue  # Answered in every version; told for the sake of old clients, and not served.
            answers = [broker.bare(key, version) for broker in brokers]
            asked += 1
            if answers[0] != answers[1]:
                differences.append(f"{api} v{version}: Kafka {answers[0]}, milena {answers[1]}")
    return asked, differences
