"""Puts the broker's binary into the wheel.

The binary is what MILENA_BINARY names, or else the release build of this repository, which is made if it is missing.
MILENA_WHEEL_PLATFORM is the platform of the wheel's name; without it, the machine at hand. A static binary runs with
every libc, so its wheel may be called `manylinux2014_x86_64.musllinux_1_1_x86_64`.
"""

import os
import subprocess
import sysconfig
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BinaryHook(BuildHookInterface):
    def initialize(self, version, build_data):
        if version == "editable":
            return
        binary = self._binary()
        platform = os.environ.get("MILENA_WHEEL_PLATFORM") or sysconfig.get_platform()
        platform = platform.replace("-", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["force_include"][str(binary)] = "milena/bin/milena"

    def _binary(self):
        named = os.environ.get("MILENA_BINARY")
        if named:
            return Path(named).resolve(strict=True)
        root = Path(self.root).parent.parent
        binary = root / "target" / "release" / "milena"
        if not binary.exists():
            subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "milena"], cwd=root, check=True)
        return binary
