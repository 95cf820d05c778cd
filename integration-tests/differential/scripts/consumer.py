"""Consumer groups (KIP-848): heartbeat by heartbeat, what each member is told and what is told of the group."""

import time

from scripts.commits import commit_values, fetch_values, part
from scripts.produce import FAILS
from scripts.transactions import Producer


# What 4.1 does not do yet.
LATER = "as later versions of Kafka"


def salted(group):
    """With a number behind it that puts the members a to d into their order in a Java map, in which Kafka assigns."""
    for salt in range(100):
        slots = []
        for name in "abcd":
            code = 0
            for letter in f"{group}-{salt}-{name}":
                code = (31 * code + ord(letter)) & 0xFFFFFFFF
            slots.append((code ^ code >> 16) & 15)
        if slots == sorted(slots):
            return f"{group}-{salt}"
    raise ValueError(group)


class Consumer:
    """A member as a client keeps it: its id, its epoch, and what it owns."""

    def __init__(self, side, group, name, version=1, topics=(), **more):
        self.side, self.group, self.version, self.topics, self.more = side, group, version, list(topics), more
        self.id, self.epoch, self.owned, self.answer = f"{salted(group)}-{name}", 0, [], None

    def values(self, **more):
        return {"groupid": self.group, "memberid": self.id, "memberepoch": self.epoch, **more}

    def beat(self, meant=None, **more):
        """A heartbeat; what it is answered is what the next one says."""
        return self.took(self.side.call("ConsumerGroupHeartbeat", self.version, self.values(**more), meant=meant))

    def took(self, answer):
        self.answer = answer
        if answer["errorcode"] == 0:
            self.epoch = max(answer["memberepoch"], 0)
            if answer["assignment"] is not None:
                self.owned = answer["assignment"]["topicpartitions"]
        return answer

    def joining(self, **more):
        joining = {"memberepoch": 0, "rebalancetimeoutms": 60000, "topicpartitions": [], **self.more, **more}
        if "subscribedtopicregex" not in joining:
            joining.setdefault("subscribedtopicnames", self.topics)
        return joining

    def join(self, **more):
        self.owned = []
        return self.beat(**self.joining(**more))

    def ack(self, **more):
        """Says what it owns."""
        return self.beat(topicpartitions=self.owned, **more)

    def leave(self, epoch=-1):
        return self.beat(memberepoch=epoch)

    def quietly(self, **more):
        return self.took(self.side.quietly("ConsumerGroupHeartbeat", self.version, self.values(**more)))


def describe(side, *groups, meant=None):
    for version in side.versions("ConsumerGroupDescribe"):
        values = {"groupids": list(groups), "includeauthorizedoperations": version > 0}
        side.call("ConsumerGroupDescribe", version, values, meant=meant)


def settle(side, *members):
    """Heartbeats of all in turn until a round has no news, at most ten rounds."""
    for _ in range(10):
        before = [(member.epoch, str(member.owned)) for member in members]
        for member in members:
            member.ack()
        if before == [(member.epoch, str(member.owned)) for member in members]:
            break
    describe(side, members[0].group)


def owned_by(side, topic, *indexes):
    return [{"topicid": side.ids.get(topic, "f" * 32), "partitions": list(indexes)}]


def refused(side):
    """Heartbeats that are wrong on their own."""
    side.topic("odd-topic", 2)
    for version in side.versions("ConsumerGroupHeartbeat"):
        def ask(**more):
            values = {"groupid": "odd", "memberid": "m", "memberepoch": 0, "rebalancetimeoutms": 5000,
                      "subscribedtopicnames": ["odd-topic"], "topicpartitions": [], **more}
            side.call("ConsumerGroupHeartbeat", version, values)

        ask(groupid=""), ask(groupid="  "), ask(memberid="  ", memberepoch=5), ask(memberid="", memberepoch=5), ask(memberid="", memberepoch=-1)
        for epoch in (-3, -2, -1, 1, 99):
            ask(memberepoch=epoch), ask(memberepoch=epoch, instanceid="i"), ask(memberepoch=epoch, groupid="not-there")
        ask(instanceid=""), ask(instanceid="  "), ask(rackid=""), ask(rackid="  "), ask(rebalancetimeoutms=-1), ask(rebalancetimeoutms=0), ask(rebalancetimeoutms=-5)
        ask(topicpartitions=None), ask(topicpartitions=owned_by(side, "odd-topic", 0)), ask(subscribedtopicnames=None)
        ask(serverassignor="none"), ask(serverassignor=""), ask(serverassignor="  "), ask(serverassignor="UNIFORM")
        ask(memberepoch=4, subscribedtopicregex="(")
        ask(subscribedtopicnames=["", "a/b"], groupid=f"names-{version}")
        ask(memberepoch=0, groupid=f"names-{version}", subscribedtopicnames=["x" * 300])
        if version > 0:
            ask(memberid=""), ask(subscribedtopicnames=None, subscribedtopicregex=None)
        describe(side, "odd"), describe(side, "", "odd", "none", "odd"), describe(side)


