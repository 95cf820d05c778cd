"""Fetch, with and without sessions, and the lookups: ListOffsets, OffsetForLeaderEpoch, DeleteRecords."""

import batches
from batches import TIME, batch, record, records
from scripts.produce import FAILS, produce


def filled(side, name, partitions=1, batches_in=6, **configs):
    """A topic with batches of two records each, of growing time."""
    side.topic(name, partitions, **configs)
    for index in range(partitions):
        for at in range(batches_in):
            data = batch([record(0, value=b"a" * 20), record(1, 5, value=b"b" * 20)], first_time=TIME + 100 * at, max_time=TIME + 100 * at + 5)
            assert side.quietly("Produce", 9, one(name, index, data))["responses"][0]["partitionresponses"][0]["errorcode"] == 0


def one(name, index, data):
    return {"acks": -1, "timeoutms": 5000, "topicdata": [{"name": name, "partitiondata": [{"index": index, "records": data}]}]}


def part(index=0, offset=0, limit=1 << 20, **more):
    return {"partition": index, "fetchoffset": offset, "partitionmaxbytes": limit, **more}


def request(side, topics, limit=1 << 22, **more):
    """`topics` are names with their partitions. None of these requests waits."""
    wanted = [{"topic": name, "topicid": side.ids.get(name, "f" * 32), "partitions": parts} for name, parts in topics]
    return {"maxwaitms": 0, "minbytes": 1, "maxbytes": limit, "topics": wanted, **more}


def plain(side):
    filled(side, "plain-fetch", 2)
    side.topic("hollow")
    names = [("plain-fetch", offset) for offset in (0, 1, 2, 11, 12, 13, -1, -2, 1 << 40, -(1 << 40))] + [("hollow", 0), ("hollow", 1)]
    for version in (4, 5, 7, 9, 11, 12, 13, 16, 18):
        for name, offset in names:
            for isolation in (0, 1):
                side.call("Fetch", version, request(side, [(name, [part(offset=offset)])], isolationlevel=isolation))
        for limit in (0, 1, 61, 100, 250, 1 << 20, -1):
            meant = FAILS if limit < 0 else None
            side.call("Fetch", version, request(side, [("plain-fetch", [part(limit=limit)])]), meant=meant)
            side.call("Fetch", version, request(side, [("plain-fetch", [part(), part(1)])], limit), meant=meant)
            wanted = [("plain-fetch", [part(0, 4, limit), part(1, 12), part(1, 6)]), ("hollow", [part()])]
            side.call("Fetch", version, request(side, wanted), meant=meant)
        for epoch in (-1, 0, 1, 7, -2):
            side.call("Fetch", version, request(side, [("plain-fetch", [part(currentleaderepoch=epoch)])]))
            side.call("Fetch", version, request(side, [("plain-fetch", [part(offset=9, lastfetchedepoch=epoch)])]))
            side.call("Fetch", version, request(side, [("plain-fetch", [part(offset=50, lastfetchedepoch=epoch)])]))
            side.call("Fetch", version, request(side, [("none", [part(currentleaderepoch=epoch)])]))
        for topics in (
            [], [("none", [part()])], [("plain-fetch", [part(2)])], [("plain-fetch", [part(-1)])], [("plain-fetch", [])], [("", [part()])],
            [("plain-fetch", [part(), part()])], [("plain-fetch", [part()]), ("plain-fetch", [part(1)])],
            [("none", [part()]), ("plain-fetch", [part()]), ("none", [part(1)])], [("__consumer_offsets", [part(99)])],
        ):
            side.call("Fetch", version, request(side, topics))
        for more in ({"clusterid": "other"}, {"rackid": "here"}, {"isolationlevel": 2}, {"isolationlevel": -1}, {"replicaid": -2}, {"minbytes": -1}, {"maxwaitms": -1}):
            meant = FAILS if "isolationlevel" in more else None
            side.call("Fetch", version, request(side, [("plain-fetch", [part()])], **more), meant=meant)


def as_replica(side):
    """What says that it is a replica."""
    filled(side, "replicated")
    for version in side.versions("Fetch", 4):
        for replica in (1, 2):
            more = {"replicaid": replica, "replicastate": {"replicaid": replica, "replicaepoch": 1}}
            side.call("Fetch", version, request(side, [("replicated", [part()])], **more), meant="who says to be a replica is served as a consumer")


