"""What every Python client does: `CLIENT.py SCENARIO BOOTSTRAP TAG`. Each client brings the functions, this the words."""
import inspect
import asyncio
import sys
import threading
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


class Member(threading.Thread):
    """A member of a group, which polls until it is to leave. `join()` gives its client, of which `client.take()` polls and
    returns the numbers of the partitions that it holds and the values that came, and `client.leave()` ends it."""

    def __init__(self, join):
        super().__init__(daemon=True)
        self.join_group, self.leaving, self.held, self.seen, self.error = join, False, set(), set(), None
        self.start()

    def run(self):
        try:
            client = self.join_group()
            while not self.leaving:
                held, came = client.take()
                self.seen |= set(came)
                self.held = set(held)
            client.leave()
        except Exception as error:  # whatever a library raises is the result
            self.error = error

    def leave(self):
        self.leaving = True
        self.join()


def rebalance(join, send):
    """One member, two, and one again. `send(values)` writes them in turn to the four partitions of the topic."""
    members = []

    def until(what, condition):
        end = time.monotonic() + 60
        while not condition():
            errors = [member.error for member in members if member.error]
            if errors or time.monotonic() > end:
                sys.exit(f"{what}: {errors}, {[(member.held, member.seen) for member in members]}")
            time.sleep(0.01)

    first = Member(join)
    members.append(first)
    until("one member", lambda: len(first.held) == 4)
    second = Member(join)
    members.append(second)
    until("two members", lambda: len(first.held) == len(second.held) == 2 and not first.held & second.held)
    send(values(0, 40))
    until("records for both", lambda: len(first.seen) == len(second.seen) == 20 and not first.seen & second.seen)
    first.leave()
    until("who is left", lambda: len(second.held) == 4)
    send(values(40, 80))
    until("records for one", lambda: second.seen >= set(values(40, 80)))
    second.leave()
    expect(second.error, None, "at the end")


def main(scenarios):
    name, bootstrap, tag = sys.argv[1:4]
    run = scenarios[name]
    result = run(bootstrap, tag)
    if inspect.iscoroutine(result):
        asyncio.run(asyncio.wait_for(result, 60))
