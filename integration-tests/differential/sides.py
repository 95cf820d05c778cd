"""Scripts of requests that are sent to two brokers, and the traces that they leave.

A script is a function of a `Side`. It runs once against each broker, on its own connections, and may use what one answer
says (a member id, a producer id) in the next request. Each request and its answer go into the trace of the side, with ids
replaced by names and times by `*`, so that two traces can be compared entry by entry.
"""

import base64
import json
import re
import time

from batches import described
from wire import Connection, within

# Numbers that no two brokers share, wherever they are not a constant such as -1 or 0.
TIMES = {
    "throttletimems", "port", "logappendtimems", "transactionstarttimems", "transactionstarttime", "commitstamp", "coordinatorepoch",
}
TEXTS = {"host"}
# Counted by the broker over all scripts, which run at the same time: names are given in the order in which they are seen.
COUNTED = {"producerid": "producer", "v3andbelowproducerid": "producer", "sessionid": "session", "produceridfilters": "producer"}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Kafka keeps what these list in hash tables: any order is right.
UNORDERED = {
    "ConsumerGroupDescribe", "ConsumerGroupHeartbeat", "DeleteRecords", "DescribeGroups", "DescribeProducers", "DescribeTransactions", "ListGroups",
    "ListTransactions", "OffsetFetch", "Produce", "WriteTxnMarkers",
}
# What tells the elements of such a list apart, by which they are sorted.
KEYS = ("memberid", "groupid", "name", "topic", "topicid", "topicname", "partitionindex", "index", "groupinstanceid", "transactionalid")


