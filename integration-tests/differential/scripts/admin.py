"""Requests of administrators, one by one, each in every version; nothing of one answer is needed for the next request."""

import json

from sides import has_failed, in_version, made

# Fields whose values no two brokers share.
MASKED = {
    "throttletimems", "finalizedfeaturesepoch", "clusterid", "host", "port", "highwatermark", "logendoffset",
    "lastfetchtimestamp", "lastcaughtuptimestamp", "leaderepoch", "topicid", "memberid",
}
NIL = "0" * 32


def known(api, values, kafka, milena):
    """Why two different answers are both right, or None."""
    if api == "UpdateFeatures":
        features = {update["feature"] for update in values["featureupdates"]}
        if "kraft.version" in features:
            return "the voters of one node never change"
        if "share.version" in features:
            return "share groups are not served"
    if api == "CreatePartitions" and values["topics"][0]["count"] == 20000:
        return "a request that is too large is told so"
    if api == "AlterClientQuotas" and '"value": NaN' in json.dumps(values):
        return "NaN is no quota"
    return None


def masked(value, name=""):
    if isinstance(value, dict):
        return {key: masked(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        items = [masked(inner) for inner in value]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True, default=repr))
    if name in MASKED and value not in (None, -1, NIL, ""):
        return "*"
    if name == "errormessage" and isinstance(value, str) and "cluster id" in value:
        return value.split("doesn't match")[0]
    return value


def elections(schema):
    for kind in (0, 1, 9):
        parts = [{"topic": "t1", "partitions": [0, 1, 7]}, {"topic": "none", "partitions": [0]}]
        for wanted in (None, [], parts, [{"topic": "t2", "partitions": []}]):
            # A broker that does not know the election refuses all partitions, which it first has to find.
            if wanted is not None or kind != 9:
                yield "ElectLeaders", {"electiontype": kind, "topicpartitions": wanted}


def reassignments(schema):
    yield "AlterPartitionReassignments", {"topics": []}
    for replicas in ([1], None, [], [2], [1, 1], [-1], [1, 2]):
        partitions = [{"partitionindex": index, "replicas": replicas} for index in (0, 9)]
        topics = [{"name": name, "partitions": partitions} for name in ("t1", "none")]
        yield "AlterPartitionReassignments", {"topics": topics}
    for topics in (None, [], [{"name": "t1", "partitionindexes": [0, 9]}], [{"name": "none", "partitionindexes": [0]}]):
        yield "ListPartitionReassignments", {"topics": topics}


def quorum(schema):
    for topic, indexes in (("__cluster_metadata", [0]), ("__cluster_metadata", [1]), ("__cluster_metadata", [0, 1]),
                           ("__cluster_metadata", []), ("t1", [0])):
        partitions = [{"partitionindex": index} for index in indexes]
        yield "DescribeQuorum", {"topics": [{"topicname": topic, "partitions": partitions}]}
    yield "DescribeQuorum", {"topics": []}
    for broker in (7, -1):
        yield "UnregisterBroker", {"brokerid": broker}
    some = "1" * 32
    listener = [{"name": "CONTROLLER", "host": "localhost", "port": 9}]
    other = [{"name": "X", "host": "localhost", "port": 9}]
    for cluster, voter, directory, listeners in (("x", 2, some, listener), (None, 2, NIL, listener),
                                                 (None, 2, some, listener), (None, 1, some, other), (None, 2, some, [])):
        values = {"clusterid": cluster, "voterid": voter, "voterdirectoryid": directory}
        yield "AddRaftVoter", {**values, "listeners": listeners}
        yield "RemoveRaftVoter", values


def features(schema):
    def update(feature, level, kind):
        return {"feature": feature, "maxversionlevel": level, "upgradetype": kind, "allowdowngrade": kind != 1}

    yield "UpdateFeatures", {"featureupdates": []}
    names = ("metadata.version", "group.version", "transaction.version", "eligible.leader.replicas.version",
             "kraft.version", "share.version", "streams.version", "none", "")
    for name in names:
        for level in (-1, 0, 1, 2, 3, 6, 7, 20, 22, 23, 26, 27, 28):
            for kind in (0, 1, 2, 3):
                yield "UpdateFeatures", {"featureupdates": [update(name, level, kind)], "validateonly": True}


