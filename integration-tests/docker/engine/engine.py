#!/usr/bin/env python3
"""A stand-in for a container engine: as much of its interface as libraries for tests use, over one image.

    engine.py SOCKET IMAGE DOCKERFILE FOLDER

IMAGE is the root file system of an image that goes by every name, DOCKERFILE says what else the image has; containers are
copies of it below FOLDER. Needs root, and a process namespace of its own, with which its containers end. What is asked of it
and not known is answered with 501 and named on standard error.
"""

import io
import itertools
import json
import re
import secrets
import signal
import socketserver
import struct
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from container import NEVER, Container, Output, Refused
from image import Image

VERSION = "1.47"
BRIDGE = "bridge"


class Engine:
    """All that there is: one image, containers, processes in them, networks."""

    def __init__(self, image: Image, folder: Path):
        self.image, self.folder = image, folder
        self.numbers = itertools.count()
        self.containers, self.processes = {}, {}
        self.networks = {BRIDGE: {}}
        self.lock = threading.Lock()

    def container(self, name: str) -> Container:
        name = name.lstrip("/")
        for found in list(self.containers.values()):
            if found.name == name or len(name) >= 12 and found.id.startswith(name):
                return found
        raise Refused(404, f"No such container: {name}")

    def create(self, name: str, wanted: dict) -> Container:
        with self.lock:
            made = Container(self.image, self.folder, next(self.numbers), name, wanted)
            mode = (wanted.get("HostConfig") or {}).get("NetworkMode") or BRIDGE
            ends = (wanted.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
            made.networks = {name: (end or {}).get("Aliases") or [] for name, end in ends.items()}
            made.networks.setdefault(BRIDGE if mode == "default" else mode, [])
            self.containers[made.id] = made
        return made

    def remove(self, container: Container, force: bool) -> None:
        if container.state == "running" and not force:
            raise Refused(409, f"container {container.id} is running")
        container.kill()
        del self.containers[container.id]
        container.remove()

    def network(self, name: str) -> dict:
        if name not in self.networks:
            raise Refused(404, f"network {name} not found")
        members = {one.id: {"Name": one.name, "IPv4Address": one.address + "/16"}
                   for one in list(self.containers.values()) if name in one.networks}
        return {
            "Name": name, "Id": name, "Created": NEVER, "Scope": "local", "Driver": "bridge", "EnableIPv6": False,
            "Internal": False, "Attachable": False, "Ingress": False, "ConfigOnly": False, "Options": {},
            "Labels": self.networks[name].get("Labels") or {}, "Containers": members,
            "IPAM": {"Driver": "default", "Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]},
        }

    def end(self) -> None:
        for container in list(self.containers.values()):
            self.remove(container, True)


class Handler(BaseHTTPRequestHandler):
    """One connection of a client. Methods named `answer_...` are rows of ROUTES."""

    protocol_version = "HTTP/1.1"
    engine: Engine

    def log_message(self, *_):
        """Says nothing of what went well."""

    def _handle(self):
        path, _, query = self.path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query))
        path = re.sub(r"^/v1\.\d+", "", path)
        self.sent = False
        try:
            body = self._body()
            for method, pattern, answer in ROUTES:
                match = re.fullmatch(pattern, path)
                if match and method == self.command:
                    answer(self, *map(urllib.parse.unquote, match.groups()), body)
                    break
            else:
                print(f"engine: {self.command} {self.path} is not known", file=sys.stderr, flush=True)
                raise Refused(501, f"{self.command} {path} is not known here")
        except Refused as refused:
            self._json({"message": str(refused)} if refused.status != 304 else None, refused.status)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception as error:
            print(f"engine: {self.command} {self.path}: {error!r}", file=sys.stderr, flush=True)
            self.close_connection = True
            if not self.sent:
                self._json({"message": repr(error)}, 500)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    # Answers.

    def _head(self, status: int, **headers) -> None:
        self.sent = True
        self.send_response(status)
        for name, value in {"Api_Version": VERSION, "OSType": "linux", **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def _json(self, value=None, status: int = 200) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        if status == 200 and value is None:
            status = 204
        headers = {"Content_Length": len(body)} if status not in (204, 304) else {}
        self._head(status, Content_Type="application/json", **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _stream(self, pieces, kind: str) -> None:
        self._head(200, Content_Type=kind, Transfer_Encoding="chunked")
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _true(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("1", "true")

    def _filters(self) -> dict:
        filters = json.loads(self.query.get("filters") or "{}")
        # One library has lists, another an object of which the values say nothing.
        return {key: list(values) for key, values in filters.items()}

    def answer_ping(self, _):
        text = b"OK"
        self._head(200, Content_Type="text/plain", Content_Length=len(text))
        if self.command != "HEAD":
            self.wfile.write(text)

    def answer_version(self, _):
        self._json({
            "Version": "28.0.0", "ApiVersion": VERSION, "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64",
            "KernelVersion": "", "GitCommit": "", "GoVersion": "", "BuildTime": "", "Platform": {"Name": ""}, "Components": [],
        })

    def answer_info(self, _):
        self._json({
            "ID": "milena", "Name": "milena", "ServerVersion": "28.0.0", "OperatingSystem": "linux", "OSType": "linux",
            "Architecture": "x86_64", "NCPU": 2, "MemTotal": 4 << 30, "Labels": [], "Driver": "copy", "KernelVersion": "",
            "Containers": len(self.engine.containers), "Images": 1, "IndexServerAddress": "https://index.docker.io/v1/",
            "RegistryConfig": {"IndexConfigs": {}, "InsecureRegistryCIDRs": [], "Mirrors": []}, "SecurityOptions": [],
        })

    def answer_image(self, name: str, _):
        self._json(self.engine.image.inspect(name))

    def answer_images(self, _):
        self._json([])

    def answer_pull(self, _):
        self._stream([b'{"status":"Download complete"}\r\n'], "application/json")

    def answer_create(self, body: bytes):
        made = self.engine.create(self.query.get("name", ""), json.loads(body))
        self._json({"Id": made.id, "Warnings": []}, 201)

    def answer_containers(self, _):
        wanted = self._filters()
        self._json([one.summary() for one in list(self.engine.containers.values())
                    if (self._true("all") or one.state == "running" or "status" in wanted) and matches(one, wanted)])

    def answer_inspect(self, name: str, _):
        self._json(self.engine.container(name).inspect())

    def answer_start(self, name: str, _):
        self.engine.container(name).start()
        self._json()

    def answer_stop(self, name: str, _):
        self.engine.container(name).stop(float(self.query.get("t") or 10))
        self._json()

    def answer_kill(self, name: str, _):
        wanted = self.query.get("signal") or "KILL"
        number = int(wanted) if wanted.isdigit() else signal.Signals["SIG" + wanted.upper().removeprefix("SIG")]
        self.engine.container(name).signal(number)
        self._json()

    def answer_wait(self, name: str, _):
        container = self.engine.container(name)

        def outcome():
            container.over.wait()
            yield json.dumps({"StatusCode": container.code}).encode()

        self._stream(outcome(), "application/json")

    def answer_remove(self, name: str, _):
        self.engine.remove(self.engine.container(name), self._true("force"))
        self._json()

    def answer_prune(self, kind: str, _):
        """Removes what is out of use and has the labels. There are no volumes, and the image stays."""
        labels, removed = self._filters().get("label", []), []
        if kind == "containers":
            for one in list(self.engine.containers.values()):
                if one.state != "running" and labelled(one.config["Labels"], labels):
                    self.engine.remove(one, False)
                    removed.append(one.id)
        if kind == "networks":
            for name in set(self.engine.networks) - {BRIDGE}:
                found = self.engine.network(name)
                if not found["Containers"] and labelled(found["Labels"], labels):
                    del self.engine.networks[name]
                    removed.append(name)
        self._json({f"{kind.capitalize()}Deleted": removed, "SpaceReclaimed": 0})

    def answer_logs(self, name: str, _):
        output = self.engine.container(name).output
        if self.query.get("tail", "all") not in ("", "-1", "all"):
            raise Refused(501, "logs are given whole here")
        wanted = {number for number, stream in ((1, "stdout"), (2, "stderr")) if self._true(stream)}
        since = float(self.query.get("since") or 0)
        frames = (frame(number, piece) for number, at, piece in output.follow(self._true("follow"))
                  if number in wanted and at >= since)
        self._stream(frames, "application/vnd.docker.multiplexed-stream")

    def answer_put(self, name: str, body: bytes):
        self.engine.container(name).put(self.query["path"], io.BytesIO(body))
        self._head(200, Content_Length=0)

    def answer_prepare(self, name: str, body: bytes):
        container = self.engine.container(name)
        made = secrets.token_hex(32)
        self.engine.processes[made] = {"container": container, "wanted": json.loads(body), "process": None}
        self._json({"Id": made}, 201)

    def answer_execute(self, name: str, body: bytes):
        entry = self._process(name)
        entry["process"] = process = entry["container"].execute(entry["wanted"])
        output = Output()
        output.collect(1, process.stdout)
        output.collect(2, process.stderr)
        if json.loads(body or b"{}").get("Detach"):
            self._json()
            return
        # The connection is a stream from here on.
        self.close_connection = True
        kind = "application/vnd.docker.multiplexed-stream"
        if self.headers.get("Upgrade"):
            self._head(101, Content_Type=kind, Connection="Upgrade", Upgrade="tcp")
        else:
            self._head(200, Content_Type=kind, Connection="close")
        for number, _, piece in output.follow(True):
            self.wfile.write(frame(number, piece))
        process.wait()

    def answer_executed(self, name: str, _):
        entry = self._process(name)
        process = entry["process"]
        code = process.poll() if process else None
        self._json({
            "ID": name, "Running": process is not None and code is None, "ExitCode": code, "Pid": process.pid if process else 0,
            "ContainerID": entry["container"].id, "OpenStdin": False, "OpenStdout": True, "OpenStderr": True, "CanRemove": False,
            "ProcessConfig": {"entrypoint": entry["wanted"]["Cmd"][0], "arguments": entry["wanted"]["Cmd"][1:], "tty": False},
        })

    def _process(self, name: str) -> dict:
        if name not in self.engine.processes:
            raise Refused(404, f"No such exec instance: {name}")
        return self.engine.processes[name]

    def answer_networks(self, _):
        self._json([self.engine.network(name) for name in list(self.engine.networks)])

    def answer_network(self, name: str, _):
        self._json(self.engine.network(name))

    def answer_new_network(self, body: bytes):
        wanted = json.loads(body)
        self.engine.networks[wanted["Name"]] = wanted
        self._json({"Id": wanted["Name"], "Warning": ""}, 201)

    def answer_no_network(self, name: str, _):
        self.engine.network(name)
        del self.engine.networks[name]
        self._json()

    def answer_connect(self, name: str, body: bytes):
        self.engine.network(name)
        wanted = json.loads(body)
        aliases = (wanted.get("EndpointConfig") or {}).get("Aliases") or []
        self.engine.container(wanted["Container"]).networks[name] = aliases
        self._head(200, Content_Length=0)

    def answer_events(self, _):
        """There are none that a library for tests would wait for."""
        self._stream(iter(()), "application/json")


NAME = "([^/]+)"
ROUTES = [
    ("GET", "/_ping", Handler.answer_ping),
    ("HEAD", "/_ping", Handler.answer_ping),
    ("GET", "/version", Handler.answer_version),
    ("GET", "/info", Handler.answer_info),
    ("GET", "/events", Handler.answer_events),
    ("GET", "/images/json", Handler.answer_images),
    ("POST", "/images/create", Handler.answer_pull),
    ("GET", "/images/(.+)/json", Handler.answer_image),
    ("GET", "/containers/json", Handler.answer_containers),
    ("POST", "/containers/create", Handler.answer_create),
    ("POST", "/(containers|networks|volumes|images)/prune", Handler.answer_prune),
    ("GET", f"/containers/{NAME}/json", Handler.answer_inspect),
    ("POST", f"/containers/{NAME}/start", Handler.answer_start),
    ("POST", f"/containers/{NAME}/stop", Handler.answer_stop),
    ("POST", f"/containers/{NAME}/kill", Handler.answer_kill),
    ("POST", f"/containers/{NAME}/wait", Handler.answer_wait),
    ("GET", f"/containers/{NAME}/logs", Handler.answer_logs),
    ("PUT", f"/containers/{NAME}/archive", Handler.answer_put),
    ("POST", f"/containers/{NAME}/exec", Handler.answer_prepare),
    ("DELETE", f"/containers/{NAME}", Handler.answer_remove),
    ("POST", f"/exec/{NAME}/start", Handler.answer_execute),
    ("GET", f"/exec/{NAME}/json", Handler.answer_executed),
    ("GET", "/networks", Handler.answer_networks),
    ("POST", "/networks/create", Handler.answer_new_network),
    ("POST", f"/networks/{NAME}/connect", Handler.answer_connect),
    ("GET", f"/networks/{NAME}", Handler.answer_network),
    ("DELETE", f"/networks/{NAME}", Handler.answer_no_network),
]


def labelled(labels: dict, wanted: list) -> bool:
    pairs = (label.partition("=") for label in wanted)
    return all(labels.get(name) == value if same else name in labels for name, same, value in pairs)


def matches(container: Container, filters: dict) -> bool:
    for key, values in filters.items():
        if key == "label":
            found = labelled(container.config["Labels"], values)
        elif key == "name":
            found = any(re.search(value, "/" + container.name) for value in values)
        elif key == "id":
            found = any(container.id.startswith(value) for value in values)
        elif key == "status":
            found = container.state in values
        else:
            raise Refused(501, f"the filter {key} is not known here")
        if not found:
            return False
    return True


def frame(number: int, piece: bytes) -> bytes:
    return struct.pack(">BxxxI", number, len(piece)) + piece


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


def main(socket: str, root: str, dockerfile: str, folder: str) -> None:
    Handler.engine = Engine(Image(Path(root), Path(dockerfile)), Path(folder).resolve())
    with Server(socket, Handler) as server:
        def end(*_):
            threading.Thread(target=server.shutdown).start()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        server.serve_forever(0.1)
    Handler.engine.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
