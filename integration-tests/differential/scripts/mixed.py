"""Requests of administrators put together by dice, the same ones each time: combinations that nobody has thought of.

Fields get one of a few values that mean something to them. What is asked for changes nothing that another script sees, and
words are left out: where several things are wrong, Kafka tells the one that its hash tables have first. `conditions.py` compares
the words, one error at a time. To look for more, count up `SEED`.
"""

import json
import random

from scripts import admin, conditions
from sides import apart, has_failed, made
from wire import within

SEED, REQUESTS = 1, 2000
NIL, NOBODY = conditions.NIL, conditions.NOBODY
TOPICS = ["m1", "m1", "m2", "m3", "none", "", "a/b", "new", "m.1", "__consumer_offsets", "__cluster_metadata", conditions.LONGER]
GROUPS = ["g", "none", "", conditions.LONGER]
# Kinds of resources, their names and their keys. Loggers are not the same in both.
RESOURCES = {
    2: (TOPICS, [
        "retention.ms", "cleanup.policy", "segment.bytes", "min.insync.replicas", "compression.type", "max.message.bytes", "min.compaction.lag.ms",
        "max.compaction.lag.ms", "retention.bytes", "local.retention.ms", "leader.replication.throttled.replicas", "none", "",
    ]),
    4: (["1", "", "2", "x"], [
        "log.retention.ms", "log.cleanup.policy", "message.max.bytes", "min.insync.replicas", "compression.type", "num.io.threads", "log.roll.ms", "node.id",
        "none", "", "log.retention.hours", "log.segment.bytes", "auto.create.topics.enable", "listener.name.x.max.connections", "ssl.keystore.location",
    ]),
    16: (["cm4", "cm5", ""], ["interval.ms", "metrics", "match", "none", ""]),
    32: (["g4", "g5", ""], [
        "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms", "share.auto.offset.reset", "streams.num.standby.replicas", "none", "",
    ]),
    0: (["x"], ["none"]), 64: (["x"], ["none"]),
}
VALUES = [
    "1", "2", "100", "5000", "50000", "1048576", "-1", "-2", "0", "x", "", "compact", "delete", "compact,delete", "gzip", None, "latest", "client_id=a", "0:1", " 7 ", "1.5",
    "99999999999",
]
RATES = ["producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate", "connection_creation_rate", "none", ""]
INDEXES, REPLICAS = [0, 0, 1, 2, 9, -1], [1, 1, 1, 2, -1]
ENTITIES = ["u", "a", None, "", "10.0.0.1"]
# What a field may be, by its name.
FIELDS = {
    "replicationfactor": [-1, 1, 1, 1, 2, 0], "numpartitions": [-1, 1, 1, 2, 0, -2], "count": [1, 2, 3, 4, 0, -1], "timeoutms": [9000, 9000, 9000, 0, -1],
    "partitionindex": INDEXES, "partitionindexes": INDEXES, "partitions": INDEXES, "brokerids": REPLICAS, "replicas": REPLICAS, "brokerid": [2, -1, 99],
    "electiontype": [0, 1, 0, 1, 9, -1], "responsepartitionlimit": [2000, 1, 2, 0, -1], "endpointtype": [1, 1, 2, 0, 3], "resourcetypes": [2, 4, 8, 16, 32, 0, 1, 64],
    "configoperation": [0, 0, 1, 2, 3], "feature": ["group.version", "transaction.version", "metadata.version", "eligible.leader.replicas.version", "none", ""],
    "maxversionlevel": [0, 1, 2, 3, 7, 26, 27, 28, -1], "upgradetype": [1, 1, 2, 3, 0, 4], "clusterid": [None, "x", ""], "voterid": [1, 2, -1], "host": ["localhost"], "port": [9],
    "entitytype": ["user", "client-id", "user", "client-id", "ip", "x", ""], "entityname": ENTITIES, "match": ENTITIES, "matchtype": [0, 1, 2, 3],
    "value": [1e9, 2e9, 1e10, 0.0, -1.0, 1e9 + 0.5, 1e19], "path": ["/none", "none", ""], "currentleaderepoch": [-1, 0, 1, 99], "leaderepoch": [-1, 0, 1, 99],
    "timestamp": [-1, -2, -3, -4, -5, -6, 0, 5], "offset": [-1, 0, 1, -2], "replicaid": [-1], "isolationlevel": [0, 1], "keytype": [0, 1, 9], "coordinatorkeys": ["g", "", "m1:0"],
    "groups": GROUPS, "groupids": GROUPS, "groupsnames": GROUPS, "groupid": GROUPS, "statesfilter": ["Stable", "empty", "x", ""], "typesfilter": ["classic", "Consumer", "x", ""],
    "transactionalids": ["none", "", conditions.LONGER], "topicid": [NIL, NOBODY, "id of m1", "id of m2"],
}
OFTEN = {
    "CreateTopics": 6, "CreatePartitions": 5, "DescribeConfigs": 4, "AlterConfigs": 5, "IncrementalAlterConfigs": 8, "ElectLeaders": 4, "AlterPartitionReassignments": 5,
    "ListPartitionReassignments": 3, "DescribeLogDirs": 2, "AlterReplicaLogDirs": 3, "DescribeQuorum": 2, "UpdateFeatures": 5, "DescribeCluster": 2, "UnregisterBroker": 1,
    "DescribeProducers": 2, "DescribeClientQuotas": 4, "AlterClientQuotas": 6, "ListConfigResources": 1, "AddRaftVoter": 2, "RemoveRaftVoter": 2, "DescribeTopicPartitions": 4,
    "Metadata": 4, "DeleteRecords": 4, "OffsetForLeaderEpoch": 4, "ListOffsets": 4, "FindCoordinator": 3, "DescribeGroups": 2, "ListGroups": 2, "ConsumerGroupDescribe": 2,
    "DeleteGroups": 2, "OffsetDelete": 2, "DescribeTransactions": 1,
}
# Keys whose defaults differ on purpose, or that name a port or a folder.
OWN = ("group.initial.rebalance.delay.ms", "listeners", "listener.security.protocol.map", "log.dir", "log.dirs", "process.roles")
EVERYTHING = [
    {"resourcetype": kind, "resourcename": name, "configurationkeys": None} for kind, name in ((2, "m1"), (4, "1"), (4, ""), (16, "cm4"), (32, "g4"))
]
CONFIGURING = ("AlterConfigs", "IncrementalAlterConfigs", "DescribeConfigs")


