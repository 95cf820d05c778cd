"""Transactions: of clients of before and after KIP-890, their ends, their fences, and what is read of them."""

from batches import CONTROL, TRANSACTIONAL, batch, records
from scripts.classic import Member
from scripts.commits import commit_values, fetch_values, part
from scripts.produce import FAILS
from scripts.produce import values as produce_values

OLD, NEW = "of before KIP-890", "of KIP-890"
# An id that no producer has.
UNKNOWN = 987654321


class Producer:
    """A transactional producer: its id and its epoch, and the versions of the requests that it speaks."""

    def __init__(self, side, transactional_id, kind=NEW, timeout=60000):
        self.side, self.name, self.kind, self.timeout = side, transactional_id, kind, timeout
        self.id, self.epoch, self.sequences = -1, -1, {}

    def version(self, old, new):
        return old if self.kind == OLD else new

    def begin(self, version=5, **more):
        """InitProducerId."""
        values = {"transactionalid": self.name, "transactiontimeoutms": self.timeout, **more}
        answer = self.side.call("InitProducerId", version, values)
        if answer["errorcode"] == 0:
            self.id, self.epoch, self.sequences = answer["producerid"], answer["producerepoch"], {}
        return answer

    def identity(self, **more):
        return {"producerid": self.id, "producerepoch": self.epoch, **more}

    def produce(self, topic, index=0, count=2, version=None, sequence=None, attributes=TRANSACTIONAL, name="", meant=None, **more):
        identity = self.identity(**more)
        place = (topic, index)
        sequence = self.sequences.get(place, 0) if sequence is None else sequence
        data = batch(records(count), attributes=attributes, producer=identity["producerid"], epoch=identity["producerepoch"], sequence=sequence)
        values = produce_values(self.side, [(topic, index, data)], transactional=self.name if name == "" else name)
        answer = self.side.call("Produce", self.version(11, 12) if version is None else version, values, meant=meant)
        if answer["responses"] and answer["responses"][0]["partitionresponses"][0]["errorcode"] == 0:
            self.sequences[place] = sequence + count
        return answer

    def add(self, topics, version=3, **more):
        identity = self.identity(**more)
        named = [{"name": name, "partitions": indexes} for name, indexes in topics]
        return self.side.call("AddPartitionsToTxn", version, {
            "v3andbelowtransactionalid": self.name, "v3andbelowproducerid": identity["producerid"],
            "v3andbelowproducerepoch": identity["producerepoch"], "v3andbelowtopics": named,
        })

    def verify(self, topics, version=5, only=True, **more):
        named = [{"name": name, "partitions": indexes} for name, indexes in topics]
        one = {"transactionalid": self.name, **self.identity(**more), "verifyonly": only, "topics": named}
        return self.side.call("AddPartitionsToTxn", version, {"transactions": [one]})

    def offsets(self, group, version=None, **more):
        return self.side.call("AddOffsetsToTxn", self.version(3, 4) if version is None else version,
                              {"transactionalid": self.name, "groupid": group, **self.identity(**more)})

    def commit_offsets(self, group, topics, version=None, **more):
        named = [{"name": name, "partitions": parts} for name, parts in topics]
        values = {"transactionalid": self.name, "groupid": group, **self.identity(), "topics": named, **more}
        return self.side.call("TxnOffsetCommit", self.version(4, 5) if version is None else version, values)

    def end(self, committed=True, version=None, **more):
        version = self.version(4, 5) if version is None else version
        answer = self.side.call("EndTxn", version, {"transactionalid": self.name, "committed": committed, **self.identity(**more)})
        if version > 4 and answer["errorcode"] == 0:
            self.id, self.epoch = answer["producerid"], answer["producerepoch"]
            if not more:
                self.sequences = {}
        self.side.until(lambda: state_of(self.side, self.name) not in ("PrepareCommit", "PrepareAbort"))
        return answer


def state_of(side, name):
    return side.quietly("DescribeTransactions", 0, {"transactionalids": [name]})["transactionstates"][0]["transactionstate"]


def look(side, *producers):
    side.call("DescribeTransactions", 0, {"transactionalids": [producer.name for producer in producers]})


