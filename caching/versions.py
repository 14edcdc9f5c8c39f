"""Which versions a result was made with, told without loading any of them."""

from __future__ import annotations

import platform
from importlib import metadata

PACKAGES = ("torch", "diffusers", "numpy")


def versions() -> dict[str, str]:
    """Name -> version, of Python and of the packages that decide what a picture looks like."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # a copy on the path without its metadata
            continue
    return found