def sessions(side):
    """Full, incremental and refused requests of sessions."""
    filled(side, "sessions", 3)
    side.topic("quiet")

    def ask(version, number, epoch, topics=(), forgotten=(), **more):
        gone = [{"topic": name, "topicid": side.ids.get(name, "f" * 32), "partitions": indexes} for name, indexes in forgotten]
        more = {"sessionid": number, "sessionepoch": epoch, "forgottentopicsdata": gone, **more}
        answer = side.call("Fetch", version, request(side, list(topics), **more))
        return answer.get("sessionid", 0)

    for version in side.versions("Fetch", 7):
        every = [("sessions", [part(0), part(1), part(2)]), ("quiet", [part()])]
        ask(version, 0, -1, every), ask(version, 0, 5, every), ask(version, 12345, 1), ask(version, 12345, -1, every), ask(version, -1, 0, every)
        number = ask(version, 0, 0, every)
        ask(version, number, 1), ask(version, number, 2, [("sessions", [part(1, 12)])]), ask(version, number, 3)
        ask(version, number, 3), ask(version, number, 9), ask(version, number, 4, forgotten=[("sessions", [0])])
        ask(version, number, 5, [("sessions", [part(0, 2)])]), ask(version, number, 6, [("sessions", [part(2, 99)])]), ask(version, number, 7)
        ask(version, number, 8, [("none", [part()]), ("sessions", [part(7)])]), ask(version, number, 9)
        ask(version, number, 10, forgotten=[("none", [0]), ("sessions", [7, 0, 1])]), ask(version, number, 11)
        ask(version, number, 12, [("sessions", [part(2, 12)])], [("sessions", [2])]), ask(version, number, 13)
        ask(version, number, 14, [("sessions", [part(1)])], [("quiet", [0])]), ask(version, number, 15, every, [("sessions", [0, 1, 2]), ("quiet", [0])])
        ask(version, number, 16), ask(version, number, 17, [("sessions", [part(0, currentleaderepoch=9)])])
        ask(version, number, -1), ask(version, number, 18)
        number = ask(version, 0, 0, [("quiet", [part()])])
        ask(version, number, 1), produce(side, 9, "quiet", batch()), ask(version, number, 2), ask(version, number, 3)
        ask(version, number, 4, [("quiet", [part(0, 1)])]), ask(version, number, 0, every), ask(version, number, 5)
        ask(version, 0, 0, []), ask(version, 0, 0, [("none", [part()])])
        side.quietly("DeleteRecords", 2, {"topics": [{"name": "quiet", "partitions": [{"partitionindex": 0, "offset": -1}]}], "timeoutms": 5000})
        side.call("Fetch", version, request(side, [("quiet", [part()])]))


def recreated(side):
    """A session whose topic is deleted and made again."""
    for version in (12, 13, 18):
        name = f"again-{version}"
        filled(side, name, batches_in=1)
        first = side.call("Fetch", version, request(side, [(name, [part()])], sessionepoch=0))["sessionid"]
        old = side.ids[name]
        side.quietly("DeleteTopics", 4, {"topicnames": [name], "timeoutms": 9000})
        side.until(lambda: side.quietly("Metadata", 9, {"topics": [{"name": name}], "allowautotopiccreation": False})["topics"][0]["errorcode"] != 0)
        side.learn(old, f"{name} that was")
        side.call("Fetch", version, {"maxwaitms": 0, "minbytes": 1, "maxbytes": 9999, "sessionid": first, "sessionepoch": 1})
        filled(side, name, batches_in=2)
        for epoch in (2, 3):
            side.call("Fetch", version, {"maxwaitms": 0, "minbytes": 1, "maxbytes": 9999, "sessionid": first, "sessionepoch": epoch})
        wanted = [{"topic": name, "topicid": old, "partitions": [part()]}]
        side.call("Fetch", version, {"maxwaitms": 0, "minbytes": 1, "maxbytes": 9999, "topics": wanted})


def compressed(side):
    """Codecs in a fetch, of which old versions do not know all."""
    for codec in range(1, 5):
        name = f"codec-{codec}"
        side.topic(name)
        produce(side, 9, name, batch(records(3), codec=codec))
        produce(side, 9, name, batch(records(2)))
        for version in side.versions("Fetch", 4):
            for offset in (0, 1, 3):
                side.call("Fetch", version, request(side, [(name, [part(offset=offset)])]))


