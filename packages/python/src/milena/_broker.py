"""A broker of one's own: a child process that ends with this one, whatever ends it."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import tempfile
import time
from typing import Any, Iterable, Mapping, Optional

from . import _binary

# What a start may take on a machine that is busy with something else; a broker takes milliseconds.
START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0

_CREATE_TOPICS = 19
_TOPIC_ALREADY_EXISTS = 36


class BrokerError(Exception):
    """The broker did not start, or refused something. The text is what it said."""


class Broker:
    """A running broker, or one that is still to be started: `with Broker() as broker`, or `start()` and `stop()`.

    `topics` are there from the start, each a name or `NAME:PARTITIONS` or `NAME:PARTITIONS:CLEANUP_POLICY`. `config` has the
    keys of Kafka's `server.properties`. Without `data_dir` the data is in a temporary directory that goes with the
    broker. It listens on 127.0.0.1 alone; port 0 takes a free port. Variables `KAFKA_*` of the environment do not reach it.
    """

    def __init__(
        self,
        *,
        topics: Iterable[str] = (),
        config: Optional[Mapping[str, Any]] = None,
        port: int = 0,
        data_dir: "os.PathLike[str] | str | None" = None,
        binary: "os.PathLike[str] | str | None" = None,
        start_timeout: float = START_TIMEOUT,
    ) -> None:
        self._topics = list(topics)
        self._config = dict(config or {})
        self._port = port
        self._data_dir = data_dir
        self._binary = binary
        self._start_timeout = start_timeout
        self._process: Optional[subprocess.Popen] = None
        self._log: Any = None
        self._ready: dict = {}

    def __enter__(self) -> "Broker":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        """`127.0.0.1:PORT`, for `bootstrap.servers` of clients."""
        return self._told("bootstrap")

    @property
    def port(self) -> int:
        return self._told("port")

    @property
    def pid(self) -> int:
        return self._told("pid")

    @property
    def cluster_id(self) -> str:
        return self._told("cluster_id")

    @property
    def data_dir(self) -> str:
        return self._told("data_dirs")[0]

    @property
    def log(self) -> str:
        """What the broker has logged so far."""
        if self._log is None:
            return ""
        # With an offset of its own: the child writes where this file description stands.
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def start(self) -> "Broker":
        """Starts it; clients are served when this returns.

        Raises BrokerError if it does not start, with what it said.
        """
        if self._process is not None:
            raise BrokerError("the broker runs already")
        reader, writer = os.pipe()
        try:
            self._log = tempfile.TemporaryFile()
            try:
                self._process = subprocess.Popen(
                    self._command(writer),
                    pass_fds=(writer,),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._log,
                    env={k: v for k, v in os.environ.items() if not k.startswith(("KAFKA_", "MILENA_"))},
                )
            finally:
                os.close(writer)
            line = self._read_line(reader)
        except BaseException:
            self.stop()
            raise
        finally:
            os.close(reader)
        if not line.endswith(b"\n"):
            said = self.log.strip() or "the broker said nothing"
            self.stop()
            raise BrokerError(said)
        self._ready = json.loads(line)
        return self

    def stop(self) -> None:
        """Stops it; does nothing if it does not run."""
        process, self._process = self._process, None
        self._ready = {}
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None

    def create_topic(self, name: str, partitions: int = 1, config: Optional[Mapping[str, Any]] = None) -> None:
        """Makes a topic, or leaves it as it is if there is one of that name."""
        settings = [_string(key) + _string(_text(value)) for key, value in (config or {}).items()]
        topic = _string(name) + struct.pack(">ihi", partitions, -1, 0) + struct.pack(">i", len(settings)) + b"".join(settings)
        body = struct.pack(">i", 1) + topic + struct.pack(">i?", 60_000, False)
        answer = self._request(_CREATE_TOPICS, 2, body)
        # Throttle time, one topic, its name, and what became of it.
        at = 8
        at += 2 + struct.unpack_from(">h", answer, at)[0]
        (code, length) = struct.unpack_from(">hh", answer, at)
        if code not in (0, _TOPIC_ALREADY_EXISTS):
            reason = answer[at + 4 : at + 4 + max(length, 0)].decode()
            raise BrokerError(f"topic {name}: {reason or f'error {code}'}")

    def _told(self, name: str) -> Any:
        if name not in self._ready:
            raise BrokerError("the broker does not run")
        return self._ready[name]

    def _command(self, descriptor: int) -> "list[str]":
        binary = os.fspath(self._binary or _binary.find())
        # A file without settings keeps that of this machine, /etc/milena/server.properties, from being read.
        command = [binary, "serve", os.devnull, "--port", str(self._port), "--ready-fd", str(descriptor)]
        command.append(f"--exit-with-parent={os.getpid()}")
        if self._data_dir is None:
            command.append("--ephemeral")
        else:
            path = os.fspath(self._data_dir)
            if "," in path:
                # It would name several directories.
                raise BrokerError(f"data_dir: {path} has a comma in it")
            command += ["--override", f"log.dirs={path}"]
        for topic in self._topics:
            command += ["--topic", topic]
        for key, value in self._config.items():
            command += ["--override", f"{key}={_text(value)}"]
        return command

    def _read_line(self, reader: int) -> bytes:
        line = b""
        end = time.monotonic() + self._start_timeout
        while not line.endswith(b"\n"):
            left = max(0.0, end - time.monotonic())
            if not select.select([reader], [], [], left)[0]:
                raise BrokerError(f"the broker did not start within {self._start_timeout} s: {self.log.strip()}")
            piece = os.read(reader, 4096)
            if not piece:
                break
            line += piece
        return line

    def _request(self, key: int, version: int, body: bytes) -> bytes:
        """One request on a connection of its own; the answer behind its header."""
        frame = struct.pack(">hhi", key, version, 1) + _string("milena") + body
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(struct.pack(">i", len(frame)) + frame)
            (length,) = struct.unpack(">i", _receive(connection, 4))
            return _receive(connection, length)[4:]


def _receive(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        piece = connection.recv(length - len(received))
        if not piece:
            raise BrokerError("the broker has closed the connection")
        received += piece
    return received


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded


def _text(value: Any) -> str:
    """A value as `server.properties` has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