class Side:
    """One broker, as one script sees it."""

    def __init__(self, schemas, port, served):
        self.schemas, self.port, self.served = schemas, port, served
        self.connections, self.trace = {}, []
        self.names, self.counted, self.ids = {}, {}, {}

    def on(self, name="main", client="compare"):
        return self.connections.setdefault(name, Connection(self.schemas, self.port, client))

    def versions(self, api, low=0):
        return [version for version in self.served[self.schemas[api + "Request"]["apiKey"]] if version >= low]

    def call(self, api, version, values, on="main", meant=None):
        """Asks, keeps both in the trace, and gives the answer as it is. `meant` is why it may differ."""
        self.send(api, version, values, on)
        return self.answer(api, version, values, on, meant)

    def send(self, api, version, values, on="main"):
        """Asks on a connection without waiting for the answer, which `answer` is to take."""
        self.on(on).send(api, version, in_version(self.schemas[api + "Request"], version, values))

    def answer(self, api, version, values, on="main", meant=None):
        answer = self.on(on).answer(api, version)
        request = in_version(self.schemas[api + "Request"], version, values)
        seen = {"Produce": wordless, "TxnOffsetCommit": wordless, "Fetch": regrouped}.get(api, lambda same: same)(answer)
        what = {"api": api, "version": version, "request": request}
        self.trace.append((self.masked(what), self.masked(seen, ordered=api not in UNORDERED), meant))
        return answer

    def note(self, what, answer, meant=None):
        self.trace.append((self.masked(what), self.masked(answer), meant))

    def quietly(self, api, version, values):
        """Asks what belongs to no trace."""
        return self.on("quiet").call(api, version, in_version(self.schemas[api + "Request"], version, values))

    def each(self, api, values, low=0, **given):
        """Asks in every version."""
        for version in self.versions(api, low):
            self.call(api, version, values, **given)

    def learn(self, value, name):
        """From now on this value is written as its name in the trace."""
        self.names[value] = f"<{name}>"
        return value

    def topic(self, name, partitions=1, **configs):
        """Creates a topic and gives its id when it can be written to."""
        settings = [{"name": key.replace("_", "."), "value": str(value)} for key, value in configs.items()]
        wanted = {"name": name, "numpartitions": partitions, "replicationfactor": 1, "configs": settings}
        made = self.quietly("CreateTopics", 7, {"topics": [wanted], "timeoutms": 9000})
        assert made["topics"][0]["errorcode"] == 0, made
        self.until(lambda: readable(self.quietly, name) == partitions)
        self.until(lambda: self.is_assigned(name))
        self.ids[name] = made["topics"][0]["topicid"]
        # As texts have it.
        self.learn(base64.urlsafe_b64encode(bytes.fromhex(self.ids[name])).decode().rstrip("="), name)
        return self.learn(self.ids[name], name)

    def is_assigned(self, name):
        """Whether the group coordinator knows the topic: Kafka tells it after all others."""
        member = {"groupid": f"is-{name}-there", "memberid": "asks", "memberepoch": 0, "subscribedtopicnames": [name]}
        join = {"rebalancetimeoutms": 60000, "topicpartitions": []}
        answer = self.quietly("ConsumerGroupHeartbeat", 0, member | join)
        self.quietly("ConsumerGroupHeartbeat", 0, member | {"memberepoch": -1})
        self.quietly("DeleteGroups", 2, {"groupsnames": [member["groupid"]]})
        return answer["errorcode"] == 0 and bool(answer["assignment"]["topicpartitions"])

    def until(self, condition, seconds=15):
        """Asks again and again until it is so. What was asked is not in the trace."""
        until(condition, seconds)

    def masked(self, value, name="", ordered=False):
        if isinstance(value, dict):
            return {key: self.masked(inner, key, ordered) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            items = [self.masked(inner, name, ordered) for inner in value]
            return items if ordered else sorted(items, key=order)
        if isinstance(value, bytes):
            return self.masked(described(value), ordered=True) if name == "records" else value.hex()
        if isinstance(value, str):
            return "*" if name in TEXTS and value else self.named(value)
        if name in COUNTED and isinstance(value, int) and value > 0:
            kind = COUNTED[name]
            names = self.counted.setdefault(kind, {})
            return names.setdefault(value, f"<{kind} {len(names) + 1}>")
        # The time of day, too, is told by no two; that of the records that are sent is before it.
        is_now = isinstance(value, int) and 1_750_000_000_000 < value < 10_000_000_000_000
        return "*" if is_now or name in TIMES and value not in (0, -1) else value

    def named(self, text):
        for value, name in self.names.items():
            text = text.replace(value, name)
        return UUID.sub("<id>", text)

    def close(self):
        for connection in self.connections.values():
            connection.close()


def until(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.02)


def readable(ask, name):
    """How many partitions of a topic can be read: Metadata names a leader before that is ready to serve."""
    wanted = {"topics": [{"name": name}], "allowautotopiccreation": False}
    indexes = [part["partitionindex"] for part in ask("Metadata", 9, wanted)["topics"][0]["partitions"]]
    parts = [{"partitionindex": index, "timestamp": -1} for index in indexes]
    answer = ask("ListOffsets", 1, {"replicaid": -1, "topics": [{"name": name, "partitions": parts}]})
    return sum(part["errorcode"] == 0 for topic in answer["topics"] for part in topic["partitions"])


def made(connection, topics):
    """Creates topics by their names and numbers of partitions, if they are not there; gives their ids when all can be read.

    Whatever the controller has decided before is known by then: a broker of Kafka learns of it after the answer. And there is
    a controller: that of Kafka steps down when a request makes it fail, and is back when it has elected itself.
    """
    wanted = [{"name": name, "numpartitions": count, "replicationfactor": 1} for name, count in topics.items()]

    def created():
        answer = connection.call("CreateTopics", 7, {"topics": wanted, "timeoutms": 9000})
        return answer not in ("closed", "silence") and all(topic["errorcode"] in (0, 36) for topic in answer["topics"])

    until(created, 60)
    for name, count in topics.items():
        until(lambda: readable(connection.call, name) == count, 60)
    asked = {"topics": [{"name": name} for name in topics], "allowautotopiccreation": False}
    return {topic["name"]: topic["topicid"] for topic in connection.call("Metadata", 12, asked)["topics"]}


def has_failed(answer):
    """Whether Kafka says that it has failed; if it was its controller, that has to be elected anew."""
    return '"errorcode": -1' in json.dumps(answer, default=repr)


def order(item):
    keys = [str(item.get(key)) for key in KEYS] if isinstance(item, dict) else []
    return keys, json.dumps(item, sort_keys=True, default=repr)


def wordless(value):
    """Without the texts, where milena says in its own words what is wrong, and Kafka mostly nothing.

    Whether Kafka says INVALID_TXN_STATE or TRANSACTION_ABORTABLE depends on what else it verifies at the same time.
    """
    if isinstance(value, dict):
        return {key: wordless(inner) for key, inner in value.items() if not key.endswith("errormessage")}
    if value == 120:
        return 48
    return [wordless(inner) for inner in value] if isinstance(value, list) else value


def regrouped(answer):
    """With every topic once: Kafka puts partitions that are not there before the others."""
    if answer in ("closed", "silence"):
        return answer
    topics = {}
    for topic in answer["responses"]:
        key = topic.get("topic", topic.get("topicid"))
        topics.setdefault(key, []).extend(topic["partitions"])
    return {**answer, "responses": [{"topic": key, "partitions": parts} for key, parts in topics.items()]}


def in_version(schema, version, values):
    """The values without those that this version does not have."""
    structs = {struct["name"]: struct["fields"] for struct in schema.get("commonStructs", [])}

    def kept(fields, values):
        by_name = {field["name"].lower(): field for field in fields}
        out = {}
        for name, value in values.items():
            field = by_name[name]
            if not within(version, field["versions"]):
                continue
            inner = field.get("fields") or structs.get(field["type"].removeprefix("[]"))
            if isinstance(value, list) and inner:
                value = [kept(inner, element) for element in value]
            out[name] = value
        return out

    return kept(schema["fields"], values)


def run(script, side):
    """The trace of a script. One that fails has failed in the trace, where it can be compared."""
    try:
        script(side)
    except Exception as error:
        at, last = error.__traceback__, None
        while at:
            last, at = (at.tb_lineno if at.tb_frame.f_code.co_name == script.__name__ else last), at.tb_next
        side.trace.append((f"failed in line {last}", f"{type(error).__name__}: {error}", None))
    side.close()
    return side.trace


def differences(name, ours, theirs, meant):
    """What differs between two traces; the same difference once, with the first request that showed it."""
    out, seen = [], {}
    for at, ((asked, kafka, reason), (also, milena, _)) in enumerate(zip(ours, theirs)):
        if asked != also:
            out.append(f"{name} {at}: the requests differ\n  Kafka:  {shown(asked)}\n  milena: {shown(also)}")
            break
        if str(asked).startswith("failed"):
            out.append(f"{name} {at}: {asked}: {kafka}")
        found = [] if kafka == milena else list(apart(kafka, milena))
        if found and reason is not None:
            meant[reason] = meant.get(reason, 0) + 1
        elif found:
            parts = "".join(f"\n  {path}: Kafka {shown(left)}, milena {shown(right)}" for path, left, right in found)
            seen.setdefault(parts, []).append((at, asked))
    for parts, asked in seen.items():
        others = "".join(f" {at}" for at, _ in asked[1:9])
        out.append(f"{name} {asked[0][0]}: {shown(asked[0][1])}{parts}" + (f"\n  {len(asked) - 1} more:{others}" if others else ""))
    if len(ours) != len(theirs):
        out.append(f"{name}: {len(ours)} answers of Kafka, {len(theirs)} of milena")
    return out


def apart(left, right, path=""):
    """The places where two values differ."""
    if isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        for key in left:
            yield from apart(left[key], right[key], f"{path}.{key}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (first, second) in enumerate(zip(left, right)):
            yield from apart(first, second, f"{path}[{index}]")
    elif left != right:
        yield path, left, right


def shown(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) < 1000 else f"{text[:600]} ... {text[-300:]}"
