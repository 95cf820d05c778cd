"""Record batches and message sets as clients write them, in all three formats, and what is in those that were fetched.

The codecs are written by their stored forms (a block that says of itself that it is not compressed), so that no library is
needed: brokers must take them like any other.
"""

import gzip
import struct
import zlib

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
TRANSACTIONAL, CONTROL, APPEND_TIME, DELETE_HORIZON = 0x10, 0x20, 0x08, 0x40
TIME = 1_700_000_000_000


def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def xxh32(data):
    """For less than 16 bytes, which is what an LZ4 header has."""
    first, second, third, fourth, fifth = 2654435761, 2246822519, 3266489917, 668265263, 374761393
    word = 0xFFFFFFFF
    out = fifth + len(data) & word
    whole = len(data) // 4 * 4
    for (part,) in struct.iter_unpack("<I", data[:whole]):
        out = out + part * third & word
        out = (out << 17 | out >> 15) * fourth & word
    for byte in data[whole:]:
        out = out + byte * fifth & word
        out = (out << 11 | out >> 21) * first & word
    out = (out ^ out >> 15) * second & word
    out = (out ^ out >> 13) * third & word
    return out ^ out >> 16


def packed(codec, data, magic=2):
    if codec == NONE:
        return data
    if codec == GZIP:
        return gzip.compress(data, mtime=0)
    if codec == SNAPPY:
        block = unsigned(len(data)) + bytes([61 << 2]) + struct.pack("<H", len(data) - 1) + data
        return b"\x82SNAPPY\0" + struct.pack(">iii", 1, 1, len(block)) + block
    if codec == LZ4:
        descriptor = b"\x60\x40"
        # The checksum of version 0 takes in the magic number, by a mistake that became the format.
        check = descriptor if magic else struct.pack("<I", 0x184D2204) + descriptor
        header = struct.pack("<I", 0x184D2204) + descriptor
        header += bytes([xxh32(check) >> 8 & 255])
        return header + struct.pack("<I", len(data) | 0x80000000) + data + struct.pack("<I", 0)
    block = struct.pack("<I", len(data) << 3 | 1)[:3] + data
    return struct.pack("<I", 0xFD2FB528) + b"\xa0" + struct.pack("<I", len(data)) + block


def unsigned(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def signed(value):
    return unsigned((value << 1 ^ value >> 63) & (1 << 64) - 1)


def some(data):
    return signed(-1) if data is None else signed(len(data)) + data


def record(offset_delta=0, time_delta=0, key=b"k", value=b"v", headers=(), attributes=0):
    body = bytes([attributes]) + signed(time_delta) + signed(offset_delta) + some(key) + some(value) + signed(len(headers))
    for name, content in headers:
        body += some(name) + some(content)
    return signed(len(body)) + body


def records(count, **given):
    return [record(delta, **given) for delta in range(count)]


def batch(parts=None, *, codec=NONE, attributes=0, producer=-1, epoch=-1, sequence=-1, base=0, first_time=TIME, max_time=None,
          magic=2, leader_epoch=-1, count=None, last=None, crc=None, length=None, tail=b"", body=None):
    """A batch of version 2; what is given replaces what would be right."""
    parts = records(1) if parts is None else parts
    body = packed(codec, b"".join(parts)) if body is None else body
    max_time = first_time if max_time is None else max_time
    covered = struct.pack(
        ">hiqqqhii", codec | attributes, len(parts) - 1 if last is None else last, first_time, max_time,
        producer, epoch, sequence, len(parts) if count is None else count,
    ) + body
    check = crc32c(covered) if crc is None else crc
    rest = struct.pack(">ibI", leader_epoch, magic, check) + covered
    return struct.pack(">qi", base, len(rest) if length is None else length) + rest + tail


def message(magic=1, key=b"k", value=b"v", offset=0, time=TIME, attributes=0, crc=None):
    """A message of version 0 or 1."""
    body = bytes([magic, attributes]) + (struct.pack(">q", time) if magic else b"")
    for part in (key, value):
        body += struct.pack(">i", -1) if part is None else struct.pack(">i", len(part)) + part
    body = struct.pack(">I", zlib.crc32(body) if crc is None else crc) + body
    return struct.pack(">qi", offset, len(body)) + body


def message_set(magic, count, codec=NONE, **given):
    """Messages, in a wrapper if they are compressed."""
    inner = b"".join(message(magic, offset=offset, **given) for offset in range(count))
    if codec == NONE:
        return inner
    return message(magic, None, packed(codec, inner, magic), offset=count - 1 if magic else 0, attributes=codec)


def described(data):
    """What a client sees of fetched bytes: the batches in words, but for one that is cut off at the end, which it ignores."""
    out, at = [], 0
    while data is not None and at + 17 <= len(data):
        base, size, leader_epoch, magic = struct.unpack_from(">qiib", data, at)
        end = at + 12 + size
        if magic != 2 or size < 49 or end > len(data):
            return out + ([] if end > len(data) else [data[at:].hex()])
        attributes, last, first, largest, producer, epoch, sequence, count = struct.unpack_from(">hiqqqhii", data, at + 21)
        times = "*" if attributes & (CONTROL | APPEND_TIME) else f"{first - TIME} {largest - TIME}"
        body = hashed(data[at + 61 : end], attributes)
        words = f"{base}+{last} epoch {leader_epoch} attributes {attributes} times {times} sequence {epoch}/{sequence} {count} records {body}"
        out.append({"batch": words, "producerid": producer})
        at = end
    return out


def hashed(body, attributes):
    # A marker names the coordinator's epoch, which is not the same for two brokers; what is compressed, its library.
    if attributes & CONTROL:
        return body[5:13].hex()
    if attributes & 7 == GZIP:
        try:
            body = gzip.decompress(body)
        except gzip.BadGzipFile:
            pass
    return f"{len(body)} bytes {zlib.crc32(body):08x}"
