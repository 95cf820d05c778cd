"""A container: a copy of an image's root file system, its processes in namespaces, and forwarded ports."""

import datetime
import os
import secrets
import shutil
import signal
import stat
import subprocess
import tarfile
import threading
import time
from pathlib import Path

from forward import Forwarder

CONTAINED = Path(__file__).resolve().parents[3] / "compose" / "test.d" / "contained"
GATEWAY = "172.17.0.1"
# What the interface of the engine writes where there is no time.
NEVER = "0001-01-01T00:00:00Z"


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


class Refused(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Output:
    """What a process writes to its two streams, for any number of readers."""

    def __init__(self):
        self.pieces = []
        self.open = 0
        self.changed = threading.Condition()

    def collect(self, number: int, pipe) -> None:
        """Reads `pipe` to its end, as stream `number`: 1 or 2."""
        with self.changed:
            self.open += 1
        threading.Thread(target=self._collect, args=(number, pipe), daemon=True).start()

    def _collect(self, number: int, pipe) -> None:
        while piece := os.read(pipe.fileno(), 65536):
            with self.changed:
                self.pieces.append((number, time.time(), piece))
                self.changed.notify_all()
        with self.changed:
            self.open -= 1
            self.changed.notify_all()

    def follow(self, until_end: bool):
        """The pieces that are there, and, if so asked, those to come."""
        at = 0
        while True:
            with self.changed:
                while until_end and at == len(self.pieces) and self.open:
                    self.changed.wait()
                pieces = self.pieces[at:]
            yield from pieces
            at += len(pieces)
            if not pieces:
                return


class Container:
    """As the interface of the engine knows it: created, running, exited."""

    def __init__(self, image, folder: Path, number: int, name: str, wanted: dict):
        self.id = secrets.token_hex(32)
        self.name = name or f"milena_{number}"
        self.image_name = wanted["Image"]
        self.image_id = image.id
        self.address = f"172.17.{number // 250}.{2 + number % 250}"
        self.root = folder / self.id[:12]
        self.host_config = wanted.get("HostConfig") or {}
        self.config = self._config(image.config, wanted)
        self.networks = {}
        self.created, self.began, self.ended = now(), NEVER, NEVER
        self.state, self.code, self.pid = "created", 0, 0
        self.process, self.forwarders, self.ports = None, [], {}
        self.output = Output()
        self.over = threading.Event()
        subprocess.run(["cp", "-a", image.root, self.root], check=True)

    def _config(self, image: dict, wanted: dict) -> dict:
        config = {key: value for key, value in wanted.items() if key not in ("HostConfig", "NetworkingConfig")}
        # A changed entry point takes the command of the image with it.
        if not config.get("Entrypoint"):
            config["Entrypoint"] = image["Entrypoint"]
            config["Cmd"] = config.get("Cmd") or image["Cmd"]
        variables = {}
        for pair in image["Env"] + (config.get("Env") or []):
            variables[pair.partition("=")[0]] = pair
        config["Env"] = list(variables.values())
        for key in ("User", "WorkingDir", "StopSignal"):
            config[key] = config.get(key) or image[key]
        config["ExposedPorts"] = image["ExposedPorts"] | (config.get("ExposedPorts") or {})
        config["Labels"] = image["Labels"] | (config.get("Labels") or {})
        config["Hostname"] = config.get("Hostname") or self.id[:12]
        return config

    # The interface of the engine.

    def start(self) -> None:
        if self.state == "running":
            raise Refused(304, "it runs already")
        command = (self.config["Entrypoint"] or []) + (self.config["Cmd"] or [])
        if not command:
            raise Refused(400, "no command specified")
        self._hosts()
        contained = [CONTAINED, self.root, self.config["Hostname"], self.address, GATEWAY]
        self.process = subprocess.Popen(
            [*contained, *self._enter(self.config["User"], self.config["WorkingDir"], self.config["Env"], command)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        self.output = Output()
        self.output.collect(1, self.process.stdout)
        self.output.collect(2, self.process.stderr)
        self.over = threading.Event()
        self.pid = self._inner()
        self.state, self.began, self.code = "running", now(), 0
        self._publish()
        threading.Thread(target=self._reap, daemon=True).start()

    def signal(self, number: int) -> None:
        if self.state != "running":
            raise Refused(409, f"container {self.id} is not running")
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def stop(self, seconds: float) -> None:
        if self.state != "running":
            raise Refused(304, "it does not run")
        self.signal(signal.Signals[self.config["StopSignal"]])
        if not self.over.wait(seconds):
            self.kill()

    def kill(self) -> None:
        if self.state == "running":
            self.signal(signal.SIGKILL)
            self.over.wait()

    def remove(self) -> None:
        shutil.rmtree(self.root)

    def execute(self, wanted: dict) -> subprocess.Popen:
        """Another process in the container."""
        if self.state != "running":
            raise Refused(409, f"container {self.id} is not running")
        variables = self.config["Env"] + (wanted.get("Env") or [])
        folder = wanted.get("WorkingDir") or self.config["WorkingDir"]
        namespaces = ["nsenter", "--target", str(self.pid), "--mount", "--uts", "--ipc", "--net", "--pid"]
        return subprocess.Popen(
            [*namespaces, *self._enter(wanted.get("User") or self.config["User"], folder, variables, wanted["Cmd"])],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )

    def put(self, path: str, archive) -> None:
        """Unpacks an archive below a directory of the container."""
        below = self._resolve(path)
        if not below.is_dir():
            raise Refused(404, f"Could not find the file {path} in container {self.id}")
        with tarfile.open(fileobj=archive, mode="r|*") as members:
            for member in members:
                self._put(below / member.name.lstrip("/"), member, members)

    def inspect(self) -> dict:
        running = self.state == "running"
        command = (self.config["Entrypoint"] or []) + (self.config["Cmd"] or [""])
        networks = {
            name: {
                "NetworkID": name, "EndpointID": name, "Gateway": GATEWAY, "IPAddress": self.address if running else "",
                "IPPrefixLen": 16, "MacAddress": "02:42:ac:11:00:02", "Aliases": aliases, "Links": None,
                "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
            }
            for name, aliases in self.networks.items()
        }
        return {
            "Id": self.id, "Created": self.created, "Path": command[0], "Args": command[1:], "Image": self.image_id,
            "Name": "/" + self.name, "RestartCount": 0, "Driver": "copy", "Platform": "linux", "Mounts": [],
            "State": {
                "Status": self.state, "Running": running, "Paused": False, "Restarting": False, "OOMKilled": False,
                "Dead": False, "Pid": self.pid, "ExitCode": self.code, "Error": "", "StartedAt": self.began,
                "FinishedAt": self.ended,
            },
            "Config": self.config, "HostConfig": self.host_config,
            "NetworkSettings": {
                "Bridge": "", "Gateway": GATEWAY if running else "", "IPAddress": self.address if running else "",
                "IPPrefixLen": 16, "MacAddress": "", "Ports": self.ports, "Networks": networks,
            },
        }

    def summary(self) -> dict:
        whole = self.inspect()
        ports = [
            {"IP": place["HostIp"], "PrivatePort": int(port.split("/")[0]), "PublicPort": int(place["HostPort"]), "Type": "tcp"}
            for port, places in self.ports.items() for place in places or []
        ]
        return {
            "Id": self.id, "Names": [whole["Name"]], "Image": self.image_name, "ImageID": self.image_id,
            "Command": whole["Path"], "Created": 0, "Ports": ports, "Labels": self.config["Labels"], "State": self.state,
            "Status": self.state, "HostConfig": {"NetworkMode": "default"}, "Mounts": [],
            "NetworkSettings": {"Networks": whole["NetworkSettings"]["Networks"]},
        }

    # How it is done.

    def _enter(self, user: str, folder: str, variables: list, command: list) -> list:
        number, group, groups, home = self._user(user)
        names = {pair.partition("=")[0] for pair in variables}
        known = [("HOSTNAME", self.config["Hostname"]), ("HOME", home), ("PATH", "/usr/bin:/bin")]
        given = [f"{name}={value}" for name, value in known if name not in names]
        chroot = ["chroot", f"--userspec={number}:{group}", f"--groups={','.join(map(str, groups))}", self.root]
        return [*chroot, "/usr/bin/env", "-i", "-C", folder, *given, *variables, *command]

    def _user(self, user: str):
        """Number, group, all groups and home of a user, who may be any number."""
        users = [line.split(":") for line in (self.root / "etc/passwd").read_text().split()]
        groups = [line.split(":") for line in (self.root / "etc/group").read_text().split()]
        user, _, group = (user or "0").partition(":")
        entry = next((entry for entry in users if user in (entry[0], entry[2])), None)
        if entry is None and not user.isdigit():
            raise Refused(400, f"unable to find user {user}: no matching entries in passwd file")
        number, home = (int(entry[2]), entry[5]) if entry else (int(user), "/")
        if group:
            found = next((int(line[2]) for line in groups if line[0] == group), None)
            first = int(group) if found is None else found
            return number, first, [first], home
        first = int(entry[3]) if entry else 0
        more = [int(line[2]) for line in groups if entry and entry[0] in line[3].split(",")]
        return number, first, [first, *more], home

    def _hosts(self) -> None:
        names = [self.config["Hostname"], *(alias for aliases in self.networks.values() for alias in aliases)]
        lines = ["127.0.0.1 localhost", "::1 localhost", f"{self.address} {' '.join(names)}"]
        for extra in self.host_config.get("ExtraHosts") or []:
            name, _, address = extra.partition(":")
            lines.append(f"{GATEWAY if address == 'host-gateway' else address} {name}")
        (self.root / "etc/hosts").write_text("\n".join(lines) + "\n")

    def _inner(self) -> int:
        """The first process of the container, once it is in its file system."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        while self.process.poll() is None:
            try:
                for child in children.read_text().split():
                    if os.readlink(f"/proc/{child}/root") == str(self.root):
                        return int(child)
            except (FileNotFoundError, ProcessLookupError):
                pass
            time.sleep(0.005)
        said = b"".join(piece for _, _, piece in self.output.follow(True))
        raise Refused(500, f"the container ended before it began: {said.decode(errors='replace')}")

    def _publish(self) -> None:
        bindings = self.host_config.get("PortBindings") or {}
        for port in self.config["ExposedPorts"] | bindings:
            number = int(port.split("/")[0])
            wanted = bindings.get(port)
            if wanted is None and not self.host_config.get("PublishAllPorts"):
                self.ports[port] = None
                continue
            outside = int((wanted or [{}])[0].get("HostPort") or 0)
            forwarder = Forwarder(self.pid, outside, GATEWAY, (self.address, number))
            self.forwarders.append(forwarder)
            self.ports[port] = [{"HostIp": "0.0.0.0", "HostPort": str(forwarder.port)}]

    def _reap(self) -> None:
        code = self.process.wait()
        for forwarder in self.forwarders:
            forwarder.close()
        self.forwarders, self.ports = [], {}
        self.code = code if code >= 0 else 128 - code
        self.state, self.ended, self.pid = "exited", now(), 0
        self.over.set()

    def _resolve(self, path: str) -> Path:
        """Where a path of the container is, whose links start from its own root."""
        at, steps = self.root, [step for step in reversed(path.split("/")) if step]
        for _ in range(1000):
            if not steps:
                return at
            step = steps.pop()
            if step in (".", ".."):
                at = at if step == "." or at == self.root else at.parent
                continue
            if (at / step).is_symlink():
                target = os.readlink(at / step)
                at = self.root if target.startswith("/") else at
                steps += [more for more in reversed(target.split("/")) if more]
            else:
                at = at / step
        raise Refused(400, f"too many links in {path}")

    def _put(self, place: Path, member: tarfile.TarInfo, members: tarfile.TarFile) -> None:
        place = self._resolve(str(place.parent.relative_to(self.root))) / place.name
        if member.isdir():
            if not place.exists():
                place.mkdir(parents=True)
                os.chown(place, member.uid, member.gid)
                place.chmod(stat.S_IMODE(member.mode))
        elif member.isfile():
            place.parent.mkdir(parents=True, exist_ok=True)
            # Whole at once: a shell within may be waiting for it.
            part = place.with_name(place.name + ".part")
            with part.open("wb") as file:
                shutil.copyfileobj(members.extractfile(member), file)
            os.chown(part, member.uid, member.gid)
            part.chmod(stat.S_IMODE(member.mode))
            part.rename(place)
        elif member.issym():
            place.symlink_to(member.linkname)
        else:
            raise Refused(501, f"{member.name} in the archive is not a file, directory or link")
