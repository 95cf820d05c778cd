"""What every Python client does: `CLIENT.py SCENARIO BOOTSTRAP TAG`. Each client brings the functions, this the words."""
import inspect
import asyncio
import sys

CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
BASE_MS = 1_700_000_000_000


def expect(seen, wanted, what):
    if seen != wanted:
        sys.exit(f"{what}: {str(seen)[:300]} instead of {str(wanted)[:300]}")


def values(start, end):
    return [f"value {n}".encode() for n in range(start, end)]


def main(scenarios):
    name, bootstrap, tag = sys.argv[1:4]
    run = scenarios[name]
    result = run(bootstrap, tag)
    if inspect.iscoroutine(result):
        asyncio.run(asyncio.wait_for(result, 60))
