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


def main(scenarios):
    name, bootstrap, tag = sys.argv[1:4]
    run = scenarios[name]
    result = run(bootstrap, tag)
    if inspect.iscoroutine(result):
        asyncio.run(asyncio.wait_for(result, 60))
