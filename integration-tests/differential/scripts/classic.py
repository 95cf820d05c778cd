"""Classic groups: several members, each on a connection of its own, step by step."""

import struct

PROTOCOLS = (("range", b"r"), ("roundrobin", b"rr"))
WITH_INSTANCES = 5


def subscription(topics, version=1, owned=()):
    """What a consumer says of itself in a JoinGroup."""
    out = struct.pack(">hi", version, len(topics)) + b"".join(struct.pack(">h", len(t)) + t.encode() for t in topics) + struct.pack(">i", -1)
    if version:
        out += struct.pack(">i", len(owned)) + b"".join(
            struct.pack(">h", len(t)) + t.encode() + struct.pack(f">i{len(p)}i", len(p), *p) for t, p in owned)
    return out


class Member:
    """A member of a classic group on its own connection."""

    def __init__(self, side, group, name, version, instance=None, protocols=PROTOCOLS, kind="consumer", session=10000, rebalance=8000):
        self.side, self.group, self.name, self.version, self.instance = side, group, name, version, instance
        self.protocols, self.kind, self.session, self.rebalance = protocols, kind, session, rebalance
        self.id, self.generation, self.leader = "", -1, False

    def join_values(self):
        protocols = [{"name": name, "metadata": metadata} for name, metadata in self.protocols]
        return {
            "groupid": self.group, "sessiontimeoutms": self.session, "rebalancetimeoutms": self.rebalance, "memberid": self.id,
            "groupinstanceid": self.instance, "protocoltype": self.kind, "protocols": protocols, "reason": "because",
        }

    def send_join(self):
        self.asked = self.join_values()
        self.side.send("JoinGroup", self.version, self.asked, self.name)

    def joined(self):
        # Learned before the answer is kept, so that it is there by its name.
        side = self.side
        answer = side.on(self.name).answer("JoinGroup", self.version)
        if answer not in ("closed", "silence"):
            if answer["memberid"]:
                self.id = side.learn(answer["memberid"], f"{self.group} {self.name}") if answer["memberid"] not in side.names else answer["memberid"]
            self.generation, self.leader = answer["generationid"], answer["leader"] == self.id
        side.note(f"{self.name} of {self.group} joins with version {self.version}", answer)
        return answer

    def join(self):
        """Joins; if the broker gives a member id first, with that."""
        self.send_join()
        answer = self.joined()
        if answer["errorcode"] == 79:
            return self.join()
        return answer

    def sync_version(self):
        return {0: 0, 1: 1, 2: 2, 3: 2, 4: 2, 5: 3, 6: 4}.get(self.version, 5)

    def sync_values(self, assignments=(), **more):
        parts = [{"memberid": member.id, "assignment": data} for member, data in assignments]
        return {"groupid": self.group, "generationid": self.generation, "memberid": self.id, "groupinstanceid": self.instance,
                "protocoltype": self.kind, "protocolname": self.protocols[0][0] if self.protocols else None, "assignments": parts, **more}

    def send_sync(self, assignments=(), **more):
        self.asked = self.sync_values(assignments, **more)
        self.side.send("SyncGroup", self.sync_version(), self.asked, self.name)

    def synced(self):
        return self.side.answer("SyncGroup", self.sync_version(), self.asked, self.name)

    def sync(self, assignments=(), **more):
        self.send_sync(assignments, **more)
        return self.synced()

    def beat(self, **more):
        values = {"groupid": self.group, "generationid": self.generation, "memberid": self.id, "groupinstanceid": self.instance, **more}
        return self.side.call("Heartbeat", min(self.sync_version(), 4), values, self.name)

    def leave(self, **more):
        member = {"memberid": self.id, "groupinstanceid": self.instance, "reason": "done"}
        values = {"groupid": self.group, "memberid": self.id, "members": [member], **more}
        return self.side.call("LeaveGroup", self.sync_version(), values, self.name)


def state_of(side, group):
    return side.quietly("DescribeGroups", 5, {"groups": [group]})["groups"][0]["groupstate"]


def reach(side, group, state):
    side.until(lambda: state_of(side, group) == state)


def describe(side, group, version=5):
    side.call("DescribeGroups", version, {"groups": [group], "includeauthorizedoperations": version > 2})