def read(side, topic, *indexes):
    """What both kinds of readers get, where they end, and who writes."""
    for index in indexes or (0,):
        for isolation in (0, 1):
            wanted = {"topic": topic, "partitions": [{"partition": index, "fetchoffset": 0, "partitionmaxbytes": 1 << 20}]}
            side.call("Fetch", 11, {"maxwaitms": 0, "minbytes": 1, "maxbytes": 1 << 22, "isolationlevel": isolation, "topics": [wanted]})
            asked = [{"name": topic, "partitions": [{"partitionindex": index, "timestamp": -1}]}]
            side.call("ListOffsets", 9, {"replicaid": -1, "isolationlevel": isolation, "topics": asked})
    side.call("DescribeProducers", 0, {"topics": [{"name": topic, "partitionindexes": list(indexes or (0,))}]})


def ways(side):
    """Transactions that commit and abort, of both kinds of clients, one after the other."""
    for kind in (OLD, NEW):
        topic = "ways-" + ("old" if kind == OLD else "new")
        side.topic(topic, 3)
        producer = Producer(side, topic, kind)
        producer.begin(), look(side, producer)
        for committed in (True, False, False, True):
            if kind == OLD:
                producer.add([(topic, [0, 1])]), producer.add([(topic, [0])])
            producer.produce(topic), producer.produce(topic), producer.produce(topic, 1), look(side, producer), read(side, topic)
            producer.offsets(f"{topic}-group"), look(side, producer)
            producer.commit_offsets(f"{topic}-group", [(topic, [part(0), part(1, 7)])])
            for version in (7, 9):
                for stable in (False, True):
                    side.call("OffsetFetch", version, fetch_values(side, f"{topic}-group", [(topic, [0, 1])], requirestable=stable))
            side.call("OffsetDelete", 0, {"groupid": f"{topic}-group", "topics": [{"name": topic, "partitions": [{"partitionindex": 0}]}]})
            producer.end(committed), look(side, producer), read(side, topic, 0, 1)
            side.until(lambda: pending(side, f"{topic}-group", topic) == 0)
            side.call("OffsetFetch", 9, fetch_values(side, f"{topic}-group", [(topic, [0, 1])], requirestable=True))
        producer.end(True), producer.end(False), look(side, producer)
        side.call("DeleteGroups", 2, {"groupsnames": [f"{topic}-group"]})


def pending(side, group, topic):
    answer = side.quietly("OffsetFetch", 7, {"groupid": group, "topics": [{"name": topic, "partitionindexes": [0]}], "requirestable": True})
    return answer["topics"][0]["partitions"][0]["errorcode"]


def without(side):
    """What belongs to no transaction."""
    side.topic("without", 2)
    for kind in (OLD, NEW):
        producer = Producer(side, "without-" + kind, kind)
        producer.produce("without", producerid=UNKNOWN, producerepoch=0), producer.add([("without", [0])], producerid=UNKNOWN, producerepoch=0)
        producer.end(True, producerid=UNKNOWN, producerepoch=0), producer.offsets("g", producerid=UNKNOWN, producerepoch=0), producer.begin()
        for version in side.versions("Produce", 3):
            if version < 12 or kind == NEW:
                producer.produce("without", version=version, name=None), producer.produce("without", version=version, attributes=0)
                producer.produce("without", version=version, name="another"), producer.produce("without", version=version, name="")
                producer.produce("without", version=version, attributes=TRANSACTIONAL | CONTROL)
        producer.produce("without", sequence=5), producer.produce("without", 1), look(side, producer)
        producer.commit_offsets("without-group", [("without", [part()])]), look(side, producer)
        producer.end(True), producer.end(True), producer.end(False), look(side, producer)
    read(side, "without", 0, 1)


