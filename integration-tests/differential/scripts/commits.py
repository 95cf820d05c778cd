"""Committed offsets, what is told of groups, and where their coordinator is."""

from scripts.classic import Member, describe, subscription

META = "m" * 4096


def part(index=0, offset=5, metadata="m", epoch=-1):
    return {"partitionindex": index, "committedoffset": offset, "committedmetadata": metadata, "committedleaderepoch": epoch}


def topics(side, wanted):
    return [{"name": name, "topicid": side.ids.get(name, "f" * 32), "partitions": parts} for name, parts in wanted]


def commit_values(side, group, wanted, generation=-1, member="", **more):
    return {"groupid": group, "generationidormemberepoch": generation, "memberid": member, "topics": topics(side, wanted), **more}


def fetch_values(side, group, wanted, member=None, epoch=-1, **more):
    def asked(**ids):
        return None if wanted is None else [
            {"name": name, **{key: found(name) for key, found in ids.items()}, "partitionindexes": indexes} for name, indexes in wanted]

    one = {"groupid": group, "memberid": member, "memberepoch": epoch, "topics": asked(topicid=lambda name: side.ids.get(name, "f" * 32))}
    return {"groupid": group, "topics": asked(), "groups": [one], **more}


def fetch(side, version, group, wanted, **more):
    if wanted is not None or version > 1:
        side.call("OffsetFetch", version, fetch_values(side, group, wanted, **more))


def without_members(side):
    """Commits of who is in no group, and all that fetches them."""
    side.topic("committed", 3)
    for version in side.versions("OffsetCommit"):
        group = f"simple-{version}"

        def commit(wanted, **more):
            side.call("OffsetCommit", version, commit_values(side, more.pop("group", group), wanted, **more))

        commit([("committed", [part(), part(1, 7, ""), part(2, 0, None)])])
        commit([("committed", [part(7)]), ("none", [part()])])
        commit([("committed", [part(0, -1), part(1, -2), part(2, 1 << 62)])])
        commit([("committed", [part(0, 9, META), part(1, 9, META + "m"), part(2, 9, "\u00e9" * 4096)])])
        commit([("committed", [part(0, 3, "e", 7), part(1, 3, "e", -1), part(2, 3, "e", 0)])])
        commit([("committed", [part(0, 1), part(0, 2)])]), commit([("committed", [part(0, 1)]), ("committed", [part(1, 2)])])
        commit([]), commit([("committed", [])]), commit([("", [part()])]), commit([("__consumer_offsets", [part(0)])])
        commit([("committed", [part(-1), part(3)])])
        commit([("committed", [part()])], generation=1), commit([("committed", [part()])], member="nobody")
        commit([("committed", [part()])], generation=0, member="nobody"), commit([("committed", [part()])], groupinstanceid="i")
        commit([("committed", [part()])], retentiontimems=1000)
        commit([("committed", [part()])], generation=-2)
        commit([("committed", [part()])], group=""), commit([("committed", [part()])], group="\u00fc \n")
        for asked in side.versions("OffsetFetch"):
            for wanted in (None, [], [("committed", [0, 1, 2])], [("committed", [7]), ("none", [0])], [("committed", [])], [("committed", [0, 0])]):
                for stable in (False, True):
                    fetch(side, asked, group, wanted, requirestable=stable)
    for version in side.versions("OffsetFetch"):
        for group in ("", "none"):
            for wanted in (None, [], [("committed", [0])]):
                fetch(side, version, group, wanted)
        for member, epoch in (("nobody", 1), ("nobody", -1), ("", 0), (None, 4)):
            fetch(side, version, "simple-2", [("committed", [0])], member=member, epoch=epoch)
            fetch(side, version, "none", [("committed", [0])], member=member, epoch=epoch)
    side.each("DeleteGroups", {"groupsnames": ["", "none"]})
    for version in side.versions("OffsetFetch", 8):
        several = [fetch_values(side, group, wanted)["groups"][0] for group, wanted in (
            ("simple-2", [("committed", [0])]), ("simple-3", None), ("none", None), ("", None), ("simple-2", None))]
        side.call("OffsetFetch", version, {"groups": several})
        side.call("OffsetFetch", version, {"groups": []})


def of_members(side):
    """Commits within a generation, before it and during a rebalance."""
    side.topic("owned", 2)
    for version in side.versions("OffsetCommit"):
        group = f"owners-{version}"
        member = Member(side, group, "a", 5, instance="i")

        def commit(member_id=None, generation=None, instance="i"):
            wanted = [("owned", [part()]), ("none", [part()])]
            values = commit_values(side, group, wanted, member.generation if generation is None else generation,
                                   member.id if member_id is None else member_id, groupinstanceid=instance)
            side.call("OffsetCommit", version, values)

        member.join(), commit(), member.sync([(member, b"x")]), commit(), commit(generation=99), commit("nobody"), commit("", -1)
        commit("", 1), commit(instance=None), commit(instance="other"), commit(generation=-1), commit("nobody", instance=None)
        other = Member(side, group, "b", 5)
        other.send_join(), other.joined(), other.send_join()
        side.until(lambda: side.quietly("DescribeGroups", 5, {"groups": [group]})["groups"][0]["groupstate"] == "PreparingRebalance")
        commit(), member.send_join(), member.joined(), other.joined(), commit(), commit("", -1)
        for asked in side.versions("OffsetFetch", 8):
            fetch(side, asked, group, None, member=member.id, epoch=member.generation), fetch(side, asked, group, None, member="nobody", epoch=3)
        member.sync([]), other.sync(), other.leave(), member.leave(), commit(), commit("", -1)


