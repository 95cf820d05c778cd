"""An image: a root file system, and what a Dockerfile says of it."""

import json
import shlex
from pathlib import Path


class Image:
    """Goes by every name, because test libraries ask for those of others."""

    id = "sha256:" + "6d" * 32

    def __init__(self, root: Path, dockerfile: Path):
        self.root = root
        self.config = {
            "User": "", "Env": [], "Cmd": None, "Entrypoint": None, "WorkingDir": "/", "ExposedPorts": {},
            "Labels": {}, "Volumes": None, "StopSignal": "SIGTERM",
        }
        for line in dockerfile.read_text().split("FROM scratch\n")[1].splitlines():
            instruction, _, rest = line.partition(" ")
            self._instruct(instruction, rest)

    def _instruct(self, instruction: str, rest: str) -> None:
        match instruction:
            case "ENV":
                self.config["Env"] += shlex.split(rest)
            case "WORKDIR":
                self.config["WorkingDir"] = rest
            case "USER":
                self.config["User"] = rest
            case "EXPOSE":
                self.config["ExposedPorts"] |= {f"{port}/tcp": {} for port in rest.split()}
            case "STOPSIGNAL":
                self.config["StopSignal"] = rest
            case "CMD":
                self.config["Cmd"] = json.loads(rest)
            case "ENTRYPOINT":
                self.config["Entrypoint"] = json.loads(rest)
            case "" | "COPY" | "#":
                pass
            case _:
                raise ValueError(f"{instruction} in a Dockerfile is not understood")

    def inspect(self, name: str) -> dict:
        repository, _, tag = name.rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", "latest")
        return {
            "Id": self.id, "RepoTags": [f"{repository}:{tag}"], "RepoDigests": [], "Parent": "", "Comment": "",
            "Created": "2026-01-01T00:00:00Z", "Author": "", "Config": self.config, "Architecture": "amd64",
            "Os": "linux", "Size": 0, "VirtualSize": 0, "RootFS": {"Type": "layers", "Layers": []},
            "GraphDriver": {"Name": "copy", "Data": {}}, "Metadata": {}, "DockerVersion": "",
        }