def identities(side):
    """Wrong ids, wrong epochs, empty names, in every version."""
    side.topic("identities")
    producer = Producer(side, "identities")
    producer.begin()
    wrong = [{}, {"producerid": UNKNOWN}, {"producerepoch": 7}, {"producerepoch": -1}, {"producerid": -1}]
    for more in wrong:
        for version in range(4):
            producer.add([("identities", [0])], version, **more)
        for version in (4, 5):
            producer.verify([("identities", [0])], version, **more), producer.verify([("identities", [0])], version, False, **more)
        for version in side.versions("AddOffsetsToTxn"):
            producer.offsets("identities-group", version, **more), producer.offsets("", version, **more)
        for version in side.versions("TxnOffsetCommit"):
            identity = producer.identity(**more)
            producer.commit_offsets("identities-group", [("identities", [part()]), ("none", [part()])], version, **identity)
        for version in side.versions("EndTxn"):
            if more:
                producer.end(True, version, **more)
        for topics in ([("none", [0])], [("identities", [0]), ("none", [0])], [("identities", [9])], [], [("__consumer_offsets", [0])]):
            producer.add(topics, **more), producer.verify(topics, **more)
    look(side, producer), producer.end(False), look(side, producer)
    empty = Producer(side, "")
    empty.id, empty.epoch = producer.id, producer.epoch
    empty.begin(), empty.add([("identities", [0])]), empty.offsets("g"), empty.end(True), look(side, empty, producer)
    for version in side.versions("InitProducerId"):
        for timeout in (0, -1, 1, 900000, 900001):
            values = {"transactionalid": f"timeout-{timeout}", "transactiontimeoutms": timeout}
            side.call("InitProducerId", version, values)
    for version in side.versions("TxnOffsetCommit"):
        for more in ({}, {"generationid": 5, "memberid": "nobody"}, {"generationid": -1, "memberid": "x"}, {"groupinstanceid": "i"}):
            producer.commit_offsets("unknown", [("identities", [part()])], version, **more)


def fences(side):
    """A second producer with the same name, the first one afterwards, and epochs that are given back."""
    for kind in (OLD, NEW):
        topic = "fences-" + ("old" if kind == OLD else "new")
        side.topic(topic)
        first, second = Producer(side, topic, kind), Producer(side, topic, kind)
        first.begin()
        if kind == OLD:
            first.add([(topic, [0])])
        first.produce(topic), look(side, first)
        # An open transaction is aborted first; Kafka says meanwhile that it is busy with it.
        side.until(lambda: quiet_begin(second) == 0)
        look(side, first), read(side, topic)
        first.produce(topic), first.add([(topic, [0])]), first.end(True), first.offsets("g"), first.commit_offsets("g", [(topic, [part()])])
        first.begin(4, producerid=first.id, producerepoch=first.epoch), look(side, second)
        if kind == OLD:
            second.add([(topic, [0])])
        second.produce(topic), second.produce(topic, producerepoch=second.epoch + 1), second.end(True), read(side, topic)
        for version in (3, 4, 5):
            epoch = second.epoch
            second.begin(version, producerid=second.id, producerepoch=epoch), second.begin(version, producerid=second.id, producerepoch=epoch)
            second.begin(version, producerid=second.id, producerepoch=epoch - 1), second.begin(version, producerid=UNKNOWN, producerepoch=epoch)
            second.begin(version, producerid=-1, producerepoch=3), second.begin(version, producerid=second.id, producerepoch=-1)
        look(side, second), read(side, topic)


def quiet_begin(producer):
    """InitProducerId until it is not told to wait; what it was told last is in the trace."""
    values = {"transactionalid": producer.name, "transactiontimeoutms": producer.timeout}
    answer = producer.side.quietly("InitProducerId", 5, values)
    if answer["errorcode"] == 0:
        producer.id, producer.epoch = answer["producerid"], answer["producerepoch"]
        producer.side.note("the second producer", answer)
    return answer["errorcode"]


def with_groups(side):
    """Offsets of members within transactions."""
    side.topic("grouped", 2)
    for kind in (OLD, NEW):
        for version in (3, 4, 5) if kind == NEW else (3, 4):
            group = f"grouped-{version}-" + ("old" if kind == OLD else "new")
            producer, member = Producer(side, group, kind), Member(side, group, "a", 5, instance="i")
            producer.begin(), member.join(), member.sync([(member, b"")])
            if version < 5:
                producer.offsets(group)
            mine = {"generationid": member.generation, "memberid": member.id, "groupinstanceid": "i"}
            for more in ({}, {"generationid": 99}, {"memberid": "nobody"}, {"groupinstanceid": "x"}, {"groupinstanceid": None},
                         {"generationid": -1, "memberid": "", "groupinstanceid": None}, {"generationid": -1}, {"memberid": ""}):
                producer.commit_offsets(group, [("grouped", [part(), part(1)]), ("none", [part()])], version, **{**mine, **more})
            side.call("OffsetCommit", 9, commit_values(side, group, [("grouped", [part(0, 77)])], member.generation, member.id, groupinstanceid="i"))
            member.leave(), side.call("DeleteGroups", 2, {"groupsnames": [group]})
            side.call("OffsetFetch", 9, fetch_values(side, group, None, requirestable=True))
            producer.end(True)
            side.until(lambda: pending(side, group, "grouped") == 0)
            side.call("OffsetFetch", 9, fetch_values(side, group, None, requirestable=True)), look(side, producer)