def deletions(side):
    """OffsetDelete and DeleteGroups."""
    side.topic("subscribed", 2), side.topic("other", 2)

    def delete(group, wanted):
        asked = [{"name": name, "partitions": [{"partitionindex": index} for index in indexes]} for name, indexes in wanted]
        side.call("OffsetDelete", 0, {"groupid": group, "topics": asked})

    def filled(group):
        side.quietly("OffsetCommit", 9, commit_values(side, group, [(name, [part(0), part(1)]) for name in ("subscribed", "other")]))

    everything = [("subscribed", [0, 1, 7]), ("other", [0]), ("none", [0])]
    filled("to-delete")
    for group in ("to-delete", "none", "to-delete"):
        delete(group, everything), delete(group, []), fetch(side, 9, group, None)
    for kind in ("consumer", "connect"):
        group = f"busy-{kind}"
        protocols = [("range", subscription(["subscribed"]))]
        member = Member(side, group, "a", 5, kind=kind, protocols=protocols)
        member.join(), delete(group, everything), member.sync([(member, b"")])
        wanted = [(name, [part(0), part(1)]) for name in ("subscribed", "other")]
        side.call("OffsetCommit", 9, commit_values(side, group, wanted, member.generation, member.id))
        delete(group, everything), delete(group, [("other", [1])]), fetch(side, 9, group, None)
        for version in side.versions("DeleteGroups"):
            side.call("DeleteGroups", version, {"groupsnames": [group]})
        member.leave(), delete(group, everything), fetch(side, 9, group, None)
        side.call("DeleteGroups", 2, {"groupsnames": [group]}), side.call("DeleteGroups", 2, {"groupsnames": [group]})
        fetch(side, 9, group, None), describe(side, group)
    for version in side.versions("DeleteGroups"):
        filled("one"), filled("two")
        for names in (["one"], ["one"], ["none", "two"], ["two", "two"], []):
            side.call("DeleteGroups", version, {"groupsnames": names})


def listings(side):
    """ListGroups and DescribeGroups in every state."""
    def listed(version, states=(), types=()):
        values = {"statesfilter": list(states), "typesfilter": list(types)}
        if version < 5:
            values.pop("typesfilter")
        if version < 4:
            values.pop("statesfilter")
        answer = side.quietly("ListGroups", version, values)
        if isinstance(answer, dict):
            answer["groups"] = [group for group in answer["groups"] if group["groupid"].startswith("seen-")]
        side.note(f"ListGroups {version} {list(states)} {list(types)}", answer)

    def look():
        for version in side.versions("ListGroups"):
            for states in ((), ("Stable",), ("stable",), ("STABLE", "Empty"), ("none",), ("",), ("PreparingRebalance", "CompletingRebalance"),
                           ("Dead",), ("Assigning", "Reconciling"), ("NotReady",)):
                if version > 3 or not states:
                    listed(version, states)
            for types in (("classic",), ("Classic",), ("consumer",), ("CONSUMER", "classic"), ("none",), ("",), ("share", "streams"), ("unknown",)):
                if version > 4:
                    listed(version, (), types), listed(version, ("Stable", "Empty"), types)
        for version in side.versions("DescribeGroups"):
            for given in (False, True):
                side.call("DescribeGroups", version, {"groups": ["seen-a", "seen-b", "none", "seen-a"], "includeauthorizedoperations": given})
            side.call("DescribeGroups", version, {"groups": []})

    a, b = Member(side, "seen-a", "a", 5), Member(side, "seen-a", "b", 5)
    side.topic("seen-topic")
    a.join(), a.sync([(a, b"all")])
    side.quietly("OffsetCommit", 9, commit_values(side, "seen-b", [("seen-topic", [part()])]))
    look()
    b.send_join(), b.joined(), b.send_join()
    side.until(lambda: side.quietly("DescribeGroups", 5, {"groups": ["seen-a"]})["groups"][0]["groupstate"] == "PreparingRebalance")
    look(), a.send_join(), a.joined(), b.joined(), look(), a.sync([(a, b"1"), (b, b"2")]), b.sync(), look()
    a.leave(), b.leave(), look(), side.call("ConsumerGroupDescribe", 1, {"groupids": ["seen-a", "seen-b", "none", "seen-a"]})


def coordinators(side):
    """FindCoordinator for every kind of key."""
    for version in side.versions("FindCoordinator"):
        for kind in (0, 1, 2, 3, -1, 100):
            for key in ("g", "", "none", "a:AAAAAAAAAAAAAAAAAAAAAA:0", "\u00fc"):
                values = {"key": key, "keytype": kind, "coordinatorkeys": [key]}
                meant = {0: None, 1: None, 2: "share groups are not served"}.get(kind, "a text of its own")
                side.call("FindCoordinator", version, values, meant=meant)
        if version > 3:
            for keys in ([], ["a", "b", "a"], ["", "a"]):
                side.call("FindCoordinator", version, {"key": "", "keytype": 0, "coordinatorkeys": keys})


SCRIPTS = [without_members, of_members, deletions, listings, coordinators]