def single(side):
    """One member from its first heartbeat to its last, with wrong epochs and wrong possessions."""
    side.topic("single", 3), side.topic("single-other", 2)
    for version in side.versions("ConsumerGroupHeartbeat"):
        member = Consumer(side, f"single-{version}", "a", version, ["single"])
        group = member.group
        member.join(), describe(side, group), member.ack(), member.beat(), describe(side, group)
        now = member.epoch
        for epoch in (now + 1, now - 1, 99, -3, -2):
            member.beat(memberepoch=epoch), member.beat(memberepoch=epoch, topicpartitions=owned_by(side, "single", 0))
        member.beat(memberepoch=now - 1, topicpartitions=member.owned), member.beat(memberid="nobody"), member.beat(groupid="none")
        member.beat(topicpartitions=owned_by(side, "single", 0)), member.beat(topicpartitions=owned_by(side, "single", 0, 1, 2, 7))
        member.beat(topicpartitions=owned_by(side, "none", 0)), member.beat(topicpartitions=[]), member.beat(topicpartitions=owned_by(side, "single", 0, 0))
        member.beat(rebalancetimeoutms=1000), member.beat(rackid="r1"), member.beat(instanceid="late"), member.beat(serverassignor="none")
        member.beat(subscribedtopicnames=["single", "single-other"]), settle(side, member)
        member.beat(subscribedtopicnames=["single-other"]), settle(side, member)
        member.beat(subscribedtopicnames=["not-there-yet"]), settle(side, member)
        member.beat(subscribedtopicnames=[]), settle(side, member), member.beat(subscribedtopicnames=["single", "single"]), settle(side, member)
        commits(side, member)
        classic_requests(side, member)
        for name in (group, "none"):
            side.call("DeleteGroups", 2, {"groupsnames": [name]})
        side.call("OffsetDelete", 0, {"groupid": group, "topics": [{"name": "single", "partitions": [{"partitionindex": 0}]},
                                                                    {"name": "single-other", "partitions": [{"partitionindex": 0}]}]})
        member.leave(), describe(side, group, meant=LATER), member.beat(), member.leave(), member.join(), settle(side, member), member.leave()
        side.call("DeleteGroups", 2, {"groupsnames": [group]}), describe(side, group)
    # Another assignor alone is no reason for a new epoch in 4.1.
    # To join again as who is a member is refused until 4.1, and a way to begin anew later.
    member = Consumer(side, "single-preference", "a", 1, ["single"])
    member.join(), member.ack()
    member.beat(**member.joining(), meant=LATER), member.beat(serverassignor="range", meant=LATER), describe(side, member.group, meant=LATER)


def commits(side, member):
    """Offsets of a member, with right and wrong epochs."""
    for version in side.versions("OffsetCommit"):
        for epoch, name in ((member.epoch, member.id), (member.epoch - 1, member.id), (member.epoch + 1, member.id), (member.epoch, "nobody"), (-1, ""), (0, member.id)):
            side.call("OffsetCommit", version, commit_values(side, member.group, [("single", [part()])], epoch, name))
    for version in side.versions("OffsetFetch"):
        for epoch, name in ((member.epoch, member.id), (member.epoch - 1, member.id), (member.epoch + 1, member.id), (member.epoch, "nobody"), (-1, ""), (-1, None)):
            side.call("OffsetFetch", version, fetch_values(side, member.group, [("single", [0, 1])], member=name, epoch=epoch))
    producer = Producer(side, member.id)
    producer.begin(), producer.offsets(member.group)
    for version in side.versions("TxnOffsetCommit", 3):
        for epoch, name in ((member.epoch, member.id), (member.epoch - 1, member.id), (member.epoch + 1, member.id), (0, member.id), (member.epoch, "nobody")):
            producer.commit_offsets(member.group, [("single", [part()])], version, generationid=epoch, memberid=name)
    producer.end(False)


