"""Groups that change their protocol while they have members: classic to consumer and back, and both in one group."""

import struct

from scripts.classic import Member, describe as describe_classic, subscription
from scripts.consumer import Consumer, describe as describe_consumer, settle


def assigned(topic, *indexes):
    """A ConsumerProtocolAssignment."""
    name = topic.encode()
    return struct.pack(">hih", 0, 1, len(name)) + name + struct.pack(f">i{len(indexes)}ii", len(indexes), *indexes, -1)


def look(side, group):
    describe_consumer(side, group), describe_classic(side, group, 5), describe_classic(side, group, 6)
    for version in (4, 5):
        answer = side.quietly("ListGroups", version, {})
        side.note(f"listed {version}", [listed for listed in answer["groups"] if listed["groupid"] == group])


def classic(side, group, name, topic, version=9, protocol="range", owned=(), instance=None):
    return Member(side, group, name, version, instance, [(protocol, subscription([topic], 1, owned))])


def follow(member, tries=6):
    """A classic member in a group of both: what its heartbeat says, it does."""
    for _ in range(tries):
        answer = member.beat()
        if answer["errorcode"] == 0:
            return
        if answer["errorcode"] in (25, 22):
            member.id = member.id if answer["errorcode"] == 22 else ""
        member.join()
        member.sync()


def upgrade(side):
    """A consumer joins a classic group with one member; then that one leaves, and the other way round."""
    for version in (5, 9):
        topic = group = f"upgrade-{version}"
        # Shares that are equal whoever is first: ids of classic members are random.
        side.topic(topic, 6)
        old, new = classic(side, group, "old", topic, version), Consumer(side, group, "new", 1, [topic])
        old.join(), old.sync([(old, assigned(topic, *range(6)))]), look(side, group)
        new.join(), look(side, group), new.beat(), old.beat(), look(side, group)
        old.protocols = [("range", subscription([topic], 1, [(topic, [0, 1, 2])]))]
        follow(old), settle(side, new), follow(old), settle(side, new), look(side, group)
        old.beat(generationid=77), old.beat(memberid="nobody"), old.sync(generationid=77), old.sync(memberid="nobody")
        old.sync(protocoltype="connect"), old.sync(protocolname="sticky")
        for epoch, name in ((old.generation, old.id), (old.generation + 1, old.id), (new.epoch, new.id), (new.epoch + 1, new.id)):
            values = {"groupid": group, "generationidormemberepoch": epoch, "memberid": name, "topics": [
                {"name": topic, "topicid": side.ids[topic], "partitions": [{"partitionindex": 0, "committedoffset": 1}]}]}
            for commit_version in (5, 9):
                side.call("OffsetCommit", commit_version, values)
        # The last consumer leaves: a classic group again.
        new.leave(), look(side, group), old.beat(), old.join(), look(side, group)
        old.sync([(old, assigned(topic, *range(6)))]), look(side, group), old.beat(), old.leave(), look(side, group)


def classic_joins(side):
    """A classic member joins a consumer group, and others that cannot."""
    for version in (3, 5, 9):
        topic = group = f"joins-{version}"
        side.topic(topic, 6)
        new, old = Consumer(side, group, "new", 1, [topic]), classic(side, group, "old", topic, version)
        new.join(), settle(side, new), old.join(), old.sync(), look(side, group), settle(side, new), follow(old), look(side, group)
        for odd in (Member(side, group, "odd", version, kind="connect"), Member(side, group, "odd", version, protocols=[])):
            odd.join()
            odd.id = "nobody"
            odd.join()
        old.beat(), old.leave(memberid="nobody", members=[{"memberid": "nobody"}]), old.leave(), look(side, group), settle(side, new), new.leave()


def not_convertible(side):
    """Groups that a consumer cannot join, and that are empty."""
    side.topic("stays", 2)
    for name, kind, protocols in (("connect", "connect", [("default", b"")]), ("custom", "consumer", [("range", b"junk")]),
                                  ("bare", "consumer", [("range", b"")])):
        group = f"stays-{name}"
        old, new = Member(side, group, "old", 5, kind=kind, protocols=protocols), Consumer(side, group, "new", 1, ["stays"])
        old.join(), old.sync([(old, b"")]), new.join(meant="texts of parsers") if name != "connect" else new.join(), look(side, group)
        if name == "connect":
            new.beat(memberepoch=4), new.beat(memberepoch=-1), old.beat(), old.leave(), look(side, group)
            new.join(), look(side, group), new.leave()


def empty_groups(side):
    """An empty group takes any protocol."""
    topic = group = "emptied"
    side.topic(topic, 2)
    old, new = classic(side, group, "old", topic), Consumer(side, group, "new", 1, [topic])
    old.join(), old.sync([(old, assigned(topic, 0, 1))])
    side.call("OffsetCommit", 9, {"groupid": group, "generationidormemberepoch": old.generation, "memberid": old.id, "topics": [
        {"name": topic, "partitions": [{"partitionindex": 0, "committedoffset": 7}]}]})
    old.leave(), look(side, group), new.join(), settle(side, new), look(side, group)
    fetch = {"groupid": group, "topics": None, "groups": [{"groupid": group, "topics": None}]}
    side.call("OffsetFetch", 8, fetch), new.leave()
    again = classic(side, group, "again", topic)
    again.join(), again.sync([(again, assigned(topic, 0, 1))]), look(side, group), side.call("OffsetFetch", 8, fetch), again.leave()


def moved_by_a_pattern(side):
    """A consumer joins a classic group by a pattern: the group moves when that is resolved, and not before."""
    topic = group = "pattern-upgrade"
    side.topic(topic, 6)
    old, new = classic(side, group, "old", topic), Consumer(side, group, "new", 1)
    new.more = {"subscribedtopicregex": "pattern-upgrad."}
    old.join(), old.sync([(old, assigned(topic, *range(6)))])
    new.join()

    def moved():
        new.quietly(topicpartitions=new.owned)
        return new.epoch == 2
    side.until(moved), look(side, group)
    old.protocols = [("range", subscription([topic], 1, [(topic, [0, 1, 2])]))]
    follow(old), settle(side, new), follow(old), settle(side, new), look(side, group)


def static_members(side):
    """An instance that comes back with the other protocol."""
    topic = group = "instance-converted"
    side.topic(topic, 4)
    a, b = (classic(side, group, name, topic, 9, instance=f"i-{name}") for name in "ab")
    a.join(), a.sync([(a, assigned(topic, 0, 1, 2, 3))])
    b.send_join()
    side.until(lambda: side.quietly("DescribeGroups", 5, {"groups": [group]})["groups"][0]["groupstate"] == "PreparingRebalance")
    a.send_join(), a.joined(), b.joined(), b.send_sync()
    a.sync([(a, assigned(topic, 0, 1)), (b, assigned(topic, 2, 3))]), b.synced(), look(side, group)
    new = Consumer(side, group, "new", 1, [topic], instanceid="i-a")
    new.join(), look(side, group), new.ack(), a.beat(), follow(b), settle(side, new), look(side, group)
    new.leave(-2), look(side, group)
    back = classic(side, group, "back", topic, 9, instance="i-a")
    back.join(), back.sync(), look(side, group), follow(b), back.beat(), b.beat(), look(side, group)


SCRIPTS = [upgrade, classic_joins, not_convertible, empty_groups, moved_by_a_pattern, static_members]
