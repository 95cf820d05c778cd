"""Where the broker's binary is, and the `milena` command."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def find() -> str:
    """What MILENA_BINARY names, or the binary of the wheel, or that of the system."""
    named = os.environ.get("MILENA_BINARY")
    if named:
        return named
    packaged = Path(__file__).parent / "bin" / "milena"
    if packaged.exists():
        return str(packaged)
    # Not the command of this package, which would look for itself.
    own = os.path.realpath(Path(sys.prefix) / "bin" / "milena")
    found = shutil.which("milena")
    if found and os.path.realpath(found) != own:
        return found
    raise FileNotFoundError("there is no milena binary: install a wheel for this platform, or set MILENA_BINARY")


def main() -> None:
    """Becomes the broker's binary."""
    binary = find()
    os.execv(binary, [binary, *sys.argv[1:]])