def classic_requests(side, member):
    """What clients of the classic protocol are told of such a group."""
    identity = {"groupid": member.group, "memberid": member.id, "generationid": member.epoch}
    side.each("Heartbeat", identity), side.each("SyncGroup", {**identity, "protocoltype": "consumer", "protocolname": "uniform"})
    side.each("LeaveGroup", {"groupid": member.group, "memberid": "nobody", "members": [{"memberid": "nobody"}]})
    side.each("DescribeGroups", {"groups": [member.group]})
    for kind, protocols in (("connect", [("x", b"")]), ("consumer", [("range", b"junk")])):
        asked = {"groupid": member.group, "sessiontimeoutms": 10000, "rebalancetimeoutms": 5000, "memberid": "", "protocoltype": kind,
                 "protocols": [{"name": name, "metadata": data} for name, data in protocols]}
        for version in (3, 9):
            answer = side.quietly("JoinGroup", version, asked)
            if isinstance(answer, dict) and answer["memberid"]:
                side.learn(answer["memberid"], "a new id")
            side.note(f"JoinGroup {version} {kind}", answer, FAILS if kind == "consumer" else None)


def reconciliation(assignor):
    def script(side):
        for count in (1, 3, 4, 7):
            topic, second = f"{assignor}-{count}", f"{assignor}-{count}-more"
            side.topic(topic, count), side.topic(second, 2)
            group = f"rec-{assignor}-{count}"
            a, b, c = (Consumer(side, group, name, 1, [topic], serverassignor=assignor) for name in "abc")
            a.join(), settle(side, a)
            b.join(), describe(side, group), b.beat(), a.beat(), describe(side, group), a.ack(), b.ack(), describe(side, group)
            settle(side, a, b), c.join(), settle(side, a, b, c)
            if assignor == "range":  # Unequal subscriptions are balanced in another way by ours.
                for member in (a, b, c):
                    member.topics = [topic, second]
                    member.beat(subscribedtopicnames=member.topics)
                settle(side, a, b, c)
            b.leave(), settle(side, a, c), b.join(), settle(side, b, c, a)
            a.leave(), c.leave(), settle(side, b), b.leave(), describe(side, group, meant=LATER)

    script.__name__ = f"reconciliation_{assignor}"
    return script


def lingering(side):
    """A member that does not give up what it must keeps others waiting, and takes longer ways."""
    side.topic("lingering", 4)
    a, b, c = (Consumer(side, "lingering", name, 1, ["lingering"]) for name in "abc")
    a.join(), a.ack(), b.join(), a.beat(), b.beat(), c.join(), b.beat(), c.beat(), a.beat(), describe(side, "lingering")
    # Still all of it, then half of what it should give up, then none.
    mine = owned_by(side, "lingering", 0, 1, 2, 3)
    a.beat(topicpartitions=mine), b.beat(), c.beat()
    a.beat(topicpartitions=owned_by(side, "lingering", 0, 1, 2)), b.beat(), c.beat(), describe(side, "lingering")
    a.ack(), b.ack(), c.ack(), describe(side, "lingering"), settle(side, a, b, c)
    # An answer that is lost: the member asks again with the epoch that it had.
    before, owned = b.epoch, b.owned
    c.leave(), b.beat(), b.beat(memberepoch=before, topicpartitions=owned), b.beat(memberepoch=before - 1, topicpartitions=owned)
    settle(side, a, b)


def static_members(side):
    """Instance ids: leaving for a while, coming back as another member, fencing."""
    side.topic("instances", 4)
    for version in side.versions("ConsumerGroupHeartbeat"):
        group = f"instances-{version}"
        a = Consumer(side, group, "a", version, ["instances"], instanceid="i-a")
        b = Consumer(side, group, "b", version, ["instances"], instanceid="i-b")
        a.join(), b.join(), settle(side, a, b)
        thief = Consumer(side, group, "thief", version, ["instances"], instanceid="i-a")
        thief.join(), thief.beat(memberepoch=a.epoch, instanceid="i-a"), a.beat(instanceid="i-b"), a.beat(instanceid="i-x"), a.beat()
        a.leave(-2), describe(side, group), a.beat(), a.beat(instanceid="i-a"), b.beat()
        thief.join(), describe(side, group), thief.ack(), settle(side, thief, b), a.beat(), a.beat(instanceid="i-a"), a.leave(-2)
        commits_static(side, group, thief)
        thief.leave(-2), thief.join(subscribedtopicnames=["instances", "not-there"]), settle(side, thief, b)
        thief.beat(memberepoch=-2, instanceid="i-x"), thief.beat(memberepoch=-2, instanceid="i-b"), thief.beat(memberepoch=-1, instanceid="i-x")
        thief.beat(memberepoch=-1, instanceid="i-a"), describe(side, group), settle(side, b)
        side.call("LeaveGroup", 5, {"groupid": group, "members": [{"memberid": "", "groupinstanceid": "i-x"}, {"memberid": "nobody"},
                                                                   {"memberid": "nobody", "groupinstanceid": "i-b"}, {"memberid": "", "groupinstanceid": "i-b"}]})
        describe(side, group), b.beat()