def offsets(side):
    """ListOffsets with every special time and others, and the epochs."""
    filled(side, "times", 2)
    side.topic("timeless")
    produce(side, 9, "times", batch([record(0, 0), record(1, 900), record(2, 100)], first_time=TIME + 7000, max_time=TIME + 7900), 1)
    produce(side, 9, "times", batch([record(0, 0), record(1, 900), record(2, 100)], first_time=TIME + 7000, max_time=TIME + 7900, codec=batches.GZIP), 1)

    def ask(version, name, index, when, **more):
        wanted = {"partitionindex": index, "timestamp": when, **more}
        side.call("ListOffsets", version, {"replicaid": -1, "topics": [{"name": name, "partitions": [wanted]}], "timeoutms": 1000})

    special = (-1, -2, -3, -4, -5, -6, -7, -100, 0, 1, TIME - 1, TIME, TIME + 1, TIME + 5, TIME + 6, TIME + 505, TIME + 506, TIME + 7000,
               TIME + 7100, TIME + 7901, 1 << 62)

    def everything():
        for version in side.versions("ListOffsets", 1):
            for when in special:
                for name, index in (("times", 0), ("times", 1), ("timeless", 0), ("none", 0), ("times", 5)):
                    ask(version, name, index, when)
            for epoch in (-2, -1, 0, 1, 9):
                ask(version, "times", 0, -1, currentleaderepoch=epoch), ask(version, "times", 0, TIME, currentleaderepoch=epoch)
            for isolation in (0, 1, 2):
                for when in (-1, -3, TIME + 100):
                    wanted = [{"name": "times", "partitions": [{"partitionindex": index, "timestamp": when} for index in (1, 0)]}]
                    values = {"replicaid": -1, "isolationlevel": isolation, "topics": wanted}
                    side.call("ListOffsets", version, values, meant=FAILS if isolation == 2 else None)

    everything()
    for version in side.versions("ListOffsets", 1):
        twice = [{"name": "times", "partitions": [{"partitionindex": 0, "timestamp": when} for when in (-1, -2)]}]
        side.call("ListOffsets", version, {"replicaid": -1, "topics": twice})
        for replica in (-2, -3, 1, 2):
            side.call("ListOffsets", version, {"replicaid": replica, "topics": [{"name": "times", "partitions": [{"partitionindex": 0, "timestamp": -1}]}]})
        side.call("ListOffsets", version, {"replicaid": -1, "topics": []})
    for version in side.versions("OffsetForLeaderEpoch"):
        for name, index in (("times", 0), ("timeless", 0), ("none", 0), ("times", 5)):
            for current in (-2, -1, 0, 1):
                for epoch in (-2, -1, 0, 1, 9):
                    for replica in (-1, -2, 2):
                        wanted = {"partition": index, "currentleaderepoch": current, "leaderepoch": epoch}
                        side.call("OffsetForLeaderEpoch", version, {"replicaid": replica, "topics": [{"topic": name, "partitions": [wanted]}]})


def deletions(side):
    """DeleteRecords, and what is there afterwards."""
    for version in side.versions("DeleteRecords"):
        name = f"deleted-{version}"
        filled(side, name, 2)
        side.topic(f"kept-{version}", cleanup_policy="compact")
        side.topic(f"both-{version}", cleanup_policy="compact,delete")
        targets = [(name, 0, offset) for offset in (-2, 13, -9, 0, 3, 3, 2, 4, 1 << 40, -1, 5, 12)]
        targets += [("none", 0, 1), (name, 7, 1), (name, -1, 0), (f"kept-{version}", 0, 0), (f"both-{version}", 0, 0), ("__consumer_offsets", 0, 0)]
        for topic, index, offset in targets:
            wanted = [{"name": topic, "partitions": [{"partitionindex": index, "offset": offset}]}]
            side.call("DeleteRecords", version, {"topics": wanted, "timeoutms": 3000})
            side.call("Fetch", 11, request(side, [(name, [part(offset=4)])]))
            for when in (-1, -2, -3, -4, -5):
                side.call("ListOffsets", 9, {"replicaid": -1, "topics": [{"name": name, "partitions": [{"partitionindex": 0, "timestamp": when}]}]},
                          meant="the largest timestamp is that of a record that is left" if when == -3 else None)
        wanted = [{"name": name, "partitions": [{"partitionindex": 1, "offset": 1}, {"partitionindex": 1, "offset": 2}, {"partitionindex": 8, "offset": 0}]},
                  {"name": "none", "partitions": [{"partitionindex": 0, "offset": 0}]}]
        side.call("DeleteRecords", version, {"topics": wanted, "timeoutms": 3000})
        side.call("DeleteRecords", version, {"topics": [], "timeoutms": 3000})


SCRIPTS = [plain, as_replica, sessions, recreated, compressed, offsets, deletions]