class Maker:
    """Makes requests from their schemas."""

    def __init__(self, schemas):
        self.schemas, self.random = schemas, random.Random(SEED)
        self.api = self.structs = self.kind = None

    def request(self, api, version):
        self.api, schema = api, self.schemas[api + "Request"]
        self.structs = {struct["name"]: struct["fields"] for struct in schema.get("commonStructs", [])}
        values = self.fields(schema["fields"], version)
        for name in ("validateonly", "allowautotopiccreation"):
            if name in values:
                values[name] = name == "validateonly"
        if api in ("AlterConfigs", "AddRaftVoter"):
            # Kafka does not answer a resource that comes twice.
            name = "resources" if api == "AlterConfigs" else "listeners"
            values[name] = values[name][:1]
        return values

    def fields(self, fields, version):
        return {field["name"].lower(): self.value(field, field["type"], version) for field in fields if within(version, field["versions"])}

    def value(self, field, kind, version):
        name, pick = field["name"].lower(), self.random.choice
        nullable = within(version, field.get("nullableVersions"))
        if nullable and self.random.random() < 0.15:
            return None
        if kind.startswith("[]"):
            element = {**field, "nullableVersions": None}
            return [self.value(element, kind[2:], version) for _ in range(pick([0, 1, 1, 1, 2, 2, 3]))]
        inner = field.get("fields") or self.structs.get(kind)
        if inner:
            return self.fields(inner, version)
        given = pick(self.choices(field, name, kind))
        return "" if given is None and not nullable else given

    def choices(self, field, name, kind):
        if self.api in CONFIGURING or "config" in field.get("about", "").lower():
            if name == "resourcetype":
                self.kind = self.random.choice(list(RESOURCES))
                return [self.kind]
            if name in ("resourcename", "name", "configurationkeys"):
                return RESOURCES[2 if self.api == "CreateTopics" else self.kind][name != "resourcename"]
            if name == "value":
                return VALUES
        if name == "name" and self.api == "AddRaftVoter":
            return ["CONTROLLER", "X"]
        if name == "key":
            return RATES if self.api == "AlterClientQuotas" else ["g", "", "m1:0"]
        return FIELDS.get(name) or {"string": TOPICS, "bool": [True, False], "uuid": [NIL, NOBODY]}.get(kind, [0])


def masked(api, value, ids, name=""):
    """Without words, places, times and the order of lists."""
    if isinstance(value, dict):
        return {key: masked(api, inner, ids, key) for key, inner in value.items() if not key.endswith("errormessage") and key != "documentation"}
    if isinstance(value, list):
        if name == "configs":
            value = [config for config in value if config["name"] not in OWN and not config["name"].startswith("milena.")]
        return sorted((masked(api, inner, ids) for inner in value), key=lambda item: json.dumps(item, sort_keys=True, default=repr))
    # The epoch of the controller is its own; those of partitions are told by both.
    is_own = name in admin.MASKED and name != "topicid" and (name != "leaderepoch" or api == "DescribeQuorum")
    if is_own or name in conditions.MASKED:
        return value if value in (None, -1, "") else "*"
    if name == "topicid" and value not in (NIL, NOBODY):
        return ids.get(value, "*")
    return value


def compare(schemas, brokers, served, meant):
    """The number of requests and what differs."""
    ids = [{f"id of {name}": topic_id for name, topic_id in made(broker, {"m1": 3, "m2": 1, "m3": 2}).items()} for broker in brokers]
    named = [{topic_id: text for text, topic_id in own.items()} for own in ids]
    maker, seen = Maker(schemas), {}
    apis = [api for api, weight in OFTEN.items() for _ in range(weight)]
    for asked in range(REQUESTS):
        api = maker.random.choice(apis)
        versions = list(served[0][schemas[api + "Request"]["apiKey"]])
        version = maker.random.choice(versions + versions[-1:] * 4)
        if (api, version) == ("UpdateFeatures", 0) or api == "Metadata" and version < 4:
            continue  # They can not but change something.
        values = maker.request(api, version)
        if api == "DescribeConfigs" and maker.random.random() < 0.5:
            values["resources"] = EVERYTHING
        kafka, milena = (broker.call(api, version, conditions.with_ids(values, own)) for broker, own in zip(brokers, ids))
        if has_failed(kafka):
            reason = "what makes Kafka fail is refused by its own code"
            meant[reason] = meant.get(reason, 0) + 1
            for broker in brokers:
                made(broker, {f"mixed-{asked}": 1})
            continue
        found = list(apart(masked(api, kafka, named[0]), masked(api, milena, named[1])))
        if found:
            shown = "".join(f"\n  {path}: Kafka {left!r:.400}, milena {right!r:.400}" for path, left, right in found[:8])
            seen.setdefault((api, shown), f"{api} v{version} {values!s:.600}{shown}")
    return REQUESTS, list(seen.values())
