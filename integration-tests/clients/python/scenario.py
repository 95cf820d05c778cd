"""What every Python client does: `CLIENT.py SCENARIO BOOTSTRAP TAG`. Each client brings the functions, this the words."""
import inspect
import asyncio
import sys
import time

COMPACTED = {"cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0"}
CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
BASE_MS = 1_700_000_000_000


def expect(seen, wanted, what):
    if seen != wanted:
        sys.exit(f"{what}: {str(seen)[:300]} instead of {str(wanted)[:300]}")


def values(start, end):
    return [f"value {n}".encode() for n in range(start, end)]


def later_ms():
    """A time at which a segment of a topic that compacts is closed, however fast the records before it went."""
    return int((time.time() + 10) * 1000)


def rounds():
    """What a topic that compacts is given, (key, value) by (key, value): only the last of each key stays."""
    return [(f"key {n}".encode(), f"value {n}, {round}".encode()) for round in range(5) for n in range(10)]


def rebalance(join, leave, send):
    """One member, two, and one again. `join()` gives one, of which `member(seconds)` polls and returns the partitions that it
    holds and the values that came; `send(values)` writes them in turn to the four partitions of the topic."""
    def until(what, members, shares):
        end, held = time.monotonic() + 60, None
        while time.monotonic() < end:
            held = [set(member(0.05)[0]) for member in members]
            if [len(partitions) for partitions in held] == shares:
                return held
        sys.exit(f"{what}: {held}")

    def work(members, wanted):
        send(wanted)
        end, seen = time.monotonic() + 60, [set() for _ in members]
        while not set(wanted) <= set().union(*seen):
            for member, values in zip(members, seen):
                values.update(member(0.05)[1])
            if time.monotonic() > end:
                sys.exit(f"{seen} instead of {wanted}")
        return seen

    first = join()
    until("one member", [first], [4])
    second = join()
    ones, others = until("two members", [first, second], [2, 2])
    expect(ones & others, set(), "partitions of both")
    ones, others = work([first, second], values(0, 40))
    expect((len(ones), len(others)), (20, 20), "shares of the records")
    leave(first)
    until("who is left", [second], [4])
    work([second], values(40, 80))
    leave(second)


def main(scenarios):
    name, bootstrap, tag = sys.argv[1:4]
    run = scenarios[name]
    result = run(bootstrap, tag)
    if inspect.iscoroutine(result):
        asyncio.run(asyncio.wait_for(result, 60))