def commits_static(side, group, member):
    for instance in (None, "i-a", "i-b", "i-x"):
        values = commit_values(side, group, [("instances", [part()])], member.epoch, member.id, groupinstanceid=instance)
        side.call("OffsetCommit", 9, values)


def patterns(side):
    """Subscriptions by regular expression; they are resolved in the background."""
    side.topic("re-one", 2), side.topic("re-two", 1), side.topic("other-re", 1)
    for number, (pattern, names, topics) in enumerate((
        ("re-.*", None, 2), ("re-(one|two)", [], 2), ("re-o.*", ["other-re"], 2), ("nothing-.*", None, 0), ("e-one", None, 0), ("", ["re-one"], 1),
    )):
        group = f"patterns-{number}"
        member = Consumer(side, group, "a", 1, subscribedtopicregex=pattern, subscribedtopicnames=names)
        member.took(side.quietly("ConsumerGroupHeartbeat", 1, member.values(**member.joining())))

        def resolved():
            member.quietly(topicpartitions=member.owned)
            return len(member.owned) == topics
        side.until(resolved)
        if topics:
            side.note(group, {"owned": member.owned})
        shown = side.quietly("ConsumerGroupDescribe", 1, {"groupids": [group]})["groups"][0]["members"][0]
        side.note(group, {key: shown[key] for key in ("subscribedtopicnames", "subscribedtopicregex", "assignment", "targetassignment")})
    for pattern in ("(", "[", "*", "a{2,1}", "(?=x)", "\\1", "x" * 10):
        member = Consumer(side, "patterns-bad", "b", 1, subscribedtopicregex=pattern)
        answer = side.quietly("ConsumerGroupHeartbeat", 1, member.values(**member.joining()))
        answer["errormessage"] = (answer["errormessage"] or "").split(":")[0]
        side.note(f"the pattern {pattern}", {key: answer[key] for key in ("errorcode", "memberid", "errormessage")})


def patterns_beside_names(side):
    """Who comes with a pattern that is new, or with no topics, to a group that has members."""
    side.topic("names-one", 6), side.topic("names-two", 2)
    a, b, c = (Consumer(side, "names", name, 1, topics) for name, topics in (("a", ["names-one"]), ("b", []), ("c", [])))
    a.join(), settle(side, a), b.join(), settle(side, a, b)
    c.more = {"subscribedtopicregex": "names-.*"}

    def resolved():
        for member in (a, b, c):
            member.quietly(topicpartitions=member.owned)
        return sum(len(topic["partitions"]) for topic in c.owned) == 4
    c.join(), side.until(resolved)
    settle(side, a, b, c), c.leave(), settle(side, a, b), b.leave(), settle(side, a)


def topics_that_come(side):
    """Topics and partitions that are there later than their subscribers."""
    member = Consumer(side, "early", "a", 1, ["later"])
    member.join(), settle(side, member)
    side.topic("later", 1)

    def owns(count):
        member.quietly(topicpartitions=member.owned)
        return sum(len(topic["partitions"]) for topic in member.owned) == count
    side.until(lambda: owns(1))
    side.note("one partition", {"owned": member.owned})
    side.quietly("CreatePartitions", 3, {"topics": [{"name": "later", "count": 3, "assignments": None}], "timeoutms": 9000})
    side.until(lambda: owns(3))
    side.note("three partitions", {"owned": member.owned})
    side.quietly("DeleteTopics", 4, {"topicnames": ["later"], "timeoutms": 9000})
    side.until(lambda: owns(0))
    side.note("none", {"owned": member.owned})


SESSION = 4.0  # seconds


def short_sessions(side, *groups):
    """Groups whose members may be silent for four seconds only."""
    for group in groups:
        settings = {"consumer.session.timeout.ms": str(int(SESSION * 1000)), "consumer.heartbeat.interval.ms": "500"}
        configs = [{"name": name, "configoperation": 0, "value": value} for name, value in settings.items()]
        wanted = {"resources": [{"resourcetype": 32, "resourcename": group, "configs": configs}]}
        side.until(lambda: side.quietly("IncrementalAlterConfigs", 1, wanted)["responses"][0]["errorcode"] == 0)
        asked = {"resources": [{"resourcetype": 32, "resourcename": group, "configurationkeys": list(settings)}]}
        side.until(lambda: [config["value"] for config in side.quietly("DescribeConfigs", 4, asked)["results"][0]["configs"]].count("500") == 1)


