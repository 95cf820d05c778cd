"""Kafka's protocol by the schemas that lie in the client library: requests from dictionaries, responses to them.

Field names are lower case. A field that is not given has the default of its schema.
"""

import glob
import json
import re
import socket
import struct
import zipfile

NUMBERS = {"int8": "b", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "float64": "d"}


def load_schemas(jars):
    """All message schemas by name."""
    schemas = {}
    (path,) = [p for p in glob.glob(jars + "/kafka-clients-*.jar") if "test" not in p]
    with zipfile.ZipFile(path) as jar:
        for name in jar.namelist():
            if re.fullmatch(r"common/message/\w+(Request|Response)\.json", name):
                text = re.sub(r"(^|\s)//.*$", "", jar.read(name).decode(), flags=re.M)
                schema = json.loads(text)
                schemas[schema["name"]] = schema
    return schemas


def within(version, versions):
    """Whether a version is in a range such as `1+`, `0-3` or `none`."""
    if versions in (None, "none"):
        return False
    low, _, high = versions.rstrip("+").partition("-")
    return int(low) <= version <= (32767 if versions.endswith("+") else int(high or low))


def default_of(field):
    given, kind = field.get("default"), field["type"]
    if given == "null":
        return None
    if kind.startswith("[]"):
        return []
    if kind in NUMBERS:
        return float(given or 0) if kind == "float64" else int(str(given or 0), 0)
    if kind == "bool":
        return given in ("true", True)
    return {"string": given or "", "uuid": "0" * 32, "bytes": b"", "records": None}.get(kind, {})


class Message:
    """One message in one version."""

    def __init__(self, schema, version):
        self.schema, self.version = schema, version
        self.flexible = within(version, schema["flexibleVersions"])
        self.structs = {struct["name"]: struct["fields"] for struct in schema.get("commonStructs", [])}

    def is_flexible(self, field):
        return self.flexible and within(self.version, field.get("flexibleVersions", "0+"))

    def is_tagged(self, field):
        return within(self.version, field.get("taggedVersions"))

    def fields(self, field, kind):
        return field.get("fields") or self.structs[kind]

    def encode(self, fields, values):
        known = {field["name"].lower() for field in fields}
        assert known.issuperset(values), f"no fields {set(values) - known}"
        out, tags = b"", []
        for field in fields:
            value = values.get(field["name"].lower(), default_of(field))
            if self.is_tagged(field):
                if value != default_of(field):
                    tags.append((field["tag"], self.encode_value(field, field["type"], value)))
            elif within(self.version, field["versions"]):
                out += self.encode_value(field, field["type"], value)
        if self.flexible:
            out += unsigned(len(tags))
            for tag, encoded in sorted(tags):
                out += unsigned(tag) + unsigned(len(encoded)) + encoded
        return out

    def encode_value(self, field, kind, value):
        flexible = self.is_flexible(field)
        if kind.startswith("[]"):
            element = {**field, "nullableVersions": None}
            return length(value, flexible, "i") + b"".join(self.encode_value(element, kind[2:], v) for v in value or [])
        if kind in NUMBERS:
            return struct.pack(">" + NUMBERS[kind], value)
        if kind == "bool":
            return bytes([value])
        if kind == "uuid":
            return bytes.fromhex(value)
        if kind == "string":
            encoded = None if value is None else value.encode()
            return length(encoded, flexible, "h") + (encoded or b"")
        if kind in ("bytes", "records"):
            return length(value, flexible, "i") + (value or b"")
        if within(self.version, field.get("nullableVersions")):
            return b"\xff" if value is None else b"\1" + self.encode(self.fields(field, kind), value)
        return self.encode(self.fields(field, kind), value)

    def decode(self, fields, reader):
        out = {}
        for field in fields:
            if within(self.version, field["versions"]) and not self.is_tagged(field):
                out[field["name"].lower()] = self.decode_value(field, field["type"], reader)
        if self.flexible:
            tagged = {field["tag"]: field for field in fields if self.is_tagged(field)}
            for _ in range(reader.unsigned()):
                tag, part = reader.unsigned(), Reader(reader.take(reader.unsigned()))
                field = tagged[tag]
                out[field["name"].lower()] = self.decode_value(field, field["type"], part)
                part.end()
        return out

    def decode_value(self, field, kind, reader):
        flexible = self.is_flexible(field)
        if kind.startswith("[]"):
            count = reader.length(flexible, "i")
            # The array may be null, its elements may not.
            element = {**field, "nullableVersions": None}
            return None if count < 0 else [self.decode_value(element, kind[2:], reader) for _ in range(count)]
        if kind in NUMBERS:
            return reader.number(NUMBERS[kind])
        if kind == "bool":
            return reader.number("B") != 0
        if kind == "uuid":
            return reader.take(16).hex()
        if kind in ("string", "bytes", "records"):
            count = reader.length(flexible, "h" if kind == "string" else "i")
            taken = None if count < 0 else reader.take(count)
            return taken.decode() if kind == "string" and taken is not None else taken
        if within(self.version, field.get("nullableVersions")) and reader.number("b") < 0:
            return None
        return self.decode(self.fields(field, kind), reader)