def quotas(schema):
    rate = "producer_byte_rate"

    def alter(parts, operations, only=False):
        entity = [{"entitytype": kind, "entityname": name} for kind, name in parts]
        ops = [{"key": key, "value": float(value or 0), "remove": value is None} for key, value in operations]
        return "AlterClientQuotas", {"entries": [{"entity": entity, "ops": ops}], "validateonly": only}

    user, client = [("user", "u")], [("client-id", "a")]
    sets = [
        (client, [(rate, 1e9), ("consumer_byte_rate", 2e9)]), ([("client-id", None)], [(rate, 5e9)]),
        (user, [("request_percentage", 1500.5)]), ([("user", None)], [("controller_mutation_rate", 3000.5)]),
        (user + client, [(rate, 7e9)]), ([("user", None), ("client-id", None)], [(rate, 8e9)]),
        ([("ip", "10.0.0.1")], [("connection_creation_rate", 1000)]), ([("ip", None)], [("connection_creation_rate", 1100)]),
    ]
    for parts, operations in sets:
        yield alter(parts, operations, True)
        yield alter(parts, operations)
    z = [("client-id", "z")]
    for value in (0, -1, 1.5, 1e19, float("nan")):
        yield alter(z, [(rate, value)])
    for parts, operations in (
        (z, [("none", 10)]), (z, [("none", None)]), (z, []), (z, [(rate, 5), (rate, 6)]), ([], [(rate, 1)]),
        ([("x", "y")], [(rate, 1)]), ([("user", "")], [(rate, 1)]), ([("ip", "10.0.0.1")], [(rate, 1)]),
        ([("ip", "10.0.0.1")], [("connection_creation_rate", 3e9)]), ([("ip", None)] + user, [("connection_creation_rate", 1)]),
    ):
        yield alter(parts, operations)
    yield alter(z, [(rate, None)])
    for strict in (False, True):
        for components in (
            [], [("user", 0, "u")], [("client-id", 0, "a")], [("user", 1, None)], [("user", 2, None)], [("client-id", 2, None)],
            [("user", 2, None), ("client-id", 2, None)], [("ip", 2, None)], [("user", 0, "nobody")], [("", 0, "u")],
            [("x", 0, "u")], [("user", 0, None)], [("user", 1, "x")], [("user", 2, "x")], [("user", 3, None)],
            [("user", 0, "u"), ("user", 2, None)], [("ip", 2, None), ("user", 2, None)],
        ):
            filters = [{"entitytype": kind, "matchtype": how, "match": name} for kind, how, name in components]
            yield "DescribeClientQuotas", {"components": filters, "strict": strict}
    for parts, operations in sets:
        yield alter(parts, [(key, None) for key, _ in operations])


def topics(schema):
    def create(name, partitions=1, factor=1, assignments=(), configs=()):
        assigned = [{"partitionindex": index, "brokerids": ids} for index, ids in assignments]
        settings = [{"name": key, "value": value} for key, value in configs]
        topic = {"name": name, "numpartitions": partitions, "replicationfactor": factor, "assignments": assigned}
        return "CreateTopics", {"topics": [{**topic, "configs": settings}], "timeoutms": 9000, "validateonly": True}

    for name in ("t1", "", ".", "..", "a/b", "x" * 250, "t.1", "t_1", "__cluster_metadata"):
        yield create(name)
    for partitions, factor in ((0, 1), (-2, 1), (1, 0), (1, 2), (1, -2), (-1, -1), (10001, 1)):
        yield create("new", partitions, factor)
    for assignments in ([(0, [1])], [(0, [])], [(0, [2])], [(0, [1, 1])], [(1, [1])], [(0, [1]), (0, [1])], [(0, [1]), (2, [1])]):
        yield create("new", -1, -1, assignments)
        yield create("new", 1, 1, assignments)
    for key, value in (("none", "1"), ("retention.ms", "x"), ("retention.ms", "-2"), ("cleanup.policy", "none"), ("segment.bytes", None)):
        yield create("new", configs=[(key, value)])
    for count, assignments in ((1, None), (2, None), (3, None), (0, None), (-1, None), (3, [[1]]), (3, [[2]]), (3, [[]]), (3, [[1], [1]]),
                               (3, []), (20000, None)):
        wanted = None if assignments is None else [{"brokerids": ids} for ids in assignments]
        for name in ("t1", "none"):
            topic = {"name": name, "count": count, "assignments": wanted}
            yield "CreatePartitions", {"topics": [topic], "timeoutms": 9000, "validateonly": True}


def compare(schemas, brokers, served, meant):
    """The number of requests and what differs. The topics are those of these scripts alone."""
    for broker in brokers:
        made(broker, {"t1": 2, "t2": 1})
    asked, differences, last = 0, [], None
    for script in (topics, elections, reassignments, quorum, features, quotas):
        for api, values in script(schemas):
            schema = schemas[api + "Request"]
            key = schema["apiKey"]
            if api != last:
                for broker in brokers:
                    made(broker, {f"before-{asked}": 1})
            last = api
            if list(served[0][key]) != list(served[1].get(key, [])):
                differences.append(f"{api}: Kafka serves {served[0][key]}, milena {served[1].get(key)}")
            for version in served[0][key]:
                fitting = in_version(schema, version, values)
                answers = [broker.call(api, version, fitting) for broker in brokers]
                asked += 1
                if has_failed(answers[0]):
                    for broker in brokers:
                        made(broker, {f"after-{asked}": 1})
                if masked(answers[0]) == masked(answers[1]):
                    continue
                reason = known(api, fitting, *answers)
                if reason is None:
                    differences.append(f"{api} v{version} {fitting}\n  Kafka:  {answers[0]}\n  milena: {answers[1]}")
                else:
                    meant[reason] = meant.get(reason, 0) + 1
    return asked, differences