def wait_until(side, condition, member, seconds=20):
    """Until it is so, while this member goes on with its heartbeats; the time when it was."""
    def so():
        member.quietly(topicpartitions=member.owned)
        time.sleep(0.1)
        return condition()
    side.until(so, seconds)
    return time.monotonic()


def wait_for_all(side, member, count):
    """Until the member that goes on owns everything and is told so no more."""
    wait_until(side, lambda: sum(len(topic["partitions"]) for topic in member.owned) == count, member)
    member.quietly(topicpartitions=member.owned)


def ids_in(side, group):
    answer = side.quietly("ConsumerGroupDescribe", 1, {"groupids": [group]})["groups"][0]
    return {member["memberid"] for member in answer["members"]}


def sessions(side):
    """Members that fall silent: when they are gone, what they and the others are told then."""
    side.topic("silent", 4)
    short_sessions(side, "silent", "silent-static")
    a, b = (Consumer(side, "silent", name, 1, ["silent"]) for name in "ab")
    a.join(), b.join(), settle(side, a, b)
    last = time.monotonic()
    b.beat()
    gone = wait_until(side, lambda: b.id not in ids_in(side, "silent"), a)
    side.note("in time", {"not before": gone - last >= SESSION - 0.2, "soon after": gone - last < SESSION * 2})
    wait_for_all(side, a, 4), b.beat(), b.ack(), b.leave(), settle(side, a)
    side.call("OffsetCommit", 9, commit_values(side, "silent", [("silent", [part()])], b.epoch, b.id))
    b.join(), settle(side, a, b)

    # An instance that left for a while: its time counts from what it said last before that.
    group = "silent-static"
    c, d = (Consumer(side, group, name, 1, ["silent"], instanceid=f"i-{name}") for name in "cd")
    c.join(), d.join(), settle(side, c, d)
    last = time.monotonic()
    d.beat()
    wait_until(side, lambda: time.monotonic() - last > SESSION * 0.6, c)
    left = time.monotonic()
    d.leave(-2), describe(side, group)
    gone = wait_until(side, lambda: d.id not in ids_in(side, group), c)
    side.note("from its last word", {"not before": gone - last >= SESSION - 0.2, "before": gone - left < SESSION - 0.2})
    wait_for_all(side, c, 4), settle(side, c), d.beat(), d.beat(memberepoch=-2, instanceid="i-d")
    # Another one takes the place in time: that one's time begins then.
    d.join(), settle(side, c, d), d.leave(-2)
    thief = Consumer(side, group, "thief", 1, ["silent"], instanceid="i-d")
    taken = time.monotonic()
    thief.join(), describe(side, group)
    gone = wait_until(side, lambda: thief.id not in ids_in(side, group), c)
    side.note("from its joining", {"not before": gone - taken >= SESSION - 0.2, "soon after": gone - taken < SESSION * 2})
    wait_for_all(side, c, 4), thief.beat(), settle(side, c)


def revocations(side):
    """Members that go on but keep what they are to give up."""
    side.topic("kept", 4)
    rebalance = 3.0
    for way in ("says nothing", "keeps all", "leaves for a while"):
        group = f"kept-{way.replace(' ', '-')}"
        more = {"instanceid": "i-a"} if way == "leaves for a while" else {}
        a = Consumer(side, group, "a", 1, ["kept"], rebalancetimeoutms=int(rebalance * 1000), **more)
        b = Consumer(side, group, "b", 1, ["kept"])
        a.join(), a.ack()
        mine = a.owned
        b.join()
        told = time.monotonic()
        a.beat(topicpartitions=mine, **more), b.beat(), describe(side, group)
        if way == "leaves for a while":
            a.beat(memberepoch=-2, **more), describe(side, group)
            wait_until(side, lambda: time.monotonic() - told > rebalance * 2, b)
            describe(side, group), b.beat()
            back = Consumer(side, group, "c", 1, ["kept"], **more)
            back.join(), settle(side, b, back)
            continue
        kept = {} if way == "says nothing" else {"topicpartitions": mine}

        def fenced():
            return a.quietly(**kept)["errorcode"] != 0
        gone = wait_until(side, fenced, b)
        side.note(way, {"not before": gone - told >= rebalance - 0.2, "soon after": gone - told < rebalance * 2.5})
        wait_for_all(side, b, 4)
        a.owned = mine
        a.beat(**kept), a.ack(), b.beat(), describe(side, group)
        a.join(), settle(side, a, b)


SCRIPTS = [refused, single, reconciliation("uniform"), reconciliation("range"), lingering, static_members, patterns, patterns_beside_names, topics_that_come,
           sessions, revocations]