class Reader:
    """Bytes that are read to their end."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data), "the response is cut off"
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, code):
        return struct.unpack(">" + code, self.take(struct.calcsize(code)))[0]

    def unsigned(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def length(self, flexible, code):
        return self.unsigned() - 1 if flexible else self.number(code)

    def end(self):
        assert self.at == len(self.data), f"{len(self.data) - self.at} bytes are left"


def unsigned(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def length(value, flexible, code):
    count = -1 if value is None else len(value)
    return unsigned(count + 1) if flexible else struct.pack(">" + code, count)


class Connection:
    """One connection; opened anew when the broker has closed it."""

    def __init__(self, schemas, port, client="compare"):
        self.schemas, self.port, self.client, self.socket = schemas, port, client.encode(), None
        # Bodies of the last request and, behind its correlation id, of the last answer.
        self.sent = self.received = b""

    def call(self, api, version, values):
        """The response, or a word for what happened instead."""
        self.send(api, version, values)
        return self.answer(api, version)

    def send(self, api, version, values):
        """Sends without waiting; each is followed by one `answer`, but for a produce with acks 0."""
        request = Message(self.schemas[api + "Request"], version)
        header = struct.pack(">hhi", request.schema["apiKey"], version, 7) + length(self.client, False, "h") + self.client
        self.sent, self.received = request.encode(request.schema["fields"], values), b""
        body = header + (b"\0" if request.flexible else b"") + self.sent
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=8)
        try:
            self.socket.sendall(struct.pack(">i", len(body)) + body)
        except ConnectionError:
            pass  # The answer says so.

    def answer(self, api, version):
        """The response to the oldest request that was not answered, `closed`, or `silence` if there is none in time."""
        frame = self.frame()
        if isinstance(frame, str):
            return frame
        reader = Reader(frame)
        self.received = reader.data[4:]
        response = Message(self.schemas[api + "Response"], version)
        assert reader.number("i") == 7, "another correlation id"
        if response.flexible and api != "ApiVersions":
            assert reader.unsigned() == 0, "tags in the header"
        decoded = response.decode(response.schema["fields"], reader)
        reader.end()
        return decoded

    def bare(self, key, version):
        """What comes of a request without a body: `closed`, `silence`, or the error code of the answer."""
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=8)
        try:
            self.socket.sendall(struct.pack(">ihhih", 10, key, version, 7, -1))
        except ConnectionError:
            pass  # The answer says so.
        frame = self.frame()
        return frame if isinstance(frame, str) else struct.unpack(">h", frame[4:6])[0]

    def frame(self):
        """The next answer, header and body; or `closed`, or `silence` if there is none in time."""
        try:
            (count,) = struct.unpack(">i", self.receive(4))
            return self.receive(count)
        except ConnectionError:
            self.close()
            return "closed"
        except TimeoutError:
            self.close()
            return "silence"

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def receive(self, count):
        out = b""
        while len(out) < count:
            part = self.socket.recv(count - len(out))
            if not part:
                raise ConnectionError("closed")
            out += part
        return out