def timeouts(side):
    """A transaction that takes too long is aborted, and its producer is fenced."""
    side.topic("slow")
    for kind in (OLD, NEW):
        producer = Producer(side, "slow-" + ("old" if kind == OLD else "new"), kind, timeout=300)
        producer.begin()
        if kind == OLD:
            producer.add([("slow", [0])])
        producer.produce("slow")
        side.until(lambda: state_of(side, producer.name) == "CompleteAbort", 30)
        look(side, producer), producer.produce("slow"), producer.add([("slow", [0])]), producer.end(True), producer.end(False)
        producer.begin(4, producerid=producer.id, producerepoch=producer.epoch), look(side, producer)
    read(side, "slow")


def listings(side):
    """ListTransactions with every filter."""
    side.topic("listed")
    producers = [Producer(side, f"listed-{number}") for number in range(4)]
    for producer in producers:
        producer.begin()
    producers[1].produce("listed"), producers[2].produce("listed"), producers[2].end(True), producers[3].produce("listed"), producers[3].end(False)

    def listed(version, **filters):
        answer = side.quietly("ListTransactions", version, filters)
        answer["transactionstates"] = [state for state in answer["transactionstates"] if state["transactionalid"].startswith("listed")]
        side.note({"ListTransactions": version, **filters}, answer)

    for version in side.versions("ListTransactions"):
        listed(version)
        for states in (["Ongoing"], ["ongoing"], ["CompleteCommit", "CompleteAbort"], ["Empty", "none"], ["Dead"], ["PrepareEpochFence"], [""]):
            listed(version, statefilters=states)
        for chosen in ([producers[0]], producers[1:3], producers):
            listed(version, produceridfilters=[producer.id for producer in chosen])
        listed(version, produceridfilters=[-1]), listed(version, produceridfilters=[producers[1].id], statefilters=["Empty"])
        if version > 0:
            listed(version, durationfilter=0), listed(version, durationfilter=1 << 40), listed(version, durationfilter=-5)
        if version > 1:
            for pattern in ("listed-.*", "listed-[01]", "listed", "", ".*", "none", "listed-1|listed-2"):
                listed(version, transactionalidpattern=pattern)
    for names in ([], ["none"], ["listed-1", "none", "listed-1"], [""]):
        side.call("DescribeTransactions", 0, {"transactionalids": names})
    side.call("DescribeProducers", 0, {"topics": [{"name": "listed", "partitionindexes": [0, 5, 0]}, {"name": "none", "partitionindexes": [0]}]})
    side.call("DescribeProducers", 0, {"topics": []}), side.call("DescribeProducers", 0, {"topics": [{"name": "", "partitionindexes": [0]}]})


def markers(side):
    """WriteTxnMarkers, as coordinators send them."""
    side.topic("marked", 2)
    producer = Producer(side, "marked")
    producer.begin(), producer.produce("marked")
    marker = {"producerid": producer.id, "producerepoch": producer.epoch, "coordinatorepoch": 0, "transactionresult": True,
              "topics": [{"name": "marked", "partitionindexes": [0]}]}

    def write(*changes, meant=None):
        side.call("WriteTxnMarkers", 1, {"markers": [{**marker, **change} for change in changes]}, meant=meant)

    write({"topics": [{"name": "none", "partitionindexes": [0]}, {"name": "marked", "partitionindexes": [9]}]})
    write({"producerepoch": -1}, meant=FAILS), write({"producerid": UNKNOWN}), write({"coordinatorepoch": -1}), read(side, "marked")
    write({"producerepoch": producer.epoch + 1, "transactionresult": False, "coordinatorepoch": 3}), read(side, "marked")
    write({"coordinatorepoch": 1}), write({"coordinatorepoch": 3}), write({"producerepoch": 0, "coordinatorepoch": 3}), read(side, "marked")
    write({"topics": [{"name": "marked", "partitionindexes": [0, 1]}], "producerepoch": 9, "coordinatorepoch": 4}, {"producerepoch": 8}), write()
    write({"topics": []}), read(side, "marked", 0, 1)


SCRIPTS = [ways, without, identities, fences, with_groups, timeouts, listings, markers]