def lifecycle(side):
    """Two members: joins, rebalances, stale and unknown ones, leaving."""
    for version in side.versions("JoinGroup"):
        group = f"life-{version}"
        first, second = Member(side, group, "a", version), Member(side, group, "b", version)
        # Kafka describes a new group only when there is a record of it, be it of another group.
        first.join(), first.beat()
        first.sync([(first, b"all")]), first.sync([(first, b"other")]), first.beat(), describe(side, group)
        second.send_join()
        if version > 3:
            second.joined(), describe(side, group)
            second.send_join()
        reach(side, group, "PreparingRebalance")
        describe(side, group), first.beat(), first.sync(), first.send_join()
        leader, follower = (first, second)
        leader.joined(), follower.joined(), describe(side, group)
        leader.beat(), follower.beat(), follower.send_sync()
        leader.sync([(first, b"one"), (second, b"two")]), follower.synced(), describe(side, group)
        follower.beat(), leader.beat(), follower.sync(), follower.beat(generationid=99)
        follower.beat(memberid="nobody"), follower.beat(groupid="none"), follower.beat(groupid=""), follower.beat(generationid=-1)
        follower.sync(generationid=99), follower.sync(memberid="nobody"), follower.sync(groupid="none"), follower.sync(groupid="")
        follower.sync(protocoltype="other"), follower.sync(protocolname="roundrobin"), follower.sync(protocolname=None, protocoltype=None)
        # Nothing new from the follower: the answer is at once. From the leader it is a rebalance.
        follower.send_join(), follower.joined()
        leader.send_join()
        reach(side, group, "PreparingRebalance")
        follower.send_join(), leader.joined(), follower.joined()
        leader.sync([(first, b"1")]), follower.sync(), describe(side, group)
        follower.leave(memberid="nobody", members=[{"memberid": "nobody"}]), follower.leave(groupid="none"), follower.leave(groupid="")
        follower.leave(), describe(side, group), leader.beat(), leader.join(), leader.sync([(first, b"")]), describe(side, group)
        leader.leave(), leader.leave(), describe(side, group), leader.beat()
        first.id = ""
        first.join(), first.sync([(first, b"again")]), describe(side, group)


def protocols(side):
    """What members must have in common."""
    for version in side.versions("JoinGroup"):
        group = f"common-{version}"
        first = Member(side, group, "a", version, protocols=[("x", b"1"), ("y", b"2"), ("z", b"3")])
        first.join(), first.sync([(first, b"all")])
        for given in ([], [("none", b"")], [("", b"")]):
            Member(side, group, "odd", version, protocols=given).join()
        for kind in ("other", ""):
            Member(side, group, "odd", version, kind=kind, protocols=[("x", b"1")]).join()
        second = Member(side, group, "b", version, protocols=[("z", b"9"), ("y", b"8")])
        second.send_join()
        if version > 3:
            second.joined(), second.send_join()
        reach(side, group, "PreparingRebalance")
        first.protocols = [("x", b"1"), ("z", b"3"), ("y", b"2")]
        first.send_join(), first.joined(), second.joined(), describe(side, group)
        first.protocols = [("x", b"1")]
        first.send_join(), first.joined(), describe(side, group)
        alone = f"alone-{version}"
        for kind, given in (("", [("x", b"")]), ("consumer", []), ("", [])):
            Member(side, alone, "odd", version, kind=kind, protocols=given).join()


def refused(side):
    """Requests that no group takes, in every version."""
    for version in side.versions("JoinGroup"):
        for group in ("", "refused"):
            for session in (-1, 0, 5999, 6000, 1800000, 1800001):
                member = Member(side, group, "a", version, session=session)
                member.id = "nobody"
                member.send_join(), member.joined()
        member = Member(side, "refused", "a", version, instance="i")
        member.id = "nobody"
        member.send_join(), member.joined()
    unknown = {"groupid": "unknown", "generationid": 1, "memberid": "nobody", "groupinstanceid": None}
    for more in ({}, {"groupid": ""}, {"generationid": -1}, {"memberid": ""}, {"groupinstanceid": "i"}, {"generationid": -1, "memberid": ""}):
        side.each("Heartbeat", {**unknown, **more})
        side.each("SyncGroup", {**unknown, **more, "protocoltype": "consumer", "protocolname": "range"})
        side.each("SyncGroup", {**unknown, **more, "protocoltype": None, "protocolname": None})
        identity = {"memberid": more.get("memberid", "nobody"), "groupinstanceid": more.get("groupinstanceid")}
        group = more.get("groupid", "unknown")
        side.each("LeaveGroup", {"groupid": group, "memberid": identity["memberid"], "members": [identity]})
        side.each("LeaveGroup", {"groupid": group, "memberid": "", "members": []})
        side.each("LeaveGroup", {"groupid": group, "memberid": "x", "members": [identity, identity]})


def static_members(side):
    """Members with an instance id: replaced, fenced, removed."""
    for version in side.versions("JoinGroup", WITH_INSTANCES):
        group = f"static-{version}"
        first, second = (Member(side, group, name, version, instance=f"i-{name}") for name in "ab")
        first.join(), first.sync([(first, b"all")])
        second.send_join()
        reach(side, group, "PreparingRebalance")
        first.send_join(), first.joined(), second.joined(), second.send_sync()
        first.sync([(first, b"1"), (second, b"2")]), second.synced(), describe(side, group)
        again = Member(side, group, "c", version, instance="i-b")
        again.join(), describe(side, group), again.sync(), second.beat(), second.sync(), second.leave()
        second.send_join(), second.joined()
        commit(second), commit(again)
        leader_again = Member(side, group, "d", version, instance="i-a")
        leader_again.join(), leader_again.sync([(leader_again, b"3"), (again, b"4")]), describe(side, group), again.beat()
        first.beat(), first.send_join(), first.joined()
        first.beat(groupinstanceid=None), again.beat(groupinstanceid="i-x"), again.sync(groupinstanceid="i-x"), again.beat(groupinstanceid="i-a")
        # Other protocols than before need a rebalance.
        changed = Member(side, group, "e", version, instance="i-b", protocols=[("roundrobin", b"new")])
        changed.send_join()
        reach(side, group, "PreparingRebalance")
        leader_again.send_join(), leader_again.joined(), changed.joined(), changed.send_sync()
        leader_again.sync([(changed, b"5")], protocolname="roundrobin"), changed.synced(), describe(side, group)
        leave = {"groupid": group, "members": [
            {"memberid": "", "groupinstanceid": "i-b"}, {"memberid": "", "groupinstanceid": "i-x"}, {"memberid": "nobody", "groupinstanceid": "i-a"},
            {"memberid": "nobody"}, {"memberid": ""}, {"memberid": "", "groupinstanceid": "i-b"},
        ]}
        for with_reason in (3, 5):
            side.call("LeaveGroup", with_reason, leave)
            describe(side, group)
        leader_again.beat(), leader_again.join(), leader_again.sync([]), leader_again.leave(), describe(side, group)


def ties(side):
    """As many votes for one protocol as for another. No two of the names share a slot of a Java map."""
    names = ("range", "roundrobin", "sticky", "cooperative-sticky", "default", "a")
    for first_choice in names:
        for second_choice in names:
            if first_choice >= second_choice:
                continue
            group = f"tie-{first_choice}-{second_choice}"
            spoken = [(first_choice, b""), (second_choice, b"")]
            first, second = Member(side, group, "a", 3, protocols=spoken), Member(side, group, "b", 3, protocols=spoken[::-1])
            first.join(), first.sync([])
            second.send_join()
            reach(side, group, "PreparingRebalance")
            first.send_join(), first.joined(), second.joined()


def commit(member, **more):
    parts = [{"partitionindex": 0, "committedoffset": 5, "committedmetadata": "m"}]
    values = {"groupid": member.group, "generationidormemberepoch": member.generation, "memberid": member.id,
              "groupinstanceid": member.instance, "topics": [{"name": "none", "partitions": parts}], **more}
    return member.side.call("OffsetCommit", 9, values)


def timeouts(side):
    """A member that is silent is removed, one that does not come back to a rebalance, too."""
    group = "late"
    first, second = Member(side, group, "a", 5, session=6000, rebalance=1000), Member(side, group, "b", 5, session=6000, rebalance=1000)
    first.join(), first.sync([(first, b"all")])
    second.send_join(), second.joined(), second.send_join(), second.joined(), describe(side, group)
    second.sync([(second, b"mine")]), first.beat(), second.beat(), describe(side, group)
    # Given an id, but never back with it: forgotten. Never synced: removed.
    third = Member(side, group, "c", 5, session=6000, rebalance=1000)
    third.send_join(), third.joined(), describe(side, group)
    reach(side, group, "Empty")
    second.beat(), describe(side, group)
    # The SyncGroup of a leader that is refused counts as none: the leader is removed, who waits for it has to join again.
    group = "leaderless"
    first, second = (Member(side, group, name, 9, rebalance=2000) for name in "ab")
    first.join(), first.sync([(first, b"all")])
    second.send_join(), second.joined(), second.send_join()
    reach(side, group, "PreparingRebalance")
    first.send_join(), first.joined(), second.joined(), second.send_sync()
    first.sync([(second, b"2")], protocolname="roundrobin"), second.synced(), describe(side, group)


def steps_of_three(side):
    """Three members that come, leave at once and come again."""
    for version in (2, 5, 9):
        group = f"three-{version}"
        a, b, c = (Member(side, group, name, version) for name in "abc")
        a.join(), a.sync([(a, b"a")])
        for member in (b, c):
            member.send_join()
            if version > 3:
                member.joined(), member.send_join()
            side.until(lambda: known_members(side, group) == (2 if member is b else 3))
        a.send_join(), a.joined(), b.joined(), c.joined(), describe(side, group)
        b.send_sync(), c.send_sync(), a.sync([(a, b"1"), (b, b"2"), (c, b"3")]), b.synced(), c.synced()
        if version > 2:
            side.call("LeaveGroup", 4, {"groupid": group, "members": [{"memberid": b.id}, {"memberid": "nobody"}, {"memberid": c.id}]})
        else:
            b.leave(), c.leave()
        describe(side, group), a.beat(), b.beat(), a.join(), a.sync([(a, b"!")]), describe(side, group)


def known_members(side, group):
    return len(side.quietly("DescribeGroups", 5, {"groups": [group]})["groups"][0]["members"])


SCRIPTS = [lifecycle, protocols, refused, static_members, ties, timeouts, steps_of_three]
